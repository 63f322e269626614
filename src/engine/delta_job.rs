//! A delta as a transfer: one try after another, until it is there, or has to be sent whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::adapt::{Adapt, Following};
use super::delta_show::Shown;
use super::fetch_job::blocking;
use super::send_job::{changed, destination, policy, request_of, wires};
use super::strategy::{Job, JobError};
use crate::content::name::printable;
use crate::control::{DeltaPhase, Phase, PhaseRow, SendStrategy};
use crate::failpoint;
use crate::push::PushError;
use crate::push::delta::{self, Cost, Event, Failed, Options, Source, Tell};
use crate::push::wire::{Wire, WireError};
use crate::store::PushRecord;

/// How often a file that changes at the destination is asked for again.
const AGAIN: u32 = 3;
/// How it ended.
pub(super) enum Outcome {
    /// The new file is there.
    Complete,
    /// Stopped on request.
    Stopped,
    /// It has to be sent whole, and why.
    Full(String),
}

/// What all tries share.
struct Delta<'a> {
    job: &'a Job,
    /// What is sent, for the screen.
    name: String,
    source: Arc<Source>,
    wire: Arc<Wire>,
    target: String,
    options: Options,
    cost: Arc<Cost>,
    shown: Arc<Shown>,
}

/// Sends what changed of `job`'s file.
///
/// # Errors
/// The source cannot be read or changes; the receiver refuses, or does not answer.
pub(super) async fn run(job: &Job) -> Result<Outcome, JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    let (state, id) = (job.services.state.clone(), job.shared.id);
    let begun = blocking(move || Ok(state.push(id)?)).await?;
    if begun.is_some_and(|push| !push.upload.is_empty()) {
        return Ok(Outcome::Full("it goes on as it began".into()));
    }
    let path = send.request.path.clone();
    let opened = blocking(move || {
        Source::open(&path)
            .map_err(|e| JobError::Other(format!("cannot read {}: {e}", printable(&path.to_string_lossy()))))
    });
    let Some(source) = opened.await? else {
        return Ok(Outcome::Full("a folder has no deltas of its own: skep sync compares file by file".into()));
    };
    let destination = destination(&send.request, &record.name).map_err(JobError::Other)?;
    let (paths, mut latencies) = (destination.paths, job.ways.latencies.clone());
    latencies.resize(paths.len(), None);
    let choices = job.shared.choices.borrow().clone();
    let off = |n: usize| choices.get(&paths[n].to_string()).is_some_and(|choice| !choice.enabled);
    let best = (0..paths.len()).min_by_key(|n| (off(*n), latencies[*n].unwrap_or(Duration::MAX))).unwrap_or(0);
    let Some(wire) = wires(job, &paths, &destination.target)?.into_iter().nth(best) else {
        return Ok(Outcome::Full("no path".into()));
    };
    let (cost, size) = (Arc::new(Cost::default()), source.size());
    let limits = wire.limits(&job.shared.limits.up);
    let adapt = Adapt::of(&job.services, &send.request.dest);
    let (compress, level) = adapt.compress(send.request.compress);
    let options = Options {
        basis: None,
        policy: policy(send.request.on_taken),
        mode: source.mode(),
        mtime: source.mtime(),
        asked_for: send.request.strategy == SendStrategy::Delta || adapt.spares_bytes(),
        compress,
        level,
        round_trip: latencies[best].unwrap_or_default(),
        rate: limits.iter().filter_map(|limit| limit.rate()).chain(adapt.rate()).min(),
        throttles: limits,
    };
    let shown =
        Shown::new(job.shared.clone(), Following::new(adapt), cost.clone(), size, &paths[best], latencies[best]);
    let delta = Delta {
        job,
        name: printable(&send.request.path.to_string_lossy()),
        source: Arc::new(source),
        wire,
        target: destination.target,
        options,
        cost,
        shown: Arc::new(shown),
    };
    let outcome = delta.tries().await;
    delta.shown.wire();
    if matches!(outcome, Ok(Outcome::Complete)) {
        let push =
            PushRecord { segment: size.max(1), target: delta.target, count: 1, bytes: size, ..PushRecord::default() };
        let state = job.services.state.clone();
        blocking(move || Ok(state.put_push(id, &push)?)).await?;
        failpoint::step("delta:noted");
    }
    outcome
}

