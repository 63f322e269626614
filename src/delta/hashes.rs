//! The two hashes of a block: a weak one that rolls, a strong one that decides.

use sha2::{Digest as _, Sha256};
use twox_hash::XxHash3_128;

use super::rolling::{Roller, Sums, adler32};

/// Longest strong hash, in bytes.
pub const MAX_STRONG: usize = 32;

/// A pair of hashes for blocks of one length.
pub trait Hashes: Sync {
    /// A weak hash as it rolls.
    type Rolling: Copy;

    /// The weak hash of a block of any length.
    fn weak(&self, block: &[u8]) -> u32;

    /// To roll on from a weak hash.
    fn rolling(&self, weak: u32) -> Self::Rolling;

    /// The window one byte further, for windows of the blocks' full length.
    fn roll(&self, rolling: Self::Rolling, out: u8, in_: u8) -> Self::Rolling;

    /// The weak hash that it stands at.
    fn rolled(&self, rolling: Self::Rolling) -> u32;

    /// The strong hash of a block of any length.
    fn strong(&self, block: &[u8]) -> [u8; MAX_STRONG];

    /// Whether a strong hash takes much longer than a look at the bytes: then blocks are best hashed several at once, and compared first.
    fn is_dear(&self) -> bool {
        true
    }

    /// The strong hashes of several blocks, as many as `out` has room for.
    fn strong_each(&self, blocks: &[&[u8]], out: &mut [[u8; MAX_STRONG]]) {
        for (block, out) in blocks.iter().zip(out) {
            *out = self.strong(block);
        }
    }
}

/// Blocks whose strong hashes are best computed together.
pub const LANES: usize = 4;

/// The strong hash of a signature's blocks, cut to what the signature keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrongHash {
    /// SHA-256 (FIPS 180-4): what everybody has.
    #[default]
    Sha256,
    /// XXH3-128 (xxHash 0.8), its bytes as of a little-endian number: some ten times as fast. It resists nobody who knows the seed. Whoever has two
    /// blocks of one hash makes a file that is put together wrong, and is sent whole when its SHA-256 shows that: no more.
    Xxh3 {
        /// Chosen by who makes the signature, at random.
        seed: u64,
    },
}

/// Adler-32 and a strong hash: those of this project's own signatures.
#[derive(Debug, Clone)]
pub struct BlockHashes {
    roller: Roller,
    strong: StrongHash,
}

impl BlockHashes {
    /// For blocks of `length` bytes.
    pub fn new(length: u32, strong: StrongHash) -> Self {
        Self { roller: Roller::new(length as usize), strong }
    }
}

impl Hashes for BlockHashes {
    type Rolling = Sums;

    #[inline]
    fn weak(&self, block: &[u8]) -> u32 {
        adler32(block)
    }

    #[inline(always)]
    fn rolling(&self, weak: u32) -> Sums {
        Sums::of(weak)
    }

    #[inline(always)]
    fn roll(&self, sums: Sums, out: u8, in_: u8) -> Sums {
        self.roller.roll(sums, out, in_)
    }

    #[inline(always)]
    fn rolled(&self, sums: Sums) -> u32 {
        sums.hash()
    }

    fn strong(&self, block: &[u8]) -> [u8; MAX_STRONG] {
        match self.strong {
            StrongHash::Sha256 => Sha256::digest(block).into(),
            StrongHash::Xxh3 { seed } => {
                let mut digest = [0; MAX_STRONG];
                digest[..16].copy_from_slice(&XxHash3_128::oneshot_with_seed(seed, block).to_le_bytes());
                digest
            }
        }
    }

    fn is_dear(&self) -> bool {
        self.strong == StrongHash::Sha256
    }

    fn strong_each(&self, blocks: &[&[u8]], out: &mut [[u8; MAX_STRONG]]) {
        match self.strong {
            // Interleaved: the units for SHA-256 wait for one another within a block, not between blocks.
            StrongHash::Sha256 => {
                let count = blocks.len().min(out.len());
                tape_sha256::hash_many(&blocks[..count], &mut out[..count]);
            }
            StrongHash::Xxh3 { .. } => blocks.iter().zip(out).for_each(|(block, out)| *out = self.strong(block)),
        }
    }
}

/// How many bytes of a strong hash a signature needs, so that by chance no block is taken for another one.
///
/// Every position of the source is compared with every block: `positions * blocks` comparisons, each wrong with a chance of
/// 2^-bits. 20 bits more than that leave one file in a million that is sent anew: the digest of the whole file notices (rsync:
/// 10 bits, `BLOCKSUM_BIAS`). Adler-32 is worth less than 32 of these bits where blocks are short: its sum of up to 2048 bytes of
/// text takes few of the values that it could.
pub fn strong_length(blocks: u64, positions: u64, block_length: u32) -> u8 {
    let bits = |n: u64| 64 - n.max(1).leading_zeros();
    let weak = if block_length >= 4096 { 31 } else { 26 };
    let needed = (bits(blocks) + bits(positions) + 20_u32).saturating_sub(weak);
    needed.div_ceil(8).clamp(3, 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hashed_together_are_hashed_alike() {
        let data = super::super::testing::bytes(300_000, 1);
        for strong in [StrongHash::Sha256, StrongHash::Xxh3 { seed: 9 }] {
            let hashes = BlockHashes::new(64, strong);
            for (length, count) in [(64, 1), (1000, 3), (1, 4), (4096, 9), (55, 6), (0, 2), (65_536, 4)] {
                let blocks: Vec<&[u8]> =
                    (0..count).map(|n| &data[n * length..][..length - n.min(length / 2)]).collect();
                let mut out = vec![[0; MAX_STRONG]; count];
                hashes.strong_each(&blocks, &mut out);
                assert!(blocks.iter().zip(&out).all(|(block, out)| hashes.strong(block) == *out), "{length}");
            }
        }
    }

    #[test]
    fn golden_values() {
        let hex =
            |strong, block: &[u8]| data_encoding::HEXLOWER.encode(&BlockHashes::new(64, strong).strong(block)[..16]);
        assert_eq!(hex(StrongHash::Sha256, b"abc"), "ba7816bf8f01cfea414140de5dae2223");
        // Those of `xxhsum -H128` (which writes the number from its other end), of xxHash 0.8.
        let without = |block: &[u8]| hex(StrongHash::Xxh3 { seed: 0 }, block);
        assert_eq!(without(b""), "7f498d4624c30160d8984701d306aa99");
        // Every seed has hashes of its own, of blocks of all lengths.
        for length in [1, 16, 128, 240, 241, 4096] {
            let block = vec![7; length];
            assert_ne!(without(&block), hex(StrongHash::Xxh3 { seed: 1 }, &block), "{length}");
        }
    }

    #[test]
    fn more_comparisons_need_more_bits() {
        assert_eq!(strong_length(1 << 14, 1 << 30, 1 << 16), 5);
        assert_eq!(strong_length(20, 10_000, 512), 3);
        assert_eq!(strong_length(1 << 21, 1 << 40, 512), 8);
        for (blocks, positions) in [(0, 0), (1, 1), (u64::MAX, u64::MAX)] {
            assert!((3..=16).contains(&strong_length(blocks, positions, 512)));
        }
    }
}
