//! Copies that the pool wants, among all else that nodes do.

use axum::http::Method;
use serde_json::json;
use skep_engine::content::{MakeOptions, make};
use skep_engine::control::{Command, Focus, TransferState};
use skep_engine::engine::EngineConfig;
use skep_engine::push::retry::Pace;
use skep_engine::schedule::{DAY, Rule, Schedule};

use super::common::meddler::{Meddle, Meddler};
use super::common::{TestNode, noise, noise_file};
use super::given::client;
use super::gossip::{KEY, address, member};
use super::replicate::{nodes, to_pool, with};
use super::{add, pool};

const SIZE: usize = 4 << 20;

/// Each sends to all, itself among them, and may have one transfer under way: a send that holds the place does not wait for
/// copies that wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn sends_and_copies_do_not_wait_for_one_another() {
    let nodes = nodes(&["alder", "birch", "cedar"], |config| config.limits.max_transfers = 1).await;
    let mut sends = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let file = noise_file(node.dir.path(), &format!("{n}.bin"), SIZE + n);
        sends.push((node, node.added(Command::Send(to_pool(&file, Some(3)))).await));
    }
    for (node, id) in sends {
        node.done(id).await;
    }
    for n in 0..nodes.len() {
        assert_eq!(with(&nodes, &format!("{n}.bin"), SIZE + n), [0, 1, 2]);
    }
}

/// The pool may have a copy of what somebody fetches for himself; it is still his when the pool wants it no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_fetches_is_not_taken_from_him() {
    let (seeder, node) = (TestNode::start().await, TestNode::start().await);
    let file = noise_file(seeder.dir.path(), "wanted.bin", SIZE);
    let link = seeder.share(&file).await;
    let id = node.get_with(&link, |request| request.down = Some(64 << 10)).await;
    let row = node.wait(id, |row| row.state == TransferState::Running && row.done > 0).await;
    let options = MakeOptions { piece_length: Some(16 << 10), threads: 1, known: None };
    let manifest = make(&file, &options, &|_| (), &Default::default()).unwrap().manifest;
    assert_eq!(Some(manifest.id()), row.content);
    let url = format!("{}/replica/{}", node.url(), manifest.id());
    let order = json!({ "manifest": manifest, "replicas": 2 });
    assert_eq!(client().post(&url).json(&order).send().await.unwrap().status(), 200);
    assert_eq!(client().delete(&url).send().await.unwrap().status(), 204);
    let row = node.wait(id, |_| true).await;
    assert_eq!((row.state, node.root().join("wanted.bin").exists()), (TransferState::Running, false));
    // Without `--seed`: whole, it serves all the same from now on.
    node.control.command(Command::Limit { id: Some(id), up: None, down: Some(None) }).await.unwrap();
    node.wait(id, |row| row.state == TransferState::Seeding).await;
    let standing: serde_json::Value = client().get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(standing["state"], "whole");
    assert_eq!(std::fs::read(node.root().join("wanted.bin")).unwrap(), noise(SIZE, SIZE as u64));
}

fn alone(config: &mut EngineConfig, name: &str) {
    member(config, name, KEY, &[]);
    config.pace = Pace(0.05);
}

/// The sender reaches both, and they do not reach one another: each gets all of it from the sender.
#[tokio::test(flavor = "multi_thread")]
async fn who_gets_nothing_from_the_others_gets_it_from_the_sender() {
    let nodes = [
        TestNode::start_with(|config| alone(config, "alder")).await,
        TestNode::start_with(|config| alone(config, "birch")).await,
    ];
    let sender = TestNode::start_with(|config| alone(config, "sender")).await;
    for node in &nodes {
        let url = node.url();
        let apart =
            Meddler::to(
                &url,
                |asked| {
                    if asked.is(Method::GET, "/swarm") { Meddle::json(503, "{}") } else { Meddle::Pass }
                },
            );
        add(&sender, &apart.await.url).await;
    }
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let id = sender.added(Command::Send(to_pool(&file, Some(2)))).await;
    let row = sender.done(id).await;
    assert_eq!(with(&nodes, "image.bin", SIZE), [0, 1]);
    assert!(row.bytes_up >= 2 * SIZE as u64, "{} bytes", row.bytes_up);
}

