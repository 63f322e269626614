//! The balancer that places by key: a ring that follows the nodes which are there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bounded::{self, FACTOR};
use super::ring::{Ring, RingError, VIRTUAL_NODES, hash};
use crate::control::pool::{Balancer, Figures, Placement, Step};

/// Nodes that an explanation goes on to after those a key belongs to.
const NEXT: usize = 3;

/// The balancer.
#[derive(Debug, Clone)]
pub struct ConsistentHash {
    ring: Ring,
    /// Times the fair load that a node takes at most; none: whatever comes.
    factor: Option<f64>,
    /// How nodes are: kept for who asks, it changes no placement.
    reports: BTreeMap<Arc<str>, Figures>,
    /// The first one that is available: who answers should the ring have no answer.
    first: Option<Arc<str>>,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self::new(VIRTUAL_NODES, Some(FACTOR))
    }
}

impl ConsistentHash {
    /// Without nodes; so many points for a node of weight 1, and the bound on loads, if any.
    pub fn new(virtual_nodes: u32, factor: Option<f64>) -> Self {
        Self { ring: Ring::new(virtual_nodes), factor, reports: BTreeMap::new(), first: None }
    }

    /// The ring as it is.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Makes the ring that of these nodes and weights: adds, removes, weighs anew. True if that changed anything.
    ///
    /// # Errors
    /// A weight is none; nodes that are gone are off the ring all the same.
    pub fn follow(&mut self, available: &[(Arc<str>, f64)]) -> Result<bool, RingError> {
        self.first = available.first().map(|(name, _)| name.clone());
        let there: BTreeMap<&str, f64> = available.iter().map(|(name, weight)| (&**name, *weight)).collect();
        if self.ring.len() == there.len() && self.ring.nodes().all(|(name, weight)| there.get(&**name) == Some(&weight))
        {
            return Ok(false);
        }
        let gone: Vec<Arc<str>> =
            self.ring.nodes().map(|(name, _)| name).filter(|name| !there.contains_key(&***name)).cloned().collect();
        self.ring.remove_nodes(gone.iter().map(|name| &**name));
        self.reports.retain(|name, _| there.contains_key(&**name));
        self.ring.add_nodes(there)?;
        Ok(true)
    }

    /// A node said how it is.
    pub fn on_report(&mut self, node: &str, figures: Figures) {
        if self.ring.contains(node) {
            self.reports.insert(node.into(), figures);
        }
    }

    /// What a node said of itself last.
    pub fn report(&self, node: &str) -> Option<&Figures> {
        self.reports.get(node)
    }

    /// Where `key` with `replicas` copies belongs, and the way around the ring that leads there. `amount` is what one copy
    /// loads a node with and `load` what each has: with a bound on loads no copy goes to a node without room for it, and none
    /// to one for which `pass` has a reason. Where there are not enough others, those without room serve all the same, who has
    /// least for its weight first, and last those with a reason.
    ///
    /// Should the ring have no answer though somebody is available, it is the first of them.
    ///
    /// # Errors
    /// There is no node.
    pub fn place(
        &self,
        key: &str,
        replicas: usize,
        amount: u64,
        load: impl Fn(&str) -> u64,
        pass: impl Fn(&str) -> Option<String>,
    ) -> Result<Placement, RingError> {
        let (at, replicas) = (hash(key.as_bytes()), replicas.max(1));
        let full = self.factor.map_or_else(BTreeMap::new, |factor| {
            bounded::full(&self.ring, amount, replicas, factor, |node| pass(node).is_none(), load)
        });
        let reason = |node: &str| match pass(node) {
            None if full.contains_key(node) => Some("it has more than its share".to_owned()),
            why => why,
        };
        let spare = self.ring.nodes().filter(|(node, _)| reason(node).is_none()).count();
        let helpers =
            if spare < replicas { self.helpers(at, replicas - spare, &full, reason) } else { BTreeSet::new() };
        let mut nodes: Vec<Arc<str>> = Vec::new();
        let mut way = Vec::new();
        let mut beyond = 0;
        for met in self.ring.clockwise(at) {
            let passed = reason(&met.node).filter(|_| !helpers.contains(&met.node));
            if passed.is_none() && nodes.len() < replicas {
                nodes.push(met.node.clone());
            } else if passed.is_none() {
                beyond += 1;
            }
            way.push(Step { point: met.point, node: met.node, passed });
            if beyond == NEXT {
                break;
            }
        }
        let why = match way.iter().find(|step| nodes.first() == Some(&step.node)) {
            Some(step) => format!("hash {at:08x}, next point {:08x} is of {}", step.point, step.node),
            None => {
                let first = self.first.clone().ok_or(RingError::Empty)?;
                let why = format!("the ring has no answer: {first} is the first node that is there");
                nodes.push(first);
                why
            }
        };
        Ok(Placement { key: key.to_owned(), hash: at, nodes, way, balancer: Balancer::ConsistentHash, why })
    }

