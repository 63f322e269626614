//! A pool of real processes on loopback, through the commands that people give and the methods that programs call.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Ended, Lab, Process};
use serde_json::{Value, json};

/// No pool takes so long to agree, however slow the machine; the nodes themselves are given a minute.
const PATIENCE: Duration = Duration::from_secs(50);
const NAMES: [&str; 3] = ["alder", "birch", "cedar"];
const SIZE: usize = 700_000;

/// A node of the pool: its folders, its process, its address.
struct Node {
    lab: Lab,
    _process: Process,
    url: String,
}

impl Node {
    /// Starts one that joins `first`, if that is there.
    fn start(name: &str, first: Option<&str>) -> Self {
        let lab = Lab::new();
        std::fs::write(lab.path("token"), "p".repeat(64)).unwrap();
        let join = first.map(|url| url.strip_prefix("http://").unwrap().to_owned());
        let join = join.iter().flat_map(|address| ["--join", address]);
        let process = lab.serve(&["--token-file", "token", "--name", name].into_iter().chain(join).collect::<Vec<_>>());
        let url = process.url.clone().unwrap();
        Self { lab, _process: process, url }
    }

    /// A command to this node.
    fn run(&self, args: &[&str]) -> Ended {
        self.lab.run(&[args, &["--json", "--token-file", "token"]].concat())
    }

    /// What a command says last, once that is as wanted.
    #[track_caller]
    fn until(&self, args: &[&str], wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let said = self.run(args).expect(0).objects();
            if wanted(&said) {
                return said;
            }
            assert!(began.elapsed() < PATIENCE, "{args:?} says {said:?}");
        }
    }

    /// The row of a node, once it is as wanted here.
    #[track_caller]
    fn row(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let is_it = |row: &Value| row["type"] == "node" && row["name"] == name && wanted(row);
        let said = self.until(&["nodes"], |said| said.iter().any(is_it));
        said.into_iter().find(is_it).unwrap()
    }
}

/// Three nodes that know one another.
fn pool() -> Vec<Node> {
    let first = Node::start(NAMES[0], None);
    let mut nodes = vec![first];
    for name in &NAMES[1..] {
        let node = Node::start(name, Some(&nodes[0].url));
        nodes.push(node);
    }
    for node in &nodes {
        let is_there = |row: &&Value| row["type"] == "node" && row["available"] == true && row["figures"].is_object();
        node.until(&["nodes"], |said| said.iter().filter(is_there).count() == NAMES.len());
    }
    nodes
}

#[test]
fn three_processes_are_a_pool_that_says_what_it_would_do() {
    let nodes = pool();
    let first = &nodes[0];
    let said = first.run(&["nodes"]).expect(0).last();
    assert_eq!(
        (&said["type"], &said["name"], &said["nodes"]),
        (&json!("pool"), &json!("default"), &json!(3)),
        "{said}"
    );
    assert!(said["balancer"] == "consistent_hash" && said["gossip"].is_string(), "{said}");

    // Where a key belongs is the same wherever it is asked.
    let places = nodes.iter().map(|node| node.run(&["place", "content", "--replicas", "2"]).expect(0).last());
    let places: Vec<Value> = places.collect();
    assert_eq!((&places[0]["key"], &places[0]["hash"]), (&json!("content"), &json!(0xA180_6A89_u32)), "{places:?}");
    let two = places[0]["nodes"].as_array().unwrap();
    assert!(two.len() == 2 && two.iter().all(|name| NAMES.iter().any(|one| name == one)), "{places:?}");
    assert!(places.iter().all(|place| place["nodes"] == places[0]["nodes"]), "{places:?}");

    // What would follow is told, and nothing of it is done.
    let add = first.run(&["nodes", "add", "http://127.0.0.1:1", "--name", "dogwood", "--dry-run"]).expect(0).last();
    assert_eq!((&add["type"], &add["node"], &add["bytes"]), (&json!("moves"), &json!("dogwood"), &json!(0)), "{add}");
    assert!(add["ring_share"].as_f64().unwrap() > 0.1, "{add}");
    let refused = first.run(&["nodes", "remove", "birch", "--dry-run"]);
    assert!(refused.expect(1).stdout().contains("it came by gossip"), "{}", refused.stdout());
    let none = first.run(&["nodes", "drain", "birch", "--dry-run"]).expect(0).last();
    assert_eq!((&none["keys"], &none["holds"], &none["partial"]), (&json!(0), &json!(0), &json!(false)), "{none}");
    assert!(none["ring_share"].as_f64().unwrap() > 0.1, "{none}");
    let words = first.lab.run(&["nodes", "drain", "birch", "--dry-run", "--token-file", "token"]).expect(0).stdout();
    assert!(words.starts_with("birch  it holds nothing: nothing is copied; "), "{words}");
    assert_eq!(first.run(&["nodes"]).expect(0).last()["nodes"], 3);
    assert_eq!(first.row("birch", |_| true)["draining"], false);

    // One that is listed, too, stays when it is taken off the list.
    first.run(&["nodes", "add", &nodes[1].url, "--weight", "2"]).expect(0);
    let listed = first.run(&["nodes", "remove", "birch", "--dry-run"]).expect(0).last();
    assert_eq!((&listed["stays"], &listed["keys"]), (&json!(true), &json!(0)), "{listed}");
    first.run(&["nodes", "remove", "birch"]).expect(0);
    assert_eq!(first.row("birch", |_| true)["known"], "gossip");

    // Who is drained here is drained everywhere.
    first.run(&["nodes", "drain", "birch"]).expect(0);
    let row = nodes[2].row("birch", |row| row["draining"] == true);
    assert!(row["state"] == "drained" && row["why"].as_str().unwrap().contains("alder"), "{row}");
    let place = nodes[2].run(&["place", "content", "--replicas", "2"]).expect(0).last();
    assert!(!place["nodes"].as_array().unwrap().contains(&json!("birch")), "{place}");
    first.run(&["nodes", "undrain", "birch"]).expect(0);
    nodes[2].row("birch", |row| row["draining"] == false);

    let said = first.run(&["nodes", "balancer", "resource-aware"]).expect(0).last();
    assert_eq!(said["balancer"], "resource_aware", "{said}");
    let place = first.run(&["place", "content", "--replicas", "3"]).expect(0).last();
    assert!(place["balancer"] == "resource_aware" && place["nodes"].as_array().unwrap().len() == 3, "{place}");
    assert_eq!(nodes[1].run(&["nodes"]).expect(0).last()["balancer"], "consistent_hash", "each node has its own");
}

