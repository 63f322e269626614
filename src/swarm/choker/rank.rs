//! Rounds: who gets the slots next.

use std::time::Instant;

use super::{Change, Choker, Entry, Slot};

impl Choker {
    /// The regular slots go to the best of the interested.
    pub(super) fn new_round(&mut self, now: Instant, rng: &mut fastrand::Rng, changes: &mut Vec<Change>) {
        let start = self.round.replace(now).unwrap_or(now);
        for entry in self.peers.values_mut() {
            let served = now.saturating_duration_since(entry.since.max(start)).as_secs_f64();
            if entry.slot != Slot::None && served >= 1.0 && entry.up_round > 0 {
                // Half the old, half the new: a peer that got slower does not live on an old record.
                let speed = entry.up_round as f64 / served;
                entry.speed = if entry.speed > 0.0 { (entry.speed + speed) / 2.0 } else { speed };
            }
            entry.up_round = 0;
        }
        let best = self.peers.values().map(|e| e.speed).fold(0.0, f64::max);
        let mut ranked: Vec<(Rank, String)> = self
            .peers
            .iter()
            .filter(|(_, entry)| self.is_interested(entry, now))
            .map(|(name, entry)| (self.rank(entry, best, now, rng.u32(..)), name.clone()))
            .collect();
        ranked.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut regular = ranked.into_iter().map(|(_, name)| name);
        let chosen: Vec<String> = regular.by_ref().take(self.config.slots as usize).collect();
        let optimistic = self.config.optimistic as usize;
        let mut left = optimistic;
        let names: Vec<String> = self.peers.keys().cloned().collect();
        for name in names {
            let Some(entry) = self.peers.get(&name) else { continue };
            let slot = match entry.slot {
                _ if chosen.contains(&name) => Slot::Regular,
                // The optimistic holder keeps its slot until it rotates.
                Slot::Optimistic if left > 0 && self.is_interested(entry, now) => {
                    left -= 1;
                    Slot::Optimistic
                }
                _ => Slot::None,
            };
            self.change(&name, slot, now, changes);
        }
        for entry in self.peers.values_mut() {
            entry.down_rounds = [0, entry.down_rounds[0]];
        }
        if left > 0 {
            self.draw(left, &[], now, rng, changes);
        }
    }

    /// The optimistic slots go to others.
    pub(super) fn rotate(&mut self, now: Instant, rng: &mut fastrand::Rng, changes: &mut Vec<Change>) {
        self.optimistic_round = Some(now);
        let held = |entry: &&Entry| entry.slot == Slot::Optimistic;
        let old: Vec<String> =
            self.peers.iter().filter(|(_, entry)| held(entry)).map(|(name, _)| name.clone()).collect();
        let waiting = self.waiting(now).len();
        // With nobody waiting there is nobody to rotate to.
        for name in old.iter().take(waiting) {
            self.change(name, Slot::None, now, changes);
        }
        let free = self.config.optimistic.saturating_sub(self.holders(Slot::Optimistic));
        self.draw(free as usize, &old, now, rng, changes);
    }

    fn waiting(&self, now: Instant) -> Vec<String> {
        let waits = |entry: &Entry| entry.slot == Slot::None && self.is_interested(entry, now);
        self.peers.iter().filter(|(_, entry)| waits(entry)).map(|(name, _)| name.clone()).collect()
    }

    /// Gives `count` optimistic slots to interested choked peers at random, not to those in `but`.
    fn draw(&mut self, count: usize, but: &[String], now: Instant, rng: &mut fastrand::Rng, changes: &mut Vec<Change>) {
        let mut waiting = self.waiting(now);
        waiting.retain(|name| !but.contains(name));
        rng.shuffle(&mut waiting);
        for name in waiting.iter().take(count) {
            self.change(name, Slot::Optimistic, now, changes);
        }
    }

    fn change(&mut self, name: &str, slot: Slot, now: Instant, changes: &mut Vec<Change>) {
        if let Some(entry) = self.peers.get_mut(name)
            && entry.slot != slot
        {
            let held = entry.slot != Slot::None && slot != Slot::None;
            entry.slot = slot;
            if !held {
                entry.since = now;
            }
            changes.retain(|change| change.peer != name);
            changes.push(Change { peer: name.to_owned(), slot });
        }
    }

    /// Smaller is better.
    fn rank(&self, entry: &Entry, best: f64, now: Instant, tie: u32) -> Rank {
        if !self.seeding {
            let given = entry.down_rounds[0].saturating_add(entry.down_rounds[1]);
            return Rank { merit: u64::MAX - given, waited: self.waited(entry, now), tie };
        }
        // One that was never served may be as fast as the best.
        let speed = if entry.speed > 0.0 { entry.speed } else { best };
        let class = speed.max(1.0).log2() as u64;
        Rank { merit: u64::MAX - class, waited: self.waited(entry, now), tie }
    }

    /// Round-robin: those without a slot by how long they lack one, longest first; then holders, the
    /// latest first, as they have had the least.
    fn waited(&self, entry: &Entry, now: Instant) -> u64 {
        let since = now.saturating_duration_since(entry.since).as_millis() as u64;
        if entry.slot == Slot::None { u64::MAX / 2 - since } else { u64::MAX / 2 + 1 + since }
    }
}

/// Order within a round.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    merit: u64,
    waited: u64,
    tie: u32,
}
