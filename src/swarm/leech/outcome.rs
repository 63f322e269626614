//! What becomes of a request: bytes, pieces, an end good or bad.

use std::time::{Duration, Instant};

use super::{Copies, Failure, Leech, Outstanding, RequestId};
use crate::swarm::peers::{PeerKey, PeerKind};

/// A piece that a peer refused is believed to be there again after this time.
const REFUSAL: Duration = Duration::from_secs(60);
const MAX_REFUSED: usize = 4096;

impl Leech {
    /// The head of the answer came, or its first byte.
    pub fn on_first_byte(&mut self, id: RequestId, now: Instant) {
        let Some(o) = self.requests.get_mut(&id).filter(|o| o.first_byte.is_none()) else { return };
        (o.first_byte, o.last_byte) = (Some(now), now);
        let (peer, elapsed) = (o.peer, now.saturating_duration_since(o.sent));
        if let Some(peer) = self.book.get_mut(peer) {
            peer.window.on_first_byte(elapsed, now);
        }
        self.book.answered(peer, now);
    }

    /// `bytes` more of the body came.
    pub fn on_bytes(&mut self, id: RequestId, bytes: u64, now: Instant) {
        self.on_first_byte(id, now);
        let Some(o) = self.requests.get_mut(&id) else { return };
        o.bytes = o.bytes.saturating_add(bytes);
        o.last_byte = now;
        self.bytes_down = self.bytes_down.saturating_add(bytes);
        if let Some(peer) = self.book.get_mut(o.peer) {
            peer.bytes_down = peer.bytes_down.saturating_add(bytes);
            peer.down.add(bytes, now);
            peer.window.on_bytes(bytes, now);
        }
    }

    /// A piece is verified and written. Answers the requests to cancel: losers that have nothing left to
    /// bring. (A piece that comes after its request was cancelled counts all the same.)
    pub fn on_piece(&mut self, id: RequestId, piece: u32, now: Instant) -> Vec<RequestId> {
        if piece >= self.sizes.count {
            return Vec::new();
        }
        if let Some(o) = self.requests.get_mut(&id) {
            o.last_piece = now;
            o.settle(piece);
            if let Some(peer) = self.book.get_mut(o.peer) {
                peer.pieces += 1;
            }
        }
        self.settle(Some(id), piece, now)
    }

    /// A piece that nobody was asked for is verified and written. Answers the requests to cancel.
    pub fn on_given(&mut self, piece: u32, now: Instant) -> Vec<RequestId> {
        if piece >= self.sizes.count { Vec::new() } else { self.settle(None, piece, now) }
    }

    fn settle(&mut self, winner: Option<RequestId>, piece: u32, now: Instant) -> Vec<RequestId> {
        if !self.have.set(piece) {
            self.bytes_wasted += self.sizes.size(piece);
        }
        self.picker.take(piece);
        let mut cancel = Vec::new();
        if let Some(Copies(a, b)) = self.copies.remove(&piece) {
            for other in [Some(a), b].into_iter().flatten() {
                let Some(o) = self.requests.get_mut(&other) else { continue };
                o.settle(piece);
                if Some(other) != winner && o.is_settled() {
                    cancel.push(other);
                }
            }
        }
        // The winner too, if what it still has to send came from elsewhere meanwhile.
        let is_left = |o: &Outstanding| o.is_settled() && piece + 1 != o.first + o.count;
        cancel.extend(winner.filter(|id| self.requests.get(id).is_some_and(is_left)));
        for id in &cancel {
            self.end(*id, now);
        }
        cancel
    }

    /// The body ended where it should. Pieces that did not come count as a body that was too short.
    pub fn on_finished(&mut self, id: RequestId, now: Instant) {
        let Some(o) = self.requests.get(&id) else { return };
        if !o.is_settled() {
            return self.on_failed(id, Failure::ShortBody, now);
        }
        let (peer, bytes, took) = (o.peer, o.bytes, now.saturating_duration_since(o.sent));
        if let Some(peer) = self.book.get_mut(peer) {
            peer.window.on_success(bytes, took, now);
        }
        self.book.answered(peer, now);
        self.end(id, now);
    }

