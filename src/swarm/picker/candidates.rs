//! The pieces of one peer that are wanted, so that they need not be searched for among all pieces.
//!
//! A peer that has little of what we want makes a scan long. There are two remedies:
//!
//! - A *sparse* peer's pieces are kept in a list, put in order when the peer is first looked at (not
//!   earlier: until then availabilities change with every peer that comes). The next piece is at the list's
//!   end, one cache line away, where a heap would cost one per level.
//! - For a denser one, a scan notes what it meets in a heap, up to a *horizon*: every wanted piece of the
//!   peer that stands below the horizon is in list or heap. The next look starts at the horizon; behind the
//!   last piece it is [`DONE`], and there is no more.
//!
//! Pieces that come to the peer below its horizon are pushed; entries that are no longer wanted are dropped
//! when they come up, and those whose place in the order changed go to the heap. When that has happened to
//! many, the list is made anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Horizon of a peer of which everything wanted is in list and heap.
pub(super) const DONE: u32 = u32::MAX;
/// List and heap may hold this many pieces, or one in `SHARE` of the wanted ones if that is more (a piece in
/// the list takes half as much memory as one in the heap, and counts half): 64 KiB per peer at a million
/// pieces. A peer with more is quickly met by scanning. (Few in tests, so that small swarms meet the limit.)
const SMALL: usize = if cfg!(test) { 24 } else { 1024 };
const SHARE: usize = 128;
/// A piece whose place in the order changed is put right when it comes up; at most this many per look.
const REPAIRS: usize = 16;

/// An odd number and its inverse modulo 2^32: multiplying by one shuffles piece indices, by the other
/// puts them back.
const SHUFFLE: u32 = 0x9E37_79B1;
const UNSHUFFLE: u32 = 0x0E8B_2F51;

/// (key, shuffled piece index): equal keys come up in shuffled order, in a different one for every peer.
type Entry = Reverse<(u32, u32)>;

#[derive(Default)]
pub(super) struct Candidates {
    /// The next piece last, once it is `ordered`.
    list: Vec<u32>,
    ordered: bool,
    /// Of the ordered list: key and first place of the entries with that key, the smallest key last.
    levels: Vec<(u32, u32)>,
    heap: BinaryHeap<Entry>,
    salt: u32,
    /// Keys below it are covered by list and heap.
    pub(super) horizon: u32,
    /// Pushes since stale entries were last swept out.
    pushed: usize,
    /// Entries put right since the list was ordered.
    repaired: usize,
}

impl Candidates {
    /// A peer about which everything is known: it has nothing, or just what is pushed next.
    pub(super) fn known(salt: u32) -> Self {
        Self::sparse(salt, Vec::new())
    }

    /// A peer of which exactly these pieces are wanted; at most [`Candidates::most`].
    pub(super) fn sparse(salt: u32, list: Vec<u32>) -> Self {
        Self { list, horizon: DONE, salt, ..Self::default() }
    }

    /// A peer about which nothing is known yet.
    pub(super) fn unknown(salt: u32) -> Self {
        Self { ordered: true, salt, ..Self::default() }
    }

    fn shuffled(&self, piece: u32) -> u32 {
        (piece ^ self.salt).wrapping_mul(SHUFFLE)
    }

    fn piece(&self, shuffled: u32) -> u32 {
        shuffled.wrapping_mul(UNSHUFFLE) ^ self.salt
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.heap.is_empty()
    }

    /// How many pieces a peer may have to be sparse: some room is left for those that come.
    pub(super) fn most(wanted: u32) -> usize {
        Self::limit(wanted) * 3 / 2
    }

    /// How many pieces may be held while `wanted` are wanted.
    pub(super) fn limit(wanted: u32) -> usize {
        (wanted as usize / SHARE).max(SMALL)
    }

    /// Adds a piece that a scan met; the scan sees to the room.
    pub(super) fn note(&mut self, key: u32, piece: u32) {
        self.heap.push(Reverse((key, self.shuffled(piece))));
    }

