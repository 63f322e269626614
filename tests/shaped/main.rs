//! Transfers and monitors over links as people have them, on loopback.
#![allow(clippy::unwrap_used, missing_docs)]

mod adapting;
#[path = "../common/mod.rs"]
mod common;
mod monitoring;
mod transfers;

use std::net::SocketAddr;

use common::TestNode;
use skep_shaper::{Profile, Shaper};

/// A node's address.
fn address(node: &TestNode) -> SocketAddr {
    node.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

/// A link in front of a node.
async fn link(to: &TestNode, profile: Profile) -> Shaper {
    Shaper::start(address(to), profile, 7).await.unwrap()
}
