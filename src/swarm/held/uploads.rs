//! Who gets uploads of one content, and how much went to whom: the choker with its counters. Pure,
//! the clock is passed in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::content::name::printable;
use crate::control::{PeerRow, PeerState};
use crate::swarm::choker::{self, Choker, ChokerConfig, Decision};
use crate::swarm::rate::Meter;

/// Peers whose uploads are counted; the one not served for longest makes room.
const MAX_PEERS: usize = 1000;
/// Longest time a choked peer is told to stay away: an idle slot is lost after a second.
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// A peer that neither waits for news nor is being sent anything is around for so long after its last request.
const AROUND: Duration = Duration::from_secs(60);
/// Memory of the shown rates.
const RATE_MEMORY: Duration = Duration::from_secs(3);

/// May a peer have a piece now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Serve,
    /// No; it may ask again after this.
    Choked {
        /// How long to wait.
        retry_after: Duration,
    },
}

/// How a peer stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Has a slot, or would get one at once.
    Unchoked,
    /// Has the optimistic slot.
    Optimistic,
    /// Has to wait.
    Choked,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchoked => "unchoked",
            Self::Optimistic => "optimistic",
            Self::Choked => "choked",
        })
    }
}

/// A peer that we serve, for the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Its `host:port`, or its address.
    pub peer: Arc<str>,
    /// Payload sent to it, in bytes.
    pub bytes: u64,
    /// Payload per second, smoothed.
    pub rate: u64,
    /// Payload received from it, in bytes.
    pub received: u64,
    /// How it stands.
    pub slot: Slot,
    /// It is there: it waits for news, is being sent something, or asked a moment ago.
    pub around: bool,
}

impl UploadRow {
    /// As a peer of the transfer that asks and is not asked.
    pub fn to_peer_row(&self) -> PeerRow {
        PeerRow {
            endpoint: printable(&self.peer),
            state: if self.around { PeerState::Connected } else { PeerState::Known },
            choked_by_us: self.slot == Slot::Choked,
            optimistic: self.slot == Slot::Optimistic,
            interested: self.around,
            rate_up: self.rate,
            bytes_down: self.received,
            bytes_up: self.bytes,
            ..PeerRow::default()
        }
    }
}

#[derive(Debug)]
struct Peer {
    bytes: u64,
    received: u64,
    /// Connections on which it waits for news.
    waiting: u32,
    /// It asked for something since it was last known to leave.
    present: bool,
    meter: Meter,
    used: Instant,
    /// The slot it was told of last.
    told: Option<choker::Slot>,
}

/// The choker of one content and what it has to know.
#[derive(Debug)]
pub struct Uploads {
    choker: Choker,
    rng: fastrand::Rng,
    peers: HashMap<Arc<str>, Peer>,
    changed: bool,
}

impl Uploads {
    /// Nobody served yet.
    pub fn new(config: ChokerConfig, seed: u64) -> Self {
        Self { choker: Choker::new(config), rng: fastrand::Rng::with_seed(seed), peers: HashMap::new(), changed: false }
    }

    /// Everything is here: slots go by how fast peers take, not by what they give.
    pub fn set_seeding(&mut self, seeding: bool) {
        self.choker.set_seeding(seeding);
    }

    /// `peer` asks for a piece.
    pub fn admit(&mut self, peer: &Arc<str>, now: Instant) -> Admission {
        self.tick(now);
        let decision = self.choker.allow(peer, now);
        self.tell(peer, now);
        match decision {
            Decision::Serve => Admission::Serve,
            // Slots of peers that left without a word fall idle long before the next round.
            Decision::Choked { retry_after } => Admission::Choked { retry_after: retry_after.min(LONGEST_RETRY) },
        }
    }

    /// Payload went to `peer`.
    pub fn sent(&mut self, peer: &Arc<str>, bytes: u64, now: Instant) {
        self.choker.on_uploaded(peer, bytes);
        let entry = self.asks(peer, now);
        entry.bytes += bytes;
        entry.meter.add(bytes, now);
    }

    /// Payload came from `peer`.
    pub fn received(&mut self, peer: &Arc<str>, bytes: u64, now: Instant) {
        self.choker.on_downloaded(peer, bytes, now);
        self.peer(peer, now).received += bytes;
    }

