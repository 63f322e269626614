//! Sharing and fetching between real engines over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use common::hostile::{self, Vice};
use common::{TestNode, noise, noise_file};
use skep_engine::content::Manifest;
use skep_engine::control::{
    AddTransfer, Command, CommandErrorKind, Focus, OnExisting, PeerRow, PeerState, PieceOrder, Snapshot, TransferId,
    TransferState,
};

async fn manifest_of(node: &TestNode, link: &str) -> Manifest {
    let id = link.rsplit_once('/').unwrap().1;
    let url = format!("{}/swarm/manifest/{id}", node.url());
    Manifest::from_json(&reqwest_get(&url).await).unwrap()
}

async fn reqwest_get(url: &str) -> Vec<u8> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::get(url).await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_shared_fetched_and_verified() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let source = noise_file(seeder.dir.path(), "image one.bin", 1_000_000);
    let link = seeder.share(&source).await;
    let id = leecher.get(&link).await;
    let row = leecher.done(id).await;
    assert!(row.verified);
    assert_eq!((row.size, row.done, row.pieces), (1_000_000, 1_000_000, 62));
    assert_eq!(row.strategy, "transit-p2p-swarm");
    assert_eq!(row.bytes_per_peer, [(seeder.url(), 1_000_000)]);
    assert_eq!(std::fs::read(leecher.root().join("image one.bin")).unwrap(), std::fs::read(&source).unwrap());
    let seeded = seeder.snapshot(Focus::default(), |s| s.transfers[0].bytes_up >= 1_000_000).await;
    assert_eq!(seeded.transfers[0].state, TransferState::Seeding);
}

