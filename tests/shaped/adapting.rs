//! What a link is, and becomes, changes what is moved over it.

use std::path::{Path, PathBuf};

use skep_engine::control::link::{ClassChoice, LinkChangeRequest, LinkClass, SyncMode};
use skep_engine::control::queue::{QueueId, QueueRow};
use skep_engine::control::{Command, Focus, PriorityClass, Reply, SendRequest, Snapshot, SyncRequest, TransferState};
use skep_engine::link::params::Patch;
use skep_shaper::Profile;

use crate::common::tree::{listed, listing};
use crate::common::{TestNode, noise_file};
use crate::link;

/// Words, which compress.
fn text_file(dir: &Path, name: &str, len: usize) -> PathBuf {
    let words = ["bee", "honey", "swarm", "hive", "comb", "nectar", "queen", "drone", "wax", "pollen"];
    let mut rng = fastrand::Rng::with_seed(len as u64);
    let mut text = String::with_capacity(len + 8);
    while text.len() < len {
        text.push_str(words[rng.usize(..words.len())]);
        text.push(' ');
    }
    let path = dir.join(name);
    std::fs::write(&path, &text.as_bytes()[..len]).unwrap();
    path
}

async fn say(node: &TestNode, endpoint: &str, class: Option<LinkClass>, metered: Option<bool>) {
    let class = class.map(ClassChoice::Fixed);
    let request = LinkChangeRequest { endpoint: endpoint.into(), class, metered };
    node.control.command(Command::SetLink(request)).await.unwrap();
    let is_said = |class: Option<ClassChoice>, row: &skep_engine::control::link::LinkRow| {
        class.is_none_or(|class| class == ClassChoice::Fixed(row.class)) && metered.is_none_or(|m| m == row.metered)
    };
    let focus = Focus::default();
    node.snapshot(focus, |s| s.links.iter().any(|row| row.endpoint == endpoint && is_said(class, row))).await;
}

/// Compressed, since bytes are dear there; no deltas of what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_compression_follow_the_class_of_the_link() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let size = 1_000_000;
    let text = text_file(dir.path(), "text", size);
    let line = link(&receiver, Profile::new("line", 40.0, 40.0, 1, 0, 50)).await;
    for (class, segment, mode) in [
        (LinkClass::Fiber, 4 << 20, SyncMode::Full),
        (LinkClass::Mobile, 256 << 10, SyncMode::DeltaOnly),
        (LinkClass::Satellite, 64 << 10, SyncMode::DeltaCompressed),
    ] {
        say(&node, &line.url(), Some(class), None).await;
        let dest = format!("{}/{}/", line.url(), class.name());
        let request = SendRequest { path: text.clone(), dest, ..SendRequest::default() };
        let row = node.done(node.added(Command::Send(request)).await).await;
        let over = row.over.unwrap();
        assert_eq!((over.class, over.mode), (class, mode), "{row:#?}");
        assert_eq!(row.segment, segment, "{row:#?}");
        assert_eq!(row.saved_bytes > 0, class != LinkClass::Fiber, "{row:#?}");
        assert_eq!(row.bytes_up + row.saved_bytes, size as u64, "{row:#?}");
        let there = receiver.root().join(class.name()).join("text");
        assert_eq!(std::fs::read(there).unwrap(), std::fs::read(&text).unwrap());
    }
}

/// The profiles keep chunks small, so that there are many to come when the link changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_sync_takes_on_what_its_link_becomes() {
    let node = TestNode::start_with(|config| {
        let small = Patch { chunk_bytes: Some(64 << 10), ..Patch::default() };
        config.link.profiles.insert(LinkClass::Fiber, small);
    });
    let (node, receiver, dir) = (node.await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for number in 0..8 {
        text_file(&tree, &format!("file-{number}"), 700_000 + number);
    }
    let line = link(&receiver, Profile::new("line", 16.0, 16.0, 2, 0, 50)).await;
    say(&node, &line.url(), Some(LinkClass::Fiber), None).await;
    let request = SyncRequest { path: tree.clone(), dest: format!("{}/in/", line.url()), ..SyncRequest::default() };
    let id = node.added(Command::Sync(request)).await;
    let row = node.wait(id, |row| row.done > 0 && row.over.is_some()).await;
    assert_eq!((row.over.unwrap().class, row.saved_bytes), (LinkClass::Fiber, 0), "{row:#?}");
    assert!(row.done < row.size, "it is at work: {row:#?}");
    say(&node, &line.url(), Some(LinkClass::Satellite), None).await;
    let row = node.done(id).await;
    let over = row.over.unwrap();
    assert_eq!((over.class, over.mode), (LinkClass::Satellite, SyncMode::DeltaCompressed), "{row:#?}");
    assert!(over.compression.is_some() && row.saved_bytes > 500_000, "{row:#?}");
    assert!(row.bytes_up < row.size, "{row:#?}");
    assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
}

