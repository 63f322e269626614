//! How an upload stands as a row of transfers. Pure.

use std::path::Path;
use std::time::Duration;

use crate::content::name::{escape, printable};
use crate::control::{DeltaPhase, DeltaRow, Direction, Phase, PhaseRow, TransferKind, TransferRow, TransferState};
use crate::delta::coverage::What;
use crate::engine::delta_strategy::DELTA;
use crate::upload::{Look, PatchLook, Standing, is_staged};

/// Silence from which on it is told.
pub(super) const QUIET: Duration = Duration::from_secs(5);
/// Silence from which on the sender counts as paused or away.
pub(super) const AWAY: Duration = Duration::from_secs(40);
/// How often the rates of one that moves are looked at.
const MOVING: Duration = Duration::from_millis(500);
/// Senders that are named.
const NAMED: usize = 3;

/// What was measured of an upload.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Bytes per second now.
    pub rate: u64,
    /// Bytes per second, smoothed.
    pub smooth: u64,
    /// Since something came.
    pub idle: Duration,
    /// In which something came.
    pub running: Duration,
}

/// The row, and after how long it changes by itself.
pub(super) fn make(look: &Look, pace: &Pace, root: &Path) -> (TransferRow, Option<Duration>) {
    let (state, reason, next) = standing(look, pace);
    let leaf = look.path.file_name().unwrap_or_default();
    // Names of its own making say nothing: its files get theirs from the sync.
    let synced = look.path.to_str().is_some_and(is_staged);
    let left = look.size - look.held_bytes.min(look.size);
    let moves = state == TransferState::Running;
    let came: u64 = look.senders.iter().map(|sender| sender.bytes).sum();
    let row = TransferRow {
        id: look.number,
        kind: TransferKind::Receive,
        name: if synced { "files of a sync".into() } else { printable(&escape(leaf)) },
        strategy: match (look.stream, synced) {
            (true, _) => "tus",
            (_, true) => "sync",
            _ => "upload",
        }
        .into(),
        from: senders(look),
        direction: Direction::Down,
        state,
        reason: printable(&reason),
        size: if look.deferred { 0 } else { look.size },
        done: look.held_bytes,
        pieces: if look.deferred { 0 } else { look.segments },
        pieces_done: look.held,
        files: look.files,
        rate_down: pace.rate,
        smooth_down: pace.smooth,
        eta_s: (moves && pace.smooth > 0 && left > 0).then(|| left / pace.smooth),
        stalled_s: if moves { coarse(pace.idle).0.as_secs() } else { 0 },
        peers: look.senders.iter().filter(|sender| sender.bodies > 0).count() as u32,
        peers_known: look.senders.len() as u32,
        bytes_down: came,
        wire_bytes: came,
        bytes_per_peer: match look.standing {
            Standing::Done => look.senders.iter().map(|s| (s.host.to_string(), s.bytes)).collect(),
            _ => Vec::new(),
        },
        rank: look.number.0,
        path: printable(&root.join(&look.path).display().to_string()),
        added_ms: look.began_ms,
        ended_ms: look.ended_ms,
        duration_s: pace.running.as_secs_f64(),
        verified: look.standing == Standing::Done,
        ..TransferRow::default()
    };
    (row, next)
}

/// The row of a file that is changed by a delta.
pub(super) fn of_patch(patch: &PatchLook, pace: &Pace, root: &Path) -> (TransferRow, Option<Duration>) {
    let (mut row, next) = make(&patch.look, pace, root);
    let bytes = |what| patch.coverage.bytes(what);
    let (matched, sent) = (bytes(What::Matched), bytes(What::Sent));
    let done = patch.look.standing == Standing::Done;
    let saved = 1.0 - row.wire_bytes as f64 / row.size.max(1) as f64;
    row.strategy = DELTA.into();
    row.delta = Some(DeltaRow {
        phase: DeltaPhase::Patching,
        matched,
        literal: sent,
        sent,
        savings_percent: done.then_some((saved * 10_000.0).round() / 100.0),
        ..DeltaRow::default()
    });
    let active = matches!(patch.look.standing, Standing::Open | Standing::Assembling);
    let rate = (pace.running.as_secs_f64() > 0.1).then(|| (row.done as f64 / pace.running.as_secs_f64()) as u64);
    row.phases =
        vec![PhaseRow { active, rate: rate.unwrap_or(0), ..PhaseRow::at(Phase::Patching, row.done, row.size) }];
    row.reason = match (&patch.failed, patch.look.standing) {
        (Some(_), _) => String::new(),
        (None, Standing::Open) if row.stalled_s > 0 => row.reason,
        (None, Standing::Open) => "a delta is applied: the old file stays until the new one is whole".into(),
        (None, Standing::Assembling) => "all is there: the digest of the whole is compared".into(),
        (None, Standing::Done) => "changed by a delta".into(),
        (None, Standing::Cancelled) => "cancelled here: the old file is as it was".into(),
    };
    if let Some(why) = &patch.failed {
        row.state = TransferState::Failed;
        row.error = Some(printable(&format!("{why}; the old file is as it was")));
    }
    (row, next)
}

