//! The two types that cross between what moves data and what shows it: a [`Command`] goes down,
//! a [`Snapshot`] comes up.
//!
//! Both serialise, so the same two cross a channel (a node in this process), a WebSocket (an
//! attached node) or a file (a recording). [`Control`] is the seam: the engine implements it, so
//! does the RPC client, and neither console nor commands can tell which they hold.
//!
//! Rates are bytes per second, sizes bytes, times milliseconds since the Unix epoch.

mod command;
mod detail;
pub mod link;
mod path;
pub mod pool;
mod preview;
mod push;
pub mod queue;
mod request;
mod snapshot;
pub mod sync;
mod work;

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;

pub use command::{Command, CommandError, CommandErrorKind, Kept, Reply, TransferId};
pub use detail::{Bits, PeerRow, PeerState, TrackerRow, TransferDetail};
pub use preview::Preview;
pub use push::{
    DeltaPhase, DeltaRow, InterfaceRow, PathChange, PathChoice, PathChoices, PathPreview, PathRow, PathState,
};
pub use request::{
    AddTransfer, OnExisting, OnTaken, PieceOrder, PriorityClass, Rate, SendRequest, SendStrategy, ShareRequest,
};
pub use snapshot::{
    BanRow, Direction, LogLevel, LogLine, NodeInfo, NodeRow, Snapshot, StrategyRow, TransferKind, TransferRow,
    TransferState,
};

pub use sync::{SyncPlan, SyncRequest};
pub use work::{DeltaMap, MAX_CELLS, Phase, PhaseRow};

/// What a viewer looks at: details are published only for this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Focus {
    /// The transfer whose pieces and peers are wanted.
    pub transfer: Option<TransferId>,
}

/// How a viewer stands to the node that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// In this process, or connected.
    Live,
    /// The connection was lost; what is shown is old.
    Lost {
        /// Why, in words.
        error: String,
        /// Attempts to get it back so far.
        attempts: u32,
        /// When the next attempt comes, ms since the epoch.
        retry_at_ms: u64,
    },
}

/// A viewer's end: the newest snapshot, and what it looks at. Dropping it ends the view.
#[derive(Debug)]
pub struct View {
    /// The newest snapshot; older ones that nobody looked at are dropped.
    pub snapshots: watch::Receiver<std::sync::Arc<Snapshot>>,
    /// Set this to what is on screen.
    pub focus: watch::Sender<Focus>,
    /// Live or lost.
    pub connection: watch::Receiver<Connection>,
}

/// A boxed future, as object-safe async methods need.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that takes commands and shows snapshots.
pub trait Control: Send + Sync + 'static {
    /// Carries out a command; resolves when the engine has accepted or refused it, not when the
    /// work it starts is done.
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Reply, CommandError>>;

    /// Starts a view with this focus.
    fn view(&self, focus: Focus) -> View;

    /// Where it is, in words for the header: `embedded` or a URL.
    fn target(&self) -> String;

    /// True if commands end with the viewer's process (an embedded node).
    fn is_embedded(&self) -> bool;
}
