//! The pool: rows that changed, by name; the others cost nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{ApplyError, PoolDelta};
use crate::control::pool::{MAX_MOVES, MAX_NODES, PoolNodeRow, PoolView};

/// How the new pool comes from the old one.
pub(super) fn change(old: &PoolView, new: &PoolView) -> PoolDelta {
    let before: BTreeMap<_, _> = old.nodes.iter().map(|row| (&row.name, row)).collect();
    let there: BTreeSet<_> = new.nodes.iter().map(|row| &row.name).collect();
    let same = |row: &&Arc<PoolNodeRow>| before.get(&row.name).is_some_and(|old| Arc::ptr_eq(old, row) || old == row);
    PoolDelta {
        head: Box::new(PoolView {
            name: new.name.clone(),
            balancer: new.balancer,
            gossip: new.gossip.clone(),
            limits: new.limits,
            nodes: Vec::new(),
            moves: new.moves.clone(),
        }),
        changed: new.nodes.iter().filter(|row| !same(row)).cloned().collect(),
        removed: old.nodes.iter().map(|row| &row.name).filter(|name| !there.contains(name)).cloned().collect(),
    }
}

/// The viewer's side of it. The message comes from outside: memory stays bounded.
///
/// # Errors
/// There are more nodes than a pool has.
pub(super) fn apply(old: &PoolView, delta: PoolDelta) -> Result<Arc<PoolView>, ApplyError> {
    let mut nodes: BTreeMap<Arc<str>, _> = old.nodes.iter().map(|row| (row.name.clone(), row.clone())).collect();
    for name in &delta.removed {
        nodes.remove(name);
    }
    let mut head = *delta.head;
    for row in delta.changed.into_iter().chain(std::mem::take(&mut head.nodes)) {
        nodes.insert(row.name.clone(), row);
    }
    if nodes.len() > MAX_NODES {
        return Err(ApplyError("more nodes than a pool has"));
    }
    head.moves.truncate(MAX_MOVES);
    head.nodes = nodes.into_values().collect();
    Ok(Arc::new(head))
}
