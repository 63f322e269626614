//! Carrying out commands: each ends in an order to the task of a transfer, or a new transfer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::publisher::Publisher;
use super::queueing::Queueing;
use super::services::Services;
use super::shared::{Limits, Shared};
use super::steer::paths_at_rest;
use super::strategy::Strategies;
use super::transfer::{Order, TransferTask};
use crate::clock::unix_ms;
use crate::content::ContentId;
use crate::content::name::printable;
use crate::control::queue::Operation;
use crate::control::{
    Command, CommandError, CommandErrorKind, Direction, Kept, Reply, TransferId, TransferKind, TransferRow,
    TransferState,
};
use crate::log::Logs;
use crate::store::{JobRecord, Phase, StateError, TransferRecord};
use crate::swarm::bans;
use crate::throttle::Throttle;

/// Orders that may wait for a transfer's task.
const ORDERS: usize = 16;
/// Transfers a node keeps, finished ones included.
const MAX_TRANSFERS: usize = 10_000;

/// The engine behind its handle.
pub(super) struct Core {
    pub services: Arc<Services>,
    pub publisher: Arc<Publisher>,
    pub strategies: Arc<Strategies>,
    pub logs: Logs,
    /// Every task of the engine runs in it, so that its log lines find their ring.
    pub span: Span,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
    pub handles: Mutex<BTreeMap<TransferId, Handle>>,
    pub queueing: Queueing,
    /// Held while a transfer is looked for and added.
    pub adding: tokio::sync::Mutex<()>,
}

/// How to reach a transfer's task.
#[derive(Clone)]
pub(super) struct Handle {
    pub shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
}

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

pub(super) fn internal(e: &StateError) -> CommandError {
    error(CommandErrorKind::Internal, e.to_string())
}

/// Works on the state off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, CommandError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(StateError::Task(e.to_string()))).map_err(|e| internal(&e))
}

