//! The state machine of one download: feed it what happened, carry out what it says.
//!
//! No socket, no clock, no random generator of its own: the driver reports events with the time at which
//! they happened and asks [`Leech::next_request`] until it answers `None`; it wakes up at
//! [`Leech::poll_timeout`] and calls [`Leech::on_timeout`]. (The shape is quinn-proto's.)
//!
//! ```text
//!             take                         all pieces came
//!  wanted ───────────▶ requested (≤ 2 copies) ───────────▶ there
//!    ▲                     │
//!    └─────────────────────┘ no copy left: failed, timed out, peer gone, corrupt
//! ```
//!
//! Invariants, checked by the property tests:
//! - every missing piece is wanted, or part of one or two requests, never of two that are not a
//!   duplicate of one another;
//! - a piece is there only after the driver said "verified and written", and stays there;
//! - unknown and finished request ids are harmless, so a driver need not win races;
//! - memory is bounded: 1,000 peers, 1,024 requests of 64 pieces, 4,096 refusals.
//!
//! Rooms: `choose` (which piece of whom), `hedge` (second copies), `outcome` (what becomes of a request),
//! `clock` (timeouts), `view` (what people see), `request` (types).

mod choose;
mod clock;
mod hedge;
mod outcome;
mod request;
mod view;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

pub use request::{Failure, PieceSizes, Request, RequestId, Why};
pub use view::{Availability, InFlightPiece, PeerView, PeerWord, Reason};

use super::peers::{Book, MAX_PEERS, PeerKey, PeerKind};
use super::picker::{Order, Picker};
use super::window::{self, InFlight};
use crate::content::Bitmap;
use request::Outstanding;

/// How a download behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeechConfig {
    /// Order of pieces.
    pub order: Order,
    /// Requests over all peers.
    pub in_flight: InFlight,
    /// Requests per peer to start with.
    pub window: u32,
    /// Requests per peer at most.
    pub window_cap: u32,
    /// Time for one piece.
    pub piece_timeout: Duration,
    /// Time without a byte.
    pub stall_timeout: Duration,
    /// Peers at once.
    pub max_peers: u16,
    /// An empty leecher takes so many pieces at random first, if the content has eight times as many.
    pub first_random: u32,
    /// With at least so many leechers per source (a peer that came with everything), sources are spared.
    pub spare_ratio: u32,
    /// A spared source is asked after all when nothing else could be asked of anybody for so long.
    pub patience: Duration,
}

impl Default for LeechConfig {
    fn default() -> Self {
        Self {
            order: Order::RarestFirst,
            in_flight: InFlight::default(),
            window: window::INITIAL,
            window_cap: window::CAP,
            piece_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            max_peers: MAX_PEERS,
            first_random: 4,
            spare_ratio: 3,
            patience: Duration::from_secs(3),
        }
    }
}

/// Who was asked for a piece: one request, or one and its duplicate.
#[derive(Debug, Clone, Copy)]
struct Copies(RequestId, Option<RequestId>);

/// One download. See the module's documentation.
pub struct Leech {
    sizes: PieceSizes,
    config: LeechConfig,
    have: Bitmap,
    picker: Picker,
    book: Book,
    rng: fastrand::Rng,
    next_id: u64,
    requests: BTreeMap<RequestId, Outstanding>,
    /// Every piece that a request still has to bring.
    copies: HashMap<u32, Copies>,
    /// Pieces still to be taken at random.
    first_random: u32,
    /// Requests flagged as slow.
    slow: u32,
    /// Requests over all peers now.
    limit: u32,
    /// Since when a spared source is all that could be asked.
    sparing_since: Option<Instant>,
    /// Pieces that peers refused, to be believed again later.
    refused: VecDeque<(Instant, PeerKey, u32)>,
    timer: Option<Instant>,
    bytes_down: u64,
    bytes_wasted: u64,
}

impl Leech {
    /// A download of what `have` lacks. `seed` decides all that is random. A bitmap of the wrong length
    /// counts as empty.
    pub fn new(sizes: PieceSizes, have: Bitmap, config: LeechConfig, seed: u64) -> Self {
        let have = if have.len() == sizes.count { have } else { Bitmap::empty(sizes.count) };
        let random = config.order == Order::RarestFirst && have.count() == 0 && sizes.count > config.first_random * 8;
        Self {
            picker: Picker::new(&have, config.order, seed),
            book: Book::new(sizes.length, (config.window, config.window_cap), config.max_peers),
            rng: fastrand::Rng::with_seed(seed ^ 0x5eed),
            next_id: 0,
            requests: BTreeMap::new(),
            copies: HashMap::new(),
            first_random: if random { config.first_random } else { 0 },
            slow: 0,
            limit: config.in_flight.limit(0),
            sparing_since: None,
            refused: VecDeque::new(),
            timer: None,
            bytes_down: 0,
            bytes_wasted: 0,
            sizes,
            config,
            have,
        }
    }

