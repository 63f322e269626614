//! Signatures: the weak and the strong hash of each block of the file that is at the destination.
//!
//! Made on all cores, each block read once and hashed from the cache, several at once. A block equal to the one before it
//! (zeros, patterns) is compared, not hashed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::blocks::Blocks;
use super::hashes::{BlockHashes, Hashes, LANES, MAX_STRONG, StrongHash};
use super::ordered::in_order;
use crate::aligned::Aligned;

/// Bytes per read: small enough for L2, where hashing finds them again.
const STEP: usize = 128 << 10;
/// Longer blocks are read one by one, in bytes.
const TOGETHER: usize = 256 << 10;
/// Bytes and blocks that a thread does at a time.
const CHUNK: u64 = 4 << 20;
const CHUNK_BLOCKS: u64 = 8192;

/// The hashes of some blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which blocks.
    pub blocks: Blocks,
    /// Bytes kept of each strong hash: 1 to 32.
    pub strong_length: u8,
    /// Which one that is, of our own: files in a format of others have theirs beside them.
    pub strong_hash: StrongHash,
    weak: Vec<u32>,
    strong: Vec<u8>,
}

/// The hashes of consecutive blocks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// One for each block.
    pub weak: Vec<u32>,
    /// The signature's `strong_length` bytes for each block.
    pub strong: Vec<u8>,
}

impl Signature {
    /// One without hashes yet: see [`extend`](Self::extend).
    pub fn empty(blocks: Blocks, strong_length: u8, strong_hash: StrongHash) -> Self {
        Self { blocks, strong_length, strong_hash, weak: Vec::new(), strong: Vec::new() }
    }

    /// Appends the hashes of the next blocks; what is too much is left out.
    pub fn extend(&mut self, hashed: &Hashed) {
        let room = (self.blocks.count() as usize).saturating_sub(self.weak.len());
        let taken = hashed.weak.len().min(room);
        self.weak.extend_from_slice(&hashed.weak[..taken]);
        self.strong.extend_from_slice(&hashed.strong[..taken * usize::from(self.strong_length)]);
    }

    /// How many blocks have their hashes.
    pub fn len(&self) -> u32 {
        self.weak.len() as u32
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.weak.is_empty()
    }

    /// The weak hash of a block.
    #[inline]
    pub fn weak(&self, index: u32) -> u32 {
        self.weak[index as usize]
    }

    /// The strong hash of a block, cut to the signature's length.
    pub fn strong(&self, index: u32) -> &[u8] {
        let length = usize::from(self.strong_length);
        &self.strong[index as usize * length..][..length]
    }

    /// The hashes that it is of.
    pub fn hashes(&self) -> BlockHashes {
        BlockHashes::new(self.blocks.length(), self.strong_hash)
    }

    /// The hashes of `blocks` of `file`, made on `threads` threads (0: one per core).
    ///
    /// # Errors
    /// As [`sign`].
    pub fn of(file: &File, blocks: Blocks, strong: (StrongHash, u8), threads: usize) -> io::Result<Self> {
        let mut signature = Self::empty(blocks, strong.1, strong.0);
        let (blocks, hashes) = (signature.blocks.clone(), signature.hashes());
        sign(file, &blocks, &hashes, strong.1, threads, |hashed| {
            signature.extend(&hashed);
            Ok(())
        })?;
        Ok(signature)
    }
}

/// Hashes `blocks` of `file` on `threads` threads (0: one per core) and hands the hashes on in order. Blocks.
///
/// # Errors
/// The file cannot be read or is shorter than `blocks` says (`UnexpectedEof`); whatever `sink` says.
pub fn sign(
    file: &File,
    blocks: &Blocks,
    hashes: &impl Hashes,
    strong_length: u8,
    threads: usize,
    sink: impl FnMut(Hashed) -> io::Result<()>,
) -> io::Result<()> {
    let chunks = chunks(blocks);
    let work = |signer: &mut Signer<'_, _>, item: usize| signer.chunk(chunks[item].0, chunks[item].1);
    let state = || Signer { file, hashes, block: blocks.length() as usize, strong_length, buffer: Aligned::default() };
    in_order(chunks.len(), threads, state, work, sink)
}

