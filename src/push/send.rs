//! One segment over one path: read and hashed off the async threads, sent while the limits allow, watched
//! for silence.

use std::ops::{ControlFlow, Range};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot, watch};

use super::anew;
use super::buffers::Buffers;
use super::pack::{Packer, Wish};
use super::plan::PathId;
use super::quiet::{Next, Quiet, SILENCE};
use super::wire::{Content, Wire, WireError};
use crate::content::{Digest, ReadError, Reader, zeros};
use crate::throttle::{self, Throttle};

/// Bytes handed to the system at a time.
const STEP: usize = 256 << 10;

/// What every request of a push shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub upload: String,
    pub reader: Arc<Reader>,
    pub buffers: Buffers,
    pub throttle: Arc<[Arc<Throttle>]>,
    pub packer: Arc<Packer>,
    /// Bytes handed to the system.
    pub sent: AtomicU64,
}

/// What moves on a path, for whoever owns the plan.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moved {
    /// Bytes left.
    Some(PathId),
    /// The system has all bytes of this segment.
    All(PathId, u32),
}

/// Tells of one request what moves.
pub(super) struct Reporter {
    pub moved: mpsc::Sender<Moved>,
    /// Payload that left over the path.
    pub carried: Arc<AtomicU64>,
    pub path: PathId,
    pub segment: u32,
}

impl Reporter {
    fn some(&self, bytes: u64) {
        self.carried.fetch_add(bytes, Ordering::Relaxed);
        // A full channel says that something moves, too.
        let _ = self.moved.try_send(Moved::Some(self.path));
    }

    async fn all(&self) {
        let _ = self.moved.send(Moved::All(self.path, self.segment)).await;
    }
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Verified by the receiver, this long after it was sent.
    Held(Digest, Duration),
    /// The source cannot be read, or changed.
    Source(ReadError),
    /// Not through.
    Failed(WireError),
}

/// Reads, hashes and sends segment `segment`. `known`: its digest, if it was computed before. `moved` is
/// told as bytes leave.
pub(super) async fn send(
    common: Arc<Common>,
    wire: Arc<Wire>,
    segment: u32,
    known: Option<Digest>,
    moved: Reporter,
) -> Outcome {
    let run = common.reader.layout().piece(segment);
    let wishes = common.packer.wishes();
    let mut content = match read(&common, run.clone()).await {
        Ok(read) => read,
        Err(error) => return Outcome::Source(error),
    };
    if known.is_some_and(|known| known != content.digest) && !common.reader.is_tolerant() {
        // Same size, time and inode as before, other bytes: never mixed.
        return Outcome::Source(ReadError::Changed { path: format!("segment {segment}") });
    }
    let (start, mut in_vain) = (Instant::now(), 0);
    loop {
        let request =
            Request { common: &common, wire: &wire, segment, run: run.clone(), moved: &moved, start, in_vain };
        match request.send(content, wishes.clone()).await {
            ControlFlow::Break(outcome) => return outcome,
            ControlFlow::Continue(anew) => {
                in_vain += anew.gone;
                content = anew.segment;
            }
        }
    }
}

/// One request of a segment.
struct Request<'a> {
    common: &'a Arc<Common>,
    wire: &'a Wire,
    segment: u32,
    run: Range<u64>,
    moved: &'a Reporter,
    /// When the first one was sent.
    start: Instant,
    /// Bytes that went in requests before it.
    in_vain: u64,
}

