//! A recording of what the console was shown: the last hour or more, on disk, bounded.
//!
//! ```text
//! snapshots ─▶ pace ─▶ delta::Encoder ─▶ format ─▶ tape (files)        once a second, on a thread of its own
//! screen ◀─ Recorded ◀─ delta::apply ◀── format ◀─ tape ◀─ Seek
//! ```
//!
//! | file | what |
//! |---|---|
//! | [`mod@format`] | the bytes of a file: frames that hold the differences between snapshots |
//! | [`pace`] | how often a moment is recorded, so that an hour fits; pure |
//! | [`tape`] | frames in files, found by time; the oldest files go |
//! | [`recorder`] | the thread that writes and reads, and the handle that the console holds |
//!
//! A file is the differences that also go over the wire ([`skep_engine::rpc::delta`]), beginning with a
//! whole snapshot once a minute. Whatever a file says, memory stays bounded, and what a crash tore off
//! its end costs only that end.

pub mod format;
pub mod pace;
pub mod recorder;
pub mod tape;

use std::path::PathBuf;
use std::sync::Arc;

use skep_engine::control::Snapshot;

pub use recorder::Recorder;
pub use tape::Tape;

/// Where a console records to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingOptions {
    /// The folder of the recordings.
    pub dir: PathBuf,
    /// Bytes that all recordings in it may take.
    pub max_bytes: u64,
}

/// A moment that is asked for, relative to another. All steps add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seek {
    /// From here, ms since the epoch: the moment recorded last before or at it.
    pub from_ms: u64,
    /// So many milliseconds later (or earlier).
    pub ms: i64,
    /// And then so many recorded moments later (or earlier).
    pub moments: i64,
}

/// A moment as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// When, ms since the epoch, by the clock of the console that recorded it.
    pub time_ms: u64,
    /// What was shown.
    pub snapshot: Arc<Snapshot>,
    /// Rates of the node up to then: ms since the epoch, bytes per second down and up.
    pub rates: Vec<(u64, u64, u64)>,
    /// The first moment there is.
    pub first_ms: u64,
    /// The last moment there is.
    pub last_ms: u64,
    /// An earlier moment was asked for than there is.
    pub before: bool,
    /// A later moment was asked for than there is.
    pub beyond: bool,
}

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file begins otherwise.
    #[error("{0} is no recording of the console")]
    NotOne(String),
    /// Made by a version of the program with another format.
    #[error("{0} is a recording that this version does not understand")]
    Version(String),
    /// It begins well and holds nothing.
    #[error("{0} holds no moment: nothing was recorded, or it is damaged at its start")]
    Empty(String),
    /// What is in it cannot be.
    #[error("the recording is damaged: {0}")]
    Damaged(String),
    /// More than anybody records.
    #[error("the recording is too large: {0}")]
    Large(&'static str),
}

impl RecordingError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

#[cfg(test)]
mod tests;
