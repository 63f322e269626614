//! The pieces that are missing and not asked of anybody, in the order in which they should be asked.
//!
//! Rarest first keeps a bucket per availability (the number of peers that have a piece). A piece whose
//! availability *rises* stays where it is until a scan meets it: its bucket is then a lower bound, the
//! scan moves it up and goes on. A "have" thus costs two cache lines, and however many arrive between
//! two scans, a piece moves once. A piece whose availability *falls* moves at once, or it would be
//! found too late.

use std::ops::ControlFlow;

use super::Order;
use crate::content::Bitmap;

/// Availabilities that can occur: 0..=1,024.
pub(super) const LEVELS: usize = crate::swarm::peer_set::SLOTS + 1;
const NOT_WANTED: u32 = u32::MAX;
/// Buckets smaller than this keep their memory.
const SHRINK_FROM: usize = 1024;

#[derive(Clone, Copy)]
struct Piece {
    /// Where in its bucket; `NOT_WANTED` if it is in none.
    at: u32,
    /// Peers that have it, those with everything not counted.
    availability: u16,
    /// The bucket it is in; never above `availability`.
    bucket: u16,
}

/// Wanted pieces and every piece's availability.
pub(super) struct Wanted {
    order: Order,
    pieces: Vec<Piece>,
    buckets: Vec<Vec<u32>>,
    /// Bit per bucket that holds something.
    filled: [u64; LEVELS.div_ceil(64)],
    /// Bit per wanted piece, lowest bit first.
    bits: Vec<u64>,
    count: u32,
    /// Wanted pieces per availability: exact, unlike the buckets.
    levels: Vec<u32>,
}

impl Wanted {
    /// All pieces that `have` lacks are wanted.
    pub(super) fn new(have: &Bitmap, order: Order) -> Self {
        let len = have.len();
        let mut wanted = Self {
            order,
            pieces: vec![Piece { at: NOT_WANTED, availability: 0, bucket: 0 }; len as usize],
            buckets: vec![Vec::new(); if order == Order::RarestFirst { LEVELS } else { 1 }],
            filled: [0; LEVELS.div_ceil(64)],
            bits: vec![0; (len as usize).div_ceil(64)],
            count: 0,
            levels: vec![0; LEVELS],
        };
        for piece in have.zeros() {
            wanted.insert(piece);
        }
        wanted
    }

