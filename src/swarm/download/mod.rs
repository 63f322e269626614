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
mod events;
mod recording;
mod report;
mod roster;
mod uses;
mod why;
pub(crate) use report::files_shown;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::active::Active;
use self::durable::Durable;
use self::recording::{Recorded, joined};
pub use self::report::{DownloadReport, Reporter};
pub use self::uses::PeerUse;
use super::announcing::Announcers;
use super::fetch::{Fetch, FetchEvent, FetchMeter, Lease, Source};
use super::flow::Flow;
use super::held::{Gift, Held};
use super::leech::{Failure, Leech, LeechConfig, PieceSizes, Request, RequestId};
use super::peers::{PeerKey, PeerKind};
use super::peers_io::PeerNews;
use super::picker::Order;
use super::services::Swarm;
use crate::content::{Bitmap, Manifest};
use crate::control::{PieceOrder, TransferId};
use crate::store::{ContentFiles, FilesError, StateError};
use crate::throttle::Throttle;
use crate::throttle::links::{LinkLimits, over};

/// Capacity of every channel of a download (systems.md §1).
const CHANNEL: usize = 64;
/// How often figures are refreshed and timeouts looked at.
const TICK: Duration = Duration::from_millis(250);
/// A request without a byte for this long is given up.
const STALL: Duration = Duration::from_secs(10);

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
    /// Nodes that are not asked while others can be.
    pub spared: Vec<String>,
    /// Plain HTTP servers of the content's only file.
    pub mirrors: Vec<String>,
    /// This transfer's own limit, then the node's.
    pub throttles: Arc<[Arc<Throttle>]>,
    /// Links with limits of their own: what comes over such a link is held to those, too.
    pub links: Arc<LinkLimits>,
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
    /// Whom this download would ask if they were not banned.
    banned: BTreeMap<Arc<str>, PeerKind>,
    /// Endpoints that are not asked now: others have it, and are better.
    spared: HashSet<Arc<str>>,
    /// What asking each node came to.
    uses: Arc<BTreeMap<Arc<str>, PeerUse>>,
    /// Pieces that nobody was asked for, and peers.
    given: mpsc::Receiver<Gift>,
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
    /// `ADDRESS:PORT` as soon as it answered: how the serving side knows the same peer.
    id: Arc<str>,
    connected: bool,
    /// It gave no answer at all, or failed to give one: not that it has nothing, or refuses.
    silent: bool,
    note: String,
}

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
            banned: BTreeMap::new(),
            spared: roster::spared(&job.spared),
            uses: Arc::default(),
            given: job.held.takes_given(),
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
        let mut bans = self.job.swarm.bans.changes();
        // Somebody may have been banned since the first peers were added.
        bans.mark_changed();
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
                Some(gift) = self.given.recv() => self.on_gift(gift, Instant::now())?,
                Some(news) = self.news.1.recv() => self.on_news(news, Instant::now()),
                Some(found) = announcers.found.recv() => self.on_found(found, Instant::now()),
                Ok(()) = bans.changed() => self.on_bans(Instant::now()),
                result = joined(&mut self.batch) => self.on_recorded(result)?,
                () = tokio::time::sleep_until(timeout.into()) => self.on_timeout(Instant::now()),
                _ = tick.tick() => {
                    let now = Instant::now();
                    let new = self.active.account(&mut self.leech, now);
                    self.flow.add(new, now);
                    self.on_timeout(now);
                    self.readmit(now);
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
        let (Source::Node(from) | Source::Mirror(from)) = &source;
        let link = self.job.links.towards(from).map(|link| &link.down);
        let throttles = over(&self.job.throttles, link);
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
            throttles,
            stall: STALL,
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let late = self.leech.on_timeout(now);
        for peer in late.iter().filter_map(|id| self.active.peer(*id)).collect::<Vec<_>>() {
            self.failed_us(peer, 1);
        }
        self.cancel(&late);
    }

    fn cancel(&mut self, ids: &[RequestId]) {
        for id in ids {
            self.overhead += self.active.cancel(*id);
        }
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
