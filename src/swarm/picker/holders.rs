//! Who has which piece: the bitmaps of all peers, turned by 90 degrees.
//!
//! A row per *piece* with a bit per peer slot, not a row per peer. "Does anybody with a free slot have
//! piece 7?" is then one AND over one or two cache lines instead of a look into up to a thousand
//! bitmaps, and it takes the same memory: 125 KB per peer at a million pieces. Rows start one word wide
//! and grow with the number of peers (1, 2, 4, 8 words; slots from 512 up live in a second plane), so a
//! small swarm pays for what it has.

use crate::swarm::peer_set::PeerSet;

/// Words per cache line; rows are powers of two wide, so none straddles a line.
const LINE: usize = 8;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LINE]);

#[derive(Default)]
struct Plane {
    /// Words per row: 0 (no row yet), 1, 2, 4 or 8.
    width: usize,
    lines: Vec<Line>,
}

impl Plane {
    fn row(&self, piece: u32) -> &[u64] {
        if self.width == 0 {
            return &[];
        }
        let at = piece as usize * self.width;
        &self.lines[at / LINE].0[at % LINE..][..self.width]
    }

    fn row_mut(&mut self, piece: u32) -> &mut [u64] {
        if self.width == 0 {
            return &mut [];
        }
        let at = piece as usize * self.width;
        &mut self.lines[at / LINE].0[at % LINE..][..self.width]
    }

    fn grow(&mut self, pieces: u32, width: usize) {
        if width <= self.width {
            return;
        }
        let lines = (pieces as usize * width).div_ceil(LINE);
        let mut wider = Self { width, lines: vec![Line([0; LINE]); lines] };
        if self.width > 0 {
            for piece in 0..pieces {
                wider.row_mut(piece)[..self.width].copy_from_slice(self.row(piece));
            }
        }
        *self = wider;
    }
}

/// The rows of `pieces` pieces.
pub(super) struct Holders {
    pieces: u32,
    planes: [Plane; 2],
}

impl Holders {
    pub(super) fn new(pieces: u32) -> Self {
        Self { pieces, planes: Default::default() }
    }

    /// Makes room for `slot`. O(pieces) when rows get wider, which happens at most five times.
    pub(super) fn reserve(&mut self, slot: u16) {
        let (plane, word) = Self::place(slot);
        self.planes[plane].grow(self.pieces, (word + 1).next_power_of_two());
    }

    /// (plane, word within its row)
    fn place(slot: u16) -> (usize, usize) {
        (slot as usize / 512 % 2, slot as usize % 512 / 64)
    }

    fn word(&mut self, piece: u32, slot: u16) -> Option<&mut u64> {
        let (plane, word) = Self::place(slot);
        if piece >= self.pieces {
            return None;
        }
        self.planes[plane].row_mut(piece).get_mut(word)
    }

    /// Sets the bit; true if it was clear. The slot must have been reserved.
    pub(super) fn set(&mut self, piece: u32, slot: u16) -> bool {
        let bit = 1 << (slot % 64);
        let Some(word) = self.word(piece, slot) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Clears the bit; true if it was set.
    pub(super) fn clear(&mut self, piece: u32, slot: u16) -> bool {
        let bit = 1 << (slot % 64);
        let Some(word) = self.word(piece, slot) else { return false };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    pub(super) fn get(&self, piece: u32, slot: u16) -> bool {
        let (plane, word) = Self::place(slot);
        piece < self.pieces && self.planes[plane].row(piece).get(word).is_some_and(|w| w >> (slot % 64) & 1 == 1)
    }

    /// Does anybody in `among` have it?
    pub(super) fn any(&self, piece: u32, among: &PeerSet) -> bool {
        let meets = |plane: &Plane, words: &[u64]| plane.row(piece).iter().zip(words).any(|(a, b)| a & b != 0);
        meets(&self.planes[0], &among.0[..8]) || meets(&self.planes[1], &among.0[8..])
    }

    /// Everybody who has it.
    pub(super) fn row(&self, piece: u32) -> PeerSet {
        let mut set = PeerSet::EMPTY;
        for (plane, words) in self.planes.iter().zip(set.0.chunks_exact_mut(8)) {
            let row = plane.row(piece);
            words[..row.len()].copy_from_slice(row);
        }
        set
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        self.planes.iter().map(|plane| plane.lines.capacity() * size_of::<Line>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_bits_while_they_grow() {
        let mut holders = Holders::new(19);
        let slots = [0u16, 63, 64, 130, 300, 511, 512, 999];
        for (n, slot) in slots.into_iter().enumerate() {
            holders.reserve(slot);
            for piece in (n as u32..19).step_by(2) {
                assert!(holders.set(piece, slot));
                assert!(!holders.set(piece, slot));
            }
        }
        for piece in 0..19 {
            let expected: Vec<u16> = (0u32..)
                .zip(slots)
                .filter(|(n, _)| piece >= *n && (piece - n) % 2 == 0)
                .map(|(_, slot)| slot)
                .collect();
            assert!(holders.row(piece).iter().eq(expected.iter().copied()), "piece {piece}");
            for slot in slots {
                assert_eq!(holders.get(piece, slot), expected.contains(&slot));
                assert_eq!(holders.any(piece, &PeerSet::only(slot)), expected.contains(&slot));
            }
        }
        assert!(holders.clear(18, 0) && !holders.get(18, 0) && !holders.clear(18, 0));
        assert!(!holders.set(19, 0) && !holders.get(19, 0));
    }
}
