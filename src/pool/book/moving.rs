//! What would follow if a node came or went.

use super::{Book, BookError, Entry};
use crate::control::pool::{MAX_HOLDS, Moves};
use crate::pool::preview::{self, Going};

/// What might be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It is listed with this weight.
    Comes(f64),
    /// It is taken off the list.
    Leaves,
    /// It is taken out of use.
    Drains,
}

impl Book {
    /// What would follow.
    ///
    /// # Errors
    /// As what it is about would have: the weight is none, nobody of that name is there, it is not on the list.
    pub fn preview(&self, name: &str, change: Change) -> Result<Moves, BookError> {
        let unknown = || BookError::Unknown(name.to_owned());
        match change {
            Change::Comes(weight) => {
                let contents = self.contents().into_iter().filter(|(_, (holding, _))| holding.replicas > 0);
                let keys = contents.map(|(content, (holding, _))| (content.as_bytes(), holding.replicas as usize));
                Ok(preview::coming(self.hashed.ring(), name, weight, keys)?)
            }
            Change::Leaves => self.leaving(name, self.entries.get(name).ok_or_else(unknown)?),
            Change::Drains => Ok(self.draining(name, self.entries.get(name).ok_or_else(unknown)?)),
        }
    }

    fn leaving(&self, name: &str, entry: &Entry) -> Result<Moves, BookError> {
        if entry.listed.is_none() {
            return Err(BookError::NotListed(name.to_owned()));
        }
        let before = self.hashed.ring();
        let mut after = before.clone();
        if entry.member.is_some() {
            // Gossip tells of it all the same: its weight is its own word again.
            after.add_node(name, entry.own_weight())?;
        } else {
            after.remove_node(name);
        }
        // Only gossip tells what a node holds.
        let stays = entry.member.is_some();
        Ok(Moves { ring_share: before.differs(&after), stays, partial: !stays, ..Moves::default() })
    }

