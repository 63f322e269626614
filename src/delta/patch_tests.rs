use proptest::prelude::*;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::super::flow::{self, Delta};
use super::super::hashes::{BlockHashes, StrongHash};
use super::super::packed::{pack, unpack};
use super::super::refine::{Ask, Prices};
use super::super::signature::{Signature, sign};
use super::super::signature_wire;
use super::super::testing::{bytes, file};
use super::*;

/// What a delta took: bytes of signatures and of instructions.
#[derive(Debug)]
struct Cost {
    signatures: usize,
    instructions: Vec<u8>,
}

/// How to make one.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    block_length: Option<u32>,
    prices: Prices,
    threads: usize,
    strong: StrongHash,
}

fn made(old: &[u8], new: &[u8], options: &Options) -> Cost {
    let (old_file, new_file) = (file(old), file(new));
    let stop = AtomicBool::new(false);
    let delta = Delta {
        source: &new_file,
        source_size: new.len() as u64,
        destination_size: old.len() as u64,
        block_length: options.block_length,
        prices: options.prices,
        threads: options.threads,
        give_up: false,
        stop: &stop,
    };
    let signatures = Mutex::new(0);
    let over_the_wire = |ask: &Ask| {
        let mut bytes = Vec::new();
        let mut writer = signature_wire::Writer::new(&mut bytes, ask, options.strong)?;
        let hashes = BlockHashes::new(ask.blocks.length(), options.strong);
        sign(&old_file, &ask.blocks, &hashes, ask.strong_length, 2, |hashed| writer.write(&hashed))?;
        *signatures.lock().unwrap() += bytes.len();
        Ok::<_, io::Error>(bytes)
    };
    let first = over_the_wire(&flow::first_ask(&delta).unwrap()).unwrap();
    let further = |asks: &[Ask]| {
        let read = |ask| signature_wire::read(&over_the_wire(ask)?[..], ask);
        asks.iter().map(read).collect::<io::Result<Vec<Signature>>>()
    };
    let instructions = flow::run(&delta, &first[..], further, Vec::new(), || true, &|_| {}).unwrap();
    let signatures = *signatures.lock().unwrap();
    Cost { signatures, instructions }
}

fn applied(old: &[u8], instructions: &[u8]) -> Result<Vec<u8>, PatchError> {
    let new = tempfile::tempfile().unwrap();
    let done = patch(&file(old), instructions, &new, |_, _| {})?;
    let mut out = vec![0; new.metadata().unwrap().len() as usize];
    new.read_exact_at(&mut out, 0).unwrap();
    assert_eq!(done.matched + done.literal, out.len() as u64);
    Ok(out)
}

/// Bytes on the wire; checks that the new file comes out.
fn cost(old: &[u8], new: &[u8]) -> usize {
    let cost = made(old, new, &Options::default());
    assert!(applied(old, &cost.instructions).unwrap() == new);
    cost.signatures + cost.instructions.len()
}

#[test]
fn scattered_edits_cost_little_more_than_themselves() {
    let old = bytes(32 << 20, 1);
    let mut new = old.clone();
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..80 {
        let at = rng.usize(..new.len() - 4096);
        rng.fill(&mut new[at..at + 4096]);
    }
    let wire = cost(&old, &new);
    assert!(wire < 80 * 4096 * 3 / 2, "{wire} for {}", 80 * 4096);
}

#[test]
fn insertions_appending_and_truncating_are_cheap() {
    let old = bytes(16 << 20, 2);
    let mut new = old.clone();
    for n in 0..20 {
        new.splice(n * 800_000..n * 800_000, bytes(1 + n * 50, 9));
    }
    let wire = cost(&old, &new);
    assert!(wire < 10_500 + 20 * 1500 + 25_000, "{wire}");
    let wire = cost(&old, &[&old[..], &bytes(50_000, 3)].concat());
    assert!(wire < 50_000 + 21_000, "{wire}");
    let wire = cost(&old, &old[..10_000_000]);
    assert!(wire < 8192 + 21_000, "{wire}");
}

#[test]
fn what_has_nothing_in_common_costs_little_more_than_the_file() {
    let new = bytes(16 << 20, 5);
    let wire = cost(&bytes(16 << 20, 4), &new);
    assert!(wire < new.len() * 102 / 100, "{wire}");
    assert!(cost(&[], &new) < new.len() + 2000);
    assert!(made(&new, &[], &Options::default()).instructions.len() < 100);
}

#[test]
fn archives_whose_every_header_differs_are_found_by_samples() {
    // As a tar: a header of 512 bytes in front of every file, files shorter than first-round blocks.
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let mut rng = fastrand::Rng::with_seed(3);
    for n in 0..2500 {
        let body = bytes(rng.usize(1..18) * 512, n);
        old.extend(bytes(512, n + 1_000_000));
        new.extend(bytes(512, n + 2_000_000));
        old.extend(&body);
        new.extend(&body);
    }
    let wire = cost(&old, &new);
    assert!(wire < 2500 * 512 * 2, "{wire} of {}", new.len());
}

