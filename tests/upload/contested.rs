//! Several senders of one segment at the same time, as when the tail of a transfer is hedged.

use std::fs;

use serde_json::json;
use skep_engine::control::{Command, Focus, Snapshot};
use tokio::sync::mpsc;

use super::common::{TestNode, noise};
use super::sender::*;

type Chunk = Result<Vec<u8>, std::io::Error>;

/// A body that is sent chunk by chunk.
fn slow(sender: &Sender, index: usize, digest: [u8; 32]) -> (mpsc::Sender<Chunk>, tokio::task::JoinHandle<u16>) {
    let (chunks, mut received) = mpsc::channel::<Chunk>(1);
    let stream = futures_util::stream::poll_fn(move |cx| received.poll_recv(cx));
    let length = sender.segment(index).len();
    let request = sender.request(index, digest).header("content-length", length);
    let request = request.body(reqwest::Body::wrap_stream(stream));
    (chunks, tokio::spawn(async move { answer(request).await.0 }))
}

/// Until these bytes stand at the front of the file.
async fn written(partial: &std::path::Path, bytes: &[u8]) {
    while fs::read(partial).ok().is_none_or(|there| !there.starts_with(bytes)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_to_be_complete_wins_and_a_bad_one_spoils_nothing() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "hedged", "f", noise(2 * SEGMENT as usize, 1));
    sender.open().await;
    let (good, half) = (sha256(sender.segment(0)), SEGMENT as usize / 2);
    let partial = node.root().join(".skep-upload-hedged.part");
    let written = async |bytes: &[u8]| written(&partial, bytes).await;
    // One begins and stalls; another overtakes it, whose end is of other bytes than it said.
    let (first, first_answer) = slow(&sender, 0, good);
    first.send(Ok(sender.segment(0)[..half].to_vec())).await.unwrap();
    patiently(written(&sender.segment(0)[..half])).await;
    let (bad, bad_answer) = slow(&sender, 0, good);
    bad.send(Ok(vec![0xbd; half])).await.unwrap();
    patiently(written(&vec![0xbd; half])).await;
    // The first goes on to its end. All of its bytes were right, but not all of them lie there.
    first.send(Ok(sender.segment(0)[half..].to_vec())).await.unwrap();
    drop(first);
    assert_eq!(patiently(first_answer).await.unwrap(), 422, "read back, and found out");
    assert_eq!(sender.status().await.1["held"], json!([]));
    // The bad one may not write any more, and a good one is taken meanwhile.
    assert_eq!(sender.put(0).await.0, 200);
    bad.send(Ok(vec![0xbd; half])).await.unwrap();
    drop(bad);
    assert_eq!(patiently(bad_answer).await.unwrap(), 200, "what it announced is here, not what it sent");
    sender.put(1).await;
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_sender_is_overtaken_and_both_are_told_that_it_is_here() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "tail", "f", noise(SEGMENT as usize, 2));
    sender.open().await;
    let digest = sha256(&sender.bytes);
    let (stalled, stalled_answer) = slow(&sender, 0, digest);
    stalled.send(Ok(sender.bytes[..1000].to_vec())).await.unwrap();
    patiently(written(&node.root().join(".skep-upload-tail.part"), &sender.bytes[..1000])).await;
    assert_eq!(sender.put(0).await.0, 200);
    // It hears so at once, whether it sends the rest or not.
    assert_eq!(patiently(stalled_answer).await.unwrap(), 200);
    drop(stalled);
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_segments_come_at_once_and_an_upload_that_is_removed_meanwhile_is_gone() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "wide", "f", noise(40 * SEGMENT as usize, 3));
    sender.open().await;
    let all = futures_util::future::join_all((0..40).map(|index| sender.put(index))).await;
    assert!(all.iter().all(|(status, _)| *status == 200));
    assert_eq!(all.iter().map(|(_, body)| body["held_bytes"].as_u64().unwrap()).max(), Some(40 * SEGMENT));
    let both = tokio::join!(sender.assemble(), sender.assemble());
    assert_eq!((both.0.0, &both.0), (201, &both.1), "two who ask get one answer");

    let sender = Sender::file(&node, "cut", "g", noise(SEGMENT as usize, 4));
    sender.open().await;
    let (body, body_answer) = slow(&sender, 0, sha256(&sender.bytes));
    body.send(Ok(sender.bytes[..1000].to_vec())).await.unwrap();
    while !node.root().join(".skep-upload-cut.part").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(sender.delete().await, 204);
    body.send(Ok(sender.bytes[1000..].to_vec())).await.unwrap();
    drop(body);
    assert_eq!(patiently(body_answer).await.unwrap(), 404);
    assert_eq!(names(&node.root()), ["f"], "nothing is written into what is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_under_way_hear_at_once_that_their_upload_is_over() {
    let node = TestNode::start().await;
    for (id, over) in [("cancelled", 403), ("removed", 404)] {
        let sender = Sender::file(&node, id, id, noise(2 * SEGMENT as usize, 5));
        sender.open().await;
        let (body, answer) = slow(&sender, 1, sha256(sender.segment(1)));
        body.send(Ok(sender.segment(1)[..1000].to_vec())).await.unwrap();
        let row = |s: &Snapshot| s.transfers.iter().find(|row| row.name == id && row.bytes_down > 0).cloned();
        let shown = node.snapshot(Focus::default(), |s| row(s).is_some()).await;
        if over == 403 {
            node.control.command(Command::Cancel { ids: vec![row(&shown).unwrap().id] }).await.unwrap();
        } else {
            assert_eq!(sender.delete().await, 204);
        }
        // Nothing more was sent, and the body is not over yet.
        assert_eq!(patiently(answer).await.unwrap(), over);
        drop(body);
    }
}
