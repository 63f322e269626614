//! The resource-aware balancer: chooses among nodes by chance, the better a node is the more often. Pure: time and chance come
//! in; the driver's chance is the system's cryptographic generator, so that nobody outside can tell who is next.
//!
//! A node's score is 0.3 · idle CPU + 0.3 · free memory + 0.2 · connections left + 0.2 · latency left of a second. One without
//! a report of late has the neutral score. One that is over a limit is excluded, and so is one that fails for those who use
//! it: a failure counts as ten seconds of latency, whatever the node says of itself. Where all are excluded, all that are
//! not drained are candidates again; where all are drained, all are. It never fails while there are nodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::health::Health;
pub use crate::control::pool::Limits;
use crate::control::pool::{Figures, SLOW_MS, Score};

/// The score of a node without a report of late.
pub const NEUTRAL: f64 = 0.5;
/// Choices that are remembered, for the share of each node.
const REMEMBERED: usize = 1_000;

/// There is no node to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no node to choose from")]
pub struct NoNodes;

/// How a node stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// Its score. Without terms while it is stale.
    pub score: Score,
    /// Why it is excluded, in words.
    pub excluded: Option<String>,
    /// No report, or an old one.
    pub stale: bool,
    /// The operator takes it out of use.
    pub drained: bool,
    /// The part of its score that counts while it is new.
    pub slow_start: f64,
    /// The latency that counts, ms.
    pub latency_ms: f64,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    health: Health,
}

/// The balancer.
#[derive(Debug, Default)]
pub struct ResourceAware {
    limits: Limits,
    /// By name.
    nodes: Vec<Entry>,
    recent: VecDeque<Arc<str>>,
}

/// Over which limit a node is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Over {
    Cpu(f64),
    Memory(f64),
    Connections(u64),
    Latency(f64),
}

impl ResourceAware {
    /// Without nodes.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What scores are made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The health of a node, to tell it what happened.
    pub fn health_mut(&mut self, node: &str) -> Option<&mut Health> {
        let at = self.find(node).ok()?;
        Some(&mut self.nodes[at].health)
    }

    /// The health of a node.
    pub fn health(&self, node: &str) -> Option<&Health> {
        Some(&self.nodes[self.find(node).ok()?].health)
    }

    /// A node came; one that is known already stays as it is.
    pub fn add(&mut self, node: &str, health: Health) {
        if let Err(at) = self.find(node) {
            self.nodes.insert(at, Entry { name: node.into(), health });
        }
    }

    /// A node is no more.
    pub fn remove(&mut self, node: &str) {
        if let Ok(at) = self.find(node) {
            self.nodes.remove(at);
        }
    }

