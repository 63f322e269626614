//! How a node stops.

use std::time::Duration;

use futures_util::StreamExt as _;
use skep_engine::content::Bitmap;
use skep_engine::swarm::choker::ChokerConfig;

use super::support::*;

#[tokio::test]
async fn a_running_body_is_finished() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 8 << 20);
    node.serve(&content);
    node.up.set(Some(1 << 20));
    let response = node.get(&format!("/swarm/file/{}/f.bin", content.id())).await;
    let mut body = response.bytes_stream();
    let mut got = patiently(body.next()).await.unwrap().unwrap().to_vec();
    node.stop.cancel();
    // Once the listener is closed, the node drains.
    patiently(async { while tokio::net::TcpStream::connect(node.addr).await.is_ok() {} }).await;
    assert!(!node.running.is_finished());
    node.up.set(None);
    while let Some(chunk) = patiently(body.next()).await {
        got.extend_from_slice(&chunk.unwrap());
    }
    assert!(got == content.bytes);
    patiently(node.running).await.unwrap();
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_cut() {
    let node = TestNode::limited(|limits| limits.drain_timeout = Duration::from_millis(100)).await;
    let content = Content::file("f.bin", 8 << 20);
    node.serve(&content);
    node.up.set(Some(1 << 20));
    let response = node.get(&format!("/swarm/file/{}/f.bin", content.id())).await;
    node.up.set(Some(0));
    node.stop.cancel();
    patiently(node.running).await.unwrap();
    assert!(patiently(response.bytes()).await.is_err(), "torn, and the client sees it");
}

#[tokio::test]
async fn who_waits_is_answered_and_idle_connections_do_not_hold_it_up() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 1000);
    let held = node.serve_with(&content, Bitmap::empty(1), ChokerConfig::default());
    let idle = client();
    patiently(idle.head(node.at("/probe")).send()).await.unwrap();
    let waiting = tokio::spawn({
        let url = node.at(&format!("/swarm/bitmap/{}", content.id()));
        let etag = format!("\"{}\"", held.generation());
        async move {
            let request = client().get(url).header("if-none-match", etag).header("prefer", "wait=30");
            request.send().await.unwrap().status()
        }
    });
    until(|| held.watchers() == 1).await;
    node.stop.cancel();
    assert_eq!(patiently(waiting).await.unwrap(), 304);
    patiently(node.running).await.unwrap();
}
