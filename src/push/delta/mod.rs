//! System 4 over one path: what changed of a file is sent, in one try. Who calls it decides what follows a failure.
//!
//! The request that takes the instructions is opened at once, and what is found of the file leaves while signatures still come:
//! see [`crate::delta::flow`], which runs on a thread that may block, between two bodies.

mod requests;
mod silence;
mod source;

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub(crate) use self::requests::Cost;
use self::requests::{Blocking, Making, Old, broken, mended};
pub(crate) use self::source::Source;
use super::wire::{Wire, WireError};
use crate::chunks::ChunkWriter;
use crate::delta::flow::{self, FlowError, STOPPED, Told, is_stop};
use crate::delta::packed::{pack, ratio};
use crate::delta::pays::{self, Situation, Verdict};
use crate::delta::refine::{Ask, Prices};
use crate::delta::signature::Signature;
use crate::delta::{asks, signature_wire};
use crate::failpoint;
use crate::throttle::Throttle;
use crate::upload::PatchedFile;

/// Slower links, in bytes per second, or longer ones get compressed literals unless somebody says otherwise: zstd packs some
/// 300 MB/s.
const SLOW: u64 = 50_000_000;
const FAR: Duration = Duration::from_millis(10);
/// What an unknown link is taken for when a round trip is weighed against bytes: 100 Mbit/s.
const SUPPOSED: f64 = 12_500_000.0;
/// Compressed to more than this it is not worth the time.
const INCOMPRESSIBLE: f64 = 0.95;
/// How often a receiver that is busy is asked again for signatures in the midst of a delta, and after how long.
const ASKED_AGAIN: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// How a delta is sent.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The file there that it is like, if that is another one: it stays as it is, and nothing need be at the target.
    pub basis: Option<String>,
    /// What happens to the old file: `overwrite`, `keep-both` or `refuse`.
    pub policy: &'static str,
    /// Permission bits and time of modification that the new file gets.
    pub mode: u32,
    /// See `mode`.
    pub mtime: Option<jiff::Timestamp>,
    /// A delta was asked for: time is not weighed, bytes are.
    pub asked_for: bool,
    /// Whether literals are compressed; none: as the link says.
    pub compress: Option<bool>,
    /// How hard; none: zstd's own default.
    pub level: Option<i32>,
    /// A round trip.
    pub round_trip: Duration,
    /// What the link takes in bytes per second, if that was measured or limited.
    pub rate: Option<u64>,
    /// What the bytes that go are held to.
    pub throttles: Arc<[Arc<Throttle>]>,
}

/// What is to be told while a delta is under way. Called from any thread, must not block.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// Something is there, of so many bytes, and a delta pays; why.
    Pays(u64, String),
    /// A stretch of the file was decided about.
    Decided(Told<'a>),
    /// All is sent but the end; the receiver finishes.
    Finishing,
}

