//! `--watch`.

use std::fs;
use std::path::Path;

use skep_engine::control::{Command, SyncRequest, TransferId, TransferRow, TransferState};
use skep_engine::push::retry::Pace;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::common::tree::{listed, listing};
use super::common::{TestNode, noise};
use super::relay::Relay;
use super::{is_tidy, request, write};

/// Waits for passes until both are equal.
async fn equal(node: &TestNode, id: TransferId, here: &Path, there: &Path) -> TransferRow {
    let mut seen = 0;
    loop {
        let row = node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.passes > seen)).await;
        // A pass may be at work there.
        if listed(there).is_ok_and(|there| there == listing(here)) {
            return row;
        }
        seen = row.watch.unwrap().passes;
    }
}

#[tokio::test]
async fn what_changes_is_there_soon_and_an_absent_receiver_is_waited_for() {
    let node = TestNode::start_with(|config| config.pace = Pace(0.01)).await;
    let (receiver, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    write(&tree, "a/1", b"one");
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    let id = node.added(Command::Sync(SyncRequest { watch: true, ..request(&tree, &relay.url()) })).await;
    let row = equal(&node, id, &tree, &there).await;
    assert_eq!((row.state, row.watch.as_ref().unwrap().last.new), (TransferState::Running, 1), "{row:#?}");
    // Changed in a folder that was there, in one that is new, and deleted.
    write(&tree, "a/1", b"one and more");
    equal(&node, id, &tree, &there).await;
    write(&tree, "b/c/2", b"two");
    equal(&node, id, &tree, &there).await;
    write(&tree, "b/c/3", b"three");
    equal(&node, id, &tree, &there).await;
    fs::rename(tree.join("b"), tree.join("a/d")).unwrap();
    equal(&node, id, &tree, &there).await;
    write(&tree, "a/d/c/4", &noise(100_000, 1));
    fs::remove_dir_all(tree.join("a/1")).unwrap_err();
    fs::remove_file(tree.join("a/1")).unwrap();
    equal(&node, id, &tree, &there).await;
    // The receiver goes away and comes back.
    relay.cut();
    write(&tree, "a/5", b"five");
    let row = node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.away.is_some())).await;
    assert_eq!(row.state, TransferState::Running, "{row:#?}");
    write(&tree, "a/6", b"six");
    relay.mend();
    equal(&node, id, &tree, &there).await;
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.away.is_none())).await;
    // A source that is gone is trouble, not a wish to delete everything.
    fs::rename(&tree, dir.path().join("elsewhere")).unwrap();
    let row = node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| !watch.trouble.is_empty())).await;
    assert!(row.watch.unwrap().trouble.contains("cannot read") && there.join("a/6").exists());
    node.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    node.wait(id, |row| row.state == TransferState::Paused).await;
    assert!(is_tidy(&receiver));
}

#[tokio::test]
async fn a_single_file_can_be_watched_and_an_unchanged_source_asks_nobody() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("f");
    fs::write(&file, "one").unwrap();
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    let asks = SyncRequest { watch: true, path: file.clone(), ..request(dir.path(), &relay.url()) };
    let id = node.added(Command::Sync(asks)).await;
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.passes == 1)).await;
    let before = relay.carried();
    // Beside it: looked at, and nobody is asked about it.
    fs::write(dir.path().join("other"), "other").unwrap();
    // In one step: a look may come at any time.
    fs::write(dir.path().join("next"), "another").unwrap();
    fs::rename(dir.path().join("next"), &file).unwrap();
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.last.changed == 1)).await;
    assert_eq!(fs::read(receiver.root().join("in/f")).unwrap(), b"another");
    assert!(relay.carried() > before && !receiver.root().join("in/other").exists());
    node.control.command(Command::Cancel { ids: vec![id] }).await.unwrap();
    node.wait(id, |row| row.state == TransferState::Cancelled).await;
}

#[tokio::test]
async fn who_is_refused_watches_no_longer() {
    let (node, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    write(&tree, "a", b"1");
    // A node on loopback asks nobody there for a token: this one refuses everybody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(refusal).await;
        }
    });
    let id = node.added(Command::Sync(SyncRequest { watch: true, ..request(&tree, &url) })).await;
    let row = node.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.refused, "{row:#?}");
}