/// Both of its long chunks are under way when the link becomes a slow one: none is to come that could be sent otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_under_way_begin_anew_where_that_is_shorter() {
    // Of each some 256 KiB are the system's by then, where it lets us bound that, and 2 MiB where it does not.
    let (size, segment) = (8 << 20, 4 << 20);
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let text = text_file(dir.path(), "text", size);
    let line = link(&receiver, Profile::new("line", 1.0, 1.0, 2, 0, 50)).await;
    say(&node, &line.url(), Some(LinkClass::Fiber), None).await;
    let request = SendRequest { path: text.clone(), dest: format!("{}/in/", line.url()), ..SendRequest::default() };
    let id = node.added(Command::Send(request)).await;
    let row = node.wait(id, |row| row.paths.iter().any(|path| path.active == 2) && row.bytes_up > 0).await;
    assert_eq!((row.segment, row.saved_bytes, row.done), (segment, 0, 0), "{row:#?}");
    say(&node, &line.url(), Some(LinkClass::Satellite), None).await;
    let row = node.done(id).await;
    assert!(row.saved_bytes > size as u64 / 2, "{row:#?}");
    assert_eq!(std::fs::read(receiver.root().join("in/text")).unwrap(), std::fs::read(&text).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_a_link_that_comes_and_goes_is_kept_in_the_queue() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    say(&node, &receiver.url(), Some(LinkClass::Intermittent), None).await;
    let file = noise_file(dir.path(), "data", 100_000);
    let dest = format!("{}/in/", receiver.url());
    let request = SendRequest { path: file.clone(), dest, ..SendRequest::default() };
    let reply = node.control.command(Command::Send(request.clone())).await.unwrap();
    let Reply::Enqueued { id, again: false } = reply else { panic!("{reply:?}") };
    // Nothing keeps this link from working: it drains by itself.
    let is_done = |s: &skep_engine::control::Snapshot| {
        s.transfers.iter().any(|row| row.queued == Some(id) && row.state == TransferState::Done)
    };
    node.snapshot(Focus::default(), is_done).await;
    assert_eq!(std::fs::read(receiver.root().join("in/data")).unwrap(), std::fs::read(&file).unwrap());
    say(&node, &receiver.url(), Some(LinkClass::Broadband), None).await;
    let dest = format!("{}/again/", receiver.url());
    node.done(node.added(Command::Send(SendRequest { dest, ..request })).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_tree_is_looked_at_as_often_as_its_link_allows() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    std::fs::create_dir(&tree).unwrap();
    noise_file(&tree, "first", 1_000);
    say(&node, &receiver.url(), Some(LinkClass::Mobile), None).await;
    let dest = format!("{}/in/", receiver.url());
    let request = SyncRequest { path: tree.clone(), dest, watch: true, ..SyncRequest::default() };
    let id = node.added(Command::Sync(request)).await;
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.passes == 1)).await;
    noise_file(&tree, "second", 1_000);
    node.wait(id, |row| row.reason.contains("mobile: every 30 s")).await;
    assert!(!there.join("second").exists());
    say(&node, &receiver.url(), Some(LinkClass::Fiber), None).await;
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.passes == 2)).await;
    assert_eq!(listed(&there).unwrap(), listing(&tree));
    // Every byte costs now: it is told, and sent when that is over.
    say(&node, &receiver.url(), None, Some(true)).await;
    noise_file(&tree, "third", 1_000);
    node.wait(id, |row| row.reason.contains("the link is metered: 1 file")).await;
    let behind = receiver.snapshot(Focus::default(), |s| !s.queue.behind.is_empty()).await;
    assert_eq!((behind.queue.behind[0].files, behind.queue.behind[0].bytes), (1, 1_000));
    assert!(!there.join("third").exists());
    say(&node, &receiver.url(), None, Some(false)).await;
    node.wait(id, |row| row.watch.as_ref().is_some_and(|watch| watch.passes == 3)).await;
    assert_eq!(listed(&there).unwrap(), listing(&tree));
}

