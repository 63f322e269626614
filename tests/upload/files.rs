//! One file: opened, put, asked about, assembled, removed, resumed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::json;

use super::common::{TestNode, noise};
use super::sender::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_under_its_name_only_when_it_is_whole() {
    let node = TestNode::start().await;
    let bytes = noise(5 * SEGMENT as usize + 77, 1);
    let description = json!({"path": "in/box/a.bin", "files": null, "mode": 0o640, "mtime": "2020-01-02T03:04:05Z"});
    let sender = Sender::of(&node, "t-1", description, bytes);
    let (status, body) = sender.open().await;
    assert_eq!(status, 201);
    assert_eq!((&body["transfer"], &body["held"]), (&json!("t-1"), &json!([])));
    assert_eq!((&body["size"], &body["segment_length"]), (&json!(sender.bytes.len()), &json!(SEGMENT)));
    for index in [4, 5, 1] {
        let (status, body) = sender.put(index).await;
        assert_eq!(status, 200, "{body}");
    }
    let (status, body) = sender.open().await;
    assert_eq!((status, &body["held"]), (200, &json!([[1, 2], [4, 6]])), "known: what is held");
    let (status, body) = sender.assemble().await;
    assert_eq!((status, &body["missing"]), (409, &json!([[0, 1], [2, 4]])));
    assert_eq!(body["type"], "urn:skep:problem:incomplete");
    assert_eq!(names(&node.root()), [".skep-upload-t-1.part"], "nothing else, no folder either");
    sender.put_all().await;
    assert!(!node.root().join("in").exists());
    let (status, body) = sender.assemble().await;
    assert_eq!((status, &body["path"], &body["files"]), (201, &json!("in/box/a.bin"), &json!(1)), "{body}");
    let path = node.root().join("in/box/a.bin");
    assert!(fs::read(&path).unwrap() == sender.bytes);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(path.metadata().unwrap().mtime(), 1_577_934_245);
    assert_eq!(names(&node.root()), ["in"]);
    assert_eq!(sender.assemble().await, (201, body.clone()), "asked again: the same");
    assert_eq!(sender.put(0).await.0, 200);
    let (status, state) = sender.status().await;
    assert_eq!((status, &state["state"], &state["published"]), (200, &json!("done"), &body));
    let node = node.restart().await;
    let sender = Sender { url: node.url(), ..sender };
    assert_eq!(sender.assemble().await, (201, body), "also of the next node");
    assert_eq!(sender.assemble_as(vec!["00".repeat(32); 6]).await.0, 409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_survives_a_restart_and_is_told_with_its_digests() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "resumed", "f", noise(4 * SEGMENT as usize, 2));
    sender.open().await;
    for index in [0, 3] {
        sender.put(index).await;
    }
    let node = node.restart().await;
    let sender = Sender { url: node.url(), ..sender };
    let (status, body) = answer(sender.client.get(format!("{}?digests=1", sender.at("upload")))).await;
    assert_eq!((status, &body["held"], &body["durable"]), (200, &json!([[0, 1], [3, 4]]), &json!(true)));
    let digests = sender.digests();
    assert_eq!(body["digests"], json!({"0": digests[0], "3": digests[3]}));
    let head = patiently(sender.client.head(sender.at("upload")).send()).await.unwrap();
    assert_eq!(head.status(), 200);
    for index in [1, 2] {
        sender.put(index).await;
    }
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_data_that_somebody_removed_is_asked_for_again() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "lost", "f", noise(2 * SEGMENT as usize, 3));
    sender.open().await;
    sender.put_all().await;
    let dir = node.shutdown().await;
    fs::remove_file(dir.path().join("root/.skep-upload-lost.part")).unwrap();
    let node = TestNode::start_in(dir, |_| ()).await;
    let sender = Sender { url: node.url(), ..sender };
    assert_eq!(sender.status().await.1["held"], json!([]));
    sender.send().await;
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_somebody_changed_on_the_disk_are_found() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "rotten", "f", noise(4 * SEGMENT as usize, 4));
    sender.open().await;
    sender.put_all().await;
    let partial = node.root().join(".skep-upload-rotten.part");
    rot(&partial, 2 * SEGMENT + 5);
    let (status, body) = sender.assemble().await;
    assert_eq!((status, &body["segments"]), (422, &json!([2])), "{body}");
    assert_eq!(names(&node.root()), [".skep-upload-rotten.part"]);
    assert_eq!(sender.status().await.1["held"], json!([[0, 2], [3, 4]]), "it lost its mark");
    assert_eq!(sender.put(2).await.0, 200);
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_received_is_read_back() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "old", "f", noise(4 * SEGMENT as usize, 4));
    sender.open().await;
    for index in [0, 1, 2] {
        sender.put(index).await;
    }
    let dir = node.shutdown().await;
    let partial = dir.path().join("root/.skep-upload-old.part");
    let before = partial.metadata().unwrap();
    rot(&partial, SEGMENT + 5);
    fs::File::options().write(true).open(&partial).unwrap().set_modified(before.modified().unwrap()).unwrap();
    let node = TestNode::start_in(dir, |_| ()).await;
    let sender = Sender { url: node.url(), ..sender };
    assert_eq!(sender.status().await.1["held"], json!([[0, 3]]), "it looks as it did");
    sender.put(3).await;
    let (status, body) = sender.assemble().await;
    assert_eq!((status, &body["segments"]), (422, &json!([1])), "{body}");
    assert_eq!(sender.put(1).await.0, 200);
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

