//! Pushing: a real engine sends to a receiver that a test can break.
#![allow(clippy::unwrap_used, missing_docs)]

mod bad_days;
#[path = "../common/mod.rs"]
mod common;
mod receiver;
mod relay;
mod sources;
mod steering;
mod words;

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use common::{TestNode, noise_file};
use receiver::Receiver;
use relay::Relay;
use skep_engine::control::{
    Command, CommandErrorKind, Direction, PathState, Preview, Reply, SendRequest, SendStrategy, TransferId,
    TransferRow, TransferState,
};
use skep_engine::push::retry::Pace;

const SEGMENT: u64 = 64 << 10;

async fn send(node: &TestNode, path: &Path, dest: &str, change: impl FnOnce(&mut SendRequest)) -> TransferId {
    let mut request =
        SendRequest { path: path.into(), dest: dest.into(), segment_length: Some(SEGMENT), ..SendRequest::default() };
    change(&mut request);
    node.added(Command::Send(request)).await
}

/// A sender that waits fifty times shorter before it tries again.
async fn hasty() -> TestNode {
    TestNode::start_with(|config| config.pace = Pace(0.02)).await
}

/// A push of fifty segments over two relays to a receiver that has five and takes no more for now.
struct Halfway {
    node: TestNode,
    receiver: Receiver,
    relays: [Relay; 2],
    id: TransferId,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Halfway {
    async fn new() -> Self {
        let (node, receiver, dir) = (hasty().await, Receiver::default(), tempfile::tempdir().unwrap());
        let address = receiver.serve().await;
        let relays = [Relay::to(address).await, Relay::to(address).await];
        let file = noise_file(dir.path(), "a", 50 * SEGMENT as usize);
        receiver.with(|r| r.takes = Some(5));
        let id = send(&node, &file, &relays[0].url(), |request| request.paths = vec![relays[1].url()]).await;
        node.wait(id, |row| row.pieces_done == 5).await;
        Self { node, receiver, relays, id, file, _dir: dir }
    }

    async fn pause(&self) {
        order(&self.node, Command::Pause { ids: vec![self.id] }).await;
        self.node.wait(self.id, is(TransferState::Paused)).await;
    }

    async fn resume(&self) {
        order(&self.node, Command::Resume { ids: vec![self.id] }).await;
    }

    /// The receiver takes everything from now on.
    fn let_through(&self) {
        self.receiver.with(|r| r.takes = None);
    }

    async fn arrives(&self) -> TransferRow {
        let row = self.node.done(self.id).await;
        self.receiver.got(&self.file);
        row
    }
}

/// A push of two hundred segments over three relays that all have some under way; nothing gets through for now.
struct Threefold {
    node: TestNode,
    receiver: Receiver,
    relays: [Relay; 3],
    id: TransferId,
    file: PathBuf,
    row: TransferRow,
    _dir: tempfile::TempDir,
}

impl Threefold {
    async fn new() -> Self {
        let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
        let address = receiver.serve().await;
        let relays = [Relay::to(address).await, Relay::to(address).await, Relay::to(address).await];
        let file = noise_file(dir.path(), "a", 200 * SEGMENT as usize);
        receiver.with(|r| r.holds_back_from = Some(0));
        let id = send(&node, &file, &format!("{}/in/", relays[0].url()), |request| {
            request.paths = vec![relays[1].url(), relays[2].url()];
        })
        .await;
        let row = node.wait(id, |row| row.paths.len() == 3 && row.paths.iter().all(|p| p.active > 0)).await;
        Self { node, receiver, relays, id, file, row, _dir: dir }
    }
}

fn is(state: TransferState) -> impl Fn(&TransferRow) -> bool {
    move |row| row.state == state
}

async fn order(node: &TestNode, command: Command) {
    node.control.command(command).await.unwrap();
}

#[tokio::test]
async fn one_path_is_chunked_and_says_why() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a b.bin", 1_000_000);
    let id = send(&node, &file, &format!("http://{address}/in/"), |_| ()).await;
    let row = node.done(id).await;
    assert_eq!((row.strategy.as_str(), row.direction), ("transit-chunked-resumable", Direction::Up));
    assert_eq!(row.strategy_reason, "there is one path");
    assert_eq!((row.size, row.done, row.pieces_done, row.verified), (1_000_000, 1_000_000, 16, true));
    assert!(row.bytes_up == 1_000_000 && row.wire_bytes > row.bytes_up, "{row:#?}");
    receiver.got(&file);
    receiver.with(|r| {
        assert_eq!(r.description.as_ref().unwrap()["path"], "in/a b.bin");
        assert_eq!(r.puts.len(), 16, "every segment once");
    });
}

