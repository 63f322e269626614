//! What a command would do, told before it is given.

use serde::{Deserialize, Serialize};

use super::{PathPreview, TransferId};

/// What adding, sharing or sending something would do now. Facts at the moment of asking: nothing is
/// reserved, nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preview {
    /// Display name of the first content, printable.
    pub name: String,
    /// Contents: a Metalink may describe several.
    pub contents: u32,
    /// Bytes of all of them.
    pub size: u64,
    /// Files of all of them.
    pub files: u64,
    /// There is more: counting was stopped because it took too long.
    pub at_least: bool,
    /// Id of the strategy that would move it, such as `transit-p2p-swarm`.
    pub strategy: String,
    /// Why that one, in words.
    pub why: String,
    /// Where it lies or will lie on the node's disk; of a push, under the receiver's root.
    pub path: String,
    /// Free bytes there, where they matter and are known.
    pub disk_free: Option<u64>,
    /// A transfer that does this already: it would go on.
    pub existing: Option<TransferId>,
    /// The name is taken where it would appear.
    pub taken: bool,
    /// The ways that a push would take.
    pub paths: Vec<PathPreview>,
    /// Bytes per segment of a push.
    pub segment: u64,
    /// Why the receiver would not take it, in its words; empty if it would, or was not asked.
    pub refusal: String,
    /// Bytes per second that an earlier push over these ways had, if there was one.
    pub rate: Option<u64>,
}

impl Preview {
    /// True if it would not fit where it goes.
    pub fn is_too_large(&self) -> bool {
        self.disk_free.is_some_and(|free| self.size > free)
    }
}
