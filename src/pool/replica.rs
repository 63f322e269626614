//! Copies of a content on nodes of a pool: how whoever places it tells a node to keep one, and how that stands.
//!
//! ```text
//!  sender ── POST /replica/ID (manifest, the other nodes) ──▶ each node: a fetch from the others begins
//!         ── PUT  /replica/ID/PIECE ──▶ one of them: each piece goes out once
//!         ── GET  /replica/ID ──▶ until all have all: they give one another what they were given
//! ```
//!
//! A copy that came about so knows how many there shall be: [`repair`](super::repair) makes another where one is lost.

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::content::manifest::MAX_JSON;
use crate::content::{ContentId, Manifest};
use crate::control::{BoxFuture, CommandError};

/// Nodes that may be named as having, or getting, other copies.
pub const MAX_PEERS: usize = 256;
/// Copies of one content at most.
pub const MAX_REPLICAS: u32 = 64;

/// A node shall keep a copy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaOrder {
    /// Of what.
    pub manifest: Manifest,
    /// Endpoints of nodes that have or get other copies.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Copies that there shall be in all.
    pub replicas: u32,
}

/// The same, to be sent.
#[derive(Debug, Serialize)]
pub struct OrderOut<'a> {
    /// Of what.
    pub manifest: &'a Manifest,
    /// Endpoints of the others.
    pub peers: &'a [String],
    /// Copies that there shall be in all.
    pub replicas: u32,
}

impl ReplicaOrder {
    /// Reads what a client sent. Bounded in memory.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_reader(json: impl Read) -> Result<Self, String> {
        let most = (MAX_JSON + (1 << 20)) as u64;
        let order: Self =
            serde_json::from_reader(std::io::BufReader::new(json.take(most))).map_err(|e| e.to_string())?;
        order.manifest.check().map_err(|e| e.to_string())?;
        if order.peers.len() > MAX_PEERS {
            return Err(format!("{} peers: {MAX_PEERS} at most", order.peers.len()));
        }
        if !(1..=MAX_REPLICAS).contains(&order.replicas) {
            return Err(format!("{} replicas: 1 to {MAX_REPLICAS}", order.replicas));
        }
        Ok(order)
    }
}

/// How a copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It waits for its turn, or looks at what is there already.
    Waiting,
    /// It takes pieces.
    Fetching,
    /// All of it is here, verified, under its name.
    Whole,
    /// Its operator paused or cancelled it.
    Stopped,
    /// It failed.
    Failed,
}

/// How a copy stands, in full. A push reads it as the state of an upload.
#[derive(Debug, Clone, Serialize)]
pub struct ReplicaStatus {
    /// Bytes per piece.
    pub segment_length: u64,
    /// Pieces that are here, as half-open ranges.
    pub held: Vec<(u32, u32)>,
    /// Their number.
    pub held_count: u32,
    /// In one word.
    pub state: ReplicaState,
    /// Codings in which pieces may come.
    pub accepts: [&'static str; 1],
    /// Why it failed, in words.
    pub error: Option<String>,
}

/// Keeps copies for a pool.
pub trait Replicas: std::fmt::Debug + Send + Sync + 'static {
    /// A copy is wanted here; the same again changes nothing.
    ///
    /// # Errors
    /// Why it cannot be.
    fn begin(&self, order: ReplicaOrder) -> BoxFuture<'_, Result<(), CommandError>>;

    /// How it stands, with its pieces if `held`; none: there is none, and none is wanted.
    fn status(&self, content: &ContentId, held: bool) -> Option<ReplicaStatus>;

    /// It is not wanted any more. What is whole stays.
    ///
    /// # Errors
    /// Why it cannot be dropped.
    fn drop_partial(&self, content: ContentId) -> BoxFuture<'_, Result<(), CommandError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_checked() {
        let manifest = r#"{"files":[],"name":"x","piece_length":1024,"pieces":[],"tree":true,"version":1}"#;
        let of = |rest: &str| ReplicaOrder::from_reader(format!("{{\"manifest\":{manifest}{rest}}}").as_bytes());
        let words = of(r#","replicas":0"#).unwrap_err();
        assert!(words.contains("replicas") || words.contains("files"), "{words}");
        assert!(of(r#","replicas":3,"what":1"#).is_err());
        assert!(ReplicaOrder::from_reader(&b"{"[..]).is_err());
    }
}
