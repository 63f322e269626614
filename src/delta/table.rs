//! From a weak hash to the blocks that have it.
//!
//! A bitmap that stays in the cache turns away nearly all positions where nothing matches; behind it a chained table. Chains are
//! bounded when they are made: blocks beyond [`CHAIN`] are not found by search (as the expected next block they still are).
//! So whatever a signature claims, looking up is O(1).

use super::rolling::mix;
use super::signature::Signature;

/// Most entries of a chain. At the table's load half of the chains are empty and none is this long, unless somebody means it.
const CHAIN: usize = 16;
/// Bits of the bitmap per block: one position in some 200 passes by chance.
const BITS_PER_BLOCK: usize = 32;
/// Words of the bitmap: at most 2 MiB.
const MAX_WORDS: usize = 1 << 18;
const NONE: u32 = u32::MAX;

/// An index of a signature's whole blocks.
#[derive(Debug)]
pub struct Table {
    filter: Vec<u64>,
    heads: Vec<u32>,
    next: Vec<u32>,
    /// Blocks that were looked at.
    seen: u32,
}

impl Table {
    /// Indexes all blocks but a short last one. Of several equal blocks the first is kept.
    pub fn new(signature: &Signature) -> Self {
        let mut table = Self::with_room(signature.blocks.count());
        table.extend(signature);
        table
    }

    /// An empty one, for a signature of so many blocks that is on its way.
    pub fn with_room(blocks: u32) -> Self {
        let count = blocks as usize;
        let words = (count * BITS_PER_BLOCK / 64).next_power_of_two().clamp(16, MAX_WORDS);
        let heads = (count * 2).next_power_of_two().max(16);
        Self { filter: vec![0; words], heads: vec![NONE; heads], next: vec![NONE; count], seen: 0 }
    }

    /// Indexes the blocks that came since.
    pub fn extend(&mut self, signature: &Signature) {
        let tail = signature.blocks.tail().map(|(index, _)| index);
        for index in (self.seen..signature.len()).filter(|index| Some(*index) != tail) {
            self.insert(signature, index);
        }
        self.seen = signature.len();
    }

    fn insert(&mut self, signature: &Signature, index: u32) {
        let weak = signature.weak(index);
        let (word, bits) = self.bits(weak);
        self.filter[word] |= bits;
        let head = mix(weak) as usize & (self.heads.len() - 1);
        let mut at = self.heads[head];
        if at == NONE {
            self.heads[head] = index;
            return;
        }
        for _ in 1..CHAIN {
            if signature.weak(at) == weak && signature.strong(at) == signature.strong(index) {
                return;
            }
            let next = self.next[at as usize];
            if next == NONE {
                self.next[at as usize] = index;
                return;
            }
            at = next;
        }
    }

    /// A word of the bitmap and two bits of it: a second bit costs nothing once the word is there. One multiplication
    /// (Fibonacci hashing) spreads well enough for what is looked up in the table if it passes.
    #[inline(always)]
    fn bits(&self, weak: u32) -> (usize, u64) {
        let spread = u64::from(weak).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (spread >> 40) as usize & (self.filter.len() - 1);
        (place, 1 << (spread >> 58) | 1 << (spread >> 32 & 63))
    }

    /// False: no block has this hash. True: perhaps.
    #[inline(always)]
    pub fn may_have(&self, weak: u32) -> bool {
        let (word, bits) = self.bits(weak);
        self.filter[word] & bits == bits
    }

    /// The blocks with this hash, at most 16.
    pub fn with<'a>(&'a self, signature: &'a Signature, weak: u32) -> impl Iterator<Item = u32> + 'a {
        let head = self.heads[mix(weak) as usize & (self.heads.len() - 1)];
        let chain = std::iter::successors(Some(head), |at| self.next.get(*at as usize).copied());
        chain.take_while(|at| *at != NONE).filter(move |at| signature.weak(*at) == weak)
    }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Blocks;
    use super::super::hashes::StrongHash;
    use super::super::signature::Hashed;
    use super::*;

    fn signature(weak: Vec<u32>) -> Signature {
        let blocks = Blocks::whole(weak.len() as u64 * 64, 64).unwrap();
        let strong = (0..weak.len() as u32).flat_map(u32::to_le_bytes).collect();
        let mut signature = Signature::empty(blocks, 4, StrongHash::Sha256);
        signature.extend(&Hashed { weak, strong });
        signature
    }

    #[test]
    fn every_block_is_found_and_little_else_passes() {
        let mut rng = fastrand::Rng::with_seed(4);
        for count in [1, 1000, 40_000] {
            let signature = signature((0..count).map(|_| rng.u32(..)).collect());
            let table = Table::new(&signature);
            for index in 0..count {
                let weak = signature.weak(index);
                assert!(table.may_have(weak) && table.with(&signature, weak).any(|found| found == index));
            }
            let others = (0..100_000).filter(|_| table.may_have(rng.u32(..))).count();
            assert!(others < 2000, "{others} of 100,000 pass at {count}");
        }
    }

    #[test]
    fn short_similar_blocks_spread() {
        // Adler-32 of 64 bytes of text: few of the sums that there could be.
        let weak: std::collections::BTreeSet<u32> =
            (0..200_000_u32).map(|n| super::super::rolling::adler32(format!("{n:064}").as_bytes())).collect();
        let signature = signature(weak.into_iter().collect());
        let table = Table::new(&signature);
        let lost = (0..signature.len()).filter(|i| !table.with(&signature, signature.weak(*i)).any(|f| f == *i));
        assert_eq!(lost.count(), 0);
    }

    #[test]
    fn chains_are_bounded() {
        let signature = signature(vec![77; 100_000]);
        let table = Table::new(&signature);
        assert_eq!(table.with(&signature, 77).count(), CHAIN);
    }
}
