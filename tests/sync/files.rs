//! Single files, holes, what changes while it is read, what was renamed.

use std::fs::{self, FileTimes};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, UNIX_EPOCH};

use axum::http::Method;
use skep_engine::control::{Command, CommandErrorKind, Reply, SyncRequest, TransferState};

use super::common::meddler::{Asked, Meddle, Meddler};
use super::common::{TestNode, noise, noise_file};
use super::relay::Relay;
use super::{is_tidy, listing, request, sync, write};

#[tokio::test]
async fn a_single_file_is_kept_equal_too() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (file, root) = (dir.path().join("data.bin"), receiver.root());
    fs::write(&file, noise(300_000, 1)).unwrap();
    fs::write(dir.path().join("beside"), "not asked for").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let asks = |dest: &str| SyncRequest {
        dest: format!("{}{dest}", receiver.url()),
        path: file.clone(),
        delete: true,
        ..SyncRequest::default()
    };
    let same = |path: &str| {
        let (here, there) = (fs::metadata(&file).unwrap(), fs::metadata(root.join(path)).unwrap());
        assert_eq!(
            (here.mtime(), here.mtime_nsec(), here.mode()),
            (there.mtime(), there.mtime_nsec(), there.mode()),
            "{path}"
        );
        assert!(fs::read(&file).unwrap() == fs::read(root.join(path)).unwrap(), "{path}");
    };
    for (dest, path) in [("/", "data.bin"), ("/deep/er/", "deep/er/data.bin"), ("/deep/other", "deep/other")] {
        let row = sync(&node, asks(dest)).await;
        assert_eq!((row.sync.unwrap().new, row.bytes_up), (1, 300_000), "{path}");
        same(path);
        let row = sync(&node, asks(dest)).await;
        assert!(row.sync.unwrap().is_nothing() && row.wire_bytes < 2_000, "{row:#?}");
    }
    // Touched only; then changed.
    fs::File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let totals = sync(&node, asks("/deep/other")).await.sync.unwrap();
    assert_eq!((totals.touched, totals.send_bytes), (1, 0));
    same("deep/other");
    fs::write(&file, noise(300_001, 2)).unwrap();
    let totals = sync(&node, asks("/deep/other")).await.sync.unwrap();
    assert_eq!((totals.changed, totals.new), (1, 0));
    same("deep/other");
    // Digests find what size and time hide.
    let (there, time) = (root.join("deep/other"), fs::metadata(&file).unwrap().modified().unwrap());
    fs::File::options().write(true).open(&there).unwrap().write_all_at(b"wrong", 0).unwrap();
    fs::File::options().write(true).open(&there).unwrap().set_modified(time).unwrap();
    assert!(sync(&node, asks("/deep/other")).await.sync.unwrap().is_nothing());
    assert_eq!(sync(&node, SyncRequest { checksum: true, ..asks("/deep/other") }).await.sync.unwrap().changed, 1);
    same("deep/other");
    // A folder does not give way to it, whatever is asked for.
    let error = node.control.command(Command::PreviewSync(asks("/deep"))).await.unwrap_err();
    assert!(error.kind == CommandErrorKind::Conflict && error.to_string().contains("no file"), "{error}");
    let Reply::SyncPlan(plan) = node.control.command(Command::PreviewSync(asks("/new/name"))).await.unwrap() else {
        panic!()
    };
    assert_eq!((plan.items.len(), plan.totals.send_bytes, plan.to.as_str()), (1, 300_001, "new/name"));
    assert!(!root.join("new").exists() && is_tidy(&receiver));
    assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "nothing else went along");
}