    fn draining(&self, name: &str, entry: &Entry) -> Moves {
        let is_used = |name: &str| self.resource.health(name).is_some_and(|health| !health.drained);
        let mut before = self.hashed.ring().clone();
        let drained: Vec<_> = before.nodes().map(|(node, _)| node.clone()).filter(|node| !is_used(node)).collect();
        before.remove_nodes(drained.iter().map(|node| &**node));
        let mut after = before.clone();
        after.remove_node(name);
        // Where all are drained they are chosen as before.
        let ring_share = if after.is_empty() { 0.0 } else { before.differs(&after) };
        let Some(member) = &entry.member else { return Moves { ring_share, partial: true, ..Moves::default() } };
        let others = self.entries.iter().filter(|(other, entry)| ***other != *name && entry.available);
        let others: Vec<_> =
            others.filter_map(|(other, entry)| Some((&entry.member.as_ref()?.holds, is_used(other)))).collect();
        let contents = member.holds.iter().map(|(content, holding)| {
            let mut it = Going { bytes: holding.bytes, replicas: holding.replicas, ..Going::default() };
            for (holds, used) in &others {
                match holds.get(content) {
                    Some(held) => {
                        it.replicas = it.replicas.max(held.replicas);
                        it.others += 1;
                        it.live += usize::from(*used);
                    }
                    // Who has as much to tell as a node tells may hold it, too: for them no copy is made.
                    None if holds.len() >= MAX_HOLDS => it.live += 1,
                    None => it.spare += usize::from(*used),
                }
            }
            it
        });
        Moves { ring_share, partial: member.holds.len() >= MAX_HOLDS, ..preview::going(contents) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::{Listed, Member};
    use super::*;
    use crate::control::pool::{Holding, Limits};

    fn holds(ids: &[(&str, u64, u32)]) -> Arc<BTreeMap<String, Holding>> {
        let one = |(id, bytes, replicas): &(&str, u64, u32)| {
            ((*id).to_owned(), Holding { bytes: *bytes, replicas: *replicas, name: String::new() })
        };
        Arc::new(ids.iter().map(one).collect())
    }

    fn member(name: &str, port: u16, ids: &[(&str, u64, u32)]) -> Member {
        let address = format!("127.0.0.1:{port}");
        let endpoint = format!("http://{address}");
        Member { name: name.into(), address, endpoint, weight: 1.0, holds: holds(ids), ..Member::default() }
    }

    /// Three nodes; `x` is on two of them, `y` should be on all, `z` and `own` are what they are.
    fn book() -> Book {
        let mut book = Book::new("pool", "a", Limits::default(), 0);
        let members = vec![
            member("a", 1, &[("x", 10, 2), ("y", 100, 3), ("z", 1_000, 1), ("own", 10_000, 0)]),
            member("b", 2, &[("x", 10, 2), ("y", 100, 3)]),
            member("c", 3, &[("y", 100, 3), ("own", 10_000, 0)]),
        ];
        book.on_gossip(members, 0);
        book
    }

    #[test]
    fn who_is_drained_leaves_what_has_too_few_copies_to_others() {
        let book = book();
        let a = book.preview("a", Change::Drains).unwrap();
        // x goes to c, z to b or c; of y there is no node left for a third copy; own is nobody's business and on c, too.
        assert_eq!((a.keys, a.bytes, a.short, a.alone, a.holds), (2, 1_010, 1, 0, 4));
        assert!(a.ring_share > 0.2 && !a.partial && !a.stays, "{a:?}");
        let b = book.preview("b", Change::Drains).unwrap();
        assert_eq!((b.keys, b.bytes, b.short, b.holds), (1, 10, 1, 2), "x again, and nothing that b does not hold");
        assert_eq!(book.preview("d", Change::Drains), Err(BookError::Unknown("d".into())));
    }

    #[test]
    fn copies_on_drained_nodes_do_not_count_and_none_are_made_there() {
        let mut book = book();
        book.drain("c", true, 0).unwrap();
        let a = book.preview("a", Change::Drains).unwrap();
        assert_eq!((a.keys, a.bytes, a.short), (1, 1_000, 2), "z to b; x is there already, and c takes none");
        // It is drained already: what is still to be copied.
        let c = book.preview("c", Change::Drains).unwrap();
        assert_eq!((c.ring_share, c.keys, c.short), (0.0, 0, 1));
        book.drain("b", true, 0).unwrap();
        assert_eq!(book.preview("a", Change::Drains).unwrap().ring_share, 0.0, "all are chosen as before");
    }

    #[test]
    fn who_tells_all_that_a_node_tells_may_hold_more() {
        let mut book = book();
        let many: Vec<String> = (0..MAX_HOLDS).map(|number| format!("many/{number:04}")).collect();
        let many: Vec<_> = many.iter().map(|id| (id.as_str(), 1, 1)).collect();
        book.on_gossip(vec![member("a", 1, &[("x", 10, 2)]), member("b", 2, &many), member("c", 3, &[])], 0);
        let a = book.preview("a", Change::Drains).unwrap();
        assert_eq!((a.keys, a.partial), (1, false), "b may have x: one more is missing");
        assert!(book.preview("b", Change::Drains).unwrap().partial);
    }

    #[test]
    fn off_the_list_is_told_apart_from_gone() {
        let mut book = book();
        let listed = |port, weight| Listed { endpoint: format!("http://127.0.0.1:{port}"), weight };
        book.list("far", listed(9, None), 0).unwrap();
        book.list("b", listed(2, Some(2.0)), 0).unwrap();
        let far = book.preview("far", Change::Leaves).unwrap();
        assert!(far.partial && !far.stays && far.ring_share > 0.1 && far.keys == 0, "{far:?}");
        let b = book.preview("b", Change::Leaves).unwrap();
        assert!(b.stays && b.keys == 0, "gossip tells of it all the same: {b:?}");
        let (mut after, weight) = (book.hashed.ring().clone(), 1.0);
        after.add_node("b", weight).unwrap();
        assert_eq!(b.ring_share, book.hashed.ring().differs(&after), "with its own weight");
        assert_eq!(book.preview("a", Change::Leaves), Err(BookError::NotListed("a".into())));
    }

    #[test]
    fn nothing_moves_to_who_comes() {
        let book = book();
        let new = book.preview("d", Change::Comes(100.0)).unwrap();
        assert_eq!((new.keys, new.bytes), (3, 0), "x, y and z would be its; own is no business of the pool");
        assert!(new.ring_share > 0.9, "{new:?}");
        assert!(book.preview("d", Change::Comes(0.0)).is_err());
        let known = book.preview("a", Change::Comes(1.0)).unwrap();
        assert_eq!((known.ring_share, known.keys), (0.0, 0), "it has that weight already");
    }
}
