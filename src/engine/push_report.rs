//! What a push shows of itself, and the record of what it achieved.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::adapt::{Adapt, Following};
use super::shared::Shared;
use super::strategy::Job;
use crate::content::name::printable;
use crate::content::{Digest, EntryKind};
use crate::control::{Bits, PathChange, PathRow, PathState, PeerRow, PeerState, TransferDetail, TransferId};
use crate::push::drive::{Ledger, PathNews, Progress};
use crate::push::paths::PathSpec;
use crate::push::plan::{Change, Standing};
use crate::store::{PushRecord, State};
use crate::swarm::Flow;

/// The files that a viewer is shown, the first 1,000.
pub(super) fn files_of(push: &PushRecord) -> Vec<(String, u64)> {
    let files = push.files.iter().filter(|file| file.kind() == EntryKind::File);
    files.take(1_000).map(|file| (printable(&file.path), file.size)).collect()
}

/// Shows what a push does, and keeps what it achieves.
pub(super) struct Shown {
    id: TransferId,
    state: Arc<State>,
    shared: Arc<Shared>,
    paths: Vec<PathSpec>,
    segment: u64,
    files: Arc<Vec<(String, u64)>>,
    before: (u64, u64, f64),
    saved_before: u64,
    started: Instant,
    started_ms: u64,
    link: Following,
    /// What was acknowledged is recorded.
    records: bool,
    /// Of all, and of each path.
    flows: Mutex<(Flow, Vec<Flow>)>,
}

impl Shown {
    pub(super) fn new(job: &Job, paths: &[PathSpec], push: &PushRecord) -> Self {
        let row = job.shared.row();
        let started = Instant::now();
        Self {
            id: job.shared.id,
            state: job.services.state.clone(),
            shared: job.shared.clone(),
            paths: paths.to_vec(),
            segment: push.segment,
            files: Arc::new(files_of(push)),
            before: (row.bytes_up, row.wire_bytes, row.duration_s),
            saved_before: row.saved_bytes,
            started,
            started_ms: crate::clock::unix_ms(),
            link: Following::new(Adapt::of(&job.services, &row.dest)),
            records: true,
            flows: Mutex::new((Flow::new(started), vec![Flow::new(started); paths.len()])),
        }
    }

    /// Records nothing: the receivers know what they hold.
    pub(super) fn unrecorded(self) -> Self {
        Self { records: false, ..self }
    }

    /// A moment as ms since the epoch.
    fn ms(&self, at: Instant) -> u64 {
        let later = at.saturating_duration_since(self.started).as_millis() as u64;
        let earlier = self.started.saturating_duration_since(at).as_millis() as u64;
        (self.started_ms + later).saturating_sub(earlier)
    }

    fn path(&self, spec: &PathSpec, news: &PathNews, rate: u64) -> PathRow {
        let PathNews { view, bytes, note, .. } = news;
        let mut row = PathRow {
            path: spec.to_string(),
            via: spec.via.clone(),
            state: match view.standing {
                _ if !view.enabled => PathState::Disabled,
                Standing::Healthy => PathState::Healthy,
                Standing::Degraded => PathState::Degraded,
                Standing::Dead { .. } => PathState::Dead,
                Standing::Probing => PathState::Probing,
            },
            weight: (view.weight != 1.0).then_some(view.weight),
            probe_at_ms: None,
            latency_ms: view.latency_ms,
            rate,
            error_rate: view.error_rate,
            score: view.terms.score,
            terms: (view.terms.throughput, view.terms.latency, view.terms.errors),
            share: view.share,
            assigned: u64::from(view.queued + view.active) * self.segment + bytes,
            bytes: *bytes,
            queued: view.queued,
            active: view.active,
            window: view.window,
            done: view.done,
            note: printable(note),
        };
        if let (true, Standing::Dead { probe_at }) = (view.enabled, view.standing) {
            row.probe_at_ms = Some(self.ms(probe_at));
        }
        row
    }