/// Nothing may go to one of two: the other one has all of it from the sender, and gives it on.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_link_holds_for_copies() {
    let nodes = [
        TestNode::start_with(|config| alone(config, "alder")).await,
        TestNode::start_with(|config| alone(config, "birch")).await,
    ];
    let held = address(&nodes[0]).to_string();
    let sender = TestNode::start_with(|config| {
        alone(config, "sender");
        let rule = Rule { days: [true; 7], minutes: (0, DAY), link: Some(held.clone()), up: Some(Some(0)), down: None };
        config.limits.schedule = Schedule(vec![rule]);
    })
    .await;
    sender.control.command(Command::StartMonitor { endpoint: nodes[0].url() }).await.unwrap();
    sender.snapshot(Focus::default(), |s| s.links.iter().any(|row| row.limit_up == Some(0))).await;
    for node in &nodes {
        add(&sender, &node.url()).await;
    }
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let id = sender.added(Command::Send(to_pool(&file, Some(2)))).await;
    let row = sender.done(id).await;
    assert_eq!(with(&nodes, "image.bin", SIZE), [0, 1]);
    let to_held = row.paths.iter().find(|path| path.path.contains(&held)).unwrap();
    assert!(to_held.bytes <= 128 << 10, "what a bucket holds at first: {to_held:#?}");
}

/// All nodes are silent at once, which looks like a link of ours that is gone: the push waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_for() {
    let start = async |name: &'static str| TestNode::start_with(|config| alone(config, name)).await;
    let mut nodes = vec![start("alder").await, start("birch").await];
    let sender = start("sender").await;
    for node in &nodes {
        add(&sender, &node.url()).await;
    }
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let request = skep_engine::control::SendRequest { up: Some(512 << 10), ..to_pool(&file, Some(2)) };
    let id = sender.added(Command::Send(request)).await;
    sender.wait(id, |row| row.pieces_done > 4).await;
    let mut ended = Vec::new();
    for node in nodes.drain(..) {
        let at = address(&node);
        ended.push((node.shutdown().await, at));
    }
    sender.wait(id, |row| row.reason.contains("no node of the pool answers")).await;
    pool(&sender, |pool| pool.nodes.iter().filter(|row| row.available && *row.name != *"sender").count() == 0).await;
    for ((dir, at), name) in ended.into_iter().zip(["alder", "birch"]) {
        let node = TestNode::start_in(dir, |config| {
            alone(config, name);
            config.listen = at;
        });
        nodes.push(node.await);
    }
    sender.control.command(Command::Limit { id: Some(id), up: Some(None), down: None }).await.unwrap();
    sender.done(id).await;
    assert_eq!(with(&nodes, "image.bin", SIZE), [0, 1]);
}

/// A repair waits, is shown with the time that is left, and runs within its budget.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_shown_and_has_a_budget() {
    let slow = |config: &mut EngineConfig| {
        (config.pool.repair.budget, config.pool.repair.at_once) = (Some(512 << 10), 2);
        // Longer than between two looks: it is seen to wait, whether or not the lost node's turn comes first.
        config.pool.repair.after_ms = 3_000;
    };
    let mut nodes = nodes(&["alder", "birch", "cedar"], slow).await;
    let file = noise_file(nodes[0].dir.path(), "image.bin", SIZE);
    let id = nodes[0].added(Command::Send(to_pool(&file, Some(2)))).await;
    nodes[0].done(id).await;
    let on = with(&nodes, "image.bin", SIZE);
    nodes.remove(on[1]).shutdown().await;
    let (kept, other) = (&nodes[on[0]], &nodes[1 - on[0]]);
    let waits = pool(other, |pool| pool.moves.iter().any(|it| it.waits_s.is_some())).await;
    let row = &waits.moves[0];
    assert_eq!((&*row.name, row.bytes, row.replicas, row.live), ("image.bin", SIZE as u64, 2, 1));
    assert_eq!(row.transfer, None);
    let runs = pool(other, |pool| pool.moves.iter().any(|it| it.transfer.is_some())).await;
    let id = runs.moves[0].transfer.unwrap();
    assert_eq!(other.wait(id, |_| true).await.limit_down, Some(256 << 10), "a half of it each");
    assert!(pool(kept, |_| true).await.moves.is_empty(), "who has one makes none");
    // Who undertook it for the pool alone ends it when it is not needed; here it is.
    other.control.command(Command::Limit { id: Some(id), up: None, down: Some(None) }).await.unwrap();
    other.done(id).await;
    pool(other, |pool| pool.moves.is_empty()).await;
    assert_eq!(with(&nodes, "image.bin", SIZE), [0, 1]);
}
