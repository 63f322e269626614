//! A transfer as the JSON stream and the result line show it.

use std::time::Duration;

use serde_json::{Value, json};
use skep_engine::content::name::{counted, printable};
use skep_engine::control::sync::Totals;
use skep_engine::control::{Direction, PathRow, PathState, TransferRow, TransferState};

use super::human;

/// The state as it stands in JSON and in tables.
pub fn state_word(state: TransferState) -> &'static str {
    state.name()
}

/// Bytes per second that count for this transfer's direction.
fn rate_of(row: &TransferRow) -> u64 {
    if row.direction == Direction::Up { row.rate_up } else { row.rate_down }
}

/// Payload that counts for its direction, without what was thrown away.
fn moved(row: &TransferRow) -> u64 {
    if row.direction == Direction::Up { row.bytes_up } else { row.bytes_down.min(row.size) }
}

/// Bytes per second over the whole of it.
fn mean_rate(row: &TransferRow) -> u64 {
    if row.duration_s > 0.0 { (moved(row) as f64 / row.duration_s) as u64 } else { 0 }
}

/// What `ls --json` gives per transfer: as a progress event, and the paths of a push.
pub fn listed(row: &TransferRow) -> Value {
    let mut event = progress_event("transfer", row);
    if let (Some(object), false) = (event.as_object_mut(), row.paths.is_empty()) {
        object.insert("paths".into(), row.paths.iter().map(path_object).collect());
    }
    event
}

/// `{"type":"progress", …}`
pub fn progress_event(kind: &str, row: &TransferRow) -> Value {
    json!({
        "type": kind,
        "id": row.id,
        "kind": row.kind,
        "content_id": row.content,
        "name": row.name,
        "state": state_word(row.state),
        "reason": row.reason,
        "strategy": row.strategy,
        "strategy_reason": row.strategy_reason,
        "direction": row.direction,
        "from": row.from,
        "dest": row.dest,
        "priority": row.priority,
        "bytes_done": row.done,
        "bytes_total": row.size,
        "pieces_done": row.pieces_done,
        "pieces_total": row.pieces,
        "rate_bytes_per_s": rate_of(row),
        "rate_up_bytes_per_s": row.rate_up,
        "rate_down_bytes_per_s": row.rate_down,
        "bytes_up": row.bytes_up,
        "bytes_down": row.bytes_down,
        "peers": row.peers,
        "peers_known": row.peers_known,
        "eta_s": row.eta_s,
        "stalled_s": row.stalled_s,
        "saved_bytes": row.saved_bytes,
        "over": row.over,
        "delta": row.delta,
        "phases": row.phases,
        "sync": row.sync,
        "path": row.path,
        "link": row.link,
        "error": row.error,
    })
}

/// `{"type":"result", …}`: the last line of a transfer. `error` is what the command itself has to
/// say beyond the row's own error.
pub fn result_event(row: &TransferRow, error: Option<&str>) -> Value {
    let peers: Vec<Value> =
        row.bytes_per_peer.iter().map(|(peer, bytes)| json!({ "peer": peer, "bytes": bytes })).collect();
    let mut result = json!({
        "type": "result",
        "id": row.id,
        "content_id": row.content,
        "name": row.name,
        "state": state_word(row.state),
        "strategy": row.strategy,
        "reason": if row.reason.is_empty() { &row.strategy_reason } else { &row.reason },
        "bytes": row.done,
        "wire_bytes": row.wire_bytes,
        "saved_bytes": row.saved_bytes,
        "over": row.over,
        "duration_s": row.duration_s,
        "rate_bytes_per_s": mean_rate(row),
        "pieces": row.pieces_done,
        "files": row.files,
        "path": row.path,
        "link": row.link,
        "verified": row.verified,
    });
    if let Some(object) = result.as_object_mut() {
        if row.paths.is_empty() {
            object.insert("peers".into(), peers.into());
        } else {
            object.insert("paths".into(), row.paths.iter().map(path_object).collect());
        }
        if let Some(totals) = &row.sync {
            object.insert("totals".into(), json!(totals));
        }
    }
    if let (Some(delta), Some(object)) = (&row.delta, result.as_object_mut()) {
        object.insert("matched_bytes".into(), delta.matched.into());
        object.insert("literal_bytes".into(), delta.literal.into());
        object.insert("delta_savings_percent".into(), delta.savings_percent.into());
    }
    if let (Some(error), Some(object)) = (error.or(row.error.as_deref()), result.as_object_mut()) {
        object.insert("error".into(), error.into());
    }
    result
}

