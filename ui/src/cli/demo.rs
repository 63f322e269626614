//! `skep demo`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::json;
use skep_engine::control::{Focus, TransferState};

use super::console::{self, Show};
use super::context::Context;
use crate::config::units;
use crate::console::picture;
use crate::demo::fleet::Fleet;
use crate::host;
use crate::logging;
use crate::output::{Exit, Failure, human};
use crate::signals::Stop;

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs"];

/// Time without the console, unless told otherwise.
const HEADLESS: Duration = Duration::from_secs(20);
/// Time before a picture, unless told otherwise: long enough for rates and their history.
const BEFORE_PICTURE: Duration = Duration::from_secs(16);

/// Show a live fleet of nodes on this machine
///
/// Several real nodes on loopback in a temporary folder, with shaped links and a hostile peer among
/// them, move real bytes: they fetch from one another, push over three uplinks at once, keep a large file equal by
/// deltas, receive, and keep what is for a ship until it is in reach; links are watched as they change. All of
/// them are a pool, in which one is drained and others in turn have more to do than they should. The console shows it, for as long as you like. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The same seed gives the same fleet, data and link weather
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Without the console: run it, say how it went
    #[arg(long)]
    pub headless: bool,
    /// End by itself after this time
    #[arg(long, value_name = "SECONDS", value_parser = units::duration)]
    pub seconds: Option<Duration>,
    /// At the end write pictures and a recording of the console into this folder (for the documentation)
    #[arg(long, value_name = "DIR", requires = "headless", hide = true)]
    pub pictures: Option<PathBuf>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    if !args.headless {
        console::need_terminal()?;
    }
    cx.engine(async {
        let mut stop = Stop::listen()?;
        let logging = logging::in_memory()?;
        cx.out.say("setting up the fleet: eight nodes in a pool, four contents, three uplinks, a ship that goes out of reach, one of the peers hostile");
        let fleet = Fleet::start(args.seed, &logging.logs).await;
        let fleet = fleet.map_err(|e| Failure::because("the demo does not start", e))?;
        let exit = if let Some(folder) = &args.pictures {
            tokio::select! {
                drawn = draw(&fleet, args.seconds.unwrap_or(BEFORE_PICTURE), folder) => drawn,
                _ = stop.wait() => Ok(Exit::Incomplete),
            }
        } else if args.headless {
            tokio::select! {
                () = fleet.filled().then(|()| tokio::time::sleep(args.seconds.unwrap_or(HEADLESS))) => {}
                _ = stop.wait() => {}
            }
            summary(cx, &fleet).await
        } else {
            let time = args.seconds.unwrap_or(Duration::MAX);
            tokio::select! {
                shown = console::show(cx, Show { fleeting: Some(fleet.folder().join("recordings")), ..Show::node(fleet.control()) }) => shown,
                () = tokio::time::sleep(time.min(Duration::from_secs(30 * 86_400))) => Ok(Exit::Done),
            }
        };
        stop.cleaning_up(Exit::Done, fleet.shutdown()).await;
        exit
    })
}

/// Watches the node in the middle for a while and writes what the console showed.
async fn draw(fleet: &Fleet, time: Duration, folder: &Path) -> Result<Exit, Failure> {
    fleet.filled().await;
    let files = picture::watch(fleet.control().as_ref(), time).await;
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        files.into_iter().try_for_each(|(name, text)| {
            let file = folder.join(name);
            std::fs::write(&file, text).map_err(|e| Failure::because(format!("cannot write {}", file.display()), e))
        })
    });
    written.await.map_err(|e| Failure::because("the pictures were not written", e))??;
    Ok(Exit::Done)
}

/// Says how far the node in the middle came.
async fn summary(cx: &Context, fleet: &Fleet) -> Result<Exit, Failure> {
    let control = fleet.control();
    let snapshot = host::snapshot(&mut control.view(Focus::default())).await?;
    let rows = &snapshot.transfers;
    let done = rows.iter().filter(|row| matches!(row.state, TransferState::Done | TransferState::Seeding)).count();
    let failed = rows.iter().filter(|row| row.state == TransferState::Failed).count();
    let (down, up) = (snapshot.node.bytes_down, snapshot.node.bytes_up);
    // What was complete and made room for new things counts, too.
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let tally = fleet.tally();
    let (pushed, received) = (of(&tally.pushed), of(&tally.received));
    let (deltas, saved) = (of(&tally.deltas), of(&tally.saved));
    let pool = &snapshot.pool.nodes;
    let there = pool.iter().filter(|row| row.available).count();
    let (all, done) = (rows.len() as u64 + of(&tally.retired), done as u64 + of(&tally.retired));
    cx.out.result(
        || {
            json!({ "type": "result", "transfers": all, "done": done, "failed": failed, "pushed": pushed,
                "received": received, "deltas": deltas, "bytes_saved": saved, "bytes_down": down, "bytes_up": up, "bans": snapshot.bans.len(), "nodes": pool.len(), "nodes_there": there })
        },
        || {
            format!(
                "{done} of {all} transfers complete ({pushed} pushed, {received} received), {failed} failed; {} down, {} up; \
                 {deltas} deltas saved {}; {} hostile peers banned; {there} of {} nodes in the pool",
                human::bytes(down),
                human::bytes(up),
                human::bytes(saved),
                snapshot.bans.len(),
                pool.len()
            )
        },
    );
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}
