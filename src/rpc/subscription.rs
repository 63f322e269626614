//! `node.subscribe`: carries snapshots to a viewer as deltas, no faster than it reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jsonrpsee::server::{ConnectionId, PendingSubscriptionSink, SubscriptionSink};
use jsonrpsee::types::SubscriptionId;
use serde_json::value::to_raw_value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::delta::Encoder;
use super::pacer::Pacer;
use crate::control::{Control, Focus, View};

type Key = (ConnectionId, SubscriptionId<'static>);

/// The subscriptions that run, so that `node.focus` finds them. A connection reaches only its own.
#[derive(Debug, Default)]
pub(super) struct Registry {
    running: Mutex<HashMap<Key, watch::Sender<Focus>>>,
}

impl Registry {
    /// Changes what a subscription looks at; false if there is none of that id.
    pub(super) fn focus(&self, connection: ConnectionId, id: SubscriptionId<'static>, focus: Focus) -> bool {
        match self.lock().get(&(connection, id)) {
            Some(sender) => {
                sender.send_if_modified(|old| std::mem::replace(old, focus) != focus);
                true
            }
            None => false,
        }
    }

    fn enter(self: &Arc<Self>, key: Key, focus: watch::Sender<Focus>) -> Entry {
        self.lock().insert(key.clone(), focus);
        Entry { registry: Arc::clone(self), key }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<Focus>>> {
        // Nothing that can panic happens under the lock.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the registry when it is dropped.
struct Entry {
    registry: Arc<Registry>,
    key: Key,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
    }
}

/// Serves one subscription until either side ends it.
pub(super) async fn serve(
    pending: PendingSubscriptionSink,
    control: Arc<dyn Control>,
    registry: Arc<Registry>,
    focus: Focus,
    shutdown: CancellationToken,
) {
    let view = control.view(focus);
    // Before the viewer learns the id, so that it cannot come too early.
    let _entry = registry.enter((pending.connection_id(), pending.subscription_id()), view.focus.clone());
    let Ok(sink) = pending.accept().await else { return };
    tokio::select! {
        () = sink.closed() => {}
        () = shutdown.cancelled() => {}
        () = feed(&sink, view) => {}
    }
}

/// Sends until the engine ends or the viewer is gone.
async fn feed(sink: &SubscriptionSink, mut view: View) {
    let mut focus = view.focus.subscribe();
    let mut encoder = Encoder::default();
    let mut pacer = Pacer::new(Instant::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(pacer.ready_at().into()) => {}
            Ok(()) = focus.changed() => {
                pacer.on_focus(Instant::now());
                continue;
            }
        }
        // What is still queued for this connection would only make the next message old.
        if sink.capacity() < sink.max_capacity() {
            if pacer.on_full(Instant::now()) {
                tracing::debug!("a viewer that reads nothing is given up");
                return;
            }
            continue;
        }
        let snapshot = view.snapshots.borrow_and_update().clone();
        let looks_at = *view.focus.borrow();
        while let Some(delta) = encoder.next(&snapshot, looks_at) {
            let Ok(message) = to_raw_value(&delta) else { return };
            if sink.send(message).await.is_err() {
                return;
            }
            pacer.on_sent(Instant::now());
            if !delta.more {
                break;
            }
        }
        if encoder.is_behind() {
            continue;
        }
        tokio::select! {
            changed = view.snapshots.changed() => if changed.is_err() { return },
            Ok(()) = focus.changed() => pacer.on_focus(Instant::now()),
        }
    }
}
