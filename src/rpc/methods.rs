//! The methods: what is behind each name of the table in [`super`].

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::server::ConnectionId;
use jsonrpsee::types::{ErrorObjectOwned, Params, SubscriptionId};
use jsonrpsee::{Extensions, RpcModule};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::call::{COMMANDS, from_object, known_only};
use super::errors::{invalid_params, to_wire};
use super::server::NodeInfoSource;
use super::subscription::{Registry, serve};
use crate::control::link::LinkRow;
use crate::control::queue::QueueState;
use crate::control::{CommandError, CommandErrorKind, Control, Focus, Snapshot, TransferId, TransferRow};
use crate::link::probe::endpoint;

/// How long `transfer.show` waits for details of a transfer that nobody looked at before.
const DETAIL_WAIT: Duration = Duration::from_millis(1_000);

/// Rows in one answer of `transfer.list`.
const MAX_LIST: usize = 5_000;

/// What the methods work on.
pub(super) struct Context {
    pub(super) control: Arc<dyn Control>,
    pub(super) info: Arc<dyn NodeInfoSource>,
    pub(super) registry: Arc<Registry>,
    pub(super) shutdown: CancellationToken,
}

impl Context {
    /// The newest snapshot.
    fn snapshot(&self) -> Arc<Snapshot> {
        self.control.view(Focus::default()).snapshots.borrow().clone()
    }

    /// The newest snapshot, with the details of `id` if they come in time.
    async fn snapshot_with(&self, id: TransferId) -> Arc<Snapshot> {
        let mut view = self.control.view(Focus { transfer: Some(id) });
        let shown = |snapshot: &Arc<Snapshot>| snapshot.details.contains_key(&id) || row(snapshot, id).is_none();
        // Either way the newest one is good: some transfers have no details yet.
        let _ = tokio::time::timeout(DETAIL_WAIT, view.snapshots.wait_for(shown)).await;
        view.snapshots.borrow().clone()
    }
}

type Answer<T> = Result<T, ErrorObjectOwned>;

/// All methods that answer once: what a POST can call.
pub(super) fn calls(context: &Arc<Context>) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(Arc::clone(context));
    for method in COMMANDS {
        module.register_async_method(method.name, move |params, context, _| async move {
            let large = matches!(method.name, "transfer.add" | "transfer.preview");
            let params = object(&params, if large { usize::MAX } else { super::MAX_REQUEST as usize })?;
            let command = method.command(params).map_err(invalid_params)?;
            context.control.command(command).await.map_err(to_wire)
        })?;
    }
    module.register_async_method("transfer.list", |params, context, _| async move { list(&params, &context) })?;
    module.register_async_method("transfer.show", |params, context, _| async move { show(&params, &context).await })?;
    module.register_async_method("swarm.bans", |params, context, _| async move {
        nothing(&params)?;
        Answer::Ok(json!(context.snapshot().bans))
    })?;
    module.register_async_method("node.info", |params, context, _| async move {
        nothing(&params)?;
        Answer::Ok(context.info.info())
    })?;
    module.register_async_method("node.snapshot", |params, context, _| async move {
        let SubscribeParams { focus } = read(&params, &["focus"])?;
        let snapshot = match focus.transfer {
            Some(id) => context.snapshot_with(id).await,
            None => context.snapshot(),
        };
        let mut snapshot = Snapshot::clone(&snapshot);
        snapshot.details.retain(|id, _| Some(*id) == focus.transfer);
        Answer::Ok(json!(snapshot))
    })?;
    module.register_async_method("transport.bandwidth.sync.queue", |params, context, _| async move {
        nothing(&params)?;
        let queue = context.snapshot().queue.clone();
        let mut object = json!(queue);
        (object["count"], object["total_queued_bytes"]) = (queue.count().into(), queue.bytes().into());
        Answer::Ok(object)
    })?;
    module.register_async_method("transport.bandwidth.sync.next", |params, context, _| async move {
        nothing(&params)?;
        let snapshot = context.snapshot();
        let at_work = |state| matches!(state, QueueState::Running | QueueState::Paused | QueueState::Parked);
        Answer::Ok(json!(snapshot.queue.rows.iter().find(|row| !at_work(row.state))))
    })?;
    module.register_async_method("pool.list", |params, context, _| async move {
        nothing(&params)?;
        Answer::Ok(json!(context.snapshot().pool))
    })?;
    module.register_async_method("transport.stats", |params, context, _| async move {
        nothing(&params)?;
        Answer::Ok(stats(&context.snapshot()))
    })?;
    module.register_async_method("transport.bandwidth.status", |params, context, _| async move {
        let EndpointParams { endpoint } = read(&params, &["endpoint"])?;
        Answer::Ok(json!({"links": links(&context.snapshot(), endpoint.as_deref())?}))
    })?;
    module.register_async_method("transport.quality", |params, context, _| async move {
        let EndpointParams { endpoint } = read(&params, &["endpoint"])?;
        let quality = |row: &Arc<LinkRow>| {
            json!({
                "endpoint": row.endpoint, "class": row.class, "why": row.why, "mode": row.params.mode,
                "bandwidth_mbps": row.median.bandwidth_mbps, "latency_ms": row.median.latency_ms,
                "jitter_ms": row.median.jitter_ms, "loss_percent": row.median.loss_percent,
                "samples": row.samples, "stale": row.stale, "measured_at": row.median.measured_at,
            })
        };
        let rows = links(&context.snapshot(), endpoint.as_deref())?;
        Answer::Ok(json!({"links": rows.iter().map(quality).collect::<Vec<_>>()}))
    })?;
    module.register_async_method("transport.config", |params, context, _| async move {
        nothing(&params)?;
        Answer::Ok(json!({"strategies": context.info.info().strategies, "link": context.info.links()}))
    })?;
    Ok(module)
}

