//! Who is in the pool and how they are: the operator's list, what gossip tells and what was found, put together. Pure: time
//! comes in as milliseconds of this node's own clock, chance as random bits.

mod choices;
mod copies;
mod moving;
mod settle;
mod view;

pub use copies::Found;
pub use moving::Change;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hashed::ConsistentHash;
use super::resource::{Limits, ResourceAware};
use super::ring::{RingError, WEIGHTS};
use crate::control::pool::{Balancer, Figures, Holding, MAX_NODES, Placement};

/// A node of the list that did not answer so often in a row is not there.
const MISSES: u32 = 2;

/// Loads are bounded from so many contents per node on: with fewer, one more would be a node's whole share.
const BOUND_FROM: usize = 8;

/// What gossip tells of a node that is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Member {
    /// As it calls itself.
    pub name: Arc<str>,
    /// Tells it from others of that name: where it gossips.
    pub address: String,
    /// Its endpoint's URL.
    pub endpoint: String,
    /// Its weight on the ring.
    pub weight: f64,
    /// When it started, by its own clock: of one address the latest counts, of several the earliest was here first.
    pub generation: u64,
    /// How it says it is.
    pub figures: Option<Figures>,
    /// Grows with each report.
    pub report: u64,
    /// Nodes that its operator takes out of use.
    pub drains: Vec<Arc<str>>,
    /// What it holds, by id.
    pub holds: Arc<BTreeMap<String, Holding>>,
}

/// A node of the operator's list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its endpoint's URL.
    pub endpoint: String,
    /// Its weight; none: its own word, or 1.
    pub weight: Option<f64>,
}

/// What happened, for the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A node is there.
    Came(Arc<str>),
    /// It is there no longer.
    Left(Arc<str>, String),
    /// Two call themselves the same: the one that counts, the one that does not.
    SameName(Arc<str>, String, String),
    /// It is over a limit, in words: not chosen where there are others.
    Excluded(Arc<str>, String),
    /// It is over none any more, after so many ms.
    Back(Arc<str>, u64),
    /// It is taken out of use; at which other node, if not here.
    Drained(Arc<str>, Option<Arc<str>>),
    /// It is in use again.
    InUse(Arc<str>),
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BookError {
    /// No such node.
    #[error("there is no node {0:?} in the pool; `skep nodes` lists them")]
    Unknown(String),
    /// The name is another's.
    #[error("{0:?} is listed already, at {1}: remove it first, or give another name")]
    Taken(String, String),
    /// It cannot be removed, as nobody listed it.
    #[error(
        "{0:?} is not on the list: it came by gossip, and goes when it stops. `skep nodes drain {0}` takes it out of use"
    )]
    NotListed(String),
    /// It was drained by somebody else.
    #[error("{0:?} is drained at {1}: undrain it there")]
    DrainedAt(String, String),
    /// There are nodes, and none of them is there: how many, and why the first one is not.
    #[error("none of the {0} nodes of the pool answers; {1}")]
    Away(usize, String),
    /// There are too many.
    #[error("{MAX_NODES} nodes are in the pool already")]
    Full,
    /// The ring cannot.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Everything about one node.
#[derive(Debug, Default)]
struct Entry {
    listed: Option<Listed>,
    member: Option<Member>,
    /// Answers that did not come, in a row; none: it was never asked.
    misses: Option<u32>,
    /// What it calls itself, where that is not its name.
    says: Option<String>,
    why: String,
    available: bool,
    /// Since when it is over a limit, as far as that was told.
    excluded_at: Option<u64>,
    /// Copies that it keeps for the pool: its load.
    kept: usize,
}

/// It is a copy for the pool, not what somebody shares for himself.
fn is_kept(holding: &Holding) -> bool {
    holding.replicas > 0
}

impl Entry {
    fn weight(&self) -> f64 {
        self.listed.as_ref().and_then(|listed| listed.weight).unwrap_or_else(|| self.own_weight())
    }

    /// Its own word; without one it weighs as much as any.
    fn own_weight(&self) -> f64 {
        let own = self.member.as_ref().map(|member| member.weight);
        own.filter(|weight| WEIGHTS.contains(weight)).unwrap_or(1.0)
    }

    fn endpoint(&self) -> &str {
        let listed = self.listed.as_ref().map(|listed| listed.endpoint.as_str());
        listed.or(self.member.as_ref().map(|member| member.endpoint.as_str())).unwrap_or_default()
    }

    /// Gossip and answers may each say that it is there; who is only listed and was not asked yet has the benefit of the doubt.
    fn is_there(&self) -> bool {
        self.member.is_some() || (self.listed.is_some() && self.misses.is_none_or(|misses| misses < MISSES))
    }
}

/// The pool as one node knows it.
#[derive(Debug, Default)]
pub struct Book {
    name: String,
    own: Arc<str>,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Drained by this node's operator.
    drained: BTreeSet<Arc<str>>,
    /// Names that are told twice: what was said of it in the log already.
    twice: BTreeMap<Arc<str>, (String, String)>,
    balancer: Balancer,
    hashed: ConsistentHash,
    resource: ResourceAware,
    started: u64,
}

