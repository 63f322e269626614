//! Sending what changed of a file: ask for signatures, match, send instructions. Nothing of the file is sent before
//! everything was matched, so that a full transfer can take over at any time without sending anything twice.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::delta_show::{Counted, Shown};
use super::fetch_job::blocking;
use super::send_job::{changed, destination, policy, request_of, wires};
use super::strategy::{Job, JobError};
use crate::chunks::ChunkWriter;
use crate::content::name::printable;
use crate::control::{DeltaPhase, Phase, PhaseRow, SendRequest, SendStrategy};
use crate::delta::encode::{with_digest, write_instructions};
use crate::delta::matched::Matched;
use crate::delta::packed::{pack, ratio};
use crate::delta::pays::{self, Situation, Verdict};
use crate::delta::refine::{Ask, Prices};
use crate::delta::rounds::{MatchError, MatchOptions, Round, find_matches};
use crate::delta::signature::Signature;
use crate::delta::{asks, signature_wire};
use crate::failpoint;
use crate::push::PushError;
use crate::push::delta::{Blocking, Cost, Making, Old, broken, mended};
use crate::push::wire::{Wire, WireError};
use crate::store::{PushRecord, Version};

/// How often a file that changes at the destination is asked for again.
const AGAIN: u32 = 3;
/// Slower links, in bytes per second, or longer ones get compressed literals unless somebody says otherwise: zstd packs some
/// 300 MB/s.
const SLOW: u64 = 50_000_000;
const FAR: Duration = Duration::from_millis(10);
/// What an unknown link is taken for when a round trip is weighed against bytes: 100 Mbit/s.
const SUPPOSED: f64 = 12_500_000.0;
/// Compressed to more than this it is not worth the time.
const INCOMPRESSIBLE: f64 = 0.95;

/// How it ended.
pub(super) enum Outcome {
    /// The new file is there.
    Complete,
    /// Stopped on request.
    Stopped,
    /// It has to be sent whole, and why.
    Full(String),
}

/// Why one try failed.
enum Failed {
    Wire(WireError),
    Job(JobError),
    Stopped,
    Full(String),
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// The new file.
struct Source {
    file: File,
    version: Version,
    name: String,
    mode: u32,
    mtime: Option<jiff::Timestamp>,
}

impl Source {
    /// None: it is no file.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        use std::os::unix::fs::PermissionsExt as _;
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Some(Self {
            version: Version::of(&file)?,
            name: path.display().to_string(),
            mode: metadata.permissions().mode() & 0o777,
            mtime: metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok()),
            file,
        }))
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        Ok(Version::of(&self.file)? == self.version)
    }

    fn changed(&self) -> JobError {
        changed(printable(&self.name))
    }
}

