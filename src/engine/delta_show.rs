//! What a delta shows of itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::delta_strategy::DELTA;
use super::shared::Shared;
use crate::control::{DeltaPhase, DeltaRow, PathRow, PathState, TransferState};
use crate::delta::rounds::Round;
use crate::push::delta::Cost;
use crate::push::paths::PathSpec;
use crate::swarm::Flow;

/// How often a row changes while bytes flow.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Shows what a delta does, over all its tries.
pub(super) struct Shown {
    shared: Arc<Shared>,
    cost: Arc<Cost>,
    size: u64,
    started: Instant,
    /// What the row had before: bytes up, on the wire, seconds.
    before: (u64, u64, f64),
}

impl Shown {
    pub(super) fn new(
        shared: Arc<Shared>,
        cost: Arc<Cost>,
        size: u64,
        path: &PathSpec,
        round_trip: Option<Duration>,
    ) -> Self {
        let row = shared.row();
        let before = (row.bytes_up, row.wire_bytes, row.duration_s);
        let path = PathRow {
            path: path.to_string(),
            via: path.via.clone(),
            state: PathState::Healthy,
            latency_ms: round_trip.map_or(0.0, |time| time.as_secs_f64() * 1e3),
            share: 1.0,
            ..PathRow::default()
        };
        shared.update(|row| {
            row.state = TransferState::Running;
            row.strategy = DELTA.into();
            (row.size, row.files, row.pieces, row.segment) = (size, 1, 1, size);
            (row.done, row.pieces_done) = (0, 0);
            row.delta = Some(DeltaRow::default());
            row.paths = vec![path];
            (row.peers, row.peers_known) = (1, 1);
            row.reason = "asks what is there".into();
        });
        Self { shared, cost, size, started: Instant::now(), before }
    }

    pub(super) fn phase(&self, phase: DeltaPhase, reason: &str) {
        self.shared.update(|row| {
            row.delta.get_or_insert_default().phase = phase;
            row.reason = reason.into();
        });
    }

    pub(super) fn round(&self, round: &Round) {
        let percent = round.matched as f64 / self.size.max(1) as f64 * 100.0;
        self.shared.update(|row| {
            let delta = row.delta.get_or_insert_default();
            (delta.phase, delta.rounds) = (DeltaPhase::Matching, round.number);
            (delta.matched, delta.literal) = (round.matched, self.size - round.matched);
            row.reason = format!("looks for what is there: {percent:.1} % found in {} rounds", round.number);
        });
        self.wire();
    }

    /// Counts what went over the wire so far.
    pub(super) fn wire(&self) {
        let seconds = self.before.2 + self.started.elapsed().as_secs_f64();
        self.shared.update(|row| {
            row.wire_bytes = self.before.1 + self.cost.both();
            row.duration_s = seconds;
        });
    }

    /// Shows bytes flow until it is dropped.
    pub(super) async fn flowing(&self) {
        let at_first = self.cost.sent.load(Ordering::Relaxed);
        let mut flow = Flow::new(Instant::now());
        loop {
            let now = Instant::now();
            let sent = self.cost.sent.load(Ordering::Relaxed) - at_first;
            flow.add(sent - flow.total(), now);
            let (rate, smooth, idle) = (flow.now(now), flow.smooth(now), flow.idle(now));
            self.shared.update(|row| {
                let matched = row.delta.unwrap_or_default().matched;
                (row.rate_up, row.smooth_up) = (rate, smooth);
                row.bytes_up = self.before.0 + sent;
                row.done = (matched + sent).min(self.size);
                row.stalled_s = idle.as_secs();
                let left = self.size - row.done;
                row.eta_s = (smooth > 0 && left > 0).then(|| left / smooth);
                for path in &mut row.paths {
                    (path.rate, path.bytes, path.assigned) = (rate, sent, sent);
                }
            });
            self.wire();
            tokio::time::sleep(TICK).await;
        }
    }

    /// It is there: what that saved.
    pub(super) fn done(&self, matched: u64, literal: u64, instructions: u64) {
        self.wire();
        self.shared.update(|row| {
            let saved = 1.0 - row.wire_bytes as f64 / self.size.max(1) as f64;
            let delta = row.delta.get_or_insert_default();
            (delta.matched, delta.literal) = (matched, literal);
            delta.savings_percent = Some((saved * 10_000.0).round() / 100.0);
            (row.done, row.pieces_done, row.verified) = (self.size, 1, true);
            row.bytes_up = self.before.0 + instructions;
            for path in &mut row.paths {
                (path.bytes, path.assigned, path.done) = (instructions, instructions, 1);
            }
        });
    }
}
