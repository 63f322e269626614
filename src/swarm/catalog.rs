//! Everything a node serves, and the tracker it runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Held;
use super::announce::{Announce, AnnounceError, AnnounceReply};
use super::tracker::{TrackerConfig, TrackerTable};
use crate::content::ContentId;

/// Contents by id, and the table of who else has them. Shared by the engine, which adds and
/// removes, and the server, which looks up.
#[derive(Debug)]
pub struct Catalog {
    contents: RwLock<HashMap<ContentId, Arc<Held>>>,
    tracker: Mutex<Tracker>,
}

#[derive(Debug)]
struct Tracker {
    table: TrackerTable,
    rng: fastrand::Rng,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new(TrackerConfig::default())
    }
}

impl Catalog {
    /// Nothing served yet.
    pub fn new(tracker: TrackerConfig) -> Self {
        Self {
            contents: RwLock::default(),
            tracker: Mutex::new(Tracker { table: TrackerTable::new(tracker), rng: fastrand::Rng::new() }),
        }
    }

    /// Serves a content; false (and nothing changes) if one with its id is served already.
    pub fn insert(&self, held: Arc<Held>) -> bool {
        match self.contents.write().unwrap_or_else(PoisonError::into_inner).entry(held.id()) {
            Entry::Vacant(place) => {
                place.insert(held);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Stops serving this very content, not another with the same id. Bodies under way are finished.
    pub fn remove(&self, held: &Arc<Held>) -> bool {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        let served = contents.get(&held.id()).is_some_and(|other| Arc::ptr_eq(other, held));
        if served {
            contents.remove(&held.id());
        }
        served
    }

    /// The content with this id.
    pub fn get(&self, id: &ContentId) -> Option<Arc<Held>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, in no order.
    pub fn list(&self) -> Vec<Arc<Held>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes an announce from `source`.
    ///
    /// # Errors
    /// It is not sound, or not about the one who sent it.
    pub fn announce(&self, announce: &Announce, source: IpAddr) -> Result<AnnounceReply, AnnounceError> {
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let Tracker { table, rng } = &mut *tracker;
        table.announce(announce, source, tokio::time::Instant::now().into_std(), rng)
    }
}
