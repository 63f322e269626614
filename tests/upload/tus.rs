//! tus 1.0, request by request.

use std::fs;

use data_encoding::BASE64;
use reqwest::{Client, Method, Response};
use skep_engine::control::{Command, Focus, TransferKind};

use super::common::{TestNode, noise};
use super::sender::*;

const SEGMENT: usize = 4 << 20;

struct Tus {
    client: Client,
    url: String,
}

impl Tus {
    fn new(node: &TestNode) -> Self {
        Self { client: Sender::file(node, "none", "none", Vec::new()).client, url: node.url() }
    }

    async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !fields.iter().any(|(name, _)| *name == "tus-resumable") {
            request = request.header("tus-resumable", "1.0.0");
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = patiently(request.body(body.to_vec()).send()).await.unwrap();
        assert_eq!(field(&response, "tus-resumable"), "1.0.0", "{response:?}");
        response
    }

    /// Creates an upload; its path.
    async fn create(&self, name: &str, size: usize, more: &[(&str, &str)]) -> String {
        let (size, metadata) = (size.to_string(), format!("filename {}", BASE64.encode(name.as_bytes())));
        let mut fields = vec![("upload-length", size.as_str()), ("upload-metadata", metadata.as_str())];
        fields.extend(more);
        let response = self.ask("POST", "/tus/", &fields, b"").await;
        assert_eq!(response.status(), 201, "{response:?}");
        assert!(field(&response, "upload-expires").ends_with("GMT"));
        field(&response, "location")
    }

    async fn patch(&self, path: &str, offset: usize, body: &[u8], more: &[(&str, &str)]) -> Response {
        let offset = offset.to_string();
        let mut fields = vec![("upload-offset", offset.as_str()), ("content-type", "application/offset+octet-stream")];
        fields.extend(more);
        self.ask("PATCH", path, &fields, body).await
    }

    async fn offset(&self, path: &str) -> usize {
        let response = self.ask("HEAD", path, &[], b"").await;
        assert_eq!((response.status().as_u16(), field(&response, "cache-control").as_str()), (200, "no-store"));
        field(&response, "upload-offset").parse().unwrap()
    }
}

