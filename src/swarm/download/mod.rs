//! Fetching one content from many peers: the task that owns a download.
//!
//! ```text
//!  Leech (decides) ──Request──▶ Active ──▶ Fetch tasks ──FetchEvent──┐   (channel of 64)
//!     ▲                                      │ hash, write           │
//!     └───────────── Download::run ◀─────────┼───────────────────────┘
//!   peers_io, announcing ──news──▶ ▲         ▼
//!                                  │   ContentFiles ── Durable ──▶ sync ──▶ record
//! ```
//!
//! Invariants:
//! - a piece counts once its digest matched *and* its bytes were written; it is served from then on;
//! - it is recorded only after a sync that started later has ended;
//! - at any time at most one fetch writes a piece to its place; a second copy stays in memory, and
//!   when it wins, the first loses its right to write before the copy is put in place.

mod active;
mod durable;
mod report;
pub(crate) use report::files_shown;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::active::Active;
use self::durable::Durable;
pub use self::report::{DownloadReport, Reporter};
use super::announcing::{Announcers, Found};
use super::bans::host_port;
use super::fetch::{Fetch, FetchError, FetchEvent, FetchMeter, Lease, Source};
use super::flow::Flow;
use super::held::Held;
use super::leech::{Failure, Leech, LeechConfig, PieceSizes, Request, RequestId};
use super::peers::{PeerKey, PeerKind};
use super::peers_io::{PeerNews, watch_peer};
use super::picker::Order;
use super::services::Swarm;
use crate::content::{Bitmap, Manifest};
use crate::control::{PieceOrder, TransferId};
use crate::store::{ContentFiles, FilesError, StateError};
use crate::throttle::Throttle;

/// Capacity of every channel of a download (systems.md §1).
const CHANNEL: usize = 64;
/// How often figures are refreshed and timeouts looked at.
const TICK: Duration = Duration::from_millis(250);
/// A request without a byte for this long is given up.
const STALL: Duration = Duration::from_secs(10);
/// Peers that are watched at once.
const MAX_WATCHED: usize = 200;

/// Puts into the record what the disk holds.
pub type Recorder = dyn Fn(&Bitmap) -> Result<(), StateError> + Send + Sync;

/// What to fetch, and with what.
pub struct Download {
    /// Node-wide services.
    pub swarm: Arc<Swarm>,
    /// For log lines.
    pub id: TransferId,
    /// Serves what is here while it grows.
    pub held: Arc<Held>,
    /// Where the bytes go.
    pub files: Arc<ContentFiles>,
    /// What the disk holds already.
    pub have: Bitmap,
    /// Order of pieces.
    pub order: PieceOrder,
    /// Nodes known from the start.
    pub peers: Vec<String>,
    /// Plain HTTP servers of the content's only file.
    pub mirrors: Vec<String>,
    /// This transfer's own limit, then the node's.
    pub throttles: Arc<[Arc<Throttle>]>,
    /// Records what is durable.
    pub record: Arc<Recorder>,
    /// Seed of every random choice.
    pub seed: u64,
}

/// Why a download stopped before it was complete.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] FilesError),
    /// The record could not be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The engine failed itself.
    #[error("internal: {0}")]
    Internal(String),
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadEnd {
    /// Every piece is verified, synced and recorded.
    Complete,
    /// Stopped on request; everything received so far is recorded.
    Stopped,
}

/// The running state of a download; owned by its task.
struct Running {
    job: Download,
    started: Instant,
    manifest: Arc<Manifest>,
    leech: Leech,
    active: Active,
    durable: Durable,
    endpoints: HashMap<PeerKey, Endpoint>,
    banned_here: HashSet<String>,
    failed: HashSet<u32>,
    flow: Flow,
    overhead: u64,
    wasted: u64,
    fetch_events: (mpsc::Sender<FetchEvent>, mpsc::Receiver<FetchEvent>),
    news: (mpsc::Sender<PeerNews>, mpsc::Receiver<PeerNews>),
    watchers: HashMap<PeerKey, tokio::task::AbortHandle>,
    tasks: JoinSet<()>,
    batch: Option<JoinHandle<Recorded>>,
    bytes_per_peer: HashMap<Arc<str>, u64>,
}

struct Endpoint {
    source: Source,
    name: Arc<str>,
    /// `host:port`: how the serving side knows the same peer.
    id: Arc<str>,
    connected: bool,
    note: String,
}

type Recorded = Result<Bitmap, DownloadError>;

