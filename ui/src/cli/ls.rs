//! `skep ls`.

use skep_engine::control::{Direction, Focus, TransferRow, TransferState};

use super::context::Context;
use crate::host;
use crate::output::{Align, Exit, Failure, Table, human, progress_event, state_word};

/// Longest name that the table shows in full.
const NAME_WIDTH: usize = 48;

/// List the transfers of the running node
///
/// With `--json`: one object per transfer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Done and cancelled ones, too
    #[arg(long)]
    all: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        let mut view = node.control.view(Focus::default());
        let snapshot = host::snapshot(&mut view).await?;
        let over = |row: &TransferRow| matches!(row.state, TransferState::Done | TransferState::Cancelled);
        let (shown, hidden): (Vec<_>, Vec<_>) = snapshot.transfers.iter().partition(|row| args.all || !over(row));
        if cx.out.json {
            for row in shown {
                cx.out.object(&progress_event("transfer", row));
            }
            return Ok(Exit::Done);
        }
        if !shown.is_empty() {
            for line in table(shown.iter().map(|row| row.as_ref())).lines() {
                cx.out.line(&line);
            }
        }
        if !hidden.is_empty() {
            cx.out.say(&format!("{} done or cancelled: skep ls --all", hidden.len()));
        } else if shown.is_empty() {
            cx.out.say("no transfers: start one with `skep get LINK` or `skep share PATH`");
        }
        Ok(Exit::Done)
    })
}

fn table<'a>(rows: impl Iterator<Item = &'a TransferRow>) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("DONE", Align::Right),
        ("DOWN", Align::Right),
        ("UP", Align::Right),
        ("LEFT", Align::Right),
        ("PEERS", Align::Right),
        ("REASON", Align::Left),
    ]);
    for row in rows {
        let rate = |r: u64| if r == 0 { String::new() } else { human::rate(r) };
        let done = human::percent(row.done, row.size).map(|p| format!("{p}%")).unwrap_or_default();
        table.row(vec![
            row.id.to_string(),
            state_word(row.state).into(),
            human::shortened(&row.name, NAME_WIDTH),
            if row.size == 0 && row.content.is_none() { String::new() } else { human::bytes(row.size) },
            if row.direction == Direction::Up { String::new() } else { done },
            rate(row.rate_down),
            rate(row.rate_up),
            row.eta_s.map(human::eta).unwrap_or_default(),
            if row.state == TransferState::Running { row.peers.to_string() } else { String::new() },
            row.error.clone().unwrap_or_else(|| row.reason.clone()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::TransferId;

    #[test]
    fn rows_read_well() {
        let running = TransferRow {
            id: TransferId(3),
            name: "data.tar".into(),
            state: TransferState::Running,
            size: 4_000_000_000,
            done: 1_000_000_000,
            rate_down: 112_000_000,
            eta_s: Some(27),
            peers: 4,
            content: Some(skep_engine::content::ContentId([0; 32])),
            ..TransferRow::default()
        };
        let failed = TransferRow {
            id: TransferId(12),
            name: "b".into(),
            state: TransferState::Failed,
            error: Some("no peer answers".into()),
            ..TransferRow::default()
        };
        let lines = table([&running, &failed].into_iter()).lines();
        assert_eq!(lines[1], " 3  running  data.tar  4.00 GB   25%  112 MB/s   27s      4");
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["12", "failed", "b", "no", "peer", "answers"]);
    }
}