    /// Adds a piece. `live` tells if an older entry still counts.
    pub(super) fn push(&mut self, key: u32, piece: u32, wanted: u32, live: impl Fn(u32) -> bool) {
        if self.ordered {
            self.heap.push(Reverse((key, self.shuffled(piece))));
        } else {
            self.list.push(piece);
        }
        self.pushed += 1;
        let limit = Self::limit(wanted);
        if self.weight() <= limit || self.pushed <= limit / 4 {
            return;
        }
        self.pushed = 0;
        if !self.ordered {
            self.list.retain(|piece| live(*piece));
        }
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|Reverse((_, shuffled))| live(self.piece(*shuffled)));
        heap.shrink_to(limit);
        self.heap = heap;
        if self.weight() > limit / 4 * 3 {
            // So many that scanning finds them: forget, and start from the front.
            *self = Self::unknown(self.salt);
        }
    }

    fn weight(&self) -> usize {
        self.heap.len() + self.list.len() / 2
    }

    /// The first piece in order that is still `wanted` and at the peer (`has`), with its key of now.
    pub(super) fn first(
        &mut self,
        key: impl Fn(u32) -> u32,
        wanted: impl Fn(u32) -> bool,
        has: impl Fn(u32) -> bool,
    ) -> Option<(u32, u32)> {
        if !self.ordered || self.repaired > self.list.len() / 2 + 4 * REPAIRS {
            self.put_in_order(&key, &wanted);
        }
        let mut repairs = REPAIRS;
        loop {
            let listed = self.list.last().zip(self.levels.last()).map(|(piece, (key, _))| (*key, *piece));
            let heaped = self.heap.peek().map(|Reverse((key, shuffled))| (*key, self.piece(*shuffled)));
            let is_listed = match (listed, heaped) {
                (Some((listed, _)), Some((heaped, _))) => listed <= heaped,
                (listed, _) => listed.is_some(),
            };
            let (noted, piece) = if is_listed { listed? } else { heaped? };
            if !wanted(piece) || !has(piece) {
                self.pop(is_listed);
                continue;
            }
            let now = key(piece);
            if now <= noted || repairs == 0 {
                return Some((now, piece));
            }
            repairs -= 1;
            self.repaired += usize::from(!self.list.is_empty());
            self.pop(is_listed);
            self.heap.push(Reverse((now, self.shuffled(piece))));
        }
    }

    fn pop(&mut self, is_listed: bool) {
        if !is_listed {
            self.heap.pop();
            return;
        }
        self.list.pop();
        if self.levels.last().is_some_and(|(_, start)| self.list.len() <= *start as usize) {
            self.levels.pop();
        }
    }

    /// Everything that is still wanted becomes one list by the keys of now. O(n log n). What the peer lost
    /// since is found out when it comes up: looking into a row for each would cost more than the rest.
    fn put_in_order(&mut self, key: impl Fn(u32) -> u32, wanted: impl Fn(u32) -> bool) {
        let heaped = std::mem::take(&mut self.heap);
        let heaped = heaped.into_iter().map(|Reverse((_, shuffled))| self.piece(shuffled));
        let all = self.list.iter().copied().chain(heaped).filter(|piece| wanted(*piece));
        let mut entries: Vec<_> = all.map(|piece| Reverse((key(piece), self.shuffled(piece)))).collect();
        entries.sort_unstable();
        // A piece that was given back may stand in both.
        entries.dedup();
        self.list.clear();
        self.levels.clear();
        for Reverse((key, shuffled)) in entries {
            if self.levels.last().is_none_or(|(level, _)| *level != key) {
                self.levels.push((key, self.list.len() as u32));
            }
            self.list.push(self.piece(shuffled));
        }
        (self.ordered, self.repaired) = (true, 0);
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        let list = self.list.capacity() * size_of::<u32>() + self.levels.capacity() * size_of::<(u32, u32)>();
        list + self.heap.capacity() * size_of::<Entry>()
    }
}
