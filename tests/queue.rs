//! Operations that wait for their turn and their link: real nodes on loopback, some of them away at first.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::{TestNode, noise, noise_file};
use skep_engine::control::link::{ClassChoice, LinkChangeRequest, LinkClass};
use skep_engine::control::queue::{Operation, PurgeRequest, QueueId, QueueMove, QueueRow, QueueState, QueueView};
use skep_engine::control::{
    Command, CommandErrorKind, Focus, PriorityClass, Reply, SendRequest, SyncRequest, TransferState,
};
use skep_engine::engine::EngineConfig;
use skep_engine::push::retry::Pace;
use skep_engine::queue::links::{Links, Terms};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One at a time.
struct OneByOne;

impl Links for OneByOne {
    fn terms(&self, _: &str) -> Terms {
        Terms { concurrent: 1, ..Terms::default() }
    }
}

fn quick(config: &mut EngineConfig) {
    config.pace = Pace(0.02);
    config.links = Some(Arc::new(OneByOne));
}

/// An address that nobody listens on, until a node is started there.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn at(address: SocketAddr) -> TestNode {
    TestNode::start_with(|config| config.listen = address).await
}

fn send(path: &Path, address: SocketAddr) -> Operation {
    Operation::Send(SendRequest { path: path.into(), dest: format!("http://{address}/"), ..SendRequest::default() })
}