#[test]
fn zeros_cost_next_to_nothing() {
    let old = vec![0; 32 << 20];
    let mut new = old.clone();
    new[5_000_000..5_000_100].fill(1);
    let wire = cost(&old, &new);
    assert!(wire < 12_000, "{wire}");
}

#[test]
fn packed_instructions_are_shorter_and_bombs_are_bounded() {
    let text: Vec<u8> = (0..200_000).flat_map(|n: u32| format!("line {n}\n").into_bytes()).collect();
    let plain = made(&[], &text, &Options::default()).instructions;
    let mut encoder = pack(Vec::new(), None).unwrap();
    io::Write::write_all(&mut encoder, &plain).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < plain.len() / 3);
    let new = tempfile::tempfile().unwrap();
    patch(&file(&[]), unpack(&packed[..]).unwrap(), &new, |_, _| {}).unwrap();
    assert_eq!(new.metadata().unwrap().len(), text.len() as u64);
    // A gigabyte of zeros in some kB: read as far as the header goes, which is not at all.
    let mut encoder = pack(Vec::new(), None).unwrap();
    (0..1024).for_each(|_| io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap());
    let bomb = encoder.finish().unwrap();
    let failed = patch(&file(&[]), unpack(&bomb[..]).unwrap(), &file(&[]), |_, _| {}).unwrap_err();
    assert!(failed.to_string().contains("something else"), "{failed}");
}

#[test]
fn lies_and_changes_are_noticed() {
    let old = bytes(300_000, 1);
    let mut new = old.clone();
    new[150_000] ^= 1;
    let good = made(&old, &new, &Options::default()).instructions;
    // The old file changed, with the same length.
    let mut other = old.clone();
    other[10] ^= 1;
    assert!(matches!(applied(&other, &good), Err(PatchError::Mismatch { .. })));
    assert!(matches!(applied(&old[1..], &good), Err(PatchError::Changed { expected: 300_000, found: 299_999 })));
    for cut in [0, 27, 40, good.len() - 33, good.len() - 1] {
        assert!(matches!(applied(&old, &good[..cut]), Err(PatchError::Instructions(_))));
    }
    // Signatures that lie: of another file.
    let liar = made(&bytes(300_000, 2), &new, &Options::default()).instructions;
    assert!(applied(&old, &liar).is_ok_and(|out| out == new), "nothing matched, all is literal");
    // The digest at the end.
    let mut wrong = good.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert!(matches!(applied(&old, &wrong), Err(PatchError::Mismatch { .. })));
    // A new file that cannot be written.
    let read_only = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(patch(&file(&old), &good[..], &read_only, |_, _| {}), Err(PatchError::New(_))));
}

/// An edit: where, how much goes, how much comes.
type Edit = (prop::sample::Index, usize, usize);

fn edited(old: &[u8], edits: &[Edit], seed: u64) -> Vec<u8> {
    let mut new = old.to_vec();
    for (n, (at, gone, come)) in edits.iter().enumerate() {
        let at = at.index(new.len() + 1);
        let end = (at + gone).min(new.len());
        new.splice(at..end, bytes(*come, seed ^ n as u64));
    }
    new
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_applied_is_the_new_file(
        size in 0_usize..200_000, period in 1_usize..100_000, seed: u64,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..5000, 0_usize..5000), 0..8),
        block in prop::option::of(64_u32..5000), free: bool,
    ) {
        let pattern = bytes(period, seed);
        let old: Vec<u8> = pattern.iter().copied().cycle().take(size).collect();
        let new = edited(&old, &edits, seed);
        let prices = Prices { round: if free { 0 } else { 16 << 10 }, literal: 1.0 };
        let strong = if seed % 2 == 0 { StrongHash::Sha256 } else { StrongHash::Xxh3 { seed } };
        let options = Options { block_length: block, prices, threads: 2, strong };
        let made = made(&old, &new, &options);
        prop_assert!(applied(&old, &made.instructions).unwrap() == new);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn long_runs_of_zeros_become_holes() {
    use std::os::unix::fs::MetadataExt as _;
    // Dense at first, so that room is made; then zeros, found and sent; data behind them, and zeros at the end.
    let dense = bytes(4 << 20, 1);
    let old = [&dense[..], &vec![0; 4 << 20]].concat();
    let new = [&dense[..], &vec![0; 6 << 20], &dense[..1 << 20], &vec![0; 1 << 20]].concat();
    let instructions = made(&old, &new, &Options::default()).instructions;
    let file_of = tempfile::tempfile().unwrap();
    patch(&file(&old), &instructions[..], &file_of, |_, _| {}).unwrap();
    let mut out = vec![0; new.len()];
    file_of.read_exact_at(&mut out, 0).unwrap();
    assert!(out == new && file_of.metadata().unwrap().len() == new.len() as u64);
    let held = file_of.metadata().unwrap().blocks() * 512;
    assert!(held < 6 << 20, "{held} bytes on the disk for 5 MiB that are not zeros");
}
