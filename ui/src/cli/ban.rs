//! `skep ban`.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;
use skep_engine::content::name::printable;
use skep_engine::control::{Command, Focus};

use super::context::Context;
use crate::host;
use crate::output::{Align, Exit, Failure, Table};

/// List, add or lift bans of the running node
///
/// A peer that sends a wrong piece is banned for a day. Bans outlive restarts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List who is banned, why, and until when
    List,
    /// Ban peers for a day: nothing more comes from them or goes to them
    Add {
        /// HOST:PORT or URL of their nodes
        #[arg(required = true, value_name = "PEER")]
        peers: Vec<String>,
    },
    /// Lift bans
    Lift {
        /// Peers as listed, HOST:PORT
        #[arg(required = true, value_name = "PEER")]
        peers: Vec<String>,
    },
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        match &args.what {
            What::List => list(cx, node.control.as_ref()).await,
            What::Add { peers } => {
                for peer in peers {
                    node.control.command(Command::Ban { peer: peer.clone() }).await?;
                    said(cx, peer, true);
                }
                Ok(Exit::Done)
            }
            What::Lift { peers } => {
                for peer in peers {
                    node.control.command(Command::Unban { peer: peer.clone() }).await?;
                    said(cx, peer, false);
                }
                Ok(Exit::Done)
            }
        }
    })
}

fn said(cx: &Context, peer: &str, banned: bool) {
    let peer = printable(peer);
    cx.out.result(
        || json!({ "type": "result", "peer": peer, "banned": banned }),
        || format!("{peer}  {}", if banned { "banned" } else { "lifted" }),
    );
}

async fn list(cx: &Context, control: &dyn skep_engine::control::Control) -> Result<Exit, Failure> {
    let snapshot = host::snapshot(&mut control.view(Focus::default())).await?;
    let time = |ms: u64| i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    if cx.out.json {
        for ban in snapshot.bans.iter() {
            cx.out.object(&json!({
                "type": "ban",
                "peer": ban.peer,
                "reason": ban.reason,
                "since": time(ban.since_ms).to_string(),
                "until": time(ban.until_ms).to_string(),
            }));
        }
        return Ok(Exit::Done);
    }
    if snapshot.bans.is_empty() {
        cx.out.say("nobody is banned");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[("PEER", Align::Left), ("UNTIL", Align::Left), ("REASON", Align::Left)]);
    for ban in snapshot.bans.iter() {
        let until = format!("{:.0}", time(ban.until_ms));
        table.row(vec![printable(&ban.peer), until, printable(&ban.reason)]);
    }
    for line in table.lines() {
        cx.out.line(&line);
    }
    Ok(Exit::Done)
}
