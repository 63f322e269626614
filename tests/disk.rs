//! What a node has fetched lies on an operator's disk: it is served only while it is what it was, not
//! read again without need, and taken away without taking anything else along.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use common::{TestNode, noise, noise_file};
use skep_engine::control::{
    Command, Focus, Kept, OnExisting, Reply, ShareRequest, TransferId, TransferRow, TransferState,
};
use skep_engine::store::State;

/// A tree of a few files, shared by one node and fetched by another that goes on seeding.
async fn seeding() -> (TestNode, TestNode, TransferId, String) {
    let (origin, node) = (TestNode::start().await, TestNode::start().await);
    let tree = origin.dir.path().join("tree");
    fs::create_dir_all(tree.join("sub/deep")).unwrap();
    fs::create_dir(tree.join("hollow")).unwrap();
    for (n, name) in ["a", "b", "sub/c", "sub/deep/d"].into_iter().enumerate() {
        fs::write(tree.join(name), noise(100_000, n as u64)).unwrap();
    }
    std::os::unix::fs::symlink("../a", tree.join("sub/link")).unwrap();
    let link = origin.share(&tree).await;
    let id = node.get_with(&link, |r| r.seed = true).await;
    node.wait(id, |row| row.state == TransferState::Seeding).await;
    (origin, node, id, link)
}

/// Other bytes of the same length in the same file.
fn overwrite(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(b"edited", 50_000).unwrap();
}

