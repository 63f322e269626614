//! The peer book of one transfer: who there is, who can take a request now, and who is asked first.
//!
//! A peer is *ready* when its bitmap is known, it does not choke us, it is not resting after a failure
//! and its window has room. Choice among ready peers that have a piece: fewest active downloads, then
//! best measured rate. Ready peers stand in 64 tiers (active downloads × rate class), so that even a
//! thousand idle ones are told apart by a few ANDs; within a tier the exact figures decide, over at most
//! `COMPARED` peers. One request in `EXPLORE` goes to an idle peer whose rate nobody knows, or the
//! best known ones would be asked forever.
//!
//! After a choke or a failure a peer gets a single request first; its window opens again when that is
//! answered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::peer_set::PeerSet;
use super::rate::Meter;
use super::window::Window;

/// Peers of one transfer at most.
pub const MAX_PEERS: u16 = 1000;
const COMPARED: usize = 32;
const EXPLORE: u32 = 16;
const FIRST_REST: Duration = Duration::from_millis(500);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// Answers "choked, retry after": kept within sane bounds, whatever the peer says.
const CHOKE_LIMITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Consecutive failures after which a peer makes room for a new one when the book is full.
const HOPELESS: u32 = 3;

/// A peer of one transfer: its slot, and which tenant of the slot it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(u32);

impl PeerKey {
    fn new(slot: u16, tenant: u16) -> Self {
        Self(u32::from(tenant) << 16 | u32::from(slot))
    }

    pub(super) fn slot(self) -> u16 {
        self.0 as u16
    }
}

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// A node: has what its bitmap says, chokes, wants pieces itself.
    Swarm,
    /// A plain HTTP server: has everything, never chokes.
    Mirror,
}

/// A peer as the book knows it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) endpoint: Box<str>,
    pub(super) kind: PeerKind,
    pub(super) tenant: u16,
    pub(super) known: bool,
    pub(super) choked_until: Option<Instant>,
    pub(super) resting_until: Option<Instant>,
    /// Failures since the last answer.
    pub(super) failures: u32,
    /// One request only, until it is answered.
    pub(super) probing: bool,
    pub(super) active: u32,
    pub(super) window: Window,
    pub(super) down: Meter,
    pub(super) up: Meter,
    pub(super) bytes_down: u64,
    pub(super) bytes_up: u64,
    pub(super) pieces: u64,
    tier: u8,
}

impl Peer {
    /// Bytes of a request to this peer.
    pub(super) fn request_bytes(&self, piece: u64) -> u64 {
        u64::from(self.window.run(piece, self.active.max(1))) * piece
    }

    pub(super) fn limit(&self, piece: u64) -> u32 {
        if self.probing { 1 } else { self.window.size(self.request_bytes(piece)) }
    }

    /// Could be asked if its window has room.
    fn is_able(&self, now: Instant) -> bool {
        self.known && self.choked_until.is_none_or(|t| t <= now) && self.resting_until.is_none_or(|t| t <= now)
    }

    fn tier(&self) -> u8 {
        let class = match self.window.rate() {
            Some(rate) => 7 - ((rate / 16_384.0).max(1.0).log2() / 2.0).min(7.0) as u8,
            None => 7,
        };
        self.active.min(7) as u8 * 8 + class
    }

    /// How long `bytes` more would take, by what was measured; `None` if nothing was.
    pub(super) fn estimate(&self, bytes: u64, sharing: u32) -> Option<Duration> {
        let rate = self.window.rate()? / f64::from(sharing.max(1));
        let wait = self.window.rtt().unwrap_or_default();
        Some(wait + Duration::from_secs_f64((bytes as f64 / rate.max(1.0)).min(1e6)))
    }
}

/// The book. All times are handed in.
#[derive(Debug)]
pub(super) struct Book {
    piece: u64,
    window: (u32, u32),
    max: u16,
    slots: Vec<Option<Peer>>,
    tenants: Vec<u16>,
    by_endpoint: HashMap<Box<str>, u16>,
    used: PeerSet,
    ready: PeerSet,
    /// Known, not choking, not resting; the window may be full.
    able: PeerSet,
    /// Those who have everything.
    seeders: PeerSet,
    /// Those who had everything when we first heard of them.
    sources: PeerSet,
    unmeasured: PeerSet,
    tiers: [PeerSet; 64],
    /// No peer's choke or rest ends before this.
    wake: Option<Instant>,
    asked: u32,
}