impl Delta<'_> {
    async fn tries(&self) -> Result<Outcome, JobError> {
        let (mut failures, mut changes) = (0, 0);
        loop {
            let error = match self.once().await {
                Ok(()) => return Ok(Outcome::Complete),
                Err(Failed::Stopped) => return Ok(Outcome::Stopped),
                Err(Failed::Full(why)) => return Ok(Outcome::Full(why)),
                Err(Failed::Changed) => return Err(changed(self.name.clone())),
                Err(Failed::Unreadable(error)) => {
                    return Err(JobError::Other(format!("cannot read {}: {error}", self.name)));
                }
                Err(Failed::Wrong) => return Err(PushError::OtherBytes.into()),
                Err(Failed::Internal(what)) => return Err(JobError::Other(format!("internal: {what}"))),
                Err(Failed::Wire(error)) => error,
            };
            if self.job.stop.is_cancelled() {
                return Ok(Outcome::Stopped);
            }
            tracing::warn!(transfer = self.job.shared.id.0, error = %printable(&error.to_string()), "a delta did not get through");
            let asked = match &error {
                WireError::Status { status: 412, .. } if changes < AGAIN => {
                    changes += 1;
                    continue;
                }
                WireError::Status { status: 412, .. } => {
                    return Ok(Outcome::Full("what is there changes again and again".into()));
                }
                WireError::Unknown => return Ok(Outcome::Full("what was there is gone".into())),
                // The digest of the whole did not match: equal hashes, or a disk that lies.
                WireError::Status { status: 422, .. } => {
                    return Ok(Outcome::Full("put together from what is there it was not the same".into()));
                }
                WireError::Malformed(what) => return Ok(Outcome::Full(format!("its signature is no good: {what}"))),
                WireError::Busy(asked) => *asked,
                // Somebody else is at it; perhaps this one, whose connection broke and who is not missed yet.
                WireError::Broken(_) | WireError::Status { status: 423, .. } => None,
                _ => return Err(self.wire.failed(error).into()),
            };
            failures += 1;
            let Some(pause) = self.job.services.pace.wait(failures, asked, fastrand::f64()) else {
                return Err(self.wire.failed(error).into());
            };
            let reason = format!("{}: {error}: tried again in {} s", self.wire.at(), pause.as_secs().max(1));
            self.job.shared.update(|row| {
                PhaseRow::rest(&mut row.phases);
                row.reason = printable(&reason);
            });
            tokio::select! {
                () = self.job.stop.cancelled() => return Ok(Outcome::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One try.
    async fn once(&self) -> Result<(), Failed> {
        self.shown.begins();
        let before = self.cost.sent.load(Ordering::Relaxed);
        let (shown, row, asked_for) = (self.shown.clone(), self.job.shared.clone(), self.options.asked_for);
        let (size, old_size) = (self.source.size(), AtomicU64::new(0));
        let tell: Tell = Arc::new(move |event| match event {
            Event::Pays(old, why) => {
                old_size.store(old, Ordering::Relaxed);
                row.update(|row| row.strategy_reason = if asked_for { "asked for".into() } else { why });
                shown.works(Phase::Signatures, 0, old);
            }
            Event::Decided(told) => shown.decided(&told, old_size.load(Ordering::Relaxed)),
            Event::Finishing => {
                shown.phase(DeltaPhase::Patching, "the receiver finishes the new file");
                shown.works(Phase::Patching, 0, size);
            }
        });
        let (source, wire, stop) = (&self.source, &self.wire, &self.job.stop);
        let sent = delta::send(source, wire, &self.target, &self.options, &self.cost, &tell, stop);
        let patched = tokio::select! {
            sent = sent => sent?,
            () = self.shown.flowing() => return Err(Failed::Stopped),
        };
        tracing::info!(transfer = self.job.shared.id.0, path = %printable(&patched.path), "pushed");
        let instructions = self.cost.sent.load(Ordering::Relaxed) - before;
        self.shown.done(patched.matched_bytes, patched.literal_bytes, instructions);
        Ok(())
    }
}
