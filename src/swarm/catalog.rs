//! Everything a node serves, and the tracker it runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Held;
use super::announce::{Announce, AnnounceReply};
use super::tracker::{AnnounceError, TrackerConfig, TrackerTable};
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

    /// Serves a content; gives back what was served under its id before.
    pub fn insert(&self, held: Arc<Held>) -> Option<Arc<Held>> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner).insert(held.id(), held)
    }

    /// Stops serving a content. Bodies under way are finished.
    pub fn remove(&self, id: &ContentId) -> Option<Arc<Held>> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner).remove(id)
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
