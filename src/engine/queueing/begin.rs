//! Starting the transfer of an operation, and following it.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Ask, Driver};
use crate::control::queue::{Operation, QueueId};
use crate::control::{Command, CommandError, Reply, TransferId, TransferRow, TransferState};
use crate::engine::commands::Core;
use crate::engine::shared::Shared;
use crate::engine::transfer::Order;
use crate::failpoint;
use crate::queue::book::{Fault, Turn};
use crate::queue::outbox::Waiting;
use crate::queue::priority::Entry;
use crate::store::Phase;

impl Driver {
    /// Starts a transfer, or goes on with the one that there is.
    pub(super) fn begin(&mut self, id: QueueId, entry: Entry<Waiting>) {
        let (core, asks) = (self.core.clone(), self.core.queueing.asks.clone());
        let beginning = async move {
            let begun = core.begin_queued(id, entry).await;
            failpoint::step("queue:begun");
            // The driver is gone only when the node stops: the transfer's record tells then.
            let _ = asks.send(Ask::Begun(id, begun)).await;
        };
        self.core.tasks.spawn(beginning.instrument(self.core.span.clone()));
    }

    pub(super) fn cancel(&self, transfer: TransferId) {
        let core = self.core.clone();
        let cancelling = async move {
            // Over already is as good.
            let _ = core.command(Command::Cancel { ids: vec![transfer] }).await;
        };
        self.core.tasks.spawn(cancelling.instrument(self.core.span.clone()));
    }

    /// Follows a transfer from now on. `afresh`: what it does now is news, too.
    pub(super) fn watch(&mut self, id: QueueId, transfer: TransferId, afresh: bool) {
        if self.watched.get(&id) == Some(&transfer) {
            return;
        }
        let Ok(handle) = self.core.handle(transfer) else { return };
        self.watched.insert(id, transfer);
        let (rows, shared) = (handle.shared.rows(), Arc::downgrade(&handle.shared));
        let (asks, shutdown) = (self.core.queueing.asks.clone(), self.core.shutdown.clone());
        let follows = follow(rows, shared, shutdown, afresh, move |turn| {
            let asks = asks.clone();
            async move { asks.send(Ask::Turned(id, transfer, turn)).await.is_ok() }
        });
        self.core.tasks.spawn(follows.instrument(self.core.span.clone()));
    }
}

/// Tells each turn of a transfer once, until it is over or gone.
async fn follow<T: Future<Output = bool>>(
    mut rows: watch::Receiver<TransferRow>,
    shared: Weak<Shared>,
    shutdown: CancellationToken,
    afresh: bool,
    tell: impl Fn(Turn) -> T,
) {
    // With the time of its end: one that failed again between two looks has another.
    let seen = |row: &TransferRow| (standing(row.state), row.ended_ms);
    let (mut told, mut began_at) = {
        let row = rows.borrow();
        ((!afresh).then(|| seen(&row)), row.bytes_up)
    };
    loop {
        let (now, bytes) = {
            let row = rows.borrow_and_update();
            (seen(&row), row.bytes_up)
        };
        if told != Some(now) {
            let Some(turn) = turn(now.0, &shared, bytes > began_at) else { return };
            if turn == Turn::Runs {
                began_at = bytes;
            }
            told = Some(now);
            let is_over = matches!(turn, Turn::Done | Turn::Cancelled);
            if !tell(turn).await || is_over {
                return;
            }
        }
        let changed = tokio::select! {
            () = shutdown.cancelled() => return,
            changed = rows.changed() => changed,
        };
        if changed.is_err() {
            // Whether it was removed or the node stops.
            if !shutdown.is_cancelled() {
                tell(Turn::Gone).await;
            }
            return;
        }
    }
}

/// States between which nothing turns are one.
fn standing(state: TransferState) -> TransferState {
    match state {
        TransferState::Queued | TransferState::Starting | TransferState::Checking | TransferState::Pausing => {
            TransferState::Running
        }
        other => other,
    }
}

fn turn(state: TransferState, shared: &Weak<Shared>, moved: bool) -> Option<Turn> {
    Some(match standing(state) {
        TransferState::Paused => Turn::Paused,
        TransferState::Done | TransferState::Seeding => Turn::Done,
        TransferState::Cancelled => Turn::Cancelled,
        TransferState::Failed => {
            let shared = shared.upgrade()?;
            let why = shared.row().error.unwrap_or_else(|| "it failed".into());
            // After a restart nobody knows any more.
            Turn::Failed { fault: shared.fault().unwrap_or(Fault::Again), why, moved }
        }
        _ => Turn::Runs,
    })
}

impl Core {
    /// The transfer of an operation: the one that it has, tried again, or a new one, whose record names the operation.
    async fn begin_queued(self: &Arc<Self>, id: QueueId, entry: Entry<Waiting>) -> Result<TransferId, CommandError> {
        let class = entry.class;
        if let Some(transfer) = entry.what.transfer
            && let Ok(handle) = self.handle(transfer)
            && handle.shared.record().phase != Phase::Cancelled
        {
            if handle.shared.record().phase != Phase::Complete {
                handle.send(Order::Resume).await?;
            }
            return Ok(transfer);
        }
        let reply = match entry.what.operation {
            Operation::Send(mut request) => {
                request.priority = Some(class);
                self.send(request, Some(id)).await?
            }
            Operation::Sync(request) => self.sync(request, Some((id, class))).await?,
        };
        match reply {
            Reply::Added { ids, .. } if !ids.is_empty() => Ok(ids[0]),
            other => Err(CommandError::new(
                crate::control::CommandErrorKind::Internal,
                format!("no transfer came of it: {other:?}"),
            )),
        }
    }

    /// Takes a transfer that is done off the list.
    pub(super) async fn forget_done(&self, id: TransferId) -> Result<(), CommandError> {
        if self.handle(id)?.shared.record().phase == Phase::Complete {
            self.command(Command::Remove { ids: vec![id], data: false }).await?;
        }
        Ok(())
    }
}
