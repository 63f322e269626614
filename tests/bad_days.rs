//! Bad days of a transfer between engines: somebody touches what lies on the disk meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{TestNode, noise, noise_file};
use skep_engine::control::{Command, CommandErrorKind, Focus, TransferId, TransferRow, TransferState};

/// A tree of three files, shared; a leecher that has some of each and is paused.
struct Paused {
    _seeder: TestNode,
    leecher: TestNode,
    id: TransferId,
    source: PathBuf,
}

async fn paused() -> Paused {
    let seeder = TestNode::start().await;
    let source = seeder.dir.path().join("tree");
    fs::create_dir_all(source.join("sub")).unwrap();
    for (n, name) in ["a", "sub/b", "z"].into_iter().enumerate() {
        fs::write(source.join(name), noise(800_000, n as u64)).unwrap();
    }
    let link = seeder.share(&source).await;
    let leecher = TestNode::start_with(|c| c.limits.down = Some(1_000_000)).await;
    let id = leecher.get(&link).await;
    leecher.wait(id, |row| row.pieces_done > 50).await;
    leecher.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    leecher.wait(id, |row| row.state == TransferState::Paused).await;
    leecher.control.command(Command::Limit { id: None, up: None, down: Some(None) }).await.unwrap();
    Paused { _seeder: seeder, leecher, id, source }
}

impl Paused {
    /// The folder in which the tree grows.
    fn partial(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.leecher.root()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.file_name().unwrap().to_str().unwrap().ends_with(".part")).unwrap()
    }

    /// Resumes and waits for the end, whichever.
    async fn resume(&self) -> TransferRow {
        self.leecher.control.command(Command::Resume { ids: vec![self.id] }).await.unwrap();
        let over = |row: &TransferRow| matches!(row.state, TransferState::Done | TransferState::Failed);
        self.leecher.wait(self.id, over).await
    }

    fn arrived(&self) {
        for name in ["a", "sub/b", "z"] {
            let got = fs::read(self.leecher.root().join("tree").join(name)).unwrap();
            assert!(got == fs::read(self.source.join(name)).unwrap(), "{name} is wrong");
        }
    }
}

/// A folder outside with a file that must stay as it is.
fn outside() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("b");
    fs::write(&victim, "precious").unwrap();
    (dir, victim)
}