impl Book {
    /// An empty pool of this name, seen by the node `own`.
    pub fn new(name: &str, own: &str, limits: Limits, now: u64) -> Self {
        let resource = ResourceAware::new(limits);
        Self { name: name.to_owned(), own: own.into(), resource, started: now, ..Self::default() }
    }

    /// The same with so many points on the ring for a node of weight 1, and so many times its fair share for a node at most.
    /// For a pool that is empty yet.
    pub fn on_ring(self, points: u32, bound: Option<f64>) -> Self {
        Self { hashed: ConsistentHash::new(points, bound), ..self }
    }

    /// Puts a node on the list, or changes its weight.
    ///
    /// # Errors
    /// The name is listed with another endpoint, the weight is none, the pool is full.
    pub fn list(&mut self, name: &str, listed: Listed, now: u64) -> Result<Vec<Event>, BookError> {
        if let Some(weight) = listed.weight
            && !WEIGHTS.contains(&weight)
        {
            return Err(RingError::Weight(name.to_owned(), weight).into());
        }
        if self.entries.len() >= MAX_NODES && !self.entries.contains_key(name) {
            return Err(BookError::Full);
        }
        let entry = self.entries.entry(name.into()).or_default();
        match &mut entry.listed {
            Some(before) if before.endpoint != listed.endpoint => {
                return Err(BookError::Taken(name.to_owned(), before.endpoint.clone()));
            }
            Some(before) => before.weight = listed.weight.or(before.weight),
            none => *none = Some(listed),
        }
        Ok(self.settle(now))
    }

    /// Takes a node off the list.
    ///
    /// # Errors
    /// It is not on it.
    pub fn unlist(&mut self, name: &str, now: u64) -> Result<Vec<Event>, BookError> {
        let entry = self.entries.get_mut(name).ok_or_else(|| BookError::Unknown(name.to_owned()))?;
        if entry.listed.take().is_none() {
            return Err(BookError::NotListed(name.to_owned()));
        }
        entry.misses = None;
        self.drained.remove(name);
        Ok(self.settle(now))
    }

