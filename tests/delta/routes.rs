//! The routes by themselves: what may be asked, and what may be sent.

use std::fs;
use std::os::unix::fs::symlink;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use skep_engine::content::Digest;
use skep_engine::delta::asks;
use skep_engine::delta::blocks::Blocks;
use skep_engine::delta::hashes::{BlockHashes, Hashes as _, StrongHash};
use skep_engine::delta::instructions::{Header, Writer};
use skep_engine::delta::matcher::Run;
use skep_engine::delta::packed::pack;
use skep_engine::delta::refine::{Ask, Refiner, first_block_length};
use skep_engine::delta::signature_wire;

use super::common::{PATIENCE, TestNode, noise};
use super::left;

struct Raw {
    node: TestNode,
    client: Client,
    old: Vec<u8>,
}

fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(bytes).into())
}

async fn sent(request: RequestBuilder) -> Response {
    tokio::time::timeout(PATIENCE, request.send()).await.expect("it hangs").unwrap()
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = sent(request).await;
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

impl Raw {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let node = TestNode::start().await;
        let old = noise(200_000, 1);
        fs::write(node.root().join("f"), &old).unwrap();
        Self { node, client: Client::builder().tls_certs_only([]).build().unwrap(), old }
    }

    fn at(&self, what: &str, path: &str) -> String {
        format!("{}/delta/{what}/{path}", self.node.url())
    }

    async fn tag(&self) -> String {
        let response = sent(self.client.get(self.at("signatures", "f"))).await;
        assert_eq!(response.headers()["skep-size"], self.old.len().to_string());
        response.headers()["etag"].to_str().unwrap().to_owned()
    }

    async fn apply(&self, tag: &str, size: usize, body: Vec<u8>) -> (u16, Value) {
        let url = format!("{}?size={size}", self.at("apply", "f"));
        answer(self.client.post(url).header("if-match", tag).body(body)).await
    }

    /// The old file is whole, and nothing else is there.
    #[track_caller]
    fn untouched(&self) {
        assert!(fs::read(self.node.root().join("f")).unwrap() == self.old);
        assert_eq!(left(&self.node.root()), [""; 0]);
    }

    /// Instructions for the old file's second half, then its first.
    fn swapped(&self) -> (Vec<u8>, Vec<u8>) {
        let half = self.old.len() as u64 / 2;
        let runs =
            [Run { source: 0, destination: half, length: half }, Run { source: half, destination: 0, length: half }];
        let new = [&self.old[half as usize..], &self.old[..half as usize]].concat();
        let mut writer = Writer::new(Vec::new(), Header::for_runs(&runs, 2 * half, 2 * half)).unwrap();
        runs.iter().for_each(|run| writer.matched(run).unwrap());
        (writer.finish(&digest(&new)).unwrap(), new)
    }
}

#[tokio::test]
async fn signatures_are_those_of_the_file_also_from_the_cache_and_in_parts() {
    let raw = Raw::new().await;
    let ask = Refiner::new(1 << 20, 200_000).first(first_block_length(200_000)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let url = format!("{}?source_size={}", raw.at("signatures", "f"), 1 << 20);
        let bytes = sent(raw.client.get(url)).await.bytes().await.unwrap();
        seen.push(signature_wire::read(&bytes[..], &ask).unwrap());
    }
    assert_eq!(seen[0], seen[1]);
    let blocks = Blocks::new(200_000, 128, vec![1280..2560, 199_936..200_000]).unwrap();
    let part = Ask { blocks, strong_length: 4, sample: false };
    let request = raw.client.post(raw.at("signatures", "f")).body(asks::write(&[part.clone(), ask.clone()]));
    let bytes = sent(request.header("if-match", raw.tag().await)).await.bytes().await.unwrap();
    let mut from = &bytes[..];
    assert_eq!(signature_wire::read(&mut from, &part).unwrap().len(), 11);
    assert_eq!(signature_wire::read(&mut from, &ask).unwrap(), seen[0]);
    assert!(from.is_empty());
}

