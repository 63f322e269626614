//! Bad days of pools of real nodes. Those that need a network which breaks, clocks that are wrong or minutes to pass are beside
//! `pool::gossip`, in memory and in virtual time.

use std::time::Duration;

use skep_engine::control::Command;
use skep_engine::control::pool::Balancer;
use tokio::net::UdpSocket;

use super::common::TestNode;
use super::gossip::{address, all_see, node};
use super::{add, named, placed, pool, there};

async fn place_by_health(node: &TestNode, replicas: u32) -> Vec<String> {
    let balancer = Some(Balancer::ResourceAware);
    let command = Command::Place { key: "key".into(), replicas: Some(replicas), balancer };
    placed(node, command).await.nodes.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_node_fails_every_node_is_still_tried() {
    let (own, b, c) = (named("own").await, named("birch").await, named("cedar").await);
    add(&own, &b.url()).await;
    add(&own, &c.url()).await;
    pool(&own, |pool| pool.nodes.iter().all(|row| row.figures.is_some())).await;
    let handle = own.engine.as_ref().unwrap().pool();
    for name in ["birch", "birch", "cedar", "cedar"] {
        handle.used(name, None);
    }
    pool(&own, |pool| pool.nodes.iter().all(|row| row.excluded.is_some() && row.chance > 0.0)).await;
    let mut all = place_by_health(&own, 2).await;
    all.sort();
    assert_eq!(all, ["birch", "cedar"]);
    assert!(handle.choose_among(&["cedar".into()]).is_ok());
    // One of them does well again, and is the only one.
    for _ in 0..12 {
        handle.used("cedar", Some(Duration::from_millis(2)));
    }
    pool(&own, |pool| pool.nodes[1].excluded.as_deref().is_none_or(|why| !why.contains("answers in"))).await;
    if pool(&own, |_| true).await.nodes[1].excluded.is_none() {
        assert_eq!(place_by_health(&own, 1).await, ["cedar"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_node_is_drained_every_node_is_still_there() {
    let (own, b) = (named("own").await, named("birch").await);
    add(&own, &b.url()).await;
    own.control.command(Command::PoolDrain { name: "birch".into(), on: true }).await.unwrap();
    pool(&own, |pool| pool.nodes[0].draining).await;
    assert_eq!(place_by_health(&own, 1).await, ["birch"]);
    assert_eq!(super::place(&own, "key", 3).await.nodes, ["birch".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_garbage_silences_nobody() {
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (to, stopped) = ([address(&a), address(&b)], stop.clone());
    let flood = tokio::spawn(async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut sent = 0u64;
        while !stopped.is_cancelled() {
            // Well formed, and sealed by nobody: each from another session.
            let mut garbage = vec![7; 1_232];
            garbage[..5].copy_from_slice(b"SKPG\x01");
            garbage[5..13].copy_from_slice(&sent.to_be_bytes());
            let _ = socket.send_to(&garbage, to[sent as usize % 2]).await;
            sent += 1;
            if sent.is_multiple_of(8) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        sent
    });
    // Somebody comes and is seen while it lasts, and so is that he goes.
    let c = node("cedar", &[&b]).await;
    all_see(&[&a, &b, &c], &["alder", "birch", "cedar"]).await;
    c.shutdown().await;
    let seen = pool(&a, |pool| there(pool) == ["alder", "birch"]).await;
    assert_eq!(there(&seen), ["alder", "birch"]);
    stop.cancel();
    assert!(flood.await.unwrap() > 100);
}