    /// The nodes of the list, with their endpoints.
    pub fn listed(&self) -> Vec<(Arc<str>, Listed)> {
        self.entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.listed.clone()?))).collect()
    }

    /// Those of the list that have to be asked, as gossip does not tell of them: names and endpoints.
    pub fn to_ask(&self) -> Vec<(Arc<str>, String)> {
        let asked = |entry: &Entry| entry.member.is_none().then(|| entry.listed.clone()).flatten();
        self.entries.iter().filter_map(|(name, entry)| Some((name.clone(), asked(entry)?.endpoint))).collect()
    }

    /// Takes a node out of use, or into it again; what that changed. One that is drained elsewhere too stays out of use: see
    /// [`Self::drained_at`].
    ///
    /// # Errors
    /// There is none of that name.
    pub fn drain(&mut self, name: &str, on: bool, now: u64) -> Result<Vec<Event>, BookError> {
        if !self.entries.contains_key(name) {
            return Err(BookError::Unknown(name.to_owned()));
        }
        if on {
            self.drained.insert(name.into());
        } else {
            self.drained.remove(name);
        }
        Ok(self.settle(now))
    }

    /// Takes up what was drained before a restart, whether or not those are there yet.
    pub fn take_up_drained(&mut self, names: impl IntoIterator<Item = Arc<str>>, now: u64) {
        self.drained.extend(names);
        self.settle(now);
    }

    /// Those drained by this node's operator.
    pub fn drained(&self) -> impl Iterator<Item = &Arc<str>> {
        self.drained.iter()
    }

    /// Who answers where nobody says.
    pub fn balancer(&self) -> Balancer {
        self.balancer
    }

    /// Another one from now on.
    pub fn set_balancer(&mut self, balancer: Balancer) {
        self.balancer = balancer;
    }

    /// Gossip says who is there now, this node included.
    pub fn on_gossip(&mut self, members: Vec<Member>, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let mut by_name: BTreeMap<Arc<str>, Vec<Member>> = BTreeMap::new();
        for member in members {
            by_name.entry(member.name.clone()).or_default().push(member);
        }
        self.twice.retain(|name, _| by_name.contains_key(name));
        let mut there: BTreeMap<Arc<str>, Member> = BTreeMap::new();
        for (name, mut all) in by_name.into_iter().take(MAX_NODES) {
            // A restart: the same address with a later beginning.
            all.sort_by(|a, b| a.address.cmp(&b.address).then(b.generation.cmp(&a.generation)));
            all.dedup_by(|later, first| later.address == first.address);
            all.sort_by(|a, b| a.generation.cmp(&b.generation).then_with(|| a.address.cmp(&b.address)));
            let mut all = all.into_iter();
            let Some(first) = all.next() else { continue };
            match all.next() {
                Some(other) => {
                    let said = (first.endpoint.clone(), other.endpoint);
                    if self.twice.insert(name.clone(), said.clone()).as_ref() != Some(&said) {
                        events.push(Event::SameName(name.clone(), said.0, said.1));
                    }
                }
                None => drop(self.twice.remove(&name)),
            }
            there.insert(name, first);
        }
        for (name, entry) in &mut self.entries {
            if !there.contains_key(name) && entry.member.take().is_some() {
                // Listed or not: it is gone until it answers.
                (entry.misses, entry.kept) = (Some(MISSES), 0);
                entry.why = "gossip does not hear of it any more".to_owned();
            }
        }
        let mut reports = Vec::new();
        for (name, member) in there {
            let entry = self.entries.entry(name.clone()).or_default();
            let before = entry.member.as_ref().map(|before| (before.generation, before.report));
            if let Some(figures) = member.figures
                && before != Some((member.generation, member.report))
            {
                reports.push((name, figures));
            }
            if entry.member.as_ref().is_none_or(|before| !Arc::ptr_eq(&before.holds, &member.holds)) {
                entry.kept = member.holds.values().filter(|holding| is_kept(holding)).count();
            }
            entry.member = Some(member);
        }
        events.extend(self.settle(now));
        for (name, figures) in reports {
            self.report(&name, figures, now);
        }
        events
    }

    /// A node of the list was asked: how it is and what it calls itself, or why there was no answer.
    pub fn on_answer(&mut self, name: &str, answer: Result<(String, Figures), String>, now: u64) -> Vec<Event> {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.listed.is_some()) else { return Vec::new() };
        let figures = match answer {
            Ok((says, figures)) => {
                entry.misses = Some(0);
                entry.says = (says != name).then_some(says);
                Some(figures)
            }
            Err(why) => {
                entry.misses = Some(entry.misses.unwrap_or(0).saturating_add(1));
                entry.why = why;
                None
            }
        };
        let events = self.settle(now);
        if let Some(figures) = figures {
            self.report(name, figures, now);
        }
        events
    }

    fn report(&mut self, name: &str, figures: Figures, now: u64) {
        if let Some(health) = self.resource.health_mut(name) {
            health.on_report(figures, now);
        }
        self.hashed.on_report(name, figures);
    }

    /// The nodes that `key` belongs to. By the ring: those clockwise from it, drained ones only where there are not enough
    /// others. By how they are: drawn one after the other, as they would be chosen.
    ///
    /// # Errors
    /// There is no node.
    pub fn place(
        &self,
        key: &str,
        replicas: usize,
        balancer: Option<Balancer>,
        now: u64,
        chance: impl FnMut() -> u64,
    ) -> Result<Placement, BookError> {
        let balancer = balancer.unwrap_or(self.balancer);
        let entry = |name: &str| self.entries.get(name);
        let all: usize = self.entries.values().map(|entry| entry.kept).sum();
        let is_bound = all >= self.hashed.ring().len() * BOUND_FROM;
        // What holds the key already has no less room for it.
        let load = |name: &str| {
            let Some(entry) = entry(name).filter(|_| is_bound) else { return 0 };
            let has_it = entry.member.as_ref().and_then(|member| member.holds.get(key)).is_some_and(is_kept);
            (entry.kept - usize::from(has_it)) as u64
        };
        let pass = |name: &str| {
            let is_drained = self.resource.health(name).is_some_and(|health| health.drained);
            is_drained.then(|| "it is drained".to_owned())
        };
        let placement = self.hashed.place(key, replicas, 1, load, pass);
        let mut placement = placement.map_err(|_| self.nobody())?;
        if balancer == Balancer::ConsistentHash {
            return Ok(placement);
        }
        let nodes = self.resource.order(now, replicas.max(1), |name| self.is_there(name), chance);
        let first = nodes.first().ok_or(RingError::Empty)?;
        let score = self.resource.standing(first, now).unwrap_or_default().score.total;
        placement.why = format!("chosen by how the nodes are: {first} scores {score:.2}");
        (placement.nodes, placement.way, placement.balancer) = (nodes, Vec::new(), balancer);
        Ok(placement)
    }

    /// Where `name` is reached, if it is there.
    pub fn endpoint(&self, name: &str) -> Option<&str> {
        self.entries.get(name).filter(|entry| entry.available).map(Entry::endpoint)
    }

    /// The node that is reached there.
    pub fn named(&self, endpoint: &str) -> Option<Arc<str>> {
        let same = |entry: &Entry| entry.endpoint().trim_end_matches('/') == endpoint.trim_end_matches('/');
        self.entries.iter().find(|(_, entry)| same(entry)).map(|(name, _)| name.clone())
    }

    /// The nodes that say they hold a content, by name.
    pub fn holders(&self, content: &str) -> Vec<Arc<str>> {
        let holds = |entry: &Entry| {
            entry.available && entry.member.as_ref().is_some_and(|member| member.holds.contains_key(content))
        };
        self.entries.iter().filter(|(_, entry)| holds(entry)).map(|(name, _)| name.clone()).collect()
    }

    fn is_there(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.available)
    }
}

#[cfg(test)]
mod tests;