/// What all tries share.
struct Delta<'a> {
    job: &'a Job,
    request: SendRequest,
    source: Arc<Source>,
    wire: Arc<Wire>,
    target: String,
    round_trip: Duration,
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
    let (cost, size) = (Arc::new(Cost::default()), source.version.size);
    let shown = Shown::new(job.shared.clone(), cost.clone(), size, &paths[best], latencies[best]);
    let delta = Delta {
        job,
        request: send.request,
        source: Arc::new(source),
        wire,
        target: destination.target,
        round_trip: latencies[best].unwrap_or_default(),
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
                Err(Failed::Job(error)) => return Err(error),
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

    /// What the link takes in bytes per second, as far as somebody limits it.
    fn rate(&self) -> Option<u64> {
        self.job.shared.limits.up.iter().filter_map(|limit| limit.rate()).min()
    }

    /// One try.
    async fn once(&self) -> Result<(), Failed> {
        let size = self.source.version.size;
        self.shown.begins();
        let old = tokio::select! {
            () = self.job.stop.cancelled() => return Err(Failed::Stopped),
            old = self.wire.old(&self.target, size, &self.cost) => old?,
        };
        failpoint::step("delta:asked");
        let Some(old) = old else { return Err(Failed::Full("nothing of that name is there yet".into())) };
        let asked_for = self.request.strategy == SendStrategy::Delta;
        let situation = Situation {
            source: size,
            destination: old.size,
            round_trip: self.round_trip,
            rate: self.rate(),
            asked_for,
        };
        match pays::at_first_sight(&situation) {
            Verdict::Full(why) => return Err(Failed::Full(why)),
            Verdict::Delta(why) => self.job.shared.update(|row| {
                row.strategy_reason = if asked_for { "asked for".into() } else { why };
            }),
        }
        let mut making = Making {
            tag: old.tag.clone(),
            size,
            policy: policy(self.request.on_taken),
            mode: self.source.mode,
            mtime: self.source.mtime,
            packed: false,
        };
        self.shown.works(Phase::Signatures, 0, old.size);
        let (begin, begun) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let work = self.work(old, stop.clone(), begin);
        let working = tokio::task::spawn_blocking(move || work.run());
        let sending = async {
            let Ok(Begun { packed, body }) = begun.await else { return Ok(None) };
            making.packed = packed;
            self.shown.phase(DeltaPhase::Sending, "sends what is not there");
            let limits = self.job.shared.limits.up.clone();
            self.wire.apply(&self.target, &making, body, limits, &self.cost).await.map(Some)
        };
        let sending = async {
            tokio::select! {
                sent = sending => sent,
                () = self.shown.flowing() => Ok(None),
            }
        };
        let before = self.cost.sent.load(Ordering::Relaxed);
        let sent = tokio::select! {
            () = self.job.stop.cancelled() => None,
            sent = sending => Some(sent),
        };
        stop.store(true, Ordering::Relaxed);
        let worked = working.await.unwrap_or_else(|e| Err(Failed::Job(JobError::Other(format!("internal: {e}")))));
        let Some(sent) = sent else { return Err(Failed::Stopped) };
        let patched = match (sent, worked) {
            // What the receiver then says of instructions that end in the midst explains nothing.
            (Err(_), Err(error @ Failed::Job(_))) => return Err(error),
            // What the receiver says explains best why nobody reads any more; what happened here, why nothing came.
            (Err(error @ (WireError::Broken(_) | WireError::Malformed(_))), Err(Failed::Wire(_))) => {
                return Err(error.into());
            }
            (Err(WireError::Broken(_)), Err(error)) => return Err(error),
            (Err(error), _) => return Err(error.into()),
            (Ok(_), Err(error)) => return Err(error),
            (Ok(None), Ok(())) => return Err(Failed::Job(JobError::Other("internal: nothing was sent".into()))),
            (Ok(Some(patched)), Ok(())) => patched,
        };
        failpoint::step("delta:answered");
        if patched.bytes != size {
            return Err(Failed::Job(PushError::OtherBytes.into()));
        }
        tracing::info!(transfer = self.job.shared.id.0, path = %printable(&patched.path), "pushed");
        let instructions = self.cost.sent.load(Ordering::Relaxed) - before;
        self.shown.done(patched.matched_bytes, patched.literal_bytes, instructions);
        Ok(())
    }

    fn work(&self, old: Old, stop: Arc<AtomicBool>, begin: oneshot::Sender<Begun>) -> Work {
        let far = self.round_trip > FAR || self.rate().is_some_and(|rate| rate < SLOW);
        let trip = self.round_trip.as_secs_f64() * self.rate().map_or(SUPPOSED, |rate| rate as f64);
        Work {
            source: self.source.clone(),
            wire: self.wire.clone(),
            target: self.target.clone(),
            size: old.size,
            tag: old.tag,
            first: Some(old.response),
            compress: self.request.compress.unwrap_or(far),
            round: (trip as u64).max(Prices::default().round),
            handle: Handle::current(),
            token: self.job.stop.clone(),
            cost: self.cost.clone(),
            shown: self.shown.clone(),
            stop,
            begin: Some(begin),
        }
    }
}

/// What is to be sent, when that is known.
struct Begun {
    packed: bool,
    body: BoxStream<'static, io::Result<Bytes>>,
}

/// The part that blocks.
struct Work {
    source: Arc<Source>,
    wire: Arc<Wire>,
    target: String,
    /// Of the old file.
    size: u64,
    tag: String,
    first: Option<reqwest::Response>,
    compress: bool,
    /// What a round trip is worth, in bytes.
    round: u64,
    handle: Handle,
    token: tokio_util::sync::CancellationToken,
    cost: Arc<Cost>,
    shown: Arc<Shown>,
    stop: Arc<AtomicBool>,
    begin: Option<oneshot::Sender<Begun>>,
}

