//! Getting hold of another node, beside the loop.

use std::sync::Arc;

use skep_engine::control::Control;
use tokio::task::JoinHandle;

use crate::console::targets::Switchboard;

/// Which node was asked for, the way to it and whether it may only be looked at; or why there is none.
pub(super) type Opened = Result<(usize, Arc<dyn Control>, bool), String>;

/// At most one node is asked for at a time; the last one counts.
pub(super) struct Switching {
    board: Option<Arc<dyn Switchboard>>,
    task: Option<JoinHandle<Opened>>,
}

impl Switching {
    pub(super) fn new(board: Option<Arc<dyn Switchboard>>) -> Self {
        Self { board, task: None }
    }

    pub(super) fn start(&mut self, at: usize) {
        let Some(board) = self.board.clone() else { return };
        // Token files are read.
        self.task = Some(tokio::task::spawn_blocking(move || {
            let read_only = board.targets().get(at).is_some_and(|target| target.read_only);
            board.open(at).map(|control| (at, control, read_only))
        }));
    }

    /// Waits for the node that was asked for; for ever if none was. Cancelling it loses nothing.
    pub(super) async fn opened(&mut self) -> Opened {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let opened = task.await.unwrap_or_else(|error| Err(format!("the node could not be opened: {error}")));
        self.task = None;
        opened
    }
}