#[tokio::test]
async fn the_fast_hash_is_there_for_who_asks_for_it_with_one_seed_as_long_as_the_node_runs() {
    let raw = Raw::new().await;
    let ask = Refiner::new(200_000, 200_000).first(first_block_length(200_000)).unwrap();
    let tag = raw.tag().await;
    let get = |query: &str| raw.client.get(format!("{}?source_size=200000{query}", raw.at("signatures", "f")));
    let post = |query: &str| {
        let request = raw.client.post(format!("{}?{query}", raw.at("signatures", "f")));
        request.header("if-match", &tag).body(asks::write(std::slice::from_ref(&ask)))
    };
    let mut fast = Vec::new();
    for request in [get("&strong=xxh3"), get("&strong=xxh3"), post("strong=xxh3")] {
        let bytes = sent(request).await.bytes().await.unwrap();
        fast.push(signature_wire::read(&bytes[..], &ask).unwrap());
    }
    assert!(fast.iter().all(|signature| *signature == fast[0]));
    let StrongHash::Xxh3 { seed } = fast[0].strong_hash else { panic!("{:?}", fast[0].strong_hash) };
    let hashes = BlockHashes::new(ask.blocks.length(), fast[0].strong_hash);
    let first = hashes.strong(&raw.old[..ask.blocks.length() as usize]);
    assert_eq!(fast[0].strong(0), &first[..usize::from(ask.strong_length)]);
    for request in [get(""), get("&strong=md5"), post("")] {
        let bytes = sent(request).await.bytes().await.unwrap();
        assert_eq!(signature_wire::read(&bytes[..], &ask).unwrap().strong_hash, StrongHash::Sha256);
    }
    let other = Raw::new().await;
    let request = other.client.get(format!("{}?source_size=200000&strong=xxh3", other.at("signatures", "f")));
    let bytes = sent(request).await.bytes().await.unwrap();
    let theirs = signature_wire::read(&bytes[..], &ask).unwrap();
    assert_ne!(theirs.strong_hash, StrongHash::Xxh3 { seed }, "each node has its own");
}

#[tokio::test]
async fn who_waits_for_an_answer_is_told_whether_a_delta_is_at_work() {
    let raw = Raw::new().await;
    let at_work = || async {
        let response = sent(raw.client.get(raw.at("apply", "f"))).await;
        let came = response.headers().get("skep-came").map(|came| came.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(response.status().as_u16(), if came.is_some() { 200 } else { 404 });
        came
    };
    assert_eq!(at_work().await, None);
    let (instructions, new) = raw.swapped();
    let (rest, body) = tokio::sync::mpsc::channel(1);
    let body = futures_util::stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    let body = reqwest::Body::wrap_stream(body);
    let url = format!("{}?size={}", raw.at("apply", "f"), new.len());
    let request = raw.client.post(url).header("if-match", raw.tag().await).body(body);
    let (half, other) = instructions.split_at(40);
    rest.send(Ok::<_, std::io::Error>(half.to_vec())).await.unwrap();
    let applying = tokio::spawn(answer(request));
    let begun = async {
        while at_work().await != Some(40) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it does not begin");
    rest.send(Ok(other.to_vec())).await.unwrap();
    drop(rest);
    assert_eq!(applying.await.unwrap().0, 201);
    assert_eq!(at_work().await, None, "it is over");
    assert!(fs::read(raw.node.root().join("f")).unwrap() == new);
}

#[tokio::test]
async fn what_is_no_file_below_the_root_has_no_signature() {
    let raw = Raw::new().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "theirs").unwrap();
    symlink(outside.path(), raw.node.root().join("out")).unwrap();
    symlink(outside.path().join("f"), raw.node.root().join("link")).unwrap();
    fs::create_dir(raw.node.root().join("d")).unwrap();
    let paths = [
        ("nothing", 404),
        ("d", 409),
        ("out/f", 409),
        ("link", 409),
        ("d%2f%2e%2e%2ff", 400),
        (".skep-x.delta", 400),
        ("%2fetc%2fpasswd", 400),
    ];
    for (path, status) in paths {
        assert_eq!(answer(raw.client.get(raw.at("signatures", path))).await.0, status, "{path}");
        let apply = raw.client.post(format!("{}?size=1", raw.at("apply", path))).header("if-match", "\"x\"");
        assert_eq!(answer(apply.body("x")).await.0, status, "apply {path}");
    }
    assert_eq!(answer(raw.client.get(raw.at("signatures", "f?block_length=63"))).await.0, 400);
    assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"theirs");
}