impl Book {
    /// `piece`: bytes per piece; `window`: initial and largest; `max`: peers.
    pub(super) fn new(piece: u64, window: (u32, u32), max: u16) -> Self {
        Self {
            piece,
            window,
            max: max.min(MAX_PEERS),
            slots: Vec::new(),
            tenants: Vec::new(),
            by_endpoint: HashMap::new(),
            used: PeerSet::EMPTY,
            ready: PeerSet::EMPTY,
            able: PeerSet::EMPTY,
            seeders: PeerSet::EMPTY,
            sources: PeerSet::EMPTY,
            unmeasured: PeerSet::EMPTY,
            tiers: [PeerSet::EMPTY; 64],
            wake: None,
            asked: 0,
        }
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.at(key.slot()).filter(|peer| PeerKey::new(key.slot(), peer.tenant) == key)
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        let peer = self.slots.get_mut(usize::from(key.slot()))?.as_mut()?;
        (PeerKey::new(key.slot(), peer.tenant) == key).then_some(peer)
    }

    pub(super) fn at(&self, slot: u16) -> Option<&Peer> {
        self.slots.get(usize::from(slot))?.as_ref()
    }

    pub(super) fn key_at(&self, slot: u16) -> Option<PeerKey> {
        Some(PeerKey::new(slot, self.at(slot)?.tenant))
    }

