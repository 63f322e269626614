//! What others push here as the operator sees it, and what he can do about it.

use serde_json::json;
use skep_engine::control::{
    Command, CommandErrorKind, Focus, Reply, TransferId, TransferKind, TransferRow, TransferState,
};

use super::common::{TestNode, noise, noise_file};
use super::sender::*;

/// The row of the only upload, once it is as wanted.
async fn row(node: &TestNode, wanted: impl Fn(&TransferRow) -> bool) -> TransferRow {
    let is_it = |row: &TransferRow| row.kind == TransferKind::Receive && wanted(row);
    let snapshot = node.snapshot(Focus::default(), |s| s.transfers.iter().any(|row| is_it(row))).await;
    TransferRow::clone(snapshot.transfers.iter().find(|row| is_it(row)).unwrap())
}

async fn refusal(node: &TestNode, command: Command) -> (CommandErrorKind, String) {
    let error = node.control.command(command).await.unwrap_err();
    (error.kind, error.message)
}

async fn metric(node: &TestNode, line: &str) -> u64 {
    let text = reqwest::get(format!("{}/metrics", node.url())).await.unwrap().text().await.unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line} in\n{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_its_beginning_to_its_end_it_is_a_row_with_pieces_and_a_sender() {
    let node = TestNode::start().await;
    let shared = node.share(&noise_file(node.dir.path(), "own.bin", 100)).await;
    let sender = Sender::file(&node, "t-1", "in/box/a.bin", noise(4 * SEGMENT as usize + 77, 1));
    sender.open().await;
    let begun = row(&node, |_| true).await;
    assert_eq!(begun.id, TransferId(2), "from the same counter as all transfers; 1 is {shared}");
    assert_eq!((begun.state, begun.done, begun.size), (TransferState::Running, 0, 4 * SEGMENT + 77));
    assert_eq!((begun.name.as_str(), begun.via(), begun.verified), ("a.bin", "upload", false));
    assert_eq!(begun.path, node.root().join("in/box/a.bin").display().to_string());
    sender.put(4).await;
    sender.put(1).await;
    let moved = row(&node, |row| row.pieces_done == 2).await;
    assert_eq!((moved.done, moved.pieces, moved.bytes_down), (SEGMENT + 77, 5, SEGMENT + 77));
    assert_eq!((moved.from.as_str(), moved.peers_known), ("127.0.0.1", 1));
    // Its details come for whoever looks at it.
    let focus = Focus { transfer: Some(begun.id) };
    let shown = node.snapshot(focus, |s| s.details.contains_key(&begun.id)).await;
    let detail = &shown.details[&begun.id];
    assert_eq!(detail.have.ones().collect::<Vec<_>>(), [1, 4]);
    assert_eq!((detail.piece_length, detail.files.len(), detail.peers[0].bytes_down), (SEGMENT, 1, SEGMENT + 77));
    assert_eq!(metric(&node, "skep_uploads{state=\"open\"}").await, 1);
    assert_eq!(metric(&node, "skep_uploads_held_bytes").await, SEGMENT + 77);
    assert_eq!(metric(&node, "skep_received_bytes_total").await, SEGMENT + 77);
    sender.put_all().await;
    assert_eq!(sender.assemble().await.0, 201);
    let done = row(&node, |row| row.state == TransferState::Done).await;
    assert_eq!((done.id, done.done, done.verified, done.ended_ms.is_some()), (begun.id, done.size, true, true));
    assert_eq!(done.bytes_per_peer, [("127.0.0.1".to_owned(), 4 * SEGMENT + 77)]);
    assert!(done.reason.contains("listed until"), "{}", done.reason);
    assert_eq!(metric(&node, "skep_uploads{state=\"done\"}").await, 1);
    // It keeps its number, and where it stands, over a restart.
    let node = node.restart().await;
    let again = row(&node, |row| row.state == TransferState::Done).await;
    assert_eq!((again.id, again.path, again.added_ms), (done.id, done.path, done.added_ms));
    // Its data is not deleted from here; its row goes, and what came stays counted.
    let ids = vec![done.id];
    let (kind, words) = refusal(&node, Command::Remove { ids: ids.clone(), data: true }).await;
    assert!(kind == CommandErrorKind::Conflict && words.contains("without --data"), "{words}");
    assert_eq!(node.control.command(Command::Remove { ids, data: false }).await.unwrap(), Reply::Done);
    node.snapshot(Focus::default(), |s| s.transfers.iter().all(|row| row.id != done.id)).await;
    assert!(node.root().join("in/box/a.bin").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_cancels_it_and_its_sender_is_refused() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "t-1", "a.bin", noise(4 * SEGMENT as usize, 1));
    sender.open().await;
    sender.put(0).await;
    let id = row(&node, |row| row.pieces_done == 1).await.id;
    let ids = vec![id];
    for command in [
        Command::Pause { ids: ids.clone() },
        Command::Resume { ids: ids.clone() },
        Command::Verify { ids: ids.clone() },
        Command::Prioritise { ids: ids.clone(), priority: 1 },
        Command::Move { id, up: true },
        Command::Limit { id: Some(id), up: None, down: Some(Some(5)) },
        Command::Remove { ids: ids.clone(), data: false },
    ] {
        let (kind, words) = refusal(&node, command.clone()).await;
        assert!(kind == CommandErrorKind::Conflict && words.contains("received"), "{command:?}: {words}");
    }
    node.control.command(Command::Cancel { ids: ids.clone() }).await.unwrap();
    let row_now = row(&node, |row| row.state == TransferState::Cancelled).await;
    assert_eq!((row_now.done, row_now.pieces_done), (0, 0));
    assert!(names(&node.root()).is_empty(), "nothing is left of it");
    let told = async |sender: &Sender| {
        for (status, body) in [sender.open().await, sender.put(1).await, sender.status().await, sender.assemble().await]
        {
            assert_eq!((status, &body["type"]), (403, &json!("urn:skep:problem:cancelled")), "{body}");
        }
    };
    told(&sender).await;
    let node = node.restart().await;
    let sender = Sender { url: node.url(), ..sender };
    told(&sender).await;
    let (kind, _) = refusal(&node, Command::Cancel { ids: ids.clone() }).await;
    assert_eq!(kind, CommandErrorKind::Conflict);
    // Its name is free for others, and for the same sender once the row is removed.
    assert_eq!(Sender::file(&node, "t-2", "a.bin", noise(10, 1)).open().await.0, 201);
    node.control.command(Command::Remove { ids, data: false }).await.unwrap();
    node.snapshot(Focus::default(), |s| s.transfers.iter().all(|row| row.id != id)).await;
    assert_eq!(Sender::file(&node, "t-1", "b.bin", noise(10, 1)).open().await.0, 201);
}

/// A sender that deletes its upload takes the row along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_sender_aborts_is_gone() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "t-1", "a.bin", noise(100, 1));
    sender.open().await;
    row(&node, |_| true).await;
    assert_eq!(sender.delete().await, 204);
    node.snapshot(Focus::default(), |s| s.transfers.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_are_bounded_newest_first() {
    let node = TestNode::start().await;
    for n in 0..210 {
        Sender::file(&node, &format!("t-{n}"), &format!("f{n}"), noise(10, n)).send().await;
    }
    let last = |s: &skep_engine::control::Snapshot| s.transfers.last().is_some_and(|row| row.name == "f209");
    let now = node.snapshot(Focus::default(), |s| last(s) && s.transfers.len() == 200).await;
    assert!(now.transfers.iter().all(|row| row.state == TransferState::Done));
    assert_eq!(now.node.bytes_down, 2_100, "what is not shown any more stays counted");
}