    /// So many of those who are passed by, the least bad ones.
    fn helpers(
        &self,
        at: u32,
        count: usize,
        full: &BTreeMap<Arc<str>, f64>,
        reason: impl Fn(&str) -> Option<String>,
    ) -> BTreeSet<Arc<str>> {
        let passed = self.ring.clockwise(at).map(|met| met.node).filter(|node| reason(node).is_some());
        let mut passed: Vec<Arc<str>> = passed.collect();
        // Those of equal merit stay in the order of the way.
        let merit = |node: &Arc<str>| full.get(node).copied().unwrap_or(f64::INFINITY);
        passed.sort_by(|a, b| merit(a).total_cmp(&merit(b)));
        passed.into_iter().take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<(Arc<str>, f64)> {
        names.iter().map(|name| ((*name).into(), 1.0)).collect()
    }

    fn owner(hashed: &ConsistentHash) -> Arc<str> {
        hashed.place("key", 1, 1, |_| 0, |_| None).unwrap().nodes[0].clone()
    }

    #[test]
    fn it_follows_the_nodes_that_are_there() {
        let mut hashed = ConsistentHash::default();
        let all = nodes(&["a", "b", "c"]);
        assert!(hashed.follow(&all).unwrap());
        let before = owner(&hashed);
        assert!(!hashed.follow(&all).unwrap(), "nothing new");
        let rest: Vec<_> = all.iter().filter(|(name, _)| *name != before).cloned().collect();
        hashed.follow(&rest).unwrap();
        assert_ne!(owner(&hashed), before);
        assert_eq!(hashed.ring().len(), 2);
        hashed.follow(&all).unwrap();
        assert_eq!(owner(&hashed), before, "it is back, and has its keys again");
    }

    #[test]
    fn without_an_answer_it_is_the_first_available() {
        let mut hashed = ConsistentHash::default();
        assert!(hashed.follow(&[("z".into(), f64::NAN), ("a".into(), 1.0)]).is_err());
        let placement = hashed.place("key", 2, 1, |_| 0, |_| None).unwrap();
        assert_eq!((&placement.nodes[..], placement.way.len()), (&["z".into()][..], 0));
        assert_eq!(placement.why, "the ring has no answer: z is the first node that is there");
        hashed.follow(&[]).unwrap();
        assert_eq!(hashed.place("key", 2, 1, |_| 0, |_| None), Err(RingError::Empty));
    }

    #[test]
    fn reports_are_kept_as_long_as_their_nodes() {
        let mut hashed = ConsistentHash::default();
        hashed.follow(&nodes(&["a", "b"])).unwrap();
        let figures = Figures { cpu_percent: 7.0, ..Figures::default() };
        hashed.on_report("a", figures);
        hashed.on_report("stranger", figures);
        assert_eq!(hashed.report("a"), Some(&figures));
        assert_eq!(hashed.report("stranger"), None);
        hashed.follow(&nodes(&["b"])).unwrap();
        assert_eq!(hashed.report("a"), None);
    }

    #[test]
    fn a_placement_explains_itself() {
        let mut hashed = ConsistentHash::default();
        hashed.follow(&nodes(&["alder", "birch", "cedar", "fir", "oak"])).unwrap();
        let placement = hashed.place("content", 2, 1, |_| 0, |_| None).unwrap();
        assert_eq!(placement.hash, 0xA180_6A89);
        assert_eq!(placement.nodes, ["oak".into(), "fir".into()] as [Arc<str>; 2]);
        assert_eq!(placement.why, "hash a1806a89, next point a2307a48 is of oak");
        assert_eq!(placement.way.len(), 5, "two, and three next ones");
        assert!(placement.way.iter().all(|step| step.passed.is_none()));
        let many = hashed.place("content", 9, 1, |_| 0, |_| None).unwrap();
        assert_eq!(many.nodes.len(), 5, "as many as there are");
    }

    #[test]
    fn full_nodes_are_passed_by_and_that_is_said() {
        let mut hashed = ConsistentHash::default();
        hashed.follow(&nodes(&["alder", "birch", "cedar", "fir", "oak"])).unwrap();
        let load = |node: &str| if node == "oak" { 1_000 } else { 0 };
        let placement = hashed.place("content", 1, 1, load, |_| None).unwrap();
        assert_eq!(&*placement.nodes[0], "fir");
        assert_eq!(placement.way[0].passed.as_deref(), Some("it has more than its share"));
        let unbounded = ConsistentHash { factor: None, ..hashed.clone() };
        assert_eq!(&*unbounded.place("content", 1, 1, load, |_| None).unwrap().nodes[0], "oak");
        let all = hashed.place("content", 5, 1, load, |_| None).unwrap();
        assert_eq!(all.nodes.len(), 5, "every node is needed");
        // Not only the first copy: whoever else is full is passed by, whether or not somebody drained lies between.
        let drained = |node: &str| (node == "fir").then(|| "it is drained".to_owned());
        let load = |node: &str| if ["oak", "cedar"].contains(&node) { 1_000 } else { 10 };
        let two = hashed.place("content", 2, 1, load, drained).unwrap();
        let names = |placement: &Placement| placement.nodes.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(&two), ["alder", "birch"].map(str::to_owned).into());
        // Where they are needed: who has least of those that are full, and only then who is drained.
        let load = |node: &str| if node == "cedar" { 900 } else { load(node) };
        let three = hashed.place("content", 3, 1, load, drained).unwrap();
        assert_eq!(names(&three), ["alder", "birch", "cedar"].map(str::to_owned).into());
        assert!(names(&hashed.place("content", 4, 1, load, drained).unwrap()).contains("oak"));
        assert_eq!(ConsistentHash::default().place("x", 1, 1, |_| 0, |_| None), Err(RingError::Empty));
    }
}
