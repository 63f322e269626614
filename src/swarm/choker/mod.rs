//! Who may download from us: tit-for-tat (BEP 3, and Cohen, "Incentives Build Robustness in
//! BitTorrent", 2003).
//!
//! A peer is *interested* when it asks. It is served if it holds a slot. Slots are filled like this:
//!
//! - **A free slot goes to whoever asks**, at once: with room there is nothing to ration.
//! - **In rounds of 10 s** the regular slots (4) go to the interested peers that gave us most in the last
//!   two rounds; when seeding, to those that we can serve fastest, and among equals (the same power of
//!   two) to those whose last slot is longest ago.
//! - **The optimistic slot** (1 more) goes to another interested peer at random, for 30 s: newcomers have
//!   nothing to give yet, and a better partner can only be found by trying.
//! - **An idle slot is lost between rounds.** A holder that was sent nothing and asked for nothing for
//!   [`ChokerConfig::idle`] makes room for the next that asks in its turn, so that many small downloads
//!   do not wait for rounds. Nobody gains by asking more often: a choked peer's turn comes when the time
//!   that it was told is over.
//! - **`trusted`** serves everybody.
//!
//! The answer to a choked peer names when to ask again: never later than the next round.
//!
//! Peers are known by any name that the driver finds fit (an address, an announced endpoint). At most
//! 1,000 are kept; the one whose interest is oldest makes room.

mod rank;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a choker behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChokerConfig {
    /// Regular upload slots.
    pub slots: u32,
    /// Optimistic slots on top.
    pub optimistic: u32,
    /// Time between two rounds.
    pub round: Duration,
    /// Time after which the optimistic slot rotates.
    pub optimistic_round: Duration,
    /// A holder without a request for so long makes room for those who wait.
    pub idle: Duration,
    /// Everybody is served.
    pub trusted: bool,
    /// Peers kept.
    pub max_peers: usize,
}

impl Default for ChokerConfig {
    fn default() -> Self {
        Self {
            slots: 4,
            optimistic: 1,
            round: Duration::from_secs(10),
            optimistic_round: Duration::from_secs(30),
            idle: Duration::from_secs(1),
            trusted: false,
            max_peers: 1000,
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Serve it.
    Serve,
    /// Refuse: "choked, retry after".
    Choked {
        /// When a slot may be free.
        retry_after: Duration,
    },
}

/// What slot a peer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Slot {
    /// None: it is choked.
    #[default]
    None,
    /// One of the regular ones.
    Regular,
    /// The optimistic one.
    Optimistic,
}

/// A peer's slot changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub peer: String,
    /// To what.
    pub slot: Slot,
}

/// A peer of the choker, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct ChokerView {
    /// Its name.
    pub peer: String,
    /// Its slot.
    pub slot: Slot,
    /// It asked lately.
    pub interested: bool,
    /// Requests being served.
    pub serving: u32,
    /// Bytes it gave us, all in all.
    pub bytes_down: u64,
    /// Bytes we gave it, all in all.
    pub bytes_up: u64,
    /// What we gave over what it gave; `None` if it gave nothing.
    pub ratio: Option<f64>,
}

#[derive(Debug, Clone)]
struct Entry {
    slot: Slot,
    /// When it got the slot it has, or lost the last one.
    since: Instant,
    /// Its last request.
    asked: Instant,
    /// Asking before this does not count as its turn.
    turn: Instant,
    serving: u32,
    down: u64,
    up: u64,
    /// Bytes of this round and the last one.
    down_rounds: [u64; 2],
    /// Best rate at which we served it in a round, bytes per second; 0: never tried.
    speed: f64,
    up_round: u64,
}

/// The choker of one content, or of a node.
#[derive(Debug)]
pub struct Choker {
    config: ChokerConfig,
    seeding: bool,
    peers: BTreeMap<String, Entry>,
    /// The round started at, once there was a peer.
    round: Option<Instant>,
    optimistic_round: Option<Instant>,
}

