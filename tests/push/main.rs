//! Pushing: a real engine sends to a receiver that a test can break.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod receiver;
mod relay;

use std::path::Path;

use axum::http::StatusCode;
use common::{TestNode, noise_file};
use receiver::Receiver;
use relay::Relay;
use skep_engine::control::{
    Command, Direction, PathState, SendRequest, SendStrategy, TransferId, TransferRow, TransferState,
};

const SEGMENT: u64 = 64 << 10;

async fn send(node: &TestNode, path: &Path, dest: &str, change: impl FnOnce(&mut SendRequest)) -> TransferId {
    let mut request =
        SendRequest { path: path.into(), dest: dest.into(), segment_length: Some(SEGMENT), ..SendRequest::default() };
    change(&mut request);
    node.added(Command::Send(request)).await
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
    receiver.with(|r| {
        assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..]));
        assert_eq!(r.description.as_ref().unwrap()["path"], "in/a b.bin");
        assert_eq!(r.puts.len(), 16, "every segment once");
    });
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
    receiver.with(|r| {
        assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..]));
        let again: Vec<u32> = (0..7).filter(|s| r.puts.iter().filter(|p| *p == s).count() > 1).collect();
        assert_eq!(again, [0u32; 0], "{:?}", r.puts);
    });
}

#[tokio::test]
async fn a_changed_source_is_reported_and_never_mixed() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 20 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(7));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.wait(id, |row| row.pieces_done == 7).await;
    std::fs::write(&file, b"something else").unwrap();
    receiver.with(|r| r.holds_back_from = None);
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.unwrap().contains("changed since the transfer began"));
    order(&node, Command::Resume { ids: vec![id] }).await;
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.unwrap().contains("cancel this transfer and send again"));
    order(&node, Command::Cancel { ids: vec![id] }).await;
    node.wait(id, is(TransferState::Cancelled)).await;
    receiver.with(|r| assert!(r.aborted && r.published.is_none()));
}

#[tokio::test]
async fn what_a_receiver_lost_or_never_had_is_sent_again() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 20 * SEGMENT as usize);
    receiver.with(|r| (r.forgets, r.loses_answers, r.expires) = ([3, 4, 19].into(), 1, true));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.done(id).await;
    receiver.with(|r| {
        assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..]));
        assert_eq!(r.opened, 2, "it expired once");
    });
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again_and_one_that_fails_for_good_is_not() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 4 * SEGMENT as usize);
    receiver.with(|r| r.refuse = Some((3, StatusCode::SERVICE_UNAVAILABLE, Some(1))));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.done(id).await;
    let full = Receiver::default();
    let address = full.serve().await;
    full.with(|r| r.refuse = Some((1_000, StatusCode::INSUFFICIENT_STORAGE, None)));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.as_deref().unwrap().contains("507"), "{row:#?}");
}

#[tokio::test]
async fn three_paths_are_used_at_once_and_one_may_die() {
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
    receiver.with(|r| {
        assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..]));
    });
}

fn set_path(id: TransferId, path: &str, enabled: Option<bool>, weight: Option<f64>) -> Command {
    Command::SetPath { id, path: path.into(), enabled, weight }
}

#[tokio::test]
async fn a_disabled_path_carries_nothing_more_also_after_a_restart() {
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
    let path = row.paths[0].path.clone();
    order(&node, set_path(id, &path, Some(false), None)).await;
    order(&node, set_path(id, &row.paths[1].path, None, Some(0.5))).await;
    let row = node.wait(id, |row| row.paths[0].state == PathState::Disabled).await;
    assert_eq!((row.paths[0].active, row.paths[0].queued, row.paths[0].bytes), (0, 0, 0), "{row:#?}");
    assert!((row.paths[0].share, row.paths[1].weight) == (0.0, Some(0.5)), "{row:#?}");
    let change = row.path_changes.iter().find(|change| change.path == Some(0)).unwrap();
    assert!(change.why == "was disabled" && change.moved > 0 && change.from == [0], "{row:#?}");
    // Paused and started anew: it stays as it was set.
    order(&node, Command::Pause { ids: vec![id] }).await;
    node.wait(id, is(TransferState::Paused)).await;
    let node = node.restart().await;
    let row = node.wait(id, is(TransferState::Paused)).await;
    let states: Vec<_> = row.paths.iter().map(|p| (p.state, p.weight)).collect();
    let expected = [(PathState::Disabled, None), (PathState::Idle, Some(0.5)), (PathState::Idle, None)];
    assert_eq!(states, expected);
    receiver.with(|r| r.holds_back_from = None);
    order(&node, Command::Resume { ids: vec![id] }).await;
    let row = node.done(id).await;
    assert!(row.paths[0].bytes == 0 && row.paths[1].bytes > 0 && row.paths[2].bytes > 0, "{row:#?}");
    // What was under way when it was disabled may have left: a window full, not a third of the whole.
    assert!(relays[0].carried() < 20 * SEGMENT, "{}", relays[0].carried());
    receiver.with(|r| assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..])));
}