    fn change(&self, change: &Change) -> PathChange {
        let places = |paths: &[usize]| paths.iter().map(|path| *path as u32).collect();
        PathChange {
            at_ms: self.ms(change.at),
            path: change.path.map(|path| path as u32),
            why: printable(&change.why.to_string()),
            moved: change.moved,
            from: places(&change.from),
            to: places(&change.to),
        }
    }

    /// What the row says: why nothing moves, else the last change of plan.
    fn reason(&self, p: &Progress) -> String {
        if let Some(words) = p.cut_off {
            return words.to_owned();
        }
        if self.paths.len() < 2 {
            return p.paths.first().map(|path| printable(&path.note)).unwrap_or_default();
        }
        let Some(change) = p.changes.first() else { return String::new() };
        match change.path.and_then(|path| self.paths.get(path)) {
            Some(path) => printable(&format!("{path} {}", change.why)),
            None => change.why.to_string(),
        }
    }

    /// The row counts the time so far, assembling included.
    pub(super) fn took(&self) {
        let seconds = self.before.2 + self.started.elapsed().as_secs_f64();
        self.shared.update(|row| row.duration_s = seconds);
    }
}

impl Ledger for Shown {
    fn record(&self, segments: &[(u32, Digest)]) -> Result<(), String> {
        if !self.records {
            return Ok(());
        }
        self.state.put_sent(self.id, segments).map_err(|e| e.to_string())
    }

    fn wants_pieces(&self) -> bool {
        *self.shared.wanted.borrow()
    }

    fn show(&self, p: Progress) {
        let now = Instant::now();
        let (rate, smooth, idle, rates) = {
            let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
            let (flow, flows) = &mut *flows;
            flow.add(p.sent.saturating_sub(flow.total()), now);
            let each = flows.iter_mut().zip(&p.paths).map(|(flow, path)| {
                flow.add(path.sent.saturating_sub(flow.total()), now);
                flow.now(now)
            });
            let rates: Vec<u64> = each.collect();
            (flow.now(now), flow.smooth(now), flow.idle(now), rates)
        };
        if let Some((have, in_flight)) = &p.pieces {
            let peers = self.paths.iter().zip(&p.paths).zip(&rates).map(|((spec, path), rate)| PeerRow {
                endpoint: spec.to_string(),
                state: match path.view.standing {
                    Standing::Healthy | Standing::Degraded => PeerState::Connected,
                    Standing::Dead { .. } | Standing::Probing => PeerState::Failing,
                },
                rate_up: *rate,
                bytes_up: path.bytes,
                rtt_ms: Some(path.view.latency_ms),
                active: path.view.active,
                window: path.view.window,
                note: printable(&path.note),
                ..PeerRow::default()
            });
            self.shared.show(Some(TransferDetail {
                id: self.id,
                generation: crate::clock::unix_ms(),
                piece_length: self.segment,
                have: Bits(Arc::new(have.clone())),
                in_flight: in_flight.clone(),
                failed: Vec::new(),
                availability: Arc::default(),
                peers: peers.collect(),
                trackers: Vec::new(),
                files: self.files.clone(),
                delta: None,
            }));
        }
        let (reason, over) = (self.reason(&p), self.link.now(&self.shared, p.level));
        let changes = p.changes.iter().map(|change| self.change(change)).collect();
        let news = self.paths.iter().zip(&p.paths).zip(rates);
        let paths: Vec<PathRow> = news.map(|((spec, news), rate)| self.path(spec, news, rate)).collect();
        self.shared.update(|row| {
            (row.done, row.pieces_done) = (p.held, p.segments);
            (row.rate_up, row.smooth_up) = (rate, smooth);
            row.bytes_up = self.before.0 + p.sent;
            row.wire_bytes = self.before.1 + p.wire;
            row.saved_bytes = self.saved_before + p.saved;
            row.over = over;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
            let left = row.size.saturating_sub(p.held);
            row.eta_s = (smooth > 0 && left > 0).then(|| left / smooth);
            row.stalled_s = idle.as_secs();
            row.peers =
                paths.iter().filter(|p| matches!(p.state, PathState::Healthy | PathState::Degraded)).count() as u32;
            row.peers_known = paths.len() as u32;
            (row.reason, row.path_changes) = (reason, changes);
            row.paths = paths;
        });
    }
}
