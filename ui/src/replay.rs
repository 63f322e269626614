//! What stands where a node would, while a recording is played: nothing comes from it, and it does nothing.

use std::sync::Arc;

use skep_engine::control::{
    BoxFuture, Command, CommandError, CommandErrorKind, Connection, Control, Focus, Reply, Snapshot, View,
};
use tokio::sync::watch;

/// No node.
pub struct NoNode {
    target: String,
    snapshots: watch::Sender<Arc<Snapshot>>,
    connection: watch::Sender<Connection>,
}

impl NoNode {
    /// `target` is what the recording is called.
    pub fn new(target: String) -> Self {
        Self { target, snapshots: watch::Sender::default(), connection: watch::Sender::new(Connection::Live) }
    }
}

impl Control for NoNode {
    fn command(&self, _: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
        let error = CommandError::new(CommandErrorKind::Refused, "this is a recording: nothing can be changed");
        Box::pin(std::future::ready(Err(error)))
    }

    fn view(&self, focus: Focus) -> View {
        let (snapshots, connection) = (self.snapshots.subscribe(), self.connection.subscribe());
        View { snapshots, focus: watch::Sender::new(focus), connection }
    }

    fn target(&self) -> String {
        self.target.clone()
    }

    fn is_embedded(&self) -> bool {
        false
    }
}