    /// A peer that could be asked (whom not to ask at all is the driver's business). `None`: known already,
    /// or 1,000 are known and none of them is hopeless. A mirror has everything at once; a swarm peer is asked once its bitmap is known.
    pub fn add_peer(&mut self, endpoint: &str, kind: PeerKind, now: Instant) -> Option<PeerKey> {
        if self.book.find(endpoint).is_some() {
            return None;
        }
        if let Some(key) = self.book.dispensable() {
            self.remove_peer(key, now);
        }
        let key = self.book.add(endpoint, kind)?;
        self.picker.add_peer(key.slot());
        if kind == PeerKind::Mirror {
            self.on_bitmap(key, &Bitmap::full(self.sizes.count), now);
        }
        Some(key)
    }

    /// The peer's bitmap came (again). One of another length is ignored.
    pub fn on_bitmap(&mut self, peer: PeerKey, bitmap: &Bitmap, now: Instant) {
        if bitmap.len() != self.sizes.count {
            return;
        }
        if let Some(entry) = self.book.get_mut(peer) {
            let first = !std::mem::replace(&mut entry.known, true);
            self.picker.set_bitmap(peer.slot(), bitmap);
            self.book.set_seeder(peer.slot(), bitmap.is_full(), first);
            self.book.refresh(peer.slot(), now);
        }
    }

    /// The peer got pieces. Indices out of range are ignored.
    pub fn on_have(&mut self, peer: PeerKey, pieces: &[u32], now: Instant) {
        let Some(entry) = self.book.get_mut(peer) else { return };
        for piece in pieces {
            self.picker.on_have(peer.slot(), *piece);
        }
        if !entry.known {
            entry.known = true;
            self.book.refresh(peer.slot(), now);
        }
        self.book.set_seeder(peer.slot(), self.picker.count(peer.slot()) == self.sizes.count, false);
    }

    /// The peer refuses requests for a while, said outside an answer to one.
    pub fn on_choked(&mut self, peer: PeerKey, retry_after: Duration, now: Instant) {
        self.book.choke(peer, retry_after, now);
    }

    /// The peer takes requests again.
    pub fn on_unchoked(&mut self, peer: PeerKey, now: Instant) {
        self.book.unchoke(peer, now);
    }

    /// Bytes that we sent to the peer, for its row on screen.
    pub fn on_uploaded(&mut self, peer: PeerKey, bytes: u64, now: Instant) {
        if let Some(peer) = self.book.get_mut(peer) {
            peer.bytes_up += bytes;
            peer.up.add(bytes, now);
        }
    }

    /// Another order from now on: what is under way stays so. O(pieces × peers).
    pub fn set_order(&mut self, order: Order, now: Instant) {
        if order == self.config.order {
            return;
        }
        self.config.order = order;
        self.first_random = 0;
        let mut picker = Picker::new(&self.have, order, self.rng.u64(..));
        for piece in self.copies.keys() {
            picker.take(*piece);
        }
        let peers: Vec<(PeerKey, bool)> = self.book.iter().map(|(key, peer)| (key, peer.known)).collect();
        for (key, known) in peers {
            picker.add_peer(key.slot());
            if known {
                picker.set_bitmap(key.slot(), &self.picker.bitmap(key.slot()));
            }
            self.book.refresh(key.slot(), now);
        }
        self.picker = picker;
    }

    /// The peer of that endpoint.
    pub fn peer(&self, endpoint: &str) -> Option<PeerKey> {
        self.book.find(endpoint)
    }

    /// The endpoint of that peer; `None` if it is gone.
    pub fn endpoint(&self, peer: PeerKey) -> Option<&str> {
        self.book.get(peer).map(|peer| &*peer.endpoint)
    }

    /// Pieces that are there.
    pub fn have(&self) -> &Bitmap {
        &self.have
    }

    /// Lengths of the pieces.
    pub fn sizes(&self) -> PieceSizes {
        self.sizes
    }

    /// Everything is there.
    pub fn is_complete(&self) -> bool {
        self.have.is_full()
    }

    fn arm(&mut self, at: Instant) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }
}
