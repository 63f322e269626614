//! One request for pieces, from the first byte to the last: hashed while it streams in, written
//! where it belongs, compared before it counts.
//!
//! A chunk is hashed and written on the task's own thread. Both are short (a chunk is at most some
//! 400 KiB, the write goes to the page cache), and handing chunks to other threads was measured to
//! halve the throughput: the bytes would leave the core's cache between the two.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Response;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::client::{Client, ClientError, PieceAnswer};
use super::leech::RequestId;
use crate::content::{ContentId, Manifest};
use crate::store::{ContentFiles, FilesError};
use crate::throttle::{self, Throttle};

/// What a fetch tells the download that started it.
#[derive(Debug)]
pub(super) enum FetchEvent {
    /// A piece came and matches its digest. `bytes`: not written yet (a duplicate's).
    Piece { id: RequestId, piece: u32, bytes: Option<Vec<u8>> },
    /// A piece came and does not match. The fetch ends with it.
    Corrupt { id: RequestId, piece: u32 },
    /// Nothing more will come.
    Ended { id: RequestId, result: Result<(), FetchError> },
}

/// Why a fetch ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("choked")]
    Choked(Duration),
    #[error("says that others have the piece")]
    Elsewhere(Duration),
    #[error("does not have the piece")]
    Missing,
    #[error("answered {0}")]
    Status(u16),
    #[error("sent {got} bytes where {wanted} were due")]
    Length { wanted: u64, got: u64 },
    #[error("no byte for {0:?}")]
    Stalled(Duration),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Disk(#[from] FilesError),
    #[error("sent a piece that does not match its digest")]
    Corrupt,
    #[error("no longer wanted")]
    Revoked,
}

/// Figures of a running fetch, read by the download at its own pace.
#[derive(Debug, Default)]
pub(super) struct FetchMeter {
    /// Payload bytes so far.
    pub bytes: AtomicU64,
    /// Bytes of headers both ways.
    pub overhead: AtomicU64,
    /// Microseconds from the request to the first byte of the answer, 0 until then.
    pub first_byte_us: AtomicU64,
}

/// The right of a fetch to write to the disk. Revoked before anybody else may write the same
/// pieces: once [`Lease::revoke`] returns, the fetch writes no more.
#[derive(Debug, Default)]
pub(super) struct Lease(Mutex<LeaseState>);

#[derive(Debug, Default)]
struct LeaseState {
    revoked: bool,
    /// Pieces that somebody else has completed meanwhile.
    done: Vec<u32>,
}

impl Lease {
    pub(super) fn revoke(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).revoked = true;
    }

    /// From now on the fetch does not write this piece.
    pub(super) fn take_piece(&self, piece: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).done.push(piece);
    }

    /// Runs `write` if the fetch may still write `piece`; `false` if that piece is another's now.
    fn write(&self, piece: u32, write: impl FnOnce() -> Result<(), FilesError>) -> Result<bool, FetchError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.revoked {
            return Err(FetchError::Revoked);
        }
        if state.done.contains(&piece) {
            return Ok(false);
        }
        write()?;
        Ok(true)
    }
}

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A node.
    Node(Arc<str>),
    /// A plain HTTP server that has the content's only file.
    Mirror(Arc<str>),
}

/// One request to carry out.
#[derive(Debug)]
pub(super) struct Fetch {
    pub id: RequestId,
    pub source: Source,
    pub content: ContentId,
    pub first: u32,
    pub count: u32,
    /// Keep the bytes in memory: somebody else is writing the same piece.
    pub in_memory: bool,
    pub manifest: Arc<Manifest>,
    pub files: Arc<ContentFiles>,
    pub lease: Arc<Lease>,
    pub meter: Arc<FetchMeter>,
    /// Limits on the way down, the transfer's own first, that of the link last.
    pub throttles: Arc<[Arc<Throttle>]>,
    pub stall: Duration,
}

impl Fetch {
    /// Carries it out and reports; ends with [`FetchEvent::Ended`] unless it is aborted.
    pub(super) async fn run(self, client: Arc<Client>, events: mpsc::Sender<FetchEvent>) {
        let result = self.transfer(&client, &events).await;
        // The download may be gone; then nobody wants to know.
        let _ = events.send(FetchEvent::Ended { id: self.id, result }).await;
    }

    async fn transfer(&self, client: &Client, events: &mpsc::Sender<FetchEvent>) -> Result<(), FetchError> {
        let start = self.files.piece(self.first).start;
        let end = self.files.piece(self.first + self.count - 1).end;
        let asked = Instant::now();
        let answer = match &self.source {
            Source::Node(node) => client.pieces(node, &self.content, self.first, self.count),
            Source::Mirror(url) => {
                return self.receive(self.ask_mirror(client, url, start, end).await?, asked, events).await;
            }
        };
        let answer = tokio::time::timeout(self.stall, answer).await.map_err(|_| FetchError::Stalled(self.stall))??;
        self.receive(answer, asked, events).await
    }

