//! The small routes: manifest, tracker, health, metrics, probe, and what is no route.

use axum::routing::post;
use skep_engine::content::{Manifest, metalink};
use skep_engine::node::HealthReport;
use skep_engine::swarm::tracker::TrackerConfig;

use super::support::*;

#[tokio::test]
async fn the_manifest_comes_as_json_and_as_metalink() {
    let node = TestNode::start().await;
    let content = Content::file("a b.bin", 2 * PIECE as usize);
    node.serve(&content);
    let path = format!("/swarm/manifest/{}", content.id());
    let json = node.get(&path).await;
    assert_eq!(header(&json, "content-type"), "application/json");
    let etag = header(&json, "etag");
    let manifest = Manifest::from_json(&json.bytes().await.unwrap()).unwrap();
    assert_eq!(manifest.id().to_string(), content.id());
    assert_eq!(node.get_with(&path, &[("if-none-match", &etag)]).await.status(), 304);

    let accept = ("accept", "text/html;q=0.1, application/metalink4+xml");
    for response in [node.get_with(&path, &[accept]).await, node.get(&format!("{path}?format=metalink")).await] {
        assert_eq!(header(&response, "content-type"), "application/metalink4+xml");
        let files = metalink::parse(&response.bytes().await.unwrap(), &metalink::Caps::default()).unwrap();
        assert_eq!(files[0].urls, [node.at(&format!("/swarm/file/{}/a%20b.bin", content.id()))]);
        let file = patiently(client().get(&files[0].urls[0]).send()).await.unwrap();
        assert!(file.bytes().await.unwrap() == content.bytes);
    }
    problem(node.get(&format!("{path}?format=torrent")).await, 400, "bad-request").await;
    problem(node.get(&format!("/swarm/manifest/{}", "00".repeat(32))).await, 404, "not-found").await;
}

async fn announce(node: &TestNode, body: String) -> reqwest::Response {
    let request = client().post(node.at("/swarm/announce")).header("content-type", "application/json");
    patiently(request.body(body).send()).await.unwrap()
}

#[tokio::test]
async fn the_tracker_makes_peers_known_to_each_other() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 2 * PIECE as usize);
    let body = |id: &str, port: u16| {
        format!(
            r#"{{"content_id":"{id}","pieces":2,"size":{},"endpoint":"http://127.0.0.1:{port}","event":"started"}}"#,
            2 * PIECE
        )
    };
    let peers = async |id: &str, port| -> Vec<String> {
        let reply: serde_json::Value =
            serde_json::from_slice(&announce(&node, body(id, port)).await.bytes().await.unwrap()).unwrap();
        assert!(reply["interval_s"].as_u64().unwrap() > 0);
        let peers = reply["peers"].as_array().unwrap().iter();
        peers.map(|peer| peer["endpoint"].as_str().unwrap().to_owned()).collect()
    };
    let other = "cd".repeat(32);
    assert!(peers(&other, 1001).await.is_empty());
    assert_eq!(peers(&other, 1002).await, ["http://127.0.0.1:1001"]);
    assert!(peers(&content.id(), 1001).await.is_empty(), "nothing served yet");
    node.serve(&content);
    assert_eq!(peers(&content.id(), 1002).await, [node.url.as_str(), "http://127.0.0.1:1001"]);
    let own = peers(&content.id(), node.addr.port()).await;
    assert!(!own.contains(&node.url), "nobody is told of itself");
}

#[tokio::test]
async fn a_source_over_its_quota_still_hears_of_this_node() {
    let node = TestNode::tracking(TrackerConfig { max_contents_per_source: 1, ..TrackerConfig::default() }).await;
    let content = Content::file("f.bin", 2 * PIECE as usize);
    node.serve(&content);
    let body = |id: &str| {
        let size = 2 * PIECE;
        format!(r#"{{"content_id":"{id}","pieces":2,"size":{size},"endpoint":"http://127.0.0.1:1001"}}"#)
    };
    assert_eq!(announce(&node, body(&"cd".repeat(32))).await.status(), 200, "within the quota");
    let refused = announce(&node, body(&"ef".repeat(32))).await;
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() >= 1);
    problem(refused, 429, "too-many").await;
    let known = announce(&node, body(&content.id())).await;
    assert_eq!(known.status(), 200);
    let reply: serde_json::Value = serde_json::from_slice(&known.bytes().await.unwrap()).unwrap();
    assert_eq!(reply["peers"][0]["endpoint"], node.url.as_str());
    assert_eq!(reply["peers"].as_array().unwrap().len(), 1);

    let full = TestNode::tracking(TrackerConfig { max_contents: 0, ..TrackerConfig::default() }).await;
    let refused = announce(&full, body(&"ef".repeat(32))).await;
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() >= 1);
    problem(refused, 503, "busy").await;
}

