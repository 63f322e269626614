//! What a viewer sees of a pool: its nodes, how they are, why each is chosen or is not, and where keys belong.
//!
//! Latencies are in milliseconds, CPU and memory in percent, shares and scores from 0 to 1.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TransferId;

/// Nodes of a pool at most.
pub const MAX_NODES: usize = 4_096;
/// Copies being made again that are told at most.
pub const MAX_MOVES: usize = 256;
/// Contents that a node tells of, and that are taken from one.
pub const MAX_HOLDS: usize = 1_024;
/// Characters of a node's or a pool's name at most.
pub const MAX_NAME: usize = 64;

/// Who answers "which node".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancer {
    /// The key alone: always the same node while the pool stays the same.
    #[default]
    ConsistentHash,
    /// How the nodes are: the better, the more often.
    ResourceAware,
}

impl Balancer {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ConsistentHash, Self::ResourceAware];

    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsistentHash => "consistent_hash",
            Self::ResourceAware => "resource_aware",
        }
    }

    /// Its name as people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConsistentHash => "consistent-hash",
            Self::ResourceAware => "resource-aware",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::ConsistentHash => Self::ResourceAware,
            Self::ResourceAware => Self::ConsistentHash,
        }
    }
}

/// How a node is, by its own word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// CPU in use, percent of the machine or of its cgroup.
    pub cpu_percent: f64,
    /// Memory in use, likewise.
    pub memory_percent: f64,
    /// Connections open to it.
    pub active_connections: u64,
    /// Average time until it answers, ms.
    pub average_latency_ms: f64,
}

/// A score and its four terms, each with its weight in it: together they are the score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Score {
    /// Of idle CPU.
    pub cpu: f64,
    /// Of free memory.
    pub memory: f64,
    /// Of connections that it could still take.
    pub connections: f64,
    /// Of answering soon.
    pub latency: f64,
    /// Their sum.
    pub total: f64,
}

/// The limits and weights that scores are made with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// CPU above this excludes, percent.
    pub cpu_percent: f64,
    /// Memory above this excludes, percent.
    pub memory_percent: f64,
    /// Connections above this exclude.
    pub connections: u64,
    /// What was found by using it above this excludes, ms.
    pub latency_ms: f64,
    /// A report older than this says nothing, ms.
    pub stale_ms: u64,
    /// A new node counts in full after this, ms.
    pub slow_start_ms: u64,
    /// Weights of CPU, memory, connections, latency.
    pub weights: [f64; 4],
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_percent: 90.0,
            memory_percent: 90.0,
            connections: 10_000,
            latency_ms: 4_000.0,
            stale_ms: 30_000,
            slow_start_ms: 30_000,
            weights: [0.3, 0.3, 0.2, 0.2],
        }
    }
}

/// Latency that makes its term of a score nothing, ms.
pub const SLOW_MS: f64 = 1_000.0;

/// How a node stands, in a word: what keeps it most from being chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// It is not there.
    Gone,
    /// It is over a limit.
    Excluded,
    /// The operator takes it out of use.
    Drained,
    /// There is no report of late.
    Stale,
    /// A part of its score counts as yet.
    New,
    /// Nothing keeps it.
    Ok,
}

impl NodeState {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Excluded => "excluded",
            Self::Drained => "drained",
            Self::Stale => "stale",
            Self::New => "new",
            Self::Ok => "ok",
        }
    }
}

/// How the pool knows of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It is the node that says so.
    Own,
    /// The operator's list.
    #[default]
    Listed,
    /// It told by gossip.
    Gossip,
    /// Both of these.
    Both,
}

impl Known {
    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Listed => "listed",
            Self::Gossip => "gossip",
            Self::Both => "both",
        }
    }
}