impl Download {
    /// Fetches until everything is there, `stop` is cancelled, or the disk fails. On return nothing
    /// is written any more, and what was verified is synced and recorded.
    ///
    /// # Errors
    /// The disk or the record failed: what was recorded before stays good.
    pub async fn run(
        self,
        reporter: &mut Reporter,
        announcers: &mut Announcers,
        stop: CancellationToken,
    ) -> Result<DownloadEnd, DownloadError> {
        let now = Instant::now();
        let mut running = Running::new(self, now);
        running.start(now);
        let result = running.drive(reporter, announcers, &stop).await;
        for id in running.active.ids() {
            running.overhead += running.active.cancel(id);
        }
        running.tasks.shutdown().await;
        let settled = running.settle(result).await;
        running.report(reporter, announcers, Instant::now(), true);
        settled
    }
}

impl Running {
    fn new(job: Download, now: Instant) -> Self {
        let manifest = job.files.manifest().clone();
        let sizes = PieceSizes::of(job.files.layout().size(), manifest.piece_length);
        let config = LeechConfig { order: order(job.order), ..job.swarm.leech };
        let leech = Leech::new(sizes, job.have.clone(), config, job.seed);
        Self {
            started: now,
            durable: Durable::new(job.have.clone()),
            manifest,
            leech,
            active: Active::default(),
            endpoints: HashMap::new(),
            banned_here: HashSet::new(),
            failed: HashSet::new(),
            flow: Flow::new(now),
            overhead: 0,
            wasted: 0,
            fetch_events: mpsc::channel(CHANNEL),
            news: mpsc::channel(CHANNEL),
            watchers: HashMap::new(),
            tasks: JoinSet::new(),
            batch: None,
            bytes_per_peer: HashMap::new(),
            job,
        }
    }

    /// Adds the peers that are known from the start.
    fn start(&mut self, now: Instant) {
        for peer in std::mem::take(&mut self.job.peers) {
            self.add_peer(&peer, PeerKind::Swarm, now);
        }
        for mirror in std::mem::take(&mut self.job.mirrors) {
            self.add_peer(&mirror, PeerKind::Mirror, now);
        }
    }

