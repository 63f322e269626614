//! Moving something to the end, through the running node or one of our own: what `get`, `send` and
//! `verify --repair` share.
//!
//! If the node that does the work ends (it was another command's, say), this process takes its
//! place and goes on with what that node recorded.

use std::sync::Arc;

use skep_engine::content::name::printable;
use skep_engine::control::queue::{Operation, QueueId};
use skep_engine::control::{AddTransfer, Command, Focus, Reply, TransferId, TransferRow, TransferState};

use super::class::Queued;
use super::context::Context;
use super::follow::{End, Fate, Follow};
use super::queue_follow;
use crate::host::{self, Host, Start};
use crate::logging;
use crate::output::{Exit, Failure, human, result_event, result_line};
use crate::signals::Stop;

/// How often a node that ends under the work is replaced.
const TAKEOVERS: u32 = 10;

/// One thing to move.
pub(super) struct Wanted {
    command: Command,
    /// What to call it in messages.
    label: String,
    /// What a file holds is asked for: if it is wrong, the command line is not.
    from_file: bool,
    done: bool,
    /// The node put it into its queue, as this; it was there already.
    queued: Option<(QueueId, bool)>,
}

impl Wanted {
    /// A fetch, not begun.
    pub(super) fn new(request: AddTransfer) -> Self {
        let label = if request.link.is_empty() { "the file's content".into() } else { request.link.clone() };
        let from_file = request.document.is_some();
        Self { from_file, ..Self::of(Command::Add(request), label) }
    }

    /// What a command that adds transfers asks for, not begun.
    pub(super) fn of(command: Command, label: String) -> Self {
        Self { command, label: printable(&label), from_file: false, done: false, queued: None }
    }
}

/// Fetches all of them; keeps an embedded node seeding if `seed`, until a signal comes.
///
/// # Errors
/// No node could be started or reached.
pub(super) async fn run(cx: &Context, mut wanted: Vec<Wanted>, seed: bool) -> Result<Exit, Failure> {
    run_all(cx, &mut wanted, seed).await
}

/// Pushes or syncs; what the node keeps in its queue, since the link comes and goes, is followed there.
///
/// # Errors
/// No node could be started or reached.
pub(super) async fn push(cx: &Context, operation: Operation, how: &Queued) -> Result<Exit, Failure> {
    let (command, label) = match operation.clone() {
        Operation::Send(request) => (Command::Send(request.clone()), request.dest),
        Operation::Sync(request) => (Command::Sync(request.clone()), request.dest),
    };
    let mut wanted = [Wanted::of(command, label)];
    let exit = run_all(cx, &mut wanted, false).await?;
    let [Wanted { queued: Some(known), .. }] = wanted else { return Ok(exit) };
    queue_follow::run(cx, operation, how, Some(known)).await
}

async fn run_all(cx: &Context, wanted: &mut [Wanted], seed: bool) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    let logging = logging::start(cx.settings(), false)?;
    let mut exit = Exit::Done;
    for _ in 0..TAKEOVERS {
        let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
        let end = fetch_all(cx, &host, wanted, &mut exit, &mut stop).await;
        match end {
            End::Finished => {
                if let (true, Exit::Done, Host::Embedded(engine)) = (seed, exit, &host) {
                    cx.out.say(&format!("seeding from {}; Ctrl-C ends it", engine.url()));
                    stop.wait().await;
                }
                stop.cleaning_up(exit, host.close()).await;
                return Ok(exit);
            }
            End::Stopped => {
                stop.cleaning_up(Exit::Incomplete, host.close()).await;
                return Ok(exit.graver(Exit::Incomplete));
            }
            End::Lost(error) if host.has_gone().await => {
                cx.out.say(&format!("the node has ended ({error}): going on without it"))
            }
            End::Lost(error) => {
                let words = format!("lost the node: {error}; see `skep ls` once it is back");
                return Err(Failure::new(Exit::Incomplete, words));
            }
        }
    }
    Err(Failure::new(Exit::Incomplete, "the node ended again and again: run the same command to go on"))
}

