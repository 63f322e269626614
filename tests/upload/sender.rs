//! A sender made of raw requests.

use data_encoding::{BASE64, HEXLOWER};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::common::{PATIENCE, TestNode};

pub const SEGMENT: u64 = 64 << 10;

pub struct Sender {
    pub client: Client,
    pub url: String,
    pub id: String,
    pub bytes: Vec<u8>,
    pub description: Value,
}

pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Status and body; an error must be a problem document.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = patiently(request.send()).await.unwrap();
    read(response).await
}

pub async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let body = patiently(response.bytes()).await.unwrap();
    if status >= 400 {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status} {body:?}");
    }
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

impl Sender {
    /// Of one file.
    pub fn file(node: &TestNode, id: &str, path: &str, bytes: Vec<u8>) -> Self {
        Self::of(node, id, json!({ "path": path }), bytes)
    }

    /// Of whatever `description` says, beside what follows from the bytes.
    pub fn of(node: &TestNode, id: &str, mut description: Value, bytes: Vec<u8>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tls_certs_only([]).build().unwrap();
        for (name, value) in [("version", 1), ("size", bytes.len() as u64), ("segment_length", SEGMENT)] {
            if description.get(name).is_none() {
                description[name] = value.into();
            }
        }
        Self { client, url: node.url(), id: id.into(), bytes, description }
    }

    pub fn at(&self, route: &str) -> String {
        format!("{}/{route}/{}", self.url, self.id)
    }

    pub async fn open(&self) -> (u16, Value) {
        answer(self.client.post(self.at("upload")).json(&self.description)).await
    }

    pub fn segments(&self) -> usize {
        self.bytes.len().div_ceil(SEGMENT as usize)
    }

    pub fn segment(&self, index: usize) -> &[u8] {
        let start = index * SEGMENT as usize;
        &self.bytes[start..self.bytes.len().min(start + SEGMENT as usize)]
    }

    /// A request to put `body` where segment `index` belongs, under this digest.
    pub fn request(&self, index: usize, digest: [u8; 32]) -> RequestBuilder {
        let (start, end) = (index as u64 * SEGMENT, index as u64 * SEGMENT + self.segment(index).len() as u64 - 1);
        self.client
            .put(format!("{}/{index}", self.at("upload")))
            .header("content-range", format!("bytes {start}-{end}/{}", self.bytes.len()))
            .header("content-digest", format!("sha-256=:{}:", BASE64.encode(&digest)))
    }

    pub async fn put(&self, index: usize) -> (u16, Value) {
        let body = self.segment(index).to_vec();
        answer(self.request(index, sha256(&body)).body(body)).await
    }

    pub async fn put_all(&self) {
        for index in 0..self.segments() {
            let (status, body) = self.put(index).await;
            assert_eq!(status, 200, "{index}: {body}");
        }
    }

    pub async fn status(&self) -> (u16, Value) {
        answer(self.client.get(self.at("upload"))).await
    }

    pub async fn delete(&self) -> u16 {
        answer(self.client.delete(self.at("upload"))).await.0
    }

    pub fn digests(&self) -> Vec<String> {
        (0..self.segments()).map(|index| HEXLOWER.encode(&sha256(self.segment(index)))).collect()
    }

    pub async fn assemble(&self) -> (u16, Value) {
        self.assemble_as(self.digests()).await
    }

    pub async fn assemble_as(&self, digests: Vec<String>) -> (u16, Value) {
        answer(self.client.post(self.at("assemble")).json(&json!({ "segments": digests }))).await
    }

    /// From the opening to the name.
    pub async fn send(&self) -> Value {
        let (status, body) = self.open().await;
        assert!(status == 201 || status == 200, "{status} {body}");
        self.put_all().await;
        let (status, body) = self.assemble().await;
        assert_eq!(status, 201, "{body}");
        body
    }
}

/// What lies below a folder, hidden things included.
pub fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
