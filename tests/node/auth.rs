//! Who gets in, over the wire. The whole matrix is tested next to the gate.

use axum::routing::post;
use skep_engine::node::{Node, NodeConfig, NodeError, Services, Token};

use super::support::*;

fn rpc() -> axum::Router {
    axum::Router::new().route("/rpc", post(async || "steered"))
}

async fn ask(node: &TestNode, method: &str, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = client().request(method.parse().unwrap(), node.at(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    patiently(request.send()).await.unwrap()
}

#[tokio::test]
async fn loopback_opens_data_and_keeps_control() {
    let node = TestNode::start_with(|_| (), Some(rpc())).await;
    assert_eq!(ask(&node, "GET", "/health", &[]).await.status(), 200);
    let refused = ask(&node, "POST", "/rpc", &[]).await;
    assert!(header(&refused, "www-authenticate").starts_with("Bearer"));
    problem(refused, 401, "unauthorized").await;
    let control = format!("Bearer {TOKEN}");
    let steered = ask(&node, "POST", "/rpc", &[("authorization", &control)]).await;
    assert_eq!(steered.text().await.unwrap(), "steered");
    let browser = [("authorization", control.as_str()), ("origin", "http://evil.example")];
    problem(ask(&node, "POST", "/rpc", &browser).await, 403, "browser").await;
    problem(ask(&node, "POST", "/swarm/announce", &[("host", "rebound.example")]).await, 403, "browser").await;
}

#[tokio::test]
async fn elsewhere_everything_needs_a_token() {
    let open = |config: &mut NodeConfig| config.listen = "0.0.0.0:0".parse().unwrap();
    let node = TestNode::start_with(open, Some(rpc())).await;
    let content = Content::file("f.bin", 1000);
    node.serve(&content);
    let piece = format!("/swarm/piece/{}/0", content.id());
    let key = format!("Bearer {}", Token::new(TOKEN).unwrap().data_key());
    problem(ask(&node, "GET", &piece, &[]).await, 401, "unauthorized").await;
    assert_eq!(ask(&node, "GET", &piece, &[("authorization", &key)]).await.status(), 200);
    problem(ask(&node, "POST", "/rpc", &[("authorization", &key)]).await, 403, "forbidden").await;
    problem(ask(&node, "GET", "/metrics", &[("authorization", &key)]).await, 403, "forbidden").await;

    let public = |config: &mut NodeConfig| {
        config.listen = "0.0.0.0:0".parse().unwrap();
        config.public = true;
    };
    let node = TestNode::start_with(public, Some(rpc())).await;
    node.serve(&content);
    assert_eq!(ask(&node, "GET", &piece, &[]).await.status(), 200);
    problem(ask(&node, "POST", "/rpc", &[]).await, 401, "unauthorized").await;
    problem(ask(&node, "POST", "/probe", &[]).await, 401, "unauthorized").await;
}

#[tokio::test]
async fn others_are_not_let_near_without_a_token() {
    let config =
        NodeConfig { listen: "0.0.0.0:0".parse().unwrap(), token: None, public: true, ..NodeConfig::default() };
    let error = Node::bind(config, Services::default()).await.unwrap_err();
    assert!(matches!(error, NodeError::TokenNeeded { .. }));
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn who_shall_join_others_needs_the_port_for_datagrams_too() {
    // Taken for datagrams, free for connections.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let config = |joins| NodeConfig { listen, joins, ..NodeConfig::default() };
    let mut alone = Node::bind(config(false), Services::default()).await.unwrap();
    assert!(alone.gossip().is_none());
    drop(alone);
    let error = Node::bind(config(true), Services::default()).await.unwrap_err();
    assert!(matches!(error, NodeError::Datagrams { addr, .. } if addr == listen));
    let words = error.to_string();
    assert!(words.contains("UDP") && words.contains("--join") && words.contains("--listen"), "{words}");
    drop(taken);
    assert!(Node::bind(config(true), Services::default()).await.unwrap().gossip().is_some());
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let node = TestNode::start().await;
    let config = NodeConfig { listen: node.addr, ..NodeConfig::default() };
    let error = Node::bind(config, Services::default()).await.unwrap_err().to_string();
    assert!(error.contains(&node.addr.to_string()) && error.contains("--listen"), "{error}");
}
