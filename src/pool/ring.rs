//! The ring of consistent hashing: nodes at many points of a circle of 2³² places, a key belongs to the first point at or
//! after its own hash (Karger et al., 1997). Pure.
//!
//! Points and keys are hashed by XXH32 with seed 0; point *i* of a node is the hash of `"{node}:{i}"`, counted from 0. A weight
//! scales how many points a node has, so changing it adds or takes the last ones only. Where several points are equal the
//! node whose name sorts first has them, whatever order nodes came in.
//!
//! Points lie sorted in one vector, each with its node in one `u64`; a table over the top bits of the hash says where to begin,
//! so that a lookup takes about one step whatever the number of nodes. Adding merges, removing filters: no sorting anew.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use twox_hash::XxHash32;

/// Points of a node of weight 1.
pub const VIRTUAL_NODES: u32 = 150;
/// Weights allowed: a node with less than a hundredth would have one point anyway.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 0.01..=100.0;
/// Points of a ring at most: 32 MiB of them, enough for 4,096 nodes of weight 6.
const MAX_POINTS: usize = 1 << 22;

/// Why the ring cannot answer or change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RingError {
    /// There is no node.
    #[error("the ring is empty: add a node first")]
    Empty,
    /// The weight is no number, or too small or large.
    #[error("weight {1} of node {0}: give one from 0.01 to 100")]
    Weight(String, f64),
    /// More points than a ring has.
    #[error("too many points on the ring with node {0}: give it less weight")]
    Full(String),
}

/// The hash of keys and points.
pub fn hash(key: &[u8]) -> u32 {
    XxHash32::oneshot(0, key)
}

/// A node met on the way around the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The point of it that was met.
    pub point: u32,
    /// The node.
    pub node: Arc<str>,
}

#[derive(Debug, Clone)]
struct Node {
    name: Arc<str>,
    weight: f64,
}

/// The ring.
#[derive(Debug, Clone)]
pub struct Ring {
    virtual_nodes: u32,
    /// Hash above, slot of the node below; sorted by hash, then by the node's name.
    points: Vec<u64>,
    /// Nodes by slot; slots of removed nodes are used again.
    slots: Vec<Option<Node>>,
    names: BTreeMap<Arc<str>, u32>,
    /// For each value of a hash's top bits the first point that is not before it.
    starts: Vec<u32>,
    /// Bits of a hash below those.
    shift: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self::new(VIRTUAL_NODES)
    }
}

impl Ring {
    /// An empty ring whose nodes have so many points, at least one, if their weight is 1.
    pub fn new(virtual_nodes: u32) -> Self {
        let mut ring = Self {
            virtual_nodes: virtual_nodes.max(1),
            points: Vec::new(),
            slots: Vec::new(),
            names: BTreeMap::new(),
            starts: Vec::new(),
            shift: 31,
        };
        ring.index(1);
        ring
    }

