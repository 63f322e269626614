//! Segments that come compressed.

use std::fs;

use data_encoding::BASE64;
use reqwest::RequestBuilder;
use skep_engine::control::{Command, SendRequest};

use super::common::{TestNode, noise};
use super::relay::Relay;
use super::sender::*;

/// Lines that are all different, and much alike.
fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0.. {
        text.extend(
            format!("2026-11-21T10:{:02}:{:02}Z node-{} moved {line} pieces\n", line / 60 % 60, line % 60, line % 7)
                .bytes(),
        );
        if text.len() >= bytes {
            text.truncate(bytes);
            return text;
        }
    }
    unreachable!()
}

fn put(sender: &Sender, index: usize, coding: &str, digest: [u8; 32], body: Vec<u8>) -> RequestBuilder {
    let (start, end) = (index as u64 * SEGMENT, index as u64 * SEGMENT + sender.segment(index).len() as u64 - 1);
    let request = sender.client.put(format!("{}/{index}", sender.at("upload")));
    let request = request.header("content-range", format!("bytes {start}-{end}/{}", sender.bytes.len()));
    let request = request.header("unencoded-digest", format!("sha-256=:{}:", BASE64.encode(&digest)));
    request.header("content-encoding", coding).body(body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_segment_is_what_it_was() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "s", "f", text(2 * SEGMENT as usize + 77));
    let (_, opened) = sender.open().await;
    assert_eq!(opened["accepts"], serde_json::json!(["zstd"]));
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap();
    let refused = async |coding: &str, digest: &[u8], body: Vec<u8>| {
        let (status, answer) = answer(put(&sender, 1, coding, sha256(digest), body)).await;
        assert_eq!(sender.status().await.1["held"], serde_json::json!([]), "{coding} {answer}");
        status
    };
    let good = sender.segment(1).to_vec();
    assert_eq!(refused("br", &good, pack(&good)).await, 415);
    assert_eq!(refused("zstd", b"other", pack(&good)).await, 422);
    assert_eq!(refused("zstd", &good, b"no frame, whatever it says".to_vec()).await, 422);
    assert_eq!(refused("zstd", &good, [pack(&good), b"more".to_vec()].concat()).await, 422);
    assert_eq!(refused("zstd", &good, good.clone()).await, 422);
    let packed = pack(&good);
    assert_eq!(refused("zstd", &good, packed[..packed.len() / 2].to_vec()).await, 400);
    assert_eq!(refused("zstd", &good, Vec::new()).await, 400);
    // A bomb: 64 MiB in some kB.
    assert_eq!(refused("zstd", &good, pack(&vec![0; 64 << 20])).await, 400);
    assert_eq!(refused("zstd", &good, noise(2 * SEGMENT as usize, 1)).await, 400);
    for index in 0..sender.segments() {
        let bytes = sender.segment(index);
        assert_eq!(answer(put(&sender, index, "zstd", sha256(bytes), pack(bytes))).await.0, 200);
    }
    assert_eq!(sender.assemble().await.0, 201);
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_is_asked_to_compress_sends_less_and_says_so() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    for (name, bytes) in [("text", text(3_000_000)), ("noise", noise(3_000_000, 2))] {
        let path = dir.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let before = relay.carried();
        let request = SendRequest {
            path,
            dest: format!("{}/", relay.url()),
            segment_length: Some(SEGMENT),
            compress: Some(true),
            ..SendRequest::default()
        };
        let id = node.added(Command::Send(request)).await;
        let row = node.done(id).await;
        assert!(fs::read(receiver.root().join(name)).unwrap() == bytes, "{name}");
        let carried = relay.carried() - before;
        assert!(row.bytes_up + row.saved_bytes == 3_000_000, "{row:#?}");
        match name {
            "text" => assert!(carried < 1_000_000 && row.saved_bytes > 2_000_000, "{carried}: {row:#?}"),
            _ => assert!(carried < 3_200_000 && row.saved_bytes == 0, "{carried}: {row:#?}"),
        }
    }
}