    /// How `peer` stands; it has been told then.
    pub fn tell(&mut self, peer: &Arc<str>, now: Instant) -> Slot {
        self.asks(peer, now).told = Some(self.choker.slot(peer));
        self.slot(peer)
    }

    /// True if `peer` got or lost a slot since it was told how it stands. A free slot that anybody
    /// may take is no news, or all who wait would come running for it.
    pub fn is_news(&self, peer: &Arc<str>) -> bool {
        let told = self.peers.get(peer).and_then(|entry| entry.told);
        told.is_some_and(|told| told != self.choker.slot(peer))
    }

    /// Something is being sent to `peer`: its slot is not idle.
    pub fn serving(&mut self, peer: &Arc<str>, now: Instant) {
        self.choker.on_serving(peer, now);
    }

    /// It was sent, or given up.
    pub fn served(&mut self, peer: &Arc<str>, now: Instant) {
        self.choker.on_served(peer, now);
    }

    /// `peer` is gone, or has everything: its slot is free.
    pub fn gone(&mut self, peer: &str) {
        self.choker.on_gone(peer);
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.present = false;
        }
    }

    /// `peer` begins to wait for news on one more connection.
    pub fn waits(&mut self, peer: &Arc<str>, now: Instant) {
        self.asks(peer, now).waiting += 1;
    }

    /// It was answered.
    pub fn answered(&mut self, peer: &str) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.waiting = entry.waiting.saturating_sub(1);
        }
    }

    /// A connection on which `peer` waited broke. True if nothing is left of the peer: it is gone then.
    pub fn broke(&mut self, peer: &str) -> bool {
        self.answered(peer);
        // Several clients may share a name: those of one address that say no endpoint.
        let left = self.peers.get(peer).is_none_or(|entry| entry.waiting == 0) && !self.choker.is_serving(peer);
        if left {
            self.gone(peer);
        }
        left
    }

    /// Runs rounds that are due; tells when the next one is.
    pub fn tick(&mut self, now: Instant) -> Option<Instant> {
        if self.choker.next_tick().is_some_and(|at| at <= now) && !self.choker.tick(now, &mut self.rng).is_empty() {
            self.changed = true;
        }
        self.choker.next_tick()
    }

    /// True once after slots changed hands.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The peers that asked for something, those with the most bytes first.
    pub fn rows(&self, now: Instant) -> Vec<UploadRow> {
        let row = |(peer, entry): (&Arc<str>, &Peer)| UploadRow {
            peer: peer.clone(),
            bytes: entry.bytes,
            rate: entry.meter.rate(now),
            received: entry.received,
            slot: self.slot(peer),
            around: entry.waiting > 0
                || self.choker.is_serving(peer)
                || (entry.present && now.saturating_duration_since(entry.used) < AROUND),
        };
        let asked = |(_, entry): &(&Arc<str>, &Peer)| entry.bytes > 0 || entry.told.is_some();
        let mut rows: Vec<_> = self.peers.iter().filter(asked).map(row).collect();
        rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.peer.cmp(&b.peer)));
        rows
    }

    fn slot(&self, peer: &Arc<str>) -> Slot {
        match self.choker.slot(peer) {
            choker::Slot::Optimistic => Slot::Optimistic,
            choker::Slot::None if !self.choker.has_room() => Slot::Choked,
            choker::Slot::None | choker::Slot::Regular => Slot::Unchoked,
        }
    }

    fn asks(&mut self, peer: &Arc<str>, now: Instant) -> &mut Peer {
        let entry = self.peer(peer, now);
        entry.used = entry.used.max(now);
        entry.present = true;
        entry
    }

    fn peer(&mut self, peer: &Arc<str>, now: Instant) -> &mut Peer {
        if self.peers.len() >= MAX_PEERS
            && !self.peers.contains_key(peer)
            && let Some(oldest) =
                self.peers.iter().min_by_key(|(_, entry)| (entry.waiting > 0, entry.used)).map(|(peer, _)| peer.clone())
        {
            self.peers.remove(&oldest);
        }
        self.peers.entry(peer.clone()).or_insert_with(|| Peer {
            bytes: 0,
            received: 0,
            waiting: 0,
            present: false,
            meter: Meter::new(RATE_MEMORY),
            used: now,
            told: None,
        })
    }
}