impl Core {
    pub(super) async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        if self.shutdown.is_cancelled() {
            return Err(error(CommandErrorKind::Internal, "the node is stopping"));
        }
        match command {
            Command::Add(request) => self.add(request).await,
            Command::Share(request) => self.share(request).await,
            Command::Send(request) => self.start(Operation::Send(request)).await,
            Command::PreviewSend(request) => self.preview_send(request).await.map(Reply::Preview),
            Command::Interfaces => super::interfaces::list().await,
            Command::Sync(request) => self.start(Operation::Sync(request)).await,
            Command::PreviewSync(request) => self.preview_sync(request).await,
            Command::Enqueue { operation, class } => self.enqueue(operation, class).await,
            Command::SetClass { ids, class } => self.set_class(ids, class).await,
            Command::MoveQueued { id, to } => self.move_queued(id, to).await,
            Command::RetryQueued { ids } => self.retry_queued(ids).await,
            Command::PurgeQueue(request) => self.purge_queue(request).await,
            Command::SetPath { id, path, enabled, weight } => self.set_path(id, &path, enabled, weight).await,
            Command::Preview(request) => self.preview_add(&request).await.map(Reply::Preview),
            Command::PreviewShare(request) => self.preview_share(&request).await.map(Reply::Preview),
            Command::Pause { ids } => {
                self.refuse_received(&ids, "its sender decides when bytes come; `skep cancel` stops it for good")?;
                self.order(&ids, |_| Order::Pause).await
            }
            Command::Resume { ids } => {
                self.refuse_received(&ids, "its sender decides when it goes on")?;
                self.order(&ids, |_| Order::Resume).await
            }
            Command::Cancel { ids } => self.cancel(&ids).await,
            Command::Verify { ids } => {
                self.refuse_received(&ids, "it is verified before it gets its name")?;
                self.order(&ids, |_| Order::Verify).await
            }
            Command::Remove { ids, data } => self.remove(&ids, data).await,
            Command::Limit { id, up, down } => {
                let why = "only the node's limit holds for it: `skep limit --down RATE`";
                self.refuse_received(id.as_slice(), why)?;
                self.limit(id, up, down).await
            }
            Command::Prioritise { ids, priority } => {
                self.refuse_received(&ids, "it waits for no turn here")?;
                self.prioritise(&ids, priority).await
            }
            Command::Move { id, up } => {
                self.refuse_received(&[id], "it waits for no turn here")?;
                self.move_in_queue(id, up).await
            }
            Command::Ban { peer } => {
                if !bans::is_endpoint(&peer) {
                    let what = format!("{peer:?} is no peer: HOST:PORT or the URL of its node");
                    return Err(error(CommandErrorKind::Invalid, what));
                }
                self.services.swarm.bans.ban(&peer, "banned by the operator");
                self.services.bell.changed.notify_one();
                Ok(Reply::Done)
            }
            Command::Unban { peer } => {
                if self.services.swarm.bans.lift(&peer) {
                    self.services.bell.changed.notify_one();
                    Ok(Reply::Done)
                } else {
                    Err(error(
                        CommandErrorKind::NotFound,
                        format!("{peer} is not banned; `skep ban list` shows who is"),
                    ))
                }
            }
            Command::Drain { on } => {
                self.services.places.hold(on);
                self.services.copy_places.hold(on);
                tracing::info!(target: "engine", "{}", if on { "draining: nothing new begins" } else { "drains no more" });
                self.services.bell.changed.notify_one();
                Ok(Reply::Done)
            }
            Command::Probe(request) => {
                let report = self.services.links.probe(&request.url).await?;
                Ok(Reply::Probed(Box::new(report)))
            }
            Command::StartMonitor { endpoint } => self.services.links.keep(&endpoint).await.map(|()| Reply::Done),
            Command::StopMonitor { endpoint } => self.services.links.stop(&endpoint).await.map(|()| Reply::Done),
            Command::SetLink(request) => self.services.links.set(request).await.map(|()| Reply::Done),
            Command::LinkHistory { endpoint, window_s } => {
                let history = self.services.links.history(&endpoint, window_s).await?;
                Ok(Reply::LinkHistory(history))
            }
            Command::PoolAdd(node) => self.services.pool.add(node).await.map(|name| Reply::Listed { name }),
            Command::PoolRemove { name } => self.services.pool.remove(&name).await.map(|()| Reply::Done),
            Command::PoolDrain { name, on } => self.services.pool.drain(&name, on).await.map(|()| Reply::Done),
            Command::SetBalancer { balancer } => self.services.pool.set_balancer(balancer).await.map(|()| Reply::Done),
            Command::Place { key, replicas, balancer } => {
                let placement = self.services.pool.place(&key, replicas.unwrap_or(1), balancer)?;
                Ok(Reply::Placed(Box::new(placement)))
            }
            Command::PreviewPool { name, weight, drain } => {
                self.services.pool.preview(&name, weight, drain).map(Reply::Moves)
            }
            Command::SetLogLevel { filter } => {
                self.logs.set_filter(&filter).map_err(|e| error(CommandErrorKind::Invalid, e.to_string()))?;
                Ok(Reply::Done)
            }
        }
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TransferId, Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows now.
    pub(super) fn rows(&self) -> Vec<TransferRow> {
        self.lock().values().map(|handle| handle.shared.row()).collect()
    }