impl Choker {
    /// Nobody asked yet.
    pub fn new(config: ChokerConfig) -> Self {
        Self { config, seeding: false, peers: BTreeMap::new(), round: None, optimistic_round: None }
    }

    /// From now on there is nothing that others could give: rank by how fast they can be served.
    pub fn set_seeding(&mut self, seeding: bool) {
        self.seeding = seeding;
    }

    /// Serves everybody, or no longer.
    pub fn set_trusted(&mut self, trusted: bool) {
        self.config.trusted = trusted;
    }

    /// Other numbers of slots. Holders keep theirs until the next round.
    pub fn set_slots(&mut self, slots: u32, optimistic: u32) {
        (self.config.slots, self.config.optimistic) = (slots, optimistic);
    }

    /// A peer asks for something: is it served? Bracket what is served by [`Choker::on_serving`] and
    /// [`Choker::on_served`].
    pub fn allow(&mut self, peer: &str, now: Instant) -> Decision {
        self.on_interest(peer, now);
        if self.config.trusted {
            return Decision::Serve;
        }
        let Some(entry) = self.peers.get(peer) else {
            // No room for another name: all that are kept hold slots.
            return Decision::Choked { retry_after: self.config.round };
        };
        if entry.slot != Slot::None {
            return Decision::Serve;
        }
        let its_turn = entry.turn <= now;
        let slot = self.free_slot().or_else(|| if its_turn { self.idle_slot(now) } else { None });
        if let Some(slot) = slot {
            self.give(peer, slot, now);
            return Decision::Serve;
        }
        let retry_after = self.retry_after(now);
        if let Some(entry) = self.peers.get_mut(peer)
            && its_turn
        {
            // A little early is on time: clocks and networks differ.
            entry.turn = now + retry_after.mul_f64(0.9);
        }
        Decision::Choked { retry_after }
    }

    /// The slot that a peer holds.
    pub fn slot(&self, peer: &str) -> Slot {
        self.peers.get(peer).map_or(Slot::None, |entry| entry.slot)
    }

