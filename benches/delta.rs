//! How fast deltas are made: `cargo bench --workspace --bench delta`. One core unless a name says otherwise.
//!
//! `signature` should reach 0.9 of `sha256`; `similar` 800 MB/s; `nothing_matches` 250 MB/s; `hostile` at least half of `nothing_matches`.
#![allow(missing_docs)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use divan::Bencher;
use divan::counter::BytesCount;
use sha2::{Digest as _, Sha256};
use skep_engine::delta::blocks::Blocks;
use skep_engine::delta::hashes::StrongHash;
use skep_engine::delta::matched::Matched;
use skep_engine::delta::rolling::{Roller, Sums, adler32};
use skep_engine::delta::search::search_all;
use skep_engine::delta::signature::Signature;

const SIZE: usize = 256 << 20;
const BLOCK: u32 = 32 << 10;

/// Whether blocks have XXH3-128, as between two of us, or SHA-256, as for others.
const STRONG: [bool; 2] = [true, false];

fn strong(fast: bool) -> StrongHash {
    if fast { StrongHash::Xxh3 { seed: 7 } } else { StrongHash::Sha256 }
}

fn main() {
    divan::main();
}

fn random(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn file(bytes: &[u8]) -> File {
    let memory = Path::new("/dev/shm");
    let file = if memory.is_dir() { tempfile::tempfile_in(memory) } else { tempfile::tempfile() };
    let mut file = file.expect("a temporary file");
    file.write_all(bytes).expect("room for the file");
    file
}

fn sign(file: &File, block: u32, strong: StrongHash, threads: usize) -> Signature {
    let blocks = Blocks::whole(SIZE as u64, block).expect("blocks");
    Signature::of(file, blocks, (strong, 5), threads).expect("a signature")
}

fn search(bencher: Bencher<'_, '_>, source: &File, signature: &Signature) {
    let searches = Matched::nothing(SIZE as u64, SIZE as u64).searches();
    let run = || search_all(source, signature, &signature.hashes(), &searches, 1).expect("matches");
    bencher.counter(BytesCount::new(SIZE)).bench(run);
}

/// What nothing that hashes can be faster than.
#[divan::bench(sample_count = 5)]
fn sha256(bencher: Bencher<'_, '_>) {
    let bytes = random(1);
    let run = || bytes.chunks(BLOCK as usize).map(|block| Sha256::digest(block)[0]).fold(0, |a, b| a ^ b);
    bencher.counter(BytesCount::new(SIZE)).bench(run);
}

#[divan::bench(sample_count = 5)]
fn adler(bencher: Bencher<'_, '_>) {
    let bytes = random(1);
    let run = || bytes.chunks(BLOCK as usize).map(adler32).fold(0, |a, b| a ^ b);
    bencher.counter(BytesCount::new(SIZE)).bench(run);
}

/// The weak hash alone, byte by byte.
#[divan::bench(sample_count = 5)]
fn rolling(bencher: Bencher<'_, '_>) {
    let bytes = random(1);
    let roller = Roller::new(BLOCK as usize);
    let run = || {
        let (mut hash, mut seen) = (Sums::of(adler32(&bytes[..BLOCK as usize])), 0);
        for (out, in_) in bytes.iter().zip(&bytes[BLOCK as usize..]) {
            hash = roller.roll(hash, *out, *in_);
            seen ^= hash.hash();
        }
        seen
    };
    bencher.counter(BytesCount::new(SIZE)).bench(run);
}

#[divan::bench(args = [512, 32 << 10, 128 << 10], consts = STRONG, sample_count = 5)]
fn signature<const FAST: bool>(bencher: Bencher<'_, '_>, block: u32) {
    let file = file(&random(1));
    bencher.counter(BytesCount::new(SIZE)).bench(|| sign(&file, block, strong(FAST), 1));
}

#[divan::bench(consts = STRONG, sample_count = 5)]
fn signature_of_zeros<const FAST: bool>(bencher: Bencher<'_, '_>) {
    let file = file(&vec![0; SIZE]);
    bencher.counter(BytesCount::new(SIZE)).bench(|| sign(&file, BLOCK, strong(FAST), 1));
}

/// The same but for 16 KiB in each MiB, and one byte more at the front.
#[divan::bench(consts = STRONG, sample_count = 5)]
fn similar<const FAST: bool>(bencher: Bencher<'_, '_>) {
    let old = random(1);
    let mut new = old.clone();
    new.chunks_mut(1 << 20).for_each(|chunk| chunk[5000..21_000].fill(7));
    new.insert(0, 1);
    new.truncate(SIZE);
    search(bencher, &file(&new), &sign(&file(&old), BLOCK, strong(FAST), 0));
}

#[divan::bench(args = [512, 32 << 10, 128 << 10], consts = STRONG, sample_count = 5)]
fn nothing_matches<const FAST: bool>(bencher: Bencher<'_, '_>, block: u32) {
    search(bencher, &file(&random(1)), &sign(&file(&random(2)), block, strong(FAST), 0));
}

/// Every block of the old file has the weak hash of zeros, none is; the new file is zeros.
#[divan::bench(consts = STRONG, sample_count = 5)]
fn hostile<const FAST: bool>(bencher: Bencher<'_, '_>) {
    let mut old = vec![0; SIZE];
    for (n, block) in old.chunks_mut(BLOCK as usize).enumerate() {
        collide(block, n);
    }
    search(bencher, &file(&vec![0; SIZE]), &sign(&file(&old), BLOCK, strong(FAST), 0));
}

/// Makes a block of zeros one of other bytes with the same Adler-32, a different one for each `n`: the sum of its bytes is the modulus,
/// and bytes are moved until what they weigh by position is a multiple of it, too.
fn collide(block: &mut [u8], n: usize) {
    let mut rng = fastrand::Rng::with_seed(n as u64);
    let zeros = adler32(block);
    let from = rng.usize(..block.len() - 600);
    block[from..from + 256].fill(255);
    block[from + 256] = 241;
    while adler32(block) != zeros {
        // Moving a unit to the right by a byte takes one from the weight.
        let off = ((adler32(block) >> 16) + 65_521 - (zeros >> 16)) % 65_521;
        let at = from + rng.usize(..257);
        let to = at + (off as usize).min(1 + rng.usize(..block.len() - 1));
        if to < block.len() && block[at] > 0 && block[to] < 255 {
            block[at] -= 1;
            block[to] += 1;
        }
    }
}
