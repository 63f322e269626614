//! Control over the network: what viewers see.
#![allow(clippy::unwrap_used)]

mod rpc_support;

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
use jsonrpsee::core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use rpc_support::{Node, row, rows, shows, within};
use serde_json::Value;
use skep_engine::content::Bitmap;
use skep_engine::control::{Bits, Connection, Control, Focus, Snapshot, TransferDetail, TransferId, TransferRow};
use skep_engine::rpc::RemoteControl;
use skep_engine::rpc::delta::{SnapshotDelta, apply};

fn on(id: u64) -> Focus {
    Focus { transfer: Some(TransferId(id)) }
}

fn detail(id: u64, pieces: u32) -> Arc<TransferDetail> {
    Arc::new(TransferDetail {
        id: TransferId(id),
        generation: 1,
        piece_length: 7,
        have: Bits(Arc::new(Bitmap::full(pieces))),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::default(),
        delta: None,
    })
}

fn with_details(mut snapshot: Snapshot, ids: &[u64]) -> Snapshot {
    snapshot.details = ids.iter().map(|id| (TransferId(*id), detail(*id, 100))).collect::<BTreeMap<_, _>>();
    snapshot
}

#[tokio::test]
async fn a_view_follows_the_node() {
    let node = Node::start(rows(1..=3));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut view = remote.view(Focus::default());
    let first = shows(&mut view, |seen| seen.transfers.len() == 3).await;
    assert_eq!(*first, **node.fake.snapshots.borrow(), "the first one is whole");
    within(view.connection.wait_for(|connection| *connection == Connection::Live)).await.unwrap();
    node.fake.publish(|next| {
        next.transfers.remove(0);
        next.transfers.push(row(4));
        Arc::make_mut(&mut next.node).rate_down = 77;
    });
    let second = shows(&mut view, |seen| seen.node.rate_down == 77).await;
    assert_eq!(*second, **node.fake.snapshots.borrow());
    assert!(Arc::ptr_eq(&first.transfers[1], &second.transfers[0]), "what did not change was not sent again");
}

#[tokio::test]
async fn thousands_of_rows_arrive_as_one_snapshot() {
    let node = Node::start(rows(1..=5_000));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut view = remote.view(Focus::default());
    let seen = shows(&mut view, |seen| seen.generation > 0).await;
    assert_eq!(seen.transfers.len(), 5_000, "never a part of it");
}

#[tokio::test]
async fn details_come_for_the_focus_alone_and_follow_it() {
    let node = Node::start(with_details(rows(1..=3), &[1, 2, 3]));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut view = remote.view(on(1));
    let mut other = remote.view(on(3));
    let keys = |seen: &Snapshot| seen.details.keys().map(|id| id.0).collect::<Vec<_>>();
    shows(&mut view, |seen| keys(seen) == [1]).await;
    shows(&mut other, |seen| keys(seen) == [3]).await;

    view.focus.send_replace(on(2));
    let seen = shows(&mut view, |seen| keys(seen) == [2]).await;
    assert_eq!(seen.details[&TransferId(2)].have.len(), 100);
    assert_eq!(node.fake.views.lock().unwrap().len(), 2, "without subscribing again");
    let mut focuses: Vec<_> = node.fake.views.lock().unwrap().iter().map(|focus| *focus.borrow()).collect();
    focuses.sort_by_key(|focus| focus.transfer);
    assert_eq!(focuses, [on(2), on(3)], "the engine knows it, and the other view keeps its own");

    view.focus.send_replace(Focus::default());
    shows(&mut view, |seen| seen.details.is_empty()).await;
    let left = other.snapshots.borrow_and_update().clone();
    assert_eq!(keys(&left), [3]);
}