/// Stretches of at most [`CHUNK`] bytes (but at least a block) and [`CHUNK_BLOCKS`] blocks: where, and how long.
fn chunks(blocks: &Blocks) -> Vec<(u64, u64)> {
    let unit = u64::from(blocks.length());
    let step = (CHUNK / unit).clamp(1, CHUNK_BLOCKS) * unit;
    let of = |range: &std::ops::Range<u64>| {
        let range = range.clone();
        (range.start..range.end).step_by(step as usize).map(move |at| (at, step.min(range.end - at)))
    };
    blocks.ranges().iter().flat_map(of).collect()
}

struct Signer<'a, H> {
    file: &'a File,
    hashes: &'a H,
    block: usize,
    strong_length: u8,
    buffer: Aligned,
}

impl<H: Hashes> Signer<'_, H> {
    fn chunk(&mut self, offset: u64, length: u64) -> io::Result<Hashed> {
        let kept = usize::from(self.strong_length).min(MAX_STRONG);
        let count = length.div_ceil(self.block as u64) as usize;
        let mut hashed = Hashed { weak: Vec::with_capacity(count), strong: Vec::with_capacity(count * kept) };
        let together = if self.block <= TOGETHER && self.hashes.is_dear() { LANES } else { 1 };
        let step = (STEP / self.block).max(together) * self.block;
        let mut at = 0;
        while at < length {
            let want = (step as u64).min(length - at) as usize;
            self.buffer.grow(want);
            let buffer = &mut self.buffer[..want];
            self.file.read_exact_at(buffer, offset + at)?;
            self.hash(want, kept, &mut hashed);
            at += want as u64;
        }
        Ok(hashed)
    }

    /// Hashes what the buffer begins with.
    fn hash(&self, length: usize, kept: usize, hashed: &mut Hashed) {
        let mut before: &[u8] = &[];
        let (mut blocks, mut digests) = (Vec::with_capacity(LANES), [[0; MAX_STRONG]; LANES]);
        // Those to be hashed, and after each of them how often it comes again.
        let mut again = [0_usize; LANES];
        let mut flush = |blocks: &mut Vec<&[u8]>, again: &mut [usize; LANES]| {
            self.hashes.strong_each(blocks, &mut digests);
            for ((block, digest), again) in blocks.iter().zip(&digests).zip(again.iter_mut()) {
                let weak = self.hashes.weak(block);
                for _ in 0..=std::mem::take(again) {
                    hashed.weak.push(weak);
                    hashed.strong.extend_from_slice(&digest[..kept]);
                }
            }
            blocks.clear();
        };
        for block in self.buffer[..length].chunks(self.block) {
            if let Some(last) = blocks.len().checked_sub(1).filter(|_| block == before) {
                again[last] += 1;
            } else {
                if blocks.len() == LANES {
                    flush(&mut blocks, &mut again);
                }
                blocks.push(block);
            }
            before = block;
        }
        flush(&mut blocks, &mut again);
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::rolling::adler32;
    use super::super::testing::{bytes, file};
    use super::*;

    #[test]
    fn blocks_are_hashed_in_order_whatever_the_threads() {
        let mut data = bytes(10_000_077, 1);
        data[5_000_000..6_000_000].fill(0);
        let there = file(&data);
        for (length, threads) in [(64 << 10, 1), (64 << 10, 3), (1000, 2)] {
            let blocks = Blocks::whole(data.len() as u64, length).unwrap();
            let signature = Signature::of(&there, blocks, (StrongHash::Sha256, 7), threads).unwrap();
            assert_eq!(signature.len(), signature.blocks.count());
            for (index, block) in data.chunks(length as usize).enumerate() {
                assert_eq!(signature.weak(index as u32), adler32(block));
                assert_eq!(signature.strong(index as u32), &Sha256::digest(block)[..7]);
            }
        }
        let blocks = Blocks::new(data.len() as u64, 1000, vec![3000..9000, 10_000_000..10_000_077]).unwrap();
        let signature = Signature::of(&there, blocks, (StrongHash::Sha256, 32), 2).unwrap();
        assert_eq!((signature.len(), signature.weak(2)), (7, adler32(&data[5000..6000])));
        assert_eq!(signature.strong(6), &Sha256::digest(&data[10_000_000..])[..]);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let there = file(&[1; 100]);
        let error =
            Signature::of(&there, Blocks::whole(1 << 30, 1 << 16).unwrap(), (StrongHash::Sha256, 4), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
