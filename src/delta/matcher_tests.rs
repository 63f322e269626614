use proptest::prelude::*;

use super::super::blocks::Blocks;
use super::super::hashes::StrongHash;
use super::super::matched::Matched;
use super::super::search::search_all;
use super::super::testing::{bytes, file};
use super::*;

fn sign(data: &[u8], block: u32, strong: StrongHash) -> Signature {
    Signature::of(&file(data), Blocks::whole(data.len() as u64, block).unwrap(), (strong, 6), 1).unwrap()
}

/// What is found, which does not depend on the strong hash.
fn found(old: &[u8], new: &[u8], block: u32) -> Matched {
    let matched = found_by(old, new, block, StrongHash::Sha256);
    assert_eq!(matched.runs(), found_by(old, new, block, StrongHash::Xxh3 { seed: u64::MAX }).runs());
    matched
}

fn found_by(old: &[u8], new: &[u8], block: u32, strong: StrongHash) -> Matched {
    let signature = sign(old, block, strong);
    let mut matched = Matched::nothing(new.len() as u64, old.len() as u64);
    let runs = search_all(&file(new), &signature, &signature.hashes(), &matched.searches(), 2).unwrap();
    matched.add(runs, block);
    for run in matched.runs() {
        let (a, b, n) = (run.source as usize, run.destination as usize, run.length as usize);
        assert!(new[a..a + n] == old[b..b + n], "{run:?} is not what it says");
    }
    matched
}

#[test]
fn equal_files_are_one_run() {
    for size in [1, 511, 512, 513, 1024, 100_000, 20_000_000] {
        let data = bytes(size, 1);
        let matched = found(&data, &data, 512);
        assert_eq!(matched.runs(), [Run { source: 0, destination: 0, length: size as u64 }], "{size}");
    }
}

#[test]
fn what_is_moved_inserted_and_left_out_is_found() {
    let old = bytes(1_000_000, 2);
    let mut new = b"in front".to_vec();
    new.extend_from_slice(&old[700_000..]);
    new.extend_from_slice(&old[..400_000]);
    new.extend_from_slice(b"between");
    new.extend_from_slice(&old[400_000..700_000]);
    let matched = found(&old, &new, 1000);
    assert!(matched.literal_bytes() < 15 + 3 * 1000, "{:?}", matched.runs());
}

#[test]
fn changed_in_place_costs_the_blocks_around_it() {
    let old = bytes(1_000_000, 3);
    let mut new = old.clone();
    for at in [0, 10_000, 11_500, 500_500, 999_999] {
        new[at] ^= 1;
    }
    assert_eq!(found(&old, &new, 1000).literal_bytes(), 5 * 1000);
}

#[test]
fn the_short_block_at_the_end_is_found_at_the_end_and_in_its_place() {
    let old = bytes(10_300, 4);
    let appended = [&old[..], &bytes(5000, 5)].concat();
    assert_eq!(found(&old, &appended, 1000).literal_bytes(), 5000);
    let before = [&bytes(5555, 6), &old[10_000..]].concat();
    assert_eq!(found(&old, &before, 1000).matched_bytes(), 300);
    assert_eq!(found(&old, &old[..9999], 1000).literal_bytes(), 999);
    assert_eq!(found(&old[..300], &before, 1000).matched_bytes(), 0, "another tail");
}

#[test]
fn files_of_zeros_match_in_one_run() {
    let old = vec![0; 5_000_000];
    assert_eq!(found(&old, &vec![0; 3_000_000], 1000).literal_bytes(), 0);
    let longer = found(&old, &vec![0; 12_000_500], 1000);
    // Where regions meet, and the end.
    assert!(longer.literal_bytes() < 2 * 1000, "{}", longer.literal_bytes());
}

#[test]
fn hashing_in_vain_is_bounded() {
    /// Weak hashes that are all equal, strong ones that count.
    struct Hostile(std::sync::atomic::AtomicU64);
    impl Hashes for Hostile {
        type Rolling = u32;
        fn rolling(&self, weak: u32) -> u32 {
            weak
        }
        fn rolled(&self, hash: u32) -> u32 {
            hash
        }
        fn weak(&self, _: &[u8]) -> u32 {
            7
        }
        fn roll(&self, hash: u32, _: u8, _: u8) -> u32 {
            hash
        }
        fn strong(&self, block: &[u8]) -> [u8; 32] {
            self.0.fetch_add(block.len() as u64, std::sync::atomic::Ordering::Relaxed);
            [0; 32]
        }
    }
    let mut signature = Signature::empty(Blocks::whole(1_000_000, 1000).unwrap(), 4, StrongHash::Sha256);
    for n in 0..1000_u32 {
        let strong = (n + 1).to_le_bytes().to_vec();
        signature.extend(&super::super::signature::Hashed { weak: vec![7], strong });
    }
    let hostile = Hostile(0.into());
    let new = file(&bytes(2_000_000, 1));
    let searches = Matched::nothing(2_000_000, 1_000_000).searches();
    assert!(search_all(&new, &signature, &hostile, &searches, 1).unwrap().is_empty());
    let hashed = hostile.0.into_inner();
    assert!(hashed < 2_000_000 + 20_000, "{hashed} bytes hashed for 2,000,000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is cut out of the old file: at most a block at either side of each cut is lost.
    #[test]
    fn every_cut_is_found(
        cuts in prop::collection::vec((0_usize..50_000, 1_usize..9000), 1..12), block in 64_u32..900, seed: u64,
    ) {
        let old = bytes(60_000, seed);
        let new: Vec<u8> = cuts.iter().flat_map(|(at, length)| old[*at..*at + *length].to_vec()).collect();
        let lost = found(&old, &new, block).literal_bytes();
        prop_assert!(lost <= 2 * u64::from(block) * cuts.len() as u64, "{lost}");
    }
}

#[test]
fn patience_ends_the_rolling_not_the_run() {
    let old = bytes(40_000, 6);
    let new = [&bytes(5000, 7)[..], &old[..20_000], &bytes(5000, 8), &old[20_000..]].concat();
    let (signature, source) = (sign(&old, 1000, StrongHash::Sha256), file(&new));
    let found = |patience| {
        let limit = new.len() as u64;
        let search = Search { starts: 0..limit, limit, expected: None, patience };
        let runs = search_all(&source, &signature, &signature.hashes(), &[search], 1).unwrap();
        runs.iter().map(|run| (run.source, run.length)).collect::<Vec<_>>()
    };
    assert_eq!(found(u64::MAX), [(5000, 20_000), (30_000, 20_000)]);
    // A match renews it.
    assert_eq!(found(5001), [(5000, 20_000), (30_000, 20_000)]);
    assert_eq!(found(5000), []);
}