#[tokio::test]
async fn without_a_path_it_waits_until_one_is_enabled() {
    for strategy in [SendStrategy::Auto, SendStrategy::Chunked] {
        let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
        let address = receiver.serve().await;
        let relays = [Relay::to(address).await, Relay::to(address).await];
        let file = noise_file(dir.path(), "a", 50 * SEGMENT as usize);
        receiver.with(|r| r.holds_back_from = Some(5));
        let id = send(&node, &file, &relays[0].url(), |request| {
            (request.paths, request.strategy) = (vec![relays[1].url()], strategy);
        })
        .await;
        let row = node.wait(id, |row| row.pieces_done == 5).await;
        for path in &row.paths {
            order(&node, set_path(id, &path.path, Some(false), None)).await;
        }
        let row = node.wait(id, |row| row.reason.contains("every path is disabled")).await;
        assert!(row.state == TransferState::Running && row.paths.iter().all(|p| p.active == 0), "{row:#?}");
        receiver.with(|r| r.holds_back_from = None);
        order(&node, set_path(id, &row.paths[0].path, Some(true), None)).await;
        let row = node.done(id).await;
        assert!(row.paths[0].bytes > 0, "{row:#?}");
        receiver.with(|r| assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..])));
        let refusals = [
            (set_path(id, &row.paths[0].path, Some(false), None), "is over"),
            (set_path(TransferId(99), "x", Some(false), None), "no transfer 99"),
        ];
        for (command, said) in refusals {
            let error = node.control.command(command).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_set_of_a_path_is_refused() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 10 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(0));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    let path = node.wait(id, |row| row.paths.len() == 1).await.paths[0].path.clone();
    let cases = [
        (set_path(id, "h:1", Some(false), None), format!("it has: {path}")),
        (set_path(id, &path, None, Some(11.0)), "use 0.1 to 10".into()),
        (set_path(id, &path, None, Some(f64::NAN)), "use 0.1 to 10".into()),
    ];
    for (command, said) in cases {
        let error = node.control.command(command).await.unwrap_err().to_string();
        assert!(error.contains(&said), "{error}");
    }
}

#[tokio::test]
async fn when_all_paths_die_it_waits_says_so_and_goes_on() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let relays = [Relay::to(address).await, Relay::to(address).await];
    let file = noise_file(dir.path(), "a", 50 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(5));
    let id = send(&node, &file, &relays[0].url(), |request| request.paths = vec![relays[1].url()]).await;
    node.wait(id, |row| row.pieces_done == 5).await;
    relays.iter().for_each(Relay::cut);
    let row = node.wait(id, |row| row.reason.contains("no path answers")).await;
    assert_eq!(row.state, TransferState::Running);
    relays[1].mend();
    receiver.with(|r| r.holds_back_from = None);
    node.done(id).await;
    receiver.with(|r| assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..])));
}

#[tokio::test]
async fn one_that_was_begun_waits_for_its_paths_when_it_is_resumed() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let relays = [Relay::to(address).await, Relay::to(address).await];
    let file = noise_file(dir.path(), "a", 50 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(5));
    let id = send(&node, &file, &relays[0].url(), |request| request.paths = vec![relays[1].url()]).await;
    node.wait(id, |row| row.pieces_done == 5).await;
    order(&node, Command::Pause { ids: vec![id] }).await;
    node.wait(id, is(TransferState::Paused)).await;
    relays.iter().for_each(Relay::cut);
    receiver.with(|r| r.holds_back_from = None);
    order(&node, Command::Resume { ids: vec![id] }).await;
    let row = node.wait(id, |row| row.reason.contains("no path answers")).await;
    assert_eq!((row.strategy.as_str(), row.pieces_done), ("transit-multipath-parallel", 5));
    relays[0].mend();
    node.done(id).await;
    receiver.with(|r| assert!(r.published.as_deref() == Some(&std::fs::read(&file).unwrap()[..])));
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
