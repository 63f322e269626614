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
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self::new(VIRTUAL_NODES, Some(FACTOR))
    }
}

impl ConsistentHash {
    /// Without nodes; so many points for a node of weight 1, and the bound on loads, if any.
    pub fn new(virtual_nodes: u32, factor: Option<f64>) -> Self {
        Self { ring: Ring::new(virtual_nodes), factor, reports: BTreeMap::new() }
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

    /// The node that `key` belongs to among those available, whom the ring follows first; the first of them, should the ring
    /// have no answer.
    ///
    /// # Errors
    /// There is none available.
    pub fn choose(&mut self, key: &[u8], available: &[(Arc<str>, f64)]) -> Result<Arc<str>, RingError> {
        let (first, _) = available.first().ok_or(RingError::Empty)?;
        let followed = self.follow(available);
        let node = self.ring.get_node(key).ok().filter(|_| followed.is_ok());
        Ok(node.unwrap_or(first).clone())
    }

    /// Where `key` with `replicas` copies belongs, and the way around the ring that leads there. `amount` is what one copy
    /// loads a node with and `load` what each has: with a bound on loads full nodes are passed by; so are those for which `pass`
    /// has a reason. Either serves all the same where there are not enough others.
    ///
    /// # Errors
    /// The ring is empty.
    pub fn place(
        &self,
        key: &str,
        replicas: usize,
        amount: u64,
        load: impl Fn(&str) -> u64,
        pass: impl Fn(&str) -> Option<String>,
    ) -> Result<Placement, RingError> {
        let at = hash(key.as_bytes());
        let placed = match self.factor {
            Some(factor) => Some(bounded::place(&self.ring, key.as_bytes(), amount, factor, load)?),
            None => None,
        };
        let full: BTreeSet<Arc<str>> = placed.map(|placed| placed.full).unwrap_or_default().into_iter().collect();
        let replicas = replicas.max(1);
        let reason = |node: &str| match full.contains(node) {
            true => Some("it has more than its share".to_owned()),
            false => pass(node),
        };
        let spare = self.ring.nodes().filter(|(node, _)| reason(node).is_none()).count();
        let mut helpers = replicas.saturating_sub(spare);
        let mut nodes: Vec<Arc<str>> = Vec::new();
        let mut way = Vec::new();
        let mut beyond = 0;
        for met in self.ring.clockwise(at) {
            let mut passed = reason(&met.node);
            if passed.is_some() && helpers > 0 {
                helpers -= 1;
                passed = None;
            }
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
        let first = nodes.first().ok_or(RingError::Empty)?;
        let why = match way.iter().find(|step| step.node == *first) {
            Some(step) => format!("hash {at:08x}, next point {:08x} is of {first}", step.point),
            None => String::new(),
        };
        Ok(Placement { key: key.to_owned(), hash: at, nodes, way, balancer: Balancer::ConsistentHash, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<(Arc<str>, f64)> {
        names.iter().map(|name| ((*name).into(), 1.0)).collect()
    }

    #[test]
    fn it_follows_the_nodes_that_are_there() {
        let mut hashed = ConsistentHash::default();
        let all = nodes(&["a", "b", "c"]);
        let owner = hashed.choose(b"key", &all).unwrap();
        assert!(!hashed.follow(&all).unwrap(), "nothing new");
        let rest: Vec<_> = all.iter().filter(|(name, _)| *name != owner).cloned().collect();
        let other = hashed.choose(b"key", &rest).unwrap();
        assert_ne!(other, owner);
        assert_eq!(hashed.ring().len(), 2);
        assert_eq!(hashed.choose(b"key", &all).unwrap(), owner, "it is back, and has its keys again");
        assert_eq!(hashed.choose(b"key", &[]), Err(RingError::Empty));
    }

    #[test]
    fn without_an_answer_it_is_the_first_available() {
        let mut hashed = ConsistentHash::default();
        let odd = [("z".into(), f64::NAN), ("a".into(), 1.0)];
        assert_eq!(&*hashed.choose(b"key", &odd).unwrap(), "z");
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
        assert_eq!(ConsistentHash::default().place("x", 1, 1, |_| 0, |_| None), Err(RingError::Empty));
    }
}