impl Work {
    fn run(mut self) -> Result<(), Failed> {
        let (source, stop) = (self.source.clone(), self.stop.clone());
        let size = source.version.size;
        // Set by whoever wants the digest to end; the other one tells the rest.
        let hashing = AtomicBool::new(false);
        with_digest(&source.file, size, &hashing, |digest| {
            let literal = match self.compress {
                true => ratio(&source.file, size).map_err(|e| self.unreadable(e))?,
                false => 1.0,
            };
            let packed = literal < INCOMPRESSIBLE;
            let matched = self.matched(Prices { round: self.round, literal })?;
            if let Verdict::Full(why) = pays::after_matching(size, matched.literal_bytes(), literal) {
                return Err(Failed::Full(why));
            }
            self.shown.decided(&matched);
            failpoint::step("delta:matched");
            let (writer, body) = ChunkWriter::new();
            let begun = Begun { packed, body: Box::pin(body) };
            if self.begin.take().is_none_or(|begin| begin.send(begun).is_err()) {
                return Err(Failed::Stopped);
            }
            let (told, count) = (self.shown.clone(), self.shown.made.clone());
            let mut digest = || {
                told.phase(DeltaPhase::Patching, "the receiver finishes the new file");
                told.works(Phase::Patching, 0, size);
                digest()
            };
            let written = if packed {
                let counted = pack(writer).map(|to| Counted { to, count });
                counted.and_then(|to| write_instructions(&source.file, &matched, &mut digest, to)?.to.finish())
            } else {
                let to = Counted { to: writer, count };
                write_instructions(&source.file, &matched, &mut digest, to).map(|counted| counted.to)
            };
            match written {
                Ok(writer) if source.is_unchanged().unwrap_or(false) => {
                    writer.finish(Ok(()));
                    Ok(())
                }
                Ok(writer) => {
                    writer.finish(Err(io::ErrorKind::InvalidData.into()));
                    Err(Failed::Job(source.changed()))
                }
                // Nobody reads any more: the receiver's answer says why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Err(Failed::Wire(WireError::Broken("cut".into())))
                }
                Err(error) => Err(self.unreadable(error)),
            }
        })
        .map_err(|error| {
            if stop.load(Ordering::Relaxed) && self.token.is_cancelled() { Failed::Stopped } else { error }
        })
    }

    fn unreadable(&self, error: io::Error) -> Failed {
        if !self.source.is_unchanged().unwrap_or(false) {
            return Failed::Job(self.source.changed());
        }
        Failed::Job(JobError::Other(format!("cannot read {}: {error}", printable(&self.source.name))))
    }

    fn matched(&mut self, prices: Prices) -> Result<Matched, Failed> {
        let (source, stop, shown) = (self.source.clone(), self.stop.clone(), self.shown.clone());
        let options = MatchOptions { prices, stop: Some(&stop), ..MatchOptions::default() };
        let (size, old_size) = (source.version.size, self.size);
        let fetch = |asks: &[Ask]| self.signatures(asks).map_err(|error| broken(mended(error)));
        let report = |round: Round, matched: &Matched| {
            if round.number == 1 {
                shown.works(Phase::Signatures, old_size, old_size);
            }
            shown.round(&round, matched);
        };
        match find_matches(&source.file, size, old_size, &options, fetch, report) {
            Ok(matched) => Ok(matched),
            Err(MatchError::Io(error)) if error.get_ref().is_some_and(|inner| inner.is::<WireError>()) => {
                Err(mended(error).into())
            }
            Err(MatchError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => Err(Failed::Stopped),
            Err(MatchError::Io(error)) => Err(self.unreadable(error)),
            Err(MatchError::Blocks(error)) => Err(Failed::Full(error.to_string())),
        }
    }

    /// The signatures of one round. Blocks.
    fn signatures(&mut self, asks: &[Ask]) -> io::Result<Vec<Signature>> {
        let response = match self.first.take() {
            Some(response) => response,
            None => {
                let asked = self.wire.signatures(&self.target, &self.tag, asks::write(asks), &self.cost);
                let answer = async {
                    tokio::select! {
                        () = self.token.cancelled() => Err(WireError::Broken("stopped".into())),
                        answer = asked => answer,
                    }
                };
                self.handle.block_on(answer).map_err(broken)?
            }
        };
        let body = Blocking::new(self.handle.clone(), self.token.clone(), response, self.cost.clone());
        let mut from = io::BufReader::with_capacity(64 << 10, body);
        let read: Vec<Signature> =
            asks.iter().map(|ask| signature_wire::read(&mut from, ask)).collect::<io::Result<_>>()?;
        match from.read(&mut [0])? {
            0 => Ok(read),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the signature does not end where it should")),
        }
    }
}
