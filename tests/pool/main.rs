//! Pools of real nodes on loopback: by the operator's list, by gossip, and on bad days.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod bad_days;
mod choosing;
mod copies;
mod given;
mod gossip;
mod list;
mod replicate;

use std::sync::Arc;

use common::TestNode;
use skep_engine::control::pool::{Placement, PoolNode, PoolView};
use skep_engine::control::{Command, Focus, Reply};

pub async fn named(name: &str) -> TestNode {
    TestNode::start_with(|config| config.name = name.into()).await
}

pub async fn add(node: &TestNode, endpoint: &str) -> String {
    let wanted = PoolNode { endpoint: endpoint.into(), ..PoolNode::default() };
    match node.control.command(Command::PoolAdd(wanted)).await.unwrap() {
        Reply::Listed { name } => name,
        other => panic!("{other:?}"),
    }
}

pub async fn place(node: &TestNode, key: &str, replicas: u32) -> Placement {
    placed(node, Command::Place { key: key.into(), replicas: Some(replicas), balancer: None }).await
}

pub async fn placed(node: &TestNode, command: Command) -> Placement {
    match node.control.command(command).await.unwrap() {
        Reply::Placed(placement) => *placement,
        other => panic!("{other:?}"),
    }
}

/// The pool once it is as wanted.
pub async fn pool(node: &TestNode, wanted: impl Fn(&PoolView) -> bool) -> Arc<PoolView> {
    node.snapshot(Focus::default(), |snapshot| wanted(&snapshot.pool)).await.pool.clone()
}

pub fn there(pool: &PoolView) -> Vec<&str> {
    pool.nodes.iter().filter(|row| row.available).map(|row| &*row.name).collect()
}