fn standing(look: &Look, pace: &Pace) -> (TransferState, String, Option<Duration>) {
    let until = time(look.expires_ms);
    match look.standing {
        Standing::Assembling => (TransferState::Checking, "verifying what came; then it gets its name".into(), None),
        Standing::Done => (TransferState::Done, format!("complete; listed until {until}"), None),
        Standing::Cancelled => {
            (TransferState::Cancelled, format!("cancelled here; its sender is refused until {until}"), None)
        }
        Standing::Open => {
            let (silence, next) = coarse(pace.idle);
            let state = if pace.idle >= AWAY { TransferState::Paused } else { TransferState::Running };
            let whole = look.held == look.segments && !look.deferred;
            let words = match &look.trouble {
                Some(trouble) => format!("{trouble}; kept until {until}"),
                None if whole && look.part => {
                    format!("a part of another upload: waits until that is put together; kept until {until}")
                }
                None if silence.is_zero() && look.deferred => {
                    "its size is not known yet: its sender says it at the end".into()
                }
                None if silence.is_zero() => String::new(),
                None if whole => format!("everything is here, its sender does not ask for it yet; kept until {until}"),
                None if state == TransferState::Paused => {
                    format!("the sender paused: nothing came for {}; kept until {until}", spelled(silence))
                }
                None => format!("nothing came for {}; kept until {until}", spelled(silence)),
            };
            let next = if pace.rate > 0 { next.min(MOVING) } else { next };
            (state, words, Some(next))
        }
    }
}

/// A time of silence in steps that grow with it, so that a row of one that waits changes now and then, not every
/// second; and how long this step lasts.
fn coarse(idle: Duration) -> (Duration, Duration) {
    let s = idle.as_secs();
    let (step, first) = match s {
        0..5 => (5, 0),
        5..10 => (10, 5),
        10..60 => (10, s / 10 * 10),
        60..3_600 => (60, s / 60 * 60),
        3_600..172_800 => (3_600, s / 3_600 * 3_600),
        _ => (86_400, s / 86_400 * 86_400),
    };
    let end = Duration::from_secs((s / step + 1) * step);
    (Duration::from_secs(first), end - idle)
}