    async fn ask_mirror(&self, client: &Client, url: &str, start: u64, end: u64) -> Result<PieceAnswer, FetchError> {
        let answer = client.range(url, start, end - 1);
        Ok(tokio::time::timeout(self.stall, answer).await.map_err(|_| FetchError::Stalled(self.stall))??)
    }

    async fn receive(
        &self,
        answer: PieceAnswer,
        asked: Instant,
        events: &mpsc::Sender<FetchEvent>,
    ) -> Result<(), FetchError> {
        match answer {
            PieceAnswer::Body { response, overhead } => {
                self.meter.overhead.fetch_add(overhead, Ordering::Relaxed);
                self.meter.first_byte_us.store(asked.elapsed().as_micros().max(1) as u64, Ordering::Relaxed);
                self.stream(response, events).await
            }
            PieceAnswer::Choked(retry_after) => Err(FetchError::Choked(retry_after)),
            PieceAnswer::Elsewhere(retry_after) => Err(FetchError::Elsewhere(retry_after)),
            PieceAnswer::Missing => Err(FetchError::Missing),
            PieceAnswer::Status(status) => Err(FetchError::Status(status)),
        }
    }

    async fn stream(&self, mut response: Response, events: &mpsc::Sender<FetchEvent>) -> Result<(), FetchError> {
        let mut run = Run::new(self, response.content_length())?;
        loop {
            let chunk = tokio::time::timeout(self.stall, response.chunk())
                .await
                .map_err(|_| FetchError::Stalled(self.stall))?
                .map_err(ClientError::from)?;
            let Some(chunk) = chunk else { return run.end() };
            throttle::acquire(&self.throttles, chunk.len() as u64).await;
            self.meter.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let (taken, finished) = run.feed(rest)?;
                rest = &rest[taken..];
                match finished {
                    Some(Finished::Good { piece, bytes }) => {
                        let _ = events.send(FetchEvent::Piece { id: self.id, piece, bytes }).await;
                    }
                    Some(Finished::Corrupt { piece }) => {
                        let _ = events.send(FetchEvent::Corrupt { id: self.id, piece }).await;
                        return Err(FetchError::Corrupt);
                    }
                    None => {}
                }
            }
        }
    }
}

/// A piece that is complete.
enum Finished {
    Good { piece: u32, bytes: Option<Vec<u8>> },
    Corrupt { piece: u32 },
}

/// The pieces of one body as it passes by.
struct Run<'a> {
    fetch: &'a Fetch,
    hash: Sha256,
    piece: u32,
    /// Next byte of the content.
    at: u64,
    piece_end: u64,
    end: u64,
    kept: Vec<u8>,
}

impl<'a> Run<'a> {
    /// A body of `length` bytes, if it said so: it must end where a piece ends. A node may send
    /// fewer pieces than asked, never more.
    fn new(fetch: &'a Fetch, length: Option<u64>) -> Result<Self, FetchError> {
        let first = fetch.files.piece(fetch.first);
        let last = fetch.files.piece(fetch.first + fetch.count - 1);
        let wanted = last.end - first.start;
        let end = first.start + length.unwrap_or(wanted).min(wanted + 1);
        let whole = (fetch.first..fetch.first + fetch.count).any(|piece| fetch.files.piece(piece).end == end);
        if !whole {
            return Err(FetchError::Length { wanted, got: length.unwrap_or(0) });
        }
        let hash = Sha256::new();
        Ok(Self { fetch, hash, piece: fetch.first, at: first.start, piece_end: first.end, end, kept: Vec::new() })
    }

    /// Takes bytes up to the end of the piece at hand.
    fn feed(&mut self, data: &[u8]) -> Result<(usize, Option<Finished>), FetchError> {
        let taken = data.len().min((self.piece_end - self.at) as usize);
        if taken == 0 {
            let start = self.fetch.files.piece(self.fetch.first).start;
            return Err(FetchError::Length { wanted: self.end - start, got: self.at - start + data.len() as u64 });
        }
        let data = &data[..taken];
        self.hash.update(data);
        if self.fetch.in_memory {
            self.kept.extend_from_slice(data);
        } else {
            self.fetch.lease.write(self.piece, || self.fetch.files.write_at(self.at, data))?;
        }
        self.at += taken as u64;
        Ok((taken, (self.at == self.piece_end).then(|| self.finish_piece())))
    }

    fn finish_piece(&mut self) -> Finished {
        let piece = self.piece;
        let digest: [u8; 32] = self.hash.finalize_reset().into();
        if self.at < self.end {
            self.piece += 1;
            self.piece_end = self.fetch.files.piece(self.piece).end;
        }
        let bytes = self.fetch.in_memory.then(|| std::mem::take(&mut self.kept));
        if digest == self.fetch.manifest.pieces[piece as usize].0 {
            Finished::Good { piece, bytes }
        } else {
            Finished::Corrupt { piece }
        }
    }

    fn end(self) -> Result<(), FetchError> {
        if self.at == self.end {
            return Ok(());
        }
        let start = self.fetch.files.piece(self.fetch.first).start;
        Err(FetchError::Length { wanted: self.end - start, got: self.at - start })
    }
}
