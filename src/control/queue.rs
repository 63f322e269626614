//! What a viewer sees of the priority queue: operations that wait, for their turn or for their link.

use serde::{Deserialize, Serialize};

use super::{PriorityClass, SendRequest, SyncRequest, TransferId};

/// Names an operation in the queue; never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

/// What is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Operation {
    /// A push.
    Send(SendRequest),
    /// A sync.
    Sync(SyncRequest),
}

/// What an operation in the queue does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    /// Waits for its turn.
    #[default]
    Waiting,
    /// Kept until its link is back.
    Stored,
    /// The far side knows what is stale; the data waits for a better link.
    Summary,
    /// A transfer works on it.
    Running,
    /// Its transfer failed; it is tried again.
    Retrying,
}

/// One operation of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Its id.
    pub id: QueueId,
    /// Its class as it was added or changed.
    pub class: PriorityClass,
    /// Classes that it rose by waiting.
    pub aged: u32,
    /// What it does now.
    pub state: QueueState,
    /// `send` or `sync`.
    pub what: String,
    /// The source's name.
    pub name: String,
    /// Endpoint that it waits for.
    pub target: String,
    /// Where it goes, as the operator wrote it.
    pub dest: String,
    /// Size in bytes, as far as known.
    pub bytes: u64,
    /// When it was added, ms since the epoch.
    pub added_ms: u64,
    /// Times it was tried.
    pub attempts: u32,
    /// When it is tried again, ms since the epoch.
    pub retry_at_ms: Option<u64>,
    /// Why it waits, in words.
    pub why: String,
    /// The transfer that works on it.
    pub transfer: Option<TransferId>,
}

/// Totals of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassTotals {
    /// Operations.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rejected or pushed out of a full queue since the node's start.
    pub dropped: u64,
}

/// The queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueView {
    /// The first operations in the order in which they are tried; at most [`MAX_QUEUE_ROWS`].
    pub rows: Vec<QueueRow>,
    /// Per class, critical first.
    pub classes: [ClassTotals; 6],
    /// Operations that fit.
    pub capacity: u64,
    /// Those that were purged because of their age, since the node's start.
    pub expired: u64,
    /// Entries on disk that could not be read, and were put aside.
    pub corrupt: u64,
}

/// Rows of the queue that a viewer is shown.
pub const MAX_QUEUE_ROWS: usize = 1_000;

/// What is removed from the queue: all that every given condition holds for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeRequest {
    /// Just these.
    pub ids: Vec<QueueId>,
    /// Of this class.
    pub class: Option<PriorityClass>,
    /// Older than so many seconds.
    pub max_age_s: Option<u64>,
    /// For this endpoint.
    pub target: Option<String>,
    /// Everything, if no condition is given.
    pub all: bool,
}