fn spelled(silence: Duration) -> String {
    match silence.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// Who sends it: the first few.
fn senders(look: &Look) -> String {
    let named: Vec<&str> = look.senders.iter().take(NAMED).map(|sender| &*sender.host).collect();
    let more = look.senders.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    printable(&format!("{}{more}", named.join(", ")))
}

fn time(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::TransferId;
    use crate::upload::SenderLook;

    fn look() -> Look {
        let sender = |host: &str, bodies| SenderLook { host: host.into(), bytes: 3_000, bodies };
        Look {
            number: TransferId(7),
            path: "in/box/a.bin".into(),
            size: 10_000,
            segment_length: 1_024,
            segments: 10,
            held: 4,
            held_bytes: 4_096,
            files: 1,
            standing: Standing::Open,
            stream: false,
            part: false,
            deferred: false,
            began_ms: 1_000,
            touched_ms: 2_000,
            expires_ms: 1_773_489_824_000,
            ended_ms: None,
            senders: vec![sender("10.0.0.7:7070", 2), sender("10.0.0.8", 0)],
            trouble: None,
        }
    }

    fn pace(rate: u64, idle: u64) -> Pace {
        Pace { rate, smooth: rate, idle: Duration::from_secs(idle), ..Pace::default() }
    }

    fn of(look: &Look, pace: Pace) -> TransferRow {
        make(look, &pace, Path::new("/srv")).0
    }

    #[test]
    fn one_that_moves_says_from_whom_how_fast_and_where_to() {
        let row = of(&look(), pace(1_000, 0));
        assert_eq!(
            (row.kind, row.direction, row.state),
            (TransferKind::Receive, Direction::Down, TransferState::Running)
        );
        assert_eq!((row.name.as_str(), row.path.as_str()), ("a.bin", "/srv/in/box/a.bin"));
        assert_eq!((row.from.as_str(), row.strategy.as_str()), ("10.0.0.7:7070, 10.0.0.8", "upload"));
        assert_eq!((row.done, row.size, row.eta_s, row.rate_down), (4_096, 10_000, Some(5), 1_000));
        assert_eq!((row.peers, row.peers_known, row.bytes_down, row.stalled_s), (1, 2, 6_000, 0));
        assert_eq!(row.reason, "");
    }

    #[test]
    fn silence_is_told_in_growing_steps() {
        let row = of(&look(), pace(0, 17));
        assert_eq!((row.state, row.stalled_s), (TransferState::Running, 10));
        assert_eq!(row.reason, "nothing came for 10 s; kept until 2026-03-14 12:03 UTC");
        let row = of(&look(), pace(0, 40));
        assert_eq!(row.state, TransferState::Paused);
        assert_eq!(row.reason, "the sender paused: nothing came for 40 s; kept until 2026-03-14 12:03 UTC");
        // Every change comes with a look: what is shown never lags, and an hour costs few of them.
        let (mut idle, mut changes, mut last) = (Duration::ZERO, 0, "none yet".to_owned());
        while idle < Duration::from_secs(7_200) {
            let (row, next) = make(&look(), &Pace { idle, ..Pace::default() }, Path::new("/"));
            assert_ne!(row.reason, last, "{idle:?}");
            last = row.reason;
            idle += next.unwrap();
            changes += 1;
        }
        assert!(changes < 70, "{changes}");
        for (s, words) in [(3_599, "59 min"), (3_600, "1 h"), (172_800, "2 days")] {
            assert!(of(&look(), pace(0, s)).reason.contains(&format!("for {words};")), "{s}");
        }
    }

    #[test]
    fn what_has_no_length_yet_has_no_size() {
        let deferred = Look { deferred: true, size: 4_096, segments: 1 << 20, ..look() };
        let row = of(&deferred, pace(1_000, 0));
        assert_eq!((row.size, row.pieces, row.done), (0, 0, 4_096));
        assert!(row.reason.contains("size is not known yet"), "{}", row.reason);
        assert_eq!(of(&Look { deferred: false, ..deferred }, pace(1_000, 0)).size, 4_096);
    }

    #[test]
    fn files_of_a_sync_are_called_what_they_are() {
        let path = crate::upload::staged("0123456789abcdef0123456789abcdef");
        let row = of(&Look { path: path.into(), ..look() }, pace(1, 0));
        assert_eq!((row.name.as_str(), row.via()), ("files of a sync", "sync"));
    }

    #[test]
    fn every_standing_has_its_words() {
        let mut look = look();
        (look.held, look.held_bytes) = (10, 10_000);
        assert!(of(&look, pace(0, 9)).reason.contains("does not ask for it yet"));
        look.part = true;
        assert!(of(&look, pace(0, 0)).reason.contains("a part of another upload"));
        look.trouble = Some("not published: \u{1b}[31mit is taken".into());
        let reason = of(&look, pace(0, 0)).reason;
        assert!(reason.contains("it is taken; kept until") && !reason.contains('\u{1b}'), "{reason}");
        look.standing = Standing::Assembling;
        assert_eq!(of(&look, pace(0, 9)).state, TransferState::Checking);
        (look.standing, look.ended_ms) = (Standing::Done, Some(5));
        let row = of(&look, pace(0, 9));
        assert_eq!((row.state, row.verified, row.ended_ms), (TransferState::Done, true, Some(5)));
        assert_eq!(row.bytes_per_peer[0], ("10.0.0.7:7070".into(), 3_000));
        look.standing = Standing::Cancelled;
        let row = of(&look, pace(0, 9));
        assert_eq!((row.state, row.verified), (TransferState::Cancelled, false));
        assert!(row.reason.contains("refused until"), "{}", row.reason);
        look.senders = vec![look.senders[1].clone(); 5];
        assert_eq!(of(&look, pace(0, 0)).from, "10.0.0.8, 10.0.0.8, 10.0.0.8 and 2 more");
    }
}
