//! `skep sync` between real nodes on loopback.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../push/relay.rs"]
mod relay;

mod files;
mod watching;
mod ways;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use common::tree::listing;
use common::{TestNode, noise_file};
use relay::Relay;
use serde_json::{Value, json};
use skep_engine::control::sync::Totals;
use skep_engine::control::{Command, CommandErrorKind, Direction, Reply, SyncRequest, TransferRow, TransferState};

const HOUR: Duration = Duration::from_secs(3_600);

fn request(path: &Path, url: &str) -> SyncRequest {
    SyncRequest { path: path.into(), dest: format!("{url}/in/"), delete: true, ..SyncRequest::default() }
}

async fn sync(node: &TestNode, request: SyncRequest) -> TransferRow {
    let id = node.added(Command::Sync(request)).await;
    node.done(id).await
}

/// Name, kind, size, mode, time, inode's names and content or target of everything below.
fn write(dir: &Path, path: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
    fs::write(dir.join(path), bytes).unwrap();
}

/// No folder of a sync is left below the root.
fn is_tidy(node: &TestNode) -> bool {
    fs::read_dir(node.root()).unwrap().all(|child| !child.unwrap().file_name().to_string_lossy().starts_with(".skep"))
}

#[tokio::test]
async fn all_kinds_of_changes_arrive_and_a_second_run_moves_nothing() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    for n in 0..300 {
        write(&tree, &format!("many/{}/{n}", n % 7), format!("file {n}").as_bytes());
    }
    noise_file(&tree, "large", 5_000_000);
    write(&tree, "run.sh", b"#!/bin/sh");
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::create_dir_all(tree.join("empty/inner")).unwrap();
    fs::hard_link(tree.join("run.sh"), tree.join("many/run")).unwrap();
    symlink("many/1", tree.join("link")).unwrap();
    write(&tree, "turns", b"a file");
    fs::create_dir(tree.join("locked")).unwrap();
    write(&tree, "locked/in", b"1");
    fs::set_permissions(tree.join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let row = sync(&node, request(&tree, &receiver.url())).await;
    assert_eq!((row.strategy.as_str(), row.direction, row.verified), ("transit-tree-sync", Direction::Up, true));
    assert_eq!(listing(&tree), listing(&there));
    let totals = row.sync.unwrap();
    assert_eq!((totals.new, totals.linked, totals.symlinks), (304, 1, 1), "{totals:?}");
    assert!(is_tidy(&receiver));

    let row = sync(&node, request(&tree, &receiver.url())).await;
    assert!(row.sync.unwrap().is_nothing() && row.bytes_up == 0, "{row:#?}");
    assert!(row.wire_bytes < 2_000, "one question, one answer: {}", row.wire_bytes);

    write(&tree, "many/3/3", b"changed and longer");
    fs::rename(tree.join("large"), tree.join("empty/big")).unwrap();
    fs::remove_file(tree.join("many/4/4")).unwrap();
    fs::remove_file(tree.join("turns")).unwrap();
    write(&tree, "turns/into/a", b"folder");
    fs::remove_dir_all(tree.join("many/5")).unwrap();
    write(&tree, "many/5", b"a file now");
    fs::remove_file(tree.join("link")).unwrap();
    symlink("many/2", tree.join("link")).unwrap();
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    let row = sync(&node, request(&tree, &receiver.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    let totals = row.sync.unwrap();
    assert_eq!((totals.moved, totals.changed, totals.new, totals.symlinks), (1, 1, 2, 1), "{totals:?}");
    assert_eq!(totals.send_bytes, 18 + 6 + 10, "{totals:?}");
    assert!(is_tidy(&receiver));
    assert!(sync(&node, request(&tree, &receiver.url())).await.sync.unwrap().is_nothing());
}

#[tokio::test]
async fn a_plan_tells_all_and_does_nothing() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    write(&tree, "a", b"1");
    write(&tree, "b.o", b"2");
    write(&receiver.root(), "in/tree/gone", b"3");
    write(&tree, "to", &[4; 5_000]);
    write(&receiver.root(), "in/tree/from", &[4; 5_000]);
    // What was renamed keeps its time: files written one after the other may have two.
    for renamed in [tree.join("to"), receiver.root().join("in/tree/from")] {
        fs::File::options().append(true).open(renamed).unwrap().set_modified(UNIX_EPOCH + HOUR).unwrap();
    }
    let before = listing(&receiver.root());
    let asks = SyncRequest { rules: vec!["*.o".into()], ..request(&tree, &receiver.url()) };
    let Reply::SyncPlan(plan) = node.control.command(Command::PreviewSync(asks)).await.unwrap() else { panic!() };
    let told: Vec<Value> = plan.items.iter().map(|item| json!(item)).collect();
    assert!(told.contains(&json!({ "path": "a", "act": "send", "size": 1, "was": "nothing" })), "{told:?}");
    assert!(told.contains(&json!({ "path": "gone", "act": "delete", "size": 1, "was": "file" })), "{told:?}");
    assert!(!told.iter().any(|item| item["path"] == "b.o"), "{told:?}");
    // Told once.
    assert!(told.iter().any(|item| item["path"] == "to" && item["from"] == "from"), "{told:?}");
    assert!(!told.iter().any(|item| item["path"] == "from"), "{told:?}");
    assert_eq!((plan.to.as_str(), plan.totals.new, plan.totals.deleted), ("in/tree", 1, 1));
    assert_eq!(listing(&receiver.root()), before);
    for (change, kind) in [
        ((|r| r.dest = "ftp://h/".into()) as fn(&mut SyncRequest), CommandErrorKind::Invalid),
        (|r| r.path = "/no/such".into(), CommandErrorKind::NotFound),
        (|r| r.path.push("a/b"), CommandErrorKind::NotFound),
        (|r| r.rules = vec!["x".into(); 5_000], CommandErrorKind::Invalid),
        (|r| r.rules = vec!["{a".into()], CommandErrorKind::Conflict),
        (|r| r.max_delete = Some(0), CommandErrorKind::Conflict),
    ] {
        let mut asks = request(&tree, &receiver.url());
        change(&mut asks);
        let error = node.control.command(Command::PreviewSync(asks.clone())).await.unwrap_err();
        assert_eq!(error.kind, kind, "{asks:?}: {error}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_restart_is_not_sent_again() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    const SIZE: u64 = 24 << 20;
    noise_file(&tree, "large", SIZE as usize);
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    let slow = SyncRequest { up: Some(12 << 20), ..request(&tree, &relay.url()) };
    let id = node.added(Command::Sync(slow)).await;
    node.wait(id, |row| row.done >= 4 << 20).await;
    node.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    let paused = node.wait(id, |row| row.state == TransferState::Paused).await;
    let node = node.restart().await;
    let before = relay.carried();
    let row = sync(&node, request(&tree, &relay.url())).await;
    assert_eq!(row.id, id, "the same one goes on");
    let sent = relay.carried() - before;
    assert!(sent < SIZE - paused.done + (1 << 20), "{sent} of {SIZE}, {} were there", paused.done);
    assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
    assert!(is_tidy(&receiver));
}

#[tokio::test]
async fn a_receiver_with_a_token_takes_no_syncs_without() {
    let (node, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    write(&tree, "a", b"1");
    let error = node.control.command(Command::PreviewSync(request(&tree, "http://127.0.0.1:9"))).await.unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::Unavailable, "{error}");
    // A page in a browser changes nothing here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    for route in ["compare", "list", "digests", "apply"] {
        let url = format!("{}/sync/{route}", node.url());
        let answer = client.post(&url).header("origin", "http://evil").body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{route}");
        let answer = client.post(&url).body("{").send().await.unwrap();
        assert_eq!(answer.status(), 400, "{route}");
    }
    let stale = json!({ "snapshot": "no", "folders": [""] });
    let answer = client.post(format!("{}/sync/list", node.url())).json(&stale).send().await.unwrap();
    assert_eq!(answer.status(), 410);
}

#[tokio::test]
async fn hostile_requests_do_nothing() {
    let (node, outside) = (TestNode::start().await, tempfile::tempdir().unwrap());
    fs::write(outside.path().join("f"), "theirs").unwrap();
    fs::create_dir_all(node.root().join("tree")).unwrap();
    symlink(outside.path(), node.root().join("tree/out")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let post = async |route: &str, body: Value| {
        let answer = client.post(format!("{}/sync/{route}", node.url())).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let digest = "00".repeat(32);
    for path in ["../x", "/etc", "", "a/../..", ".skep-x", "tree/.skep-y/z"] {
        let asked = post("compare", json!({ "version": 1, "path": path, "digest": digest })).await;
        assert_eq!(asked.0, 400, "{path}: {asked:?}");
        let asked = post("digests", json!({ "path": "tree", "files": [format!("x/{path}/../../..")] })).await;
        assert_eq!(asked.0, 400, "{path}: {asked:?}");
    }
    assert_eq!(
        post("digests", json!({ "path": "tree", "files": ["out/f", "no"] })).await.1,
        json!({ "digests": [null, null] })
    );
    let through = post("compare", json!({ "version": 1, "path": "tree/out", "digest": digest })).await;
    assert_eq!((through.0, &through.1["stands"]), (200, &json!("other")), "a link is no folder");
    let globs: Vec<String> = (0..5_000).map(|n| format!("a{n}*")).collect();
    let many = json!({ "version": 1, "path": "tree", "digest": digest, "rules": { "first": globs } });
    assert_eq!(post("compare", many).await.0, 400);
    let ops = json!([
        { "op": "delete", "path": "out/f" },
        { "op": "meta", "path": "out/f", "mode": 511, "mtime": [1, 1] },
        { "op": "take", "from": "0", "path": "out/f" },
    ]);
    let sync = "0".repeat(32);
    let applied = post("apply", json!({ "version": 1, "path": "tree", "sync": sync, "ops": ops })).await;
    assert_eq!((applied.0, &applied.1["done"]), (200, &json!(0)), "{applied:?}");
    let over = json!({ "version": 1, "path": "tree", "sync": sync, "ops": [], "over": ["../../tree"] });
    assert_eq!(post("apply", over).await.0, 400);
    assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"theirs");
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_is_looked_at_again() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    noise_file(&tree, "large", 12 << 20);
    let slow = SyncRequest { up: Some(6 << 20), ..request(&tree, &receiver.url()) };
    let id = node.added(Command::Sync(slow)).await;
    node.wait(id, |row| row.bytes_up > 0).await;
    noise_file(&tree, "large", 1 << 20);
    write(&tree, "more", b"came later");
    node.done(id).await;
    assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
    let totals: Totals = sync(&node, request(&tree, &receiver.url())).await.sync.unwrap();
    assert!(totals.is_nothing(), "{totals:?}");
}
