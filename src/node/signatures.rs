//! Signatures that were made lately, as they went on the wire: a file that many send to, or that is asked for again
//! after a break, is hashed once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::delta::hashes::StrongHash;
use crate::store::Version;

/// Bytes of all of them.
const TOTAL: usize = 8 << 20;
/// Bytes of the longest one: of a file of 20 GiB it has 1 MiB.
pub const LONGEST: usize = 2 << 20;

/// Which blocks of which state of which file: by size, time, inode and time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The file as it was.
    pub version: Version,
    /// Bytes of a block.
    pub block_length: u32,
    /// Bytes of each strong hash.
    pub strong_length: u8,
    /// Which one that is, and with which seed.
    pub strong_hash: StrongHash,
}

/// The cache: those used last stay.
#[derive(Debug)]
pub struct Signatures {
    kept: Mutex<VecDeque<(Key, Bytes)>>,
    seed: Option<u64>,
}

impl Signatures {
    /// An empty one, and a seed for as long as this process lives: with one for each request none could be kept.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        let random = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
        let seed = (random == Ok(seed.len())).then(|| u64::from_le_bytes(seed));
        Self { kept: Mutex::default(), seed }
    }

    /// What fast hashes are seeded with: nobody can have made blocks for it that only look alike. None: there was no randomness to be had.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The signature, if it is here.
    pub fn get(&self, key: &Key) -> Option<Bytes> {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(there, _)| there == key)?;
        let found = all.remove(at)?;
        let bytes = found.1.clone();
        all.push_back(found);
        Some(bytes)
    }

    /// Keeps a signature. Those that were not used for longest go.
    pub fn put(&self, key: Key, signature: Bytes) {
        if signature.len() > LONGEST {
            return;
        }
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // An older state of a file is of no use to anybody.
        all.retain(|(there, _)| *there != key && !there.version.same_file(&key.version));
        all.push_back((key, signature));
        let mut total: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
        while total > TOTAL {
            total -= all.pop_front().map_or(total, |(_, bytes)| bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn key(file: &std::fs::File) -> Key {
        Key {
            version: Version::of(file).unwrap(),
            block_length: 512,
            strong_length: 5,
            strong_hash: StrongHash::Sha256,
        }
    }

    #[test]
    fn one_of_each_file_and_only_of_what_it_is_now() {
        let (cache, mut file) = (Signatures::new(), tempfile::tempfile().unwrap());
        let before = key(&file);
        cache.put(before, Bytes::from_static(b"old"));
        assert_eq!(cache.get(&before).unwrap(), "old");
        file.write_all(b"longer").unwrap();
        assert_eq!(cache.get(&key(&file)), None);
        assert_eq!(cache.get(&Key { block_length: 1024, ..before }), None);
        assert_eq!(cache.get(&Key { strong_hash: StrongHash::Xxh3 { seed: 1 }, ..before }), None);
        cache.put(key(&file), Bytes::from_static(b"new"));
        assert_eq!((cache.get(&before), cache.get(&key(&file)).unwrap()), (None, Bytes::from_static(b"new")));
    }

    #[test]
    fn each_node_has_a_seed_of_its_own() {
        let seeds = [Signatures::new().seed(), Signatures::new().seed()];
        assert!(seeds[0].is_some() && seeds[0] != seeds[1]);
    }

    #[test]
    fn it_does_not_grow() {
        let cache = Signatures::new();
        let files: Vec<_> = (0..6).map(|_| tempfile::tempfile().unwrap()).collect();
        for file in &files {
            cache.put(key(file), vec![0; LONGEST].into());
            cache.get(&key(&files[0])).unwrap();
        }
        let here: Vec<bool> = files.iter().map(|file| cache.get(&key(file)).is_some()).collect();
        assert_eq!(here, [true, false, false, true, true, true], "what is used stays");
        cache.put(key(&files[1]), vec![0; LONGEST + 1].into());
        assert!(cache.get(&key(&files[1])).is_none());
    }
}
