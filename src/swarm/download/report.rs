//! What a download shows: figures always, details only while somebody looks.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::Running;
use crate::control::{Bits, PeerRow, PeerState, TransferDetail};
use crate::content::name::printable;
use crate::swarm::announcing::Announcers;

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
            done: self.job.held.verified_bytes(),
            pieces_done: have.count(),
            rate: self.meter.now(now),
            smooth: self.meter.smooth(now),
            stalled_s: self.meter.idle(now).as_secs(),
            peers: self.endpoints.values().filter(|e| e.connected).count() as u32,
            peers_known: self.endpoints.len() as u32,
            seeds: self.leech.seeds(),
            bytes: self.meter.total(),
            overhead: self.overhead,
            reason: self.leech.waiting_reason(now).map(|reason| reason.to_string()).unwrap_or_default(),
            bytes_per_peer: Vec::new(),
        };
        if last {
            report.bytes_per_peer = self.bytes_per_peer.iter().map(|(peer, n)| (peer.to_string(), *n)).collect();
            report.bytes_per_peer.sort();
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

    fn detail(&self, announcers: &Announcers, now: Instant) -> TransferDetail {
        let held = &self.job.held;
        let mut peers: Vec<PeerRow> = self.leech.peers(now).map(|view| {
            let endpoint = self.endpoints.get(&view.key);
            let banned = self.banned_here.contains(view.endpoint);
            let connected = endpoint.is_some_and(|e| e.connected);
            let upload = held.upload_view(view.endpoint);
            PeerRow {
                endpoint: printable(view.endpoint),
                mirror: view.is_mirror,
                state: match (banned, connected, endpoint.is_some_and(|e| e.note.is_empty())) {
                    (true, ..) => PeerState::Banned,
                    (_, true, _) => PeerState::Connected,
                    (_, _, true) => PeerState::Known,
                    _ => PeerState::Failing,
                },
                chokes_us: view.chokes_us,
                choked_by_us: upload.choked,
                optimistic: upload.optimistic,
                interested: upload.interested,
                rate_down: view.rate,
                rate_up: upload.rate,
                bytes_down: view.bytes,
                bytes_up: upload.bytes,
                rtt_ms: view.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
                active: view.active,
                window: view.window,
                have: view.have.map(Bits),
                in_flight: view.in_flight,
                note: endpoint.map(|e| printable(&e.note)).unwrap_or_default(),
            }
        }).collect();
        peers.sort_by(|a, b| b.bytes_down.cmp(&a.bytes_down).then_with(|| a.endpoint.cmp(&b.endpoint)));
        TransferDetail {
            id: self.job.id,
            generation: now.saturating_duration_since(self.started).as_millis() as u64,
            piece_length: self.manifest.piece_length,
            have: Bits(Arc::new(self.leech.have().clone())),
            in_flight: self.leech.in_flight(),
            failed: self.failed.iter().copied().collect(),
            availability: Arc::new(self.leech.availability()),
            peers,
            trackers: announcers.rows(),
            files: Arc::new(files_shown(&self.manifest)),
        }
    }
}

/// The first files of a content, fit for a screen.
pub(crate) fn files_shown(manifest: &crate::content::Manifest) -> Vec<(String, u64)> {
    manifest.files.iter().take(MAX_FILES_SHOWN).map(|f| (printable(&f.path), f.size)).collect()
}