#[tokio::test]
async fn holes_stay_holes_and_cost_nothing() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    fs::create_dir(&tree).unwrap();
    let file = fs::File::create(tree.join("disk.img")).unwrap();
    file.set_len(256 << 20).unwrap();
    file.write_all_at(&noise(200_000, 1), 100 << 20).unwrap();
    fs::File::create(tree.join("empty.img")).unwrap().set_len(64 << 20).unwrap();
    write(&tree, "plain", &noise(100_000, 2));
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    sync(&node, request(&tree, &relay.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    let used = |name: &str| fs::metadata(there.join(name)).unwrap().blocks() * 512;
    assert!(used("disk.img") < 1 << 20, "{} bytes on the disk", used("disk.img"));
    assert_eq!(used("empty.img"), 0);
    assert!(relay.carried() < 18 << 20, "a segment with data in it, and heads: {}", relay.carried());
    // What was data and is a hole now gives its room back.
    rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
        100 << 20,
        1 << 20,
    )
    .unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000)).unwrap();
    sync(&node, request(&tree, &relay.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    assert_eq!(used("disk.img"), 0);
}

#[tokio::test]
async fn a_file_that_never_rests_is_named_and_the_others_arrive() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    fs::create_dir(&tree).unwrap();
    for n in 0..20 {
        noise_file(&tree, &format!("{n:02}"), 50_000 + n);
    }
    let mut log = fs::File::create(tree.join("10.log")).unwrap();
    log.write_all(b"x").unwrap();
    // Something is added whenever an upload is opened: after a look, and before the file is read.
    let opens = |asked: &Asked| asked.is(Method::POST, "/upload/");
    let url = receiver.url();
    let meddler = Meddler::to(&url, move |asked| {
        if opens(asked) {
            (&log).write_all(b"x").unwrap();
        }
        Meddle::Pass
    });
    let id = node.added(Command::Sync(request(&tree, &meddler.await.url))).await;
    let row = node.wait(id, |row| row.state.is_settled()).await;
    assert_eq!(row.state, TransferState::Failed, "{row:#?}");
    assert!(row.error.as_ref().is_some_and(|error| error.contains("10.log") && !error.contains("11")), "{row:#?}");
    for n in 0..20 {
        let name = format!("{n:02}");
        assert!(fs::read(tree.join(&name)).unwrap() == fs::read(there.join(&name)).unwrap(), "{name}");
    }
    assert!(!there.join("10.log").exists(), "nothing that was never so");
    sync(&node, request(&tree, &receiver.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    assert!(is_tidy(&receiver));
}

#[tokio::test]
async fn a_thousand_renamed_files_move_no_content() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for n in 0..1_000 {
        // Half of them alike by size and time.
        let bytes = noise(2_000 + if n % 2 == 0 { 0 } else { n }, n as u64);
        write(&tree, &format!("old/{n:04}.dat"), &bytes);
        let file = fs::File::options().write(true).open(tree.join(format!("old/{n:04}.dat"))).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    sync(&node, request(&tree, &relay.url())).await;
    let before = relay.carried();
    fs::create_dir(tree.join("new")).unwrap();
    for n in 0..1_000 {
        fs::rename(tree.join(format!("old/{n:04}.dat")), tree.join(format!("new/x{n:04}"))).unwrap();
    }
    let row = sync(&node, request(&tree, &relay.url())).await;
    let totals = row.sync.unwrap();
    assert_eq!((totals.moved, totals.new, totals.send_bytes, row.bytes_up), (1_000, 0, 0, 0), "{totals:?}");
    assert!(relay.carried() - before < 700_000, "names alone: {}", relay.carried() - before);
    assert_eq!(listing(&tree), listing(&there));
    assert!(is_tidy(&receiver));
}

#[tokio::test]
async fn of_large_files_only_what_changed_is_sent() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    let mut edited = noise(4_000_000, 1);
    write(&tree, "sub/edited.bin", &edited);
    write(&tree, "moved/app-1.tar", &noise(3_000_000, 2));
    write(&tree, "plan.doc", &noise(2_000_000, 3));
    write(&tree, "unlike.bin", &noise(1_000_000, 4));
    write(&tree, "small", &noise(20_000, 5));
    fs::set_permissions(tree.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    sync(&node, request(&tree, &relay.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    // Edited in place, in a folder that may not be written to.
    edited[2_000_000..2_000_100].fill(7);
    fs::set_permissions(tree.join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.join("sub/edited.bin"), &edited).unwrap();
    fs::set_permissions(tree.join("sub/edited.bin"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(tree.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();
    // Moved elsewhere and edited; renamed and edited.
    let mut moved = noise(3_000_000, 2);
    moved.splice(1_000_000..1_000_000, noise(500, 9));
    fs::remove_dir_all(tree.join("moved")).unwrap();
    write(&tree, "other/app-1.tar", &moved);
    let mut renamed = noise(2_000_000, 3);
    renamed.extend_from_slice(b"the end");
    fs::remove_file(tree.join("plan.doc")).unwrap();
    write(&tree, "draft.doc", &renamed);
    // Nothing in common with what was there, and too small for it.
    write(&tree, "unlike.bin", &noise(1_000_001, 8));
    write(&tree, "small", &noise(20_001, 6));
    let before = relay.carried();
    let row = sync(&node, request(&tree, &relay.url())).await;
    assert_eq!(listing(&tree), listing(&there));
    let (sent, totals) = (relay.carried() - before, row.sync.unwrap());
    assert_eq!((totals.changed, totals.new, totals.deleted), (3, 2, 3), "{totals:?}");
    assert!(sent < 1_000_001 + 20_001 + 200_000, "{sent} bytes of {}", totals.send_bytes);
    let delta = row.delta.unwrap();
    assert!(delta.matched > 8_900_000 && row.done == row.size, "{row:#?}");
    assert!(delta.sent == delta.literal && delta.sent > 0, "{delta:?}");
    assert!(is_tidy(&receiver));
    assert!(sync(&node, request(&tree, &relay.url())).await.sync.unwrap().is_nothing());
    // A single file.
    let file = tree.join("draft.doc");
    let asks =
        SyncRequest { path: file.clone(), dest: format!("{}/in/one.doc", relay.url()), ..SyncRequest::default() };
    sync(&node, asks.clone()).await;
    renamed[5] ^= 1;
    fs::write(&file, &renamed).unwrap();
    let before = relay.carried();
    sync(&node, asks).await;
    assert!(fs::read(receiver.root().join("in/one.doc")).unwrap() == renamed);
    assert!(relay.carried() - before < 100_000, "{} bytes", relay.carried() - before);
}

#[tokio::test]
async fn lists_of_large_folders_are_compressed() {
    const FILES: u64 = 2_000;
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    for n in 0..FILES {
        write(&tree, &format!("a file with a name as long as such names are {n}"), b"x");
    }
    sync(&node, request(&tree, &receiver.url())).await;
    write(&tree, "one more", b"y");
    let row = sync(&node, request(&tree, &receiver.url())).await;
    // Each name comes once; in JSON an entry has more than a hundred bytes.
    assert!(row.wire_bytes < 50 * FILES, "{} bytes", row.wire_bytes);
    assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
}