#[tokio::test]
async fn lists_of_blocks_that_cannot_be_are_refused() {
    let raw = Raw::new().await;
    let tag = raw.tag().await;
    let ask = |tag: &str, body: &[u8]| {
        answer(raw.client.post(raw.at("signatures", "f")).header("if-match", tag).body(body.to_vec()))
    };
    assert_eq!(ask("\"other\"", b"").await.0, 412);
    assert_eq!(answer(raw.client.post(raw.at("signatures", "f"))).await.0, 428);
    // 10^12 blocks; blocks that overlap cannot even be written.
    let beyond = Ask { blocks: Blocks::whole(1 << 40, 1 << 20).unwrap(), strong_length: 4, sample: false };
    for body in [&b""[..], b"SKDQ\x01\x00", &asks::write(&[beyond])] {
        assert_eq!(ask(&tag, body).await.0, 400, "{body:?}");
    }
    let long = vec![0; asks::MAX_BYTES + 1];
    let request = raw.client.post(raw.at("signatures", "f")).header("if-match", &tag).body(long).send().await;
    assert!(request.is_err() || request.unwrap().status() == 413);
}

#[tokio::test]
async fn instructions_are_applied_whole_or_not_at_all() {
    let raw = Raw::new().await;
    let (tag, size) = (raw.tag().await, raw.old.len());
    let (good, new) = raw.swapped();
    let mut wrong = good.clone();
    let end = wrong.len() - 1;
    wrong[end] ^= 1;
    assert_eq!(raw.apply(&tag, size, wrong).await.0, 422, "another digest");
    for cut in [0, 5, 28, 40, good.len() - 1] {
        assert_eq!(raw.apply(&tag, size, good[..cut].to_vec()).await.0, 400, "cut at {cut}");
        raw.untouched();
    }
    assert_eq!(raw.apply(&tag, size, [&good[..], b"x"].concat()).await.0, 400, "more than the end");
    assert_eq!(raw.apply(&tag, size + 1, good.clone()).await.0, 400, "another size");
    assert_eq!(raw.apply("\"other\"", size, good.clone()).await.0, 412);
    // Out of bounds, endless, of another old file.
    for (at, byte) in [(4, 9), (8, 1), (12, 7), (20, 7), (28, 255), (32, 2), (33, 255)] {
        let mut bad = good.clone();
        bad[at] = byte;
        let (status, _) = raw.apply(&tag, size, bad).await;
        assert!(matches!(status, 400 | 412), "{at}: {status}");
        raw.untouched();
    }
    let (status, told) = raw.apply(&tag, size, good.clone()).await;
    assert_eq!((status, told["matched_bytes"].as_u64()), (201, Some(size as u64)), "{told}");
    assert!(fs::read(raw.node.root().join("f")).unwrap() == new);
    assert_eq!(left(&raw.node.root()), [""; 0]);
    assert_eq!(raw.apply(&tag, size, good).await.0, 412, "it is another one now");
}

#[tokio::test]
async fn more_than_fits_is_refused_before_a_byte_is_written_and_bombs_gain_nothing() {
    let raw = Raw::new().await;
    let tag = raw.tag().await;
    assert_eq!(raw.apply(&tag, 1 << 45, vec![]).await.0, 507);
    // A terabyte of zeros in some kilobytes: literals have no room for more than was announced.
    let mut bomb = pack(Vec::new(), None).unwrap();
    let mut head = Writer::new(Vec::new(), Header { block_length: 64, destination_size: 200_000, source_size: 100 });
    std::io::Write::write_all(&mut bomb, b"SKDI\x01\0\0\0\x40\0\0\0").unwrap();
    std::io::Write::write_all(&mut bomb, &200_000_u64.to_le_bytes()).unwrap();
    std::io::Write::write_all(&mut bomb, &100_u64.to_le_bytes()).unwrap();
    std::io::Write::write_all(&mut bomb, &[0; 64 << 20]).unwrap();
    assert!(head.as_mut().unwrap().literal(&[0; 100]).is_ok());
    let url = format!("{}?size=100", raw.at("apply", "f"));
    let request = raw.client.post(&url).header("if-match", &tag).header("content-encoding", "zstd");
    assert_eq!(answer(request.body(bomb.finish().unwrap())).await.0, 400);
    raw.untouched();
    let request = raw.client.post(&url).header("if-match", &tag).header("content-encoding", "gzip");
    assert_eq!(answer(request.body("x")).await.0, 415);
}

