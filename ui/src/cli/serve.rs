//! `skep serve`.

use std::io::IsTerminal as _;

use serde_json::json;

use super::context::Context;
use crate::host::{self, Start};
use crate::logging;
use crate::output::{Exit, Failure};
use crate::signals::Stop;

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] =
    &["listen", "advertise", "root", "name", "trackers", "join", "trusted", "public", "limits.up", "limits.down"];

/// To join without a common token comes to nothing, and nobody says so: who has another one is not heard.
const UNHEARD: &str = "--join without --token-file: this node has a token of its own, and nodes with different tokens do not \
                       hear one another; give all nodes of the pool the same --token-file FILE";

/// Run a node without a screen
///
/// Prints `listening on http://ADDR:PORT` once it is ready and runs until SIGTERM or Ctrl-C; requests under
/// way finish, everything is recorded. Transfers that were running go on. Steer it with the other commands or
/// with `skep attach`.
///
/// Nodes that `--join` one another are a pool, if they have one token: give all of them the same `--token-file`. Nodes
/// with different tokens do not hear one another.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(cx: &Context, _args: &Args) -> Result<Exit, Failure> {
    cx.engine(async {
        let mut stop = Stop::listen()?;
        let to_stderr = cx.out.verbose > 0 || (std::io::stderr().is_terminal() && !cx.out.json);
        let logging = logging::start(cx.settings(), to_stderr)?;
        if !cx.settings().join.is_empty() && cx.settings().token_file.is_none() {
            tracing::warn!(target: "pool", "{UNHEARD}");
            // On stderr once.
            if !to_stderr {
                cx.out.say(&format!("skep: {UNHEARD}"));
            }
        }
        let engine = host::start(cx, Start { listen: cx.settings().listen, resume: true, logging: &logging }).await?;
        let url = engine.url().to_owned();
        cx.out.result(|| json!({ "type": "listening", "url": url }), || format!("listening on {url}"));
        let signal = stop.wait().await;
        tracing::info!(signal, "stopping");
        stop.cleaning_up(Exit::Done, engine.shutdown()).await;
        Ok(Exit::Done)
    })
}
