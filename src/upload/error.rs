//! Why an upload, or a part of one, was not taken.

use super::job::Status;
use super::ledger::Run;
use crate::store::{FilesError, FilesErrorKind, StateError};

/// Why not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    /// It makes no sense.
    #[error("{0}")]
    Bad(String),
    /// More than this takes at once.
    #[error("{0}")]
    TooLarge(String),
    /// No such upload.
    #[error("there is no upload of that name here: it expired, was removed, or never began")]
    Unknown,
    /// Nothing of that name is here that a delta could be applied to.
    #[error("{0}")]
    Absent(String),
    /// What a delta was made for is not what is here.
    #[error("{0}")]
    Changed(String),
    /// The operator of this node does not want it.
    #[error("the receiver's operator cancelled this upload")]
    Cancelled,
    /// The destination belongs to something else.
    #[error("{0}")]
    Taken(String),
    /// The upload is here, but not as the request has it.
    #[error("{detail}")]
    Conflict {
        /// What differs.
        detail: String,
        /// Where the upload stands.
        status: Box<Status>,
    },
    /// Segments are not here yet.
    #[error("the upload is not complete")]
    Incomplete(Vec<Run>),
    /// Bytes that do not match their digest.
    #[error("{detail}")]
    Mismatch {
        /// What did not match what.
        detail: String,
        /// Segments that are wanted again.
        segments: Vec<u32>,
    },
    /// Over the quota.
    #[error("{0}")]
    Quota(String),
    /// The disk is full.
    #[error("{0}")]
    NoSpace(String),
    /// Another request is at it.
    #[error("{0}")]
    Locked(String),
    /// Not now.
    #[error("{0}")]
    Busy(String),
    /// The disk or the state refused.
    #[error("{0}")]
    Disk(String),
}

impl From<FilesError> for UploadError {
    fn from(error: FilesError) -> Self {
        match error.kind {
            FilesErrorKind::NoSpace => Self::NoSpace("the disk is full".into()),
            FilesErrorKind::Exists => Self::Taken(format!("{:?} is taken", error.path)),
            FilesErrorKind::Escape => Self::Taken(format!("{:?}: a link, or a file, stands in the way", error.path)),
            // The whole of it names folders of this machine: that is for its own log.
            _ => Self::Disk(format!("the disk refused: cannot {}: {}", error.op, error.source)),
        }
    }
}

impl From<StateError> for UploadError {
    fn from(error: StateError) -> Self {
        Self::Disk(error.to_string())
    }
}
