//! Sending bytes of a content: from the page cache into the socket.
//!
//! What the page cache holds of a file is sent by the kernel ([`Outlet`]). Where that cannot be (HTTP/2,
//! short files, a system that cannot say what is cached), bytes pass through a reused buffer: one chunk is on its way out while the next is read. What the page cache holds is read at once
//! on the connection's own thread, hot in its cache when it is written; only what is not there
//! costs a trip to a blocking thread, and is then read one chunk ahead. Under a rate limit a chunk
//! leaves in slices. Bytes count as sent when the connection asks for the next ones.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::metrics::Metrics;
use super::outlet::{MAX_REGION, Outlet};
use super::pool::{BodyGuard, Buffer, BufferPool};
use crate::store::{FilesError, Region};
use crate::swarm::Held;
use crate::swarm::held::Serving;
use crate::throttle::{self, Throttle};

/// Why a body cannot be sent, or ends early.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The file cannot be read; the pieces have been withdrawn.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The runtime is going down.
    #[error("the node is stopping")]
    Stopping,
    /// What was handed to the connection did not come out of it.
    #[error("a body is out of step with its file")]
    OutOfStep,
}

/// A buffer being filled on a blocking thread.
type Reading = JoinHandle<Result<Buffer, FilesError>>;

/// Bytes that come next.
#[derive(Debug)]
enum Chunk {
    Memory(Bytes),
    /// To be sent by the kernel.
    Region(Region),
}

impl Chunk {
    const EMPTY: Self = Self::Memory(Bytes::new());

    fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Region(region) => region.length(),
        }
    }
}

/// A run of a content's bytes on its way to a peer.
#[derive(Debug)]
pub struct Sender {
    held: Arc<Held>,
    peer: Arc<str>,
    metrics: Arc<Metrics>,
    throttles: [Arc<Throttle>; 2],
    pool: Arc<BufferPool>,
    /// Bytes of the content not read yet.
    rest: Range<u64>,
    /// Being read on a blocking thread.
    ahead: Option<(Range<u64>, Reading)>,
    /// Read, not handed over yet.
    chunk: Chunk,
    outlet: Option<Outlet>,
    /// Handed over, not known to be sent.
    handed: u64,
    /// Pieces to count when all is sent.
    pieces: u32,
    _serving: Serving,
    _body: BodyGuard,
    _slots: Vec<OwnedSemaphorePermit>,
}

/// What [`Sender`] needs of the node.
#[derive(Debug)]
pub struct Means {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Buffers.
    pub pool: Arc<BufferPool>,
    /// The node's upload limit.
    pub up: Arc<Throttle>,
    /// The connection's, if it can send files by itself.
    pub outlet: Option<Outlet>,
    /// Given back when the body is done.
    pub slots: Vec<OwnedSemaphorePermit>,
}

impl Sender {
    /// Prepares to send `range`, which must lie within the content, and reads the first chunk: so a
    /// file that is gone is answered properly instead of with a torn body.
    ///
    /// # Errors
    /// The first chunk cannot be read.
    pub async fn open(
        held: Arc<Held>,
        peer: Arc<str>,
        range: Range<u64>,
        pieces: u32,
        means: Means,
    ) -> Result<Self, SendError> {
        let mut sender = Self {
            _serving: held.serving(&peer),
            throttles: [held.throttle().clone(), means.up],
            held,
            peer,
            metrics: means.metrics,
            _body: means.pool.body(),
            pool: means.pool,
            rest: range,
            ahead: None,
            chunk: Chunk::EMPTY,
            outlet: means.outlet,
            handed: 0,
            pieces,
            _slots: means.slots,
        };
        sender.chunk = sender.read().await?;
        Ok(sender)
    }

