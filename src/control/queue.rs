//! What a viewer sees of the priority queue: operations that wait, for their turn or for their link.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PriorityClass, SendRequest, SyncRequest, TransferId};

/// Names an operation in the queue; never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for QueueId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('#').unwrap_or(text).parse().map(Self)
    }
}

/// What is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Operation {
    /// A push.
    Send(SendRequest),
    /// A sync that comes to an end.
    Sync(SyncRequest),
}

impl Operation {
    /// `send` or `sync`.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Sync(_) => "sync",
        }
    }
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
    /// Its transfer was paused by the operator; another one has its place.
    Paused,
    /// Its transfer failed; it is tried again.
    Retrying,
    /// It was refused, or failed too often: it waits for the operator.
    Parked,
}

impl QueueState {
    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Stored => "stored",
            Self::Summary => "summary",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
        }
    }
}

/// One operation of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueRow {
    /// Its id.
    pub id: QueueId,
    /// Its class as it was added or changed.
    pub class: PriorityClass,
    /// Classes that it rose by waiting: it stands among those of that class, none above critical.
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

/// A tree here that another node says is not what it should be; the data follows when the link allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BehindRow {
    /// The tree, below this node's root.
    pub path: String,
    /// Who says so: its name, and the address that it came from.
    pub from: String,
    /// Files that differ.
    pub files: u64,
    /// Bytes that are missing here.
    pub bytes: u64,
    /// When it was first told, ms since the epoch.
    pub since_ms: u64,
    /// When it was told last, ms since the epoch.
    pub told_ms: u64,
}

/// The queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueView {
    /// Those at work, then the others in the order in which they are tried; the first [`MAX_QUEUE_ROWS`].
    pub rows: Vec<Arc<QueueRow>>,
    /// Per class, critical first.
    pub classes: [ClassTotals; 6],
    /// Operations that fit.
    pub capacity: u64,
    /// Those that were purged because of their age, since the node's start.
    pub expired: u64,
    /// Entries on disk that could not be read, and were put aside.
    pub corrupt: u64,
    /// Trees here that other nodes say are behind; at most [`MAX_BEHIND`].
    pub behind: Vec<BehindRow>,
}

impl QueueView {
    /// Operations in it.
    pub fn count(&self) -> u64 {
        self.classes.iter().map(|class| class.count).sum()
    }

    /// Their bytes, as far as known.
    pub fn bytes(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.saturating_add(class.bytes))
    }

    /// Those that did not fit, since the node's start.
    pub fn dropped(&self) -> u64 {
        self.classes.iter().map(|class| class.dropped).sum()
    }
}

/// Rows of the queue that a viewer is shown.
pub const MAX_QUEUE_ROWS: usize = 1_000;

/// Trees behind that a viewer is shown.
pub const MAX_BEHIND: usize = 256;

/// Where an operation goes among those of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueMove {
    /// Before all of them.
    First,
    /// Before the one before it.
    Up,
    /// Behind the one behind it.
    Down,
    /// Behind all of them.
    Last,
}

/// What is removed from the queue: all that every given condition holds for. What a transfer works on stays, unless it
/// is named: then its transfer is cancelled.
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
