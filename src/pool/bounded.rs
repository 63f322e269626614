//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016): a key, and each copy of it, goes to the next
//! node clockwise that has room for it, where room is a factor times what would be fair. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ring::Ring;

/// No node has more than so many times its fair share.
pub const FACTOR: f64 = 1.25;

/// The nodes without room for a copy of so much load (1 for a count of keys, or its bytes), each with its load for its weight.
/// `load` says what a node has already, `copies` how many copies of the key there shall be, on different nodes.
///
/// A node's fair share is by its weight, among those for which `serves` holds: who takes nothing makes the others' shares larger.
/// It has room while its load with the copy is at most `factor` times the share of all load with all copies, rounded down where
/// that leaves room for everything, else up: with few keys a node may always have one.
pub fn full(
    ring: &Ring,
    amount: u64,
    copies: usize,
    factor: f64,
    serves: impl Fn(&str) -> bool,
    load: impl Fn(&str) -> u64,
) -> BTreeMap<Arc<str>, f64> {
    let serving = ring.nodes().filter(|(node, _)| serves(node));
    let loads: Vec<(&Arc<str>, f64, f64)> = serving.map(|(node, weight)| (node, weight, load(node) as f64)).collect();
    let amount = amount as f64;
    let new = amount * copies.min(loads.len()) as f64;
    let (total, weights) =
        loads.iter().fold((new, 0.0), |(total, weights), (_, weight, load)| (total + load, weights + weight));
    let limit = |weight: f64| factor.max(1.0) * total * weight / weights;
    let floors: f64 = loads.iter().map(|(_, weight, _)| limit(*weight).floor()).sum();
    let has_room = |weight: f64, load: f64| {
        let limit = if floors >= total { limit(weight).floor() } else { limit(weight).ceil() };
        load + amount <= limit
    };
    let full = loads.into_iter().filter(|(_, weight, load)| !has_room(*weight, *load));
    full.map(|(node, weight, load)| (node.clone(), load / weight)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pool::ring::hash;

    /// One copy of each key goes to the first node that has room.
    fn spread(virtual_nodes: u32, weights: &[f64], keys: u64, factor: f64) -> BTreeMap<Arc<str>, u64> {
        let mut ring = Ring::new(virtual_nodes);
        for (number, weight) in weights.iter().enumerate() {
            ring.add_node(&format!("n{number}"), *weight).unwrap();
        }
        let mut loads: BTreeMap<Arc<str>, u64> = ring.nodes().map(|(name, _)| (name.clone(), 0)).collect();
        for key in 0..keys {
            let full = full(&ring, 1, 1, factor, |_| true, |node| loads[node]);
            let mut around = ring.clockwise(hash(format!("key/{key}").as_bytes()));
            let node = around.find(|met| !full.contains_key(&met.node)).unwrap().node;
            *loads.get_mut(&node).unwrap() += 1;
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
    fn who_takes_nothing_leaves_larger_shares_to_the_others() {
        let mut ring = Ring::default();
        ring.add_nodes([("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]).unwrap();
        assert!(full(&ring, 1, 1, FACTOR, |_| true, |_| 1_000).is_empty(), "with room everywhere it is the ring");
        let load = |node: &str| if node == "a" { 130 } else { 90 };
        assert_eq!(full(&ring, 1, 1, FACTOR, |_| true, load).into_keys().collect::<Vec<_>>(), ["a".into()]);
        assert!(full(&ring, 1, 1, FACTOR, |node| node < "c", load).is_empty(), "two of them are to have all");
        // Larger than any share: nobody has room, and it is said who has least.
        let all = full(&ring, 1 << 40, 1, FACTOR, |_| true, load);
        assert_eq!((all.len(), all["a"], all["b"]), (4, 130.0, 90.0));
        assert!(full(&Ring::default(), 1, 1, FACTOR, |_| true, |_| 0).is_empty());
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