/// Adds what is not done yet to a node and watches it.
async fn fetch_all(cx: &Context, host: &Host, wanted: &mut [Wanted], exit: &mut Exit, stop: &mut Stop) -> End {
    let control = host.control();
    let before = match host::snapshot(&mut control.view(Focus::default())).await {
        Ok(snapshot) => snapshot.transfers.clone(),
        Err(failure) => return End::Lost(failure.line()),
    };
    let mut of: Vec<(TransferId, usize)> = Vec::new();
    for (index, want) in wanted.iter_mut().enumerate().filter(|(_, w)| !w.done) {
        let add = control.command(want.command.clone());
        let reply = tokio::select! {
            reply = add => reply,
            _ = stop.wait() => {
                tell(cx, &Failure::new(Exit::Incomplete, format!("stopped before {} had begun", want.label)));
                return End::Stopped;
            }
        };
        match reply {
            Ok(Reply::Added { ids, .. }) => of.extend(ids.into_iter().map(|id| (id, index))),
            Ok(
                Reply::Done
                | Reply::Kept(_)
                | Reply::Preview(_)
                | Reply::SyncPlan(_)
                | Reply::Interfaces { .. }
                | Reply::Probed(_)
                | Reply::LinkHistory(_)
                | Reply::Listed { .. }
                | Reply::Placed(_)
                | Reply::Moves(_)
                | Reply::Purged { .. },
            ) => want.done = true,
            Ok(Reply::Enqueued { id, again }) => (want.done, want.queued) = (true, Some((id, again))),
            // The node ended between being found and being asked.
            Err(error) if host.is_gone() => return End::Lost(error.message),
            Err(error) => {
                want.done = true;
                let mut failure = Failure::from(error);
                if want.from_file && failure.exit == Exit::Usage {
                    // The command line is right; what the file holds is not.
                    failure = failure.with_exit(Exit::Failed);
                }
                *exit = exit.graver(failure.exit);
                tell(cx, &failure);
            }
        }
    }
    let ids: Vec<TransferId> = of.iter().map(|(id, _)| *id).collect();
    let mut follow = Follow::new(&cx.out, host, before, &ids, |row| row.state.is_settled());
    let mut open = of.clone();
    let end = follow
        .run(stop, |id, fate| {
            *exit = exit.graver(report(cx, id, &fate));
            open.retain(|(other, _)| *other != id);
        })
        .await;
    for (index, want) in wanted.iter_mut().enumerate() {
        want.done = !open.iter().any(|(_, i)| *i == index);
    }
    if let End::Stopped = end {
        interrupted(cx, host, &follow.unfinished()).await;
    }
    end
}

fn tell(cx: &Context, failure: &Failure) {
    cx.out.failure(failure);
}

/// Prints how a transfer ended.
pub(super) fn report(cx: &Context, id: TransferId, fate: &Fate) -> Exit {
    let row = match fate {
        Fate::Row(row) => row,
        Fate::Removed => {
            tell(cx, &Failure::failed(format!("transfer {id} was removed meanwhile")));
            return Exit::Failed;
        }
    };
    let exit = exit_of(row);
    if exit == Exit::Done {
        cx.out.result(|| result_event(row, None), || result_line(row));
        return exit;
    }
    let failure = Failure::new(exit, why(row));
    if cx.out.json {
        cx.out.object(&result_event(row, Some(&failure.line())));
    } else {
        tell(cx, &failure);
    }
    exit
}

/// The exit code that a settled transfer stands for.
fn exit_of(row: &TransferRow) -> Exit {
    match row.state {
        TransferState::Done | TransferState::Seeding => Exit::Done,
        TransferState::Cancelled => Exit::Failed,
        _ if row.integrity_failure => Exit::Integrity,
        _ if row.refused => Exit::Refused,
        // A sync that was planned did what it could.
        TransferState::Failed if row.pieces_done == 0 && row.sync.is_none() => Exit::Failed,
        _ => Exit::Incomplete,
    }
}

