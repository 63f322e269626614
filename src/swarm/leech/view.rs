//! What people see of a download, and why it waits.

use std::time::{Duration, Instant};

use super::{Leech, RequestId};
use crate::content::Bitmap;
use crate::swarm::peers::{Peer, PeerKey, PeerKind};
use crate::swarm::window::WindowTerms;

/// A peer's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerWord {
    /// Its bitmap is not known yet.
    New,
    /// Could be asked, and is not.
    Idle,
    /// Requests are under way.
    Active,
    /// Refuses requests for so long.
    Choked(Duration),
    /// Failed; is asked again after so long.
    Resting(Duration),
}

impl std::fmt::Display for PeerWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Idle => f.write_str("idle"),
            Self::Active => f.write_str("active"),
            Self::Choked(left) => write!(f, "choked, {:.0} s", left.as_secs_f64().ceil()),
            Self::Resting(left) => write!(f, "resting, {:.0} s", left.as_secs_f64().ceil()),
        }
    }
}

/// A peer for its row on screen. Rates in bytes per second.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerView {
    /// Its name in events.
    pub key: PeerKey,
    /// Its URL, as it was given: not fit for a terminal before it was made printable.
    pub endpoint: Box<str>,
    /// Node or mirror.
    pub kind: PeerKind,
    /// State.
    pub word: PeerWord,
    /// Has everything.
    pub seeder: bool,
    /// Pieces it has.
    pub pieces: u32,
    /// Pieces that came from it.
    pub pieces_given: u64,
    /// From it to us.
    pub rate_down: u64,
    /// From us to it.
    pub rate_up: u64,
    /// From it to us.
    pub bytes_down: u64,
    /// From us to it.
    pub bytes_up: u64,
    /// Requests under way.
    pub active: u32,
    /// Failures since its last answer.
    pub failures: u32,
    /// Its window and why.
    pub window: WindowTerms,
}

/// A piece under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlightPiece {
    /// Which.
    pub piece: u32,
    /// From whom.
    pub peer: PeerKey,
    /// By which request.
    pub request: RequestId,
    /// On the wire now; otherwise it waits behind others of its run.
    pub current: bool,
}

/// How available the missing pieces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// The least number of connected peers that have a piece nobody was asked for; `None` if all are
    /// there or asked for.
    pub least: Option<u32>,
    /// Pieces with that availability.
    pub rarest: u32,
    /// Missing pieces that no connected peer has and nobody was asked for.
    pub nowhere: u32,
    /// Missing pieces nobody was asked for.
    pub wanted: u32,
}

/// Why nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody to ask.
    NoPeers,
    /// Peers are known, their bitmaps are not.
    NoBitmaps,
    /// No connected peer has what is left.
    NobodyHas {
        /// Pieces left.
        pieces: u32,
    },
    /// All that have something choke us.
    AllChoke {
        /// Until the next try.
        next: Duration,
    },
    /// All that have something failed, or some failed and the others choke us.
    AllRest {
        /// Until the next try.
        next: Duration,
    },
    /// Only sources could be asked, and are spared for a moment (see `LeechConfig::spare_ratio`).
    SparesSources,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = |next: &Duration| next.as_secs_f64().ceil();
        match self {
            Self::NoPeers => f.write_str("no peers yet"),
            Self::NoBitmaps => f.write_str("no peer has told what it has yet"),
            Self::NobodyHas { pieces: 1 } => f.write_str("no peer has the piece left"),
            Self::NobodyHas { pieces } => write!(f, "no peer has the {pieces} pieces left"),
            Self::AllChoke { next } => write!(f, "all peers choke us, next try in {:.0} s", s(next)),
            Self::AllRest { next } => write!(f, "peers failed, next try in {:.0} s", s(next)),
            Self::SparesSources => f.write_str("only seeders could be asked, leechers come first"),
        }
    }
}