fn link_at(node: &TestNode, link: &str) -> String {
    format!("skep://{}/{}", node.url().strip_prefix("http://").unwrap(), link.rsplit_once('/').unwrap().1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetched_file_that_is_edited_is_not_served_and_the_transfer_says_why() {
    for replaced in [false, true] {
        let (origin, node, id, link) = seeding().await;
        origin.shutdown().await;
        let path = node.root().join("tree/sub/c");
        if replaced {
            // As editors do: another file of the same size and time takes the name.
            let mtime = fs::metadata(&path).unwrap().modified().unwrap();
            let other = node.root().join("other");
            fs::write(&other, noise(100_000, 77)).unwrap();
            fs::File::options().write(true).open(&other).unwrap().set_modified(mtime).unwrap();
            fs::rename(other, &path).unwrap();
        } else {
            overwrite(&path);
        }
        let third = TestNode::start().await;
        let fetch = third.get(&link_at(&node, &link)).await;
        let told = node.wait(id, |row| row.reason.contains("withdrawn")).await;
        assert!(told.reason.contains("sub/c") && told.reason.contains("changed since it was hashed"), "{told:?}");
        assert_eq!(told.state, TransferState::Seeding, "the rest is served");
        // All that does not touch the edited file arrives; nothing wrong does.
        let waits = third.wait(fetch, |row| row.pieces_done >= row.pieces - 8 && !row.reason.is_empty()).await;
        assert!(waits.done < waits.size);
        let bans = third.snapshot(Focus::default(), |_| true).await;
        assert!(bans.bans.is_empty(), "{:?}", bans.bans);
    }
}

/// The bytes are swapped behind the node's back in the one way that it does not look for: that they
/// go unseen shows that they were not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_is_read_again_after_a_restart_only_if_it_looks_different() {
    let (_origin, node, id, _) = seeding().await;
    let path = node.root().join("tree/sub/c");
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    overwrite(&path);
    fs::File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    let node = node.restart().await;
    let over = |row: &TransferRow| matches!(row.state, TransferState::Seeding | TransferState::Failed);
    let row = node.wait(id, over).await;
    assert_eq!((row.state, row.verified), (TransferState::Seeding, true), "{row:#?}");

    // What somebody adds beside the content is no change of it.
    fs::write(node.root().join("tree/mine"), "mine").unwrap();
    let node = node.restart().await;
    let row = node.wait(id, over).await;
    assert_eq!(row.state, TransferState::Seeding, "{row:#?}");

    // Told to look, it looks, and mends.
    node.control.command(Command::Verify { ids: vec![id] }).await.unwrap();
    let row = node.wait(id, |row| row.state == TransferState::Seeding && row.bytes_down > 400_000).await;
    assert!(row.verified);
    assert_eq!(fs::read(&path).unwrap(), noise(100_000, 2));

    // Another time is reason enough to read it; it is right.
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let node = node.restart().await;
    assert_eq!(node.wait(id, over).await.state, TransferState::Seeding);
    // And again: what was found right is what counts from then on.
    overwrite(&path);
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let node = node.restart().await;
    assert_eq!(node.wait(id, over).await.state, TransferState::Seeding);
    overwrite(&path);
    let node = node.restart().await;
    let row = node.wait(id, over).await;
    assert_eq!(row.state, TransferState::Failed, "{row:#?}");
    assert!(row.error.unwrap().contains("pieces match"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_the_data_leaves_what_was_added_and_what_was_changed() {
    let (_origin, node, id, _) = seeding().await;
    let tree = node.root().join("tree");
    overwrite(&tree.join("b"));
    fs::write(tree.join("sub/mine"), "mine").unwrap();
    fs::create_dir(tree.join("my folder")).unwrap();
    fs::remove_file(tree.join("a")).unwrap();
    let reply = node.control.command(Command::Remove { ids: vec![id], data: true }).await.unwrap();
    assert_eq!(reply, Reply::Kept(Kept { changed: 1, foreign: 2 }));
    assert_eq!(fs::read(tree.join("sub/mine")).unwrap(), b"mine");
    assert!(tree.join("b").exists() && tree.join("my folder").exists());
    for gone in ["sub/c", "sub/deep", "sub/link", "hollow"] {
        assert!(tree.join(gone).symlink_metadata().is_err(), "{gone}");
    }
    node.snapshot(Focus::default(), |s| s.transfers.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_the_data_of_an_untouched_tree_leaves_nothing_not_even_behind_a_link() {
    let (_origin, node, id, _) = seeding().await;
    let reply = node.control.command(Command::Remove { ids: vec![id], data: true }).await.unwrap();
    assert_eq!(reply, Reply::Done);
    assert_eq!(fs::read_dir(node.root()).unwrap().count(), 0);

    // A folder of the operator's behind a link that took a folder's place.
    let (_origin, node, id, _) = seeding().await;
    let (tree, own) = (node.root().join("tree"), node.root().join("own"));
    fs::rename(tree.join("sub"), &own).unwrap();
    std::os::unix::fs::symlink("../own", tree.join("sub")).unwrap();
    let reply = node.control.command(Command::Remove { ids: vec![id], data: true }).await.unwrap();
    assert_eq!(reply, Reply::Kept(Kept { changed: 0, foreign: 1 }));
    assert!(own.join("c").exists() && own.join("deep/d").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_replaced_while_it_is_fetched_is_not_passed_off_as_the_content() {
    let origin = TestNode::start().await;
    let source = noise_file(origin.dir.path(), "data", 1_000_000);
    let link = origin.share(&source).await;
    let node = TestNode::start_with(|c| c.limits.down = Some(500_000)).await;
    let id = node.get(&link).await;
    node.wait(id, |row| row.pieces_done > 10).await;
    let part = fs::read_dir(node.root()).unwrap().next().unwrap().unwrap().path();
    // What was fetched so far goes on in a file that has no name any more.
    let copy = node.root().join("copy");
    fs::write(&copy, noise(1_000_000, 5)).unwrap();
    fs::rename(copy, part).unwrap();
    node.control.command(Command::Limit { id: None, up: None, down: Some(None) }).await.unwrap();
    let row = node.wait(id, |row| row.state.is_settled()).await;
    assert_eq!(row.state, TransferState::Failed, "{row:#?}");
    assert!(row.error.unwrap().contains("somebody changed it while it was fetched; resume"));
    assert!(!node.root().join("data").exists());
    // The message tells the truth.
    node.control.command(Command::Resume { ids: vec![id] }).await.unwrap();
    node.done(id).await;
    assert_eq!(fs::read(node.root().join("data")).unwrap(), fs::read(&source).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_survive_a_restart_until_the_configuration_says_something_new() {
    let node = TestNode::start().await;
    let source = noise_file(node.dir.path(), "data", 100_000);
    let share = ShareRequest { path: source, ..ShareRequest::default() };
    let id = node.added(Command::Share(share.clone())).await;
    node.wait(id, |row| row.state == TransferState::Seeding).await;
    let limit = |id, up, down| Command::Limit { id, up: Some(up), down: Some(down) };
    node.control.command(limit(Some(id), Some(3_000_000), None)).await.unwrap();
    node.control.command(limit(None, Some(5_000_000), Some(7_000_000))).await.unwrap();
    let node = node.restart().await;
    let now = node.snapshot(Focus::default(), |s| s.transfers[0].state == TransferState::Seeding).await;
    assert_eq!(now.transfers[0].limit_up, Some(3_000_000));
    assert_eq!((now.node.limit_up, now.node.limit_down), (Some(5_000_000), Some(7_000_000)));
    // Shared once more, it keeps its limit.
    node.added(Command::Share(share)).await;
    let now = node.snapshot(Focus::default(), |s| s.transfers[0].state == TransferState::Seeding).await;
    assert_eq!(now.transfers[0].limit_up, Some(3_000_000));

    // A configuration that changed since is newer than the choice; the one before is not.
    let dir = node.shutdown().await;
    let node = TestNode::start_in(dir, |c| c.limits.up = Some(9_000_000)).await;
    let now = node.snapshot(Focus::default(), |_| true).await;
    assert_eq!((now.node.limit_up, now.node.limit_down), (Some(9_000_000), Some(7_000_000)));
    let node = node.restart().await;
    node.control.command(limit(None, None, None)).await.unwrap();
    let node = node.restart().await;
    let now = node.snapshot(Focus::default(), |_| true).await;
    assert_eq!((now.node.limit_up, now.node.limit_down), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_that_nothing_uses_are_forgotten_at_a_start() {
    let (origin, node) = (TestNode::start().await, TestNode::start().await);
    let mut ids = Vec::new();
    for (name, size) in [("one", 100_000), ("two", 200_000)] {
        let link = origin.share(&noise_file(origin.dir.path(), name, size)).await;
        let id = node.get(&link).await;
        ids.push((id, node.done(id).await.content.unwrap()));
    }
    let gone = origin.snapshot(Focus::default(), |_| true).await.transfers[0].id;
    for (node, id) in [(&node, ids[0].0), (&origin, gone)] {
        node.control.command(Command::Remove { ids: vec![id], data: false }).await.unwrap();
    }
    let known = |dir: &tempfile::TempDir| {
        let state = State::open(&dir.path().join("state/state.redb")).unwrap();
        ids.iter().map(|(_, content)| state.manifest(content).unwrap().is_some()).collect::<Vec<_>>()
    };
    let dir = node.restart().await.shutdown().await;
    assert_eq!(known(&dir), [false, true]);
    let dir = origin.restart().await.shutdown().await;
    assert_eq!(known(&dir), [false, true]);
    let state = State::open(&dir.path().join("state/state.redb")).unwrap();
    let hashed = |name: &str| {
        let path = fs::canonicalize(dir.path().join(name)).unwrap();
        state.hashed::<skep_engine::content::Known>(&path).unwrap().is_some()
    };
    assert_eq!((hashed("one"), hashed("two")), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_for_again_as_paused_it_pauses_and_stays_so() {
    let origin = TestNode::start_with(|c| c.limits.up = Some(500_000)).await;
    let link = origin.share(&noise_file(origin.dir.path(), "data", 3_000_000)).await;
    let node = TestNode::start().await;
    let id = node.get(&link).await;
    node.wait(id, |row| row.pieces_done > 3).await;
    assert_eq!(node.get_with(&link, |r| r.paused = true).await, id);
    node.wait(id, |row| row.state == TransferState::Paused).await;
    let again = |r: &mut skep_engine::control::AddTransfer| {
        (r.paused, r.on_existing) = (true, OnExisting::Repair);
    };
    assert_eq!(node.get_with(&link, again).await, id);
    let node = node.restart().await;
    assert_eq!(node.wait(id, |_| true).await.state, TransferState::Paused, "not even with something new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_of_a_transfer_at_rest_are_those_of_now() {
    let origin = TestNode::start_with(|c| c.limits.up = Some(1_000_000)).await;
    let link = origin.share(&noise_file(origin.dir.path(), "data", 3_000_000)).await;
    let node = TestNode::start().await;
    let id = node.get(&link).await;
    let look = Focus { transfer: Some(id) };
    let seen = node.snapshot(look, |s| s.details.get(&id).is_some_and(|d| !d.peers.is_empty())).await;
    drop(seen);
    // One looks on, as a console does.
    let view = node.control.view(look);
    node.wait(id, |row| row.pieces_done > 20).await;
    node.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    let row = node.wait(id, |row| row.state == TransferState::Paused).await;
    let at_rest = |have: u32| {
        move |s: &skep_engine::control::Snapshot| {
            s.details.get(&id).is_some_and(|d| d.peers.is_empty() && d.in_flight.is_empty() && d.have.0.count() == have)
        }
    };
    node.snapshot(look, at_rest(row.pieces_done)).await;
    drop(view);
    // After a restart nobody has looked yet.
    let node = node.restart().await;
    node.snapshot(look, at_rest(row.pieces_done)).await;
    node.control.command(Command::Cancel { ids: vec![id] }).await.unwrap();
    node.wait(id, |row| row.state == TransferState::Cancelled).await;
    node.snapshot(look, at_rest(0)).await;
}