/// One path of a push.
pub fn path_object(path: &PathRow) -> Value {
    let (throughput, latency, errors) = path.terms;
    json!({
        "path": path.path,
        "state": path.state,
        "latency_ms": path.latency_ms,
        "rate_bytes_per_s": path.rate,
        "error_rate": path.error_rate,
        "score": path.score,
        "terms": { "throughput": throughput, "latency": latency, "errors": errors },
        "share": path.share,
        "weight": path.weight.unwrap_or(1.0),
        "bytes_assigned": path.assigned,
        "bytes": path.bytes,
        "note": path.note,
    })
}

/// One path of a push for people: `http://10.0.0.2:7070 via eth1  healthy  12.0 MB/s  40%  512 MB`.
pub fn path_line(path: &PathRow) -> String {
    let state = match path.state {
        PathState::Healthy => "healthy",
        PathState::Degraded => "degraded",
        PathState::Dead => "dead",
        PathState::Probing => "probing",
        PathState::Idle => "idle",
        PathState::Disabled => "disabled",
    };
    let share = format!("{:.0}%", path.share * 100.0);
    let mut words = vec![printable(&path.path), state.into(), human::rate(path.rate), share, human::bytes(path.bytes)];
    if let Some(weight) = path.weight {
        words.push(format!("weight {weight}"));
    }
    if !path.note.is_empty() {
        words.push(printable(&path.note));
    }
    words.join("  ")
}

