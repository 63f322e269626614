//! A body that comes in chunks, as a reader: what parses it runs off the async threads and never
//! holds the text.

use std::io;

use bytes::{Buf as _, Bytes};
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
