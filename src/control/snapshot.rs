//! What an engine shows: totals, one row per item, details of what is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::link::{LinkRow, Thresholds};
use super::pool::PoolView;
use super::queue::{QueueId, QueueView};
use super::{DeltaRow, PathChange, PathRow, PhaseRow, PieceOrder, Rate, TransferDetail, TransferId};
use crate::content::ContentId;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To this node.
    #[default]
    Down,
    /// From this node.
    Up,
}

/// What a transfer is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// This node fetches a content.
    #[default]
    Fetch,
    /// This node shares what lies here.
    Share,
    /// This node pushes to another.
    Send,
    /// Another node, or a tus client, pushes to this one.
    Receive,
    /// This node keeps a tree at another equal to one here.
    Sync,
}

impl TransferKind {
    /// Its name as it is on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Share => "share",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Sync => "sync",
        }
    }
}

/// What a transfer does now. Facts only: `Pausing` until it is `Paused`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// Waits for its turn.
    #[default]
    Queued,
    /// Fetches the manifest.
    Starting,
    /// Reads and hashes what is on disk.
    Checking,
    /// Moves bytes.
    Running,
    /// On its way to paused.
    Pausing,
    /// Stopped by the operator (of what is received: by its sender); everything is kept.
    Paused,
    /// All there and verified; serves others.
    Seeding,
    /// All there and verified.
    Done,
    /// Stopped by an error; can be resumed.
    Failed,
    /// Stopped for good.
    Cancelled,
}

impl TransferState {
    /// Its name as it is on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Checking => "checking",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Seeding => "seeding",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Stays as it is unless somebody acts.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Paused | Self::Seeding | Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// One transfer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferRow {
    /// Its id.
    pub id: TransferId,
    /// What it is for.
    pub kind: TransferKind,
    /// What it moves, once known.
    pub content: Option<ContentId>,
    /// Display name, printable.
    pub name: String,
    /// Id of the strategy at work, such as `transit-p2p-swarm`.
    pub strategy: String,
    /// Which way.
    pub direction: Direction,
    /// Who sends what is received, printable; empty otherwise.
    pub from: String,
    /// What it does now.
    pub state: TransferState,
    /// Why it is in this state, waits or is slow; why this strategy. Empty if there is nothing to say.
    pub reason: String,
    /// What went wrong, in one line with what to do.
    pub error: Option<String>,
    /// True if the error is a failed integrity check.
    pub integrity_failure: bool,
    /// It failed because the other side wants a token, or forbids it.
    #[serde(default)]
    pub refused: bool,
    /// Bytes in all; 0 until known.
    pub size: u64,
    /// Bytes there and verified (or hashed, while checking).
    pub done: u64,
    /// Pieces in all.
    pub pieces: u32,
    /// Pieces there and verified.
    pub pieces_done: u32,
    /// Files in it.
    pub files: u64,
    /// Bytes per second over the last 1–2 seconds.
    pub rate_down: u64,
    /// Bytes per second over the last 1–2 seconds.
    pub rate_up: u64,
    /// Smoothed over about 20 seconds.
    pub smooth_down: u64,
    /// Smoothed over about 20 seconds.
    pub smooth_up: u64,
    /// Seconds left at the smoothed rate.
    pub eta_s: Option<u64>,
    /// Seconds without a byte, while running.
    pub stalled_s: u64,
    /// Peers that answer.
    pub peers: u32,
    /// Peers known.
    pub peers_known: u32,
    /// Peers that have everything.
    pub seeds: u32,
    /// Payload received, also what was thrown away.
    pub bytes_down: u64,
    /// Payload sent.
    pub bytes_up: u64,
    /// Bytes on the network both ways, headers included as far as known.
    pub wire_bytes: u64,
    /// Bytes of it that did not have to be sent, since they were compressed.
    #[serde(default)]
    pub saved_bytes: u64,
    /// What the link to its destination has it do; none where nothing is known of that.
    #[serde(default)]
    pub over: Option<super::link::LinkUse>,
    /// Payload received per peer endpoint; filled once it is done.
    pub bytes_per_peer: Vec<(String, u64)>,
    /// Paths of a push.
    pub paths: Vec<PathRow>,
    /// What a sync does, once it is planned.
    pub sync: Option<super::sync::Totals>,
    /// What a sync that goes on for good has done so far.
    #[serde(default)]
    pub watch: Option<super::sync::WatchRow>,
    /// The last changes of its plan, the newest first; a handful.
    pub path_changes: Vec<PathChange>,
    /// What a push found there, if it sends what changed.
    pub delta: Option<DeltaRow>,
    /// The operation of the queue that it works on.
    #[serde(default)]
    pub queued: Option<QueueId>,
    /// Of a sync or a delta: the kinds of work it has done and does, in their order.
    pub phases: Vec<PhaseRow>,
    /// Where a push goes, as it was asked for; empty for others.
    pub dest: String,
    /// Bytes per segment of a push, once known.
    pub segment: u64,
    /// Why this strategy; empty if there was no choice.
    pub strategy_reason: String,
    /// Its own limits.
    pub limit_up: Rate,
    /// Its own limits.
    pub limit_down: Rate,
    /// Those of higher priority come first when they wait for their turn; 0 unless somebody set it.
    pub priority: i8,
    /// Place in the queue among those of the same priority, lower first.
    pub rank: u64,
    /// Order of pieces.
    pub order: PieceOrder,
    /// Where it lies or will lie on the node's disk.
    pub path: String,
    /// The link others fetch it by, once it can be fetched.
    pub link: Option<String>,
    /// When it was added.
    pub added_ms: u64,
    /// When it was done, failed or cancelled.
    pub ended_ms: Option<u64>,
    /// Seconds spent running.
    pub duration_s: f64,
    /// Every piece compared with its digest and the data synced to disk.
    pub verified: bool,
}