    async fn drive(
        &mut self,
        reporter: &mut Reporter,
        announcers: &mut Announcers,
        stop: &CancellationToken,
    ) -> Result<DownloadEnd, DownloadError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            if self.leech.is_complete() {
                return Ok(DownloadEnd::Complete);
            }
            self.fill(now);
            if self.batch.is_none() {
                self.batch = self.next_batch(now);
            }
            let timeout = self.leech.poll_timeout().unwrap_or(now + TICK * 4);
            tokio::select! {
                Some(event) = self.fetch_events.1.recv() => {
                    self.on_fetch(event)?;
                    // Others that are ready: one refill for all of them.
                    while let Ok(event) = self.fetch_events.1.try_recv() {
                        self.on_fetch(event)?;
                    }
                }
                Some(news) = self.news.1.recv() => self.on_news(news, Instant::now()),
                Some(found) = announcers.found.recv() => self.on_found(found, Instant::now()),
                result = joined(&mut self.batch) => self.on_recorded(result)?,
                () = tokio::time::sleep_until(timeout.into()) => self.on_timeout(Instant::now()),
                _ = tick.tick() => {
                    let now = Instant::now();
                    let new = self.active.account(&mut self.leech, now);
                    self.flow.add(new, now);
                    self.on_timeout(now);
                    announcers.set_hungry(self.leech.waiting_reason(now).is_some());
                    self.report(reporter, announcers, now, false);
                }
                () = stop.cancelled() => return Ok(DownloadEnd::Stopped),
            }
        }
    }

    /// Starts as many requests as the deciders allow.
    fn fill(&mut self, now: Instant) {
        while let Some(request) = self.leech.next_request(now) {
            let Some(endpoint) = self.endpoints.get(&request.peer) else {
                self.leech.on_failed(request.id, Failure::Connect, now);
                continue;
            };
            tracing::trace!(transfer = self.job.id.0, first = request.first, count = request.count,
                peer = %endpoint.name, why = %request.why, "request");
            let fetch = self.fetch(&request, endpoint.source.clone());
            self.active.start(request.peer, fetch, self.job.swarm.client.clone(), self.fetch_events.0.clone(), now);
        }
    }

    fn fetch(&self, request: &Request, source: Source) -> Fetch {
        Fetch {
            id: request.id,
            source,
            content: self.job.held.id(),
            first: request.first,
            count: request.count,
            in_memory: request.duplicate,
            manifest: self.manifest.clone(),
            files: self.job.files.clone(),
            lease: Arc::new(Lease::default()),
            meter: Arc::new(FetchMeter::default()),
            throttles: self.job.throttles.clone(),
            stall: STALL,
        }
    }

    fn on_fetch(&mut self, event: FetchEvent) -> Result<(), DownloadError> {
        let now = Instant::now();
        match event {
            FetchEvent::Piece { id, piece, bytes } if self.active.contains(id) => self.on_piece(id, piece, bytes, now),
            FetchEvent::Corrupt { id, piece } if self.active.contains(id) => {
                self.on_corrupt(id, piece, now);
                Ok(())
            }
            FetchEvent::Ended { id, result } if self.active.contains(id) => self.on_ended(id, result, now),
            // Of a request that was cancelled meanwhile.
            _ => Ok(()),
        }
    }

    fn on_piece(
        &mut self,
        id: RequestId,
        piece: u32,
        bytes: Option<Vec<u8>>,
        now: Instant,
    ) -> Result<(), DownloadError> {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        let range = self.job.files.piece(piece);
        let size = range.end - range.start;
        if self.leech.have().get(piece) {
            self.wasted += size;
            return Ok(());
        }
        if let Some(bytes) = bytes {
            self.active.take_piece(piece);
            self.job.files.write_at(range.start, &bytes)?;
        }
        if let Some(endpoint) = self.active.peer(id).and_then(|peer| self.endpoints.get(&peer)) {
            *self.bytes_per_peer.entry(endpoint.name.clone()).or_default() += size;
            // What a peer gives us earns it an upload slot.
            self.job.held.received(&endpoint.id, size);
        }
        let losers = self.leech.on_piece(id, piece, now);
        self.failed.remove(&piece);
        self.job.held.mark_have(&[piece]);
        self.durable.on_written(piece, size, now);
        self.cancel(&losers);
        Ok(())
    }

    fn on_corrupt(&mut self, id: RequestId, piece: u32, now: Instant) {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        self.failed.insert(piece);
        self.job.swarm.hash_failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let range = self.job.files.piece(piece);
        self.wasted += range.end - range.start;
        let Some(peer) = self.active.peer(id) else { return };
        let (_, others) = self.leech.on_corrupt(id, piece, now);
        self.cancel(&[id]);
        self.cancel(&others);
        if let Some(endpoint) = self.endpoints.get(&peer) {
            let name = endpoint.name.clone();
            self.job
                .swarm
                .bans
                .ban(&name, &format!("piece {piece} of {} did not match its digest", self.job.held.id().short()));
            self.banned_here.insert(name.to_string());
        }
        self.unwatch(peer);
    }

    fn on_ended(&mut self, id: RequestId, result: Result<(), FetchError>, now: Instant) -> Result<(), DownloadError> {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        self.overhead += self.active.overhead(id);
        let peer = self.active.peer(id);
        self.active.ended(id);
        let failure = match result {
            Ok(()) => {
                self.leech.on_finished(id, now);
                return Ok(());
            }
            Err(FetchError::Disk(error)) => return Err(error.into()),
            Err(FetchError::Revoked | FetchError::Corrupt) => return Ok(()),
            Err(FetchError::Choked(retry_after)) => Failure::Choked(retry_after),
            Err(FetchError::Missing) => Failure::Refused,
            Err(FetchError::Status(status)) => Failure::Status(status),
            Err(FetchError::Length { wanted, got }) if got < wanted => Failure::ShortBody,
            Err(FetchError::Length { .. }) => Failure::TooMuch,
            Err(FetchError::Stalled(_)) => Failure::Stall,
            Err(FetchError::Client(_)) => Failure::Broken,
        };
        if let (Some(peer), Err(error)) = (peer, &result)
            && !matches!(error, FetchError::Choked(_) | FetchError::Revoked)
            && let Some(endpoint) = self.endpoints.get_mut(&peer)
        {
            endpoint.note = error.to_string();
            tracing::debug!(transfer = self.job.id.0, peer = %endpoint.name, %error, "request failed");
        }
        self.leech.on_failed(id, failure, now);
        Ok(())
    }

    fn on_news(&mut self, news: PeerNews, now: Instant) {
        match news {
            PeerNews::Bitmap(peer, bitmap) => {
                self.connected(peer);
                self.leech.on_bitmap(peer, &bitmap, now);
            }
            PeerNews::Haves(peer, pieces) => {
                self.connected(peer);
                self.leech.on_have(peer, &pieces, now);
            }
            PeerNews::Choke(peer, true) => self.leech.on_choked(peer, Duration::from_secs(10), now),
            PeerNews::Choke(peer, false) => self.leech.on_unchoked(peer, now),
            PeerNews::Failed(peer, error) => {
                if let Some(endpoint) = self.endpoints.get_mut(&peer) {
                    endpoint.connected = false;
                    endpoint.note = error;
                }
            }
            PeerNews::Gone(peer, error) => {
                if let Some(endpoint) = self.endpoints.get(&peer) {
                    tracing::info!(transfer = self.job.id.0, peer = %endpoint.name, %error, "peer given up");
                }
                self.drop_peer(peer, now);
            }
        }
    }

    fn connected(&mut self, peer: PeerKey) {
        if let Some(endpoint) = self.endpoints.get_mut(&peer) {
            endpoint.connected = true;
            endpoint.note.clear();
        }
    }

    fn on_found(&mut self, found: Found, now: Instant) {
        for peer in found.peers {
            self.add_peer(&peer, PeerKind::Swarm, now);
        }
    }

    fn add_peer(&mut self, endpoint: &str, kind: PeerKind, now: Instant) {
        let endpoint = endpoint.trim_end_matches('/');
        let own = self.job.swarm.endpoint.as_deref();
        if Some(endpoint) == own || self.job.swarm.bans.is_banned(endpoint) || self.watchers.len() >= MAX_WATCHED {
            return;
        }
        let Some(key) = self.leech.add_peer(endpoint, kind, now) else { return };
        let name: Arc<str> = endpoint.into();
        let (source, connected) = match kind {
            PeerKind::Mirror => (Source::Mirror(name.clone()), true),
            PeerKind::Swarm => {
                let client = self.job.swarm.client.clone();
                let (content, pieces) = (self.job.held.id(), self.manifest.piece_count());
                let watching = watch_peer(client, key, name.clone(), content, pieces, self.news.0.clone());
                self.watchers.insert(key, self.tasks.spawn(watching));
                (Source::Node(name.clone()), false)
            }
        };
        self.endpoints
            .insert(key, Endpoint { source, id: host_port(&name).into(), name, connected, note: String::new() });
    }

    fn drop_peer(&mut self, peer: PeerKey, now: Instant) {
        self.unwatch(peer);
        let ids = self.leech.remove_peer(peer, now);
        self.cancel(&ids);
        self.endpoints.remove(&peer);
    }

    fn unwatch(&mut self, peer: PeerKey) {
        if let Some(watcher) = self.watchers.remove(&peer) {
            watcher.abort();
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let late = self.leech.on_timeout(now);
        self.cancel(&late);
    }

    fn cancel(&mut self, ids: &[RequestId]) {
        for id in ids {
            self.overhead += self.active.cancel(*id);
        }
    }

    /// Syncs and records a batch, if one is due, off the async threads.
    fn next_batch(&mut self, now: Instant) -> Option<JoinHandle<Recorded>> {
        let next = self.durable.next_batch(now, false)?;
        Some(self.sync_and_record(next))
    }

    fn sync_and_record(&self, have: Bitmap) -> JoinHandle<Recorded> {
        let (files, record) = (self.job.files.clone(), self.job.record.clone());
        tokio::task::spawn_blocking(move || {
            files.sync()?;
            record(&have)?;
            Ok(have)
        })
    }

    fn on_recorded(&mut self, result: Result<Recorded, JoinError>) -> Result<(), DownloadError> {
        let recorded = result.map_err(|e| DownloadError::Internal(e.to_string()))??;
        self.durable.on_recorded(recorded);
        Ok(())
    }

    /// Waits for the batch under way and puts the rest on the disk, whatever the reason to stop.
    async fn settle(&mut self, result: Result<DownloadEnd, DownloadError>) -> Result<DownloadEnd, DownloadError> {
        if let Some(batch) = self.batch.take() {
            let result = batch.await;
            self.on_recorded(result)?;
        }
        if self.durable.recorded() != self.leech.have() {
            let rest = self.sync_and_record(self.leech.have().clone()).await;
            if let Err(error) = self.on_recorded(rest) {
                return result.and(Err(error));
            }
        }
        result
    }
}

/// The operator's word for it in the picker's.
fn order(order: PieceOrder) -> Order {
    match order {
        PieceOrder::Rarest => Order::RarestFirst,
        PieceOrder::Sequential => Order::Sequential,
        PieceOrder::Random => Order::Random,
    }
}

/// The end of the batch under way; never, if there is none.
async fn joined(batch: &mut Option<JoinHandle<Recorded>>) -> Result<Recorded, JoinError> {
    let Some(handle) = batch else { return std::future::pending().await };
    let result = handle.await;
    *batch = None;
    result
}