    /// The request ended badly. What did not come is wanted again at once, of somebody else.
    pub fn on_failed(&mut self, id: RequestId, failure: Failure, now: Instant) {
        let Some(o) = self.end(id, now) else { return };
        match failure {
            Failure::Choked(after) => self.book.choke(o.peer, after, now),
            Failure::Elsewhere(after) => {
                if let Some(piece) = o.unsettled().next()
                    && self.picker.on_lost(o.peer.slot(), piece)
                {
                    self.refuse_until(now + after, o.peer, piece, now);
                }
            }
            Failure::Refused => {
                if let Some(piece) = o.unsettled().next()
                    && self.picker.on_lost(o.peer.slot(), piece)
                {
                    self.book.set_seeder(o.peer.slot(), false, false);
                    self.refuse_until(now + REFUSAL, o.peer, piece, now);
                }
                self.rest(o.peer, now);
            }
            _ => self.rest(o.peer, now),
        }
    }

    /// Kept in the order of time; at the cap the oldest is believed again at once.
    fn refuse_until(&mut self, at: Instant, peer: PeerKey, piece: u32, now: Instant) {
        if self.refused.len() == MAX_REFUSED
            && let Some((_, peer, piece)) = self.refused.pop_front()
        {
            self.on_have(peer, &[piece], now);
        }
        let place = self.refused.partition_point(|(other, ..)| *other <= at);
        self.refused.insert(place, (at, peer, piece));
        self.arm(at);
    }

    fn rest(&mut self, peer: PeerKey, now: Instant) {
        let active = self.book.get(peer).map_or(0, |peer| peer.active) + 1;
        self.book.rest(peer, active, &mut self.rng, now);
    }

    /// Peers that refused a piece may be asked for it again.
    pub(super) fn believe_again(&mut self, now: Instant) {
        while self.refused.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, peer, piece)) = self.refused.pop_front() else { return };
            if self.book.get(peer).is_some() {
                self.on_have(peer, &[piece], now);
            }
        }
    }

    /// Forgets a request; pieces that nobody else brings are wanted again.
    pub(super) fn end(&mut self, id: RequestId, now: Instant) -> Option<Outstanding> {
        let o = self.requests.remove(&id)?;
        if o.slow {
            self.slow -= 1;
        }
        for piece in o.unsettled() {
            let left = match self.copies.get(&piece) {
                Some(Copies(a, Some(b))) if *a == id => Some(*b),
                Some(Copies(a, Some(b))) if *b == id => Some(*a),
                Some(Copies(a, None)) if *a == id => None,
                _ => continue,
            };
            match left {
                Some(other) => {
                    self.copies.insert(piece, Copies(other, None));
                }
                None => {
                    self.copies.remove(&piece);
                    self.picker.give_back(piece);
                }
            }
        }
        // A second copy whose first is gone is a first copy from now on, and may be copied itself.
        if !o.duplicate {
            for piece in o.pieces() {
                if let Some(Copies(other, None)) = self.copies.get(&piece)
                    && let Some(other) = self.requests.get_mut(other)
                {
                    other.duplicate = false;
                }
            }
        }
        if let Some(peer) = self.book.get_mut(o.peer) {
            peer.active = peer.active.saturating_sub(1);
            if peer.active == 0 {
                peer.window.on_idle(now);
            }
            self.book.refresh(o.peer.slot(), now);
        }
        Some(o)
    }

    /// The peer is gone, or is to be: it sent what did not match, or was banned. Answers its requests, to be
    /// cancelled; what they were to bring is wanted again at once.
    pub fn remove_peer(&mut self, peer: PeerKey, now: Instant) -> Vec<RequestId> {
        if self.book.get(peer).is_none() {
            return Vec::new();
        }
        let cancel: Vec<_> = self.requests.iter().filter(|(_, o)| o.peer == peer).map(|(id, _)| *id).collect();
        self.picker.remove_peer(peer.slot());
        self.book.remove(peer);
        for id in &cancel {
            self.end(*id, now);
        }
        self.refused.retain(|(_, refuser, _)| *refuser != peer);
        cancel
    }

    /// Is this a mirror? (A driver asks it by byte range and for no bitmap.)
    pub fn is_mirror(&self, peer: PeerKey) -> bool {
        self.book.get(peer).is_some_and(|peer| peer.kind == PeerKind::Mirror)
    }
}
