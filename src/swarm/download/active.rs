//! The requests of a download that are under way: started, metered, revoked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::swarm::client::Client;
use crate::swarm::fetch::{Fetch, FetchEvent, FetchMeter, Lease};
use crate::swarm::leech::{Leech, RequestId};
use crate::swarm::peers::PeerKey;

/// One request under way.
#[derive(Debug)]
struct ActiveFetch {
    peer: PeerKey,
    first: u32,
    count: u32,
    in_memory: bool,
    lease: Arc<Lease>,
    meter: Arc<FetchMeter>,
    abort: AbortHandle,
    asked: Instant,
    counted: u64,
    first_byte_told: bool,
    gave: bool,
}

/// All requests under way. Dropping it stops them.
#[derive(Debug, Default)]
pub(super) struct Active {
    fetches: HashMap<RequestId, ActiveFetch>,
    tasks: JoinSet<()>,
}

impl Active {
    /// Starts a fetch on its own task.
    pub(super) fn start(
        &mut self,
        peer: PeerKey,
        fetch: Fetch,
        client: Arc<Client>,
        events: mpsc::Sender<FetchEvent>,
        now: Instant,
    ) {
        while self.tasks.try_join_next().is_some() {}
        let (id, first, count, in_memory) = (fetch.id, fetch.first, fetch.count, fetch.in_memory);
        let (lease, meter) = (fetch.lease.clone(), fetch.meter.clone());
        let abort = self.tasks.spawn(fetch.run(client, events));
        let asked = now;
        let (counted, first_byte_told, gave) = (0, false, false);
        let active =
            ActiveFetch { peer, first, count, in_memory, lease, meter, abort, asked, counted, first_byte_told, gave };
        self.fetches.insert(id, active);
    }

    /// Ends a request at once. When this returns it writes no more.
    pub(super) fn cancel(&mut self, id: RequestId) -> u64 {
        let Some(fetch) = self.fetches.remove(&id) else { return 0 };
        fetch.lease.revoke();
        fetch.abort.abort();
        fetch.meter.bytes.load(Ordering::Relaxed) - fetch.counted + fetch.meter.overhead.load(Ordering::Relaxed)
    }

    /// Forgets a request that has ended; false if it was cancelled before.
    pub(super) fn ended(&mut self, id: RequestId) -> bool {
        self.fetches.remove(&id).is_some()
    }

    /// Whom it was asked of.
    pub(super) fn peer(&self, id: RequestId) -> Option<PeerKey> {
        self.fetches.get(&id).map(|fetch| fetch.peer)
    }

    /// A piece of it came: the first time, whom it was asked of and the time to its first byte.
    pub(super) fn first_piece(&mut self, id: RequestId) -> Option<(PeerKey, Duration)> {
        let fetch = self.fetches.get_mut(&id).filter(|fetch| !fetch.gave)?;
        fetch.gave = true;
        Some((fetch.peer, Duration::from_micros(fetch.meter.first_byte_us.load(Ordering::Relaxed))))
    }

    pub(super) fn contains(&self, id: RequestId) -> bool {
        self.fetches.contains_key(&id)
    }

    /// Whoever is writing `piece` leaves it alone from now on: its bytes come from elsewhere.
    pub(super) fn take_piece(&self, piece: u32) {
        for fetch in self.fetches.values() {
            if !fetch.in_memory && (fetch.first..fetch.first + fetch.count).contains(&piece) {
                fetch.lease.take_piece(piece);
            }
        }
    }

    /// Tells `leech` what has arrived since the last time; payload bytes and header bytes.
    pub(super) fn account(&mut self, leech: &mut Leech, now: Instant) -> u64 {
        self.fetches.iter_mut().map(|(id, fetch)| fetch.account(*id, leech, now)).sum()
    }

    /// The same for one request, before an event about it is handled.
    pub(super) fn account_one(&mut self, id: RequestId, leech: &mut Leech, now: Instant) -> u64 {
        self.fetches.get_mut(&id).map_or(0, |fetch| fetch.account(id, leech, now))
    }

    /// Header bytes of one request.
    pub(super) fn overhead(&self, id: RequestId) -> u64 {
        self.fetches.get(&id).map_or(0, |fetch| fetch.meter.overhead.load(Ordering::Relaxed))
    }

    pub(super) fn ids(&self) -> Vec<RequestId> {
        self.fetches.keys().copied().collect()
    }
}

impl ActiveFetch {
    fn account(&mut self, id: RequestId, leech: &mut Leech, now: Instant) -> u64 {
        let first_byte = self.meter.first_byte_us.load(Ordering::Relaxed);
        if first_byte > 0 && !self.first_byte_told {
            self.first_byte_told = true;
            leech.on_first_byte(id, (self.asked + Duration::from_micros(first_byte)).min(now));
        }
        let bytes = self.meter.bytes.load(Ordering::Relaxed);
        let new = bytes - self.counted;
        if new > 0 {
            self.counted = bytes;
            leech.on_bytes(id, new, now);
        }
        new
    }
}