    /// The body. Its length is that of the range.
    pub fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |sender| async move {
            let mut sender = sender?;
            match sender.next().await {
                Ok(bytes) if bytes.is_empty() => None,
                Ok(bytes) => Some((Ok(bytes), Some(sender))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// The next bytes to hand over; empty at the end.
    async fn next(&mut self) -> Result<Bytes, SendError> {
        self.count_handed();
        if self.chunk.len() == 0 {
            self.chunk = self.read().await?;
        }
        let quantum = throttle::quantum(&self.throttles);
        let count = usize::try_from(quantum).unwrap_or(usize::MAX).min(self.chunk.len());
        throttle::acquire(&self.throttles, count as u64).await;
        self.handed = count as u64;
        match &mut self.chunk {
            Chunk::Memory(bytes) => Ok(bytes.split_to(count)),
            Chunk::Region(region) => {
                let region = region.split_to(count);
                self.metrics.bytes_up_uncopied.inc_by(count as u64);
                self.outlet.as_ref().and_then(|outlet| outlet.queue(region)).ok_or(SendError::OutOfStep)
            }
        }
    }

    fn count_handed(&mut self) {
        let bytes = std::mem::take(&mut self.handed);
        if bytes > 0 {
            self.metrics.bytes_up.inc_by(bytes);
            self.held.sent(&self.peer, bytes);
        }
    }

    /// The next chunk; empty at the end.
    async fn read(&mut self) -> Result<Chunk, SendError> {
        if self.ahead.is_none()
            && let Some(region) = self.cached_region()?
        {
            self.rest.start += region.length() as u64;
            return Ok(Chunk::Region(region));
        }
        Ok(Chunk::Memory(self.read_bytes().await?))
    }

    /// What the kernel can send of the bytes that come next.
    fn cached_region(&self) -> Result<Option<Region>, SendError> {
        let length = (self.rest.end - self.rest.start).min(MAX_REGION as u64);
        if self.outlet.is_none() || length == 0 {
            return Ok(None);
        }
        let region = self.held.files().cached_region(self.rest.start, length as usize);
        Ok(region.inspect_err(|error| self.held.unreadable(&(self.rest.start..self.rest.start + length), error))?)
    }

    /// True if no disk is in the way any more, as after the read that opened the file.
    fn is_cached(&self) -> bool {
        self.cached_region().is_ok_and(|region| region.is_some())
    }

    /// The next chunk through a buffer; empty at the end.
    async fn read_bytes(&mut self) -> Result<Bytes, SendError> {
        let (range, read) = match self.ahead.take() {
            Some((range, task)) => (range, task.await.map_err(|_| SendError::Stopping)?),
            None => {
                let range = self.take_range();
                if range.is_empty() {
                    return Ok(Bytes::new());
                }
                let mut buffer = self.pool.take((range.end - range.start) as usize);
                match self.held.files().read_cached_at(range.start, buffer.as_mut_slice()) {
                    Ok(count) if count == buffer.as_ref().len() => return Ok(buffer.freeze()),
                    Ok(count) => {
                        let task = self.spawn(range.start, buffer, count);
                        (range, task.await.map_err(|_| SendError::Stopping)?)
                    }
                    Err(error) => (range, Err(error)),
                }
            }
        };
        let buffer = read.inspect_err(|error| self.held.unreadable(&range, error))?;
        // Once a disk is in the way, the next chunk is fetched while this one is sent.
        if self.is_cached() {
            return Ok(buffer.freeze());
        }
        let next = self.take_range();
        if !next.is_empty() {
            let ahead = self.pool.take((next.end - next.start) as usize);
            self.ahead = Some((next.clone(), self.spawn(next.start, ahead, 0)));
        }
        Ok(buffer.freeze())
    }

    fn take_range(&mut self) -> Range<u64> {
        let start = self.rest.start;
        self.rest.start = (start + self.pool.chunk_length() as u64).min(self.rest.end);
        start..self.rest.start
    }

    /// Fills `buffer` from its byte `filled` on, on a blocking thread.
    fn spawn(&self, start: u64, mut buffer: Buffer, filled: usize) -> Reading {
        let held = self.held.clone();
        tokio::task::spawn_blocking(move || {
            held.files().read_at(start + filled as u64, &mut buffer.as_mut_slice()[filled..])?;
            Ok(buffer)
        })
    }
}

impl Drop for Sender {
    /// hyper does not ask again once it has what the head promised.
    fn drop(&mut self) {
        if self.rest.is_empty() && self.ahead.is_none() && self.chunk.len() == 0 {
            self.count_handed();
            self.metrics.pieces_served.inc_by(u64::from(self.pieces));
        }
    }
}
