//! Paths that an operator disables, enables and weighs while a push runs.

use skep_engine::control::{Command, PathState, SendStrategy, TransferId, TransferState};

use super::common::{TestNode, noise_file};
use super::receiver::Receiver;
use super::relay::Relay;
use super::{SEGMENT, Threefold, is, order, send};

fn set_path(id: TransferId, path: &str, enabled: Option<bool>, weight: Option<f64>) -> Command {
    Command::SetPath { id, path: path.into(), enabled, weight }
}

#[tokio::test]
async fn a_disabled_path_carries_nothing_more_also_after_a_restart() {
    let Threefold { node, receiver, relays, id, file, row, _dir } = Threefold::new().await;
    let path = row.paths[0].path.clone();
    order(&node, set_path(id, &path, Some(false), None)).await;
    order(&node, set_path(id, &row.paths[1].path, None, Some(0.5))).await;
    let row = node.wait(id, |row| row.paths[0].state == PathState::Disabled).await;
    assert_eq!((row.paths[0].active, row.paths[0].queued, row.paths[0].bytes), (0, 0, 0), "{row:#?}");
    assert!((row.paths[0].share, row.paths[1].weight) == (0.0, Some(0.5)), "{row:#?}");
    let change = row.path_changes.iter().find(|change| change.path == Some(0) && change.why == "was disabled").unwrap();
    assert!(change.moved > 0 && change.from.contains(&0), "{row:#?}");
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
    receiver.got(&file);
}

#[tokio::test]
async fn without_a_path_it_waits_until_one_is_enabled() {
    for strategy in [SendStrategy::Auto, SendStrategy::Chunked] {
        let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
        let address = receiver.serve().await;
        let relays = [Relay::to(address).await, Relay::to(address).await];
        let file = noise_file(dir.path(), "a", 50 * SEGMENT as usize);
        receiver.with(|r| r.takes = Some(5));
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
        receiver.with(|r| r.takes = None);
        order(&node, set_path(id, &row.paths[0].path, Some(true), None)).await;
        let row = node.done(id).await;
        assert!(row.paths[0].bytes > 0, "{row:#?}");
        receiver.got(&file);
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