    pub(super) fn find(&self, endpoint: &str) -> Option<PeerKey> {
        self.key_at(*self.by_endpoint.get(endpoint)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.used.iter().filter_map(|slot| Some((self.key_at(slot)?, self.at(slot)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_endpoint.len()
    }

    pub(super) fn ready(&self) -> &PeerSet {
        &self.ready
    }

    pub(super) fn able(&self) -> &PeerSet {
        &self.able
    }

    pub(super) fn seeders(&self) -> &PeerSet {
        &self.seeders
    }

    pub(super) fn used(&self) -> &PeerSet {
        &self.used
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    pub(super) fn sources(&self) -> &PeerSet {
        &self.sources
    }

    /// The peer has everything, or not. `first`: this is the first that is heard of it.
    pub(super) fn set_seeder(&mut self, slot: u16, seeder: bool, first: bool) {
        self.seeders.put(slot, seeder);
        self.sources.put(slot, seeder && (first || self.sources.contains(slot)));
    }

    /// A peer that fails all the time and would not be missed, if the book is full.
    pub(super) fn dispensable(&self) -> Option<PeerKey> {
        if self.by_endpoint.len() < usize::from(self.max) {
            return None;
        }
        let hopeless = self.iter().filter(|(_, peer)| peer.active == 0 && peer.failures >= HOPELESS);
        hopeless.max_by_key(|(_, peer)| peer.failures).map(|(key, _)| key)
    }

    /// Seats a peer; `None` if it is known, or there is no seat.
    pub(super) fn add(&mut self, endpoint: &str, kind: PeerKind) -> Option<PeerKey> {
        if self.by_endpoint.contains_key(endpoint) {
            return None;
        }
        let slot = self.used.first_free(self.max)?;
        let seats = usize::from(slot) + 1;
        if self.slots.len() < seats {
            self.slots.resize_with(seats, || None);
            self.tenants.resize(seats, 0);
        }
        self.tenants[usize::from(slot)] = self.tenants[usize::from(slot)].wrapping_add(1);
        let tenant = self.tenants[usize::from(slot)];
        self.slots[usize::from(slot)] = Some(Peer {
            endpoint: endpoint.into(),
            kind,
            tenant,
            known: false,
            choked_until: None,
            resting_until: None,
            failures: 0,
            probing: false,
            active: 0,
            window: Window::new(self.window.0, self.window.1),
            down: Meter::new(Duration::from_secs(2)),
            up: Meter::new(Duration::from_secs(2)),
            bytes_down: 0,
            bytes_up: 0,
            pieces: 0,
            tier: 0,
        });
        self.by_endpoint.insert(endpoint.into(), slot);
        self.used.insert(slot);
        Some(PeerKey::new(slot, tenant))
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        self.get(key)?;
        let slot = key.slot();
        let peer = self.slots[usize::from(slot)].take()?;
        self.by_endpoint.remove(&peer.endpoint);
        self.tiers[usize::from(peer.tier)].remove(slot);
        for set in [
            &mut self.used,
            &mut self.ready,
            &mut self.able,
            &mut self.seeders,
            &mut self.sources,
            &mut self.unmeasured,
        ] {
            set.remove(slot);
        }
        Some(peer)
    }

    /// Brings the sets in line with the peer's figures. To be called after every change of them.
    pub(super) fn refresh(&mut self, slot: u16, now: Instant) {
        let Some(Some(peer)) = self.slots.get_mut(usize::from(slot)) else { return };
        let able = peer.is_able(now);
        if !able {
            let next = [peer.choked_until, peer.resting_until].into_iter().flatten().filter(|t| *t > now).max();
            self.wake = self.wake.into_iter().chain(next).min();
        }
        self.tiers[usize::from(peer.tier)].remove(slot);
        peer.tier = peer.tier();
        self.tiers[usize::from(peer.tier)].insert(slot);
        self.unmeasured.put(slot, peer.window.rate().is_none() && peer.active == 0);
        self.able.put(slot, able);
        self.ready.put(slot, able && peer.active < peer.limit(self.piece));
    }

    /// Ends chokes and rests whose time has come. O(1) until then.
    pub(super) fn wake_up(&mut self, now: Instant) {
        if self.wake.is_none_or(|wake| wake > now) {
            return;
        }
        self.wake = None;
        for slot in self.used.iter() {
            self.refresh(slot, now);
        }
    }

    /// The peer said "choked, retry after".
    pub(super) fn choke(&mut self, key: PeerKey, retry_after: Duration, now: Instant) {
        if let Some(peer) = self.get_mut(key) {
            peer.choked_until = Some(now + retry_after.clamp(CHOKE_LIMITS.0, CHOKE_LIMITS.1));
            peer.probing = true;
            self.refresh(key.slot(), now);
        }
    }

    pub(super) fn unchoke(&mut self, key: PeerKey, now: Instant) {
        if let Some(peer) = self.get_mut(key) {
            peer.choked_until = None;
            self.refresh(key.slot(), now);
        }
    }

    /// A request failed while `active` were under way: the peer rests, longer each time. Jitter keeps
    /// many from coming back at once.
    pub(super) fn rest(&mut self, key: PeerKey, active: u32, rng: &mut fastrand::Rng, now: Instant) {
        if let Some(peer) = self.get_mut(key) {
            // Requests that were under way together fail together: that is one failure.
            if peer.resting_until.is_none_or(|until| until <= now) {
                peer.failures = peer.failures.saturating_add(1);
                let rest = FIRST_REST.saturating_mul(1 << (peer.failures - 1).min(16)).min(LONGEST_REST);
                peer.resting_until = Some(now + rest.mul_f64(0.75 + 0.5 * rng.f64()));
                peer.window.on_failure(active);
            }
            peer.probing = true;
            self.refresh(key.slot(), now);
        }
    }

    /// The peer answered: it is neither choking nor failing.
    pub(super) fn answered(&mut self, key: PeerKey, now: Instant) {
        if let Some(peer) = self.get_mut(key) {
            (peer.failures, peer.choked_until, peer.resting_until, peer.probing) = (0, None, None, false);
            self.refresh(key.slot(), now);
        }
    }

    /// Who is asked, among peers that have the piece and a free slot.
    pub(super) fn best(&mut self, among: &PeerSet, rng: &mut fastrand::Rng) -> Option<u16> {
        self.asked = self.asked.wrapping_add(1);
        let start = rng.u16(..1024);
        if self.asked.is_multiple_of(EXPLORE)
            && let Some(slot) = among.and(&self.unmeasured).iter_from(start).next()
        {
            return Some(slot);
        }
        let tier = self.tiers.iter().map(|tier| tier.and(among)).find(|tier| !tier.is_empty())?;
        let figures = |slot: &u16| self.at(*slot).map(|peer| (peer.active, peer.window.rate().unwrap_or(0.0)));
        let better = |a: &u16, b: &u16| {
            let ((active_a, rate_a), (active_b, rate_b)) =
                (figures(a).unwrap_or_default(), figures(b).unwrap_or_default());
            active_a.cmp(&active_b).then(rate_b.total_cmp(&rate_a))
        };
        tier.iter_from(start).take(COMPARED).min_by(better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(peers: usize) -> (Book, Vec<PeerKey>, Instant) {
        let now = Instant::now();
        let mut book = Book::new(1 << 18, (4, 64), MAX_PEERS);
        let keys: Vec<_> = (0..peers).map(|n| book.add(&format!("http://p:{n}"), PeerKind::Swarm).unwrap()).collect();
        for key in &keys {
            book.get_mut(*key).unwrap().known = true;
            book.refresh(key.slot(), now);
        }
        (book, keys, now)
    }

    fn measure(book: &mut Book, key: PeerKey, rate: u64, now: Instant) {
        let window = &mut book.get_mut(key).unwrap().window;
        window.on_bytes(1, now);
        window.on_bytes(rate, now + Duration::from_secs(1));
        window.on_idle(now);
        book.refresh(key.slot(), now);
    }

    #[test]
    fn fewest_active_then_best_rate() {
        let (mut book, keys, now) = book(40);
        let mut rng = fastrand::Rng::with_seed(1);
        for (n, key) in keys.iter().enumerate() {
            measure(&mut book, *key, 1000 * (n as u64 + 1), now);
        }
        let ready = *book.ready();
        // All in one class: exact over 32 of 40.
        assert!(book.best(&ready, &mut rng).unwrap() >= 31);
        measure(&mut book, keys[3], 1_000_000_000, now);
        assert_eq!(book.best(&ready, &mut rng), Some(3));
        book.get_mut(keys[3]).unwrap().active = 1;
        book.refresh(3, now);
        assert_ne!(book.best(&ready, &mut rng), Some(3));
        let two = PeerSet::only(3).or(&PeerSet::only(7));
        assert_eq!(book.best(&two, &mut rng), Some(7));
        assert_eq!(book.best(&PeerSet::EMPTY, &mut rng), None);
    }

    #[test]
    fn unmeasured_peers_get_their_turn() {
        let (mut book, keys, now) = book(2);
        let mut rng = fastrand::Rng::with_seed(1);
        measure(&mut book, keys[0], 1_000_000, now);
        let ready = *book.ready();
        let asked: Vec<_> = (0..32).filter_map(|_| book.best(&ready, &mut rng)).collect();
        assert_eq!(asked.iter().filter(|slot| **slot == 1).count(), 2);
    }

    #[test]
    fn failures_rest_longer_each_time_and_answers_forgive() {
        let (mut book, keys, mut now) = book(1);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut last = Duration::ZERO;
        for n in 0..20 {
            book.rest(keys[0], 1, &mut rng, now);
            assert!(book.ready().is_empty());
            let rest = book.wake().unwrap() - now;
            assert!(rest > last || n > 8, "{rest:?} after {last:?}");
            assert!(rest <= LONGEST_REST.mul_f64(1.25));
            last = rest.mul_f64(1.1);
            now += rest;
            book.wake_up(now);
            assert!(!book.ready().is_empty());
            assert_eq!(book.at(0).unwrap().limit(1 << 18), 1, "one request to see");
        }
        book.answered(keys[0], now);
        assert_eq!(book.get(keys[0]).unwrap().failures, 0);
        book.choke(keys[0], Duration::from_secs(100_000), now);
        assert_eq!(book.wake().unwrap() - now, CHOKE_LIMITS.1);
    }

    #[test]
    fn a_seat_taken_anew_is_not_the_old_peer() {
        let (mut book, keys, _) = book(1);
        assert_eq!(book.add("http://p:0", PeerKind::Swarm), None, "known");
        book.remove(keys[0]);
        let new = book.add("http://other", PeerKind::Mirror).unwrap();
        assert_eq!(new.slot(), keys[0].slot());
        assert!(book.get(keys[0]).is_none() && book.get(new).is_some());
    }

    #[test]
    fn a_full_book_gives_the_seat_of_a_hopeless_peer() {
        let (mut book, keys, now) = book(1000);
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(book.add("http://new", PeerKind::Swarm), None);
        assert_eq!(book.dispensable(), None);
        let mut later = now;
        for _ in 0..3 {
            book.rest(keys[7], 1, &mut rng, later);
            later += Duration::from_secs(100);
        }
        assert_eq!(book.dispensable(), Some(keys[7]));
    }
}
