//! What is asked for when a transfer is to begin: a fetch, a share, a push.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::pool::Balancer;

/// A rate limit in bytes per second; `None` is unlimited.
pub type Rate = Option<u64>;

/// In which order pieces are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceOrder {
    /// The piece that the fewest peers have, first.
    #[default]
    Rarest,
    /// From the first to the last.
    Sequential,
    /// Any.
    Random,
}

/// What to do if the name where a content should appear is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExisting {
    /// Use it if it is that content already, else refuse.
    #[default]
    Refuse,
    /// Mend it in place: keep the pieces that are right, fetch the others.
    Repair,
}

/// A transfer to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddTransfer {
    /// A `skep://` link, a manifest or Metalink URL; empty if `document` is given.
    pub link: String,
    /// A manifest or Metalink itself, where the link was a local file.
    pub document: Option<String>,
    /// The folder where it shall appear, absolute; the node's root if none.
    #[serde(with = "super::path::optional")]
    pub dir: Option<PathBuf>,
    /// More peers (endpoint URLs).
    pub peers: Vec<String>,
    /// More trackers (URLs).
    pub trackers: Vec<String>,
    /// Order of pieces.
    pub order: PieceOrder,
    /// Goes on seeding when complete.
    pub seed: bool,
    /// If the name is taken.
    pub on_existing: OnExisting,
    /// Limits for this transfer alone.
    pub up: Rate,
    /// Limits for this transfer alone.
    pub down: Rate,
    /// Starts paused.
    pub paused: bool,
}

/// A path to make available.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShareRequest {
    /// File or folder, absolute.
    #[serde(with = "super::path")]
    pub path: PathBuf,
    /// Bytes per piece; chosen by size if none.
    pub piece_length: Option<u64>,
    /// Trackers to announce to beside this node.
    pub trackers: Vec<String>,
    /// Stop seeding at this ratio of bytes up to size.
    pub ratio: Option<f64>,
    /// Stop seeding after this many seconds.
    pub seconds: Option<u64>,
    /// Limits for this transfer alone.
    pub up: Rate,
    /// Limits for this transfer alone.
    pub down: Rate,
}

/// Which way a push goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendStrategy {
    /// What changed of a file that may be replaced, where that pays; else one path that answers: chunked; more: multipath.
    #[default]
    Auto,
    /// What changed of a file, if an older version of it is there; else as [`Self::Auto`].
    Delta,
    /// Over one path.
    Chunked,
    /// Over all paths at once.
    Multipath,
}

/// What the receiver shall do if the name is taken there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnTaken {
    /// Refuse the push before a byte is sent.
    #[default]
    Refuse,
    /// Replace what stands there, at once and only when everything is there.
    Overwrite,
    /// Choose another name.
    KeepBoth,
}

/// How much a push or a sync matters: its place in the queue, and the priority of its transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityClass {
    /// Before everything else.
    Critical,
    /// Changes of a schema that other data needs.
    SchemaChange,
    /// Soon.
    High,
    /// In its turn.
    #[default]
    Normal,
    /// After what is used at once.
    Analytics,
    /// When nothing else waits.
    Background,
}

impl PriorityClass {
    /// All of them, by their number: critical 0, background 5.
    pub const ALL: [Self; 6] =
        [Self::Critical, Self::SchemaChange, Self::High, Self::Normal, Self::Analytics, Self::Background];

    /// Its number, 0 to 5.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::SchemaChange => "schema_change",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Analytics => "analytics",
            Self::Background => "background",
        }
    }

    /// The transfer's priority that it stands for, -9 to 9.
    pub fn priority(self) -> i8 {
        match self {
            Self::Critical => 9,
            Self::SchemaChange => 6,
            Self::High => 3,
            Self::Normal => 0,
            Self::Analytics => -3,
            Self::Background => -6,
        }
    }
}

/// A file or tree to push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SendRequest {
    /// File or folder, absolute.
    #[serde(with = "super::path")]
    pub path: PathBuf,
    /// `http(s)://HOST:PORT/DIR/` or `…/NAME` under the receiver's root; or `pool:NAME`.
    pub dest: String,
    /// More endpoints of the same receiver: `URL`, or `URL,via=IFACE|ADDR`.
    pub paths: Vec<String>,
    /// Interfaces or addresses to leave by: every endpoint without its own is used over each of them.
    pub via: Vec<String>,
    /// Which way.
    pub strategy: SendStrategy,
    /// If the name is taken.
    pub on_taken: OnTaken,
    /// Bytes per segment; chosen by size if none.
    pub segment_length: Option<u64>,
    /// Compress what is sent; where the link is slow if none.
    pub compress: Option<bool>,
    /// How much it matters; as it was, or normal, if none.
    pub priority: Option<PriorityClass>,
    /// Copies on different nodes, where it goes to a pool; 2 if none.
    pub replicas: Option<u32>,
    /// Who says on which nodes; the pool's own balancer if none.
    pub balancer: Option<Balancer>,
    /// Limits for this transfer alone.
    pub up: Rate,
    /// Limits for this transfer alone.
    pub down: Rate,
}

impl SendRequest {
    /// The name of the pool that it goes to, where it goes to one.
    pub fn pool(&self) -> Option<&str> {
        self.dest.strip_prefix("pool:")
    }
}
