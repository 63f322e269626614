//! `skep share`.

use std::path::PathBuf;

use serde_json::json;
use skep_engine::control::{Command, Focus, Reply, ShareRequest, TransferId, TransferRow, TransferState};

use super::context::{Context, absolute};
use super::follow::{End, Fate, Follow};
use crate::host::{self, Host, Start, with_scheme};
use crate::logging;
use crate::output::{Exit, Failure, Out};
use crate::signals::Stop;

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &[
    "share.piece_length",
    "trackers",
    "share.ratio",
    "share.seed_time",
    "listen",
    "root",
    "name",
    "trusted",
    "public",
    "limits.up",
];

/// Make files or trees available, print their links
///
/// The node that runs on this state folder shares them in place; nothing is copied. With `--serve` a node of
/// our own does if none is running, until Ctrl-C, or until ratio or time are reached. The link that is printed
/// is all that others need: `skep get LINK`. What has not changed since it was shared before is not hashed
/// again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Keep a node up for it if none is running
    #[arg(long)]
    serve: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut requests = Vec::with_capacity(args.paths.len());
    for path in &args.paths {
        let path = absolute(path)?;
        if let Err(e) = std::fs::symlink_metadata(&path) {
            return Err(Failure::because(format!("cannot share {}", path.display()), e));
        }
        requests.push(request(cx, path));
    }
    if args.serve { cx.engine(with_node(cx, requests)) } else { cx.talk(through_running(cx, requests)) }
}

fn request(cx: &Context, path: PathBuf) -> ShareRequest {
    let settings = cx.settings();
    ShareRequest {
        path,
        piece_length: settings.share.piece_length,
        trackers: settings.trackers.iter().map(|t| with_scheme(t)).collect(),
        ratio: settings.share.ratio,
        seconds: settings.share.seed_time.map(|t| t.as_secs().max(1)),
        ..ShareRequest::default()
    }
}

async fn through_running(cx: &Context, requests: Vec<ShareRequest>) -> Result<Exit, Failure> {
    let Some(node) = host::running(cx).await? else {
        let words = "no node is running to share it: add --serve to keep one up for it, or start one with `skep serve`";
        return Err(Failure::failed(words));
    };
    let mut stop = Stop::listen()?;
    let host = Host::Running(node);
    let (exit, end) = share(cx, &host, requests, &mut stop).await?;
    match end {
        End::Finished => Ok(exit),
        End::Stopped => Ok(exit.graver(Exit::Incomplete)),
        End::Lost(error) => Err(Failure::failed(format!("lost the node: {error}"))),
    }
}

async fn with_node(cx: &Context, requests: Vec<ShareRequest>) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    let logging = logging::start(cx.settings(), false)?;
    let host = host::open(cx, Start { listen: cx.settings().listen, resume: false, logging: &logging }).await?;
    let shared = share(cx, &host, requests, &mut stop).await;
    let Host::Embedded(engine) = &host else { return shared.map(|(exit, _)| exit) };
    let exit = match shared {
        Ok((Exit::Done, End::Finished)) => {
            cx.out.say(&format!("serving on {}; Ctrl-C ends it", engine.url()));
            serve_out(&cx.out, &host, &mut stop).await;
            Ok(Exit::Done)
        }
        Ok((exit, End::Stopped)) => Ok(exit.graver(Exit::Incomplete)),
        Ok((exit, _)) => Ok(exit),
        Err(failure) => Err(failure),
    };
    stop.cleaning_up(Exit::Done, host.close()).await;
    exit
}

/// Asks the node, waits for the links and prints them.
async fn share(
    cx: &Context,
    host: &Host,
    requests: Vec<ShareRequest>,
    stop: &mut Stop,
) -> Result<(Exit, End), Failure> {
    let control = host.control();
    let before = host::snapshot(&mut control.view(Focus::default())).await?.transfers.clone();
    let mut ids: Vec<TransferId> = Vec::new();
    for request in requests {
        if let Reply::Added { ids: added, .. } = control.command(Command::Share(request)).await? {
            ids.extend(added);
        }
    }
    // Shared or failed: while it is hashed the row says checking.
    let mut follow = Follow::new(&cx.out, host, before, &ids, |row| row.state.is_settled());
    let mut exit = Exit::Done;
    let end = follow.run(stop, |id, fate| exit = exit.graver(report(cx, id, &fate))).await;
    if let End::Stopped = end {
        let open: Vec<TransferId> = follow.unfinished().into_iter().map(|(id, _)| id).collect();
        cx.out.say("stopped before everything was hashed; what is not shared yet is cancelled");
        let _ = control.command(Command::Cancel { ids: open }).await;
    }
    Ok((exit, end))
}

/// Prints a link, or why there is none.
fn report(cx: &Context, id: TransferId, fate: &Fate) -> Exit {
    let row = match fate {
        Fate::Row(row) if matches!(row.state, TransferState::Seeding | TransferState::Done) => row,
        Fate::Row(row) => {
            let error = row.error.clone().unwrap_or_else(|| row.reason.clone());
            let failure = Failure::failed(format!("{} is not shared: {error}", row.name));
            cx.out.failure(&failure);
            return failure.exit;
        }
        Fate::Removed => {
            cx.out.failure(&Failure::failed(format!("transfer {id} was removed meanwhile")));
            return Exit::Failed;
        }
    };
    cx.out.result(|| object(row), || row.link.clone().unwrap_or_default());
    Exit::Done
}

fn object(row: &TransferRow) -> serde_json::Value {
    json!({
        "type": "result",
        "id": row.id,
        "link": row.link,
        "content_id": row.content,
        "name": row.name,
        "bytes": row.size,
        "pieces": row.pieces,
        "files": row.files,
        "path": row.path,
    })
}

/// Serves until a signal comes, or no transfer of the node has anything left to do.
async fn serve_out(out: &Out, host: &Host, stop: &mut Stop) {
    let mut view = host.control().view(Focus::default());
    let over = view.snapshots.wait_for(|s| {
        let resting = |state: TransferState| state.is_settled() && state != TransferState::Seeding;
        s.generation > 0 && s.transfers.iter().all(|row| resting(row.state))
    });
    tokio::select! {
        _ = stop.wait() => {}
        _ = over => out.say("ratio or time reached: done seeding"),
    }
}
