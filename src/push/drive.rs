//! The driver of a push: owns the [`Plan`], carries out what it says, feeds back what happens.

mod assemble;
mod pulse;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::pulse::Pulse;
use super::PushError;
use super::fit::Fit;
use super::plan::{Change, Failure, PathId, PathView, Plan, PlanConfig, Verdict};
use super::retry::{Pace, RETRIES};
use super::score::Weights;
use super::send::{Common, Moved, Outcome, Reporter, send};
use super::steering::Steering;
use super::ways::Ways;
use super::wire::{Opened, Wire, WireError};
use crate::content::{Bitmap, Digest};
use crate::failpoint;

/// How often figures are reported and acknowledged segments recorded.
const TICK: Duration = Duration::from_millis(250);
/// Acknowledged segments that wait for their record at most.
const BATCH: usize = 256;
/// Bytes of a request and its answer beside the segment, about.
const HEADERS: u64 = 450;
/// Notes of moved bytes that wait.
const MOVES: usize = 64;

/// Records acknowledged segments and shows figures.
pub(crate) trait Ledger: Send + Sync + 'static {
    /// These were acknowledged. Blocks.
    fn record(&self, segments: &[(u32, Digest)]) -> Result<(), String>;
    /// Whether somebody looks at the segments.
    fn wants_pieces(&self) -> bool;
    /// Figures, a few times a second.
    fn show(&self, progress: Progress);
}

/// Figures of a push.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Bytes that the receiver has.
    pub held: u64,
    /// Segments that the receiver has.
    pub segments: u32,
    /// Payload sent in this run, what was sent twice included.
    pub sent: u64,
    /// Payload and headers.
    pub wire: u64,
    /// Bytes that did not have to be sent, since they were compressed.
    pub saved: u64,
    /// Level of zstd of what went last; none: it went as it was.
    pub level: Option<i32>,
    /// Paths, in their order.
    pub paths: Vec<PathNews>,
    /// What the receiver has, and what is under way; none while nobody looks.
    pub pieces: Option<(Bitmap, Vec<u32>)>,
    /// The last changes of plan, the newest first.
    pub changes: Vec<Change>,
    /// Why nothing moves, where no path can be used.
    pub cut_off: Option<&'static str>,
}

/// A path of a push.
#[derive(Debug, Clone)]
pub(crate) struct PathNews {
    /// Figures.
    pub view: PathView,
    /// Bytes acknowledged to it in this run.
    pub bytes: u64,
    /// Payload that left over it in this run.
    pub sent: u64,
    /// The last error.
    pub note: String,
}

/// One push at work.
pub(crate) struct Drive {
    common: Arc<Common>,
    wires: Vec<Arc<Wire>>,
    pub(super) plan: Plan,
    digests: Vec<Option<Digest>>,
    ledger: Arc<dyn Ledger>,
    stop: CancellationToken,
    tasks: JoinSet<Event>,
    aborts: HashMap<(PathId, u32), AbortHandle>,
    moved: (mpsc::Sender<Moved>, mpsc::Receiver<Moved>),
    unrecorded: Vec<(u32, Digest)>,
    /// Waiting for the disk must not keep requests from being started: one record is made at a time, aside.
    recording: Option<JoinHandle<Result<(), String>>>,
    notes: Vec<String>,
    acknowledged: Vec<u64>,
    /// Payload that left over each path.
    carried: Vec<Arc<AtomicU64>>,
    rng: fastrand::Rng,
    requests: u64,
    gives_up: bool,
    /// A path that only fails what it is given ends the push: whoever called has another one instead.
    replaces: bool,
    /// Segments that each path answered otherwise than it should, in a row.
    failed: Vec<u32>,
    pace: Pace,
    pub(super) steering: Option<Steering>,
    /// Paths whose probe is still to be made, although they work already.
    late: Vec<PathId>,
    /// Those of them whose lanes are used as soon as another path's have answered.
    hopeful: Vec<PathId>,
    /// Paths whose last probe found nobody who knows the upload.
    strange: BTreeSet<PathId>,
    pulse: Pulse,
    /// What the link wanted when it was asked last.
    fit: Fit,
}

enum Event {
    Sent(PathId, u32, Outcome),
    Probed(PathId, Result<Duration, WireError>),
    /// What the receiver says has come.
    Came(Option<u64>),
}

