//! What tests of several files need.

use std::fs::File;
use std::io::Write as _;

/// Bytes of a seed.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut out);
    out
}

/// A file without a name that holds this.
pub fn file(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file
}
