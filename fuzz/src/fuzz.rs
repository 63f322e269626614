//! libFuzzer over the target that `SKEP_FUZZ` names: see `scripts/fuzz`.
#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::OnceLock;

use skep_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn choose() -> Target {
    let name = std::env::var("SKEP_FUZZ").unwrap_or_default();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    target(&name).unwrap_or_else(|| panic!("SKEP_FUZZ names one of {names:?}, not {name:?}"))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _taken = CHOSEN.get_or_init(choose)(data);
});