/// How sending ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendEnd {
    /// The receiver has every segment.
    AllThere,
    /// Stopped on request.
    Stopped,
}

impl Drive {
    /// `ways`: the paths and what their probes found; `digests`: what is known of the segments; `opened`:
    /// what the receiver holds; `in_flight`: segments that memory allows.
    #[allow(clippy::too_many_arguments)] // each is another thing
    pub(crate) fn new(
        common: Arc<Common>,
        ways: &Ways,
        digests: Vec<Option<Digest>>,
        opened: &Opened,
        ledger: Arc<dyn Ledger>,
        stop: CancellationToken,
        in_flight: u32,
        gives_up: bool,
        pace: Pace,
    ) -> Self {
        let now = Instant::now();
        common.packer.on_opened(&opened.accepts);
        let layout = common.reader.layout();
        let mut held = Bitmap::empty(layout.piece_count());
        // What is there and of unknown digest is sent again: the receiver must be told the digest anyway.
        for (start, end) in &opened.held {
            for segment in *start..(*end).min(layout.piece_count()) {
                if digests.get(segment as usize).is_some_and(Option::is_some) {
                    held.set(segment);
                }
            }
        }
        let (segment, weights) = (layout.piece_length(), Weights::default());
        let config = PlanConfig { segment, in_flight, gives_up, weights, pace };
        let mut plan = Plan::new(config, held, now);
        for latency in &ways.latencies {
            plan.add_path(*latency, now);
        }
        let notes = vec![String::new(); ways.wires.len()];
        Self {
            common,
            wires: ways.wires.clone(),
            plan,
            digests,
            ledger,
            stop,
            tasks: JoinSet::new(),
            aborts: HashMap::new(),
            moved: mpsc::channel(MOVES),
            unrecorded: Vec::new(),
            recording: None,
            acknowledged: vec![0; notes.len()],
            carried: notes.iter().map(|_| Arc::default()).collect(),
            notes,
            rng: fastrand::Rng::new(),
            requests: 0,
            gives_up,
            replaces: false,
            failed: vec![0; ways.wires.len()],
            pace,
            steering: None,
            late: ways.late.clone(),
            hopeful: ways.late.clone(),
            strange: BTreeSet::new(),
            pulse: Pulse::new(now),
            fit: Fit::default(),
        }
    }

    /// A path whose receiver fails whatever it is given ends the push, though others work: it is to be replaced by another.
    pub(crate) fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Asks what the link wants now. Over several paths each has a link of its own: no more than compression follows.
    fn follow_link(&mut self) {
        let fit = self.common.packer.fit();
        if self.wires.len() == 1 && fit.under_way != self.fit.under_way {
            let segment = self.common.reader.layout().piece_length();
            // One to be on its way while another one is acknowledged.
            let most = |bytes: u64| u32::try_from(bytes / segment.max(1)).unwrap_or(u32::MAX).max(2);
            self.plan.narrow(fit.under_way.map(most));
            self.abort();
        }
        self.fit = fit;
    }

    /// Ends requests that the plan has no use for any more.
    fn abort(&mut self) {
        for key in self.plan.take_aborts() {
            if let Some(task) = self.aborts.remove(&key) {
                task.abort();
            }
        }
    }

    /// Sends what is missing.
    ///
    /// # Errors
    /// The source changed, the receiver refuses, or a segment failed too often on the only path. What was
    /// acknowledged is recorded; if everything was, while the receiver assembles.
    pub(crate) async fn run(&mut self) -> Result<SendEnd, PushError> {
        let result = self.work().await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.aborts.clear();
        self.plan.on_probes_aborted(Instant::now());
        self.pulse.aborted();
        // What follows, looking at the source again and assembling, may need memory of its own.
        self.common.buffers.clear();
        self.show();
        if matches!(result, Ok(SendEnd::AllThere)) {
            // The rest is recorded while the receiver assembles.
            self.record();
            return result;
        }
        let recorded = self.record_all().await;
        let end = result?;
        recorded?;
        Ok(end)
    }