impl Request<'_> {
    /// Sends it; goes on with what is to be sent instead, if the link wants that by then.
    async fn send(self, content: Segment, wishes: watch::Receiver<Option<Wish>>) -> ControlFlow<Outcome, anew::Anew> {
        let Self { common, wire, segment, run, moved, start, in_vain } = self;
        let Segment { bytes, digest, content } = content;
        let (held, gone) = oneshot::channel();
        let bytes = Bytes::from_owner(Leaving { bytes, _held: held });
        let begun = Instant::now();
        let size = common.reader.layout().size();
        let (feed, chunks) = mpsc::channel(1);
        let on_wire = bytes.len() as u64;
        let left = Arc::new(AtomicU64::new(on_wire));
        let body = reqwest::Body::wrap(Fed { chunks, left: on_wire });
        let (lane, length) = (wire.lane(), run.end - run.start);
        let answer = wire.put(&common.upload, segment, (run.clone(), size), &digest, (content, body), lane.as_ref());
        let limits = wire.limits(&common.throttle);
        let last = Arc::new(std::sync::Mutex::new(Instant::now()));
        let feeding = async {
            let step = usize::try_from(throttle::quantum(&limits)).unwrap_or(STEP).min(STEP);
            let mut rest = bytes;
            while !rest.is_empty() {
                let chunk = rest.split_to(step.min(rest.len()));
                let length = chunk.len() as u64;
                let chunk = Bytes::from_owner(Chunk { bytes: chunk, left: left.clone() });
                throttle::acquire(&limits, length).await;
                // Closed: the answer is there, or the connection gone.
                if feed.send(chunk).await.is_err() {
                    break;
                }
                crate::failpoint::step("push:sending");
                common.sent.fetch_add(length, Ordering::Relaxed);
                *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
                moved.some(length);
            }
            drop((feed, rest));
            // Ends with the last view of the bytes.
            let _ = gone.await;
            if let Some(lane) = &lane {
                lane.handed();
            }
            moved.all().await;
            std::future::pending::<()>().await;
        };
        let silence = async {
            let mut quiet = Quiet::default();
            loop {
                let since = *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // A limit of ours is no silence of theirs.
                let is_limited = limits.iter().any(|throttle| throttle.rate().is_some());
                match quiet.next(since, is_limited, Instant::now()) {
                    Next::Wait(time) => tokio::time::sleep(time).await,
                    Next::Ask => quiet.on_answer(wire.came(&common.upload).await, Instant::now()),
                    Next::GiveUp => return,
                }
            }
        };
        let shorter = anew::shorter(common, &run, (content, digest), &left, wishes);
        let outcome = tokio::select! {
            answer = answer => match answer {
                Ok(()) => {
                    if content == Content::Packed {
                        common.packer.on_held(length, on_wire + in_vain);
                    }
                    if let Some(lane) = &lane {
                        lane.moved(length, begun.elapsed());
                    }
                    Outcome::Held(digest, start.elapsed())
                }
                Err(error) => Outcome::Failed(error),
            },
            (segment, left) = shorter => {
                let gone = on_wire.saturating_sub(left);
                return ControlFlow::Continue(anew::Anew { segment, gone });
            }
            () = feeding => Outcome::Failed(WireError::Broken("cut off".into())),
            () = silence => Outcome::Failed(WireError::Broken(format!("nothing moved for {} s", SILENCE.as_secs()))),
        };
        ControlFlow::Break(outcome)
    }
}

/// A segment as it is sent.
pub(super) struct Segment {
    /// What goes over the path.
    pub bytes: Bytes,
    /// Of the segment itself.
    pub digest: Digest,
    /// What the bytes are.
    pub content: Content,
}

/// Reads and hashes a segment, and compresses it if the link wants that now.
pub(super) async fn read(common: &Arc<Common>, run: Range<u64>) -> Result<Segment, ReadError> {
    let shared = common.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let length = (run.end - run.start) as usize;
        let (bytes, digest) = shared.buffers.fill(length, |buffer| shared.reader.read(run, buffer))?;
        // A hole, most likely: the receiver makes the bytes itself.
        if !bytes.is_empty() && zeros::is_zero(&bytes) {
            return Ok(Segment { bytes: Bytes::new(), digest, content: Content::Zeros });
        }
        Ok(match shared.packer.pack(&bytes) {
            Some(packed) => Segment { bytes: packed.into(), digest, content: Content::Packed },
            None => Segment { bytes, digest, content: Content::Plain },
        })
    });
    let failed = |e: tokio::task::JoinError| ReadError::Read { path: String::new(), error: std::io::Error::other(e) };
    reading.await.unwrap_or_else(|e| Err(failed(e)))
}

/// Bytes of which somebody wants to know when nobody has them any more.
struct Leaving {
    bytes: Bytes,
    _held: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Leaving {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A part of a segment: what is left to be sent becomes less when nobody has it any more, which is when the system took it.
struct Chunk {
    bytes: Bytes,
    left: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.left.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// A body of known length, fed from a channel.
struct Fed {
    chunks: mpsc::Receiver<Bytes>,
    left: u64,
}

impl Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.chunks.poll_recv(cx).map(|chunk| match chunk {
            Some(chunk) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            None => Some(Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut off"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