/// What only a WebSocket can do.
pub(super) fn subscriptions(context: &Arc<Context>) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = calls(context)?;
    module.register_subscription(
        "node.subscribe",
        "node.snapshot",
        "node.unsubscribe",
        |params, pending, context, _| async move {
            match read::<SubscribeParams>(&params, &["focus"]) {
                Ok(SubscribeParams { focus }) => {
                    let (control, registry) = (Arc::clone(&context.control), Arc::clone(&context.registry));
                    serve(pending, control, registry, focus, context.shutdown.clone()).await;
                }
                Err(error) => pending.reject(error).await,
            }
        },
    )?;
    module.register_method("node.focus", |params, context, extensions| {
        let FocusParams { subscription, focus } = read(&params, &["subscription", "focus"])?;
        let found = match connection(extensions) {
            Some(connection) => context.registry.focus(connection, subscription_id(subscription)?, focus),
            None => false,
        };
        let missing = || CommandError::new(CommandErrorKind::NotFound, "no such subscription on this connection");
        if found { Ok(true) } else { Err(to_wire(missing())) }
    })?;
    Ok(module)
}

/// In place of what only a WebSocket can do: says so.
pub(super) fn no_subscriptions(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    for name in ["node.subscribe", "node.unsubscribe", "node.focus"] {
        module.register_method(name, |_, _, _| {
            let message = "subscriptions need a WebSocket on this path; node.snapshot works with POST";
            Answer::<()>::Err(to_wire(CommandError::new(CommandErrorKind::Invalid, message)))
        })?;
    }
    Ok(())
}

