//! What a delta shows of itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::adapt::Following;
use super::delta_map::{detail_of, map_of};
use super::delta_strategy::DELTA;
use super::shared::Shared;
use crate::control::{DeltaPhase, DeltaRow, MAX_CELLS, PathRow, PathState, Phase, PhaseRow, TransferState};
use crate::delta::coverage::{Coverage, What};
use crate::delta::flow::Told;
use crate::push::delta::Cost;
use crate::push::paths::PathSpec;
use crate::swarm::Flow;

/// How often a row changes while bytes flow.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Shows what a delta does, over all its tries.
pub(super) struct Shown {
    shared: Arc<Shared>,
    link: Following,
    cost: Arc<Cost>,
    size: u64,
    started: Instant,
    /// What the row had before: bytes up, on the wire, seconds.
    before: (u64, u64, f64),
    coverage: Mutex<Coverage>,
    /// When each kind of work began, for what it does in a second.
    begun: Mutex<BTreeMap<Phase, Instant>>,
}

impl Shown {
    pub(super) fn new(
        shared: Arc<Shared>,
        link: Following,
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
        let coverage = Mutex::new(Coverage::new(size, MAX_CELLS));
        let begun = Default::default();
        Self { shared, link, cost, size, started: Instant::now(), before, coverage, begun }
    }

    fn coverage(&self) -> MutexGuard<'_, Coverage> {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try begins: nothing is known.
    pub(super) fn begins(&self) {
        self.coverage().clear();
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.update(|row| {
            row.phases.clear();
            row.delta = Some(DeltaRow::default());
            row.reason = "asks what is there".into();
        });
    }

    pub(super) fn phase(&self, phase: DeltaPhase, reason: &str) {
        self.shared.update(|row| {
            row.delta.get_or_insert_default().phase = phase;
            row.reason = reason.into();
        });
    }

    /// How far a kind of work is, in bytes.
    pub(super) fn works(&self, phase: Phase, done: u64, total: u64) {
        let now = Instant::now();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now.saturating_duration_since(*begun.entry(phase).or_insert(now)).as_secs_f64();
        drop(begun);
        let rate = if seconds > 0.01 { (done as f64 / seconds) as u64 } else { 0 };
        let active = total == 0 || done < total;
        self.shared.update(|row| PhaseRow { active, rate, ..PhaseRow::at(phase, done, total) }.put(&mut row.phases));
    }

    /// What was found so far. What is decided leaves at once; when all is, what has not left is sent.
    pub(super) fn decided(&self, told: &Told<'_>, old_size: u64) {
        let progress = &told.progress;
        let looked_at = progress.matched + progress.literal;
        let percent = progress.matched as f64 / looked_at.max(1) as f64 * 100.0;
        self.coverage().decided(told.source.clone(), told.runs);
        self.works(Phase::Matching, looked_at, self.size);
        if looked_at == self.size {
            self.works(Phase::Signatures, old_size, old_size);
            let sent = self.coverage().bytes(What::Sent);
            self.works(Phase::Sending, sent, progress.literal);
        }
        self.shared.update(|row| {
            let delta = row.delta.get_or_insert_default();
            (delta.rounds, delta.matched, delta.literal) = (progress.rounds, progress.matched, progress.literal);
            if looked_at < self.size {
                delta.phase = DeltaPhase::Matching;
                row.reason = format!("sends what is not there: {percent:.1} % found so far");
            } else {
                delta.phase = DeltaPhase::Sending;
                row.reason = "sends what is not there".into();
            }
        });
        self.tell();
    }

    /// Counts what went over the wire so far.
    pub(super) fn wire(&self) {
        let seconds = self.before.2 + self.started.elapsed().as_secs_f64();
        let over = self.link.now(&self.shared, self.link.literals());
        self.shared.update(|row| {
            row.over = over;
            row.wire_bytes = self.before.1 + self.cost.both();
            row.duration_s = seconds;
        });
    }

    /// The wire, and the map for whoever looks at it.
    fn tell(&self) {
        self.wire();
        if *self.shared.wanted.borrow() {
            let name = self.shared.row().name;
            let detail = detail_of(self.shared.id, &name, &self.coverage());
            self.shared.show(Some(detail));
        }
    }

    /// Shows how it goes until it is dropped.
    pub(super) async fn flowing(&self) {
        let at_first = self.cost.sent.load(Ordering::Relaxed);
        let mut flow = Flow::new(Instant::now());
        loop {
            let now = Instant::now();
            let out = self.cost.sent.load(Ordering::Relaxed) - at_first;
            flow.add(out - flow.total(), now);
            let (rate, smooth, idle) = (flow.now(now), flow.smooth(now), flow.idle(now));
            let (literal, sent) = {
                let mut coverage = self.coverage();
                coverage.sent_in_order(self.cost.made.load(Ordering::Relaxed));
                (coverage.bytes(What::Literal), coverage.bytes(What::Sent))
            };
            if literal > 0 {
                self.works(Phase::Sending, sent, literal);
            }
            self.shared.update(|row| {
                let delta = row.delta.get_or_insert_default();
                delta.sent = sent;
                let (matched, sends) = (delta.matched, delta.phase == DeltaPhase::Sending);
                (row.rate_up, row.smooth_up) = (rate, smooth);
                row.bytes_up = self.before.0 + out;
                row.done = (matched + sent).min(self.size);
                // While it looks for what is there nothing needs to go.
                row.stalled_s = if sends { idle.as_secs() } else { 0 };
                let left = literal - sent;
                row.eta_s = (sends && smooth > 0 && left > 0).then(|| left / smooth);
                for path in &mut row.paths {
                    (path.rate, path.bytes, path.assigned) = (rate, out, out);
                }
            });
            self.tell();
            tokio::time::sleep(TICK).await;
        }
    }

    /// It is there: what that saved.
    pub(super) fn done(&self, matched: u64, literal: u64, instructions: u64) {
        self.coverage().sent_in_order(u64::MAX);
        self.works(Phase::Sending, literal, literal);
        self.works(Phase::Patching, self.size, self.size);
        self.shared.keep_map(map_of(&self.coverage()));
        self.tell();
        self.shared.update(|row| {
            let saved = 1.0 - row.wire_bytes as f64 / self.size.max(1) as f64;
            let delta = row.delta.get_or_insert_default();
            (delta.matched, delta.literal, delta.sent) = (matched, literal, literal);
            delta.savings_percent = Some((saved * 10_000.0).round() / 100.0);
            (row.done, row.pieces_done, row.verified) = (self.size, 1, true);
            PhaseRow::rest(&mut row.phases);
            row.bytes_up = self.before.0 + instructions;
            for path in &mut row.paths {
                (path.bytes, path.assigned, path.done) = (instructions, instructions, 1);
            }
        });
    }
}
