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
    pub(super) fn contents(&self) -> BTreeMap<&str, (Holding, Vec<&Arc<str>>)> {
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

    /// The contents that the ring gives to this node too, or next to it, that it does not hold, and of which copies are
    /// missing; and those of `running`, which it makes copies of, whatever the ring says by now.
    pub fn wanting(&self, running: &[&str], now: u64) -> Vec<Wanting> {
        let own = self.own.clone();
        let is_used = |name: &Arc<str>| self.resource.health(name).is_some_and(|health| !health.drained);
        let endpoint = |name: &Arc<str>| Some((name.clone(), self.entries.get(name).map(Entry::endpoint)?.to_owned()));
        let mut wanting = Vec::new();
        for (content, (holding, holders)) in self.contents() {
            let is_running = running.contains(&content);
            let live = holders.iter().filter(|name| is_used(name)).count();
            let is_short = holding.replicas as usize > live;
            if holders.iter().any(|name| **name == own) || !(is_short || is_running) {
                continue;
            }
            let turn = if is_short { self.turn(content, &holding, &holders, now) } else { None };
            if turn.is_none() && !is_running {
                continue;
            }
            wanting.push(Wanting {
                content: content.to_owned(),
                name: holding.name.clone(),
                bytes: holding.bytes,
                replicas: holding.replicas,
                live: live as u32,
                from: holders.iter().filter_map(|name| endpoint(name)).collect(),
                untold: self.untold(&holders).filter_map(endpoint).collect(),
                turn: turn.unwrap_or(u32::MAX),
            });
        }
        wanting
    }

    /// How many others without a copy the ring names before this node; none: it does not name this node.
    fn turn(&self, content: &str, holding: &Holding, holders: &[&Arc<str>], now: u64) -> Option<u32> {
        let among = (holding.replicas as usize).saturating_add(NEXT);
        let placed = self.place(content, among, Some(Balancer::ConsistentHash), now, || 0).ok()?;
        let mut without = placed.nodes.iter().filter(|name| !holders.contains(name));
        without.position(|name| *name == self.own).map(|turn| turn as u32)
    }

    /// Who may hold what it does not tell: it tells as much as a node tells, and all of that are copies for the pool, which are
    /// told first.
    fn untold(&self, holders: &[&Arc<str>]) -> impl Iterator<Item = &Arc<str>> {
        let tells_all = |entry: &Entry| {
            let is_all = |holds: &BTreeMap<String, Holding>| {
                holds.len() < MAX_HOLDS || holds.values().any(|holding| holding.replicas == 0)
            };
            entry.member.as_ref().is_none_or(|member| is_all(&member.holds))
        };
        let there = self.entries.iter().filter(move |(_, entry)| entry.available && !tells_all(entry));
        there.map(|(name, _)| name).filter(move |name| !holders.contains(name))
    }
}