/// Why a transfer did not get done, and what to do.
fn why(row: &TransferRow) -> String {
    let name = if row.name.is_empty() { format!("transfer {}", row.id) } else { row.name.clone() };
    let had = format!("{} of {}", human::bytes(row.done), human::bytes(row.size));
    let error = row.error.clone().unwrap_or_else(|| row.reason.clone());
    match row.state {
        TransferState::Cancelled => format!("{name}: cancelled by another command"),
        TransferState::Paused => {
            format!("{name}: paused by another command at {had}; resume with: skep resume {}", row.id)
        }
        _ if row.pieces_done == 0 || row.sync.is_some() => format!("{name}: {error}"),
        _ => format!("{name}: {error} (has {had}; resume with: {})", resume_command()),
    }
}

/// After a signal: the transfers of a node that goes on are paused, and it is said how to resume.
async fn interrupted(cx: &Context, host: &Host, open: &[(TransferId, Option<Arc<TransferRow>>)]) {
    let embedded = matches!(host, Host::Embedded(_));
    let ids: Vec<TransferId> = open.iter().map(|(id, _)| *id).collect();
    let numbers = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if !embedded {
        // It asks for nothing more once it has this; the pause becomes a fact by itself.
        if let Err(error) = host.control().command(Command::Pause { ids }).await {
            tell(cx, &error.into());
        }
    }
    let resume = if embedded { resume_command() } else { format!("skep resume {numbers}") };
    for (id, row) in open {
        let (name, done, size) =
            row.as_ref().map_or((format!("transfer {id}"), 0, 0), |r| (r.name.clone(), r.done, r.size));
        let had = format!("stopped at {} of {}", human::bytes(done), human::bytes(size));
        let words = format!("{name}: {had}; resume with: {resume}");
        match row {
            Some(row) if cx.out.json => cx.out.object(&result_event(row, Some(&words))),
            _ => tell(cx, &Failure::new(Exit::Incomplete, words)),
        }
    }
}

/// This process's command line, fit to be pasted into a shell.
fn resume_command() -> String {
    shell_line(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()))
}

fn shell_line(arguments: impl Iterator<Item = String>) -> String {
    let quoted = |arg: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) { arg } else { format!("'{}'", arg.replace('\'', "'\\''")) }
    };
    std::iter::once("skep".to_owned()).chain(arguments.map(quoted)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_exit_codes() {
        let row = |state, done, integrity_failure| TransferRow {
            state,
            pieces_done: done,
            done: u64::from(done),
            size: 10,
            integrity_failure,
            ..TransferRow::default()
        };
        for (row, exit) in [
            (row(TransferState::Done, 10, false), Exit::Done),
            (row(TransferState::Seeding, 10, false), Exit::Done),
            (row(TransferState::Failed, 0, false), Exit::Failed),
            (row(TransferState::Failed, 5, false), Exit::Incomplete),
            (row(TransferState::Failed, 5, true), Exit::Integrity),
            (TransferRow { refused: true, ..row(TransferState::Failed, 0, false) }, Exit::Refused),
            (TransferRow { refused: true, ..row(TransferState::Failed, 5, false) }, Exit::Refused),
            (row(TransferState::Paused, 5, false), Exit::Incomplete),
            (TransferRow { sync: Some(Default::default()), ..row(TransferState::Failed, 0, false) }, Exit::Incomplete),
            (row(TransferState::Cancelled, 5, false), Exit::Failed),
        ] {
            assert_eq!(exit_of(&row), exit, "{row:?}");
        }
    }

    #[test]
    fn what_is_left_says_how_to_resume() {
        let row = TransferRow {
            name: "a.iso".into(),
            state: TransferState::Failed,
            error: Some("no peer answers".into()),
            done: 5_000_000,
            pieces_done: 5,
            size: 10_000_000,
            ..TransferRow::default()
        };
        let words = why(&row);
        assert!(words.starts_with("a.iso: no peer answers") && words.contains("resume with: skep"), "{words}");
    }

    #[test]
    fn the_hint_can_be_pasted() {
        let line = |args: &[&str]| shell_line(args.iter().map(ToString::to_string));
        assert_eq!(line(&["get", "skep://a:1/ff", "-o", "my dir"]), "skep get skep://a:1/ff -o 'my dir'");
        assert_eq!(line(&["get", "it's", "$(x)", ""]), "skep get 'it'\\''s' '$(x)' ''");
    }
}