impl Leech {
    /// Pieces under way, a piece twice if two copies of it are.
    pub fn in_flight(&self) -> impl Iterator<Item = InFlightPiece> + '_ {
        self.requests.iter().flat_map(|(id, o)| {
            let current = o.unsettled().next();
            o.unsettled().map(move |piece| InFlightPiece {
                piece,
                peer: o.peer,
                request: *id,
                current: Some(piece) == current,
            })
        })
    }

    /// Requests under way and how many there may be.
    pub fn requests(&self) -> (u32, u32) {
        (self.requests.len() as u32, self.limit)
    }

    /// Payload received, and how much of it was of no use (second copies).
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_down, self.bytes_wasted)
    }

    /// How available the missing pieces are. O(peers).
    pub fn availability(&self) -> Availability {
        let rarest = self.picker.rarest();
        Availability {
            least: rarest.map(|(least, _)| least),
            rarest: rarest.map_or(0, |(_, count)| count),
            nowhere: self.picker.nowhere(),
            wanted: self.picker.wanted(),
        }
    }

    /// Connected peers per piece, capped at 255. O(pieces).
    pub fn availabilities(&self) -> Vec<u8> {
        self.picker.availabilities()
    }

    /// What a peer has. O(pieces); `None` if it is gone or has not told.
    pub fn peer_bitmap(&self, peer: PeerKey) -> Option<Bitmap> {
        self.book.get(peer).filter(|peer| peer.known).map(|_| self.picker.bitmap(peer.slot()))
    }

    /// (peers, those who have everything)
    pub fn peer_counts(&self) -> (u32, u32) {
        (self.book.len() as u32, self.book.seeders().len())
    }

    /// All peers. O(peers).
    pub fn peers(&self, now: Instant) -> impl Iterator<Item = PeerView> + '_ {
        self.book.iter().map(move |(key, peer)| PeerView {
            key,
            endpoint: peer.endpoint.clone(),
            kind: peer.kind,
            word: word(peer, now),
            seeder: self.book.seeders().contains(key.slot()),
            pieces: self.picker.count(key.slot()),
            pieces_given: peer.pieces,
            rate_down: peer.down.rate(now),
            rate_up: peer.up.rate(now),
            bytes_down: peer.bytes_down,
            bytes_up: peer.bytes_up,
            active: peer.active,
            failures: peer.failures,
            window: peer.window.terms(peer.request_bytes(self.sizes.length)),
        })
    }

    /// Why nothing is under way; `None` if something is, or everything is there, or something could be
    /// asked for at once. O(peers).
    pub fn waiting_reason(&self, now: Instant) -> Option<Reason> {
        if self.is_complete() || !self.requests.is_empty() {
            return None;
        }
        if self.book.len() == 0 {
            return Some(Reason::NoPeers);
        }
        if self.book.iter().all(|(_, peer)| !peer.known) {
            return Some(Reason::NoBitmaps);
        }
        if self.picker.wanted() == self.picker.nowhere() {
            return Some(Reason::NobodyHas { pieces: self.picker.nowhere() });
        }
        if self.sparing_since.is_some() {
            return Some(Reason::SparesSources);
        }
        let useful = self.book.iter().filter(|(key, peer)| peer.known && self.picker.count(key.slot()) > 0);
        let (mut next, mut resting) = (None::<Duration>, false);
        for (_, peer) in useful {
            let left = match word(peer, now) {
                PeerWord::Choked(left) => left,
                PeerWord::Resting(left) => {
                    resting = true;
                    left
                }
                // It has pieces, but none of those that are left.
                _ => continue,
            };
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        match (next, resting) {
            (Some(next), false) => Some(Reason::AllChoke { next }),
            (Some(next), true) => Some(Reason::AllRest { next }),
            (None, _) => None,
        }
    }

    /// Bytes allocated for choosing pieces.
    pub fn memory(&self) -> usize {
        self.picker.memory()
    }
}

fn word(peer: &Peer, now: Instant) -> PeerWord {
    let left = |until: Option<Instant>| until.and_then(|t| t.checked_duration_since(now)).filter(|d| !d.is_zero());
    match (left(peer.resting_until), left(peer.choked_until)) {
        _ if peer.active > 0 => PeerWord::Active,
        (Some(left), _) => PeerWord::Resting(left),
        (None, Some(left)) => PeerWord::Choked(left),
        _ if !peer.known => PeerWord::New,
        _ => PeerWord::Idle,
    }
}