/// What a sync or a delta does now: `matching 62%, sending 32%`; empty for others.
pub fn phases_line(row: &TransferRow) -> String {
    let active = row.phases.iter().filter(|phase| phase.active);
    let words = active.map(|phase| match human::percent(phase.done, phase.total) {
        Some(percent) => format!("{} {percent}%", phase.phase.name()),
        None => phase.phase.name().to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The result of a transfer for people.
pub fn result_line(row: &TransferRow) -> String {
    let took = Duration::try_from_secs_f64(row.duration_s).unwrap_or_default();
    let mut words = vec![human::bytes(row.size)];
    if let Some(totals) = &row.sync {
        words = vec![totals_line(totals), format!("in {}", human::took(took))];
        words.push(format!("{} on the network", human::bytes(row.wire_bytes)));
    } else if row.direction == Direction::Up {
        words.push(format!("in {}", human::took(took)));
        match row.delta.and_then(|delta| delta.savings_percent) {
            Some(saved) => words.push(format!("{} over the wire ({saved:.1} % saved)", human::bytes(row.wire_bytes))),
            None => words.push(human::rate(mean_rate(row))),
        }
        let used = row.paths.iter().filter(|path| path.bytes > 0).count();
        words.push(format!("over {}", human::counted(used.max(1) as u64, "path")));
    } else if row.bytes_down == 0 {
        words.push("all there already".into());
    } else {
        words.push(format!("in {}", human::took(took)));
        words.push(human::rate(mean_rate(row)));
        words.push(format!("from {}", human::counted(row.bytes_per_peer.len().max(1) as u64, "peer")));
    }
    if row.saved_bytes > 0 {
        words.push(format!("{} less by compression", human::bytes(row.saved_bytes)));
    }
    words.push(if row.verified { "verified" } else { "NOT VERIFIED" }.into());
    format!("{}  {}", printable(&row.path), words.join(", "))
}

/// What a sync comes to, in one line.
pub fn totals_line(totals: &Totals) -> String {
    let same = |count, what| (count, what, what);
    let counts = [
        same(totals.new, "new"),
        same(totals.changed, "changed"),
        same(totals.moved, "moved"),
        same(totals.copied + totals.linked, "copied or linked there"),
        (totals.symlinks, "symbolic link", "symbolic links"),
        (totals.folders, "folder made", "folders made"),
        same(totals.touched, "touched"),
        same(totals.deleted, "deleted"),
        (totals.left, "left as it is", "left as they are"),
        same(totals.extra, "only there and kept"),
    ];
    let some = counts.iter().filter(|(count, ..)| *count > 0);
    let some: Vec<String> = some.map(|(count, one, more)| counted(*count, one, more)).collect();
    let of = format!("of {}", entries(totals.entries));
    if some.is_empty() {
        return format!("nothing to do: all {} are equal", entries(totals.entries));
    }
    format!("{}; {} to send, {of}", some.join(", "), human::bytes(totals.send_bytes))
}

fn entries(count: u64) -> String {
    counted(count, "entry", "entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> TransferRow {
        TransferRow {
            name: "a.iso".into(),
            path: "/data/a.iso".into(),
            state: TransferState::Done,
            size: 2_000_000_000,
            done: 2_000_000_000,
            bytes_down: 2_000_000_000,
            wire_bytes: 2_000_100_000,
            duration_s: 2.0,
            pieces: 100,
            pieces_done: 100,
            bytes_per_peer: vec![("http://a:1".into(), 1_500_000_000), ("http://b:1".into(), 500_000_000)],
            verified: true,
            ..TransferRow::default()
        }
    }

    #[test]
    fn the_result_has_every_promised_field() {
        let result = result_event(&row(), None);
        for field in [
            "type",
            "id",
            "strategy",
            "reason",
            "bytes",
            "wire_bytes",
            "duration_s",
            "rate_bytes_per_s",
            "pieces",
            "peers",
            "verified",
        ] {
            assert!(result.get(field).is_some(), "{field}");
        }
        assert_eq!(result["rate_bytes_per_s"], 1_000_000_000u64);
        assert_eq!(result["peers"][1]["bytes"], 500_000_000u64);
        assert!(result.get("error").is_none());
        assert_eq!(result_event(&row(), Some("stopped"))["error"], "stopped");
    }

    #[test]
    fn progress_has_units_in_its_names() {
        let event = progress_event("progress", &row());
        for field in ["id", "state", "bytes_done", "bytes_total", "rate_bytes_per_s", "peers", "eta_s"] {
            assert!(event.get(field).is_some(), "{field}");
        }
        assert_eq!(event["state"], "done");
    }

    #[test]
    fn the_line_names_path_rate_and_peers() {
        assert_eq!(result_line(&row()), "/data/a.iso  2.00 GB, in 2.00 s, 1.00 GB/s, from 2 peers, verified");
        let there = TransferRow { bytes_down: 0, ..row() };
        assert_eq!(result_line(&there), "/data/a.iso  2.00 GB, all there already, verified");
    }

    #[test]
    fn phases_that_go_on_are_told() {
        use skep_engine::control::{Phase, PhaseRow};
        let over = PhaseRow { active: false, ..PhaseRow::at(Phase::Signatures, 9, 9) };
        let phases = vec![over, PhaseRow::at(Phase::Matching, 62, 100), PhaseRow::at(Phase::Patching, 0, 0)];
        let row = TransferRow { phases, ..row() };
        assert_eq!(phases_line(&row), "matching 62%, patching");
        let listed = listed(&row);
        assert_eq!(listed["phases"][1]["phase"], "matching");
        assert_eq!(listed["phases"][1]["total"], 100);
    }

    #[test]
    fn state_words_are_those_on_the_wire() {
        for state in [TransferState::Queued, TransferState::Pausing, TransferState::Seeding, TransferState::Cancelled] {
            assert_eq!(serde_json::to_value(state).unwrap(), state_word(state));
        }
    }
}
