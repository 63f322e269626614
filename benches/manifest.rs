//! How fast manifests are made and checked: `cargo bench --bench manifest`.
//!
//! Compare `hash_file` with `openssl dgst -sha256 FILE` times the cores: it should reach 0.9 of
//! that. Files lie in memory where the system has such a place, so that no disk is measured.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use skep_engine::content::{MakeOptions, make, scan, verify};
use tempfile::TempDir;

const FILE_SIZE: usize = 1 << 30;
const SMALL_FILES: usize = 100_000;

fn main() {
    divan::main();
}

fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a temporary folder")
}

/// One file of [`FILE_SIZE`] bytes that are not all the same.
fn large() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("large");
    let mut bytes = vec![0; FILE_SIZE];
    fastrand::Rng::with_seed(1).fill(&mut bytes);
    std::fs::write(&path, bytes).expect("room for the file");
    (folder, path)
}

/// [`SMALL_FILES`] files of 1 KiB in 100 folders.
fn small() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("tree");
    for at in 0..SMALL_FILES {
        let inner = path.join(format!("{:02}", at % 100));
        if at < 100 {
            std::fs::create_dir_all(&inner).expect("a folder");
        }
        std::fs::write(inner.join(format!("{at}")), [at as u8; 1024]).expect("a small file");
    }
    (folder, path)
}

fn made(path: &Path, threads: usize) -> skep_engine::content::Made {
    let options = MakeOptions { threads, ..MakeOptions::default() };
    make(path, &options, &|_| {}, &AtomicBool::new(false)).expect("a manifest")
}

/// Threads; 0: one per core.
#[divan::bench(args = [1, 0], sample_count = 5)]
fn hash_file(bencher: Bencher<'_, '_>, threads: usize) {
    let (_folder, path) = large();
    bencher.counter(BytesCount::new(FILE_SIZE)).bench(|| made(&path, threads));
}

#[divan::bench(sample_count = 5)]
fn verify_file(bencher: Bencher<'_, '_>) {
    let (_folder, path) = large();
    let manifest = made(&path, 0).manifest;
    let run = || verify(&path, &manifest, 0, &|_| {}, &AtomicBool::new(false)).expect("a report");
    bencher.counter(BytesCount::new(FILE_SIZE)).bench(run);
}

#[divan::bench(sample_count = 5)]
fn known_file(bencher: Bencher<'_, '_>) {
    let (_folder, path) = large();
    let known = made(&path, 0).into();
    let options = MakeOptions { known: Some(&known), ..MakeOptions::default() };
    let run = || make(&path, &options, &|_| {}, &AtomicBool::new(false)).expect("a manifest");
    bencher.bench(run);
}

#[divan::bench(sample_count = 5)]
fn scan_tree(bencher: Bencher<'_, '_>) {
    let (_folder, path) = small();
    bencher.counter(ItemsCount::new(SMALL_FILES)).bench(|| scan(&path).expect("a scan"));
}

#[divan::bench(sample_count = 5)]
fn hash_tree(bencher: Bencher<'_, '_>) {
    let (_folder, path) = small();
    bencher.counter(ItemsCount::new(SMALL_FILES)).bench(|| made(&path, 0));
}

#[divan::bench(sample_count = 5)]
fn verify_tree(bencher: Bencher<'_, '_>) {
    let (_folder, path) = small();
    let manifest = made(&path, 0).manifest;
    let run = || verify(&path, &manifest, 0, &|_| {}, &AtomicBool::new(false)).expect("a report");
    bencher.counter(ItemsCount::new(SMALL_FILES)).bench(run);
}