#[tokio::test]
async fn the_node_learns_that_a_view_is_gone() {
    let node = Node::start(rows(1..=1));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let (kept, dropped) = (remote.view(on(1)), remote.view(on(2)));
    let mut engines = [node.fake.view_number(0).await, node.fake.view_number(1).await];
    engines.sort_by_key(|focus| focus.borrow().transfer);
    drop(dropped);
    within(async { while engines[1].changed().await.is_ok() {} }).await;
    assert!(engines[0].has_changed().is_ok(), "the other one lives");
    drop((kept, remote));
    within(async { while engines[0].changed().await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_restarted_node_is_found_again_with_the_focus() {
    let node = Node::start(with_details(rows(1..=2), &[2]));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut view = remote.view(on(2));
    shows(&mut view, |seen| seen.details.len() == 1).await;

    let stopped = node.stop().await;
    let lost = |connection: &Connection| matches!(connection, Connection::Lost { attempts: 1.., retry_at_ms: 1.., .. });
    within(view.connection.wait_for(lost)).await.unwrap();
    assert_eq!(view.snapshots.borrow().transfers.len(), 2, "what was seen last stays");

    let node = stopped.start(with_details(rows(5..=9), &[2, 5]));
    let seen = shows(&mut view, |seen| seen.transfers.len() == 5).await;
    assert_eq!(seen.details.keys().collect::<Vec<_>>(), [&TransferId(2)]);
    within(view.connection.wait_for(|connection| *connection == Connection::Live)).await.unwrap();
    view.focus.send_replace(on(5));
    shows(&mut view, |seen| seen.details.contains_key(&TransferId(5))).await;
    assert!(remote.info().await.is_ok(), "and commands work again");
    drop(node);
}

#[tokio::test]
async fn too_many_subscriptions_are_refused_in_words() {
    let node = Node::start(rows(1..=1));
    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut views: Vec<_> = (0..8).map(|_| remote.view(Focus::default())).collect();
    for view in &mut views {
        shows(view, |seen| seen.transfers.len() == 1).await;
    }
    let mut ninth = remote.view(Focus::default());
    let refused = |connection: &Connection| matches!(connection, Connection::Lost { attempts: 1.., .. });
    let connection = within(ninth.connection.wait_for(refused)).await.unwrap().clone();
    assert!(format!("{connection:?}").to_lowercase().contains("subscription"), "{connection:?}");
    // A place that gets free is taken.
    drop(views.pop());
    shows(&mut ninth, |seen| seen.transfers.len() == 1).await;
}

/// A reader that does not read gets the newest snapshot when it reads again, not a queue of old
/// ones; another viewer of the same node notices nothing. The quick one is the clock of this test.
#[tokio::test]
async fn a_slow_reader_gets_the_newest_and_delays_nobody() {
    const ROUNDS: u64 = 16;
    let node = Node::start(rows(1..=1));
    let url = Url::parse(&format!("ws://{}/rpc", node.address)).unwrap();
    let (mut sender, mut receiver) =
        WsTransportClientBuilder::default().max_response_size(16 << 20).build(url).await.unwrap();
    sender.send(r#"{"jsonrpc":"2.0","id":1,"method":"node.subscribe","params":{}}"#.to_owned()).await.unwrap();
    node.fake.view_number(0).await;

    let remote = RemoteControl::connect(&node.url(), None).unwrap();
    let mut quick = remote.view(Focus::default());
    for round in 2..=ROUNDS {
        node.fake.publish(|next| {
            let reason = "x".repeat(1 << 20);
            next.transfers[0] = Arc::new(TransferRow { reason, size: round, ..TransferRow::clone(&row(1)) });
        });
        shows(&mut quick, |seen| seen.transfers.first().is_some_and(|row| row.size == round)).await;
    }

    let (mut seen, mut messages) = (Snapshot::default(), 0);
    while seen.transfers.first().is_none_or(|row| row.size < ROUNDS) {
        let ReceivedMessage::Text(text) = within(receiver.receive()).await.unwrap() else { continue };
        let mut message: Value = serde_json::from_str(&text).unwrap();
        if message["method"] == "node.snapshot" {
            let delta: SnapshotDelta = serde_json::from_value(message["params"]["result"].take()).unwrap();
            apply(&mut seen, delta).unwrap();
            messages += 1;
        }
    }
    assert!(messages < ROUNDS - 3, "{messages} messages for {ROUNDS} snapshots: old ones were kept for it");
    assert_eq!(seen.transfers, node.fake.snapshots.borrow().transfers);
}
