//! A sender made of raw requests, to a node that may die at any time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use data_encoding::{BASE64, HEXLOWER};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::common::Process;

pub const SEGMENT: usize = 1 << 20;

/// A sender of one file to a node that may die at any time.
pub struct Sender {
    pub address: String,
    pub bytes: Vec<u8>,
    /// What it says of them, beside what follows from them.
    pub description: Value,
}

impl Sender {
    /// Of one file, to `in/data.bin`.
    pub fn new(address: &str, bytes: Vec<u8>) -> Self {
        Self { address: address.into(), bytes, description: json!({"path": "in/data.bin"}) }
    }

    pub fn segment(&self, index: usize) -> &[u8] {
        &self.bytes[index * SEGMENT..self.bytes.len().min((index + 1) * SEGMENT)]
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(&self.address)
    }

    pub fn segments(&self) -> usize {
        self.bytes.len().div_ceil(SEGMENT)
    }

    fn head(&self, method: &str, path: &str, length: usize, more: &str) -> String {
        let address = &self.address;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    }

    /// Status and body; none if the node died over it.
    pub fn ask(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Option<(u16, Value)> {
        let mut stream = self.connect().ok()?;
        stream.write_all(self.head(method, path, body.len(), more).as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// None: the node died over it.
    pub fn try_open(&self) -> Option<Value> {
        let mut description = self.description.clone();
        for (name, value) in [("version", 1), ("size", self.bytes.len()), ("segment_length", SEGMENT)] {
            description[name] = value.into();
        }
        let (status, body) = self.ask("POST", "/upload/x", "", description.to_string().as_bytes())?;
        assert!(status == 200 || status == 201, "{status} {body}");
        Some(body)
    }

    pub fn open(&self) -> Value {
        self.try_open().unwrap()
    }

    fn fields(&self, index: usize) -> String {
        let (body, start) = (self.segment(index), index * SEGMENT);
        let (end, size) = (start + body.len() - 1, self.bytes.len());
        let digest = BASE64.encode(&Sha256::digest(body));
        format!("content-range: bytes {start}-{end}/{size}\r\ncontent-digest: sha-256=:{digest}:\r\n")
    }

    /// Status and body; none if the node died over it.
    pub fn try_put(&self, index: usize) -> Option<(u16, Value)> {
        self.ask("PUT", &format!("/upload/x/{index}"), &self.fields(index), self.segment(index))
    }

    pub fn put(&self, index: usize) {
        assert_eq!(self.try_put(index).unwrap().0, 200);
    }

    /// Sends half of a segment and holds on.
    pub fn half(&self, index: usize) -> TcpStream {
        let body = self.segment(index);
        let mut stream = self.connect().unwrap();
        let head = self.head("PUT", &format!("/upload/x/{index}"), body.len(), &self.fields(index));
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..body.len() / 2]).unwrap();
        stream
    }

    pub fn assemble(&self) -> Option<(u16, Value)> {
        let digests: Vec<String> =
            (0..self.segments()).map(|index| HEXLOWER.encode(&Sha256::digest(self.segment(index)))).collect();
        self.ask("POST", "/assemble/x", "", json!({ "segments": digests }).to_string().as_bytes())
    }
}

pub fn held(status: &Value) -> Vec<usize> {
    let runs = status["held"].as_array().unwrap().iter();
    let ends = |run: &Value| (run[0].as_u64().unwrap() as usize, run[1].as_u64().unwrap() as usize);
    runs.map(ends).flat_map(|(start, end)| start..end).collect()
}

pub fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.wait();
}
