//! What goes over the wire instead of whole snapshots: the difference to the last one sent.
//!
//! The server keeps an [`Encoder`] per subscription, which knows what the viewer has; the viewer
//! puts the [`Snapshot`](crate::control::Snapshot) together again with [`apply`]. A message costs
//! what changed: rows that did not change are left out, bitmaps travel as the runs of bytes that
//! differ, log lines only once. No message is larger than a few MiB: what does not fit follows
//! ([`SnapshotDelta::more`] for rows, the next message for bitmaps of peers).

mod apply;
mod clean;
mod encode;
mod patch;
mod pool;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::control::link::{LinkRow, Thresholds};
use crate::control::pool::{PoolNodeRow, PoolView};
use crate::control::queue::{QueueRow, QueueView};
use crate::control::{BanRow, DeltaMap, LogLine, NodeRow, PeerRow, TrackerRow, TransferId, TransferRow};

pub use apply::{ApplyError, apply};
pub use clean::clean;
pub use encode::Encoder;
pub use patch::{BitsPatch, BytesPatch, Run};

/// Log lines that a viewer keeps: the size of the node's own ring.
pub const LOG_LINES: usize = 2_048;

/// Transfers that a viewer is shown; the oldest above this are left out.
pub const MAX_ROWS: usize = 100_000;

/// The difference between two snapshots. A field that is left out did not change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotDelta {
    /// Start from an empty snapshot: the first message of a subscription.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Another message follows at once; only with that one the snapshot is whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Of the snapshot.
    pub generation: u64,
    /// Of the snapshot.
    pub time_ms: u64,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<NodeRow>>,
    /// Rows that are new or changed, by ascending id, which is the order of the snapshot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Arc<TransferRow>>,
    /// Rows that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<TransferId>,
    /// Details of what the viewer looks at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<DetailDelta>,
    /// Details that are shown no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<TransferId>,
    /// All bans in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bans: Option<Arc<Vec<BanRow>>>,
    /// All links that are watched, if one of them changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<Arc<LinkRow>>>,
    /// Where one class of links ends and another begins, if that is not as it was or as it is by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueDelta>,
    /// The pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolDelta>,
    /// The log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogDelta>,
}

/// What changed of the pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolDelta {
    /// The pool without its nodes.
    pub head: Box<PoolView>,
    /// Nodes that are new or changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Arc<PoolNodeRow>>,
    /// Nodes that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Arc<str>>,
}

/// What changed of the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueDelta {
    /// The queue without its rows.
    pub head: Box<QueueView>,
    /// How the new list of rows comes from the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<QueueOp>>,
}

/// One step in making the new list of the queue's rows, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueOp {
    /// `[first, count]`: that many rows of the old list, as they were.
    Keep(u32, u32),
    /// A row that is new or changed.
    Row(Arc<QueueRow>),
}

/// News of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogDelta {
    /// Forget the lines so far.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Lines before this `seq` have left the node's ring.
    pub first: u64,
    /// Lines that came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Arc<LogLine>>,
}

/// The difference between two details of one transfer; of one that was not shown before: to an
/// empty one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetailDelta {
    /// Of which transfer.
    pub id: TransferId,
    /// Of the detail.
    pub generation: u64,
    /// Bytes per piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piece_length: Option<u64>,
    /// What is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub have: Option<BitsPatch>,
    /// Pieces under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<Vec<u32>>,
    /// Pieces that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Vec<u32>>,
    /// Peers per piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<BytesPatch>,
    /// How the new list of peers comes from the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<PeerOp>>,
    /// Trackers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trackers: Option<Vec<TrackerRow>>,
    /// Files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Arc<Vec<(String, u64)>>>,
    /// Of a delta: left out, as it was; null, there is none (any more).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub delta: Option<Option<Arc<DeltaMap>>>,
}

/// One step in making the new list of peers, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerOp {
    /// `[first, count]`: that many rows of the old list, as they were.
    Keep(u32, u32),
    /// A row that is new or changed.
    Row(Box<PeerChange>),
}

/// A row of a peer that is new or changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerChange {
    /// Where it was in the old list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<u32>,
    /// The row, without its bitmap.
    pub row: PeerRow,
    /// Its bitmap: left out, as it was; null, not known (any more).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub have: Option<Option<BitsPatch>>,
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(d).map(Some)
}
