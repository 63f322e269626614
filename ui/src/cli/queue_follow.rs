//! `send --queue`, `sync --queue`: an operation is put into the queue and followed until it is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use skep_engine::control::queue::{Operation, QueueId, QueueRow, QueueState};
use skep_engine::control::{Command, Connection, Focus, Reply, Snapshot, TransferRow, TransferState};

use super::class::Queued;
use super::context::Context;
use super::fetch;
use super::follow::Fate;
use crate::host::{self, Host, Start};
use crate::logging;
use crate::output::{Bar, Exit, Failure, Throttle, bars, progress_event};
use crate::signals::Stop;

/// Snapshots lag behind the answer to a command by less than this.
const LAG: Duration = Duration::from_secs(2);
/// How often a node that ends under the work is replaced.
const TAKEOVERS: u32 = 10;

/// Why following ended.
enum End {
    /// With this.
    Over(Exit),
    /// A signal.
    Stopped,
    /// The node ended.
    Lost(String),
}

/// Puts it into the queue of the running node, or of one of our own, and follows it. `known`: it is in the queue already,
/// as this, and may be done by now; whether it was there before.
///
/// # Errors
/// It is not taken, or no node could be started or reached.
pub(super) async fn run(
    cx: &Context,
    operation: Operation,
    how: &Queued,
    mut known: Option<(QueueId, bool)>,
) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    let logging = logging::start(cx.settings(), false)?;
    for _ in 0..TAKEOVERS {
        let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
        let command = Command::Enqueue { operation: operation.clone(), class: how.priority.map(Into::into) };
        let asked = match known.take() {
            Some((id, again)) => Ok(Reply::Enqueued { id, again }),
            None => host.control().command(command).await,
        };
        let (id, again) = match asked {
            Ok(Reply::Enqueued { id, again }) => (id, again),
            Ok(_) => return Err(Failure::failed("the node gave another answer")),
            Err(_) if host.is_gone() => continue,
            Err(error) => {
                host.close().await;
                return Err(error.into());
            }
        };
        super::queue::queued(cx, id, again);
        let end = if how.detach { Ok(End::Over(Exit::Done)) } else { follow(cx, &host, id, again, &mut stop).await };
        match end {
            Ok(End::Lost(error)) if host.is_gone() => {
                cx.out.say(&format!("the node has ended ({error}): going on without it"));
            }
            Ok(End::Lost(error)) => {
                let words = format!("lost the node: {error}; see `skep queue` once it is back");
                return Err(Failure::new(Exit::Incomplete, words));
            }
            Ok(End::Over(exit)) => {
                if let (true, Host::Embedded(_)) = (how.detach, &host) {
                    cx.out.say("it goes out when a node runs: `skep serve`");
                }
                stop.cleaning_up(exit, host.close()).await;
                return Ok(exit);
            }
            Ok(End::Stopped) => {
                let words = match &host {
                    Host::Embedded(_) => {
                        "it stays in the queue: `skep serve`, or the same command, goes on with it".into()
                    }
                    Host::Running(_) => {
                        format!("it stays in the queue of the running node; `skep queue purge {id}` takes it out")
                    }
                };
                cx.out.failure(&Failure::new(Exit::Incomplete, words));
                stop.cleaning_up(Exit::Incomplete, host.close()).await;
                return Ok(Exit::Incomplete);
            }
            Err(failure) => {
                host.close().await;
                return Err(failure);
            }
        }
    }
    Err(Failure::new(Exit::Incomplete, "the node ended again and again: run the same command to go on"))
}

async fn follow(cx: &Context, host: &Host, id: QueueId, again: bool, stop: &mut Stop) -> Result<End, Failure> {
    let mut view = host.control().view(Focus::default());
    let (started, bars) = (Instant::now(), bars(&cx.out));
    let (bar, mut throttle) = (Bar::new(&cx.out, &bars), Throttle::default());
    let (mut told, mut seen, mut missing) = (None, false, None::<Instant>);
    loop {
        let snapshot = view.snapshots.borrow_and_update().clone();
        let transfer = transfer_of(&snapshot, id);
        let row = snapshot.queue.rows.iter().find(|row| row.id == id);
        if let Some(over) = transfer.filter(|row| is_over(row)) {
            bar.clear();
            return Ok(End::Over(fetch::report(cx, over.id, &Fate::Row(over.clone()))));
        }
        match row {
            Some(row) => {
                (seen, missing) = (true, None);
                // What was seen before it was wished again is no news.
                if row.state == QueueState::Parked && (!again || started.elapsed() > LAG) {
                    bar.clear();
                    return Err(parked(row, transfer.map(Arc::as_ref)));
                }
                let now = (row.state, row.why.clone());
                if row.state != QueueState::Running && told.as_ref() != Some(&now) {
                    bar.clear();
                    tell(cx, row);
                }
                told = Some(now);
                if let (QueueState::Running, Some(transfer)) = (row.state, transfer) {
                    bar.show(transfer);
                    if cx.out.json && throttle.ready(Instant::now()) {
                        cx.out.object(&progress_event("progress", transfer));
                    }
                }
            }
            // It may stand behind those that are shown.
            None if !seen && (snapshot.queue.count() > snapshot.queue.rows.len() as u64) => {}
            None => {
                let since = *missing.get_or_insert_with(Instant::now);
                if since.elapsed() > LAG {
                    bar.clear();
                    return Err(Failure::failed(format!("operation {id} was taken out of the queue meanwhile")));
                }
            }
        }
        if let Connection::Lost { error, .. } = &*view.connection.borrow()
            && host.is_gone()
        {
            return Ok(End::Lost(error.clone()));
        }
        tokio::select! {
            _ = stop.wait() => {
                bar.clear();
                return Ok(End::Stopped);
            }
            changed = view.snapshots.changed() => if changed.is_err() {
                return Ok(End::Lost("the node stopped".into()));
            },
            Ok(()) = view.connection.changed() => {}
            () = tokio::time::sleep(LAG) => {}
        }
    }
}

/// The transfer that works on an operation, or did.
fn transfer_of(snapshot: &Snapshot, id: QueueId) -> Option<&Arc<TransferRow>> {
    snapshot.transfers.iter().rev().find(|row| row.queued == Some(id))
}

/// Nothing comes after this.
fn is_over(row: &TransferRow) -> bool {
    matches!(row.state, TransferState::Done | TransferState::Seeding | TransferState::Cancelled)
}

/// It waits for the operator. What its transfer found says how bad that is.
fn parked(row: &QueueRow, transfer: Option<&TransferRow>) -> Failure {
    let exit = match transfer {
        Some(transfer) if transfer.integrity_failure => Exit::Integrity,
        Some(transfer) if transfer.refused => Exit::Refused,
        _ => Exit::Failed,
    };
    let words = format!("{}: {}; it is put aside: skep queue retry {}, or purge {}", row.name, row.why, row.id, row.id);
    Failure::new(exit, words)
}

/// Says why it waits.
fn tell(cx: &Context, row: &QueueRow) {
    if cx.out.json {
        let mut object = json!(row);
        object["type"] = "waiting".into();
        cx.out.object(&object);
    } else {
        cx.out.say(&format!(
            "{}: {}{}",
            row.name,
            row.state.name(),
            match row.why.as_str() {
                "" => String::new(),
                why => format!(", {why}"),
            }
        ));
    }
}
