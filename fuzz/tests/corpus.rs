//! The corpus, taken through its targets as a plain test: what once broke something stays mended, also where nobody
//! fuzzes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use skep_fuzz::seeds::seeds;
use skep_fuzz::{TARGETS, target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn nothing_in_the_corpus_breaks_anything() {
    let folders: BTreeSet<String> =
        fs::read_dir(corpus()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let names = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, names, "a folder for each target");
    for (name, target) in TARGETS {
        for entry in fs::read_dir(corpus().join(name)).unwrap() {
            let path = entry.unwrap().path();
            eprintln!("{}", path.display());
            target(&fs::read(&path).unwrap());
        }
    }
}

/// Written anew with `SKEP_SEEDS=write`, when a format changes.
#[test]
fn the_seeds_are_what_the_writers_write() {
    for (name, seed, bytes) in seeds() {
        assert!(target(name).unwrap()(&bytes), "{name}/{seed} is refused");
        let path = corpus().join(name).join(seed);
        if std::env::var_os("SKEP_SEEDS").is_some_and(|value| value == "write") {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "{name}/{seed} is of another time: SKEP_SEEDS=write");
    }
}