fn refused(row: &TransferRow) {
    assert_eq!(row.state, TransferState::Failed, "{row:#?}");
    assert!(row.error.as_ref().unwrap().contains("a link there leads elsewhere"), "{row:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_planted_for_a_file_is_not_followed() {
    let paused = paused().await;
    let (_dir, victim) = outside();
    let file = paused.partial().join("sub/b");
    fs::remove_file(&file).unwrap();
    symlink(&victim, &file).unwrap();
    refused(&paused.resume().await);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(!paused.leecher.root().join("tree").exists());
    // Mended, it goes on.
    fs::remove_file(&file).unwrap();
    let row = paused.resume().await;
    assert_eq!(row.state, TransferState::Done, "{row:#?}");
    paused.arrived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_planted_for_a_folder_is_not_followed() {
    let paused = paused().await;
    let (dir, victim) = outside();
    let folder = paused.partial().join("sub");
    fs::remove_dir_all(&folder).unwrap();
    symlink(dir.path(), &folder).unwrap();
    refused(&paused.resume().await);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_planted_for_the_whole_tree_is_not_followed() {
    let paused = paused().await;
    let (dir, _) = outside();
    let top = paused.partial();
    fs::remove_dir_all(&top).unwrap();
    symlink(dir.path(), &top).unwrap();
    refused(&paused.resume().await);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(!paused.leecher.root().join("tree").exists());
}

/// The record says that pieces are there which somebody took away: what is missing is fetched again,
/// zeros are never passed off as data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_files_that_were_cut_or_deleted_are_noticed() {
    let cut = |path: &Path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1000).unwrap();
    let delete = |path: &Path| fs::remove_file(path).unwrap();
    for harm in [&cut as &dyn Fn(&Path), &delete] {
        let paused = paused().await;
        for name in ["a", "sub/b"] {
            harm(&paused.partial().join(name));
        }
        let row = paused.resume().await;
        assert_eq!(row.state, TransferState::Done, "{row:#?}");
        assert!(row.verified);
        paused.arrived();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_tree_that_was_deleted_is_fetched_again() {
    let paused = paused().await;
    fs::remove_dir_all(paused.partial()).unwrap();
    assert_eq!(paused.resume().await.state, TransferState::Done);
    paused.arrived();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_with_data_deletes_what_came_by_a_link_and_nothing_beside_it() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let link = seeder.share(&noise_file(seeder.dir.path(), "data", 100_000)).await;
    fs::write(leecher.root().join("mine"), "precious").unwrap();
    let id = leecher.get(&link).await;
    leecher.done(id).await;
    leecher.control.command(Command::Remove { ids: vec![id], data: true }).await.unwrap();
    assert!(!leecher.root().join("data").exists());
    assert_eq!(fs::read(leecher.root().join("mine")).unwrap(), b"precious");
}

/// The advice of the message is true: a node that has it, named the second time, is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_request_brings_its_nodes_along() {
    let (gone, seeder, leecher) = (TestNode::start().await, TestNode::start().await, TestNode::start().await);
    let path = noise_file(seeder.dir.path(), "data", 300_000);
    let link = seeder.share(&path).await;
    let content = link.rsplit_once('/').unwrap().1;
    let url = gone.url();
    gone.shutdown().await;
    let id = leecher.get(&format!("skep://{}/{content}", url.strip_prefix("http://").unwrap())).await;
    leecher.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    leecher.wait(id, |row| row.state == TransferState::Paused).await;
    assert_eq!(leecher.get(&link).await, id, "the same transfer");
    let now = leecher.snapshot(Focus::default(), |_| true).await;
    assert_ne!(now.transfers[0].state, TransferState::Paused, "known by the time the answer is");
    leecher.done(id).await;
    assert_eq!(fs::read(leecher.root().join("data")).unwrap(), fs::read(path).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_a_cancelled_transfer_leaves_its_successor_alone() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(1_500_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let leecher = TestNode::start().await;
    let first = leecher.get(&link).await;
    leecher.wait(first, |row| row.pieces_done > 3).await;
    leecher.control.command(Command::Cancel { ids: vec![first] }).await.unwrap();
    leecher.wait(first, |row| row.state == TransferState::Cancelled).await;
    let second = leecher.get(&link).await;
    leecher.wait(second, |row| row.pieces_done > 3).await;
    let refused = leecher.control.command(Command::Resume { ids: vec![first] }).await.unwrap_err();
    assert_eq!(refused.kind, CommandErrorKind::Conflict, "two writers on one partial content");
    leecher.control.command(Command::Remove { ids: vec![first], data: true }).await.unwrap();
    leecher.done(second).await;
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_pieces_in_a_file_that_is_too_long_are_not_the_content() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let source = noise_file(seeder.dir.path(), "data", 100_000);
    let link = seeder.share(&source).await;
    let mut longer = std::fs::read(&source).unwrap();
    longer.extend(b"and more");
    std::fs::write(leecher.root().join("data"), &longer).unwrap();
    let id = leecher.get(&link).await;
    let row = leecher.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.error.unwrap().contains("differs"));
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), longer, "untouched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_takes_no_place_and_verify_mends_what_was_fetched() {
    let seeder = TestNode::start().await;
    let leecher = TestNode::start_with(|c| c.limits.max_transfers = 1).await;
    let mut ids = Vec::new();
    for (name, size) in [("one", 100_000), ("two", 200_000)] {
        let link = seeder.share(&noise_file(seeder.dir.path(), name, size)).await;
        let id = leecher.get_with(&link, |r| r.seed = true).await;
        leecher.wait(id, |row| row.state == TransferState::Seeding).await;
        ids.push(id);
    }
    let path = leecher.root().join("one");
    let right = std::fs::read(&path).unwrap();
    let mut wrong = right.clone();
    wrong[50_000] ^= 1;
    std::fs::write(&path, wrong).unwrap();
    leecher.control.command(Command::Verify { ids: vec![ids[0]] }).await.unwrap();
    leecher.wait(ids[0], |row| row.state == TransferState::Seeding && row.bytes_down > 100_000).await;
    assert_eq!(std::fs::read(&path).unwrap(), right);
    // Paused, it is still a content that was fetched: removing it with its data removes the file.
    leecher.control.command(Command::Pause { ids: vec![ids[1]] }).await.unwrap();
    leecher.wait(ids[1], |row| row.state == TransferState::Paused).await;
    leecher.control.command(Command::Remove { ids: vec![ids[1]], data: true }).await.unwrap();
    assert!(!leecher.root().join("two").exists());
}