    /// Nodes on it.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True without a node.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Nodes and weights, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&Arc<str>, f64)> {
        self.names
            .iter()
            .map(|(name, slot)| (name, self.slots[*slot as usize].as_ref().map_or(1.0, |node| node.weight)))
    }

    /// The weight of `node`; 1 if it is not on the ring.
    pub fn weight(&self, node: &str) -> f64 {
        self.known(node).unwrap_or(1.0)
    }

    /// True if `node` is on it.
    pub fn contains(&self, node: &str) -> bool {
        self.names.contains_key(node)
    }

    /// Adds a node, or gives it another weight.
    ///
    /// # Errors
    /// The weight is out of [`WEIGHTS`], or there are too many points; nothing has changed then.
    pub fn add_node(&mut self, node: &str, weight: f64) -> Result<(), RingError> {
        self.add_nodes([(node, weight)])
    }

    /// Adds nodes, or gives them other weights, in one go.
    ///
    /// # Errors
    /// As [`Ring::add_node`].
    pub fn add_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = (&'a str, f64)>) -> Result<(), RingError> {
        let wanted: BTreeMap<&str, f64> = nodes.into_iter().collect();
        let mut total = self.points.len();
        for (name, weight) in &wanted {
            if !WEIGHTS.contains(weight) {
                return Err(RingError::Weight((*name).to_owned(), *weight));
            }
            total += self.points_for(*weight) as usize;
            if total > MAX_POINTS {
                return Err(RingError::Full((*name).to_owned()));
            }
        }
        let changed: BTreeSet<&str> =
            wanted.keys().copied().filter(|name| self.known(name).is_some_and(|is| is != wanted[name])).collect();
        self.forget(&changed);
        let mut fresh = Vec::new();
        let mut text = String::new();
        for (name, weight) in wanted {
            if self.names.contains_key(name) {
                continue;
            }
            let slot = self.slot(Node { name: name.into(), weight });
            for number in 0..self.points_for(weight) {
                text.clear();
                let _ = write!(text, "{name}:{number}");
                fresh.push(u64::from(hash(text.as_bytes())) << 32 | u64::from(slot));
            }
        }
        fresh.sort_unstable_by(|a, b| self.order(*a, *b));
        self.merge(&fresh);
        Ok(())
    }

    /// Removes a node; false if it was not there.
    pub fn remove_node(&mut self, node: &str) -> bool {
        self.remove_nodes([node]) == 1
    }

    /// Removes nodes in one go; how many were there.
    pub fn remove_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a str>) -> usize {
        let gone: BTreeSet<&str> = nodes.into_iter().filter(|name| self.names.contains_key(*name)).collect();
        if !gone.is_empty() {
            self.forget(&gone);
        }
        gone.len()
    }

    /// The node that `key` belongs to.
    ///
    /// # Errors
    /// The ring is empty.
    pub fn get_node(&self, key: &[u8]) -> Result<&Arc<str>, RingError> {
        self.owner(hash(key)).ok_or(RingError::Empty)
    }

    /// The first `count` different nodes clockwise from `key`: all of them, where there are fewer.
    ///
    /// # Errors
    /// The ring is empty.
    pub fn get_nodes(&self, key: &[u8], count: usize) -> Result<Vec<Arc<str>>, RingError> {
        if self.is_empty() {
            return Err(RingError::Empty);
        }
        Ok(self.walk(hash(key)).take(count).map(|(_, node)| node.name.clone()).collect())
    }

    /// Whom a walk clockwise from `hash` meets, each node once, with the point where it was met. The first is the owner.
    pub fn clockwise(&self, hash: u32) -> impl Iterator<Item = Met> {
        self.walk(hash).map(|(point, node)| Met { point, node: node.name.clone() })
    }

    /// The share of the circle that each node owns, by name; together 1.
    pub fn shares(&self) -> BTreeMap<Arc<str>, f64> {
        let mut arcs: Vec<u64> = vec![0; self.slots.len()];
        let mut before = self.points.last().map_or(0, |point| high(*point));
        for point in &self.points {
            arcs[low(*point)] += u64::from(high(*point).wrapping_sub(before));
            before = high(*point);
        }
        if let Some(first) = self.points.first()
            && arcs.iter().all(|arc| *arc == 0)
        {
            // One place only: it has all.
            arcs[low(*first)] = 1 << 32;
        }
        self.names.iter().map(|(name, slot)| (name.clone(), arcs[*slot as usize] as f64 / 2f64.powi(32))).collect()
    }

    /// The share of the circle that belongs to other nodes in `other`; to none counts as another.
    pub fn differs(&self, other: &Self) -> f64 {
        let mut edges: Vec<u32> = self.points.iter().chain(&other.points).map(|point| high(*point)).collect();
        edges.sort_unstable();
        edges.dedup();
        let Some(last) = edges.last() else { return 0.0 };
        // Between two edges next to one another everything belongs to the same node in either ring: that of the upper one.
        let mut before = *last;
        let mut differing = 0;
        for edge in &edges {
            if self.owner(*edge) != other.owner(*edge) {
                let arc = edge.wrapping_sub(before);
                differing += if edges.len() == 1 { 1 << 32 } else { u64::from(arc) };
            }
            before = *edge;
        }
        differing as f64 / 2f64.powi(32)
    }

    fn known(&self, node: &str) -> Option<f64> {
        let slot = *self.names.get(node)?;
        self.slots[slot as usize].as_ref().map(|node| node.weight)
    }

    fn owner(&self, hash: u32) -> Option<&Arc<str>> {
        let point = *self.points.get(self.position(hash))?;
        self.slots[low(point)].as_ref().map(|node| &node.name)
    }

    /// The first point at or after `hash`, around the end.
    fn position(&self, hash: u32) -> usize {
        let mut at = self.starts[(hash >> self.shift) as usize] as usize;
        // A step or two are the rule, and which is anybody's guess: taken without a branch.
        for _ in 0..2 {
            at += usize::from(self.points.get(at).is_some_and(|point| high(*point) < hash));
        }
        while let Some(point) = self.points.get(at) {
            if high(*point) >= hash {
                return at;
            }
            at += 1;
        }
        0
    }

    fn walk(&self, hash: u32) -> impl Iterator<Item = (u32, &Node)> {
        let (before, from) = self.points.split_at(if self.is_empty() { 0 } else { self.position(hash) });
        let mut seen = vec![false; self.slots.len()];
        from.iter()
            .chain(before)
            .filter_map(move |point| {
                let is_new = !std::mem::replace(&mut seen[low(*point)], true);
                if is_new { Some((high(*point), self.slots[low(*point)].as_ref()?)) } else { None }
            })
            // Without this the last one would be followed by a look at every point that is left.
            .take(self.len())
    }

    fn points_for(&self, weight: f64) -> u32 {
        ((f64::from(self.virtual_nodes) * weight).round() as u32).max(1)
    }

    fn slot(&mut self, node: Node) -> u32 {
        let name = node.name.clone();
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(free) if self.names.len() < self.slots.len() => {
                self.slots[free] = Some(node);
                free as u32
            }
            _ => {
                self.slots.push(Some(node));
                self.slots.len() as u32 - 1
            }
        };
        self.names.insert(name, slot);
        slot
    }

    fn order(&self, a: u64, b: u64) -> Ordering {
        high(a).cmp(&high(b)).then_with(|| self.name(a).cmp(self.name(b)))
    }

    fn name(&self, point: u64) -> &str {
        self.slots[low(point)].as_ref().map_or("", |node| &node.name)
    }

    /// Puts sorted points in, from the back: what lies between two of them moves in one block.
    fn merge(&mut self, fresh: &[u64]) {
        let mut end = self.points.len();
        let mut points = std::mem::take(&mut self.points);
        points.resize(end + fresh.len(), 0);
        for (before, point) in fresh.iter().enumerate().rev() {
            let at = points[..end].partition_point(|old| self.order(*old, *point) == Ordering::Less);
            points.copy_within(at..end, at + before + 1);
            points[at + before] = *point;
            end = at;
        }
        self.points = points;
        self.shift_starts(fresh, u32::wrapping_add);
    }

    /// Takes nodes off.
    fn forget(&mut self, names: &BTreeSet<&str>) {
        if names.is_empty() {
            return;
        }
        let mut is_gone = vec![false; self.slots.len()];
        for name in names {
            if let Some(slot) = self.names.remove(*name) {
                is_gone[slot as usize] = true;
                self.slots[slot as usize] = None;
            }
        }
        let mut gone = Vec::new();
        self.points.retain(|point| {
            let is_gone = is_gone[low(*point)];
            if is_gone {
                gone.push(*point);
            }
            !is_gone
        });
        self.shift_starts(&gone, u32::wrapping_sub);
    }

    /// Sorted `points` came or went: the table's entries behind each move by one. Made anew where its size does not fit.
    fn shift_starts(&mut self, points: &[u64], step: fn(u32, u32) -> u32) {
        let bits = self.points.len().next_power_of_two().trailing_zeros().clamp(1, 24);
        if self.starts.len() != 1 << bits || points.len() > self.points.len() / 4 {
            return self.index(bits);
        }
        let mut from = self.starts.len();
        for (before, point) in points.iter().enumerate().rev() {
            let bucket = (high(*point) >> self.shift) as usize;
            // All entries beyond its bucket, up to those that the next point has moved already, have this many before them.
            let by = before as u32 + 1;
            self.starts[bucket + 1..from].iter_mut().for_each(|start| *start = step(*start, by));
            from = bucket + 1;
        }
    }

    /// Makes the table anew: one or two entries for each point.
    fn index(&mut self, bits: u32) {
        self.shift = 32 - bits;
        self.starts.clear();
        self.starts.resize(1 << bits, self.points.len() as u32);
        let mut from = 0;
        for (place, point) in self.points.iter().enumerate() {
            let bucket = (high(*point) >> self.shift) as usize;
            if bucket >= from {
                self.starts[from..=bucket].fill(place as u32);
                from = bucket + 1;
            }
        }
    }
}

fn high(point: u64) -> u32 {
    (point >> 32) as u32
}

fn low(point: u64) -> usize {
    (point & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests;