impl TransferRow {
    /// `transit-p2p-swarm` → `swarm`: the part of the strategy's id that tells them apart at a glance.
    pub fn via(&self) -> &str {
        match self.strategy.as_str() {
            "transit-chunked-resumable" => "chunked",
            "transit-multipath-parallel" => "multipath",
            "transit-delta-differential" => "delta",
            id => id.rsplit('-').next().unwrap_or(id),
        }
    }
}

/// A line's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For developers.
    Trace,
    /// For the curious.
    Debug,
    /// What happens.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// A line of the node's log, printable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Ascending without gaps, so that a viewer sees what it missed.
    pub seq: u64,
    /// When.
    pub time_ms: u64,
    /// How grave.
    pub level: LogLevel,
    /// The part of the engine that speaks, such as `swarm`.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The transfer it is about.
    pub transfer: Option<TransferId>,
}

/// A banned peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanRow {
    /// `host:port`.
    pub peer: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

/// A strategy of the engine and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyRow {
    /// Such as `transit-p2p-swarm`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Such as `P2P`, `streaming`, `resumable`.
    pub capabilities: Vec<String>,
    /// None: available; else why not.
    pub unavailable: Option<String>,
}

/// The node itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Its endpoint URL.
    pub endpoint: String,
    /// Its root folder.
    pub root: String,
    /// Process id.
    pub pid: u32,
    /// Started, ms since the epoch.
    pub started_ms: u64,
    /// Bytes per second over all transfers.
    pub rate_down: u64,
    /// Bytes per second over all transfers.
    pub rate_up: u64,
    /// Payload since the start.
    pub bytes_down: u64,
    /// Payload since the start.
    pub bytes_up: u64,
    /// Limits of the whole node.
    pub limit_up: Rate,
    /// Limits of the whole node.
    pub limit_down: Rate,
    /// Connections open to its server.
    pub connections: u32,
    /// Free bytes where the root lies.
    pub disk_free: u64,
    /// Nothing new begins here until the operator says so.
    #[serde(default)]
    pub draining: bool,
}

/// `node.info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Such as `transport.bandwidth`.
    pub capabilities: Vec<String>,
    /// Link monitors that run.
    #[serde(rename = "BandwidthMonitors")]
    pub bandwidth_monitors: u32,
    /// Sync mode in force, `unknown` where no link is monitored.
    #[serde(rename = "CurrentSyncMode")]
    pub current_sync_mode: String,
    /// Strategies of the engine.
    pub strategies: Vec<StrategyRow>,
}

/// Everything a viewer can show, at one moment. Rows and details are shared by reference: making
/// one costs what has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Grows with every snapshot of this node.
    pub generation: u64,
    /// When it was made.
    pub time_ms: u64,
    /// The node.
    pub node: Arc<NodeRow>,
    /// Transfers in the order they were added.
    pub transfers: Vec<Arc<TransferRow>>,
    /// Details of transfers that some viewer looks at.
    pub details: BTreeMap<TransferId, Arc<TransferDetail>>,
    /// Bans in force.
    pub bans: Arc<Vec<BanRow>>,
    /// Links that are watched, by endpoint.
    pub links: Vec<Arc<LinkRow>>,
    /// Where one class of links ends and another begins.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What waits for its turn or its link.
    pub queue: Arc<QueueView>,
    /// The pool that the node is in, or knows.
    pub pool: Arc<PoolView>,
    /// The end of the log. Viewers merge by `seq`: over the wire only new lines come.
    pub log: Arc<Vec<Arc<LogLine>>>,
}
