//! What a download shows: figures always, details only while somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::Running;
use super::uses::PeerUse;
use super::why::{Facts, explain};
use crate::content::name::printable;
use crate::control::{Bits, PeerRow, PeerState, TransferDetail};
use crate::swarm::announcing::Announcers;
use crate::swarm::held::{Slot, UploadRow};
use crate::swarm::leech::PeerWord;
use crate::swarm::peers::{PeerKey, PeerKind};

/// Files listed in a detail.
const MAX_FILES_SHOWN: usize = 1_000;

/// Figures of a download, refreshed a few times a second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DownloadReport {
    /// Bytes verified.
    pub done: u64,
    /// Pieces verified.
    pub pieces_done: u32,
    /// Bytes per second now.
    pub rate: u64,
    /// Bytes per second smoothed.
    pub smooth: u64,
    /// Seconds since the last byte.
    pub stalled_s: u64,
    /// Peers that answer.
    pub peers: u32,
    /// Peers known.
    pub peers_known: u32,
    /// Peers that have everything.
    pub seeds: u32,
    /// Payload received by this run, wasted bytes included.
    pub bytes: u64,
    /// Header bytes of this run.
    pub overhead: u64,
    /// Why it waits or is slow.
    pub reason: String,
    /// Verified payload per peer.
    pub bytes_per_peer: Vec<(String, u64)>,
    /// Peers that failed last and gave no answer since; at the end only.
    pub silent: Vec<String>,
    /// What asking each node came to.
    pub uses: Arc<BTreeMap<Arc<str>, PeerUse>>,
}

/// Where a download puts what it shows.
#[derive(Debug)]
pub struct Reporter {
    /// Figures.
    pub figures: watch::Sender<DownloadReport>,
    /// Details; none while nobody looks.
    pub detail: watch::Sender<Option<Arc<TransferDetail>>>,
    /// True while somebody looks.
    pub wanted: watch::Receiver<bool>,
}

impl Running {
    /// Publishes what has changed. `last`: also what is only known at the end.
    pub(super) fn report(&mut self, reporter: &Reporter, announcers: &Announcers, now: Instant, last: bool) {
        let have = self.leech.have();
        let mut report = DownloadReport {
            done: self.verified_bytes(),
            pieces_done: have.count(),
            rate: self.flow.now(now),
            smooth: self.flow.smooth(now),
            stalled_s: self.flow.idle(now).as_secs(),
            peers: self.endpoints.values().filter(|e| e.connected).count() as u32,
            peers_known: self.endpoints.len() as u32,
            seeds: self.leech.peer_counts().1,
            bytes: self.flow.total(),
            overhead: self.overhead,
            reason: if last { String::new() } else { self.why(now) },
            bytes_per_peer: Vec::new(),
            silent: Vec::new(),
            uses: self.uses.clone(),
        };
        if last {
            report.bytes_per_peer = self.bytes_per_peer.iter().map(|(peer, n)| (peer.to_string(), *n)).collect();
            report.bytes_per_peer.sort();
            let silent = self.endpoints.values().filter(|endpoint| endpoint.silent);
            report.silent = silent.map(|endpoint| endpoint.name.to_string()).collect();
        }
        reporter.figures.send_if_modified(|old| {
            let changed = *old != report;
            *old = report;
            changed
        });
        if *reporter.wanted.borrow() {
            reporter.detail.send_replace(Some(Arc::new(self.detail(announcers, now))));
        }
    }

    /// Why it waits, is slow, or goes as it goes.
    fn why(&self, now: Instant) -> String {
        let (mut choking, mut giving) = (Vec::new(), Vec::new());
        for view in self.leech.peers(now) {
            let Some(endpoint) = self.endpoints.get(&view.key).filter(|endpoint| endpoint.connected) else { continue };
            match view.word {
                PeerWord::Choked(_) => choking.push(&*endpoint.id),
                PeerWord::Active => giving.push(&*endpoint.id),
                _ => {}
            }
        }
        let limit = |at: usize| self.job.throttles.get(at).and_then(|throttle| throttle.rate());
        let facts = Facts {
            waiting: self.leech.waiting_reason(now),
            silent_s: self.flow.idle(now).as_secs(),
            syncing: self.durable.syncing(now),
            rate: self.flow.now(now),
            own_limit: limit(0),
            node_limit: limit(1),
            connected: self.endpoints.values().filter(|endpoint| endpoint.connected).count() as u32,
            choking,
            giving,
            requests: self.leech.requests().0,
            nowhere: self.leech.availability().nowhere,
            order: self.job.order,
        };
        printable(&explain(&facts))
    }

