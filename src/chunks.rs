//! A body that comes in chunks, as a reader, and one that goes in chunks, as a writer: what parses or makes
//! it runs off the async threads and never holds the whole.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use tokio::sync::mpsc;

/// Chunks between the network and the parser.
const CHUNKS: usize = 4;

/// Reads what is sent; blocks until more of it comes, ends when nobody sends.
pub(crate) struct Chunks {
    received: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Chunks {
    /// A reader, and what feeds it.
    pub(crate) fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (chunks, received) = mpsc::channel(CHUNKS);
        (chunks, Self { received, rest: Bytes::new() })
    }
}

impl io::Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(chunk) = self.received.blocking_recv() else { return Ok(0) };
            self.rest = chunk;
        }
        let count = buf.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buf[..count]);
        Ok(count)
    }
}

/// Bytes of a chunk that is made.
const CHUNK: usize = 64 << 10;
/// What was made so long ago goes on its way, as little as it may be.
const AT_THE_LATEST: Duration = Duration::from_millis(50);

/// Writes into a body; blocks until the network takes it. Nothing is held back for longer than [`AT_THE_LATEST`] while
/// something comes.
pub(crate) struct ChunkWriter {
    to: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    sent: Instant,
}

impl ChunkWriter {
    /// A writer, and the body.
    pub(crate) fn new() -> (Self, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let (to, from) = mpsc::channel(CHUNKS);
        let body = futures_util::stream::unfold(from, |mut from: mpsc::Receiver<_>| async move {
            let next = from.recv().await?;
            Some((next, from))
        });
        (Self { to, buffer: Vec::with_capacity(CHUNK), sent: Instant::now() }, body)
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sent = Instant::now();
        // Nobody listens any more.
        self.to.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends the body; with an error it breaks off, so that nobody takes it for whole.
    pub(crate) fn finish(mut self, result: io::Result<()>) {
        let _ = match result.and_then(|()| self.send()) {
            Ok(()) => Ok(()),
            Err(error) => self.to.blocking_send(Err(error)),
        };
    }
}

impl io::Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > CHUNK || self.sent.elapsed() > AT_THE_LATEST {
            self.send()?;
        }
        let count = bytes.len().min(CHUNK);
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// What there is goes on its way.
    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
