//! What moves when the nodes of a ring change: told before anything is done. Pure.

use std::sync::Arc;

use super::ring::{Ring, RingError};
use crate::control::pool::Moves;

/// Adding `node`, or giving it another weight. `keys` are those known, each with its bytes and the number of its copies.
///
/// # Errors
/// The weight is none.
pub fn adding<'a>(
    ring: &Ring,
    node: &str,
    weight: f64,
    keys: impl IntoIterator<Item = (&'a [u8], u64, usize)>,
) -> Result<Moves, RingError> {
    let mut after = ring.clone();
    after.add_node(node, weight)?;
    Ok(between(ring, &after, keys))
}

/// Removing `node`.
pub fn removing<'a>(ring: &Ring, node: &str, keys: impl IntoIterator<Item = (&'a [u8], u64, usize)>) -> Moves {
    let mut after = ring.clone();
    after.remove_node(node);
    between(ring, &after, keys)
}

/// From one ring to another: each copy that has to be on a node where it is not.
pub fn between<'a>(before: &Ring, after: &Ring, keys: impl IntoIterator<Item = (&'a [u8], u64, usize)>) -> Moves {
    let mut moves = Moves { ring_share: before.differs(after), ..Moves::default() };
    for (key, size, copies) in keys {
        let old: Vec<Arc<str>> = before.get_nodes(key, copies).unwrap_or_default();
        let new = after.get_nodes(key, copies).unwrap_or_default();
        let to_copy = new.iter().filter(|node| !old.contains(node)).count() as u64;
        moves.keys += u64::from(to_copy > 0);
        moves.bytes = moves.bytes.saturating_add(to_copy.saturating_mul(size));
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
    fn what_is_told_is_what_happens() {
        let before = ring(&["a", "b", "c"]);
        let names: Vec<String> = (0..1_000).map(|number| format!("key/{number}")).collect();
        let keys = || names.iter().map(|name| (name.as_bytes(), 10, 1));
        let moves = adding(&before, "d", 1.0, keys()).unwrap();
        let after = ring(&["a", "b", "c", "d"]);
        let moved = names.iter().filter(|name| &**after.get_node(name.as_bytes()).unwrap() == "d").count() as u64;
        assert_eq!((moves.keys, moves.bytes), (moved, moved * 10));
        assert!((moves.ring_share - after.shares()["d"]).abs() < 1e-9, "{moves:?}");
        assert_eq!(removing(&after, "d", keys()), moves, "back again");
    }

    #[test]
    fn a_copy_is_made_for_each_replica_that_is_lost() {
        let before = ring(&["a", "b", "c"]);
        let key: (&[u8], u64, usize) = (b"key", 7, 2);
        let nodes = before.get_nodes(b"key", 2).unwrap();
        for node in ["a", "b", "c"] {
            let moves = removing(&before, node, [key]);
            let copies = u64::from(nodes.iter().any(|other| &**other == node));
            assert_eq!((moves.keys, moves.bytes), (copies, copies * 7));
        }
    }

    #[test]
    fn nothing_moves_where_nothing_can() {
        let one = ring(&["a"]);
        assert_eq!(removing(&one, "stranger", [(&b"key"[..], 7, 1)]), Moves::default());
        let none = removing(&one, "a", [(&b"key"[..], 7, 1)]);
        assert_eq!((none.ring_share, none.keys), (1.0, 0), "there is nowhere to go");
        assert_eq!(adding(&Ring::default(), "a", 1.0, []).unwrap().ring_share, 1.0);
        assert!(adding(&one, "b", -1.0, []).is_err());
    }
}
