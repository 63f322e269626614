//! `kill -9` of either side of a delta between any two steps, and disks that fill up under one: the old file is whole
//! until the new one is.

use std::fs;
use std::path::Path;

use super::common::{Lab, Process};
use super::disk::cramped;
use super::{names, result, says};

/// What a receiver does one after another.
const RECEIVED: [&str; 6] =
    ["delta:signed", "delta:applying", "delta:patched", "delta:synced", "delta:renamed", "delta:landed"];

/// What a sender does one after another.
const SENT: [&str; 5] = ["delta:asked", "delta:matched", "delta:sending", "delta:answered", "delta:noted"];

/// The file at a sender, and an older version of it that a receiver has.
fn versions(from: &Lab, root: &Path) -> (Vec<u8>, Vec<u8>) {
    let new = fs::read(from.data("data.bin", 3_000_000)).unwrap();
    let mut old = new.clone();
    old[1_000_000..1_004_096].fill(7);
    old.truncate(2_900_000);
    fs::create_dir_all(root.join("in")).unwrap();
    fs::write(root.join("in/data.bin"), &old).unwrap();
    (old, new)
}

fn send<'a>(dest: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--json", "send", "data.bin", dest, "--strategy", "delta"], more].concat()
}

/// Nothing but the file is there.
#[track_caller]
fn is_tidy(root: &Path, step: &str) {
    assert_eq!(names(root), ["in"], "{step}");
    assert_eq!(names(&root.join("in")), ["data.bin"], "{step}");
}

/// Waits for a sender whose receiver died; it may have given up meanwhile: then the same command goes on.
fn goes_on(mut sender: Process, from: &Lab, args: &[&str]) -> serde_json::Value {
    match sender.wait() {
        (0, said) => serde_json::from_str(said.lines().last().unwrap()).unwrap(),
        _ => result(&mut from.spawn(args)),
    }
}

#[test]
fn a_receiver_killed_at_any_step_of_a_delta_has_the_old_file_or_the_new_one() {
    for step in RECEIVED {
        let (from, to) = (Lab::new(), Lab::new());
        let root = to.path("root");
        let (old, new) = versions(&from, &root);
        let serve = ["serve", "--root", "root", "--listen", "127.0.0.1:0"];
        let mut node = to.spawn_to_die_at(step, &serve).listening();
        let url = node.url.clone().unwrap();
        let dest = format!("{url}/in/");
        let args = send(&dest, &[]);
        let sender = from.spawn(&args);
        assert_eq!(node.wait().0, -1, "{step} is not reached");
        let there = fs::read(root.join("in/data.bin")).unwrap();
        let renamed = RECEIVED.iter().position(|name| *name == step) >= Some(4);
        assert!(there == if renamed { &new[..] } else { &old[..] }, "{step}: {} bytes", there.len());
        let _node = to.serve_at(url.strip_prefix("http://").unwrap(), &["--root", "root"]);
        let result = goes_on(sender, &from, &args);
        assert_eq!(result["verified"], true, "{step}: {result}");
        assert!(fs::read(root.join("in/data.bin")).unwrap() == new, "{step}");
        is_tidy(&root, step);
    }
}

#[test]
fn a_sender_killed_at_any_step_of_a_delta_leaves_the_old_file_or_the_new_one() {
    for step in SENT {
        let (from, to) = (Lab::new(), Lab::new());
        let root = to.path("root");
        let node = to.serve(&["--root", "root"]);
        let (old, new) = versions(&from, &root);
        let dest = format!("{}/in/", node.url.as_deref().unwrap());
        let args = send(&dest, &[]);
        let (code, said) = from.spawn_to_die_at(step, &args).wait();
        assert_eq!(code, -1, "{step} is not reached: {said}");
        let there = fs::read(root.join("in/data.bin")).unwrap();
        let answered = SENT.iter().position(|name| *name == step) >= Some(3);
        assert!(there == if answered { &new[..] } else { &old[..] }, "{step}: {} bytes", there.len());
        let result = result(&mut from.spawn(&args));
        assert_eq!(result["verified"], true, "{step}: {result}");
        assert!(fs::read(root.join("in/data.bin")).unwrap() == new, "{step}");
        is_tidy(&root, step);
    }
}

/// Literals do not fit, or what the kernel would copy does not.
#[test]
fn a_disk_that_is_full_refuses_a_delta_and_with_space_it_goes_through() {
    for grown in [false, true] {
        let (from, to) = (Lab::new(), Lab::new());
        let root = to.path("state/root");
        fs::create_dir_all(root.join("in")).unwrap();
        let new = fs::read(from.data("data.bin", 6_000_000)).unwrap();
        let old = if grown { &new[..3_000_000] } else { &new[100_000..5_900_000] };
        fs::write(root.join("in/data.bin"), old).unwrap();
        let mut node = cramped(&to);
        let url = node.url.clone().unwrap();
        let dest = format!("{url}/in/");
        let ended = from.run(&["send", "data.bin", &dest, "--strategy", "delta"]);
        assert!([1, 3].contains(&ended.code()), "{ended:?}");
        says(&ended, &["data.bin", "no space"]);
        assert!(fs::read(root.join("in/data.bin")).unwrap() == old, "the old one is whole");
        is_tidy(&root, "full");
        assert_eq!(node.stop(), 0);
        let _node = to.serve_at(url.strip_prefix("http://").unwrap(), &[]);
        from.run(&["send", "data.bin", &dest, "--strategy", "delta"]).expect(0);
        assert!(fs::read(root.join("in/data.bin")).unwrap() == new);
        is_tidy(&root, "again");
    }
}