/// One node of a pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolNodeRow {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoint's URL.
    pub endpoint: String,
    /// How the pool knows of it.
    pub known: Known,
    /// Its weight on the ring.
    pub weight: f64,
    /// It answers, or gossip says that it is there. Others are not chosen.
    pub available: bool,
    /// The operator takes it out of use: chosen only where there is no other.
    pub draining: bool,
    /// Why it is not chosen now though it is available, in words.
    pub excluded: Option<String>,
    /// Since when that is so, ms since the epoch.
    pub excluded_ms: Option<u64>,
    /// There is no report of it, or an old one: its score is the neutral one.
    pub stale: bool,
    /// Its newest report.
    pub figures: Option<Figures>,
    /// When that was received, by this node's clock, ms since the epoch.
    pub reported_ms: Option<u64>,
    /// The latency that counts, ms: its own word, or what was found, failures as long ones.
    pub latency_ms: f64,
    /// Its score; without terms while it is stale.
    pub score: Score,
    /// Part of its score that counts while it is new here.
    pub slow_start: f64,
    /// The chance that the next choice is this one.
    pub chance: f64,
    /// Its share of recent choices.
    pub chosen: f64,
    /// Its share of the ring.
    pub ring_share: f64,
    /// Contents that it holds, by its own word.
    pub holds: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Why it is as it is, in words; empty if there is nothing to say.
    pub why: String,
}

impl PoolNodeRow {
    /// How it stands.
    pub fn state(&self) -> NodeState {
        if !self.available {
            NodeState::Gone
        } else if self.draining {
            NodeState::Drained
        } else if self.excluded.is_some() {
            NodeState::Excluded
        } else if self.stale {
            NodeState::Stale
        } else if self.slow_start < 1.0 {
            NodeState::New
        } else {
            NodeState::Ok
        }
    }

    /// It is on the operator's list, and can be taken off it.
    pub fn is_listed(&self) -> bool {
        matches!(self.known, Known::Listed | Known::Both)
    }
}

/// A pool as one of its nodes sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolView {
    /// Its name, as in `pool:NAME`.
    pub name: String,
    /// Who chooses where nobody says.
    pub balancer: Balancer,
    /// Address of gossip; none: the list alone.
    pub gossip: Option<String>,
    /// What scores are made with.
    pub limits: Limits,
    /// Its nodes, by name.
    pub nodes: Vec<Arc<PoolNodeRow>>,
    /// Copies that were lost and that this node makes again, or is about to.
    pub moves: Vec<MoveRow>,
}

/// A copy that was lost and that this node makes again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveRow {
    /// The content's id.
    pub content: String,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Copies that there shall be.
    pub replicas: u32,
    /// Copies that are there, on nodes in use.
    pub live: u32,
    /// Nodes that have one; empty: nobody has, and nothing can be done.
    pub from: Vec<Arc<str>>,
    /// The transfer that makes it, once it has begun.
    pub transfer: Option<TransferId>,
    /// Seconds until it begins: its node may come back. None: it has begun.
    pub waits_s: Option<u64>,
}

/// A content that a node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holding {
    /// Its bytes.
    pub bytes: u64,
    /// Copies that the pool shall have; 0: it is no business of the pool.
    pub replicas: u32,
    /// Its name.
    pub name: String,
}

/// A node for the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolNode {
    /// Its name: as it calls itself.
    pub name: String,
    /// Its endpoint's URL.
    pub endpoint: String,
    /// Its weight on the ring; none: 1, or what it had.
    pub weight: Option<f64>,
}

/// Where a key belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// The key.
    pub key: String,
    /// XXH32 of it.
    pub hash: u32,
    /// The nodes that it belongs to, the first one first.
    pub nodes: Vec<Arc<str>>,
    /// How the ring comes to that: the nodes met clockwise with the point where each was met, and the next ones after them.
    pub way: Vec<Step>,
    /// Who answered.
    pub balancer: Balancer,
    /// Why these, in words.
    pub why: String,
}

/// A node met on the ring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// The point.
    pub point: u32,
    /// The node.
    pub node: Arc<str>,
    /// It was passed by, and why, in words.
    pub passed: Option<String>,
}

/// What follows when a node of a pool comes or goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moves {
    /// Share of the ring that has another owner.
    pub ring_share: f64,
    /// Coming: known keys that would belong to it; nothing that is there moves. Going: those copied again elsewhere.
    pub keys: u64,
    /// Bytes to copy for that, one copy of each.
    pub bytes: u64,
    /// Going: keys of which too few copies are left, and no node is there for another.
    pub short: u64,
    /// Going: contents that no other node has, and that are no business of the pool: nobody copies them.
    pub alone: u64,
    /// Contents that it tells it holds.
    pub holds: u64,
    /// It tells only a part of what it holds, or nothing: there may be more of all these.
    pub partial: bool,
    /// It would be off the list, and in the pool all the same: gossip tells of it.
    pub stays: bool,
}
