//! Pools by gossip.

use skep_engine::control::pool::Known;
use skep_engine::control::{Command, CommandErrorKind, Focus};
use skep_engine::engine::EngineConfig;
use tokio::net::UdpSocket;

use super::common::{TestNode, noise_file};
use super::{add, place, pool, there};

pub const KEY: &str = "correct-horse-battery";

pub fn member(config: &mut EngineConfig, name: &str, key: &str, join: &[&TestNode]) {
    config.name = name.into();
    config.token = Some(key.into());
    config.join = join.iter().map(|node| node.url()).collect();
}

pub async fn node(name: &str, join: &[&TestNode]) -> TestNode {
    TestNode::start_with(|config| member(config, name, KEY, join)).await
}

pub fn address(node: &TestNode) -> std::net::SocketAddr {
    node.url().strip_prefix("http://").unwrap().parse().unwrap()
}

pub async fn all_see(nodes: &[&TestNode], names: &[&str]) {
    for node in nodes {
        pool(node, |pool| there(pool) == names && pool.nodes.iter().all(|row| !row.available || !row.stale)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_tell_one_another_who_they_are_and_what_they_hold() {
    let a = node("alder", &[]).await;
    assert!(pool(&a, |_| true).await.nodes.is_empty(), "alone it is in no pool");
    let b = node("birch", &[&a]).await;
    // It knows of birch alone, and hears of alder from it.
    let c = node("cedar", &[&b]).await;
    all_see(&[&a, &b, &c], &["alder", "birch", "cedar"]).await;
    let seen = pool(&c, |_| true).await;
    assert_eq!(seen.nodes.iter().map(|row| row.known).collect::<Vec<_>>(), [Known::Gossip, Known::Gossip, Known::Own]);
    assert_eq!(seen.nodes[0].endpoint, a.url());
    assert!(seen.gossip.is_some());
    for key in 0..20 {
        let key = key.to_string();
        assert_eq!(place(&a, &key, 2).await.nodes, place(&c, &key, 2).await.nodes, "all agree on {key}");
    }
    let file = noise_file(a.dir.path(), "held", 100_000);
    a.share(&file).await;
    let seen = pool(&c, |pool| pool.nodes[0].holds == 1).await;
    assert_eq!(seen.nodes[0].held_bytes, 100_000);
    let content = a.snapshot(Focus::default(), |_| true).await.transfers[0].content.unwrap();
    let holders = c.engine.as_ref().unwrap().pool().holders(&content.to_string());
    assert_eq!(holders, ["alder".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_is_drained_for_all_until_it_is_taken_back_there() {
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
    let drain = |on| Command::PoolDrain { name: "birch".into(), on };
    a.control.command(drain(true)).await.unwrap();
    let seen = pool(&b, |pool| pool.nodes[1].draining).await;
    assert!(seen.nodes[1].why.contains("drained at alder"), "{seen:?}");
    assert_eq!(b.control.command(drain(false)).await.unwrap_err().kind, CommandErrorKind::Conflict);
    a.control.command(drain(false)).await.unwrap();
    pool(&b, |pool| !pool.nodes[1].draining).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_member_is_out_and_comes_back() {
    let a = node("alder", &[]).await;
    let mut b = node("birch", &[&a]).await;
    let c = node("cedar", &[&a]).await;
    all_see(&[&a, &b, &c], &["alder", "birch", "cedar"]).await;
    let at = address(&b);
    // It takes no leave.
    b.engine.take().unwrap().shutdown().await;
    all_see(&[&a, &c], &["alder", "cedar"]).await;
    for key in 0..20 {
        assert!(place(&a, &key.to_string(), 3).await.nodes.iter().all(|node| &**node != "birch"));
    }
    let b = TestNode::start_with(|config| {
        member(config, "birch", KEY, &[&c]);
        config.listen = at;
    })
    .await;
    all_see(&[&a, &b, &c], &["alder", "birch", "cedar"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_another_key_stays_outside() {
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    let stranger = TestNode::start_with(|config| member(config, "stranger", "another-horse-battery", &[&a, &b])).await;
    let c = node("cedar", &[&b]).await;
    // By the time cedar is known to all, the stranger has called as often.
    all_see(&[&a, &b, &c], &["alder", "birch", "cedar"]).await;
    let seen = pool(&stranger, |pool| there(pool) == ["stranger"]).await;
    assert_eq!(seen.nodes.len(), 1, "nor does it hear of them: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_the_same_name_the_second_is_left_out() {
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
    let _twin = node("birch", &[&a]).await;
    let seen = pool(&a, |pool| pool.nodes.iter().any(|row| row.why.contains("same name"))).await;
    assert_eq!(seen.nodes.len(), 2);
    assert_eq!(seen.nodes[1].endpoint, b.url(), "the first one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_its_port_changes_nothing() {
    let a = node("alder", &[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for length in [0, 4, 5, 60, 64, 1_232, 1_233, 9_000] {
        let mut garbage = vec![7; length];
        garbage.iter_mut().zip(b"SKPG\x01").for_each(|(byte, mark)| *byte = *mark);
        socket.send_to(&garbage, address(&a)).await.unwrap();
    }
    // The echo on the same port comes after all of that was looked at.
    socket.send_to(b"SKPE?still here", address(&a)).await.unwrap();
    let mut answer = [0; 64];
    let (length, _) = socket.recv_from(&mut answer).await.unwrap();
    assert_eq!(&answer[..length], b"SKPE!still here", "and nothing else was answered");
    assert!(pool(&a, |_| true).await.nodes.is_empty());
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_node_that_gossips_is_one_node() {
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
    assert_eq!(add(&a, &b.url()).await, "birch");
    let seen = pool(&a, |pool| pool.nodes.iter().any(|row| row.known == Known::Both)).await;
    assert_eq!(there(&seen), ["alder", "birch"]);
}