    /// Every transfer.
    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        self.lock().values().map(|handle| handle.shared.clone()).collect()
    }

    pub(super) fn handle(&self, id: TransferId) -> Result<Handle, CommandError> {
        let found = self.lock().get(&id).cloned();
        found.ok_or_else(|| {
            error(CommandErrorKind::NotFound, format!("there is no transfer {id}; `skep ls --all` lists them"))
        })
    }

    async fn order(&self, ids: &[TransferId], make: impl Fn(TransferId) -> Order) -> Result<Reply, CommandError> {
        // All of them must exist before any is touched.
        let handles = ids.iter().map(|id| self.handle(*id)).collect::<Result<Vec<_>, _>>()?;
        for handle in handles {
            let order = make(handle.shared.id);
            refuse_senseless(&handle.shared.row(), &order)?;
            if matches!(order, Order::Resume | Order::Verify) {
                self.refuse_second_writer(&handle.shared)?;
            }
            handle.send(order).await?;
        }
        Ok(Reply::Done)
    }

    async fn cancel(&self, ids: &[TransferId]) -> Result<Reply, CommandError> {
        let (mut own, mut received) = (Vec::new(), Vec::new());
        for id in ids {
            match self.received(*id) {
                Some(upload) => received.push((*id, upload)),
                None => own.push(*id),
            }
        }
        self.order(&own, |_| Order::Cancel).await?;
        for (id, upload) in received {
            self.cancel_received(id, &upload).await?;
        }
        Ok(Reply::Done)
    }

    async fn remove(&self, ids: &[TransferId], data: bool) -> Result<Reply, CommandError> {
        let mut kept = Kept::default();
        for id in ids {
            if let Some(upload) = self.received(*id) {
                self.remove_received(*id, &upload, data).await?;
                continue;
            }
            let handle = self.handle(*id)?;
            if data {
                self.refuse_anothers_data(&handle.shared)?;
            }
            let (done, answer) = oneshot::channel();
            handle.send(Order::Remove { data, done }).await?;
            let result = answer.await.unwrap_or_else(|_| Err("its task has ended".into()));
            self.lock().remove(id);
            self.publisher.remove(*id);
            let left =
                result.map_err(|e| error(CommandErrorKind::Internal, format!("transfer {id} is removed, but: {e}")))?;
            kept.changed += left.changed;
            kept.foreign += left.foreign;
        }
        Ok(if kept.is_nothing() { Reply::Done } else { Reply::Kept(kept) })
    }

    /// What stands under the name may be another transfer's by now.
    fn refuse_anothers_data(&self, shared: &Shared) -> Result<(), CommandError> {
        let record = shared.record();
        let handles = self.lock();
        let other = handles.values().map(|handle| handle.shared.record()).find(|other| {
            other.id != record.id && other.published && other.dir == record.dir && other.name == record.name
        });
        match other {
            Some(other) if record.published => Err(error(
                CommandErrorKind::Conflict,
                format!(
                    "transfer {} has put its data under the same name: remove that one, or this one without its data",
                    other.id
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Two transfers must not write the same partial content.
    fn refuse_second_writer(&self, shared: &Shared) -> Result<(), CommandError> {
        let record = shared.record();
        let handles = self.lock();
        let other = handles.values().map(|handle| handle.shared.record()).find(|other| {
            other.id != record.id
                && other.content.is_some()
                && other.content == record.content
                && other.dir == record.dir
                && matches!((&other.job, &record.job), (JobRecord::Fetch(_), JobRecord::Fetch(_)))
                && matches!(other.phase, Phase::Active | Phase::Paused | Phase::Failed)
        });
        match other {
            None => Ok(()),
            Some(other) => Err(error(
                CommandErrorKind::Conflict,
                format!("transfer {} fetches the same content to the same folder: use that one", other.id),
            )),
        }
    }

    /// Records a new transfer and starts its task.
    pub(super) async fn begin(
        &self,
        record: impl FnOnce(TransferId) -> TransferRecord,
    ) -> Result<TransferId, CommandError> {
        if self.lock().len() >= MAX_TRANSFERS {
            return Err(error(
                CommandErrorKind::Conflict,
                format!("{MAX_TRANSFERS} transfers are kept already: remove some"),
            ));
        }
        let state = self.services.state.clone();
        let id = blocking(move || state.next_id()).await?;
        let (record, state) = (record(id), self.services.state.clone());
        // First: a transfer that runs and is not recorded would be lost by a restart, its data left.
        let kept = record.clone();
        blocking(move || state.put_transfer(&kept, None, None)).await?;
        self.spawn(record);
        Ok(id)
    }

    /// Starts the task of a transfer.
    pub(super) fn spawn(&self, record: TransferRecord) -> Arc<Shared> {
        let (id, row) = (record.id, row_of(&record));
        let services = &self.services;
        // Those of links hold for connections: `throttle::links`.
        let up = [Arc::new(Throttle::new(row.limit_up)), services.throttle_up.clone()];
        let down = [Arc::new(Throttle::new(row.limit_down)), services.throttle_down.clone()];
        let limits = Limits { up: up.into(), down: down.into() };
        let (bell, state) = (services.bell.clone(), services.state.clone());
        let shared = Arc::new(Shared::new(record, row, bell, state, limits));
        let (orders, receiver) = mpsc::channel(ORDERS);
        let task = TransferTask {
            shared: shared.clone(),
            services: services.clone(),
            strategies: self.strategies.clone(),
            orders: receiver,
            shutdown: self.shutdown.clone(),
        };
        self.lock().insert(id, Handle { shared: shared.clone(), orders });
        self.publisher.add(shared.clone());
        self.tasks.spawn(task.run().instrument(self.span.clone()));
        shared
    }
}

impl Handle {
    pub(super) async fn send(&self, order: Order) -> Result<(), CommandError> {
        if matches!(order, Order::Resume) {
            // Shown before it is answered: whoever asked must not take the old end for the new one.
            self.shared.update(|row| {
                if matches!(row.state, TransferState::Paused | TransferState::Failed | TransferState::Cancelled) {
                    queued(row);
                }
            });
        }
        let gone =
            |_| error(CommandErrorKind::Internal, format!("transfer {} has no task: restart the node", self.shared.id));
        self.orders.send(order).await.map_err(gone)
    }
}

/// Shows that a transfer will go on.
pub(super) fn queued(row: &mut TransferRow) {
    row.state = TransferState::Queued;
    (row.error, row.ended_ms) = (None, None);
    (row.integrity_failure, row.refused) = (false, false);
}

/// Orders that the state of things makes senseless are refused with a reason.
fn refuse_senseless(row: &TransferRow, order: &Order) -> Result<(), CommandError> {
    use TransferState as S;
    let refuse = |why: &str| Err(error(CommandErrorKind::Conflict, format!("transfer {} {why}", row.id)));
    match (order, row.state) {
        (Order::Pause, S::Done | S::Cancelled) => refuse("is over: there is nothing to pause"),
        (Order::Resume, S::Done) => refuse("is complete: there is nothing to resume"),
        (Order::Cancel, S::Cancelled) => refuse("is cancelled already"),
        _ => Ok(()),
    }
}

pub(super) fn new_record(
    id: TransferId,
    job: JobRecord,
    phase: Phase,
    content: Option<ContentId>,
    name: String,
    dir: std::path::PathBuf,
) -> TransferRecord {
    TransferRecord {
        id,
        job,
        phase,
        seeding: false,
        published: false,
        mend: false,
        priority: 0,
        moved_to: None,
        queued: None,
        content,
        name,
        dir,
        added_ms: unix_ms(),
        ended_ms: None,
        error: None,
        bytes_down: 0,
        bytes_up: 0,
        wire_bytes: 0,
        saved_bytes: 0,
        running_ms: 0,
    }
}

/// The row of a transfer before its task has said anything.
fn row_of(record: &TransferRecord) -> TransferRow {
    let state = match record.phase {
        Phase::Active => TransferState::Queued,
        Phase::Paused => TransferState::Paused,
        Phase::Complete => TransferState::Done,
        Phase::Failed => TransferState::Failed,
        Phase::Cancelled => TransferState::Cancelled,
    };
    let (direction, limits, order) = match &record.job {
        JobRecord::Fetch(fetch) => (Direction::Down, (fetch.request.up, fetch.request.down), fetch.request.order),
        JobRecord::Share(share) => (Direction::Up, (share.up, share.down), Default::default()),
        JobRecord::Send(send) => (Direction::Up, (send.request.up, send.request.down), Default::default()),
        JobRecord::Sync(sync) => (Direction::Up, (sync.up, sync.down), Default::default()),
    };
    let (paths, dest) = match &record.job {
        JobRecord::Send(send) => (paths_at_rest(send, &record.name), printable(&send.request.dest)),
        JobRecord::Sync(sync) => (Vec::new(), printable(&sync.dest)),
        JobRecord::Fetch(_) | JobRecord::Share(_) => (Vec::new(), String::new()),
    };
    let kind = match &record.job {
        JobRecord::Fetch(_) => TransferKind::Fetch,
        JobRecord::Share(_) => TransferKind::Share,
        JobRecord::Send(_) => TransferKind::Send,
        JobRecord::Sync(_) => TransferKind::Sync,
    };
    let name = match (&record.job, record.name.is_empty(), &record.content) {
        (_, true, Some(content)) => content.short(),
        _ => printable(&record.name),
    };
    TransferRow {
        id: record.id,
        kind,
        content: record.content,
        name,
        direction,
        state,
        error: record.error.clone(),
        bytes_down: record.bytes_down,
        bytes_up: record.bytes_up,
        wire_bytes: record.wire_bytes,
        saved_bytes: record.saved_bytes,
        duration_s: record.running_ms as f64 / 1e3,
        priority: record.priority,
        rank: record.rank(),
        limit_up: limits.0,
        limit_down: limits.1,
        order,
        path: record.dir.join(crate::content::name::unescape(&record.name).unwrap_or_default()).display().to_string(),
        added_ms: record.added_ms,
        ended_ms: record.ended_ms,
        verified: record.phase == Phase::Complete,
        paths,
        dest,
        queued: record.queued,
        ..TransferRow::default()
    }
}