/// Told what happens.
pub(crate) type Tell = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Why one try failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The receiver's or the network's answer.
    Wire(WireError),
    /// The source is not what it was.
    Changed,
    /// The source cannot be read.
    Unreadable(io::Error),
    /// Stopped on request.
    Stopped,
    /// It is better sent whole, and why: nothing is there, or nothing was found.
    Full(String),
    /// The receiver says that it made another file than was sent.
    Wrong,
    /// A defect here.
    Internal(String),
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Sends what changed of `source` to `target`, a path at the receiver; `cost` counts what that takes, `stop` ends it.
///
/// # Errors
/// See [`Failed`]. What stood at `target` stands there still then.
pub(crate) async fn send(
    source: &Arc<Source>,
    wire: &Arc<Wire>,
    target: &str,
    options: &Options,
    cost: &Arc<Cost>,
    tell: &Tell,
    stop: &CancellationToken,
) -> Result<PatchedFile, Failed> {
    let (size, signed) = (source.size(), options.basis.as_deref().unwrap_or(target));
    cost.made.store(0, Ordering::Relaxed);
    let old = tokio::select! {
        () = stop.cancelled() => return Err(Failed::Stopped),
        old = wire.old(signed, size, cost) => old?,
    };
    failpoint::step("delta:asked");
    let Some(old) = old else { return Err(Failed::Full("nothing of that name is there yet".into())) };
    let (round_trip, asked_for) = (options.round_trip, options.asked_for);
    let rate = match options.rate {
        // Of a short file it decides nothing.
        None if !asked_for && size.min(old.size) >= pays::LONG => wire.rate(cost).await,
        rate => rate,
    };
    match pays::at_first_sight(&Situation { source: size, destination: old.size, round_trip, rate, asked_for }) {
        Verdict::Full(why) => return Err(Failed::Full(why)),
        Verdict::Delta(why) => tell(Event::Pays(old.size, why)),
    }
    let mut making = Making {
        tag: old.tag.clone(),
        basis: options.basis.clone(),
        size,
        policy: options.policy,
        mode: options.mode,
        mtime: options.mtime,
        packed: false,
    };
    let (begin, begun) = oneshot::channel();
    // Ends what waits for the network when the other request has failed.
    let token = stop.child_token();
    let _ends = token.clone().drop_guard();
    let halt = Arc::new(AtomicBool::new(false));
    let work = Work::new(source, wire, signed, old, options, cost, tell, token.clone(), halt.clone(), begin);
    let working = tokio::task::spawn_blocking(move || work.run());
    let sending = async {
        let Ok(Begun { packed, body }) = begun.await else { return Ok(None) };
        making.packed = packed;
        wire.apply(target, &making, body, options.throttles.clone(), cost).await.map(Some)
    };
    let sent = tokio::select! {
        () = stop.cancelled() => None,
        sent = sending => Some(sent),
    };
    halt.store(true, Ordering::Relaxed);
    token.cancel();
    let worked = working.await.unwrap_or_else(|error| Err(Failed::Internal(error.to_string())));
    let Some(sent) = sent else { return Err(Failed::Stopped) };
    failpoint::step("delta:answered");
    match (sent, worked) {
        // What the receiver says explains best why nobody reads any more; what happened here, why instructions end in the midst.
        (Err(error), Err(Failed::Stopped)) => Err(error.into()),
        (Err(_), Err(error @ (Failed::Changed | Failed::Unreadable(_) | Failed::Full(_) | Failed::Internal(_)))) => {
            Err(error)
        }
        (Err(WireError::Broken(_) | WireError::Malformed(_) | WireError::Status { status: 400, .. }), Err(error)) => {
            Err(error)
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), Err(error)) => Err(error),
        (Ok(None), Ok(())) => Err(Failed::Internal("nothing was sent".into())),
        (Ok(Some(patched)), Ok(())) if patched.bytes != size => Err(Failed::Wrong),
        (Ok(Some(patched)), Ok(())) => Ok(patched),
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
    old: Old,
    compress: bool,
    level: Option<i32>,
    /// What a round trip is worth, in bytes.
    round: u64,
    handle: Handle,
    token: CancellationToken,
    cost: Arc<Cost>,
    tell: Tell,
    halt: Arc<AtomicBool>,
    begin: oneshot::Sender<Begun>,
}

impl Work {
    #[allow(clippy::too_many_arguments)] // all that a thread of its own has to own
    fn new(
        source: &Arc<Source>,
        wire: &Arc<Wire>,
        target: &str,
        old: Old,
        options: &Options,
        cost: &Arc<Cost>,
        tell: &Tell,
        token: CancellationToken,
        halt: Arc<AtomicBool>,
        begin: oneshot::Sender<Begun>,
    ) -> Self {
        let far = options.round_trip > FAR || options.rate.is_some_and(|rate| rate < SLOW);
        let trip = options.round_trip.as_secs_f64() * options.rate.map_or(SUPPOSED, |rate| rate as f64);
        Self {
            source: source.clone(),
            wire: wire.clone(),
            target: target.into(),
            old,
            compress: options.compress.unwrap_or(far),
            level: options.level,
            round: (trip as u64).max(Prices::default().round),
            handle: Handle::current(),
            token,
            cost: cost.clone(),
            tell: tell.clone(),
            halt,
            begin,
        }
    }

