//! One view of a remote node: subscribes, follows the focus, puts snapshots together.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::{ClientT, Subscription, SubscriptionClientT, SubscriptionKind};
use jsonrpsee::types::SubscriptionId;
use serde_json::{Map, json};
use tokio::sync::watch;

use super::link::{Client, Link};
use super::{Shared, refusal};
use crate::control::{BoxFuture, Connection, Focus, Snapshot};
use crate::rpc::delta::{SnapshotDelta, apply, clean};

/// Before subscribing again on a connection that works, where the node said no.
const PAUSE: Duration = Duration::from_secs(2);

/// What the viewer holds the other ends of.
pub(super) struct Outlet {
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(super) connection: watch::Sender<Connection>,
}

impl Outlet {
    fn is(&self, connection: Connection) {
        self.connection.send_if_modified(|old| {
            let differs = *old != connection;
            *old = connection;
            differs
        });
    }
}

/// Runs until the viewer is gone.
///
/// Never cancelled from outside: a subscription that is dropped before its answer has come would
/// stay alive on the node.
pub(super) async fn run(shared: Arc<Shared>, mut focus: watch::Receiver<Focus>, outlet: Outlet) {
    let mut link = shared.link.clone();
    while !outlet.snapshots.is_closed() {
        let state = link.borrow_and_update().clone();
        let mut pause = Duration::MAX;
        if let Link::Up(client) = &state {
            let error = subscribed(&shared, client, &mut focus, &outlet).await;
            if client.is_connected() && !outlet.snapshots.is_closed() {
                pause = PAUSE;
                let retry_at = SystemTime::now() + pause;
                let retry_at_ms = retry_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
                outlet.is(Connection::Lost { error, attempts: 1, retry_at_ms });
            }
        } else if let Some(connection) = state.connection() {
            outlet.is(connection);
        }
        drop(state);
        tokio::select! {
            () = outlet.snapshots.closed() => return,
            () = tokio::time::sleep(pause) => {}
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

/// One subscription, to its end: says why it ended.
async fn subscribed(shared: &Shared, client: &Client, focus: &mut watch::Receiver<Focus>, outlet: &Outlet) -> String {
    let params = focus_params(*focus.borrow_and_update());
    let subscribing = client.subscribe::<SnapshotDelta, _>("node.subscribe", params, "node.unsubscribe");
    let mut subscription: Subscription<SnapshotDelta> = match subscribing.await {
        Ok(subscription) => subscription,
        Err(error) => return refusal(&shared.target, &error).message,
    };
    let SubscriptionKind::Subscription(id) = subscription.kind().clone() else {
        return "the node answers with no subscription".into();
    };
    let mut snapshot = Snapshot::default();
    // At most one change of focus is on its way; the newest follows it.
    let mut moving: Option<BoxFuture<'_, Result<bool, ClientError>>> = None;
    loop {
        tokio::select! {
            () = outlet.snapshots.closed() => return "the viewer is gone".into(),
            message = subscription.next() => {
                let mut delta = match message {
                    Some(Ok(delta)) => delta,
                    Some(Err(error)) => {
                        return format!("the node sends what this version does not understand ({error})");
                    }
                    None => return "the subscription ended".into(),
                };
                let more = delta.more;
                clean(&mut delta);
                if let Err(error) = apply(&mut snapshot, delta) {
                    return error.to_string();
                }
                if !more {
                    outlet.snapshots.send_replace(Arc::new(snapshot.clone()));
                    outlet.is(Connection::Live);
                }
            }
            Ok(()) = focus.changed(), if moving.is_none() => {
                let params = refocus_params(&id, *focus.borrow_and_update());
                moving = Some(Box::pin(client.request("node.focus", params)));
            }
            Some(done) = async { Some(moving.as_mut()?.await) }, if moving.is_some() => {
                moving = None;
                if let Err(error) = done {
                    return refusal(&shared.target, &error).message;
                }
            }
        }
    }
}

fn refocus_params(id: &SubscriptionId<'static>, focus: Focus) -> Map<String, serde_json::Value> {
    let mut params = focus_params(focus);
    params.insert("subscription".into(), json!(id));
    params
}

fn focus_params(focus: Focus) -> Map<String, serde_json::Value> {
    Map::from_iter([("focus".to_owned(), json!(focus))])
}
