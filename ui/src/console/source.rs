//! The node as a source of events: snapshots and the state of the connection.
//!
//! The watch channels below hold only the newest value, so a console that draws slowly sees fewer
//! snapshots, never older ones, and nothing piles up.

use std::sync::Arc;

use skep_engine::control::{Connection, Focus, Snapshot, View};

/// A view being watched.
#[derive(Debug)]
pub struct Source {
    view: View,
    gone: bool,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is a newer snapshot.
    Snapshot,
    /// The connection changed.
    Connection,
}

impl Source {
    /// Watches a view.
    pub fn new(view: View) -> Self {
        Self { view, gone: false }
    }

    /// Waits for a change; for ever once the other end is gone. Cancelling it loses nothing.
    pub async fn changed(&mut self) -> Change {
        if self.gone {
            return std::future::pending().await;
        }
        let result = tokio::select! {
            changed = self.view.snapshots.changed() => changed.map(|()| Change::Snapshot),
            changed = self.view.connection.changed() => changed.map(|()| Change::Connection),
        };
        result.unwrap_or_else(|_| {
            self.gone = true;
            Change::Connection
        })
    }

    /// The newest snapshot.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        Arc::clone(&self.view.snapshots.borrow_and_update())
    }

    /// How the viewer stands to the node; lost for good once the other end is gone.
    pub fn connection(&mut self) -> Connection {
        if self.gone {
            return Connection::Lost { error: "the node has stopped".to_owned(), attempts: 0, retry_at_ms: 0 };
        }
        self.view.connection.borrow_and_update().clone()
    }

    /// Tells the engine what is looked at.
    pub fn focus(&self, focus: Focus) {
        self.view.focus.send_if_modified(|old| {
            let changed = *old != focus;
            *old = focus;
            changed
        });
    }
}
