//! What is not taken, and that nothing of it is written.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::common::{TestNode, noise};
use super::sender::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_that_lead_astray_are_refused_and_nothing_is_made() {
    let node = TestNode::start().await;
    let refused = async |name: &str, value: serde_json::Value| {
        let mut sender = Sender::file(&node, "bad", "f", noise(1000, 1));
        sender.description[name] = value;
        let (status, body) = sender.open().await;
        assert_eq!((status, &body["type"]), (400, &json!("urn:skep:problem:bad-request")), "{name} {body}");
    };
    for path in ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a/.skep-mine", ".skep-upload-x.part", "a\u{0}b"] {
        refused("path", json!(path)).await;
    }
    refused("version", json!(2)).await;
    refused("segment_length", json!(0)).await;
    refused("segment_length", json!(1u64 << 40)).await;
    refused("size", json!(u64::MAX)).await;
    refused("size", json!("many")).await;
    refused("policy", json!("guess")).await;
    refused("files", json!([{"path": "../x", "size": 1000, "mode": 420}])).await;
    refused("files", json!([{"path": "x", "size": 999, "mode": 420}])).await;
    refused(
        "files",
        json!([{"path": "x", "size": 1000, "mode": 420}, {"path": "l", "size": 0, "mode": 511, "symlink": "/etc"}]),
    )
    .await;
    let client = Sender::file(&node, "bad", "f", Vec::new()).client;
    for (id, status) in [("a%20b", 400), (&*"x".repeat(65), 400), ("%2e%2e%2fx", 400)] {
        let body = json!({"version": 1, "path": "f", "size": 1, "segment_length": 1024});
        assert_eq!(answer(client.post(format!("{}/upload/{id}", node.url())).json(&body)).await.0, status, "{id}");
    }
    assert!(names(&node.root()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_checked_before_a_byte_is_written() {
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "s", "f", noise(3 * SEGMENT as usize - 5, 2));
    sender.open().await;
    let size = sender.bytes.len() as u64;
    let good = sender.segment(1).to_vec();
    let put = async |index: &str, range: &str, digest: Option<[u8; 32]>, body: Vec<u8>| {
        let mut request = sender.client.put(format!("{}/{index}", sender.at("upload")));
        if !range.is_empty() {
            request = request.header("content-range", range);
        }
        if let Some(digest) = digest {
            request = request.header("content-digest", format!("sha-256=:{}:", data_encoding::BASE64.encode(&digest)));
        }
        answer(request.body(body)).await.0
    };
    let range = format!("bytes {}-{}/{size}", SEGMENT, 2 * SEGMENT - 1);
    let digest = Some(sha256(&good));
    for (what, status) in [
        ("no range", put("1", "", digest, good.clone()).await),
        ("no digest", put("1", &range, None, good.clone()).await),
        ("no number", put("one", &range, digest, good.clone()).await),
        ("other segment", put("0", &range, digest, good.clone()).await),
        ("no such segment", put("3", &range, digest, good.clone()).await),
        ("huge index", put("4294967296", &range, digest, good.clone()).await),
        (
            "other size",
            put("1", &format!("bytes {}-{}/{}", SEGMENT, 2 * SEGMENT - 1, size + 1), digest, good.clone()).await,
        ),
        (
            "beyond the end",
            put("2", &format!("bytes {}-{}/{size}", 2 * SEGMENT, 3 * SEGMENT - 1), digest, good.clone()).await,
        ),
        ("short of its range", put("1", &range, digest, good[1..].to_vec()).await),
        (
            "half a segment",
            put("1", &format!("bytes {}-{}/{size}", SEGMENT, SEGMENT + 9), digest, good[..10].to_vec()).await,
        ),
    ] {
        assert_eq!(status, 400, "{what}");
    }
    assert!(names(&node.root()).is_empty(), "not a byte was written");
    assert_eq!(put("1", &range, Some([7; 32]), good.clone()).await, 422);
    assert_eq!(sender.status().await.1["held"], json!([]), "it does not count");
    assert_eq!(put("1", &range, digest, good.clone()).await, 200);
    assert_eq!(put("1", &range, digest, good.clone()).await, 200, "again: fine");
    let (status, body) = answer(sender.request(1, [7; 32]).body(good)).await;
    assert_eq!((status, &body["held"]), (409, &json!([[1, 2]])), "held with other bytes");
    assert_eq!(sender.assemble_as(sender.digests()[1..].to_vec()).await.0, 400);
    // Only what was asked for is lost when the sender says that it has other bytes now.
    sender.put_all().await;
    let mut digests = sender.digests();
    digests[2] = "ab".repeat(32);
    let (status, body) = sender.assemble_as(digests).await;
    assert_eq!((status, &body["segments"]), (422, &json!([2])));
    assert_eq!(sender.status().await.1["held"], json!([[0, 2]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_does_not_count() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let node = TestNode::start().await;
    let sender = Sender::file(&node, "cut", "f", noise(SEGMENT as usize, 3));
    sender.open().await;
    let address = node.url();
    let address = address.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let digest = data_encoding::BASE64.encode(&sha256(&sender.bytes));
    let head = format!(
        "PUT /upload/cut/0 HTTP/1.1\r\nhost: {address}\r\ncontent-length: {SEGMENT}\r\ncontent-range: bytes 0-{}/{SEGMENT}\r\n\
         content-digest: sha-256=:{digest}:\r\n\r\n",
        SEGMENT - 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&sender.bytes[..SEGMENT as usize - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    // Until the node is done with it.
    let _ = patiently(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(sender.status().await.1["held"], json!([]));
    sender.send().await;
    assert!(fs::read(node.root().join("f")).unwrap() == sender.bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_name_and_two_meanings_of_one_upload() {
    let node = TestNode::start().await;
    let first = Sender::file(&node, "one", "d/f", noise(SEGMENT as usize, 4));
    first.open().await;
    first.put(0).await;
    let (status, body) = Sender::file(&node, "two", "d/f", noise(10, 5)).open().await;
    assert_eq!((status, &body["type"]), (409, &json!("urn:skep:problem:conflict")));
    assert_eq!(Sender::file(&node, "three", "d", noise(10, 5)).open().await.0, 409, "nor the folder that it is in");
    let other = Sender::file(&node, "one", "elsewhere", noise(SEGMENT as usize, 4));
    let (status, body) = other.open().await;
    assert_eq!((status, &body["held"]), (409, &json!([[0, 1]])), "the answer carries what is held");
    assert_eq!(first.assemble().await.0, 201);
    let over = Sender::of(&node, "two", json!({"path": "d/f", "policy": "overwrite"}), noise(10, 5));
    over.send().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_below_the_root_lead_nowhere() {
    let node = TestNode::start().await;
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), node.root().join("out")).unwrap();
    for path in ["out/f", "out/deep/f"] {
        assert_eq!(Sender::file(&node, "l", path, noise(10, 6)).open().await.0, 409, "{path}");
    }
    // Planted while the bytes come.
    let sender = Sender::file(&node, "m", "later/f", noise(10, 7));
    sender.open().await;
    sender.put_all().await;
    symlink(outside.path(), node.root().join("later")).unwrap();
    assert_eq!(sender.assemble().await.0, 409);
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_or_disk_is_told_before_anything_is_sent() {
    let node = TestNode::start_with(|config| config.limits.uploads.quota = Some(100_000)).await;
    let of = |id: &str, size| Sender::file(&node, id, id, noise(size, 8));
    assert_eq!(of("a", 60_000).open().await.0, 201);
    let (status, body) = of("b", 60_000).open().await;
    assert_eq!((status, &body["type"]), (413, &json!("urn:skep:problem:quota")));
    of("a", 60_000).send().await;
    assert_eq!(of("b", 60_000).open().await.0, 201, "what is done does not count");
    let node = TestNode::start().await;
    let mut sender = Sender::file(&node, "huge", "huge", Vec::new());
    sender.description["size"] = json!(1u64 << 53);
    sender.description["segment_length"] = json!(64 << 20);
    // Too many segments before it is too many bytes.
    assert_eq!(sender.open().await.0, 400);
    sender.description["size"] = json!(64u64 << 40);
    let (status, body) = sender.open().await;
    assert_eq!((status, &body["type"]), (507, &json!("urn:skep:problem:no-space")), "{body}");
    assert!(names(&node.root()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_finishes_expires() {
    let node = TestNode::start_with(|config| config.limits.uploads.expiry = std::time::Duration::ZERO).await;
    let sender = Sender::file(&node, "stale", "f", noise(10, 9));
    sender.open().await;
    patiently(async {
        while sender.status().await.0 != 404 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(names(&node.root()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_it_would_be_taken_can_be_asked_and_nothing_is_begun() {
    let node = TestNode::start().await;
    fs::write(node.root().join("taken"), b"mine").unwrap();
    let ask = async |path: &str, size: u64, policy: &str| {
        let client = Sender::file(&node, "x", "x", Vec::new()).client;
        let body = json!({"version": 1, "path": path, "size": size, "segment_length": 1 << 22, "policy": policy});
        answer(client.post(format!("{}/upload", node.url())).json(&body)).await
    };
    let (status, body) = ask("in/free", 1_000, "refuse").await;
    assert!(status == 200 && body["free"].as_u64().unwrap() > 1_000, "{status} {body}");
    for (path, size, policy, status, kind) in [
        ("taken", 1, "refuse", 409, "conflict"),
        ("taken", 1, "keep-both", 200, ""),
        ("free", 1 << 42, "refuse", 507, "no-space"),
        ("../x", 1, "refuse", 400, "bad-request"),
    ] {
        let (got, body) = ask(path, size, policy).await;
        assert_eq!(got, status, "{path} {body}");
        assert!(body["type"].as_str().unwrap_or("").ends_with(kind), "{body}");
    }
    assert!(!node.root().join("in").exists());
    let left: Vec<_> = fs::read_dir(node.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["taken"], "nothing else was made");
}

/// Until everything that came is on the disk and the files are closed.
async fn at_rest(sender: &Sender) {
    patiently(async {
        while sender.status().await.1["durable"] != json!(true) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_planted_in_what_is_on_its_way_lead_nowhere() {
    let node = TestNode::start().await;
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("b");
    fs::write(&victim, "precious").unwrap();
    let entry = |path: &str| json!({"path": path, "size": SEGMENT * 2, "mode": 0o600});
    let plain = Sender::file(&node, "plain", "f", noise(4 * SEGMENT as usize, 10));
    let files = json!([entry("a/a"), entry("b/b")]);
    let tree = Sender::of(&node, "tree", json!({"path": "t", "files": files}), noise(4 * SEGMENT as usize, 11));
    let part = |id: &str| node.root().join(format!(".skep-upload-{id}.part"));
    for (sender, harmed, target) in
        [(&plain, part("plain"), victim.clone()), (&tree, part("tree").join("b"), outside.path().into())]
    {
        sender.open().await;
        for index in [0, 2] {
            assert_eq!(sender.put(index).await.0, 200);
        }
        at_rest(sender).await;
        let aside = harmed.with_extension("aside");
        fs::rename(&harmed, &aside).unwrap();
        symlink(target, &harmed).unwrap();
        let (status, body) = sender.put(3).await;
        assert_eq!((status, &body["type"]), (409, &json!("urn:skep:problem:conflict")), "{body}");
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(names(outside.path()), ["b"]);
        // Mended, it goes on.
        fs::remove_file(&harmed).unwrap();
        fs::rename(&aside, &harmed).unwrap();
        sender.put_all().await;
        assert_eq!(sender.assemble().await.0, 201);
    }
    assert!(fs::read(node.root().join("f")).unwrap() == plain.bytes);
}
