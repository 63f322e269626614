//! Finding the next piece fast. See the picker's documentation for the idea.

use std::ops::ControlFlow;

use super::candidates::{Candidates, DONE};
use super::{Order, PeerSet, Picker};

// In tests these are small, so that small swarms take every turn that large ones take.

/// Pieces at the front of the order that a choice looks at before it turns to the candidates.
const GLANCE: u32 = if cfg!(test) { 4 } else { 64 };
/// A scan for candidates goes on until it found one per this many pieces.
const PACE: u64 = if cfg!(test) { 8 } else { 256 };
/// Pieces that are looked at for the peers that need it alone, before others ride along.
const ALONE: u64 = if cfg!(test) { 40 } else { 16 << 10 };
/// Ready peers whose candidates are compared in one choice.
const COMPARED: usize = 32;
/// Random places tried for a random piece.
const THROWS: u32 = 32;

impl Picker {
    /// The next piece that one of the `ready` peers has, by the order. It stays wanted until it is taken.
    pub fn choose(&mut self, ready: &PeerSet, rng: &mut fastrand::Rng) -> Option<u32> {
        let ready = ready.and(&self.open.or(&self.stocked));
        if self.wanted.count() == 0 || ready.is_empty() {
            return None;
        }
        let all = ready.intersects(&self.full);
        let (mut best, mut look, mut from) = (None, ready.and(&self.open), 0);
        if !all && ready.len() as usize <= COMPARED {
            // What was found for them earlier is often all it takes; if not, it need not be met again.
            best = self.first_candidate(&ready, rng);
            look = self.behind(&ready, best.map_or(DONE, |(key, _)| key));
            from = look.iter().map(|slot| self.candidates[usize::from(slot)].horizon).min().unwrap_or(DONE);
        }
        let limit = best.map_or(DONE, |(key, _)| key);
        if from >= limit {
            return best.map(|(_, piece)| piece);
        }
        let (holders, mut left, mut found) = (&self.holders, GLANCE, None);
        let end = self.wanted.scan(from, rng, |key, piece| {
            if key >= limit {
                return ControlFlow::Break(());
            }
            left -= 1;
            if all || holders.any(piece, &look) {
                found = Some(piece);
            }
            if found.is_some() || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match (found, end) {
            (None, ControlFlow::Break(key)) if key < limit => self.choose_candidate(&ready, rng),
            (None, ControlFlow::Continue(())) if best.is_none() => self.choose_candidate(&ready, rng),
            (found, _) => found.or(best.map(|(_, piece)| piece)),
        }
    }

    /// Any wanted piece that a ready peer has.
    pub fn choose_any(&mut self, ready: &PeerSet, rng: &mut fastrand::Rng) -> Option<u32> {
        let all = ready.intersects(&self.full);
        for _ in 0..THROWS {
            let piece = rng.u32(..self.wanted.len().max(1));
            if self.wanted.contains(piece) && (all || self.holders.any(piece, ready)) {
                return Some(piece);
            }
        }
        self.choose(ready, rng)
    }

    fn choose_candidate(&mut self, ready: &PeerSet, rng: &mut fastrand::Rng) -> Option<u32> {
        let mut best = None;
        // Twice nearly always: once to see that a horizon hides something, once after the scan.
        for _ in 0..4 {
            best = self.first_candidate(ready, rng);
            let limit = best.map_or(DONE, |(key, _)| key);
            let behind = self.behind(ready, limit);
            if behind.is_empty() {
                break;
            }
            self.collect(&behind, limit, rng);
        }
        best.map(|(_, piece)| piece)
    }

    /// The first in order among the candidates of (some of) the ready peers: (key, piece).
    fn first_candidate(&mut self, ready: &PeerSet, rng: &mut fastrand::Rng) -> Option<(u32, u32)> {
        let mut best: Option<(u32, u32)> = None;
        let mut compared = 0;
        for slot in ready.and(&self.stocked).iter_from(rng.u16(..1024)) {
            let (wanted, holders) = (&self.wanted, &self.holders);
            let has = |piece| holders.get(piece, slot);
            let found = self.candidates[usize::from(slot)].first(
                |piece| wanted.key(piece),
                |piece| wanted.contains(piece),
                has,
            );
            let Some(found) = found else {
                self.note(slot);
                continue;
            };
            best = Some(best.map_or(found, |best| best.min(found)));
            compared += 1;
            if compared == COMPARED {
                break;
            }
        }
        best
    }

    /// Those of the ready peers whose unseen pieces may come before `key`.
    fn behind(&self, ready: &PeerSet, key: u32) -> PeerSet {
        let mut behind = PeerSet::EMPTY;
        for slot in ready.and(&self.open).iter() {
            behind.put(slot, self.candidates[usize::from(slot)].horizon < key);
        }
        behind
    }

    /// Scans on for the peers in `behind` up to `limit`, from the nearest of their horizons. If that takes
    /// long, other peers ride along: what is sparse for one is likely to be sparse for many, and a row
    /// shows all of them.
    fn collect(&mut self, behind: &PeerSet, limit: u32, rng: &mut fastrand::Rng) {
        let horizon = |slot: u16| self.candidates[usize::from(slot)].horizon;
        let from = behind.iter().map(horizon).min().unwrap_or(DONE);
        if self.collect_for(behind, &PeerSet::EMPTY, from..limit, ALONE, rng) {
            return;
        }
        let mut riders = PeerSet::EMPTY;
        for slot in self.open.minus(&self.full).minus(behind).iter() {
            riders.put(slot, self.candidates[usize::from(slot)].horizon >= from);
        }
        self.collect_for(behind, &riders, from..limit, u64::MAX, rng);
    }

    /// False if `longest` pieces were looked at and that was not enough; then nothing has changed but
    /// that some candidates may be noted twice.
    fn collect_for(
        &mut self,
        behind: &PeerSet,
        riders: &PeerSet,
        keys: std::ops::Range<u32>,
        longest: u64,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let room = Candidates::limit(self.wanted.count()) as u32;
        let (mut total, mut looked, mut found, mut early) = (0u64, 0u64, 0u64, false);
        let mut bucket = keys.start;
        let mut added = vec![0u32; self.candidates.len()];
        let mut aboard = riders.or(behind);
        let (holders, candidates) = (&self.holders, &mut self.candidates);
        let end = self.wanted.scan(keys.start, rng, |key, piece| {
            if key >= keys.end {
                return ControlFlow::Break(());
            }
            total += 1;
            looked += 1;
            if key > bucket && self.order != Order::Sequential {
                // A bucket that was looked through is paid for by the horizon that moves past it.
                (bucket, looked, found) = (key, 1, 0);
            }
            for slot in holders.row(piece).and(&aboard).iter() {
                let at = usize::from(slot);
                if key < candidates[at].horizon {
                    continue;
                }
                candidates[at].note(key, piece);
                added[at] += 1;
                if behind.contains(slot) {
                    found += 1;
                } else if added[at] > room {
                    // Not sparse at all.
                    aboard.remove(slot);
                }
            }
            let enough = found > 0 && found * PACE >= looked;
            early = !enough && total >= longest;
            if enough || early { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if early {
            // The second, longer scan starts from the front again.
            for slot in behind.iter() {
                self.note(slot);
            }
            return false;
        }
        let reached = match end {
            ControlFlow::Break(key) => key,
            ControlFlow::Continue(()) => DONE,
        };
        for slot in riders.or(behind).iter() {
            let salt = self.salt_of(slot);
            let candidates = &mut self.candidates[usize::from(slot)];
            if aboard.contains(slot) {
                candidates.horizon = reached.max(candidates.horizon);
            } else {
                *candidates = Candidates::unknown(salt);
            }
            self.note(slot);
        }
        true
    }
}
