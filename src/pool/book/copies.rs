//! Who has which contents, and what is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Book, Entry};
use crate::control::pool::{Balancer, Holding, MAX_HOLDS};
use crate::pool::repair::Wanting;

/// Nodes that make a copy if those cannot to whom the ring gives it.
const NEXT: usize = 2;

/// A content of the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub content: String,
    /// What is told of it.
    pub holding: Holding,
}

impl Book {
    /// Nodes of the pool that are there.
    pub fn there(&self) -> usize {
        self.entries.values().filter(|entry| entry.available).count()
    }

    /// What is told of the contents that nodes hold, by id; of those who are there.
    fn contents(&self) -> BTreeMap<&str, (Holding, Vec<&Arc<str>>)> {
        let mut all: BTreeMap<&str, (Holding, Vec<&Arc<str>>)> = BTreeMap::new();
        for (name, entry) in self.entries.iter().filter(|(_, entry)| entry.available) {
            for (content, holding) in entry.member.iter().flat_map(|member| member.holds.iter()) {
                let (known, holders) = all.entry(content).or_default();
                if holding.replicas >= known.replicas {
                    *known = holding.clone();
                }
                holders.push(name);
            }
        }
        all
    }

    /// The contents of this name, or with this id.
    pub fn find(&self, what: &str) -> Vec<Found> {
        let all = self.contents().into_iter();
        let is_it = |(content, (holding, _)): &(&str, (Holding, _))| *content == what || holding.name == what;
        all.filter(is_it).map(|(content, (holding, _))| Found { content: content.to_owned(), holding }).collect()
    }

    /// The contents that the ring gives to this node too, or next to it, that it does not hold, and of which copies are missing.
    pub fn wanting(&mut self, now: u64) -> Vec<Wanting> {
        let own = self.own.clone();
        let is_used = |book: &Self, name: &str| book.resource.health(name).is_some_and(|health| !health.drained);
        // Who has as much to tell as a node tells may hold more.
        let may_hold = |book: &Self, holders: &[&Arc<str>]| {
            let tells_all = |entry: &Entry| entry.member.as_ref().is_none_or(|member| member.holds.len() < MAX_HOLDS);
            let there = book.entries.iter().filter(|(_, entry)| entry.available && !tells_all(entry));
            there.filter(|(name, _)| !holders.contains(name)).count()
        };
        let short: Vec<(String, Holding, Vec<Arc<str>>)> = self
            .contents()
            .into_iter()
            .filter(|(_, (holding, holders))| {
                let live = holders.iter().filter(|name| is_used(self, name)).count() + may_hold(self, holders);
                holding.replicas as usize > live && !holders.iter().any(|name| **name == own)
            })
            .map(|(content, (holding, holders))| (content.to_owned(), holding, holders.into_iter().cloned().collect()))
            .collect();
        let mut wanting = Vec::new();
        for (content, holding, holders) in short {
            let among = (holding.replicas as usize).saturating_add(NEXT);
            let placed = self.place(&content, among, Some(Balancer::ConsistentHash), now, || 0);
            let Ok(placed) = placed else { continue };
            let mut without = placed.nodes.iter().filter(|name| !holders.contains(name));
            let Some(turn) = without.position(|name| *name == own) else { continue };
            let live = holders.iter().filter(|name| is_used(self, name)).count();
            let endpoint =
                |name: &Arc<str>| Some((name.clone(), self.entries.get(name).map(Entry::endpoint)?.to_owned()));
            wanting.push(Wanting {
                content,
                name: holding.name,
                bytes: holding.bytes,
                replicas: holding.replicas,
                live: live as u32,
                from: holders.iter().filter_map(endpoint).collect(),
                turn: turn as u32,
            });
        }
        wanting
    }
}
