//! Fuzz targets: functions that take any bytes, as somebody may send them, and panic where a promise is broken.
//!
//! `scripts/fuzz` builds them with coverage and lets libFuzzer look for such bytes; `tests/corpus.rs` takes the corpus
//! (`corpus/TARGET/`) through them with every `cargo test`. A seed is what the program's own writers write
//! ([`seeds`]); whatever once broke something is kept beside them.
//!
//! Beyond "does not panic" each target holds what it reads against the rule that later code relies on: in bounds, nothing twice,
//! and read again after it was written it is the same.
#![allow(clippy::unwrap_used)]

mod delta;
mod documents;
pub mod seeds;

/// What is done with some bytes: true if they were taken for what they should be.
pub type Target = fn(&[u8]) -> bool;

/// All targets by name, which is their folder's name, too.
pub const TARGETS: [(&str, Target); 12] = [
    ("instructions", delta::instructions),
    ("packed", delta::packed),
    ("patch", delta::patched),
    ("signature", delta::signature),
    ("asks", delta::asks),
    ("librsync", delta::librsync),
    ("manifest", documents::manifest),
    ("metalink", documents::metalink),
    ("sync", documents::sync),
    ("upload", documents::upload),
    ("announce", documents::announce),
    ("names", documents::names),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