#[tokio::test]
async fn the_destination_chooses_the_version_of_http() {
    let (node, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "a", 3_000_000);
    for (scheme, version) in [("http", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let receiver = Receiver::default();
        let address = receiver.serve().await;
        receiver.with(|r| r.refuse = Some((2, StatusCode::SERVICE_UNAVAILABLE, Some(0))));
        let id = send(&node, &file, &format!("{scheme}://{address}/"), |_| ()).await;
        node.done(id).await;
        receiver.with(|r| {
            assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..]));
            assert_eq!(r.versions.iter().collect::<Vec<_>>(), [version]);
        });
    }
}

#[tokio::test]
async fn far_away_segments_go_by_lanes_unless_something_in_between_knows_none() {
    let (node, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "a", 3_000_000);
    for (only_http1, version) in [(false, "HTTP/2.0"), (true, "HTTP/1.1")] {
        let receiver = Receiver::default();
        let relay = Relay::far(receiver.serve().await, only_http1).await;
        let id = send(&node, &file, &relay.url(), |_| ()).await;
        let row = node.done(id).await;
        receiver.got(&file);
        assert!(relay.http2() > 0, "both are asked");
        receiver.with(|r| assert!(r.versions.contains(version), "{:?} {row:#?}", r.versions));
        if only_http1 {
            receiver.with(|r| assert_eq!(r.versions.len(), 1));
        }
    }
}

#[tokio::test]
async fn a_path_that_answers_late_and_knows_no_http2_costs_a_few_segments_at_most() {
    let (node, dir) = (hasty().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "a", 300 * SEGMENT as usize);
    let receiver = Receiver::default();
    let address = receiver.serve().await;
    let near = [Relay::far(address, false).await, Relay::far(address, false).await];
    // Its answers come when the push has begun; by then the lanes of the others have answered, and its own are believed.
    let late = Relay::farther(address, true).await;
    let id = send(&node, &file, &near[0].url(), |request| request.paths = vec![near[1].url(), late.url()]).await;
    let row = node.done(id).await;
    receiver.got(&file);
    assert_eq!(row.strategy_reason, "2 of 3 paths answer", "{row:#?}");
    assert!(late.http2() > 0, "{row:#?}");
    receiver.with(|r| assert!(r.puts.len() < 400, "{} puts of 300", r.puts.len()));
}

#[tokio::test]
async fn a_tree_is_laid_end_to_end() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("deep/empty")).unwrap();
    let mut all = Vec::new();
    for n in 0..500 {
        let name = format!("f{n:03}");
        noise_file(&tree, &name, n * 3);
        all.extend(std::fs::read(tree.join(&name)).unwrap());
    }
    let id = send(&node, &tree, &format!("http://{address}/copy"), |_| ()).await;
    node.done(id).await;
    receiver.with(|r| {
        assert!(r.published.as_ref() == Some(&all));
        assert_eq!(r.puts.len() as u64, (all.len() as u64).div_ceil(SEGMENT), "not a request per file");
        let description = r.description.as_ref().unwrap();
        assert_eq!(description["path"], "copy");
        assert_eq!(description["files"].as_array().unwrap().len(), 501, "{description}");
    });
}

#[tokio::test]
async fn nothing_acknowledged_is_sent_again_after_a_pause_and_a_restart() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 20 * SEGMENT as usize + 5);
    receiver.with(|r| r.holds_back_from = Some(7));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    receiver.until(|r| r.held.len() == 7).await;
    node.wait(id, |row| row.pieces_done == 7).await;
    order(&node, Command::Pause { ids: vec![id] }).await;
    node.wait(id, is(TransferState::Paused)).await;
    let node = node.restart().await;
    let row = node.wait(id, is(TransferState::Paused)).await;
    assert_eq!((row.done, row.pieces_done, row.size), (7 * SEGMENT, 7, 20 * SEGMENT + 5));
    receiver.with(|r| r.holds_back_from = None);
    order(&node, Command::Resume { ids: vec![id] }).await;
    node.done(id).await;
    receiver.got(&file);
    receiver.with(|r| {
        let again: Vec<u32> = (0..7).filter(|s| r.puts.iter().filter(|p| *p == s).count() > 1).collect();
        assert_eq!(again, [0u32; 0], "{:?}", r.puts);
    });
}