fn odd_tree(dir: &Path) -> std::path::PathBuf {
    let top = dir.join("tree");
    std::fs::create_dir_all(top.join("deep/er/empty")).unwrap();
    std::fs::write(top.join("zero"), b"").unwrap();
    std::fs::write(top.join("with space"), noise(40_000, 1)).unwrap();
    std::fs::write(top.join("with\nnewline"), noise(3, 2)).unwrap();
    std::fs::write(top.join("ünï-日本"), noise(70_000, 3)).unwrap();
    std::fs::write(top.join(std::ffi::OsStr::from_bytes(b"not-utf8-\xff\xfe")), noise(10, 4)).unwrap();
    std::fs::write(top.join("deep/er/back\\slash"), noise(9_999, 5)).unwrap();
    std::fs::write(top.join("deep/run.sh"), b"#!/bin/sh\n").unwrap();
    std::fs::set_permissions(top.join("deep/run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../zero", top.join("deep/link")).unwrap();
    top
}

/// Every path below `top` with kind, mode, mtime and contents.
fn listing(top: &Path) -> Vec<(std::path::PathBuf, u32, i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let relative = path.strip_prefix(top).unwrap().to_path_buf();
            let (bytes, mtime) = if meta.is_dir() {
                folders.push(path.clone());
                (vec![], (0, 0))
            } else if meta.is_symlink() {
                (std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(), (0, 0))
            } else {
                (std::fs::read(&path).unwrap(), (meta.mtime(), meta.mtime_nsec()))
            };
            found.push((relative, meta.mode(), mtime.0, mtime.1, bytes));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_arrives_as_it_was() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let top = odd_tree(seeder.dir.path());
    let link = seeder.share(&top).await;
    let id = leecher.get(&link).await;
    leecher.done(id).await;
    let (sent, got) = (listing(&top), listing(&leecher.root().join("tree")));
    assert_eq!(got, sent);
    assert!(!leecher.root().read_dir().unwrap().any(|e| e.unwrap().file_name().as_bytes().starts_with(b".skep")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_without_bytes_is_a_content() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let source = noise_file(seeder.dir.path(), "nothing", 0);
    let link = seeder.share(&source).await;
    let id = leecher.get(&link).await;
    leecher.done(id).await;
    assert_eq!(std::fs::read(leecher.root().join("nothing")).unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_seeders_share_the_work() {
    let mut seeders = Vec::new();
    for _ in 0..3 {
        seeders.push(TestNode::start_with(|c| c.limits.up = Some(4_000_000)).await);
    }
    let mut links = Vec::new();
    for seeder in &seeders {
        let source = noise_file(seeder.dir.path(), "data", 3_000_000);
        links.push(seeder.share(&source).await);
    }
    let leecher = TestNode::start().await;
    let peers: Vec<String> = seeders.iter().map(TestNode::url).collect();
    let id = leecher.get_with(&links[0], |r| r.peers = peers).await;
    let row = leecher.done(id).await;
    assert_eq!(row.bytes_per_peer.len(), 3, "{:?}", row.bytes_per_peer);
    assert_eq!(row.bytes_per_peer.iter().map(|p| p.1).sum::<u64>(), 3_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leechers_find_one_another_through_the_tracker() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(3_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let mut leechers = Vec::new();
    for _ in 0..4 {
        let leecher = TestNode::start().await;
        let id = leecher.get_with(&link, |r| r.seed = true).await;
        leechers.push((leecher, id));
    }
    let mut from_others = 0;
    for (leecher, id) in &leechers {
        let row = leecher.done(*id).await;
        from_others += row.bytes_per_peer.iter().filter(|p| p.0 != seeder.url()).map(|p| p.1).sum::<u64>();
        assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
    }
    assert!(from_others > 3_000_000, "leechers gave one another {from_others} bytes only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_pieces_all_end_well() {
    let seeder = TestNode::start().await;
    let source = noise_file(seeder.dir.path(), "data", 1_000_000);
    let link = seeder.share(&source).await;
    for order in [PieceOrder::Sequential, PieceOrder::Random] {
        let leecher = TestNode::start().await;
        let id = leecher.get_with(&link, |r| r.order = order).await;
        leecher.done(id).await;
        assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
    }
}

async fn with_hostile(vice: Vice) -> (TestNode, hostile::Hostile, skep_engine::control::TransferRow) {
    // Slow enough that the hostile peer is asked for its share.
    let seeder = TestNode::start_with(|c| c.limits.up = Some(3_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 1_500_000);
    let link = seeder.share(&source).await;
    let data = std::fs::read(&source).unwrap();
    let bad = hostile::serve(vice, manifest_of(&seeder, &link).await, data.clone()).await;
    let leecher = TestNode::start().await;
    let id = leecher.get_with(&link, |r| r.peers = vec![bad.url()]).await;
    let row = leecher.done(id).await;
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), data, "{vice:?}");
    (leecher, bad, row)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_corrupts_is_banned_and_the_ban_survives_a_restart() {
    let (leecher, bad, _) = with_hostile(Vice::Corrupts).await;
    let peer = bad.addr.to_string();
    let banned = leecher.snapshot(Focus::default(), |s| !s.bans.is_empty()).await;
    assert_eq!(banned.bans[0].peer, peer);
    assert!(banned.bans[0].reason.contains("digest"), "{:?}", banned.bans[0]);
    assert!(banned.bans[0].until_ms > banned.bans[0].since_ms);
    let leecher = leecher.restart().await;
    let banned = leecher.snapshot(Focus::default(), |_| true).await;
    assert_eq!(banned.bans.len(), 1, "persisted");
    leecher.control.command(Command::Unban { peer: peer.clone() }).await.unwrap();
    let lifted = leecher.snapshot(Focus::default(), |s| s.bans.is_empty()).await;
    assert!(lifted.bans.is_empty());
    let again = leecher.control.command(Command::Unban { peer }).await.unwrap_err();
    assert_eq!(again.kind, CommandErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_comes_from_whoever_has_it_while_others_keep_silent() {
    let seeder = TestNode::start().await;
    let source = noise_file(seeder.dir.path(), "data", 100_000);
    let link = seeder.share(&source).await;
    let mute = hostile::mute("").await;
    let half = hostile::mute("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"files\":[").await;
    let leecher = TestNode::start().await;
    let id = link.rsplit_once('/').unwrap().1;
    let peers = vec![format!("http://{half}"), seeder.url()];
    let id = leecher.get_with(&format!("skep://{mute}/{id}"), |r| r.peers = peers).await;
    leecher.done(id).await;
}

/// How a transfer's peers stand, as somebody sees who looks at it.
async fn peers_are(node: &TestNode, id: TransferId, wanted: impl Fn(&[PeerRow]) -> bool) {
    let detailed = |s: &Snapshot| s.details.get(&id).is_some_and(|detail| wanted(&detail.peers));
    node.snapshot(Focus { transfer: Some(id) }, detailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_reaches_every_running_transfer_at_once_and_so_does_its_end() {
    let seeder = TestNode::start().await;
    let mut contents = Vec::new();
    let mut links = Vec::new();
    for (name, vice) in [("stalls", Vice::Stalls), ("corrupts", Vice::Corrupts)] {
        let source = noise_file(seeder.dir.path(), name, 200_000 + name.len());
        links.push(seeder.share(&source).await);
        contents.push((vice, manifest_of(&seeder, &links[links.len() - 1]).await, std::fs::read(&source).unwrap()));
    }
    let bad = hostile::serve_all(contents).await;
    seeder.shutdown().await;
    let at_bad = |link: &str| format!("skep://{}/{}", bad.addr, link.rsplit_once('/').unwrap().1);
    let leecher = TestNode::start().await;
    let waits = leecher.get(&at_bad(&links[0])).await;
    let asked = |peers: &[PeerRow]| peers.len() == 1 && peers[0].active > 0 && peers[0].state == PeerState::Connected;
    peers_are(&leecher, waits, asked).await;

    let meets = leecher.get(&at_bad(&links[1])).await;
    let shut_out = |peers: &[PeerRow]| peers.len() == 1 && peers[0].active == 0 && peers[0].state == PeerState::Banned;
    peers_are(&leecher, meets, shut_out).await;
    peers_are(&leecher, waits, shut_out).await;
    let row = leecher.wait(waits, |row| row.peers_known == 0).await;
    assert_eq!(row.peers, 0);

    // Or it would be banned again at once.
    leecher.control.command(Command::Pause { ids: vec![meets] }).await.unwrap();
    leecher.wait(meets, |row| row.state == TransferState::Paused).await;
    leecher.control.command(Command::Unban { peer: bad.addr.to_string() }).await.unwrap();
    peers_are(&leecher, waits, asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_begins_nothing_and_serves_on() {
    let (node, other) = (TestNode::start().await, TestNode::start().await);
    let theirs = other.share(&noise_file(other.dir.path(), "theirs", 100_000)).await;
    let ours = node.share(&noise_file(node.dir.path(), "ours", 100_000)).await;
    node.control.command(Command::Drain { on: true }).await.unwrap();
    node.snapshot(Focus::default(), |snapshot| snapshot.node.draining).await;
    let id = node.get(&theirs).await;
    node.wait(id, |row| row.reason.contains("drains")).await;
    let served = other.get(&ours).await;
    other.done(served).await;
    assert_eq!(node.wait(id, |_| true).await.done, 0);
    node.control.command(Command::Drain { on: false }).await.unwrap();
    node.done(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lies_about_its_bitmap_does_no_harm() {
    with_hostile(Vice::LiesAboutBitmap).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_too_much_does_no_harm() {
    with_hostile(Vice::TooMuch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_too_little_does_no_harm() {
    with_hostile(Vice::TooLittle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_midway_does_no_harm() {
    with_hostile(Vice::Stalls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_errors_at_once_is_not_hammered() {
    let (_, bad, _) = with_hostile(Vice::ErrorsAtOnce).await;
    let asked = bad.asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked <= 20, "asked {asked} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_a_bad_bitmap_is_left_alone() {
    let (_, bad, _) = with_hostile(Vice::BadBitmap).await;
    assert_eq!(bad.asked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_always_chokes_does_no_harm() {
    with_hostile(Vice::AlwaysChoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_whose_only_peer_is_gone_says_so_and_goes_on_when_it_is_back() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(1_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let leecher = TestNode::start().await;
    let id = leecher.get(&link).await;
    leecher.wait(id, |row| row.pieces_done > 3).await;
    let port: u16 = seeder.url().rsplit_once(':').unwrap().1.trim_end_matches('/').parse().unwrap();
    let dir = seeder.shutdown().await;
    let waiting = leecher.wait(id, |row| !row.reason.is_empty()).await;
    assert_eq!(waiting.state, TransferState::Running);
    let _seeder = TestNode::start_in(dir, |c| c.listen.set_port(port)).await;
    let row = leecher.done(id).await;
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
    assert!(row.bytes_down < 3_000_000 + 40 * 16_384, "fetched {} bytes", row.bytes_down);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_keeps_what_is_there_and_resume_fetches_the_rest_only() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(2_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let leecher = TestNode::start().await;
    let id = leecher.get(&link).await;
    leecher.wait(id, |row| row.pieces_done > 10).await;
    leecher.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    let paused = leecher.wait(id, |row| row.state == TransferState::Paused).await;
    assert!(paused.pieces_done > 10 && paused.pieces_done < paused.pieces);
    // A restart in between: paused stays paused, with everything it had.
    let leecher = leecher.restart().await;
    let still = leecher.wait(id, |_| true).await;
    assert_eq!(still.state, TransferState::Paused);
    leecher.control.command(Command::Resume { ids: vec![id] }).await.unwrap();
    let row = leecher.done(id).await;
    let refetched = row.bytes_down - 3_000_000;
    assert!(refetched <= 20 * 16_384, "fetched {refetched} bytes twice");
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_drops_partial_data_and_remove_forgets() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(1_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let leecher = TestNode::start().await;
    let id = leecher.get(&link).await;
    leecher.wait(id, |row| row.pieces_done > 3).await;
    leecher.control.command(Command::Cancel { ids: vec![id] }).await.unwrap();
    leecher.wait(id, |row| row.state == TransferState::Cancelled).await;
    assert_eq!(leecher.root().read_dir().unwrap().count(), 0, "no partial data is left");
    leecher.control.command(Command::Remove { ids: vec![id], data: false }).await.unwrap();
    leecher.snapshot(Focus::default(), |s| s.transfers.is_empty()).await;
    let gone = leecher.control.command(Command::Resume { ids: vec![id] }).await.unwrap_err();
    assert_eq!(gone.kind, CommandErrorKind::NotFound);
    // What was shared in place is never deleted.
    let share = seeder.snapshot(Focus::default(), |_| true).await.transfers[0].id;
    seeder.control.command(Command::Remove { ids: vec![share], data: true }).await.unwrap();
    assert!(source.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_name_is_refused_or_mended_never_overwritten_unasked() {
    let (seeder, leecher) = (TestNode::start().await, TestNode::start().await);
    let source = noise_file(seeder.dir.path(), "data", 500_000);
    let link = seeder.share(&source).await;
    let mut broken = std::fs::read(&source).unwrap();
    broken[300_000] ^= 1;
    std::fs::write(leecher.root().join("data"), &broken).unwrap();
    let id = leecher.get(&link).await;
    let row = leecher.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.error.as_ref().unwrap().contains("30 of 31 pieces match"), "{row:?}");
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), broken, "untouched");
    leecher.control.command(Command::Remove { ids: vec![id], data: false }).await.unwrap();
    let id = leecher.get_with(&link, |r| r.on_existing = OnExisting::Repair).await;
    let row = leecher.done(id).await;
    assert_eq!(row.bytes_down, 16_384, "one piece was wrong");
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
    let again = leecher.get(&link).await;
    assert_eq!(leecher.done(again).await.bytes_down, 0, "it is there already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_it_is_shared_is_never_served_wrong() {
    let seeder = TestNode::start_with(|c| c.limits.up = Some(1_000_000)).await;
    let source = noise_file(seeder.dir.path(), "data", 3_000_000);
    let link = seeder.share(&source).await;
    let leecher = TestNode::start().await;
    let id = leecher.get(&link).await;
    leecher.wait(id, |row| row.pieces_done > 3).await;
    std::fs::write(&source, noise(3_000_000, 99)).unwrap();
    leecher.wait(id, |row| !row.reason.is_empty()).await;
    let bans = leecher.snapshot(Focus::default(), |_| true).await;
    assert!(bans.bans.is_empty(), "an honest seeder sends nothing rather than something wrong: {:?}", bans.bans);
    // Shared again it is another content.
    let new_link = seeder.share(&source).await;
    assert_ne!(new_link, link);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_named_in_a_metalink_is_a_peer_and_is_checked_like_one() {
    let seeder = TestNode::start().await;
    let source = noise_file(seeder.dir.path(), "data", 800_000);
    let link = seeder.share(&source).await;
    let id = link.rsplit_once('/').unwrap().1;
    let metalink =
        String::from_utf8(reqwest_get(&format!("{}/swarm/manifest/{id}?format=metalink", seeder.url())).await).unwrap();
    let leecher = TestNode::start().await;
    let request = AddTransfer { document: Some(metalink), ..AddTransfer::default() };
    let id = leecher.added(Command::Add(request)).await;
    let row = leecher.done(id).await;
    assert!(row.bytes_per_peer[0].0.contains("/swarm/file/"), "{:?}", row.bytes_per_peer);
    assert_eq!(std::fs::read(leecher.root().join("data")).unwrap(), std::fs::read(&source).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senseless_commands_are_refused_with_a_reason() {
    let node = TestNode::start().await;
    let cases = [
        (AddTransfer { link: "nonsense".into(), ..AddTransfer::default() }, CommandErrorKind::Invalid),
        (AddTransfer { document: Some("{}".into()), ..AddTransfer::default() }, CommandErrorKind::Invalid),
        (AddTransfer { link: "http://127.0.0.1:1/x".into(), ..AddTransfer::default() }, CommandErrorKind::Unavailable),
        (AddTransfer { link: "skep://h:1/00".into(), ..AddTransfer::default() }, CommandErrorKind::Invalid),
    ];
    for (request, kind) in cases {
        let error = node.control.command(Command::Add(request.clone())).await.unwrap_err();
        assert_eq!(error.kind, kind, "{request:?}: {error}");
        assert!(!error.message.is_empty());
    }
}