    fn verified_bytes(&self) -> u64 {
        let (have, sizes) = (self.leech.have(), self.leech.sizes());
        let last = sizes.count.saturating_sub(1);
        let short = if have.get(last) { sizes.length - sizes.size(last) } else { 0 };
        u64::from(have.count()) * sizes.length - short
    }

    fn detail(&self, announcers: &Announcers, now: Instant) -> TransferDetail {
        let mut uploads: HashMap<_, _> =
            self.job.held.upload_rows().into_iter().map(|row| (row.peer.clone(), row)).collect();
        let mut in_flight: HashMap<PeerKey, Vec<u32>> = HashMap::new();
        for piece in self.leech.in_flight() {
            in_flight.entry(piece.peer).or_default().push(piece.piece);
        }
        let mut peers: Vec<PeerRow> = self
            .leech
            .peers(now)
            .map(|view| {
                let endpoint = self.endpoints.get(&view.key);
                let connected = endpoint.is_some_and(|e| e.connected);
                let upload = endpoint.and_then(|e| uploads.remove(&e.id));
                let note = endpoint.map(|e| printable(&e.note)).filter(|note| !note.is_empty());
                PeerRow {
                    endpoint: printable(&view.endpoint),
                    mirror: view.kind == PeerKind::Mirror,
                    state: match (connected, endpoint.is_some_and(|e| e.note.is_empty())) {
                        (true, _) => PeerState::Connected,
                        (_, true) => PeerState::Known,
                        _ => PeerState::Failing,
                    },
                    chokes_us: matches!(view.word, PeerWord::Choked(_)),
                    choked_by_us: upload.as_ref().is_some_and(|row| row.slot == Slot::Choked),
                    optimistic: upload.as_ref().is_some_and(|row| row.slot == Slot::Optimistic),
                    interested: upload.as_ref().is_some_and(|row| row.around),
                    rate_down: view.rate_down,
                    rate_up: upload.as_ref().map_or(0, |row| row.rate),
                    bytes_down: view.bytes_down,
                    bytes_up: upload.as_ref().map_or(0, |row| row.bytes),
                    rtt_ms: view.window.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
                    active: view.active,
                    window: view.window.window,
                    have: self.leech.peer_bitmap(view.key).map(|map| Bits(Arc::new(map))),
                    in_flight: in_flight.get(&view.key).cloned().unwrap_or_default(),
                    note: note.unwrap_or_else(|| format!("{}; {}", view.word, view.window)),
                }
            })
            .collect();
        // Those who only take.
        peers.extend(uploads.values().map(UploadRow::to_peer_row));
        peers.extend(self.banned.iter().map(|(endpoint, kind)| PeerRow {
            endpoint: printable(endpoint),
            mirror: *kind == PeerKind::Mirror,
            state: PeerState::Banned,
            note: "banned: asked for nothing until the ban is lifted or over".into(),
            ..PeerRow::default()
        }));
        peers.sort_by(|a, b| b.bytes_down.cmp(&a.bytes_down).then_with(|| a.endpoint.cmp(&b.endpoint)));
        TransferDetail {
            id: self.job.id,
            generation: now.saturating_duration_since(self.started).as_millis() as u64,
            piece_length: self.manifest.piece_length,
            have: Bits(Arc::new(self.leech.have().clone())),
            in_flight: in_flight.into_values().flatten().collect(),
            failed: self.failed.iter().copied().collect(),
            availability: Arc::new(self.leech.availabilities()),
            peers,
            trackers: announcers.rows(),
            files: Arc::new(files_shown(&self.manifest)),
            delta: None,
        }
    }
}

/// The first files of a content, fit for a screen.
pub(crate) fn files_shown(manifest: &crate::content::Manifest) -> Vec<(String, u64)> {
    manifest.files.iter().take(MAX_FILES_SHOWN).map(|f| (printable(&f.path), f.size)).collect()
}