async fn enqueue(node: &TestNode, operation: Operation, class: PriorityClass) -> QueueId {
    let command = Command::Enqueue { operation, class: Some(class) };
    match node.control.command(command).await.unwrap() {
        Reply::Enqueued { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

async fn queue(node: &TestNode, wanted: impl Fn(&QueueView) -> bool) -> Arc<QueueView> {
    node.snapshot(Focus::default(), |s| wanted(&s.queue)).await.queue.clone()
}

async fn in_state(node: &TestNode, id: QueueId, state: QueueState) -> QueueRow {
    let is_so = |view: &QueueView| view.rows.iter().any(|row| row.id == id && row.state == state);
    let view = queue(node, is_so).await;
    QueueRow::clone(view.rows.iter().find(|row| row.id == id).unwrap())
}

/// Waits until nothing waits; operations in the order in which their transfers were begun.
async fn drained(node: &TestNode) -> Vec<QueueId> {
    let snapshot = node
        .snapshot(Focus::default(), |s| {
            s.queue.count() == 0 && s.transfers.iter().all(|row| row.state == TransferState::Done)
        })
        .await;
    snapshot.transfers.iter().filter_map(|row| row.queued).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_goes_out_by_class_when_its_endpoint_is_back_and_each_once() {
    let address = nobody();
    let node = TestNode::start_with(quick).await;
    let classes = [PriorityClass::Background, PriorityClass::Normal, PriorityClass::Critical, PriorityClass::High];
    let mut ids = Vec::new();
    for (n, class) in classes.into_iter().enumerate() {
        let path = noise_file(node.dir.path(), &format!("f{n}"), 50_000);
        ids.push(enqueue(&node, send(&path, address), class).await);
    }
    let row = in_state(&node, ids[0], QueueState::Stored).await;
    assert!(row.why.contains("does not answer") && row.transfer.is_none(), "{row:?}");
    assert_eq!((row.bytes, row.target.as_str()), (50_000, format!("http://{address}").as_str()));
    assert_eq!(node.control.command(Command::MoveQueued { id: ids[3], to: QueueMove::First }).await, Ok(Reply::Done));
    // What waits is there after a restart, in its place.
    let node = TestNode::start_in(node.shutdown().await, quick).await;
    let view = queue(&node, |view| view.count() == 4).await;
    let order: Vec<QueueId> = view.rows.iter().map(|row| row.id).collect();
    assert_eq!(order, [ids[2], ids[3], ids[1], ids[0]]);
    let receiver = at(address).await;
    assert_eq!(drained(&node).await, order);
    for n in 0..4 {
        assert!(std::fs::read(receiver.root().join(format!("f{n}"))).is_ok_and(|data| data.len() == 50_000), "f{n}");
    }
}

/// A network that wants a login first answers 200 to whatever is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_login_page_operations_are_stored_until_the_node_is_behind_it() {
    let portal = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = portal.local_addr().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = portal.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            count.fetch_add(1, Ordering::Relaxed);
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let node = TestNode::start_with(quick).await;
    let path = noise_file(node.dir.path(), "data", 50_000);
    let id = enqueue(&node, send(&path, address), PriorityClass::Normal).await;
    let row = in_state(&node, id, QueueState::Stored).await;
    assert!(row.why.contains("login page"), "{row:?}");
    // More often than an operation is tried that fails.
    while asked.load(Ordering::Relaxed) < 12 {
        tokio::task::yield_now().await;
    }
    assert_eq!(in_state(&node, id, QueueState::Stored).await.attempts, 0);
    answering.abort();
    assert!(answering.await.is_err_and(|error| error.is_cancelled()));
    let receiver = at(address).await;
    assert_eq!(drained(&node).await, [id]);
    assert_eq!(std::fs::read(receiver.root().join("data")).unwrap().len(), 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_goes_away_in_the_middle_gets_the_rest_when_it_is_back() {
    let address = nobody();
    let receiver = at(address).await;
    let node = TestNode::start_with(quick).await;
    let path = noise_file(node.dir.path(), "big", 3_000_000);
    let mut operation = send(&path, address);
    if let Operation::Send(send) = &mut operation {
        // Slow enough that it is at work when its receiver goes.
        (send.up, send.segment_length) = (Some(300_000), Some(65_536));
    }
    let id = enqueue(&node, operation, PriorityClass::Normal).await;
    let row = in_state(&node, id, QueueState::Running).await;
    let snapshot =
        node.snapshot(Focus::default(), |s| s.transfers.iter().any(|row| row.queued == Some(id) && row.done > 0)).await;
    let transfer = snapshot.transfers[0].id;
    assert!(row.transfer.is_none_or(|known| known == transfer));
    let dir = receiver.shutdown().await;
    in_state(&node, id, QueueState::Stored).await;
    // It goes on with its own transfer after a restart, and with what was sent.
    let node = TestNode::start_in(node.shutdown().await, quick).await;
    assert_eq!(in_state(&node, id, QueueState::Stored).await.transfer, Some(transfer));
    node.control.command(Command::Limit { id: Some(transfer), up: Some(None), down: None }).await.unwrap();
    let receiver = TestNode::start_in(dir, |config| config.listen = address).await;
    assert_eq!(drained(&node).await, [id]);
    assert!(std::fs::read(receiver.root().join("big")).unwrap() == std::fs::read(&path).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_refused_is_put_aside_with_its_reason_and_the_others_go_on() {
    let address = nobody();
    let receiver = at(address).await;
    let node = TestNode::start_with(quick).await;
    std::fs::write(receiver.root().join("taken"), "something else").unwrap();
    let taken =
        enqueue(&node, send(&noise_file(node.dir.path(), "taken", 1_000), address), PriorityClass::Critical).await;
    let tree = node.dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a"), noise(2_000, 1)).unwrap();
    let dest = format!("http://{address}/");
    let sync = Operation::Sync(SyncRequest { path: tree, dest, ..SyncRequest::default() });
    let other = enqueue(&node, sync, PriorityClass::Background).await;
    let row = in_state(&node, taken, QueueState::Parked).await;
    assert!(row.why.contains("is taken") && row.attempts == 1, "{row:?}");
    queue(&node, |view| view.rows.iter().all(|row| row.id != other)).await;
    assert_eq!(std::fs::read(receiver.root().join("tree/a")).unwrap(), noise(2_000, 1));
    std::fs::remove_file(receiver.root().join("taken")).unwrap();
    node.control.command(Command::RetryQueued { ids: vec![taken] }).await.unwrap();
    drained(&node).await;
    assert_eq!(std::fs::read(receiver.root().join("taken")).unwrap().len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_started_directly_and_whose_link_dies_says_what_would_have_kept_it() {
    let address = nobody();
    let receiver = at(address).await;
    let node = TestNode::start_with(quick).await;
    let endpoint = format!("http://{address}");
    let class = Some(ClassChoice::Fixed(LinkClass::Fiber));
    let set = |class| LinkChangeRequest { endpoint: endpoint.clone(), class, metered: None };
    node.control.command(Command::SetLink(set(class))).await.unwrap();
    let Operation::Send(send) = send(&noise_file(node.dir.path(), "big", 3_000_000), address) else { unreachable!() };
    let send = SendRequest { up: Some(300_000), segment_length: Some(65_536), ..send };
    let id = node.added(Command::Send(send)).await;
    node.wait(id, |row| row.done > 0).await;
    node.control.command(Command::SetLink(set(Some(ClassChoice::Fixed(LinkClass::Intermittent))))).await.unwrap();
    node.snapshot(Focus::default(), |s| s.links.iter().any(|row| row.class == LinkClass::Intermittent)).await;
    let _dir = receiver.shutdown().await;
    let row = node.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.error.as_ref().is_some_and(|error| error.contains("with --queue it waits")), "{row:#?}");
}

/// A link on which only summaries go, until it gets better.
#[derive(Default)]
struct Thin(AtomicBool);

impl Links for Thin {
    fn terms(&self, _: &str) -> Terms {
        let better = self.0.load(Ordering::Relaxed);
        let lowest = if better { PriorityClass::Background } else { PriorityClass::Critical };
        Terms { concurrent: 1, lowest, summary: !better, metered: false }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_summaries_go_the_far_side_knows_what_is_stale_until_it_has_it() {
    let address = nobody();
    let receiver = at(address).await;
    let link = Arc::new(Thin::default());
    let node = TestNode::start_with(|config| {
        quick(config);
        config.links = Some(link.clone());
        config.name = "origin".into();
    })
    .await;
    let tree = node.dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(tree.join(name), noise(2_000, name.len() as u64)).unwrap();
    }
    std::fs::create_dir(receiver.root().join("tree")).unwrap();
    let dest = format!("http://{address}/");
    let sync =
        |path: &Path| Operation::Sync(SyncRequest { path: path.into(), dest: dest.clone(), ..SyncRequest::default() });
    let id = enqueue(&node, sync(&tree), PriorityClass::Normal).await;
    in_state(&node, id, QueueState::Summary).await;
    let view = queue(&receiver, |view| !view.behind.is_empty()).await;
    let row = &view.behind[0];
    assert_eq!((row.path.as_str(), row.files), ("tree", 3), "{row:?}");
    assert!(row.bytes > 0 && row.from.contains("origin"), "{row:?}");
    assert!(!receiver.root().join("tree/a").exists(), "nothing but that went");
    // It is known there after a restart, too.
    let receiver = TestNode::start_in(receiver.shutdown().await, |config| config.listen = address).await;
    queue(&receiver, |view| view.behind.len() == 1).await;
    link.0.store(true, Ordering::Relaxed);
    drained(&node).await;
    queue(&receiver, |view| view.behind.is_empty()).await;
    assert!(receiver.root().join("tree/c").exists());
}

#[tokio::test]
async fn a_full_queue_drops_what_matters_least_and_everybody_can_see_it() {
    let address = nobody();
    let node = TestNode::start_with(|config| {
        quick(config);
        config.limits.queue.capacity = 2;
    })
    .await;
    let path = |name: &str| noise_file(node.dir.path(), name, 10);
    let first = enqueue(&node, send(&path("a"), address), PriorityClass::Background).await;
    enqueue(&node, send(&path("b"), address), PriorityClass::Background).await;
    let refused = Command::Enqueue { operation: send(&path("c"), address), class: Some(PriorityClass::Background) };
    let refusal = node.control.command(refused).await.unwrap_err();
    assert!(refusal.kind == CommandErrorKind::Conflict && refusal.message.contains("full"), "{refusal:?}");
    let last = enqueue(&node, send(&path("d"), address), PriorityClass::High).await;
    let view = queue(&node, |view| view.dropped() == 2).await;
    assert_eq!((view.classes[5].dropped, view.count(), view.capacity), (2, 2, 2));
    assert_eq!(view.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [last, first]);
    // What was dropped is gone from the disk, too.
    let node = TestNode::start_in(node.shutdown().await, quick).await;
    let view = queue(&node, |view| view.count() == 2).await;
    assert_eq!(view.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [last, first]);
    let purge = |request| node.control.command(Command::PurgeQueue(request));
    let request = PurgeRequest { class: Some(PriorityClass::Background), ..PurgeRequest::default() };
    assert_eq!(purge(request).await, Ok(Reply::Purged { count: 1 }));
    assert_eq!(purge(PurgeRequest { all: true, ..PurgeRequest::default() }).await, Ok(Reply::Purged { count: 1 }));
    let node = TestNode::start_in(node.shutdown().await, quick).await;
    queue(&node, |view| view.count() == 0 && view.capacity > 2).await;
    let id = enqueue(&node, send(&noise_file(node.dir.path(), "e", 10), address), PriorityClass::Normal).await;
    assert!(id > last, "numbers are never given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_is_put_aside_and_the_rest_goes_out() {
    let address = nobody();
    let node = TestNode::start_with(quick).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let path = noise_file(node.dir.path(), &format!("f{n}"), 100);
        ids.push(enqueue(&node, send(&path, address), PriorityClass::Normal).await);
    }
    let dir = node.shutdown().await;
    {
        use redb::ReadableTable as _;

        let table = redb::TableDefinition::<u64, &[u8]>::new("outbox");
        let db = redb::Database::open(dir.path().join("state/state.redb")).unwrap();
        let tx = db.begin_write().unwrap();
        {
            let mut table = tx.open_table(table).unwrap();
            let mut row = table.get(ids[1].0).unwrap().unwrap().value().to_vec();
            let middle = row.len() / 2;
            row[middle] ^= 1;
            table.insert(ids[1].0, row.as_slice()).unwrap();
        }
        tx.commit().unwrap();
    }
    let _receiver = at(address).await;
    let node = TestNode::start_in(dir, quick).await;
    assert_eq!(drained(&node).await, [ids[0], ids[2]]);
    queue(&node, |view| view.corrupt == 1).await;
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused_in_words() {
    let node = TestNode::start_with(quick).await;
    let command = |command| node.control.command(command);
    let path = node.dir.path().to_path_buf();
    let request = SyncRequest { path, dest: "http://127.0.0.1:1/".into(), watch: true, ..SyncRequest::default() };
    let watch = Command::Enqueue { operation: Operation::Sync(request), class: None };
    let gone = Command::Enqueue { operation: send(Path::new("/nowhere/at/all"), nobody()), class: None };
    let id = QueueId(7);
    for (wish, kind, words) in [
        (watch, CommandErrorKind::Invalid, "goes on for good"),
        (gone, CommandErrorKind::NotFound, "cannot send"),
        (Command::SetClass { ids: vec![id], class: PriorityClass::High }, CommandErrorKind::NotFound, "no operation 7"),
        (Command::MoveQueued { id, to: QueueMove::Up }, CommandErrorKind::NotFound, "no operation 7"),
        (Command::RetryQueued { ids: vec![id] }, CommandErrorKind::NotFound, "no operation 7"),
        (Command::PurgeQueue(PurgeRequest::default()), CommandErrorKind::Invalid, "nothing to remove"),
    ] {
        let error = command(wish).await.unwrap_err();
        assert!(error.kind == kind && error.message.contains(words), "{error:?}");
    }
}
