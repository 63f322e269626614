//! Which piece is asked of whom next.
//!
//! Piece first, then peer. The exception are sources in a crowd. A *source* is a peer that had everything
//! when we first heard of it; where many others share few sources, a source's bandwidth is best spent on
//! what nobody else has. So with at least `spare_ratio` others per source, a piece that any other has is
//! asked of those; only if for `patience` nothing could be asked of anybody (all that have it choke us,
//! say), a source gives it after all. (A leecher that became a seeder under our eyes is not spared: its
//! copy is one more.)

use std::time::Instant;

use super::{Copies, Leech, Outstanding, Request, RequestId, Why};
use crate::swarm::peer_set::PeerSet;
use crate::swarm::peers::Peer;
use crate::swarm::picker::Order;
use crate::swarm::window::MAX_RUN;

impl Leech {
    /// What to fetch now; `None` until something happens. Call until `None` after every event.
    pub fn next_request(&mut self, now: Instant) -> Option<Request> {
        self.book.wake_up(now);
        // Slow requests keep their peers busy but must not keep the others from working.
        // Only as long as nothing else came between: see `spare`.
        let spared_since = self.sparing_since.take();
        let counted = self.requests.len() as u32 - self.slow.min(self.limit);
        if self.is_complete() || counted >= self.limit {
            return None;
        }
        self.first_copy(spared_since, now).or_else(|| self.second_copy(now))
    }

    fn first_copy(&mut self, spared_since: Option<Instant>, now: Instant) -> Option<Request> {
        if self.picker.wanted() == 0 || self.book.ready().is_empty() {
            return None;
        }
        let ready = *self.book.ready();
        if self.first_random > 0 {
            let piece = self.picker.choose_any(&ready, &mut self.rng)?;
            let (piece, among, _) = self.spare(piece, &ready, spared_since, now)?;
            let slot = self.book.best(&among, &mut self.rng)?;
            self.first_random -= 1;
            return self.issue(slot, piece, 1, Why::First, now);
        }
        let piece = self.picker.choose(&ready, &mut self.rng)?;
        let (piece, among, spared) = self.spare(piece, &ready, spared_since, now)?;
        let slot = self.book.best(&among, &mut self.rng)?;
        let why = match self.config.order {
            _ if !spared => Why::NotSpared,
            Order::RarestFirst => Why::Rarest { availability: self.picker.availability(piece) },
            Order::Sequential => Why::Sequential,
            Order::Random => Why::Random,
        };
        let (first, count) = self.picker.run(piece, slot, self.longest_run(slot));
        self.issue(slot, first, count, why, now)
    }

    /// True if there are so many leechers per source that sources are spared.
    pub(super) fn sparing(&self) -> bool {
        let sources = self.book.sources().len();
        let others = self.book.used().len() - sources;
        sources > 0 && others >= sources.saturating_mul(self.config.spare_ratio)
    }

    /// The piece to ask for instead of `piece` if that would burden a source without need, and who may
    /// be asked; false: a source although it should be spared.
    fn spare(
        &mut self,
        piece: u32,
        ready: &PeerSet,
        since: Option<Instant>,
        now: Instant,
    ) -> Option<(u32, PeerSet, bool)> {
        let holders = self.picker.holders(piece);
        let able = holders.and(ready);
        if !self.sparing() {
            return Some((piece, able, true));
        }
        let sources = *self.book.sources();
        let others = able.minus(&sources);
        if !others.is_empty() {
            return Some((piece, others, true));
        }
        let only_sources = holders.minus(&sources).is_empty();
        if only_sources {
            // Others ask for the same few pieces and do not know what we ask for: what waits at the
            // source for long is likely to be on its way to somebody else too.
            let modest = self.modest(&able);
            if !modest.is_empty() {
                return Some((piece, modest, true));
            }
        }
        let others = ready.minus(&sources);
        if let Some(piece) = self.picker.choose(&others, &mut self.rng) {
            return Some((piece, self.picker.holders(piece).and(&others), true));
        }
        if only_sources {
            return None;
        }
        let since = since.unwrap_or(now);
        if now.saturating_duration_since(since) >= self.config.patience {
            return Some((piece, able, false));
        }
        self.sparing_since = Some(since);
        None
    }

    /// Those of the sources whose line we do not fill yet.
    fn modest(&self, sources: &PeerSet) -> PeerSet {
        let mut modest = *sources;
        for slot in sources.iter() {
            let piece = self.sizes.length;
            let full = |peer: &Peer| peer.active >= peer.window.sparing(peer.request_bytes(piece));
            modest.put(slot, !self.book.at(slot).is_none_or(full));
        }
        modest
    }

    /// Pieces that one request to the peer may carry. Never so many that others find nothing to do:
    /// what is wanted must go round twice over all requests there can be, or over the leechers that
    /// compete for the same pieces.
    fn longest_run(&self, slot: u16) -> u32 {
        let Some(peer) = self.book.at(slot) else { return 1 };
        let mut sharers = self.limit.min(self.book.able().len().max(1).saturating_mul(self.config.window_cap));
        if self.sparing() {
            sharers = sharers.max(4 * self.book.used().len());
        }
        let fair = self.picker.wanted() / (2 * sharers.max(1));
        peer.window.run(self.sizes.length, peer.active + 1).min(fair).clamp(1, MAX_RUN)
    }

    /// Books a first copy.
    fn issue(&mut self, slot: u16, first: u32, count: u32, why: Why, now: Instant) -> Option<Request> {
        for piece in first..first + count {
            self.picker.take(piece);
        }
        self.register(slot, first, count, why, None, now)
    }

    /// Books a request; `of` is the one that it duplicates.
    pub(super) fn register(
        &mut self,
        slot: u16,
        first: u32,
        count: u32,
        why: Why,
        of: Option<RequestId>,
        now: Instant,
    ) -> Option<Request> {
        let peer = self.book.key_at(slot)?;
        let id = RequestId(self.next_id);
        self.next_id += 1;
        for piece in first..first + count {
            self.copies.insert(piece, of.map_or(Copies(id, None), |of| Copies(of, Some(id))));
        }
        let outstanding = Outstanding {
            peer,
            first,
            count,
            duplicate: of.is_some(),
            settled: 0,
            sent: now,
            first_byte: None,
            last_byte: now,
            last_piece: now,
            bytes: 0,
            slow: false,
        };
        self.requests.insert(id, outstanding);
        if let Some(entry) = self.book.get_mut(peer) {
            entry.active += 1;
        }
        self.book.refresh(slot, now);
        self.arm(now + super::clock::TICK);
        Some(Request { id, peer, first, count, duplicate: of.is_some(), why })
    }
}