#[tokio::test]
async fn three_paths_are_used_at_once_and_one_may_die() {
    let Threefold { node, receiver, relays, id, file, row, _dir } = Threefold::new().await;
    assert_eq!(row.strategy, "transit-multipath-parallel");
    assert_eq!(row.strategy_reason, "3 of 3 paths answer");
    let shares: f64 = row.paths.iter().map(|p| p.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{row:#?}");
    relays[0].cut();
    node.wait(id, |row| row.paths[0].state == PathState::Dead).await;
    receiver.with(|r| r.holds_back_from = None);
    let row = node.done(id).await;
    assert!(row.paths[1].bytes > 0 && row.paths[2].bytes > 0, "{row:#?}");
    assert!(relays.iter().all(|relay| relay.carried() > SEGMENT), "each was used");
    receiver.got(&file);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn paths_by_local_address_are_paths_too() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 100 * SEGMENT as usize);
    let id = send(&node, &file, &format!("http://{address}/"), |request| {
        request.via = vec!["127.0.0.1".into(), "127.0.0.2".into(), "lo".into(), "192.0.2.1".into()];
    })
    .await;
    let row = node.done(id).await;
    assert_eq!(row.strategy_reason, "3 of 4 paths answer", "an address that is not ours leads nowhere");
    assert_eq!(row.paths[3].bytes, 0);
    assert!(row.paths[0].path.ends_with("via 127.0.0.1"), "{row:#?}");
}

#[tokio::test]
async fn one_of_two_paths_answers_an_ordinary_transfer() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let gone = Relay::to(address).await;
    gone.cut();
    let file = noise_file(dir.path(), "a", 100);
    let id = send(&node, &file, &gone.url(), |request| {
        request.paths = vec![format!("http://{address}")];
        request.strategy = SendStrategy::Multipath;
    })
    .await;
    let row = node.done(id).await;
    assert_eq!(row.strategy, "transit-chunked-resumable");
    assert_eq!(row.strategy_reason, "1 of 2 paths answers: an ordinary transfer over one");
}

#[tokio::test]
async fn a_limit_holds_and_a_wrong_destination_is_refused() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 40 * SEGMENT as usize);
    let id = send(&node, &file, &format!("http://{address}/"), |request| request.up = Some(0)).await;
    receiver.until(|r| r.opened == 1).await;
    node.wait(id, is(TransferState::Running)).await;
    order(&node, Command::Limit { id: Some(id), up: Some(None), down: None }).await;
    node.done(id).await;
    for bad in ["ftp://h/", "", "http://h/?q", "http://h/a%00"] {
        let request = SendRequest { path: file.clone(), dest: bad.into(), ..SendRequest::default() };
        node.control.command(Command::Send(request)).await.unwrap_err();
    }
}

async fn preview(node: &TestNode, request: SendRequest) -> Preview {
    match node.control.command(Command::PreviewSend(request)).await.unwrap() {
        Reply::Preview(preview) => preview,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_push_would_do_is_told_and_nothing_is_sent() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let address = receiver.url().trim_start_matches("http://").parse().unwrap();
    let (relay, gone) = (Relay::to(address).await, Relay::to(address).await);
    gone.cut();
    let file = noise_file(dir.path(), "a b.bin", 3_000_000);
    let request = SendRequest {
        path: file.clone(),
        dest: format!("{}/in/", receiver.url()),
        paths: vec![relay.url(), gone.url()],
        ..SendRequest::default()
    };
    let told = preview(&node, request.clone()).await;
    assert_eq!((told.size, told.files, told.path.as_str(), told.segment), (3_000_000, 1, "in/a b.bin", 1 << 20));
    assert_eq!(told.strategy, "transit-multipath-parallel");
    assert_eq!((told.why.as_str(), told.existing, told.rate), ("2 of 3 paths answer", None, None));
    assert!(told.paths[2].error.contains("is a skep node") || told.paths[2].error.contains("broke"), "{told:#?}");
    let answers: Vec<bool> = told.paths.iter().map(|path| path.latency_us.is_some()).collect();
    assert_eq!(answers, [true, true, false]);
    assert!(told.paths[0].error.is_empty() && !told.paths[2].error.is_empty(), "{told:#?}");
    assert!(told.disk_free.is_some_and(|free| free > 3_000_000) && told.refusal.is_empty(), "{told:#?}");
    assert!(std::fs::read_dir(receiver.root()).unwrap().next().is_none(), "nothing is begun there");
    // Once it stands there, the receiver says what opening the upload would meet.
    let id = node.added(Command::Send(request.clone())).await;
    node.done(id).await;
    let told = preview(&node, request.clone()).await;
    assert!(told.refusal.contains("taken"), "{told:#?}");
    for (request, kind) in [
        (SendRequest { path: "/no/such/file".into(), ..request.clone() }, CommandErrorKind::NotFound),
        (SendRequest { dest: "ftp://h/".into(), ..request }, CommandErrorKind::Invalid),
    ] {
        let error = node.control.command(Command::PreviewSend(request)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}
