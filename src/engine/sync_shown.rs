//! What a viewer sees of a sync, and what is kept of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::adapt::{Adapt, Following};
use super::strategy::Job;
use crate::content::Digest;
use crate::content::name::printable;
use crate::control::{DeltaPhase, PathRow, PathState, Phase, PhaseRow, TransferId};
use crate::push::delta::Cost;
use crate::push::drive::{Ledger, Progress};
use crate::push::plan::Standing;
use crate::store::{PushRecord, State};
use crate::swarm::Flow;
use crate::sync::plan::Plan;

/// Shows what a sync does, and keeps what it achieves.
pub(super) struct Shown {
    id: TransferId,
    state: Arc<State>,
    shared: Arc<super::shared::Shared>,
    paths: Vec<String>,
    before: (u64, u64, f64),
    saved_before: u64,
    started: Instant,
    flow: Mutex<Flow>,
    sums: Mutex<Sums>,
    /// Of all deltas.
    deltas: Arc<Cost>,
    link: Following,
}

/// How often a row changes while deltas flow.
const TICK: Duration = Duration::from_millis(250);

/// Bytes of uploads that are over, of the one that runs, and of everything else.
#[derive(Default)]
struct Sums {
    done: u64,
    sent: u64,
    wire: u64,
    now: (u64, u64),
    asked: u64,
}

impl Shown {
    pub(super) fn new(job: &Job, paths: Vec<String>) -> Self {
        let (row, started) = (job.shared.row(), Instant::now());
        Self {
            id: job.shared.id,
            state: job.services.state.clone(),
            shared: job.shared.clone(),
            paths,
            before: (row.bytes_up, row.wire_bytes, row.duration_s),
            saved_before: row.saved_bytes,
            started,
            flow: Mutex::new(Flow::new(started)),
            sums: Mutex::default(),
            deltas: Arc::default(),
            link: Following::new(Adapt::of(&job.services, &row.dest)),
        }
    }

    fn sums(&self) -> std::sync::MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn planned(&self, plan: &Plan, asked: u64) {
        let (mut sums, totals) = (self.sums(), plan.totals);
        (sums.done, sums.asked) = (0, asked);
        drop(sums);
        self.shared.update(|row| {
            (row.size, row.done) = (totals.send_bytes, 0);
            row.files = totals.entries;
            // What a later pass finds is on top of what the first one did.
            row.sync = Some(row.sync.filter(|_| totals.is_nothing()).unwrap_or(totals));
            PhaseRow::rest(&mut row.phases);
            for phase in [Phase::Scanning, Phase::Comparing] {
                let all = PhaseRow::at(phase, totals.entries, totals.entries);
                PhaseRow { active: false, ..all }.put(&mut row.phases);
            }
        });
        self.compared(asked);
    }

    pub(super) fn compared(&self, asked: u64) {
        let mut sums = self.sums();
        sums.asked = asked;
        let wire = self.before.1 + sums.wire + sums.asked + self.deltas.both();
        drop(sums);
        self.shared.update(|row| {
            row.wire_bytes = wire;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
        });
    }

    pub(super) fn begins(&self, push: &PushRecord) {
        self.sums().now = (0, 0);
        self.shared.update(|row| row.pieces = push.bytes.div_ceil(push.segment) as u32);
    }

    pub(super) fn ends(&self, push: &PushRecord) {
        let mut sums = self.sums();
        let (sent, wire) = std::mem::take(&mut sums.now);
        sums.done += push.bytes;
        (sums.sent, sums.wire) = (sums.sent + sent, sums.wire + wire);
        let done = sums.done;
        drop(sums);
        self.shared.update(|row| row.done = done);
    }

    /// Counts what deltas take.
    pub(super) fn deltas(&self) -> &Arc<Cost> {
        &self.deltas
    }

    /// Shows bytes of deltas flow until it is dropped.
    pub(super) async fn flowing(&self) {
        loop {
            self.flow();
            tokio::time::sleep(TICK).await;
        }
    }

    fn flow(&self) {
        let sums = self.sums();
        let (done, wire) = (sums.done, sums.wire + sums.asked + self.deltas.both());
        let sent = sums.sent + self.deltas.sent.load(Ordering::Relaxed);
        drop(sums);
        let (rate, smooth) = self.rate(sent);
        let over = self.link.now(&self.shared, self.link.literals());
        self.shared.update(|row| {
            row.done = done;
            row.over = over;
            (row.rate_up, row.smooth_up) = (rate, smooth);
            row.bytes_up = self.before.0 + sent;
            row.wire_bytes = self.before.1 + wire;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
        });
    }

    /// A file is there of which so much was there already.
    pub(super) fn patched(&self, matched: u64, literal: u64) {
        self.sums().done += matched + literal;
        self.flow();
        self.shared.update(|row| {
            let delta = row.delta.get_or_insert_default();
            delta.matched += matched;
            delta.literal += literal;
            delta.sent += literal;
            delta.phase = DeltaPhase::Sending;
        });
    }

    /// Bytes per second, now and smoothed, of so many in all.
    fn rate(&self, sent: u64) -> (u64, u64) {
        let now = Instant::now();
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        let news = sent.saturating_sub(flow.total());
        flow.add(news, now);
        (flow.now(now), flow.smooth(now))
    }

    /// A pass has ended. `whole`: both are equal.
    pub(super) fn over(&self, whole: bool) {
        self.shared.update(|row| {
            if whole {
                row.done = row.size;
                row.pieces_done = row.pieces;
            }
            row.verified = whole;
            PhaseRow::rest(&mut row.phases);
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
        });
    }
}

impl Ledger for Shown {
    fn record(&self, segments: &[(u32, Digest)]) -> Result<(), String> {
        self.state.put_sent(self.id, segments).map_err(|e| e.to_string())
    }

    fn wants_pieces(&self) -> bool {
        false
    }

    fn show(&self, p: Progress) {
        let mut sums = self.sums();
        sums.now = (p.sent, p.wire);
        let (done, sent, wire) = (sums.done + p.held, sums.sent + p.sent, sums.wire + p.wire + sums.asked);
        drop(sums);
        let (sent, wire) = (sent + self.deltas.sent.load(Ordering::Relaxed), wire + self.deltas.both());
        let (rate, smooth) = self.rate(sent);
        let over = self.link.now(&self.shared, p.level);
        let paths = self.paths.iter().zip(&p.paths).map(|(name, path)| PathRow {
            path: name.clone(),
            state: match path.view.standing {
                Standing::Healthy => PathState::Healthy,
                Standing::Degraded => PathState::Degraded,
                Standing::Dead { .. } => PathState::Dead,
                _ => PathState::Probing,
            },
            latency_ms: path.view.latency_ms,
            rate: path.view.rate as u64,
            share: path.view.share,
            bytes: path.bytes,
            active: path.view.active,
            note: printable(&path.note),
            ..PathRow::default()
        });
        let paths: Vec<PathRow> = paths.collect();
        self.shared.update(|row| {
            (row.done, row.pieces_done) = (done, p.segments);
            (row.rate_up, row.smooth_up) = (rate, smooth);
            row.bytes_up = self.before.0 + sent;
            row.wire_bytes = self.before.1 + wire;
            row.saved_bytes = self.saved_before + p.saved;
            row.over = over;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
            let sending =
                PhaseRow { active: done < row.size, rate: smooth, ..PhaseRow::at(Phase::Sending, done, row.size) };
            sending.put(&mut row.phases);
            let left = row.size.saturating_sub(done);
            row.eta_s = (smooth > 0 && left > 0).then(|| left / smooth);
            row.paths = paths;
        });
    }
}