    pub(super) fn len(&self) -> u32 {
        self.pieces.len() as u32
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn contains(&self, piece: u32) -> bool {
        // A bit per piece stays in the cache where the table of pieces does not.
        self.bits.get(piece as usize / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    pub(super) fn availability(&self, piece: u32) -> u32 {
        self.pieces.get(piece as usize).map_or(0, |p| u32::from(p.availability))
    }

    /// Wanted pieces per availability.
    pub(super) fn levels(&self) -> &[u32] {
        &self.levels
    }

    /// Where the piece stands in the order: smaller comes first. For rarest first the bucket that it
    /// belongs to.
    pub(super) fn key(&self, piece: u32) -> u32 {
        match self.order {
            Order::RarestFirst => self.availability(piece),
            Order::Sequential => piece,
            Order::Random => 0,
        }
    }

    /// The key by which a scan would meet the piece now; at most [`Wanted::key`].
    pub(super) fn scan_key(&self, piece: u32) -> u32 {
        match self.order {
            Order::RarestFirst => self.pieces.get(piece as usize).map_or(0, |p| u32::from(p.bucket)),
            _ => self.key(piece),
        }
    }

    /// Puts a piece in; false if it was in or does not exist.
    pub(super) fn insert(&mut self, piece: u32) -> bool {
        let Some(p) = self.pieces.get(piece as usize).filter(|p| p.at == NOT_WANTED) else { return false };
        self.levels[usize::from(p.availability)] += 1;
        let bucket = if self.order == Order::RarestFirst { p.availability } else { 0 };
        self.bits[piece as usize / 64] |= 1 << (piece % 64);
        self.count += 1;
        self.push(piece, bucket);
        true
    }

    /// Takes a piece out; false if it was not in.
    pub(super) fn remove(&mut self, piece: u32) -> bool {
        let Some(p) = self.pieces.get(piece as usize).filter(|p| p.at != NOT_WANTED) else { return false };
        self.levels[usize::from(p.availability)] -= 1;
        self.bits[piece as usize / 64] &= !(1 << (piece % 64));
        self.count -= 1;
        self.pull(piece);
        self.pieces[piece as usize].at = NOT_WANTED;
        true
    }

    /// One more peer has the piece.
    pub(super) fn rise(&mut self, piece: u32) {
        let Some(p) = self.pieces.get_mut(piece as usize) else { return };
        if p.at != NOT_WANTED {
            self.levels[usize::from(p.availability)] -= 1;
            self.levels[usize::from(p.availability) + 1] += 1;
        }
        p.availability += 1;
    }

    /// One peer less has it.
    pub(super) fn fall(&mut self, piece: u32) {
        let Some(p) = self.pieces.get_mut(piece as usize).filter(|p| p.availability > 0) else { return };
        p.availability -= 1;
        let Piece { at, availability, bucket } = *p;
        if at == NOT_WANTED {
            return;
        }
        self.levels[usize::from(availability) + 1] -= 1;
        self.levels[usize::from(availability)] += 1;
        if bucket > availability {
            self.pull(piece);
            self.push(piece, availability);
        }
    }

    fn push(&mut self, piece: u32, bucket: u16) {
        let list = &mut self.buckets[usize::from(bucket)];
        let p = &mut self.pieces[piece as usize];
        (p.at, p.bucket) = (list.len() as u32, bucket);
        list.push(piece);
        self.filled[usize::from(bucket) / 64] |= 1 << (bucket % 64);
    }

    fn pull(&mut self, piece: u32) {
        let Piece { at, bucket, .. } = self.pieces[piece as usize];
        let list = &mut self.buckets[usize::from(bucket)];
        list.swap_remove(at as usize);
        if let Some(moved) = list.get(at as usize) {
            self.pieces[*moved as usize].at = at;
        }
        if list.is_empty() {
            self.filled[usize::from(bucket) / 64] &= !(1 << (bucket % 64));
        }
        // A thousand buckets must not each keep the room that all pieces once took in it.
        if list.capacity() > SHRINK_FROM && list.len() < list.capacity() / 4 {
            list.shrink_to(list.len() * 2);
        }
    }

    fn next_bucket(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.filled.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.filled.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    /// Visits wanted pieces with a key of at least `from` in order, `(key, piece)`, equal ones from a
    /// random one on, until the visitor breaks. `Break(key)`: it did, at that key; everything below was
    /// visited.
    pub(super) fn scan(
        &mut self,
        from: u32,
        rng: &mut fastrand::Rng,
        mut visit: impl FnMut(u32, u32) -> ControlFlow<()>,
    ) -> ControlFlow<u32> {
        if self.order == Order::Sequential {
            return self.scan_in_line(from, visit);
        }
        let mut next = self.next_bucket(from as usize);
        while let Some(bucket) = next {
            let key = bucket as u32;
            let start = rng.usize(..self.buckets[bucket].len());
            for (first, last) in [(start, usize::MAX), (0, start)] {
                let mut at = first;
                while at < last.min(self.buckets[bucket].len()) {
                    let piece = self.buckets[bucket][at];
                    let belongs = self.key(piece);
                    if belongs > key {
                        self.pull(piece);
                        self.push(piece, belongs as u16);
                    } else if visit(key, piece).is_break() {
                        return ControlFlow::Break(key);
                    } else {
                        at += 1;
                    }
                }
            }
            next = self.next_bucket(bucket + 1);
        }
        ControlFlow::Continue(())
    }

    fn scan_in_line(&self, from: u32, mut visit: impl FnMut(u32, u32) -> ControlFlow<()>) -> ControlFlow<u32> {
        let first = from as usize / 64;
        for (at, word) in self.bits.iter().enumerate().skip(first) {
            let mut word = if at == first { word & (u64::MAX << (from % 64)) } else { *word };
            while word != 0 {
                let piece = at as u32 * 64 + word.trailing_zeros();
                if visit(piece, piece).is_break() {
                    return ControlFlow::Break(piece);
                }
                word &= word - 1;
            }
        }
        ControlFlow::Continue(())
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        let lists: usize = self.buckets.iter().map(|list| list.capacity() * 4 + size_of::<Vec<u32>>()).sum();
        self.pieces.capacity() * size_of::<Piece>() + self.bits.capacity() * 8 + self.levels.capacity() * 4 + lists
    }
}