#[test]
fn what_is_sent_to_the_pool_is_kept_there_and_fetched_from_it() {
    let nodes = pool();
    let first = &nodes[0];
    let file = first.lab.data("atlas.tar", SIZE);
    let sent = first.run(&["send", file.to_str().unwrap(), "pool:default", "--replicas", "2"]).expect(0).last();
    assert!(sent["type"] == "result" && sent["bytes"] == SIZE && sent["error"].is_null(), "{sent}");
    let holds = |row: &Value| row["type"] == "node" && row["holds"] == 1;
    let said = first.until(&["nodes"], |said| said.iter().filter(|row| holds(row)).count() == 2);
    let held = |node: &str| said.iter().any(|row| holds(row) && row["name"] == node);

    // A copy is on one of the others: drained, it would be made again where there is none.
    let keeper = NAMES.iter().find(|name| held(name)).unwrap();
    let moves = first.run(&["nodes", "drain", keeper, "--dry-run"]).expect(0).last();
    assert_eq!((&moves["keys"], &moves["bytes"], &moves["holds"]), (&json!(1), &json!(SIZE), &json!(1)), "{moves}");
    let idle = NAMES.iter().position(|name| !held(name)).unwrap();
    let moves = first.run(&["nodes", "drain", NAMES[idle], "--dry-run"]).expect(0).last();
    assert_eq!((&moves["keys"], &moves["bytes"], &moves["holds"]), (&json!(0), &json!(0), &json!(0)), "{moves}");

    // Who has none fetches it by its name.
    let far = &nodes[idle];
    far.until(&["nodes"], |said| said.iter().filter(|row| holds(row)).count() == 2);
    let got = far.run(&["get", "pool:default/atlas.tar", "-o", "out"]).expect(0).last();
    assert!(got["type"] == "result" && got["verified"] == true, "{got}");
    assert_eq!(std::fs::read(far.lab.path("out/atlas.tar")).unwrap(), std::fs::read(&file).unwrap());
}

#[test]
fn each_method_of_the_pool_answers() {
    let (a, b) = (Node::start("alder", None), Node::start("birch", None));
    let call = |method: &str, params: Value| a.lab.rpc_with("token", method, &params);
    let listed = call("pool.add", json!({ "endpoint": b.url, "weight": 2.0 }));
    assert_eq!(listed, json!({ "reply": "listed", "name": "birch" }));
    let view = call("pool.list", json!({}));
    let row = &view["nodes"][0];
    assert!(row["name"] == "birch" && row["weight"] == 2.0 && row["endpoint"] == b.url.as_str(), "{view}");
    let placed = call("pool.place", json!({ "key": "content", "replicas": 3 }));
    assert_eq!((&placed["reply"], &placed["hash"]), (&json!("placed"), &json!(0xA180_6A89_u32)), "{placed}");
    assert_eq!(placed["nodes"], json!(["birch"]), "{placed}");
    assert_eq!(call("pool.drain", json!({ "name": "birch" })), json!({ "reply": "done" }));
    assert_eq!(call("pool.list", json!({}))["nodes"][0]["draining"], true);
    assert_eq!(call("pool.drain", json!({ "name": "birch", "on": false })), json!({ "reply": "done" }));
    assert_eq!(call("pool.list", json!({}))["nodes"][0]["draining"], false);
    let moves = call("pool.preview", json!({ "name": "birch" }));
    let expected = (&json!("moves"), &json!(1.0), &json!(true));
    assert_eq!((&moves["reply"], &moves["ring_share"], &moves["partial"]), expected, "nobody gossips: {moves}");
    assert_eq!(call("pool.balancer", json!({ "balancer": "resource_aware" })), json!({ "reply": "done" }));
    assert_eq!(call("pool.remove", json!({ "name": "birch" })), json!({ "reply": "done" }));
    let view = call("pool.list", json!({}));
    assert_eq!((&view["nodes"], &view["balancer"]), (&json!([]), &json!("resource_aware")), "{view}");
}

#[test]
fn to_join_without_a_common_token_is_warned_of() {
    let lab = Lab::new();
    let stderr = lab.serve(&["--join", "127.0.0.1:1"]).stderr();
    assert!(stderr.contains("--join without --token-file") && stderr.lines().count() == 1, "{stderr:?}");
    std::fs::write(lab.path("token"), "p".repeat(64)).unwrap();
    let stderr = lab.serve(&["--join", "127.0.0.1:1", "--token-file", "token"]).stderr();
    assert_eq!(stderr, "");
    let help = lab.run(&["serve", "--help"]).expect(0).stdout();
    assert!(help.contains("do not hear one another"), "{help}");
}
