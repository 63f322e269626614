//! What a scan found for one peer, kept so that it need not be found again.
//!
//! A peer that has little of what we want makes a scan long. The scan notes what it meets for that
//! peer, up to a *horizon*: every wanted piece of the peer that stands below the horizon is in its heap.
//! The next look starts at the horizon; behind the last piece it is [`DONE`], and the heap is all there
//! is. Pieces that come to the peer below its horizon are pushed; entries that are no longer wanted are
//! dropped when they come up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Horizon of a peer whose heap holds everything of it that is wanted.
pub(super) const DONE: u32 = u32::MAX;
/// A heap may hold this many pieces, or one in `SHARE` of the wanted ones if that is more: 32 KiB per
/// peer at a million pieces. A peer with more is quickly met by scanning. (Few in tests, so that small
/// swarms meet the limit.)
const SMALL: usize = if cfg!(test) { 24 } else { 1024 };
const SHARE: usize = 256;
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
    heap: BinaryHeap<Entry>,
    salt: u32,
    /// Keys below it are covered by the heap.
    pub(super) horizon: u32,
    /// Pushes since stale entries were last swept out.
    pushed: usize,
}

impl Candidates {
    /// A peer about which everything is known: it has nothing, or just what is pushed next.
    pub(super) fn known(salt: u32) -> Self {
        Self { horizon: DONE, salt, ..Self::default() }
    }

    /// A peer about which nothing is known yet.
    pub(super) fn unknown(salt: u32) -> Self {
        Self { salt, ..Self::default() }
    }

    fn shuffled(&self, piece: u32) -> u32 {
        (piece ^ self.salt).wrapping_mul(SHUFFLE)
    }

    fn piece(&self, shuffled: u32) -> u32 {
        shuffled.wrapping_mul(UNSHUFFLE) ^ self.salt
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many pieces a heap may take while `wanted` are wanted.
    pub(super) fn limit(wanted: u32) -> usize {
        (wanted as usize / SHARE).max(SMALL)
    }

    /// Adds a piece that a scan met; the scan sees to the room.
    pub(super) fn note(&mut self, key: u32, piece: u32) {
        self.heap.push(Reverse((key, self.shuffled(piece))));
    }

    /// Adds a piece. `live` tells if an older entry still counts.
    pub(super) fn push(&mut self, key: u32, piece: u32, wanted: u32, live: impl Fn(u32) -> bool) {
        self.heap.push(Reverse((key, self.shuffled(piece))));
        self.pushed += 1;
        let limit = Self::limit(wanted);
        if self.heap.len() <= limit || self.pushed <= limit / 4 {
            return;
        }
        self.pushed = 0;
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|Reverse((_, shuffled))| live(self.piece(*shuffled)));
        if heap.len() > limit / 4 * 3 {
            // So many that scanning finds them: forget, and start from the front.
            *self = Self::unknown(self.salt);
        } else {
            heap.shrink_to(limit);
            self.heap = heap;
        }
    }

    /// The first piece in order that is still `live`, with its key of now.
    pub(super) fn first(&mut self, key: impl Fn(u32) -> u32, live: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        let mut repairs = REPAIRS;
        loop {
            let Reverse((noted, shuffled)) = *self.heap.peek()?;
            let piece = self.piece(shuffled);
            if !live(piece) {
                self.heap.pop();
                continue;
            }
            let now = key(piece);
            if now <= noted || repairs == 0 {
                return Some((now, piece));
            }
            repairs -= 1;
            self.heap.pop();
            self.heap.push(Reverse((now, shuffled)));
        }
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<Entry>()
    }
}
