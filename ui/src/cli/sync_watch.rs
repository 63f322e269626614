//! `skep sync --watch`: one line per pass, until a signal comes.

use std::time::Duration;

use serde_json::{Value, json};
use skep_engine::control::sync::WatchRow;
use skep_engine::control::{
    Command, Connection, Focus, Reply, SyncRequest, TransferId, TransferRow, TransferState, View,
};

use super::context::Context;
use crate::host::{self, Host, Start};
use crate::logging;
use crate::output::{Exit, Failure, result_event, result_line, totals_line};
use crate::signals::Stop;

/// How long a node that was asked to pause the sync may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Syncs, and goes on syncing.
///
/// # Errors
/// It was refused or cancelled, or the node is lost.
pub(super) async fn run(cx: &Context, request: SyncRequest) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    let logging = logging::start(cx.settings(), false)?;
    let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
    let end = follow(cx, &host, request, &mut stop).await;
    let exit = end.as_ref().copied().unwrap_or(Exit::Failed);
    stop.cleaning_up(exit, host.close()).await;
    end
}

async fn follow(cx: &Context, host: &Host, request: SyncRequest, stop: &mut Stop) -> Result<Exit, Failure> {
    let control = host.control();
    let mut view = control.view(Focus::default());
    let before = host::snapshot(&mut view).await?.transfers.clone();
    let Reply::Added { ids, .. } = control.command(Command::Sync(request)).await? else {
        return Err(Failure::failed("the node gave another answer"));
    };
    let Some(id) = ids.first().copied() else { return Err(Failure::failed("the node gave another answer")) };
    let (mut told, mut begun): (Option<WatchRow>, bool) = Default::default();
    loop {
        let row = row(&mut view, id);
        if let Some(row) = &row {
            // A snapshot from before the command shows how it ended last time.
            begun |= !row.state.is_settled() || !before.contains(row);
            if begun {
                tell(cx, row, &mut told);
            }
            if begun && row.state.is_settled() {
                return ended(cx, row);
            }
        }
        if let Connection::Lost { error, .. } = &*view.connection.borrow()
            && host.is_gone()
        {
            return Err(Failure::new(Exit::Incomplete, format!("the node has ended: {error}")));
        }
        tokio::select! {
            _ = stop.wait() => break,
            changed = view.snapshots.changed() => if changed.is_err() {
                return Err(Failure::new(Exit::Incomplete, "the node stopped"));
            },
            Ok(()) = view.connection.changed() => {}
        }
    }
    // Paused it neither goes on behind one's back nor forgets what it was about.
    control.command(Command::Pause { ids: vec![id] }).await?;
    let rests = async {
        loop {
            match row(&mut view, id) {
                Some(row) if !row.state.is_settled() => {}
                row => return row,
            }
            if view.snapshots.changed().await.is_err() {
                return None;
            }
        }
    };
    if let Ok(Some(row)) = tokio::time::timeout(PATIENCE, rests).await {
        tell(cx, &row, &mut told);
    }
    let passes = told.map_or(0, |watch| watch.passes);
    cx.out.result(
        || json!({ "type": "result", "id": id, "state": "stopped", "passes": passes }),
        || format!("stopped after {}", if passes == 1 { "1 pass".to_owned() } else { format!("{passes} passes") }),
    );
    Ok(Exit::Done)
}

fn row(view: &mut View, id: TransferId) -> Option<std::sync::Arc<TransferRow>> {
    let snapshot = view.snapshots.borrow_and_update().clone();
    snapshot.transfers.iter().find(|row| row.id == id).cloned()
}

/// Says what is new.
fn tell(cx: &Context, row: &TransferRow, told: &mut Option<WatchRow>) {
    let Some(now) = &row.watch else { return };
    for (event, line) in news(told.as_ref(), now) {
        cx.out.result(|| event, || line);
    }
    *told = Some(now.clone());
}

/// What there is to say where the last that was said is `told`.
fn news(told: Option<&WatchRow>, now: &WatchRow) -> Vec<(Value, String)> {
    let mut news = Vec::new();
    let was_away = told.and_then(|told| told.away.as_ref());
    if let (Some(_), None) = (was_away, &now.away) {
        news.push((json!({ "type": "back" }), "the receiver answers again".to_owned()));
    }
    if told.is_none_or(|told| told.passes < now.passes) && now.passes > 0 {
        let mut event = json!({ "type": "pass", "pass": now.passes, "at_ms": now.at_ms, "totals": now.last, "folders": now.folders });
        let mut line = format!("pass {}: {}", now.passes, totals_line(&now.last));
        if !now.trouble.is_empty() {
            event["error"] = now.trouble.as_str().into();
            line = format!("pass {}: {}", now.passes, now.trouble);
        }
        news.push((event, line));
    }
    if let (None, Some(error)) = (was_away, &now.away) {
        news.push((
            json!({ "type": "away", "error": error }),
            format!("the receiver is away: {error}; waiting for it"),
        ));
    }
    news
}

/// It ended by itself, or somebody else ended it.
fn ended(cx: &Context, row: &TransferRow) -> Result<Exit, Failure> {
    let words = match row.state {
        TransferState::Paused => "paused by another command".to_owned(),
        TransferState::Cancelled => "cancelled by another command".to_owned(),
        _ => row.error.clone().unwrap_or_default(),
    };
    if row.state == TransferState::Done {
        cx.out.result(|| result_event(row, None), || result_line(row));
        return Ok(Exit::Done);
    }
    let exit = if row.refused { Exit::Refused } else { Exit::Incomplete };
    Err(Failure::new(exit, format!("{}: {words}", row.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::sync::Totals;

    #[test]
    fn each_pass_is_told_once_and_a_receiver_that_goes_and_comes() {
        let first =
            WatchRow { passes: 1, last: Totals { entries: 3, new: 3, ..Totals::default() }, ..WatchRow::default() };
        let lines = |told: Option<&WatchRow>, now: &WatchRow| {
            news(told, now)
                .into_iter()
                .map(|(event, line)| (event["type"].as_str().unwrap().to_owned(), line))
                .collect::<Vec<_>>()
        };
        assert!(lines(None, &WatchRow::default()).is_empty(), "not before the first is over");
        let told = lines(None, &first);
        assert!(told.len() == 1 && told[0].0 == "pass" && told[0].1.starts_with("pass 1: 3 new"), "{told:?}");
        assert!(lines(Some(&first), &first).is_empty());
        let away = WatchRow { away: Some("no answer".into()), ..first.clone() };
        assert_eq!(lines(Some(&first), &away)[0].0, "away");
        assert!(lines(Some(&away), &WatchRow { away: Some("still none".into()), ..first.clone() }).is_empty());
        let back = WatchRow { passes: 2, ..first.clone() };
        let told = lines(Some(&away), &back);
        assert_eq!((told.len(), told[0].0.as_str(), told[1].0.as_str()), (2, "back", "pass"));
        let trouble = WatchRow { passes: 3, trouble: "not everything can be read: x".into(), ..first };
        assert_eq!(lines(Some(&back), &trouble)[0].1, "pass 3: not everything can be read: x");
    }
}