/// What is queued for a link, and not sent yet.
async fn queued(node: &TestNode, command: Command, why: &str) -> QueueId {
    let reply = node.control.command(command).await.unwrap();
    let Reply::Enqueued { id, again: false } = reply else { panic!("{reply:?}") };
    let is_so = |row: &QueueRow| row.id == id && row.transfer.is_none() && row.why.contains(why);
    node.snapshot(Focus::default(), |s| s.queue.rows.iter().any(|row| is_so(row))).await;
    id
}

async fn drained(node: &TestNode, id: QueueId) {
    let is_done =
        |s: &Snapshot| s.transfers.iter().any(|row| row.queued == Some(id) && row.state == TransferState::Done);
    node.snapshot(Focus::default(), is_done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_byte_costs_what_is_not_critical_waits_in_the_queue_and_the_far_side_knows() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, file) = (dir.path().join("tree"), noise_file(dir.path(), "data", 100_000));
    std::fs::create_dir(&tree).unwrap();
    noise_file(&tree, "first", 1_000);
    say(&node, &receiver.url(), Some(LinkClass::Broadband), Some(true)).await;
    let dest = format!("{}/in/", receiver.url());
    let sync = SyncRequest { path: tree.clone(), dest: dest.clone(), ..SyncRequest::default() };
    let synced = queued(&node, Command::Sync(sync.clone()), "until the link is not metered").await;
    let behind = receiver.snapshot(Focus::default(), |s| !s.queue.behind.is_empty()).await;
    assert_eq!((behind.queue.behind[0].files, behind.queue.behind[0].bytes), (1, 1_000));
    let send = SendRequest { path: file.clone(), dest, ..SendRequest::default() };
    let sent = queued(&node, Command::Send(send.clone()), "skep queue class critical").await;
    // What is critical goes at once.
    let dest = format!("{}/now/", receiver.url());
    let priority = Some(PriorityClass::Critical);
    node.done(node.added(Command::Send(SendRequest { dest: dest.clone(), priority, ..send })).await).await;
    node.done(node.added(Command::Sync(SyncRequest { dest, priority, ..sync })).await).await;
    assert!(!receiver.root().join("in").exists());
    say(&node, &receiver.url(), None, Some(false)).await;
    drained(&node, synced).await;
    drained(&node, sent).await;
    assert_eq!(std::fs::read(receiver.root().join("in/data")).unwrap(), std::fs::read(&file).unwrap());
    assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_satellite_a_sync_is_told_and_a_push_is_sent() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let (tree, there) = (dir.path().join("tree"), receiver.root().join("in/tree"));
    std::fs::create_dir(&tree).unwrap();
    noise_file(&tree, "first", 1_000);
    say(&node, &receiver.url(), Some(LinkClass::Satellite), None).await;
    let dest = format!("{}/in/", receiver.url());
    let file = noise_file(dir.path(), "data", 10_000);
    let send = SendRequest { path: file, dest: dest.clone(), ..SendRequest::default() };
    node.done(node.added(Command::Send(send)).await).await;
    let sync = SyncRequest { path: tree.clone(), dest: dest.clone(), ..SyncRequest::default() };
    let id = queued(&node, Command::Sync(sync.clone()), "for a better link").await;
    // A watched tree waits by itself.
    let other = SyncRequest { dest: format!("{}/watched/", receiver.url()), watch: true, ..sync };
    let watch = node.added(Command::Sync(other)).await;
    node.wait(watch, |row| row.reason.contains("only summaries go over the link now: 1 file")).await;
    receiver.snapshot(Focus::default(), |s| s.queue.behind.len() == 2).await;
    assert!(!there.exists() && !receiver.root().join("watched").exists());
    // Over a phone it takes its turn, which comes.
    say(&node, &receiver.url(), Some(LinkClass::Mobile), None).await;
    drained(&node, id).await;
    node.wait(watch, |row| row.watch.as_ref().is_some_and(|watch| watch.passes == 1)).await;
    assert_eq!(listing(&tree), listing(&there));
    let again = SyncRequest { path: tree, dest, ..SyncRequest::default() };
    let reply = node.control.command(Command::Sync(again)).await.unwrap();
    let Reply::Enqueued { id, .. } = reply else { panic!("{reply:?}") };
    drained(&node, id).await;
}
