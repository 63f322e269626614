//! Clients that take too much, too slowly, or too often.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::*;

const SHORT: Duration = Duration::from_millis(100);

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    let _ = patiently(stream.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn half_a_request_is_cut() {
    let node = TestNode::limited(|limits| limits.header_timeout = SHORT).await;
    for sent in ["", "G", "GET /probe HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(node.addr).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "after {sent:?}");
    }
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    stream.write_all(b"HEAD /probe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        patiently(stream.read_buf(&mut answer)).await.unwrap();
    }
    until(|| node.metrics.wire_up.get() == answer.len() as u64).await;
    stream.write_all(b"HEAD /pro").await.unwrap();
    assert_eq!(rest(&mut stream).await, "", "on a connection that has served a request too");
    until(|| node.metrics.connections.get() == 0).await;
}

#[tokio::test]
async fn a_drip_of_header_bytes_does_not_buy_time() {
    let node = TestNode::limited(|limits| limits.header_timeout = SHORT).await;
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    stream.write_all(b"GET /probe HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ").await.unwrap();
    // Writes a byte whenever it may; ends only when the server closes.
    let dripped = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    patiently(dripped).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let node = TestNode::limited(|limits| (limits.header_timeout, limits.idle_timeout) = (SHORT, SHORT)).await;
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    stream.write_all(b"HEAD /probe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_are_capped() {
    let node = TestNode::limited(|limits| limits.connections_per_source = 2).await;
    let _first = TcpStream::connect(node.addr).await.unwrap();
    let second = TcpStream::connect(node.addr).await.unwrap();
    until(|| node.metrics.connections.get() == 2).await;
    let mut third = TcpStream::connect(node.addr).await.unwrap();
    let answer = rest(&mut third).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("urn:skep:problem:busy"), "{answer}");
    drop(second);
    until(|| node.metrics.connections.get() == 1).await;
    assert_eq!(node.get("/probe").await.status(), 200);
}

#[tokio::test]
async fn who_stops_reading_is_cut_and_its_slot_freed() {
    let node = TestNode::limited(|limits| {
        limits.stall_timeout = SHORT;
        limits.bodies = 1;
    })
    .await;
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    stream.write_all(b"GET /probe?bytes=67108864 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut some = [0; 100];
    patiently(stream.read_exact(&mut some)).await.unwrap();
    problem(node.get("/probe").await, 503, "busy").await;
    patiently(async { while node.get("/probe").await.status() == 503 {} }).await;
    assert!(rest(&mut stream).await.len() < 67_108_864);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let node = TestNode::limited(|limits| {
        limits.request_timeout = SHORT;
        limits.stall_timeout = SHORT;
    })
    .await;
    for path in ["/swarm/announce", "/probe"] {
        let mut stream = TcpStream::connect(node.addr).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nsome");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("urn:skep:problem:timeout"), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let node = TestNode::start().await;
    let mut stream = TcpStream::connect(node.addr).await.unwrap();
    let head = format!("GET /probe HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn a_limit_holds_bodies_back_until_it_is_lifted() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 4 << 20);
    let held = node.serve(&content);
    node.up.set(Some(0));
    let fetch = tokio::spawn({
        let url = node.at(&format!("/swarm/file/{}/f.bin", content.id()));
        async move { patiently(async { client().get(url).send().await.unwrap().bytes().await.unwrap() }).await }
    });
    until(|| held.upload_rows().is_empty() && node.metrics.connections.get() == 1).await;
    node.up.set(Some(1 << 30));
    assert!(fetch.await.unwrap() == content.bytes);
}
