//! Whom to use, by how they are, and what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Book, BookError, Entry};
use crate::pool::resource::NoNodes;
use crate::pool::ring::RingError;

impl Book {
    /// An operation with a node ended: after so many ms it had answered, or it failed.
    pub fn on_used(&mut self, name: &str, latency_ms: Option<f64>, now: u64) {
        if let Some(health) = self.resource.health_mut(name) {
            match latency_ms {
                Some(latency) => health.on_success(latency, now),
                None => health.on_failure(now),
            }
        }
    }

    /// An operation with a node ended well, which says nothing of how soon it answers.
    pub fn on_done(&mut self, name: &str, now: u64) {
        if let Some(health) = self.resource.health_mut(name) {
            health.on_done(now);
        }
    }

    /// A node was chosen, by whichever balancer, and really read from or written to.
    pub fn on_chosen(&mut self, name: &str) {
        self.resource.chose(name);
    }

    /// One of the nodes for which `is_candidate` holds, by how they are.
    ///
    /// # Errors
    /// There is none of them.
    pub fn choose(
        &mut self,
        now: u64,
        is_candidate: impl Fn(&str) -> bool,
        chance: impl FnMut() -> u64,
    ) -> Result<Arc<str>, NoNodes> {
        let entries = &self.entries;
        let is_there = |name: &str| entries.get(name).is_some_and(|entry| entry.available) && is_candidate(name);
        self.resource.choose(now, is_there, chance)
    }

    /// Those of the other nodes that say they hold `content`, to fetch it from: at most `count`, the first one first. Drained
    /// and overloaded ones only where there is no other.
    pub fn sources(&self, content: &str, count: usize, now: u64, chance: impl FnMut() -> u64) -> Vec<Arc<str>> {
        let holders: BTreeSet<Arc<str>> = self.holders(content).into_iter().filter(|name| *name != self.own).collect();
        let is_good = holders.iter().any(|name| self.is_usable(name, now));
        let is_one = |name: &str| holders.contains(name) && (!is_good || self.is_usable(name, now));
        self.resource.order(now, count, is_one, chance)
    }

    /// Endpoints of the nodes that are not to be asked for `content`, as they are drained or overloaded: none while no other
    /// that is neither says that it holds it.
    pub fn spared(&self, content: &str, now: u64) -> Vec<String> {
        let is_good = |name: &Arc<str>| *name != self.own && self.is_usable(name, now);
        if !self.holders(content).iter().any(is_good) {
            return Vec::new();
        }
        let is_spared =
            |(name, entry): &(&Arc<str>, &Entry)| entry.available && **name != self.own && !self.is_usable(name, now);
        self.entries.iter().filter(is_spared).map(|(_, entry)| entry.endpoint().to_owned()).collect()
    }

    /// It is there, and neither drained nor overloaded.
    pub fn is_usable(&self, name: &str, now: u64) -> bool {
        let standing = self.resource.standing(name, now);
        self.endpoint(name).is_some() && standing.is_some_and(|it| !it.drained && it.excluded.is_none())
    }

    /// Why nobody is there: there is no node, or none that answers.
    pub fn nobody(&self) -> BookError {
        let Some((name, entry)) = self.entries.iter().next() else { return RingError::Empty.into() };
        let why = if entry.why.is_empty() { "not heard of" } else { &entry.why };
        BookError::Away(self.entries.len(), format!("{name}: {why}"))
    }
}
