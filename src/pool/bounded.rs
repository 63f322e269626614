//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016): a key goes to the first node clockwise that
//! has room for it, where room is a factor times what would be fair. Pure.

use std::sync::Arc;

use super::ring::{Ring, RingError, hash};

/// No node has more than so many times its fair share.
pub const FACTOR: f64 = 1.25;

/// Where a key goes, and which nodes were passed by since they are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded {
    /// The node that has room.
    pub node: Arc<str>,
    /// Those before it on the way around.
    pub full: Vec<Arc<str>>,
}

/// Places `key`, of so much load (1 for a count of keys, or its bytes), where `load` says what a node has already.
///
/// A node's fair share is by its weight. It has room while its load with the key is at most `factor` times the share of all
/// load with the key, rounded down where that leaves room for everything, else up: with few keys a node may always have one.
///
/// # Errors
/// The ring is empty.
pub fn place(
    ring: &Ring,
    key: &[u8],
    amount: u64,
    factor: f64,
    load: impl Fn(&str) -> u64,
) -> Result<Bounded, RingError> {
    let (mut total, mut weights) = (amount as f64, 0.0);
    for (node, weight) in ring.nodes() {
        total += load(node) as f64;
        weights += weight;
    }
    let limit = |weight: f64| factor.max(1.0) * total * weight / weights;
    let floors: f64 = ring.nodes().map(|(_, weight)| limit(weight).floor()).sum();
    let has_room = |node: &str, weight: f64| {
        let limit = if floors >= total { limit(weight).floor() } else { limit(weight).ceil() };
        load(node) as f64 + amount as f64 <= limit
    };
    let mut full = Vec::new();
    for met in ring.clockwise(hash(key)) {
        if has_room(&met.node, ring.weight(&met.node)) {
            return Ok(Bounded { node: met.node, full });
        }
        full.push(met.node);
    }
    // One key larger than any fair share fits nowhere: it goes where there is least, the first on the way among equals.
    let relative = |node: &Arc<str>| load(node) as f64 / ring.weight(node);
    let node = full.iter().min_by(|a, b| relative(a).total_cmp(&relative(b))).cloned().ok_or(RingError::Empty)?;
    full.retain(|other| *other != node);
    Ok(Bounded { node, full })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn spread(virtual_nodes: u32, weights: &[f64], keys: u64, factor: f64) -> BTreeMap<Arc<str>, u64> {
        let mut ring = Ring::new(virtual_nodes);
        for (number, weight) in weights.iter().enumerate() {
            ring.add_node(&format!("n{number}"), *weight).unwrap();
        }
        let mut loads: BTreeMap<Arc<str>, u64> = ring.nodes().map(|(name, _)| (name.clone(), 0)).collect();
        for key in 0..keys {
            let placed = place(&ring, format!("key/{key}").as_bytes(), 1, factor, |node| loads[node]).unwrap();
            assert!(placed.full.iter().all(|node| *node != placed.node));
            *loads.get_mut(&placed.node).unwrap() += 1;
        }
        loads
    }

    #[test]
    fn the_hottest_node_has_a_quarter_more_than_the_mean_at_most() {
        // With so few points the ring itself is uneven enough to need the bound.
        let free = spread(10, &[1.0; 10], 10_000, f64::INFINITY);
        assert!(free.values().any(|load| *load > 1_350), "without the bound some node is hotter: {free:?}");
        for points in [10, 150] {
            let loads = spread(points, &[1.0; 10], 10_000, FACTOR);
            assert!(loads.values().all(|load| *load <= 1_250), "{loads:?}");
            assert_eq!(loads.values().sum::<u64>(), 10_000);
        }
    }

    #[test]
    fn with_room_everywhere_it_is_the_ring() {
        let mut ring = Ring::default();
        ring.add_nodes([("a", 1.0), ("b", 1.0), ("c", 1.0)]).unwrap();
        for key in 0..200 {
            let key = format!("{key}");
            let placed = place(&ring, key.as_bytes(), 1, FACTOR, |_| 1_000).unwrap();
            assert_eq!(&placed.node, ring.get_node(key.as_bytes()).unwrap());
            assert!(placed.full.is_empty());
        }
        // Larger than any share: where there is least.
        let placed = place(&ring, b"huge", 1 << 40, FACTOR, |node| if node == "b" { 0 } else { 9 }).unwrap();
        assert_eq!(&*placed.node, "b");
        assert_eq!(place(&Ring::default(), b"key", 1, FACTOR, |_| 0), Err(RingError::Empty));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_node_is_above_its_bound(
            weights in proptest::collection::vec(0.5f64..3.0, 1..8), keys in 1u64..600, factor in 1.05f64..2.0,
        ) {
            let loads = spread(20, &weights, keys, factor);
            let all: f64 = weights.iter().sum();
            for (number, weight) in weights.iter().enumerate() {
                let load = loads[format!("n{number}").as_str()];
                let bound = factor * keys as f64 * weight / all;
                prop_assert!(load as f64 <= bound.ceil(), "{} has {}, {} allowed", number, load, bound);
            }
        }
    }
}
