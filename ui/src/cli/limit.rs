//! `skep limit`.

use serde_json::json;
use skep_engine::control::{Command, Focus, Rate, TransferId};

use super::context::Context;
use crate::config::units;
use crate::host;
use crate::output::{Exit, Failure, human};

/// Change or show rate limits of the running node, while it runs
///
/// With an ID: of that transfer; without: of the whole node. Without --up and --down: shows them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A transfer by its number in `skep ls`; none: the whole node
    #[arg(value_name = "ID")]
    id: Option<TransferId>,
    /// Upload limit per second, such as 10M or 1.5MiB, or `unlimited`
    #[arg(long, value_name = "RATE", value_parser = rate)]
    up: Option<Limit>,
    /// Download limit per second, or `unlimited`
    #[arg(long, value_name = "RATE", value_parser = rate)]
    down: Option<Limit>,
}

/// A limit as given: one type, so that clap does not take its inner option for an absent flag.
#[derive(Debug, Clone, Copy)]
struct Limit(Rate);

fn rate(text: &str) -> Result<Limit, units::UnitError> {
    units::rate(text).map(Limit)
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        if args.up.is_some() || args.down.is_some() {
            let (up, down) = (args.up.map(|l| l.0), args.down.map(|l| l.0));
            node.control.command(Command::Limit { id: args.id, up, down }).await?;
        }
        let mut view = node.control.view(Focus::default());
        let asked = |now: Rate, wish: Option<Limit>| wish.is_none_or(|w| w.0 == now);
        // The command is accepted; the snapshot that shows it follows within one round.
        let snapshot = host::snapshot_when(&mut view, |s| match args.id {
            None => asked(s.node.limit_up, args.up) && asked(s.node.limit_down, args.down),
            Some(id) => s
                .transfers
                .iter()
                .find(|row| row.id == id)
                .is_none_or(|row| asked(row.limit_up, args.up) && asked(row.limit_down, args.down)),
        })
        .await?;
        let (what, up, down) = match args.id {
            None => ("node".to_owned(), snapshot.node.limit_up, snapshot.node.limit_down),
            Some(id) => match snapshot.transfers.iter().find(|row| row.id == id) {
                Some(row) => (format!("transfer {id}"), row.limit_up, row.limit_down),
                None => return Err(Failure::failed(format!("no transfer {id} on this node: see `skep ls --all`"))),
            },
        };
        cx.out.result(
            || json!({ "type": "result", "id": args.id, "up_bytes_per_s": up, "down_bytes_per_s": down }),
            || format!("{what}: up {}, down {}", human::limit(up), human::limit(down)),
        );
        Ok(Exit::Done)
    })
}
