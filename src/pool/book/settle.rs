//! After anything changed: who is there, on the ring, drained, over a limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Book, Entry, Event};
use crate::pool::health::Health;

/// Nodes that come so soon after this one started are no new ones.
const SETTLING_MS: u64 = 10_000;

impl Book {
    /// Who came over a limit since the last look, and who is over none any more. Time alone can change that.
    pub fn look(&mut self, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, entry) in &mut self.entries {
            // Who is not there has left, which was told.
            let over = self.resource.excluded(name, now).filter(|_| entry.available);
            match (over, entry.excluded_at) {
                (Some(why), None) => {
                    entry.excluded_at = Some(now);
                    events.push(Event::Excluded(name.clone(), why));
                }
                (None, Some(since)) => {
                    entry.excluded_at = None;
                    if entry.available {
                        events.push(Event::Back(name.clone(), now.saturating_sub(since)));
                    }
                }
                _ => {}
            }
        }
        events
    }

    /// At which other node `name` was drained.
    pub fn drained_at(&self, name: &str) -> Option<&Arc<str>> {
        let says = |entry: &Entry| entry.member.as_ref().is_some_and(|it| it.drains.iter().any(|one| **one == *name));
        self.entries.iter().find(|(at, entry)| **at != self.own && says(entry)).map(|(at, _)| at)
    }

    /// After anything changed: who is there, on the ring, drained.
    pub(super) fn settle(&mut self, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.entries.retain(|name, entry| {
            let is_kept = entry.listed.is_some() || entry.member.is_some();
            if !is_kept && entry.available {
                events.push(Event::Left(name.clone(), "it is not heard of any more".to_owned()));
            }
            is_kept
        });
        for (name, entry) in &mut self.entries {
            let is_there = entry.is_there();
            if is_there == entry.available {
                continue;
            }
            entry.available = is_there;
            if is_there {
                // Who is there when this node starts has been there before.
                let is_old = now.saturating_sub(self.started) < SETTLING_MS;
                match self.resource.health_mut(name) {
                    Some(known) => known.on_return(now),
                    None => self.resource.add(name, Health::new(now, is_old)),
                }
                events.push(Event::Came(name.clone()));
            } else {
                events.push(Event::Left(name.clone(), format!("no answer: {}", entry.why)));
            }
        }
        let mut elsewhere: BTreeMap<&Arc<str>, &Arc<str>> = BTreeMap::new();
        for (at, entry) in self.entries.iter().filter(|(at, _)| **at != self.own) {
            for name in entry.member.iter().flat_map(|member| &member.drains) {
                elsewhere.entry(name).or_insert(at);
            }
        }
        for name in self.entries.keys() {
            let here = self.drained.contains(name);
            let at = elsewhere.get(name).map(|at| (*at).clone());
            let Some(health) = self.resource.health_mut(name) else { continue };
            let drained = here || at.is_some();
            if std::mem::replace(&mut health.drained, drained) != drained {
                events.push(match drained {
                    true => Event::Drained(name.clone(), at.filter(|_| !here)),
                    false => Event::InUse(name.clone()),
                });
            }
        }
        self.resource.retain(|name| self.entries.contains_key(name));
        let on_ring: Vec<(Arc<str>, f64)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.available)
            .map(|(name, entry)| (name.clone(), entry.weight()))
            .collect();
        // Each weight was checked where it came in; together they may still be more than the ring has points for.
        if self.hashed.follow(&on_ring).is_err() {
            let light = on_ring.iter().map(|(name, weight)| (name.clone(), weight.min(1.0)));
            let _ = self.hashed.follow(&light.collect::<Vec<_>>());
        }
        events
    }
}
