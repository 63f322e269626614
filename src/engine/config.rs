//! How an engine is set up, and why it may not start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::control::Rate;
use crate::link::{LinkConfig, Misplaced};
use crate::log::Logs;
use crate::node::NodeError;
use crate::pool::PoolConfig;
use crate::push::retry::Pace;
use crate::queue::links::Links;
use crate::queue::priority;
use crate::schedule::Schedule;
use crate::store::StateError;
use crate::swarm::{ClientError, InFlight};
use crate::upload::{UploadError, UploadLimits};

/// Limits of a node; the defaults are those of the specification.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// Transfers that move bytes at once.
    pub max_transfers: usize,
    /// Peers of a content that are served at once, beside one optimistic slot.
    pub upload_slots: u32,
    /// Pieces in flight.
    pub in_flight: InFlight,
    /// Time for one piece.
    pub piece_timeout: Duration,
    /// Bytes per second up, of the whole node.
    pub up: Rate,
    /// Bytes per second down, of the whole node.
    pub down: Rate,
    /// Limits at certain times or on certain links.
    pub schedule: Schedule,
    /// Connections to the server.
    pub max_connections: usize,
    /// What unfinished uploads of others may take.
    pub uploads: UploadLimits,
    /// Operations that wait, and how they age.
    pub queue: priority::Limits,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_transfers: 10,
            upload_slots: 4,
            in_flight: InFlight::Auto,
            piece_timeout: Duration::from_secs(30),
            up: None,
            down: None,
            schedule: Schedule::default(),
            max_connections: 1024,
            uploads: UploadLimits::default(),
            queue: priority::Limits::default(),
        }
    }
}

/// How an engine is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// Holds the state database, the token, the note for other processes.
    pub state_dir: PathBuf,
    /// Where fetched contents appear unless told otherwise.
    pub root: PathBuf,
    /// Shown to others.
    pub name: String,
    /// Where the server listens; port 0 takes any.
    pub listen: SocketAddr,
    /// A token shared with other nodes; needed to listen on more than loopback.
    pub token: Option<String>,
    /// Data can be read without a token, also from outside loopback.
    pub public: bool,
    /// Trackers for everything.
    pub trackers: Vec<String>,
    /// Nodes that are asked for everything.
    pub join: Vec<String>,
    /// Limits.
    pub limits: EngineLimits,
    /// Peers are trusted: nobody is choked.
    pub trusted: bool,
    /// The process's log; the engine keeps a ring of its own lines for viewers.
    pub logs: Logs,
    /// File that holds `token`, for local commands to find.
    pub token_file: Option<PathBuf>,
    /// Goes on with the transfers that were at work when the last node on this state folder ended.
    pub resume: bool,
    /// URL under which others reach this node, `http(s)://HOST:PORT`, where it differs from the listening address
    /// (behind a forwarded port or a relay).
    pub advertise: Option<String>,
    /// How fast the waits between tries of a push pass; for tests.
    pub pace: Pace,
    /// How links are measured and judged.
    pub link: LinkConfig,
    /// Its pool.
    pub pool: PoolConfig,
    /// Who knows what the links allow the queue; none: the node's own monitors.
    pub links: Option<Arc<dyn Links>>,
}

impl EngineConfig {
    /// A node on loopback with defaults.
    pub fn new(state_dir: PathBuf, root: PathBuf) -> Self {
        Self {
            state_dir,
            root,
            name: "skep".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            public: false,
            trackers: Vec::new(),
            join: Vec::new(),
            limits: EngineLimits::default(),
            trusted: false,
            logs: Logs::default(),
            token_file: None,
            resume: true,
            advertise: None,
            pace: Pace::default(),
            link: LinkConfig::default(),
            pool: PoolConfig::default(),
            links: None,
        }
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process runs on the state folder.
    #[error("a node (process {pid}, {url}) already runs on {state_dir:?}: attach to it, or use another --state-dir")]
    Busy {
        /// Its process.
        pid: u32,
        /// Its URL.
        url: String,
        /// The folder.
        state_dir: PathBuf,
    },
    /// A folder cannot be used.
    #[error("cannot use the {what} folder {path:?}: {source}")]
    Folder {
        /// `state` or `root`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// What others pushed here cannot be taken up again.
    #[error("cannot take up uploads: {0}")]
    Uploads(#[from] UploadError),
    /// The server cannot listen.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// More than loopback, and nothing that guards it.
    #[error(
        "refusing to listen on {0}, which others can reach, without a token: give one with --token-file (others need \
         the same), or use 127.0.0.1"
    )]
    NoToken(SocketAddr),
    /// Links cannot be measured or judged as configured.
    #[error("link.{0}")]
    Link(#[from] Misplaced),
    /// The token cannot be used.
    #[error("the token cannot be used: {0}")]
    Token(String),
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The pool cannot be taken up.
    #[error("cannot take up the pool: {0}")]
    Pool(String),
}
