use proptest::prelude::*;

use super::*;

const FIVE: [&str; 5] = ["alder", "birch", "cedar", "fir", "oak"];

fn ring_of<'a>(nodes: impl IntoIterator<Item = &'a str>) -> Ring {
    let mut ring = Ring::default();
    ring.add_nodes(nodes.into_iter().map(|node| (node, 1.0))).unwrap();
    ring
}

fn numbered(count: usize) -> Ring {
    let names: Vec<String> = (0..count).map(|number| format!("node-{number}")).collect();
    ring_of(names.iter().map(String::as_str))
}

fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("key/{number}"))
}

#[test]
fn the_hash_is_xxh32_as_published() {
    // From the specification's own vectors and those in common use.
    assert_eq!(hash(b""), 0x02CC_5D05);
    assert_eq!(hash(b"a"), 0x550D_7456);
    assert_eq!(hash(b"abc"), 0x32D1_53FF);
    assert_eq!(hash(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
}

/// Computed by an implementation of XXH32 and of the ring in another language.
#[test]
fn golden_placements() {
    let ring = ring_of(FIVE);
    assert_eq!(
        [0, 1, 2, 3].map(|number| hash(format!("alder:{number}").as_bytes())),
        [0xCDC3_45F0, 0x0CEA_92B7, 0xC428_C6A9, 0xE419_5F95]
    );
    type Way = [(u32, &'static str); 3];
    let golden: [(&str, u32, Way); 7] = [
        ("", 0x02CC_5D05, [(0x02D0_23E2, "birch"), (0x0364_5D52, "oak"), (0x04D3_73F9, "fir")]),
        ("a", 0x550D_7456, [(0x5538_59BF, "fir"), (0x5551_0251, "alder"), (0x55FA_4B2D, "oak")]),
        ("content", 0xA180_6A89, [(0xA230_7A48, "oak"), (0xA264_1790, "fir"), (0xA2B3_E55B, "cedar")]),
        ("2026-11-22/frames.tar", 0x1810_D4D0, [(0x181B_F292, "cedar"), (0x18FA_CC63, "fir"), (0x1960_5DBA, "alder")]),
        ("skep", 0x0BE5_FA99, [(0x0C16_3B96, "alder"), (0x0C5C_BEA6, "birch"), (0x0D50_5EAC, "fir")]),
        ("key-41", 0xCA7B_7B6D, [(0xCA87_5329, "cedar"), (0xCB49_F656, "oak"), (0xCC1E_AE21, "fir")]),
        (
            "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
            0x99E5_A8F6,
            [(0x9B16_0BE0, "oak"), (0x9B79_CCD0, "cedar"), (0x9BFE_226B, "birch")],
        ),
    ];
    for (key, at, way) in golden {
        assert_eq!(hash(key.as_bytes()), at, "{key}");
        let met: Vec<_> = ring.clockwise(at).take(3).collect();
        assert_eq!(met, way.map(|(point, node)| Met { point, node: node.into() }), "{key}");
        assert_eq!(&**ring.get_node(key.as_bytes()).unwrap(), way[0].1);
    }
}

#[test]
fn a_key_beyond_the_last_point_belongs_to_the_first() {
    let ring = ring_of(FIVE);
    assert_eq!(hash(b"w233924"), 0xFFFF_A0D7, "the last point is 0xffff7483");
    assert_eq!(&**ring.get_node(b"w233924").unwrap(), "alder");
    assert_eq!(ring.clockwise(0xFFFF_A0D7).next().unwrap().point, 28_992_560);
    // A point belongs to its own node, the place after it does not.
    assert_eq!(ring.clockwise(0xFFFF_7483).next().unwrap().point, 0xFFFF_7483);
    assert_eq!(ring.clockwise(0xFFFF_7484).next().unwrap().point, 28_992_560);
}

#[test]
fn equal_points_belong_to_the_name_that_sorts_first() {
    // "n865:0" and "n1322:11" have the same hash.
    let tie = hash(b"n865:0");
    assert_eq!(tie, hash(b"n1322:11"));
    for nodes in [["n865", "n1322"], ["n1322", "n865"]] {
        let mut ring = Ring::default();
        for node in nodes {
            ring.add_node(node, 1.0).unwrap();
        }
        assert_eq!(&*ring.clockwise(tie).next().unwrap().node, "n1322");
        ring.remove_node("n1322");
        assert_eq!(&*ring.clockwise(tie).next().unwrap().node, "n865", "the other point was not lost");
    }
}

#[test]
fn an_empty_ring_is_an_error() {
    let mut ring = Ring::default();
    assert_eq!(ring.get_node(b"key"), Err(RingError::Empty));
    assert_eq!(ring.get_nodes(b"key", 2), Err(RingError::Empty));
    assert_eq!(ring.clockwise(7).count(), 0);
    ring.add_node("alder", 1.0).unwrap();
    assert!(ring.remove_node("alder") && !ring.remove_node("alder"));
    assert_eq!(ring.get_node(b"key"), Err(RingError::Empty));
    assert!(ring.shares().is_empty());
}

#[test]
fn weights_that_are_none_are_refused_and_change_nothing() {
    let mut ring = ring_of(FIVE);
    let before = ring.points.clone();
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 101.0] {
        assert!(matches!(ring.add_nodes([("ash", 1.0), ("elm", weight)]), Err(RingError::Weight(..))), "{weight}");
    }
    let mut huge = Ring::new(u32::MAX);
    assert!(matches!(huge.add_node("ash", 1.0), Err(RingError::Full(_))));
    assert_eq!(ring.points, before);
}

#[test]
fn a_weight_scales_the_share() {
    let mut ring = numbered(9);
    ring.add_node("big", 3.0).unwrap();
    let share = ring.shares()["big"];
    assert!((share - 3.0 / 12.0).abs() < 0.04, "{share}");
    assert!((ring.shares().values().sum::<f64>() - 1.0).abs() < 1e-9);
    ring.add_node("big", 1.0).unwrap();
    let mut same = numbered(9);
    same.add_node("big", 1.0).unwrap();
    assert_eq!(ring.points.len(), same.points.len());
    assert_eq!(ring.shares(), same.shares());
}

/// 150 points make a spread of about 8 % around the fair share.
#[test]
fn one_of_n_leaving_moves_a_share_of_one_in_n() {
    for count in [5, 20] {
        let ring = numbered(count);
        let fair = 20_000.0 / count as f64;
        let mut squares = 0.0;
        for gone in (0..count).map(|number| format!("node-{number}")) {
            let mut without = ring.clone();
            without.remove_node(&gone);
            let moved = keys(20_000)
                .filter(|key| {
                    let (was, is) = (ring.get_node(key.as_bytes()).unwrap(), without.get_node(key.as_bytes()).unwrap());
                    assert_eq!(was != is, **was == *gone, "only its own keys move, and all of them");
                    was != is
                })
                .count() as f64;
            squares += (moved / fair - 1.0).powi(2) / count as f64;
        }
        assert!(squares.sqrt() <= 0.15, "one of {count}: off by {:.3} of the fair share", squares.sqrt());
    }
}

#[test]
fn more_replicas_than_nodes_are_all_nodes() {
    let nodes = ring_of(FIVE).get_nodes(b"key", 9).unwrap();
    assert_eq!(nodes.iter().map(|node| &**node).collect::<BTreeSet<_>>(), BTreeSet::from(FIVE));
    assert!(ring_of(FIVE).get_nodes(b"key", 0).unwrap().is_empty());
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[a-z]{1,8}", 1..12).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The lookup by table finds what a look at every point finds.
    #[test]
    fn lookup_is_the_first_point_clockwise(nodes in names(), virtual_nodes in 1u32..40, at: u32) {
        let mut ring = Ring::new(virtual_nodes);
        for node in &nodes {
            ring.add_node(node, 1.0).unwrap();
        }
        let all: BTreeSet<(u32, &str)> = nodes.iter()
            .flat_map(|node| (0..virtual_nodes).map(move |i| (hash(format!("{node}:{i}").as_bytes()), node.as_str())))
            .collect();
        let first = all.range((at, "")..).next().or(all.first()).unwrap();
        let met = ring.clockwise(at).next().unwrap();
        prop_assert_eq!((met.point, &*met.node), *first);
    }

    /// Whatever order nodes come and go in, the ring is the same.
    #[test]
    fn history_leaves_no_trace(nodes in names(), gone in names(), at: u32) {
        let mut ring = Ring::default();
        for node in nodes.iter().rev().chain(&gone) {
            ring.add_node(node, 1.0).unwrap();
        }
        for node in gone.iter().filter(|node| !nodes.contains(node)) {
            ring.remove_node(node);
        }
        let plain = ring_of(nodes.iter().map(String::as_str));
        prop_assert_eq!(ring.clockwise(at).collect::<Vec<_>>(), plain.clockwise(at).collect::<Vec<_>>());
        prop_assert_eq!(ring.shares(), plain.shares());
        let mut anew = ring.clone();
        anew.index(32 - ring.shift);
        prop_assert_eq!(anew.starts, ring.starts, "the table was kept up");
    }

    /// Only keys between a point of the new node and the point before it move, and they move to it.
    #[test]
    fn a_new_node_takes_keys_and_moves_no_others(nodes in names(), weight in 0.1f64..4.0) {
        let before = ring_of(nodes.iter().map(String::as_str));
        let mut after = before.clone();
        after.add_node("NEW", weight).unwrap();
        for key in keys(500) {
            let (was, is) = (before.get_node(key.as_bytes()).unwrap(), after.get_node(key.as_bytes()).unwrap());
            prop_assert!(is == was || &**is == "NEW", "{} moved from {} to {}", key, was, is);
        }
        after.remove_node("NEW");
        prop_assert_eq!(before.shares(), after.shares());
    }

    #[test]
    fn replicas_are_distinct_and_begin_with_the_owner(nodes in names(), key: Vec<u8>, count in 1usize..6) {
        let ring = ring_of(nodes.iter().map(String::as_str));
        let found = ring.get_nodes(&key, count).unwrap();
        prop_assert_eq!(found.len(), count.min(nodes.len()));
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
        prop_assert_eq!(&found[0], ring.get_node(&key).unwrap());
    }
}
