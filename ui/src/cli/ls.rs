//! `skep ls`.

use skep_engine::control::{Focus, TransferKind, TransferRow, TransferState};

use super::context::Context;
use crate::host;
use crate::output::{Align, Exit, Failure, Table, human, listed, path_line, phases_line, state_word};

/// Longest name that the table shows in full.
const NAME_WIDTH: usize = 48;

/// List the transfers of the running node
///
/// What this node fetches, shares and sends, and what others push to it (receive). With `--json`: one object per
/// transfer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Done and cancelled ones, too, and the paths of what is sent
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
                cx.out.object(&listed(row));
            }
            return Ok(Exit::Done);
        }
        if !shown.is_empty() {
            let lines = table(shown.iter().map(|row| row.as_ref())).lines();
            for (at, line) in lines.iter().enumerate() {
                cx.out.line(line);
                // Line 0 has the headings.
                let row = at.checked_sub(1).and_then(|at| shown.get(at)).filter(|_| args.all);
                for path in row.iter().flat_map(|row| &row.paths) {
                    cx.out.line(&format!("      {}", path_line(path)));
                }
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
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("NAME", Align::Left),
        ("VIA", Align::Left),
        ("SIZE", Align::Right),
        ("DONE", Align::Right),
        ("DOWN", Align::Right),
        ("UP", Align::Right),
        ("LEFT", Align::Right),
        ("PEERS", Align::Right),
        ("FROM/TO", Align::Left),
        ("REASON", Align::Left),
    ]);
    for row in rows {
        let rate = |r: u64| if r == 0 { String::new() } else { human::rate(r) };
        let done = human::percent(row.done, row.size).map(|p| format!("{p}%")).unwrap_or_default();
        table.row(vec![
            row.id.to_string(),
            row.kind.name().into(),
            state_word(row.state).into(),
            human::shortened(&row.name, NAME_WIDTH),
            row.via().into(),
            if row.size == 0 && row.content.is_none() && unknown_size(row) {
                String::new()
            } else {
                human::bytes(row.size)
            },
            if row.kind == TransferKind::Share { String::new() } else { done },
            rate(row.rate_down),
            rate(row.rate_up),
            row.eta_s.map(human::eta).unwrap_or_default(),
            if row.state == TransferState::Running { row.peers.to_string() } else { String::new() },
            human::shortened(if row.kind == TransferKind::Receive { &row.from } else { &row.dest }, NAME_WIDTH),
            row.error.clone().unwrap_or_else(|| why(row)),
        ]);
    }
    table
}

/// What comes says how much it is only later.
fn unknown_size(row: &TransferRow) -> bool {
    match row.kind {
        TransferKind::Fetch => true,
        TransferKind::Receive => row.state != TransferState::Done,
        _ => false,
    }
}

/// What a sync or a delta does now, or what a delta saved; else why it is as it is.
fn why(row: &TransferRow) -> String {
    let saved = row.delta.and_then(|delta| delta.savings_percent).filter(|_| row.state == TransferState::Done);
    match (phases_line(row), saved) {
        (phases, _) if !phases.is_empty() => phases,
        (_, Some(saved)) => format!("{saved:.1}% saved: {} on the wire", human::bytes(row.wire_bytes)),
        _ => row.reason.clone(),
    }
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
            strategy: "transit-p2p-swarm".into(),
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
        let received = TransferRow {
            id: TransferId(13),
            kind: TransferKind::Receive,
            name: "c".into(),
            strategy: "upload".into(),
            from: "10.0.0.7".into(),
            state: TransferState::Paused,
            ..TransferRow::default()
        };
        let lines = table([&running, &failed, &received].into_iter()).lines();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&lines[1]), "3 fetch running data.tar swarm 4.00 GB 25% 112 MB/s 27s 4");
        assert_eq!(words(&lines[2]), "12 fetch failed b no peer answers");
        assert_eq!(words(&lines[3]), "13 receive paused c upload 10.0.0.7");
    }
}