/// Whoever sends without end gets an answer, or finds the line cut; the next one is served.
#[tokio::test]
async fn instructions_without_end_are_refused() {
    let raw = Raw::new().await;
    let (tag, size) = (raw.tag().await, raw.old.len());
    let (good, new) = raw.swapped();
    let header = good[..28].to_vec();
    // A section of literals, each of one byte at the beginning of the new file.
    let literal = [&[1][..], &0_u64.to_le_bytes(), &1_u32.to_le_bytes(), b"x"].concat();
    let matched = [&[0][..], &0_u64.to_le_bytes(), &0_u64.to_le_bytes(), &0_u32.to_le_bytes()].concat();
    let section = 60_000_u32.to_le_bytes();
    for (what, head, forever) in [
        ("behind their end", good.clone(), vec![0; 65_536]),
        ("one literal again and again", [&header[..], &section].concat(), literal.repeat(4096)),
        ("matches of no length", [&header[..], &section].concat(), matched.repeat(4096)),
        ("sections of nothing", header.clone(), vec![0; 65_536]),
        ("noise", header.clone(), noise(65_536, 9)),
    ] {
        let chunks = std::iter::once(head).chain(std::iter::repeat(forever)).map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        let url = format!("{}?size={size}", raw.at("apply", "f"));
        let request = raw.client.post(url).header("if-match", &tag).body(body).send();
        match tokio::time::timeout(PATIENCE, request).await.expect("it hangs") {
            Ok(response) => assert_eq!(response.status(), 400, "{what}"),
            Err(error) => assert!(error.is_request(), "{what}: {error}"),
        }
        raw.untouched();
    }
    assert_eq!(raw.apply(&tag, size, good).await.0, 201);
    assert!(fs::read(raw.node.root().join("f")).unwrap() == new);
}

/// RFC 8878, 3.1.1.1.2: a window of 2 GiB, which a decoder would have to hold; and one of 8 MiB, the most that is taken.
#[tokio::test]
async fn a_frame_that_wants_gigabytes_is_refused() {
    let raw = Raw::new().await;
    let (tag, size) = (raw.tag().await, raw.old.len());
    let (good, new) = raw.swapped();
    for (log, status) in [(31, 400), (24, 400), (23, 201)] {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
        // One block, the last one, as it is.
        frame.extend_from_slice(&((good.len() as u32) << 3 | 1).to_le_bytes()[..3]);
        frame.extend_from_slice(&good);
        let url = format!("{}?size={size}", raw.at("apply", "f"));
        let request = raw.client.post(url).header("if-match", &tag).header("content-encoding", "zstd").body(frame);
        assert_eq!(answer(request).await.0, status, "2^{log}");
        if status == 400 {
            raw.untouched();
        }
    }
    assert!(fs::read(raw.node.root().join("f")).unwrap() == new);
}

#[tokio::test]
async fn a_file_is_made_of_another_one_that_stays() {
    let raw = Raw::new().await;
    let (body, new) = raw.swapped();
    let tag = raw.tag().await;
    let root = raw.node.root();
    let post = async |path: &str, query: &str| {
        let url = format!("{}?size={}&{query}", raw.at("apply", path), new.len());
        answer(raw.client.post(url).header("if-match", &tag).body(body.clone())).await
    };
    fs::create_dir(root.join("d")).unwrap();
    let (status, made) = post("d/new", "basis=f&mode=384").await;
    assert_eq!((status, made["path"].as_str()), (201, Some("d/new")), "{made}");
    assert!(fs::read(root.join("d/new")).unwrap() == new && fs::read(root.join("f")).unwrap() == raw.old);
    // What stands there is replaced, if it may be.
    fs::write(root.join("d/new"), "another").unwrap();
    assert_eq!(post("d/new", "basis=f&policy=refuse").await.0, 409);
    assert_eq!(fs::read(root.join("d/new")).unwrap(), b"another");
    assert_eq!(post("d/new", "basis=f").await.0, 201);
    assert!(fs::read(root.join("d/new")).unwrap() == new);
    fs::remove_file(root.join("d/new")).unwrap();
    // Neither comes from outside, or goes there.
    symlink("/etc", root.join("out")).unwrap();
    for (path, basis) in [("x", "../f"), ("x", "/etc/passwd"), ("x", "out/passwd"), ("x", ".skep-x"), ("out/x", "f")] {
        let (status, why) = post(path, &format!("basis={basis}")).await;
        assert!((400..500).contains(&status), "{path} {basis}: {status} {why}");
    }
    assert_eq!(post("x", "basis=no").await.0, 404);
    fs::write(root.join("f"), "changed").unwrap();
    assert_eq!(post("x", "basis=f").await.0, 412);
    assert_eq!(left(&root), [""; 0]);
}
