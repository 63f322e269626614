//! Bad days of real processes: killed at any moment, disks full, state damaged, peers hostile. After
//! each: a clear message, nothing wrong on the disk, no other transfer harmed.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod deltas;
mod disk;
mod kills;
mod manifests;
mod pushes;
mod queue;
mod sender;
mod state;
mod steps;
mod syncs;
mod uploads;

use std::fs;
use std::path::Path;

use common::{Ended, Process};
use serde_json::Value;

const MB: usize = 1_000_000;

/// Reads progress until `holds`; that line. Panics if the command ends before.
#[track_caller]
fn until(process: &mut Process, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = process.line();
        assert!(!line.is_empty(), "it ended too early: {}", process.stderr());
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["type"], "progress", "{event}");
        if holds(&event) {
            return event;
        }
    }
}

/// Reads progress until so many bytes are there; that line.
#[track_caller]
fn until_bytes(process: &mut Process, bytes: u64) -> Value {
    until(process, |event| number(event, "bytes_done") >= bytes)
}

fn number(event: &Value, key: &str) -> u64 {
    event[key].as_u64().unwrap_or_else(|| panic!("no {key} in {event}"))
}

/// Waits for the end, which must be a good one; the result.
#[track_caller]
fn result(process: &mut Process) -> Value {
    let (code, rest) = process.wait();
    assert_eq!(code, 0, "{rest} {}", process.stderr());
    serde_json::from_str(rest.lines().last().unwrap()).unwrap()
}

/// One clean line on stderr that says all of this.
#[track_caller]
fn says(ended: &Ended, words: &[&str]) {
    let text = ended.stderr();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// What is in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
