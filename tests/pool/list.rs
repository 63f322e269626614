//! Pools by list.

use std::time::Duration;

use skep_engine::control::pool::{Balancer, Known, PoolNode};
use skep_engine::control::{Command, CommandErrorKind, Reply};

use super::common::TestNode;
use super::{add, named, place, pool, there};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_listed_asked_and_placed_on() {
    let (own, b, c) = (named("own").await, named("birch").await, named("cedar").await);
    assert_eq!(add(&own, &b.url()).await, "birch", "it says its name");
    assert_eq!(add(&own, &format!("{}/", c.url())).await, "cedar");
    let seen = pool(&own, |pool| pool.nodes.len() == 2 && pool.nodes.iter().all(|row| !row.stale)).await;
    assert_eq!(there(&seen), ["birch", "cedar"], "whoever lists them need not be among them");
    for row in &seen.nodes {
        assert!(row.figures.is_some() && row.score.total > 0.0 && row.known == Known::Listed, "{row:?}");
        assert!(
            (row.score.cpu + row.score.memory + row.score.connections + row.score.latency - row.score.total).abs()
                < 0.01
        );
    }
    let ring: f64 = seen.nodes.iter().map(|row| row.ring_share).sum();
    let chances: f64 = seen.nodes.iter().map(|row| row.chance).sum();
    assert!((ring - 1.0).abs() < 0.01 && (chances - 1.0).abs() < 0.01, "{seen:?}");
    let placement = place(&own, "2026-11-22/frames.tar", 2).await;
    assert_eq!(placement.hash, 0x1810_D4D0);
    assert_eq!(placement.nodes.len(), 2);
    assert_eq!(place(&own, "2026-11-22/frames.tar", 2).await, placement, "always the same");
    let handle = own.engine.as_ref().unwrap().pool();
    let nodes = handle.nodes_for("2026-11-22/frames.tar", 2).unwrap();
    assert_eq!(nodes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), placement.nodes);
    assert!(nodes.iter().any(|(_, endpoint)| *endpoint == b.url()));
    let (chosen, endpoint) = handle.choose_among(&["cedar".into()]).unwrap();
    assert_eq!((&*chosen, endpoint), ("cedar", c.url()));
    assert!(handle.choose_among(&["stranger".into()]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_survives_a_restart() {
    let (own, b) = (TestNode::start().await, named("birch").await);
    add(&own, &b.url()).await;
    let weight = PoolNode { name: "birch".into(), endpoint: b.url(), weight: Some(2.5) };
    own.control.command(Command::PoolAdd(weight)).await.unwrap();
    own.control.command(Command::PoolDrain { name: "birch".into(), on: true }).await.unwrap();
    own.control.command(Command::SetBalancer { balancer: Balancer::ResourceAware }).await.unwrap();
    let own = own.restart().await;
    let seen = pool(&own, |pool| pool.nodes.iter().any(|row| row.figures.is_some())).await;
    let row = &seen.nodes[0];
    assert!((row.weight - 2.5).abs() < 1e-9 && row.draining, "{row:?}");
    assert_eq!(seen.balancer, Balancer::ResourceAware);
    own.control.command(Command::PoolDrain { name: "birch".into(), on: false }).await.unwrap();
    own.control.command(Command::PoolRemove { name: "birch".into() }).await.unwrap();
    let own = own.restart().await;
    assert!(pool(&own, |_| true).await.nodes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_is_out_and_one_that_is_back_is_in() {
    let (own, b, c) = (named("own").await, named("birch").await, named("cedar").await);
    let address = b.url().strip_prefix("http://").unwrap().parse().unwrap();
    add(&own, &b.url()).await;
    add(&own, &c.url()).await;
    pool(&own, |pool| pool.nodes.iter().filter(|row| row.figures.is_some()).count() == 2).await;
    let dir = b.shutdown().await;
    let seen = pool(&own, |pool| there(pool) == ["cedar"]).await;
    assert!(seen.nodes[0].why.starts_with("no answer"), "{:?}", seen.nodes[0]);
    for key in 0..20 {
        assert_eq!(place(&own, &key.to_string(), 2).await.nodes, ["cedar".into()]);
    }
    let _b = TestNode::start_in(dir, |config| (config.name, config.listen) = ("birch".into(), address)).await;
    pool(&own, |pool| there(pool) == ["birch", "cedar"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_in_words() {
    let own = named("own").await;
    let refused = async |command| own.control.command(command).await.unwrap_err();
    let place = |key: String| Command::Place { key, replicas: None, balancer: None };
    let error = refused(place("key".into())).await;
    assert_eq!(error.kind, CommandErrorKind::Conflict);
    assert!(error.message.contains("skep nodes add"), "{error}");
    assert_eq!(refused(place("k".repeat(5_000))).await.kind, CommandErrorKind::Invalid);
    let node = |name: &str, endpoint: &str, weight| {
        Command::PoolAdd(PoolNode { name: name.into(), endpoint: endpoint.into(), weight })
    };
    assert_eq!(refused(node("a", "nonsense", None)).await.kind, CommandErrorKind::Invalid);
    assert_eq!(refused(node("a\u{1b}[2J", "http://h:1", None)).await.kind, CommandErrorKind::Invalid);
    assert_eq!(refused(node(&"a".repeat(65), "http://h:1", None)).await.kind, CommandErrorKind::Invalid);
    assert_eq!(refused(node("a", "http://h:1", Some(0.0))).await.kind, CommandErrorKind::Invalid);
    own.control.command(node("a", "http://h:1", None)).await.unwrap();
    let error = refused(node("a", "http://h:2", None)).await;
    assert_eq!(error.kind, CommandErrorKind::Conflict);
    assert!(error.message.contains("http://h:1"), "{error}");
    for command in [
        Command::PoolRemove { name: "b".into() },
        Command::PoolDrain { name: "b".into(), on: true },
        Command::PreviewPool { name: "b".into(), weight: None, drain: false },
    ] {
        assert_eq!(refused(command).await.kind, CommandErrorKind::NotFound);
    }
    // Nobody listens there: without a name it cannot be listed.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(refused(node("", &format!("http://{closed}"), None)).await.kind, CommandErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_but_is_no_node_is_not_there() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\x1b[2J").await;
        }
    });
    let own = named("own").await;
    let node = PoolNode { name: "portal".into(), endpoint, weight: None };
    own.control.command(Command::PoolAdd(node)).await.unwrap();
    let seen = pool(&own, |pool| pool.nodes.iter().all(|row| !row.available)).await;
    assert_eq!(seen.nodes[0].why, "no answer: what answers there is no node");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_use_show_whatever_a_node_says() {
    let (own, b, c) = (named("own").await, named("birch").await, named("cedar").await);
    add(&own, &b.url()).await;
    add(&own, &c.url()).await;
    pool(&own, |pool| pool.nodes.iter().all(|row| row.figures.is_some())).await;
    let handle = own.engine.as_ref().unwrap().pool();
    handle.used("birch", None);
    handle.used("birch", None);
    handle.used("cedar", Some(Duration::from_millis(3)));
    let failed = |why: &str| why.contains("2 failures in a row");
    let seen = pool(&own, |pool| pool.nodes[0].excluded.as_deref().is_some_and(failed)).await;
    // A busy machine may exclude both: then both are candidates.
    assert!(seen.nodes[0].chance == 0.0 || seen.nodes[1].excluded.is_some(), "{seen:?}");
    let command = Command::PreviewPool { name: "birch".into(), weight: None, drain: false };
    let Reply::Moves(moves) = own.control.command(command).await.unwrap() else { panic!("another answer") };
    assert!((moves.ring_share - seen.nodes[0].ring_share).abs() < 0.01, "{moves:?}");
}