#[tokio::test]
async fn announces_that_are_none_are_refused() {
    let node = TestNode::start().await;
    problem(announce(&node, "{".into()).await, 400, "bad-request").await;
    let foreign =
        format!(r#"{{"content_id":"{}","pieces":1,"size":1,"endpoint":"http://192.0.2.1:80"}}"#, "ab".repeat(32));
    problem(announce(&node, foreign).await, 400, "bad-request").await;
    problem(announce(&node, " ".repeat((1 << 20) + 1)).await, 413, "too-large").await;
}

#[tokio::test]
async fn health_has_real_figures() {
    let node = TestNode::start().await;
    let before = jiff::Timestamp::now();
    let report: HealthReport = node.get("/health").await.json().await.unwrap();
    assert_eq!(report.name, "test");
    assert_eq!(report.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(report.active_connections, 1);
    assert!((0.0..=100.0).contains(&report.cpu_percent));
    assert!(report.memory_percent > 0.0 && report.memory_percent < 100.0);
    let age = report.time.parse::<jiff::Timestamp>().unwrap().duration_since(before);
    assert!(age.abs() < jiff::SignedDuration::from_mins(1));
    let again: HealthReport = node.get("/health").await.json().await.unwrap();
    assert!(again.average_latency_ms > 0.0);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 1000);
    node.serve(&content);
    node.get(&format!("/swarm/piece/{}/0", content.id())).await.bytes().await.unwrap();
    node.get(&format!("/swarm/piece/{}/7", content.id())).await;
    until(|| node.metrics.pieces_served.get() == 1).await;
    let response = node.get("/metrics").await;
    assert!(header(&response, "content-type").starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    for line in [
        r#"skep_requests_total{route="/swarm/piece/{id}/{index}",status="200"} 1"#,
        r#"skep_requests_total{route="/swarm/piece/{id}/{index}",status="416"} 1"#,
        "skep_sent_bytes_total 1000",
        "skep_pieces_served_total 1",
    ] {
        assert!(text.contains(line), "{line} should be in\n{text}");
    }
    assert!(!text.contains(&content.id()), "content ids are what keeps contents private");
}

#[tokio::test]
async fn probes_send_and_take_what_is_asked() {
    let node = TestNode::start().await;
    assert_eq!(patiently(client().head(node.at("/probe")).send()).await.unwrap().status(), 200);
    assert_eq!(node.get("/probe").await.bytes().await.unwrap().len(), 64 << 10);
    assert_eq!(node.get("/probe?bytes=0").await.bytes().await.unwrap().len(), 0);
    assert_eq!(node.get("/probe?bytes=1000001").await.bytes().await.unwrap().len(), 1_000_001);
    problem(node.get("/probe?bytes=67108865").await, 400, "bad-request").await;
    let post = |body: Vec<u8>| patiently(client().post(node.at("/probe")).body(body).send());
    let sunk: serde_json::Value = post(vec![0; 300_000]).await.unwrap().json().await.unwrap();
    assert_eq!(sunk["bytes"], 300_000);
}

#[tokio::test]
async fn everything_else_is_a_problem_document() {
    async fn bug() {
        panic!("on purpose");
    }
    let rpc = axum::Router::new().route("/rpc", post(bug));
    let node = TestNode::start_with(|_| (), Some(rpc)).await;
    problem(node.get("/nowhere").await, 404, "not-found").await;
    problem(node.get("/swarm/announce").await, 405, "method").await;
    let request = client().post(node.at("/rpc")).bearer_auth(TOKEN);
    problem(patiently(request.send()).await.unwrap(), 500, "internal").await;
    assert_eq!(node.get("/health").await.status(), 200, "it goes on");
}