fn connection(extensions: &Extensions) -> Option<ConnectionId> {
    extensions.get::<ConnectionId>().copied()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SubscribeParams {
    focus: Focus,
}

#[derive(Deserialize)]
struct FocusParams {
    subscription: Value,
    focus: Focus,
}

/// A subscription's id as it came in the answer to `node.subscribe`: a number or a string.
fn subscription_id(value: Value) -> Answer<SubscriptionId<'static>> {
    match value {
        Value::String(text) => Ok(SubscriptionId::Str(text.into())),
        value => value.as_u64().map(SubscriptionId::Num).ok_or_else(|| invalid_params("`subscription`: not an id")),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListParams {
    after: Option<TransferId>,
    limit: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointParams {
    endpoint: Option<String>,
}

/// The link that was asked for, by any URL below its endpoint; of none, all.
fn links(snapshot: &Snapshot, asked: Option<&str>) -> Answer<Vec<Arc<LinkRow>>> {
    let Some(asked) = asked else { return Ok(snapshot.links.clone()) };
    let named = endpoint(asked).map_err(|error| invalid_params(format!("`endpoint`: {error}")))?;
    let missing = || CommandError::new(CommandErrorKind::NotFound, format!("{named} is not monitored"));
    let row = snapshot.links.iter().find(|row| row.endpoint == named).cloned();
    Ok(vec![row.ok_or_else(|| to_wire(missing()))?])
}

#[derive(Deserialize)]
struct ShowParams {
    id: TransferId,
}

fn list(params: &Params<'_>, context: &Context) -> Answer<Value> {
    let ListParams { after, limit } = read(params, &["after", "limit"])?;
    let snapshot = context.snapshot();
    let limit = limit.unwrap_or(MAX_LIST).min(MAX_LIST);
    let mut rows = snapshot.transfers.iter().filter(|row| after.is_none_or(|after| row.id > after));
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    Ok(json!({"transfers": page, "more": rows.next().is_some()}))
}

async fn show(params: &Params<'_>, context: &Context) -> Answer<Value> {
    let ShowParams { id } = read(params, &["id"])?;
    let snapshot = context.snapshot_with(id).await;
    let missing = || CommandError::new(CommandErrorKind::NotFound, format!("no such transfer: {id}"));
    let row = row(&snapshot, id).ok_or_else(|| to_wire(missing()))?;
    Ok(json!({"row": row, "detail": snapshot.details.get(&id)}))
}

fn row(snapshot: &Snapshot, id: TransferId) -> Option<&Arc<TransferRow>> {
    snapshot.transfers.iter().find(|row| row.id == id)
}

/// Figures alone: totals, and one object per transfer.
fn stats(snapshot: &Snapshot) -> Value {
    let figures = |row: &Arc<TransferRow>| {
        json!({
            "id": row.id, "name": row.name, "kind": row.kind, "strategy": row.strategy, "direction": row.direction,
            "from": row.from, "dest": row.dest, "state": row.state,
            "size": row.size, "done": row.done, "peers": row.peers,
            "rate_down": row.rate_down, "rate_up": row.rate_up,
            "bytes_down": row.bytes_down, "bytes_up": row.bytes_up, "wire_bytes": row.wire_bytes,
            "duration_s": row.duration_s,
        })
    };
    let counters = |row: &Arc<LinkRow>| {
        json!({
            "endpoint": row.endpoint, "class": row.class, "class_since_ms": row.class_since_ms, "changes": row.changes,
            "probes": row.probes, "probe_bytes": row.probe_bytes, "probe_budget": row.probe_budget,
            "probe_interval_ms": row.probe_interval_ms, "samples": row.samples, "stale": row.stale,
            "limit_up": row.limit_up, "limit_down": row.limit_down,
        })
    };
    let node = &snapshot.node;
    json!({
        "time_ms": snapshot.time_ms,
        "node": {
            "rate_down": node.rate_down, "rate_up": node.rate_up,
            "bytes_down": node.bytes_down, "bytes_up": node.bytes_up,
            "limit_down": node.limit_down, "limit_up": node.limit_up, "connections": node.connections,
        },
        "transfers": snapshot.transfers.iter().map(figures).collect::<Vec<_>>(),
        "links": snapshot.links.iter().map(counters).collect::<Vec<_>>(),
    })
}

/// The parameters as an object; none at all is an empty one.
fn object(params: &Params<'_>, max: usize) -> Answer<Map<String, Value>> {
    if params.len_bytes() > max {
        return Err(invalid_params(format!("parameters of more than {max} bytes: only transfer.add takes those")));
    }
    match params.parse::<Value>() {
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::Object(map)) => Ok(map),
        // What the libraries send where there are no parameters.
        Ok(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
        Ok(_) => Err(invalid_params("parameters go by name: params must be an object such as {\"id\": 3}")),
        Err(error) => Err(invalid_params(error.to_string())),
    }
}

fn read<T: DeserializeOwned>(params: &Params<'_>, known: &[&str]) -> Answer<T> {
    let params = object(params, super::MAX_REQUEST as usize)?;
    known_only(&params, known).and_then(|()| from_object(params)).map_err(invalid_params)
}

fn nothing(params: &Params<'_>) -> Answer<()> {
    let params = object(params, super::MAX_REQUEST as usize)?;
    known_only(&params, &[]).map_err(invalid_params)
}
