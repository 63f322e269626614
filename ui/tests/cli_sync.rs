//! `skep sync` as an operator uses it: two nodes, the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Lab, Process};
use rustix::process::Signal;
use serde_json::Value;

fn event(process: &mut Process) -> Value {
    let line = process.line();
    assert!(!line.is_empty(), "it ended too early: {}", process.stderr());
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_watch_tells_each_pass_and_ends_cleanly() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.clone().unwrap();
    let slash = format!("{url}/");
    from.data("tree/a", 1_000);
    let mut watch = from.spawn(&["--json", "sync", "tree", &slash, "--watch", "--delete"]);
    let first = event(&mut watch);
    assert_eq!(
        (&first["type"], &first["pass"], &first["totals"]["new"]),
        (&"pass".into(), &1.into(), &1.into()),
        "{first}"
    );
    fs::remove_file(from.path("tree/a")).unwrap();
    from.data("tree/sub/b", 2_000);
    // Whether one pass or two see both.
    let mut deleted = 0;
    while deleted == 0 || !to.path("root/tree/sub/b").exists() {
        let next = event(&mut watch);
        assert_eq!(next["type"], "pass", "{next}");
        deleted += next["totals"]["deleted"].as_u64().unwrap();
    }
    assert!(!to.path("root/tree/a").exists());
    watch.signal(Signal::INT);
    let (code, rest) = watch.wait();
    assert_eq!(code, 0, "{rest}");
    let result: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!((&result["type"], &result["state"]), (&"result".into(), &"stopped".into()), "{result}");
    // The same command goes on, and what changed meanwhile is there.
    from.data("tree/sub/c", 3_000);
    let mut watch = from.spawn(&["--json", "sync", "tree", &slash, "--watch"]);
    while !to.path("root/tree/sub/c").exists() {
        event(&mut watch);
    }
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait().0, 0);
    // A receiver that has gone is waited for.
    let mut watch = from.spawn(&["--json", "sync", "tree", &slash, "--watch"]);
    assert_eq!(event(&mut watch)["type"], "pass");
    drop(node);
    from.data("tree/sub/d", 3_000);
    assert_eq!(event(&mut watch)["type"], "away");
    watch.signal(Signal::INT);
    assert_eq!(watch.wait().0, 0);
}

#[test]
fn a_dry_run_tells_and_does_nothing_and_a_file_is_fine_too() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.clone().unwrap();
    let slash = format!("{url}/");
    from.data("tree/a", 1_000);
    let plan = from.run(&["sync", "tree/a", &format!("{url}/in/"), "--dry-run"]);
    assert!(plan.expect(0).stdout().starts_with("+ a  1.00 kB"), "{}", plan.stdout());
    assert!(!to.path("root/in").exists());
    from.run(&["sync", "tree/a", &format!("{url}/in/b")]).expect(0);
    assert!(fs::read(from.path("tree/a")).unwrap() == fs::read(to.path("root/in/b")).unwrap());
    from.run(&["sync", "tree", &slash, "--watch", "--dry-run"]).expect(2);
}
