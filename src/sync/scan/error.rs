//! Why a scan ends without a tree.

use std::io;

use super::MAX_ENTRIES;
use crate::sync::rules::RulesError;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The top, or what must not silently be left out.
    #[error("cannot read {path:?}: {error}")]
    Read {
        /// Path in the tree, made printable; empty: its top.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// More than the cap.
    #[error("more than {MAX_ENTRIES} entries: sync its folders one by one")]
    TooMany,
    /// A `.skepignore`, or the command line.
    #[error("{place}{error}")]
    Rules {
        /// The file, with a colon behind it; empty: the command line.
        place: String,
        /// What is wrong with it.
        #[source]
        error: RulesError,
    },
    /// Nobody wants it any more.
    #[error("stopped")]
    Stopped,
}
