//! `kill -9` of a node that receives, between any two steps of an upload.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use data_encoding::{BASE64, HEXLOWER};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::common::{Lab, Process};
use super::disk::cramped;

const SEGMENT: usize = 1 << 20;
const SEGMENTS: usize = 12;

/// A sender of one file to a node that may die at any time.
struct Sender {
    address: String,
    bytes: Vec<u8>,
}

impl Sender {
    fn segment(&self, index: usize) -> &[u8] {
        &self.bytes[index * SEGMENT..self.bytes.len().min((index + 1) * SEGMENT)]
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    fn head(&self, method: &str, path: &str, length: usize, more: &str) -> String {
        let address = &self.address;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    }

    /// Status and body; none if the node died over it.
    fn ask(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Option<(u16, Value)> {
        let mut stream = self.connect();
        stream.write_all(self.head(method, path, body.len(), more).as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    fn open(&self) -> Value {
        let description =
            json!({"version": 1, "path": "in/data.bin", "size": self.bytes.len(), "segment_length": SEGMENT});
        let (status, body) = self.ask("POST", "/upload/x", "", description.to_string().as_bytes()).unwrap();
        assert!(status == 200 || status == 201, "{status} {body}");
        body
    }

    fn fields(&self, index: usize) -> String {
        let (body, start) = (self.segment(index), index * SEGMENT);
        let (end, size) = (start + body.len() - 1, self.bytes.len());
        let digest = BASE64.encode(&Sha256::digest(body));
        format!("content-range: bytes {start}-{end}/{size}\r\ncontent-digest: sha-256=:{digest}:\r\n")
    }

    fn try_put(&self, index: usize) -> (u16, Value) {
        self.ask("PUT", &format!("/upload/x/{index}"), &self.fields(index), self.segment(index)).unwrap()
    }

    fn put(&self, index: usize) {
        assert_eq!(self.try_put(index).0, 200);
    }

    /// Sends half of a segment and holds on.
    fn half(&self, index: usize) -> TcpStream {
        let body = self.segment(index);
        let mut stream = self.connect();
        let head = self.head("PUT", &format!("/upload/x/{index}"), body.len(), &self.fields(index));
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..body.len() / 2]).unwrap();
        stream
    }

    fn assemble(&self) -> Option<(u16, Value)> {
        let digests: Vec<String> = (0..self.bytes.len().div_ceil(SEGMENT))
            .map(|index| HEXLOWER.encode(&Sha256::digest(self.segment(index))))
            .collect();
        self.ask("POST", "/assemble/x", "", json!({ "segments": digests }).to_string().as_bytes())
    }
}

fn held(status: &Value) -> Vec<usize> {
    let runs = status["held"].as_array().unwrap().iter();
    let ends = |run: &Value| (run[0].as_u64().unwrap() as usize, run[1].as_u64().unwrap() as usize);
    runs.map(ends).flat_map(|(start, end)| start..end).collect()
}

fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.wait();
}

#[test]
fn a_killed_receiver_goes_on_with_what_it_had() {
    let lab = Lab::new();
    let bytes = fs::read(lab.data("data.bin", SEGMENT * (SEGMENTS - 1) + 12_345)).unwrap();
    let files = lab.path("state/root");
    let node = lab.serve(&[]);
    let address = node.url.clone().unwrap().strip_prefix("http://").unwrap().to_owned();
    let sender = Sender { address: address.clone(), bytes };

    // Between opening and the first byte.
    sender.open();
    kill(node);
    let mut node = lab.serve_at(&address, &[]);
    let mut sent = 0;
    while sent < SEGMENTS {
        let before = sender.open();
        assert_eq!(before["state"], "open");
        let had = held(&before);
        assert!(had.iter().all(|index| *index < sent), "{before} where {sent} were sent");
        for index in 0..sent {
            if !had.contains(&index) {
                sender.put(index);
            }
        }
        // A segment, and half of another: the node dies before it records either, or after.
        sender.put(sent);
        sent += 1;
        let half = (sent < SEGMENTS).then(|| sender.half(sent));
        kill(node);
        drop(half);
        node = lab.serve_at(&address, &[]);
    }
    let status = sender.open();
    for index in (0..SEGMENTS).filter(|index| !held(&status).contains(index)) {
        sender.put(index);
    }
    assert!(!files.join("in").exists());

    // Around the rename: it dies as soon as the name is there.
    let name = files.join("in/data.bin");
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| sender.assemble());
        while !name.exists() && !asking.is_finished() {
            std::hint::spin_loop();
        }
        kill(node);
        asking.join().unwrap()
    });
    node = lab.serve_at(&address, &[]);
    let (status, body) = sender.assemble().unwrap();
    assert_eq!((status, &body["path"], &body["bytes"]), (201, &json!("in/data.bin"), &json!(sender.bytes.len())));
    if let Some((_, first)) = answer {
        assert_eq!(first, body);
    }
    assert!(fs::read(&name).unwrap() == sender.bytes);
    let left: Vec<_> = files.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in"]);
    kill(node);
}

#[test]
fn a_full_disk_refuses_a_segment_and_with_space_the_upload_goes_on() {
    let lab = Lab::new();
    let bytes = fs::read(lab.data("data.bin", SEGMENT * 6)).unwrap();
    let mut node = cramped(&lab);
    let address = node.url.clone().unwrap().strip_prefix("http://").unwrap().to_owned();
    let sender = Sender { address: address.clone(), bytes };
    sender.open();
    for index in [0, 5, 1, 2, 4, 3] {
        let (status, body) = sender.try_put(index);
        // 4 MiB fit.
        assert_eq!(status, if index < 4 { 200 } else { 507 }, "{index} {body}");
        if index >= 4 {
            assert_eq!(body["type"], "urn:skep:problem:no-space");
        }
    }
    assert_eq!(sender.open()["held"], json!([[0, 4]]), "what fits is kept");
    assert_eq!(sender.assemble().unwrap().0, 409);
    assert_eq!(node.stop(), 0);
    let _node = lab.serve_at(&address, &[]);
    assert_eq!(sender.open()["held"], json!([[0, 4]]));
    sender.put(4);
    sender.put(5);
    assert_eq!(sender.assemble().unwrap().0, 201);
    assert!(fs::read(lab.path("state/root/in/data.bin")).unwrap() == sender.bytes);
}