    /// Only these nodes are left.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.nodes.retain(|entry| is_kept(&entry.name));
    }

    /// How a node stands.
    pub fn standing(&self, node: &str, now: u64) -> Option<Standing> {
        let health = self.health(node)?;
        let figures = health.fresh(now, self.limits.stale_ms);
        Some(Standing {
            score: self.score(health, now),
            excluded: self.over(health, now).map(|over| self.words(over, health)),
            stale: figures.is_none(),
            drained: health.drained,
            slow_start: health.slow_start(now, self.limits.slow_start_ms),
            latency_ms: latency(figures, health, now),
        })
    }

    /// Over which limit a node is, in words.
    pub fn excluded(&self, node: &str, now: u64) -> Option<String> {
        let health = self.health(node)?;
        self.over(health, now).map(|over| self.words(over, health))
    }

    /// Chooses among the nodes for which `is_candidate` holds, and remembers that; `chance` gives 64 random bits.
    ///
    /// # Errors
    /// There is none.
    pub fn choose(
        &mut self,
        now: u64,
        is_candidate: impl Fn(&str) -> bool,
        chance: impl FnMut() -> u64,
    ) -> Result<Arc<str>, NoNodes> {
        let name = self.draw(now, is_candidate, chance)?;
        self.chose(&name);
        Ok(name)
    }

    /// A node was chosen, by whichever balancer, and really used.
    pub fn chose(&mut self, node: &str) {
        let Ok(at) = self.find(node) else { return };
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(self.nodes[at].name.clone());
    }

    /// At most `count` of the nodes for which `is_candidate` holds, in the order in which they would be drawn one after the
    /// other: first all that are neither excluded nor drained, then the excluded, last the drained. A question is no choice.
    ///
    /// Done at once: of random numbers u and weights w, the largest u^(1/w) first is a weighted draw without putting back
    /// (Efraimidis, Spirakis, 2006).
    pub fn order(
        &self,
        now: u64,
        count: usize,
        is_candidate: impl Fn(&str) -> bool,
        mut chance: impl FnMut() -> u64,
    ) -> Vec<Arc<str>> {
        // Tier, whether nothing speaks for it, how long chance has it wait.
        type Place<'a> = (u8, bool, f64, &'a Arc<str>);
        let candidates = self.nodes.iter().filter(|entry| is_candidate(&entry.name));
        let mut all: Vec<Place<'_>> = candidates
            .map(|entry| {
                let (tier, weight) = (self.tier(&entry.health, now), self.weight(&entry.health, now));
                // In (0, 1]: its logarithm is a number.
                let waits = -(((chance() >> 11) + 1) as f64 / 2f64.powi(53)).ln();
                let is_none = weight <= 0.0;
                (tier, is_none, if is_none { waits } else { waits / weight }, &entry.name)
            })
            .collect();
        let before = |a: &Place<'_>, b: &Place<'_>| {
            (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then_with(|| a.3.cmp(b.3))
        };
        if count < all.len() {
            all.select_nth_unstable_by(count, before);
            all.truncate(count);
        }
        all.sort_unstable_by(before);
        all.into_iter().map(|(.., name)| name.clone()).collect()
    }

    /// The same for who only asks: a question is no choice.
    ///
    /// # Errors
    /// There is none.
    pub fn draw(
        &self,
        now: u64,
        is_candidate: impl Fn(&str) -> bool,
        mut chance: impl FnMut() -> u64,
    ) -> Result<Arc<str>, NoNodes> {
        let weights = self.weights(now, is_candidate);
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        // 53 bits are what a number in [0, 1) has.
        let mut left = (chance() >> 11) as f64 / 2f64.powi(53) * total;
        let mut chosen = None;
        for (at, weight) in weights {
            if weight > 0.0 {
                chosen = Some(at);
                left -= weight;
                if left < 0.0 {
                    break;
                }
            }
        }
        Ok(self.nodes[chosen.ok_or(NoNodes)?].name.clone())
    }

    /// The chance of each node for which `is_candidate` holds, by name; together 1.
    pub fn chances(&self, now: u64, is_candidate: impl Fn(&str) -> bool) -> Vec<(Arc<str>, f64)> {
        let weights = self.weights(now, is_candidate);
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        weights.into_iter().map(|(at, weight)| (self.nodes[at].name.clone(), weight / total)).collect()
    }

    /// The share of recent choices that each node had; those without one are left out.
    pub fn shares_chosen(&self) -> BTreeMap<Arc<str>, f64> {
        let mut shares = BTreeMap::new();
        for name in &self.recent {
            *shares.entry(name.clone()).or_default() += 1.0 / self.recent.len() as f64;
        }
        shares
    }

    /// Who may be chosen, with a weight; not all weights are 0.
    fn weights(&self, now: u64, is_candidate: impl Fn(&str) -> bool) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> = Vec::with_capacity(self.nodes.len());
        let mut best = u8::MAX;
        for (at, entry) in self.nodes.iter().enumerate().filter(|(_, entry)| is_candidate(&entry.name)) {
            let tier = self.tier(&entry.health, now);
            if tier > best {
                continue;
            }
            if tier < best {
                best = tier;
                all.clear();
            }
            all.push((at, self.weight(&entry.health, now)));
        }
        if all.iter().all(|(_, weight)| *weight <= 0.0) {
            all.iter_mut().for_each(|(_, weight)| *weight = 1.0);
        }
        all
    }

    /// Who comes first: neither excluded nor drained; excluded; drained.
    fn tier(&self, health: &Health, now: u64) -> u8 {
        match (health.drained, self.over(health, now)) {
            (true, _) => 2,
            (false, Some(_)) => 1,
            (false, None) => 0,
        }
    }

    fn weight(&self, health: &Health, now: u64) -> f64 {
        self.score(health, now).total * health.slow_start(now, self.limits.slow_start_ms)
    }

    fn score(&self, health: &Health, now: u64) -> Score {
        let Some(figures) = health.fresh(now, self.limits.stale_ms) else {
            return Score { total: NEUTRAL, ..Score::default() };
        };
        let [cpu, memory, connections, latency_weight] = self.limits.weights;
        let busy = figures.active_connections as f64 / self.limits.connections.max(1) as f64;
        let mut score = Score {
            cpu: cpu * (100.0 - figures.cpu_percent) / 100.0,
            memory: memory * (100.0 - figures.memory_percent) / 100.0,
            connections: connections * (1.0 - busy).max(0.0),
            latency: latency_weight * (1.0 - latency(Some(figures), health, now) / SLOW_MS).max(0.0),
            total: 0.0,
        };
        score.total = score.cpu + score.memory + score.connections + score.latency;
        score
    }

    fn over(&self, health: &Health, now: u64) -> Option<Over> {
        if health.exceeds(self.limits.latency_ms, now) {
            return Some(Over::Latency(health.observed(now)));
        }
        let figures = health.fresh(now, self.limits.stale_ms)?;
        if figures.cpu_percent > self.limits.cpu_percent {
            Some(Over::Cpu(figures.cpu_percent))
        } else if figures.memory_percent > self.limits.memory_percent {
            Some(Over::Memory(figures.memory_percent))
        } else if figures.active_connections > self.limits.connections {
            Some(Over::Connections(figures.active_connections))
        } else {
            None
        }
    }

    fn words(&self, over: Over, health: &Health) -> String {
        let limits = &self.limits;
        match over {
            Over::Cpu(is) => format!("CPU at {is:.0} %, above {:.0} %", limits.cpu_percent),
            Over::Memory(is) => format!("memory at {is:.0} %, above {:.0} %", limits.memory_percent),
            Over::Connections(is) => format!("{is} connections, above {}", limits.connections),
            Over::Latency(is) => {
                let failures = match health.failures() {
                    0 => String::new(),
                    1 => ", 1 failure in it".to_owned(),
                    count => format!(", {count} failures in a row in it"),
                };
                format!("answers in {is:.0} ms of late, above {:.0} ms{failures}", limits.latency_ms)
            }
        }
    }

    fn find(&self, node: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|entry| (*entry.name).cmp(node))
    }
}

/// What counts: the node's word, or what was found if that is worse.
fn latency(figures: Option<&Figures>, health: &Health, now: u64) -> f64 {
    let told = figures.map_or(0.0, |figures| figures.average_latency_ms);
    health.observed_above(told, now)
}

#[cfg(test)]
mod tests;