    async fn work(&mut self) -> Result<SendEnd, PushError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            self.plan.tick(self.rng.f64(), now);
            self.start_requests(now);
            self.abort();
            if self.plan.is_done() {
                return Ok(SendEnd::AllThere);
            }
            let timer = tokio::time::Instant::from_std(self.plan.next_timer(now));
            tokio::select! {
                () = self.stop.cancelled() => return Ok(SendEnd::Stopped),
                Some(event) = self.tasks.join_next() => match event {
                    Ok(event) => self.on_event(event)?,
                    Err(error) if error.is_panic() => return Err(PushError::Internal(error.to_string())),
                    // Aborted: the plan has it already.
                    Err(_) => {}
                },
                Some(moved) = self.moved.1.recv() => match moved {
                    Moved::Some(path) => {
                        let now = Instant::now();
                        self.pulse.moved(now);
                        self.plan.on_bytes(path, now);
                    }
                    Moved::All(path, segment) => self.plan.on_handed(path, segment),
                },
                () = Steering::changed(&mut self.steering) => {
                    self.steer();
                    self.show();
                }
                () = tokio::time::sleep_until(timer) => {}
                recorded = async {
                    match &mut self.recording {
                        Some(recording) => recording.await,
                        None => std::future::pending().await,
                    }
                } => {
                    self.recording = None;
                    recorded.unwrap_or_else(|e| Err(e.to_string())).map_err(PushError::Internal)?;
                }
                _ = tick.tick() => {
                    self.follow_link();
                    self.feel_pulse(Instant::now());
                    self.record();
                    self.show();
                }
            }
            if self.unrecorded.len() >= BATCH {
                self.recorded().await?;
                self.record();
            }
        }
    }

    fn start_requests(&mut self, now: Instant) {
        // Once: lanes that break afterwards wait for a probe.
        if !self.hopeful.is_empty() && self.wires.iter().any(|wire| wire.has_lanes()) {
            self.hopeful.drain(..).for_each(|path| self.wires[path].believe());
        }
        for (path, wire) in self.wires.iter().enumerate() {
            self.plan.on_spread(path, wire.spread());
        }
        while let Some(next) = self.plan.next(now) {
            let (path, segment) = (next.path, next.segment);
            let known = self.digests[segment as usize];
            let carried = self.carried[path].clone();
            let moved = Reporter { moved: self.moved.0.clone(), carried, path, segment };
            let sending = send(self.common.clone(), self.wires[path].clone(), segment, known, moved);
            let task = self.tasks.spawn(async move { Event::Sent(path, segment, sending.await) });
            self.aborts.insert((path, segment), task);
            self.requests += 1;
        }
        while let Some(path) = self.late.pop().or_else(|| self.plan.due_probe(now)) {
            let (wire, common) = (self.wires[path].clone(), self.common.clone());
            self.tasks.spawn(async move { Event::Probed(path, wire.probe(Some(&common.upload)).await) });
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), PushError> {
        let now = Instant::now();
        match event {
            Event::Sent(path, segment, outcome) => {
                if self.aborts.remove(&(path, segment)).is_none() {
                    // Aborted just as it ended: the plan has given it to another path.
                    return Ok(());
                }
                match outcome {
                    Outcome::Held(digest, took) => {
                        failpoint::step("push:acknowledged");
                        self.pulse.moved(now);
                        let bytes = self.common.reader.layout().piece_size(segment);
                        self.digests[segment as usize] = Some(digest);
                        if self.plan.on_held(path, segment, bytes, took, now) {
                            self.acknowledged[path] += bytes;
                            self.unrecorded.push((segment, digest));
                        }
                        self.notes[path].clear();
                        self.failed[path] = 0;
                        self.strange.remove(&path);
                        Ok(())
                    }
                    Outcome::Source(error) => Err(error.into()),
                    Outcome::Failed(error) => self.on_failure(path, segment, error, now),
                }
            }
            Event::Came(came) => {
                self.on_came(came, now);
                Ok(())
            }
            Event::Probed(path, Ok(latency)) => {
                self.notes[path].clear();
                self.strange.remove(&path);
                self.plan.on_probe(path, Some(latency), self.rng.f64(), now);
                Ok(())
            }
            Event::Probed(path, Err(WireError::Unknown)) => {
                self.notes[path] = "leads to another receiver, or the upload is gone there".into();
                self.plan.on_probe(path, None, self.rng.f64(), now);
                self.strange.insert(path);
                // One may lead elsewhere; if none leads anywhere, the upload is gone: whoever called opens it anew.
                match self.plan.enabled().all(|path| self.strange.contains(&path)) {
                    true => Err(self.wires[path].failed(WireError::Unknown)),
                    false => Ok(()),
                }
            }
            Event::Probed(path, Err(error)) => {
                self.notes[path] = error.to_string();
                self.strange.remove(&path);
                self.plan.on_probe(path, None, self.rng.f64(), now);
                Ok(())
            }
        }
    }

    fn on_failure(&mut self, path: PathId, segment: u32, error: WireError, now: Instant) -> Result<(), PushError> {
        let failure = match &error {
            WireError::Broken(_) => Failure::Broken,
            WireError::Busy(asked) => Failure::Busy(*asked),
            // Damaged on the way, or an error in between that may pass.
            WireError::Status { status: 422 | 408 | 500.., .. } => Failure::Answered,
            // Only this path leads elsewhere, or something on it meddles. On the only path: the upload is gone, or the receiver does not understand us.
            WireError::Unknown | WireError::Status { status: 400 | 404 | 405, .. } if self.wires.len() > 1 => {
                Failure::Answered
            }
            _ => return Err(self.wires[path].failed(error)),
        };
        tracing::debug!(segment, path, %error, "segment not through");
        self.notes[path] = error.to_string();
        if failure == Failure::Answered {
            self.failed[path] += 1;
            if self.replaces && self.failed[path] > RETRIES {
                return Err(PushError::GaveUp { at: self.wires[path].at().to_owned(), segment, error });
            }
        }
        match self.plan.on_failure(path, segment, failure, self.rng.f64(), now) {
            Verdict::Again | Verdict::Covered => Ok(()),
            Verdict::GiveUp => Err(PushError::GaveUp { at: self.wires[path].at().to_owned(), segment, error }),
        }
    }

    /// Has what was acknowledged recorded, unless a record is under way.
    fn record(&mut self) {
        if self.unrecorded.is_empty() || self.recording.is_some() {
            return;
        }
        let (segments, ledger) = (std::mem::take(&mut self.unrecorded), self.ledger.clone());
        self.recording = Some(tokio::task::spawn_blocking(move || {
            ledger.record(&segments)?;
            failpoint::step("push:noted");
            Ok(())
        }));
    }

    /// Waits for the record that is under way.
    async fn recorded(&mut self) -> Result<(), PushError> {
        let Some(recording) = self.recording.take() else { return Ok(()) };
        recording.await.unwrap_or_else(|e| Err(e.to_string())).map_err(PushError::Internal)
    }

    async fn record_all(&mut self) -> Result<(), PushError> {
        self.recorded().await?;
        self.record();
        self.recorded().await
    }

    fn show(&self) {
        let now = Instant::now();
        let layout = self.common.reader.layout();
        let sent = self.common.sent.load(Ordering::Relaxed);
        let cut_off = if self.plan.is_switched_off() {
            Some("every path is disabled: waiting for one to be enabled")
        } else if self.plan.is_cut_off() && self.plan.has_disabled() {
            Some("no path that is enabled answers: waiting for one to come back or to be enabled")
        } else if self.plan.is_cut_off() && !self.gives_up {
            Some("no path answers: waiting for one to come back")
        } else {
            None
        };
        let views = self.plan.views(now);
        self.common.packer.on_rate(views.iter().map(|view| view.rate).sum());
        let paths = views.into_iter().enumerate().map(|(path, view)| PathNews {
            view,
            bytes: self.acknowledged[path],
            sent: self.carried[path].load(Ordering::Relaxed),
            note: self.notes[path].clone(),
        });
        let held = self.plan.held();
        let last = layout.piece_count().saturating_sub(1);
        let short = if held.get(last) { layout.piece_length() - layout.piece_size(last) } else { 0 };
        self.ledger.show(Progress {
            held: u64::from(held.count()) * layout.piece_length() - short,
            segments: held.count(),
            sent,
            wire: sent + self.requests * HEADERS,
            saved: self.common.packer.saved(),
            level: self.common.packer.level(),
            paths: paths.collect(),
            pieces: self.ledger.wants_pieces().then(|| (held.clone(), self.plan.in_flight())),
            changes: self.plan.changes().cloned().collect(),
            cut_off,
        });
    }

    /// Files that a tolerant reader could not read as they were scanned, and why.
    pub(crate) fn spoiled(&self) -> BTreeMap<String, String> {
        self.common.reader.spoiled()
    }
}
