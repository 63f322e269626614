//! `kill -9` of either side of a push between any two steps: each dies by itself at a step that is named.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::common::Lab;
use super::sender::{Sender, held};
use super::{names, result};

/// What a receiver does one after another.
const RECEIVED: [&str; 11] = [
    "upload:opened",
    "upload:writing",
    "upload:verified",
    "upload:synced",
    "upload:recorded",
    "upload:compared",
    "upload:finished",
    "upload:landing",
    "upload:renamed",
    "upload:landed",
    "upload:answering",
];

/// What a sender does one after another.
const SENT: [&str; 8] = [
    "push:recorded",
    "push:opened",
    "push:sending",
    "push:acknowledged",
    "push:noted",
    "push:all-there",
    "push:assembled",
    "push:finished",
];

/// From opening to publishing, until the node dies over it.
fn push(sender: &Sender) -> Option<serde_json::Value> {
    let status = sender.try_open()?;
    for index in (0..sender.segments()).filter(|index| !held(&status).contains(index)) {
        let (status, body) = sender.try_put(index)?;
        assert_eq!(status, 200, "{body}");
    }
    // What it is given time for: a node that dies while it records does so before long.
    let (status, body) = sender.assemble()?;
    assert_eq!(status, 201, "{body}");
    Some(body)
}

/// Kills a receiver at `step` and finishes with another one; `whole` tells that the name stands for everything.
fn die_and_go_on(
    step: &str,
    bytes: &[u8],
    description: serde_json::Value,
    prepare: fn(&Path),
    whole: fn(&Path) -> bool,
) {
    let lab = Lab::new();
    let root = lab.path("state/root");
    fs::create_dir_all(&root).unwrap();
    prepare(&root);
    let before = whole(&root);
    let mut node = lab.spawn_to_die_at(step, &["serve", "--listen", "127.0.0.1:0"]).listening();
    let address = node.url.clone().unwrap().strip_prefix("http://").unwrap().to_owned();
    let sender = Sender { description, ..Sender::new(&address, bytes.to_vec()) };
    assert_eq!(push(&sender), None, "{step} is not reached");
    assert_eq!(node.wait().0, -1, "{step}: killed");
    assert!(!before, "the test sees nothing");
    let landed = RECEIVED.iter().position(|name| *name == "upload:renamed");
    let at = RECEIVED.iter().position(|name| *name == step);
    assert_eq!(whole(&root), at >= landed, "{step}: there is all of it under its name, or nothing");
    let _node = lab.serve_at(&address, &[]);
    let body = push(&sender).unwrap();
    assert_eq!(body["bytes"], bytes.len(), "{step}: {body}");
    assert!(whole(&root), "{step}");
    assert_eq!(names(&root), ["in"], "{step}: nothing is left beside it");
    assert_eq!(names(&root.join("in")).len(), 1, "{step}: once");
    assert_eq!(push(&sender).unwrap(), body, "{step}: asked again, the same");
}

#[test]
fn a_receiver_killed_at_any_step_goes_on_with_a_file() {
    let bytes = vec![7; 2_500_000];
    for step in RECEIVED {
        let whole = |root: &Path| fs::read(root.join("in/data.bin")).is_ok_and(|there| there == vec![7; 2_500_000]);
        die_and_go_on(step, &bytes, json!({"path": "in/data.bin"}), |_| (), whole);
    }
}

/// The old tree stays until the new one takes its place, and is gone then.
#[test]
fn a_receiver_killed_at_any_step_goes_on_with_a_tree_that_replaces_another() {
    let bytes = vec![8; 1_500_000];
    let description = json!({"path": "in/tree", "policy": "overwrite", "files": [
        {"path": "a", "size": 1_000_000, "mode": 0o600}, {"path": "sub/b", "size": 500_000, "mode": 0o640}]});
    let prepare = |root: &Path| {
        fs::create_dir_all(root.join("in/tree")).unwrap();
        fs::write(root.join("in/tree/old"), "old").unwrap();
    };
    for step in RECEIVED {
        let whole = |root: &Path| {
            let tree = root.join("in/tree");
            let is_new = fs::read(tree.join("sub/b")).is_ok_and(|there| there == vec![8; 500_000]);
            assert!(is_new != tree.join("old").exists(), "one or the other");
            is_new && tree.join("a").metadata().unwrap().len() == 1_000_000
        };
        die_and_go_on(step, &bytes, description.clone(), prepare, whole);
    }
}

#[test]
fn a_sender_killed_at_any_step_goes_on() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let bytes = fs::read(from.data("data.bin", 2_000_000)).unwrap();
    for step in SENT {
        let dest = format!("{}/{}/", node.url.as_deref().unwrap(), step.replace(':', "-"));
        let args = ["--json", "send", "data.bin", &dest, "--segment", "256KiB"];
        let (code, said) = from.spawn_to_die_at(step, &args).wait();
        assert_eq!(code, -1, "{step} is not reached: {said}");
        let result = result(&mut from.spawn(&args));
        assert_eq!(result["verified"], true, "{step}: {result}");
        let folder = to.path("root").join(step.replace(':', "-"));
        assert_eq!(names(&folder), ["data.bin"], "{step}: once");
        assert!(fs::read(folder.join("data.bin")).unwrap() == bytes, "{step}");
    }
    let left: Vec<String> = names(&to.path("root")).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}
