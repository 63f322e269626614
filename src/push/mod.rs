//! Systems 2 and 3: pushing a file or a tree to another node, over one path or several at once, in segments
//! that are verified and acknowledged one by one.
//!
//! ```text
//!  source ──Reader──▶ send (one segment over one path) ──PUT──▶ receiver
//!                       ▲ Assignment        │ held, failed, bytes
//!            plan ──────┤                   ▼
//!   score ──▶ shares    └──────────────── drive ──▶ ledger (recorded digests), figures
//!   retry, runs                             └─ all there ──POST──▶ assemble: verified, published
//! ```
//!
//! Deciders: [`plan`] with [`score`], [`runs`], [`retry`] and `quiet`, and [`paths`] (what a destination means).
//! Drivers: `ways` probes the paths; `drive` owns a plan; `send` moves one segment; `wire` makes the requests,
//! `answer` and `broken` say what came of them.
//!
//! Invariants:
//! - A segment is sent with the digest of what was read; bytes of a source that changed are never mixed
//!   with those from before.
//! - Resuming believes the receiver about what it holds, and the own record about its digests; the
//!   receiver compares both when it assembles.
//! - Memory: [`IN_FLIGHT_BYTES`] of segments, however large the source.

mod anew;
mod answer;
pub(crate) mod broken;
mod buffers;
pub(crate) mod delta;
pub(crate) mod drive;
pub(crate) mod fit;
pub(crate) mod interfaces;
mod lanes;
pub(crate) mod pack;
pub mod paths;
pub mod plan;
mod quiet;
pub mod retry;
pub mod runs;
pub mod score;
pub(crate) mod send;
mod steering;
mod unsent;
pub(crate) mod ways;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use self::buffers::Buffers;
use self::pack::Packer;
use self::send::Common;
use self::wire::WireError;
use crate::content::{ReadError, Reader};
use crate::throttle::Throttle;

/// Bytes of segments in memory at once.
pub const IN_FLIGHT_BYTES: u64 = 24 << 20;
/// Bytes of a segment by default over one path, and at least over several.
pub const CHUNK: u64 = 4 << 20;
/// A path of at least this round trip gets shorter segments: more of them share the line, which fills it
/// better, and fewer bytes are left to the last connections, each of which has a part of the line only.
const FAR: Duration = Duration::from_millis(20);
/// At least this.
pub const MIN_SEGMENT: u64 = 1 << 20;
/// Segments of a push at most; larger sources get longer segments.
const MAX_SEGMENTS: u64 = 1 << 18;
/// Segments that a receiver takes, whatever their length.
pub(crate) const MOST_SEGMENTS: u64 = 1 << 20;
/// Over several paths: segments per path, so that work can move.
const PER_PATH: u64 = 128;
/// Segments of each path that memory shall allow at once.
const AT_ONCE: u64 = 4;

/// Bytes per segment for a source of `size` bytes over `paths` paths, the nearest of them `latency` away. `chunk`: what the
/// link to the receiver wants, if it is known; over several paths each has another one.
pub fn segment_for(size: u64, paths: u64, latency: Duration, chunk: Option<u64>) -> u64 {
    if let Some(chunk) = chunk.filter(|_| paths == 1) {
        // Sources that are not long are still sent in several, so that the first are verified while others are on their way.
        let several = (size / PER_PATH).next_power_of_two().max(CHUNK);
        return chunk.min(several).max(least_for(size));
    }
    if paths == 1 && latency >= FAR {
        return MIN_SEGMENT.max(least_for(size));
    }
    // So short that memory allows several under way on each path.
    let longest = if paths > 1 { IN_FLIGHT_BYTES / (paths * AT_ONCE) } else { CHUNK };
    let wanted = if paths > 1 { size / (paths * PER_PATH) } else { CHUNK };
    let wanted = wanted.min(longest).clamp(MIN_SEGMENT, CHUNK) >> 20 << 20;
    wanted.max(least_for(size))
}

fn least_for(size: u64) -> u64 {
    size.div_ceil(MAX_SEGMENTS).next_power_of_two()
}

/// Segments of this length that memory allows at once: two at least.
pub(crate) fn in_flight(segment: u64) -> u32 {
    u32::try_from(IN_FLIGHT_BYTES / segment.max(1)).unwrap_or(u32::MAX).clamp(2, 64)
}

/// Why a push ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The source cannot be read, or is not what it was.
    #[error(transparent)]
    Source(#[from] ReadError),
    /// The receiver's or the network's answer.
    #[error("{at}: {error}")]
    Wire {
        /// Whose, for people.
        at: String,
        /// What.
        error: WireError,
    },
    /// A segment did not get through.
    #[error("{at}: segment {segment} did not get through in {} tries: {error}", retry::RETRIES + 1)]
    GaveUp {
        /// Where to, for people.
        at: String,
        /// Which.
        segment: u32,
        /// Why the last time.
        error: WireError,
    },
    /// Held, then missing, again and again.
    #[error("the receiver says again and again that it holds segments which it then lacks: its disk may be failing")]
    Lies,
    /// It was published, but not as it was sent.
    #[error("the receiver says that it published other bytes than were sent: compare what is there with the source")]
    OtherBytes,
    /// A defect here.
    #[error("internal: {0}")]
    Internal(String),
}

/// What the requests of a push share.
pub(crate) fn common(
    upload: String,
    reader: Reader,
    throttle: Arc<[Arc<Throttle>]>,
    packer: Arc<Packer>,
) -> Arc<Common> {
    let buffers = Buffers::new(usize::try_from(reader.layout().piece_length()).unwrap_or(usize::MAX));
    Arc::new(Common { upload, reader: Arc::new(reader), buffers, throttle, packer, sent: Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_fit_the_source() {
        const MIB: u64 = 1 << 20;
        let of = |size, paths| segment_for(size, paths, Duration::from_millis(1), None);
        assert_eq!(of(10 << 30, 1), CHUNK);
        assert_eq!(of(10, 1), CHUNK);
        assert_eq!((of(500 * MIB, 3), of(1 << 30, 3)), (MIB, 2 * MIB));
        assert_eq!(of(20 * MIB, 3), MIB);
        assert_eq!((of(10 << 30, 3), of(10 << 30, 16)), (2 * MIB, MIB));
        assert_eq!(of(10 << 40, 3), 64 * MIB, "2^18 segments at most");
        let far = |size| segment_for(size, 1, Duration::from_millis(100), None);
        assert_eq!((far(10 << 30), far(10 << 40)), (MIB, 64 * MIB));
        assert_eq!((in_flight(CHUNK), in_flight(MIB), in_flight(1 << 30)), (6, 24, 2));
        let fitted = |size, chunk| segment_for(size, 1, Duration::from_millis(600), Some(chunk));
        assert_eq!((fitted(1 << 30, 64 << 10), fitted(10, 64 << 10)), (64 << 10, 64 << 10));
        assert_eq!((fitted(10 << 30, 16 * MIB), fitted(100 * MIB, 16 * MIB)), (16 * MIB, CHUNK));
        assert_eq!(fitted(10 << 40, 64 << 10), 64 * MIB);
        assert_eq!(segment_for(1 << 30, 3, Duration::ZERO, Some(64 << 10)), 2 * MIB, "three links");
    }
}