    fn run(self) -> Result<(), Failed> {
        let (file, size) = (&self.source.file, self.source.size());
        let literal = match self.compress {
            true => ratio(file, size).map_err(|error| failed(&self.source, error))?,
            false => 1.0,
        };
        let packed = literal < INCOMPRESSIBLE;
        let (writer, body) = ChunkWriter::new();
        if self.begin.send(Begun { packed, body: Box::pin(body) }).is_err() {
            return Err(Failed::Stopped);
        }
        let delta = flow::Delta {
            source: file,
            source_size: size,
            destination_size: self.old.size,
            block_length: None,
            prices: Prices { round: self.round, literal },
            threads: 0,
            give_up: true,
            stop: &self.halt,
        };
        let asking = Asking { wire: self.wire, target: self.target, tag: self.old.tag, handle: self.handle };
        let (token, cost, source, tell) = (&self.token, &self.cost, &self.source, &self.tell);
        let first = Blocking::new(asking.handle.clone(), token.clone(), self.old.response, cost.clone());
        let first = io::BufReader::with_capacity(64 << 10, first);
        let further = |asks: &[Ask]| {
            let asked = asking.signatures(asks, token, cost);
            asked.map_err(|error| if is_stop(&error) { error } else { broken(mended(error)) })
        };
        let told = |told: Told<'_>| {
            let is_all = told.source.end == size;
            tell(Event::Decided(told));
            if is_all {
                failpoint::step("delta:matched");
            }
        };
        // Broken off, nobody takes what came for whole.
        let whole = || {
            tell(Event::Finishing);
            source.is_unchanged()
        };
        let done = if packed {
            let out = pack(writer, self.level).map(|to| Counted { to, cost: cost.clone() }).map_err(FlowError::Io);
            let done = out.and_then(|out| flow::run(&delta, first, further, out, whole, &told));
            done.and_then(|counted| Ok(counted.to.finish()?))
        } else {
            let out = Counted { to: writer, cost: cost.clone() };
            flow::run(&delta, first, further, out, whole, &told).map(|counted| counted.to)
        };
        match done {
            Ok(writer) => {
                writer.finish(Ok(()));
                Ok(())
            }
            Err(FlowError::Full(why)) => Err(Failed::Full(why)),
            Err(FlowError::Blocks(error)) => Err(Failed::Full(error.to_string())),
            Err(FlowError::Signature(error)) if is_stop(&error) => Err(Failed::Stopped),
            Err(FlowError::Signature(error)) => Err(mended(error).into()),
            Err(FlowError::Io(error)) => Err(failed(source, error)),
        }
    }
}

fn failed(source: &Source, error: io::Error) -> Failed {
    if error.get_ref().is_some_and(|inner| inner.is::<WireError>()) {
        return mended(error).into();
    }
    match error.kind() {
        // The other request has ended, and says why; or somebody wants it to end.
        io::ErrorKind::BrokenPipe => Failed::Stopped,
        _ if is_stop(&error) => Failed::Stopped,
        _ if !source.is_unchanged() => Failed::Changed,
        _ => Failed::Unreadable(error),
    }
}

/// Counts what is written on its way.
struct Counted<W> {
    to: W,
    cost: Arc<Cost>,
}

impl<W: io::Write> io::Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.cost.made.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whom to ask for further signatures.
struct Asking {
    wire: Arc<Wire>,
    target: String,
    tag: String,
    handle: Handle,
}

impl Asking {
    /// The signatures of one round. Blocks.
    fn signatures(&self, asks: &[Ask], token: &CancellationToken, cost: &Arc<Cost>) -> io::Result<Vec<Signature>> {
        let body = asks::write(asks);
        let answer = async {
            let mut tries = 0;
            loop {
                let asked = self.wire.signatures(&self.target, &self.tag, body.clone(), cost);
                let answer = tokio::select! {
                    () = token.cancelled() => return Err(STOPPED.into()),
                    answer = asked => answer,
                };
                let wait = match answer {
                    Err(WireError::Busy(wait)) if tries < ASKED_AGAIN => wait.unwrap_or(PAUSE).min(10 * PAUSE),
                    answer => return answer.map_err(broken),
                };
                tries += 1;
                tokio::select! {
                    () = token.cancelled() => return Err(STOPPED.into()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        };
        let response = self.handle.block_on(answer)?;
        let body = Blocking::new(self.handle.clone(), token.clone(), response, cost.clone());
        let mut from = io::BufReader::with_capacity(64 << 10, body);
        let read: Vec<Signature> =
            asks.iter().map(|ask| signature_wire::read(&mut from, ask)).collect::<io::Result<_>>()?;
        match from.read(&mut [0])? {
            0 => Ok(read),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the signature does not end where it should")),
        }
    }
}
