//! What a node that keeps a copy takes, and what it does not.

use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use skep_engine::content::{MakeOptions, Manifest, make};
use skep_engine::control::{Focus, TransferState};

use super::common::{TestNode, noise, noise_file};

const PIECE: usize = 64 << 10;
const SIZE: usize = 3 * PIECE + 100;

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).build().unwrap()
}

fn manifest(node: &TestNode) -> Manifest {
    let file = noise_file(node.dir.path(), "given.bin", SIZE);
    let options = MakeOptions { piece_length: Some(PIECE as u64), threads: 1, known: None };
    make(&file, &options, &|_| (), &Default::default()).unwrap().manifest
}

struct Giver {
    client: reqwest::Client,
    url: String,
}

impl Giver {
    /// Piece `index` with these bytes, said to be those; its status.
    async fn give(&self, index: usize, bytes: Vec<u8>, digest: &[u8]) -> u16 {
        let (first, last) = (index * PIECE, (index * PIECE + PIECE).min(SIZE) - 1);
        let request = self.client.put(format!("{}/{index}", self.url));
        let request = request
            .header("content-range", format!("bytes {first}-{last}/{SIZE}"))
            .header("content-digest", format!("sha-256=:{}:", BASE64.encode(digest)))
            .body(bytes);
        request.send().await.unwrap().status().as_u16()
    }

    async fn standing(&self) -> (u16, Value) {
        let response = self.client.get(&self.url).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn begin(&self, order: &Value) -> (u16, Value) {
        let response = self.client.post(&self.url).json(order).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pieces_that_are_what_the_manifest_says_are_taken() {
    let node = TestNode::start().await;
    let (manifest, bytes) = (manifest(&node), noise(SIZE, SIZE as u64));
    let id = manifest.id().to_string();
    let giver = Giver { client: client(), url: format!("{}/replica/{id}", node.url()) };
    let piece = |index: usize| bytes[index * PIECE..(index * PIECE + PIECE).min(SIZE)].to_vec();
    let digest = |index: usize| Sha256::digest(piece(index)).to_vec();
    assert_eq!(giver.standing().await.0, 404, "none is wanted");
    assert_eq!(giver.give(0, piece(0), &digest(0)).await, 404);
    let order = json!({ "manifest": manifest, "peers": ["http://127.0.0.1:9"], "replicas": 2 });
    for (key, wrong) in [("replicas", json!(0)), ("peers", json!(["ftp://x"])), ("manifest", json!({}))] {
        let mut bad = order.clone();
        bad[key] = wrong;
        assert_eq!(giver.begin(&bad).await.0, 400, "{key}");
    }
    let elsewhere = Giver { client: client(), url: format!("{}/replica/{}", node.url(), "ab".repeat(32)) };
    assert_eq!(elsewhere.begin(&order).await.0, 400, "another content's manifest");
    assert_eq!(giver.begin(&order).await.0, 200);
    let fetching = |snapshot: &skep_engine::control::Snapshot| {
        snapshot.transfers.iter().any(|row| row.state == TransferState::Running)
    };
    node.snapshot(Focus::default(), fetching).await;
    // Other bytes than announced; announced other ones than the manifest's; too few; a piece that is none.
    let mut spoiled = piece(0);
    spoiled[7] ^= 1;
    assert_eq!(giver.give(0, spoiled.clone(), &digest(0)).await, 422);
    assert_eq!(giver.give(0, spoiled.clone(), &Sha256::digest(&spoiled)).await, 422);
    assert_eq!(giver.give(0, piece(0)[1..].to_vec(), &digest(0)).await, 400);
    assert_eq!(giver.give(3, piece(0), &digest(0)).await, 400);
    let (_, standing) = giver.standing().await;
    assert_eq!((&standing["held_count"], &standing["state"]), (&json!(0), &json!("fetching")));
    for index in [0, 2, 1] {
        assert_eq!(giver.give(index, piece(index), &digest(index)).await, 200);
    }
    assert_eq!(giver.give(1, piece(1), &digest(1)).await, 200, "again");
    let (_, standing) = giver.standing().await;
    assert_eq!(standing["held"], json!([[0, 3]]));
    assert!(!node.root().join("given.bin").exists(), "not under its name before all is there");
    assert_eq!(giver.give(3, piece(3), &digest(3)).await, 200);
    let whole = |snapshot: &skep_engine::control::Snapshot| {
        snapshot.transfers.iter().any(|row| row.state == TransferState::Seeding)
    };
    node.snapshot(Focus::default(), whole).await;
    assert_eq!(giver.standing().await.1["state"], json!("whole"));
    assert_eq!(std::fs::read(node.root().join("given.bin")).unwrap(), bytes);
    // Dropping what is whole drops nothing.
    let dropped = giver.client.delete(&giver.url).send().await.unwrap();
    assert_eq!(dropped.status().as_u16(), 204);
    assert_eq!(giver.standing().await.1["state"], json!("whole"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_not_wanted_any_more_leaves_nothing() {
    let node = TestNode::start().await;
    let (manifest, bytes) = (manifest(&node), noise(SIZE, SIZE as u64));
    let giver = Giver { client: client(), url: format!("{}/replica/{}", node.url(), manifest.id()) };
    let order = json!({ "manifest": manifest, "replicas": 1 });
    assert_eq!(giver.begin(&order).await.0, 200);
    node.snapshot(Focus::default(), |snapshot| {
        snapshot.transfers.iter().any(|row| row.state == TransferState::Running)
    })
    .await;
    let piece = bytes[..PIECE].to_vec();
    assert_eq!(giver.give(0, piece.clone(), &Sha256::digest(&piece)).await, 200);
    let dropped = giver.client.delete(&giver.url).send().await.unwrap();
    assert_eq!(dropped.status().as_u16(), 204);
    node.snapshot(Focus::default(), |s| s.transfers.iter().all(|row| row.state == TransferState::Cancelled)).await;
    assert_eq!(giver.give(1, piece.clone(), &Sha256::digest(&piece)).await, 409);
    let left = std::fs::read_dir(node.root()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(left.count(), 0);
}
