//! The other end: a node elsewhere behind the same [`Control`] as an engine in this process.
//!
//! One task holds the WebSocket and gets it back when it breaks; one task per view subscribes on
//! it, puts snapshots together, and subscribes anew after a reconnect. Everything that comes from
//! the node is data: sizes are capped, and text is made printable before anybody shows it.

mod link;
mod post;
mod target;
mod view;

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::ClientT;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::call::from_command;
use super::errors::{from_wire, readable};
use crate::control::{
    BoxFuture, Command, CommandError, CommandErrorKind, Connection, Control, Focus, NodeInfo, Reply, Snapshot, View,
};
use link::{Link, supervise};
use target::Target;

pub use target::RemoteError;

/// How long a call may take: adding may mean fetching a manifest first.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests above this go by POST, which takes larger ones than a WebSocket.
const LARGE: usize = (super::MAX_REQUEST - (64 << 10)) as usize;

/// A node elsewhere. Cheap to clone; the connection ends with the last clone and view.
#[derive(Debug, Clone)]
pub struct RemoteControl {
    shared: Arc<Shared>,
}

/// What the handles and the views of one node share.
#[derive(Debug)]
struct Shared {
    target: Target,
    link: watch::Receiver<Link>,
    _guard: DropGuard,
}

impl RemoteControl {
    /// Starts connecting to the node at `url` (`http://host:port`) and returns at once; whether it
    /// worked is in every view's [`Connection`]. Gets a lost connection back by itself. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// The URL is none, or asks for TLS.
    pub fn connect(url: &str, token: Option<String>) -> Result<Self, RemoteError> {
        let target = Target::parse(url, token)?;
        let (sender, link) = watch::channel(Link::Connecting);
        let cancel = CancellationToken::new();
        tokio::spawn(cancel.clone().run_until_cancelled_owned(supervise(target.clone(), sender)));
        Ok(Self { shared: Arc::new(Shared { target, link, _guard: cancel.drop_guard() }) })
    }

    /// Like [`connect`](Self::connect), but waits for the first attempt, for commands that have no
    /// use for a node that is not there.
    ///
    /// # Errors
    /// Why it cannot be reached, or does not let us in.
    pub async fn connect_once(url: &str, token: Option<String>) -> Result<Self, RemoteError> {
        let control = Self::connect(url, token)?;
        control.ready().await?;
        Ok(control)
    }

    /// Waits until it is known whether the node can be reached.
    ///
    /// # Errors
    /// Why it cannot be reached, or does not let us in.
    pub async fn ready(&self) -> Result<(), RemoteError> {
        self.shared.client().await.map(drop)
    }

    /// Calls any method of the node (the table in [`rpc`](super)).
    ///
    /// # Errors
    /// The node's refusal, or [`CommandErrorKind::Unavailable`] if it cannot be reached.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Map<String, Value>) -> Result<T, CommandError> {
        let client = self.shared.client().await.map_err(|error| unavailable(&error.to_string()))?;
        client.request(method, params).await.map_err(|error| refusal(&self.shared.target, &error))
    }

    /// `node.info`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn info(&self) -> Result<NodeInfo, CommandError> {
        self.call("node.info", Map::new()).await
    }

    async fn carry_out(&self, command: Command) -> Result<Reply, CommandError> {
        let large = matches!(&command, Command::Add(add) | Command::Preview(add) if add.document.as_ref().is_some_and(|text| text.len() > LARGE / 2));
        let (method, params) = from_command(&command)?;
        // The command is no longer needed, and may be large.
        drop(command);
        if large { post::call(&self.shared.target, method, params).await } else { self.call(method, params).await }
    }
}

impl Control for RemoteControl {
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
        Box::pin(self.carry_out(command))
    }

    fn view(&self, focus: Focus) -> View {
        let (snapshot_sender, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let (focus_sender, focus_receiver) = watch::channel(focus);
        let first = self.shared.link.borrow().connection().unwrap_or_else(link::connecting);
        let (connection_sender, connection) = watch::channel(first);
        let outlet = view::Outlet { snapshots: snapshot_sender, connection: connection_sender };
        tokio::spawn(view::run(Arc::clone(&self.shared), focus_receiver, outlet));
        View { snapshots, focus: focus_sender, connection }
    }

    fn target(&self) -> String {
        self.shared.target.shown()
    }

    fn is_embedded(&self) -> bool {
        false
    }
}

impl Shared {
    /// The connection, once it is known whether there is one.
    async fn client(&self) -> Result<Arc<link::Client>, RemoteError> {
        let mut link = self.link.clone();
        let known = link.wait_for(|link| !matches!(link, Link::Connecting)).await;
        match known.as_deref() {
            Ok(Link::Up(client)) => Ok(Arc::clone(client)),
            Ok(Link::Down { error, .. }) => Err(error.clone()),
            _ => Err(RemoteError::Unreachable { target: self.target.shown(), reason: "shutting down".into() }),
        }
    }
}

fn unavailable(message: &str) -> CommandError {
    CommandError::new(CommandErrorKind::Unavailable, readable(message))
}

/// An error of a call as a refusal.
fn refusal(target: &Target, error: &ClientError) -> CommandError {
    match error {
        ClientError::Call(error) => from_wire(error),
        ClientError::RequestTimeout => {
            unavailable(&format!("{}: no answer within {} s", target.shown(), CALL_TIMEOUT.as_secs()))
        }
        ClientError::ParseError(error) => unavailable(&format!(
            "{}: an answer that this version does not understand ({error}); compare the versions of both ends",
            target.shown()
        )),
        error => unavailable(&format!("{}: the connection was lost ({error})", target.shown())),
    }
}

impl From<RemoteError> for CommandError {
    fn from(error: RemoteError) -> Self {
        let kind = match error {
            RemoteError::Url { .. } | RemoteError::Tls { .. } => CommandErrorKind::Invalid,
            RemoteError::Refused { .. } => CommandErrorKind::Refused,
            RemoteError::Unreachable { .. } => CommandErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

/// What a view shows when its link is like this.
impl Link {
    fn connection(&self) -> Option<Connection> {
        match self {
            Self::Up(_) | Self::Connecting => None,
            Self::Down { error, attempts, retry_at_ms } => {
                Some(Connection::Lost { error: error.to_string(), attempts: *attempts, retry_at_ms: *retry_at_ms })
            }
        }
    }
}