/// Writes to the file as somebody else would: later than what was there, as the system's clock sees it.
fn rot(file: &std::path::Path, at: u64) {
    let changed = || file.metadata().map(|there| (there.ctime(), there.ctime_nsec())).unwrap();
    let (before, handle) = (changed(), fs::OpenOptions::new().write(true).open(file).unwrap());
    while changed() == before {
        std::os::unix::fs::FileExt::write_all_at(&handle, b"rot", at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_a_file() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "empty", "e", Vec::new());
    sender.send().await;
    assert_eq!(node.root().join("e").metadata().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_upload_leaves_nothing() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "gone", "f", noise(2 * SEGMENT as usize, 5));
    sender.open().await;
    sender.put(1).await;
    assert_eq!(sender.delete().await, 204);
    assert!(names(&node.root()).is_empty());
    for (status, body) in [sender.status().await, sender.put(0).await, sender.assemble().await] {
        assert_eq!((status, &body["type"]), (404, &json!("urn:skep:problem:not-found")));
    }
    assert_eq!(sender.delete().await, 404);
    let node = node.restart().await;
    let sender = Sender { url: node.url(), ..sender };
    assert_eq!(sender.status().await.0, 404, "also after a restart");
    sender.send().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_policies() {
    let node = TestNode::start().await;
    let old = noise(1000, 6);
    Sender::file(&node, "first", "d/f.txt", old.clone()).send().await;
    let of = |id: &str, policy: &str, seed| {
        Sender::of(&node, id, json!({"path": "d/f.txt", "policy": policy}), noise(1000, seed))
    };
    let (status, body) = of("refuse", "refuse", 7).open().await;
    assert_eq!((status, &body["type"]), (409, &json!("urn:skep:problem:conflict")));
    let both = of("both", "keep-both", 8);
    assert_eq!(both.send().await["path"], "d/f (2).txt");
    assert_eq!(of("more", "keep-both", 9).send().await["path"], "d/f (3).txt");
    assert!(fs::read(node.root().join("d/f (2).txt")).unwrap() == both.bytes);
    assert!(fs::read(node.root().join("d/f.txt")).unwrap() == old);
    let over = of("over", "overwrite", 10);
    assert_eq!(over.send().await["path"], "d/f.txt");
    assert!(fs::read(node.root().join("d/f.txt")).unwrap() == over.bytes);

    // Taken only while it was on its way.
    let late = Sender::file(&node, "late", "g", noise(1000, 11));
    late.open().await;
    late.put_all().await;
    fs::write(node.root().join("g"), "mine").unwrap();
    assert_eq!(late.assemble().await.0, 409);
    assert_eq!(fs::read(node.root().join("g")).unwrap(), b"mine");
    fs::remove_file(node.root().join("g")).unwrap();
    assert_eq!(late.assemble().await.0, 201, "nothing was lost by it");
}