    /// Something is being sent to the peer.
    pub fn is_serving(&self, peer: &str) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.serving > 0)
    }

    /// Whoever asks now is served.
    pub fn has_room(&self) -> bool {
        self.config.trusted || self.free_slot().is_some()
    }

    /// A peer shows interest without asking for anything.
    pub fn on_interest(&mut self, peer: &str, now: Instant) {
        self.round.get_or_insert(now);
        self.optimistic_round.get_or_insert(now);
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.asked = now;
            return;
        }
        if self.peers.len() >= self.config.max_peers {
            let idle = self.peers.iter().filter(|(_, e)| e.slot == Slot::None && e.serving == 0);
            let Some(oldest) = idle.min_by_key(|(_, e)| e.asked).map(|(name, _)| name.clone()) else { return };
            self.peers.remove(&oldest);
        }
        let entry = Entry {
            slot: Slot::None,
            since: now,
            asked: now,
            turn: now,
            serving: 0,
            down: 0,
            up: 0,
            down_rounds: [0; 2],
            speed: 0.0,
            up_round: 0,
        };
        self.peers.insert(peer.to_owned(), entry);
    }

    /// Something is being sent to the peer.
    pub fn on_serving(&mut self, peer: &str, now: Instant) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.serving += 1;
            entry.asked = now;
        }
    }

    /// It was sent, or was given up.
    pub fn on_served(&mut self, peer: &str, now: Instant) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.serving = entry.serving.saturating_sub(1);
            entry.asked = now;
        }
    }

    /// Bytes went to the peer.
    pub fn on_uploaded(&mut self, peer: &str, bytes: u64) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.up = entry.up.saturating_add(bytes);
            entry.up_round = entry.up_round.saturating_add(bytes);
        }
    }

    /// Bytes came from the peer. This makes it known, though not interested.
    pub fn on_downloaded(&mut self, peer: &str, bytes: u64, now: Instant) {
        if !self.peers.contains_key(peer) {
            self.on_interest(peer, now);
            if let Some(entry) = self.peers.get_mut(peer) {
                entry.asked = now.checked_sub(self.config.round * 2).unwrap_or(now);
            }
        }
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.down = entry.down.saturating_add(bytes);
            entry.down_rounds[0] = entry.down_rounds[0].saturating_add(bytes);
        }
    }

    /// The peer is gone, or has everything: its slot is free at once.
    pub fn on_gone(&mut self, peer: &str) {
        self.peers.remove(peer);
    }

    /// When [`Choker::tick`] wants to be called next.
    pub fn next_tick(&self) -> Option<Instant> {
        if self.peers.is_empty() || self.config.trusted {
            return None;
        }
        let round = self.round.map(|t| t + self.config.round);
        let optimistic = self.optimistic_round.map(|t| t + self.config.optimistic_round);
        round.into_iter().chain(optimistic).min()
    }

    /// Starts a round, or rotates the optimistic slot, if it is time.
    pub fn tick(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Vec<Change> {
        let due = |start: Option<Instant>, every| start.is_some_and(|t| now.saturating_duration_since(t) >= every);
        let mut changes = Vec::new();
        let (round, rotate) =
            (due(self.round, self.config.round), due(self.optimistic_round, self.config.optimistic_round));
        if round {
            self.new_round(now, rng, &mut changes);
        }
        if rotate {
            self.rotate(now, rng, &mut changes);
        }
        changes
    }

    /// All peers that are kept.
    pub fn views(&self, now: Instant) -> impl Iterator<Item = ChokerView> + '_ {
        self.peers.iter().map(move |(name, entry)| ChokerView {
            peer: name.clone(),
            slot: entry.slot,
            interested: self.is_interested(entry, now),
            serving: entry.serving,
            bytes_down: entry.down,
            bytes_up: entry.up,
            ratio: (entry.down > 0).then(|| entry.up as f64 / entry.down as f64),
        })
    }

    /// Interested: asked within the last round (and a bit), or is being served.
    fn is_interested(&self, entry: &Entry, now: Instant) -> bool {
        entry.serving > 0 || now.saturating_duration_since(entry.asked) <= self.config.round.mul_f64(1.2)
    }

    fn holders(&self, slot: Slot) -> u32 {
        self.peers.values().filter(|entry| entry.slot == slot).count() as u32
    }

    fn give(&mut self, peer: &str, slot: Slot, now: Instant) {
        if let Some(entry) = self.peers.get_mut(peer) {
            (entry.slot, entry.since, entry.up_round) = (slot, now, 0);
        }
    }

    fn free_slot(&self) -> Option<Slot> {
        if self.holders(Slot::Regular) < self.config.slots {
            return Some(Slot::Regular);
        }
        (self.holders(Slot::Optimistic) < self.config.optimistic).then_some(Slot::Optimistic)
    }

    /// Takes the slot of the holder that has been idle longest, if it is idle long enough.
    fn idle_slot(&mut self, now: Instant) -> Option<Slot> {
        let idle = self.peers.values_mut().filter(|e| e.slot != Slot::None && e.serving == 0);
        let entry = idle.min_by_key(|e| e.asked)?;
        if now.saturating_duration_since(entry.asked) < self.config.idle {
            return None;
        }
        let slot = std::mem::take(&mut entry.slot);
        entry.since = now;
        Some(slot)
    }

    /// Until the next round, or sooner: when a holder could have become idle, a bit later the more wait.
    fn retry_after(&self, now: Instant) -> Duration {
        let round = self.round.map_or(now, |t| t + self.config.round).saturating_duration_since(now);
        let waiting = self.peers.values().filter(|e| e.slot == Slot::None && self.is_interested(e, now)).count();
        let idle = self.config.idle.mul_f64(1.0 + waiting as f64 / 16.0);
        round.min(idle).max(Duration::from_millis(250)).min(self.config.round.max(Duration::from_millis(250)))
    }
}