fn field(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_from_creation_to_its_name_in_uneven_steps() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let options = tus.ask("OPTIONS", "/tus/", &[("tus-resumable", "9")], b"").await;
    assert_eq!((options.status().as_u16(), field(&options, "tus-version").as_str()), (204, "1.0.0"));
    assert!(field(&options, "tus-extension").contains("creation") && field(&options, "tus-max-size").len() > 9);
    let bytes = noise(2 * SEGMENT + 1_000, 1);
    let path = tus.create("a b.bin", bytes.len(), &[]).await;
    let head = tus.ask("HEAD", &path, &[], b"").await;
    assert_eq!((field(&head, "upload-length"), field(&head, "upload-offset")), (bytes.len().to_string(), "0".into()));
    assert_eq!(field(&head, "upload-metadata"), format!("filename {}", BASE64.encode(b"a b.bin")));
    let mut at = 0;
    for step in [1, 70_000, SEGMENT - 5, 0, 123_456] {
        let response = tus.patch(&path, at, &bytes[at..at + step], &[]).await;
        at += step;
        assert_eq!((response.status().as_u16(), field(&response, "upload-offset")), (204, at.to_string()));
        assert_eq!(tus.offset(&path).await, at);
    }
    assert_eq!(tus.patch(&path, at - 1, b"x", &[]).await.status(), 409, "not where it goes on");
    assert_eq!(tus.patch(&path, at, &bytes[at - 1..], &[]).await.status(), 413, "one byte too many");
    assert!(!node.root().join("a b.bin").exists());
    let override_ = [("x-http-method-override", "PATCH"), ("content-type", "application/offset+octet-stream")];
    let offset = at.to_string();
    let last = [&override_[..], &[("upload-offset", offset.as_str())]].concat();
    let last = tus.ask("POST", &path, &last, &bytes[at..]).await;
    assert_eq!(last.status(), 204, "for clients without PATCH");
    assert!(fs::read(node.root().join("a b.bin")).unwrap() == bytes);
    assert_eq!(tus.offset(&path).await, bytes.len());
    let empty = tus.create("a b.bin", 0, &[]).await;
    assert_eq!(tus.offset(&empty).await, 0);
    assert_eq!(names(&node.root()), ["a b (2).bin", "a b.bin"], "nothing is replaced unless asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_whole_segments_and_a_removed_upload_is_gone() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let bytes = noise(SEGMENT + 100_000, 2);
    let path = tus.create("f", bytes.len(), &[]).await;
    tus.patch(&path, 0, &bytes[..SEGMENT + 50_000], &[]).await;
    assert_eq!(tus.offset(&path).await, SEGMENT + 50_000);
    let node = node.restart().await;
    let tus = Tus::new(&node);
    assert_eq!(tus.offset(&path).await, SEGMENT);
    let other = tus.create("g", 10, &[]).await;
    assert_eq!(tus.ask("DELETE", &other, &[], b"").await.status(), 204);
    assert_eq!(tus.ask("HEAD", &other, &[], b"").await.status(), 404);
    assert_eq!(tus.patch(&path, SEGMENT, &bytes[SEGMENT..], &[]).await.status(), 204);
    assert!(fs::read(node.root().join("f")).unwrap() == bytes);
    assert_eq!(names(&node.root()), ["f"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_match_its_checksum_does_not_count() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let bytes = noise(SEGMENT + 10, 3);
    let path = tus.create("f", bytes.len(), &[]).await;
    tus.patch(&path, 0, &bytes[..10], &[]).await;
    let sum = format!("sha256 {}", BASE64.encode(&sha256(&bytes[10..])));
    let mut bad = bytes[10..].to_vec();
    bad[SEGMENT - 1] ^= 1;
    let response = tus.patch(&path, 10, &bad, &[("upload-checksum", &sum)]).await;
    assert_eq!(response.status().as_u16(), 460);
    assert_eq!(tus.offset(&path).await, 10, "not even the segment that was whole");
    assert_eq!(tus.patch(&path, 10, &bytes[10..], &[("upload-checksum", "md5 AAAA")]).await.status(), 400);
    assert_eq!(tus.patch(&path, 10, &bytes[10..], &[("upload-checksum", &sum)]).await.status(), 204);
    assert!(fs::read(node.root().join("f")).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_put_together() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let bytes = noise(SEGMENT + 300_000, 4);
    let cut = 123_457;
    let mut parts = Vec::new();
    for part in [&bytes[..cut], &bytes[cut..]] {
        let path = tus.create("ignored", part.len(), &[("upload-concat", "partial")]).await;
        assert_eq!(field(&tus.ask("HEAD", &path, &[], b"").await, "upload-concat"), "partial");
        parts.push((path, part));
    }
    let all = format!("final;{} {}{}", parts[0].0, node.url(), parts[1].0);
    let name = format!("filename {}", BASE64.encode(b"whole"));
    let fields = [("upload-concat", all.as_str()), ("upload-metadata", name.as_str())];
    assert_eq!(tus.ask("POST", "/tus/", &fields, b"").await.status(), 400, "they are not complete");
    for (path, part) in &parts {
        assert_eq!(tus.patch(path, 0, part, &[]).await.status(), 204);
    }
    assert!(!node.root().join("ignored").exists());
    let response = tus.ask("POST", "/tus/", &fields, b"").await;
    assert_eq!(response.status(), 201);
    assert_eq!(tus.offset(&field(&response, "location")).await, bytes.len());
    assert!(fs::read(node.root().join("whole")).unwrap() == bytes);
    for (path, _) in &parts {
        assert_eq!(tus.ask("DELETE", path, &[], b"").await.status(), 204);
    }
    assert_eq!(names(&node.root()), ["whole"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_tus_or_leads_astray_is_refused() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let refused = async |fields: &[(&str, &str)]| tus.ask("POST", "/tus/", fields, b"").await.status().as_u16();
    assert_eq!(refused(&[("tus-resumable", "0.2.2"), ("upload-length", "5")]).await, 412);
    assert_eq!(refused(&[]).await, 400, "no length");
    assert_eq!(refused(&[("upload-length", "18446744073709551615")]).await, 413);
    for path in ["../x", "/etc/x", "..", ".skep-x"] {
        let metadata = format!("path {}", BASE64.encode(path.as_bytes()));
        assert_eq!(refused(&[("upload-length", "5"), ("upload-metadata", &metadata)]).await, 400, "{path}");
    }
    let path = tus.create("f", 5, &[]).await;
    let octets = [("content-type", "application/octet-stream"), ("upload-offset", "0")];
    assert_eq!(tus.ask("PATCH", &path, &octets, b"hello").await.status(), 415);
    assert_eq!(tus.ask("GET", &path, &[], b"").await.status(), 405);
    assert_eq!(tus.patch("/tus/tus-0", 0, b"", &[]).await.status(), 404);
    // The two ways into one store do not meet.
    let id = path.rsplit('/').next().unwrap();
    let sender = Sender::file(&node, id, "f", b"hello".to_vec());
    assert_eq!(sender.open().await.0, 400);
    let native = Sender::file(&node, "native", "g", b"hello".to_vec());
    native.open().await;
    assert_eq!(tus.patch("/tus/native", 0, b"hello", &[]).await.status(), 404);
    assert_eq!(names(&node.root()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sees_it_and_can_cancel_it() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let bytes = noise(SEGMENT + 1_000, 1);
    let path = tus.create("a.bin", bytes.len(), &[]).await;
    tus.patch(&path, 0, &bytes[..SEGMENT], &[]).await;
    let shown = node.snapshot(Focus::default(), |s| s.transfers.iter().any(|row| row.pieces_done == 1)).await;
    let row = &shown.transfers[0];
    assert_eq!((row.kind, row.name.as_str(), row.via()), (TransferKind::Receive, "a.bin", "tus"));
    assert_eq!((row.done, row.size, row.from.as_str()), (SEGMENT as u64, bytes.len() as u64, "127.0.0.1"));
    node.control.command(Command::Cancel { ids: vec![row.id] }).await.unwrap();
    assert_eq!(tus.patch(&path, SEGMENT, &bytes[SEGMENT..], &[]).await.status(), 403);
    assert_eq!(tus.ask("HEAD", &path, &[], b"").await.status(), 403);
    assert_eq!(tus.ask("DELETE", &path, &[], b"").await.status(), 403, "the row is the operator's to remove");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_bytes_may_come_with_the_creation() {
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let options = tus.ask("OPTIONS", "/tus/", &[], b"").await;
    assert!(field(&options, "tus-extension").split(',').any(|extension| extension == "creation-with-upload"));
    let bytes = noise(SEGMENT + 1_000, 5);
    let (size, named) = (bytes.len().to_string(), |name: &[u8]| format!("filename {}", BASE64.encode(name)));
    let create = async |name: &[u8], body: &[u8], more: &[(&str, &str)]| {
        let metadata = named(name);
        let mut fields = vec![("upload-length", size.as_str()), ("upload-metadata", metadata.as_str())];
        fields.push(("content-type", "application/offset+octet-stream"));
        fields.extend(more);
        tus.ask("POST", "/tus/", &fields, body).await
    };
    let begun = create(b"half", &bytes[..SEGMENT + 7], &[]).await;
    assert_eq!((begun.status().as_u16(), field(&begun, "upload-offset")), (201, (SEGMENT + 7).to_string()));
    let path = field(&begun, "location");
    assert_eq!(tus.patch(&path, SEGMENT + 7, &bytes[SEGMENT + 7..], &[]).await.status(), 204);
    let all = create(b"all", &bytes, &[]).await;
    assert_eq!((all.status().as_u16(), field(&all, "upload-offset")), (201, bytes.len().to_string()));
    for name in ["half", "all"] {
        assert!(fs::read(node.root().join(name)).unwrap() == bytes, "{name}");
    }
    let wrong = [("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=")];
    assert_eq!(create(b"wrong", &bytes[..10], &wrong).await.status().as_u16(), 460);
    assert_eq!(create(b"long", &[&bytes[..], b"x"].concat(), &[]).await.status(), 413);
    assert_eq!(names(&node.root()), ["all", "half"], "nothing is left of what nobody can find");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checksum_may_follow_the_body() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let node = TestNode::start().await;
    let tus = Tus::new(&node);
    let path = tus.create("f", 11, &[]).await;
    let patch = async |trailer: &str| {
        let address = node.url();
        let address = address.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "PATCH {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n\
             content-type: application/offset+octet-stream\r\ntransfer-encoding: chunked\r\ntrailer: Upload-Checksum\r\n\r\n\
             6\r\nhello \r\n5\r\nworld\r\n0\r\n{trailer}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        patiently(stream.read_to_string(&mut answer)).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(patch("").await, 400, "announced, and not there");
    assert_eq!(patch("Upload-Checksum: md5 AAAA\r\n").await, 400);
    assert_eq!(patch("Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n").await, 460);
    assert_eq!(tus.offset(&path).await, 0, "none of it counts");
    assert_eq!(patch("Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n").await, 204);
    assert_eq!(fs::read(node.root().join("f")).unwrap(), b"hello world");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_unknown_length_is_held_to_the_quota_too() {
    let quota = 2 * SEGMENT as u64 + SEGMENT as u64 / 2;
    let node = TestNode::start_with(|config| config.limits.uploads.quota = Some(quota)).await;
    let tus = Tus::new(&node);
    let other = Sender::file(&node, "other", "other", noise(SEGMENT - 5, 7));
    assert_eq!(other.open().await.0, 201);
    let name = format!("filename {}", BASE64.encode(b"f"));
    let fields = [("upload-defer-length", "1"), ("upload-metadata", name.as_str())];
    let path = field(&tus.ask("POST", "/tus/", &fields, b"").await, "location");
    let bytes = noise(3 * SEGMENT, 6);
    assert_eq!(tus.patch(&path, 0, &bytes, &[]).await.status(), 413);
    let at = tus.offset(&path).await;
    assert!((2 * SEGMENT..2 * SEGMENT + SEGMENT / 4).contains(&at), "to the end of a segment, about: {at}");
    assert_eq!(tus.patch(&path, at, b"more", &[]).await.status(), 413, "nor bit by bit");
    // With room for it, it goes on.
    other.send().await;
    assert_eq!(tus.patch(&path, at, b"more", &[]).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_length_may_be_told_when_it_is_known() {
    let node = TestNode::start_with(|config| config.limits.uploads.quota = Some(20_000_000)).await;
    let tus = Tus::new(&node);
    let bytes = noise(2 * SEGMENT + 1_000, 6);
    let begin = async |tus: &Tus, name: &[u8]| {
        let metadata = format!("filename {}", BASE64.encode(name));
        let fields = [("upload-defer-length", "1"), ("upload-metadata", metadata.as_str())];
        let response = tus.ask("POST", "/tus/", &fields, b"").await;
        assert_eq!(response.status(), 201, "{response:?}");
        field(&response, "location")
    };
    let size = bytes.len().to_string();
    let length = [("upload-length", size.as_str())];
    // With the last bytes; behind them, with none; before the first.
    let path = begin(&tus, b"with").await;
    let head = tus.ask("HEAD", &path, &[], b"").await;
    assert_eq!((field(&head, "upload-defer-length"), field(&head, "upload-length")), ("1".into(), String::new()));
    assert_eq!(tus.patch(&path, 0, &bytes[..SEGMENT + 5], &[]).await.status(), 204);
    assert_eq!(tus.patch(&path, SEGMENT + 5, b"", &[("upload-length", "17")]).await.status(), 400, "it has more");
    assert_eq!(tus.patch(&path, SEGMENT + 5, b"", &[("upload-length", "30000000")]).await.status(), 413, "the quota");
    assert_eq!(tus.patch(&path, SEGMENT + 5, &bytes[SEGMENT + 5..], &length).await.status(), 204);
    let behind = begin(&tus, b"behind").await;
    assert_eq!(tus.patch(&behind, 0, &bytes, &[]).await.status(), 204);
    assert!(!node.root().join("behind").exists());
    assert_eq!(tus.patch(&behind, bytes.len(), b"", &length).await.status(), 204);
    let before = begin(&tus, b"before").await;
    assert_eq!(tus.patch(&before, 0, &bytes[..10], &length).await.status(), 204);
    let head = tus.ask("HEAD", &before, &[], b"").await;
    assert_eq!((field(&head, "upload-defer-length"), field(&head, "upload-length")), (String::new(), size.clone()));
    assert_eq!(tus.patch(&before, 10, &bytes[10..], &[("upload-length", "99")]).await.status(), 400, "another one");
    assert_eq!(tus.patch(&before, 10, &bytes[10..], &[]).await.status(), 204);
    // Across a restart, on either side of which it is told.
    let late = begin(&tus, b"late").await;
    assert_eq!(tus.patch(&late, 0, &bytes[..SEGMENT + 5], &[]).await.status(), 204);
    let node = node.restart().await;
    let tus = Tus::new(&node);
    assert_eq!(tus.offset(&late).await, SEGMENT);
    assert_eq!(tus.patch(&late, SEGMENT, &bytes[SEGMENT..2 * SEGMENT], &length).await.status(), 204);
    let node = node.restart().await;
    let tus = Tus::new(&node);
    assert_eq!(tus.patch(&late, 2 * SEGMENT, &bytes[2 * SEGMENT..], &[]).await.status(), 204);
    for name in ["with", "behind", "before", "late"] {
        assert!(fs::read(node.root().join(name)).unwrap() == bytes, "{name}");
    }
    assert_eq!(names(&node.root()), ["before", "behind", "late", "with"]);
    // A way of tus only: others must say what they send, or they could fill the disk unasked.
    let mut native = Sender::file(&node, "native", "n", Vec::new());
    (native.description["deferred"], native.description["size"]) = (true.into(), (1u64 << 39).into());
    native.description["segment_length"] = (1 << 20).into();
    assert_eq!(native.open().await.0, 507);
}
