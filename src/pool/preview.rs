//! What follows when a node comes or goes: told before anything is done. Pure.
//!
//! Nothing that is there moves because a node comes: new contents go where the ring says. When one goes, a copy is made again
//! of each content of which too few are left.

use super::ring::{Ring, RingError};
use crate::control::pool::Moves;

/// A content of the node that goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Going {
    /// Its bytes.
    pub bytes: u64,
    /// Copies that there shall be; 0: it is no business of the pool.
    pub replicas: u32,
    /// Other nodes that have one.
    pub others: usize,
    /// Of these those in use.
    pub live: usize,
    /// Nodes in use that have none and could make one.
    pub spare: usize,
}

/// `node` comes, or gets another weight. `keys` are those known, each with the copies that there shall be.
///
/// # Errors
/// The weight is none.
pub fn coming<'a>(
    ring: &Ring,
    node: &str,
    weight: f64,
    keys: impl IntoIterator<Item = (&'a [u8], usize)>,
) -> Result<Moves, RingError> {
    let mut after = ring.clone();
    after.add_node(node, weight)?;
    let is_its = |ring: &Ring, key: &[u8], copies| {
        ring.get_nodes(key, copies).is_ok_and(|nodes| nodes.iter().any(|one| **one == *node))
    };
    let keys = keys.into_iter().filter(|(key, copies)| is_its(&after, key, *copies) && !is_its(ring, key, *copies));
    Ok(Moves { keys: keys.count() as u64, ring_share: ring.differs(&after), ..Moves::default() })
}

/// The node that holds these contents goes.
pub fn going(contents: impl IntoIterator<Item = Going>) -> Moves {
    let mut moves = Moves::default();
    for it in contents {
        moves.holds += 1;
        if it.replicas == 0 {
            moves.alone += u64::from(it.others == 0);
        } else if it.live >= it.replicas as usize {
        } else if it.spare == 0 {
            moves.short += 1;
        } else {
            moves.keys += 1;
            moves.bytes = moves.bytes.saturating_add(it.bytes);
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(nodes: &[&str]) -> Ring {
        let mut ring = Ring::default();
        ring.add_nodes(nodes.iter().map(|node| (*node, 1.0))).unwrap();
        ring
    }

    #[test]
    fn what_belongs_to_who_comes_is_what_the_ring_says_then() {
        let before = ring(&["a", "b", "c"]);
        let names: Vec<String> = (0..1_000).map(|number| format!("key/{number}")).collect();
        let after = ring(&["a", "b", "c", "d"]);
        for copies in [1, 2] {
            let keys = names.iter().map(|name| (name.as_bytes(), copies));
            let moves = coming(&before, "d", 1.0, keys).unwrap();
            let is_its =
                |name: &&String| after.get_nodes(name.as_bytes(), copies).unwrap().iter().any(|node| **node == *"d");
            assert_eq!(moves.keys, names.iter().filter(is_its).count() as u64);
            assert_eq!(moves.bytes, 0, "what is there stays");
            assert!((moves.ring_share - after.shares()["d"]).abs() < 1e-9, "{moves:?}");
        }
        assert_eq!(coming(&Ring::default(), "a", 1.0, []).unwrap().ring_share, 1.0);
        assert!(coming(&before, "d", -1.0, []).is_err());
    }

    #[test]
    fn a_copy_is_made_where_too_few_are_left_and_a_node_is_left_for_it() {
        let two = Going { bytes: 10, replicas: 2, others: 1, live: 1, spare: 3 };
        let cases = [
            (two, (1, 10, 0, 0)),
            (Going { live: 2, others: 2, ..two }, (0, 0, 0, 0)),
            // One of the others is drained, too.
            (Going { others: 2, ..two }, (1, 10, 0, 0)),
            (Going { spare: 0, ..two }, (0, 0, 1, 0)),
            // No business of the pool: nobody copies it, wherever else it is.
            (Going { replicas: 0, ..two }, (0, 0, 0, 0)),
            (Going { replicas: 0, others: 0, live: 0, ..two }, (0, 0, 0, 1)),
        ];
        for (content, (keys, bytes, short, alone)) in cases {
            assert_eq!(
                going([content]),
                Moves { keys, bytes, short, alone, holds: 1, ..Moves::default() },
                "{content:?}"
            );
        }
        assert_eq!(going(cases.map(|(content, _)| content)).bytes, 20);
    }
}
