//! Sending to a pool, fetching from one, and what is lost of it.

use std::path::Path;
use std::time::Duration;

use skep_engine::control::{Command, CommandErrorKind, Focus, SendRequest, TransferState};
use skep_engine::engine::EngineConfig;

use super::common::{TestNode, noise, noise_file};
use super::gossip::{KEY, all_see, member};
use super::{add, pool, there};

const SIZE: usize = 6 << 20;

/// A pool of nodes with these names.
pub async fn nodes(names: &[&str], change: impl Fn(&mut EngineConfig)) -> Vec<TestNode> {
    let mut nodes: Vec<TestNode> = Vec::new();
    for name in names {
        let join: Vec<&TestNode> = nodes.first().into_iter().collect();
        let node = TestNode::start_with(|config| {
            member(config, name, KEY, &join);
            config.pool.repair.after_ms = 1_000;
            change(config);
        });
        let node = node.await;
        nodes.push(node);
    }
    all_see(&nodes.iter().collect::<Vec<_>>(), names).await;
    nodes
}

/// A node that is in no pool, and has this one's nodes on its list.
pub async fn sender(nodes: &[TestNode]) -> TestNode {
    let sender = TestNode::start_with(|config| member(config, "sender", KEY, &[])).await;
    for node in nodes {
        add(&sender, &node.url()).await;
    }
    sender
}

pub fn to_pool(path: &Path, replicas: Option<u32>) -> SendRequest {
    let segment_length = Some(64 << 10);
    SendRequest { path: path.into(), dest: "pool:default".into(), replicas, segment_length, ..SendRequest::default() }
}

pub fn with(nodes: &[TestNode], name: &str, size: usize) -> Vec<usize> {
    let has =
        |node: &&TestNode| std::fs::read(node.root().join(name)).is_ok_and(|bytes| bytes == noise(size, size as u64));
    (0..nodes.len()).filter(|n| has(&&nodes[*n])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_piece_is_sent_once_and_all_have_all() {
    let nodes = nodes(&["alder", "birch", "cedar", "dogwood"], |_| ()).await;
    let sender = sender(&nodes).await;
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let id = sender.added(Command::Send(to_pool(&file, Some(3)))).await;
    let row = sender.done(id).await;
    assert_eq!((row.strategy.as_str(), row.done, row.verified), ("transit-pool-replicated", SIZE as u64, true));
    // Hedged requests at the end may send a few twice.
    assert!(row.bytes_up <= SIZE as u64 * 115 / 100, "{} bytes for one copy of {SIZE}", row.bytes_up);
    let on = with(&nodes, "image.bin", SIZE);
    assert_eq!(on.len(), 3, "on {on:?}");
    // They are where the ring says.
    let content = row.content.unwrap().to_string();
    let placed = sender.engine.as_ref().unwrap().pool().nodes_for(&content, 3).unwrap();
    let mut placed: Vec<String> = placed.into_iter().map(|(_, endpoint)| endpoint).collect();
    let mut there: Vec<String> = on.iter().map(|n| nodes[*n].url()).collect();
    placed.sort();
    there.sort();
    assert_eq!(placed, there);
    // Again costs nothing.
    let again = sender.added(Command::Send(to_pool(&file, Some(3)))).await;
    assert_eq!(sender.done(again).await.bytes_up, 0);
    // Somebody else fetches it by its name.
    let reader = self::sender(&nodes[..0]).await;
    add(&reader, &nodes[on[0]].url()).await;
    let id = reader.get(&format!("pool:default/{content}")).await;
    reader.done(id).await;
    assert_eq!(std::fs::read(reader.root().join("image.bin")).unwrap(), noise(SIZE, SIZE as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_fetches_by_name_and_a_tree_goes_too() {
    let nodes = nodes(&["alder", "birch", "cedar"], |_| ()).await;
    let sender = sender(&nodes).await;
    let tree = sender.dir.path().join("model");
    std::fs::create_dir_all(tree.join("deep/er")).unwrap();
    noise_file(&tree, "weights", 300_000);
    noise_file(&tree.join("deep/er"), "config", 1_000);
    std::fs::write(tree.join("empty"), b"").unwrap();
    let id = sender.added(Command::Send(to_pool(&tree, None))).await;
    sender.done(id).await;
    let on: Vec<&TestNode> = nodes.iter().filter(|node| node.root().join("model/deep/er/config").exists()).collect();
    assert_eq!(on.len(), 2, "two copies unless told otherwise");
    assert_eq!(std::fs::read(on[0].root().join("model/weights")).unwrap(), noise(300_000, 300_000));
    assert!(on[1].root().join("model/empty").exists());
    let without = nodes.iter().find(|node| !node.root().join("model").exists()).unwrap();
    pool(without, |pool| pool.nodes.iter().filter(|row| row.holds == 1).count() == 2).await;
    let elsewhere = without.dir.path().join("elsewhere");
    let id = without.get_with("pool:default/model", |request| request.dir = Some(elsewhere.clone())).await;
    without.done(id).await;
    assert_eq!(std::fs::read(elsewhere.join("model/deep/er/config")).unwrap(), noise(1_000, 1_000));
    let nothing =
        Command::Add(skep_engine::control::AddTransfer { link: "pool:default/nix".into(), ..Default::default() });
    let error = without.control.command(nothing).await.unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_meanwhile_is_replaced() {
    let mut nodes = nodes(&["alder", "birch", "cedar", "dogwood"], |_| ()).await;
    let sender = sender(&nodes).await;
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let mut request = to_pool(&file, Some(3));
    request.up = Some(2 << 20);
    let id = sender.added(Command::Send(request)).await;
    let row = sender.wait(id, |row| row.pieces_done > 8).await;
    let placed = sender.engine.as_ref().unwrap().pool().nodes_for(&row.content.unwrap().to_string(), 3).unwrap();
    let lost = nodes.iter().position(|node| node.url() == placed[0].1).unwrap();
    nodes[lost].engine.take().unwrap().shutdown().await;
    sender.control.command(Command::Limit { id: Some(id), up: Some(None), down: None }).await.unwrap();
    sender.done(id).await;
    let mut on = with(&nodes, "image.bin", SIZE);
    on.retain(|n| *n != lost);
    assert_eq!(on.len(), 3, "on {on:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_copy_is_made_again_and_who_returns_causes_no_storm() {
    let mut nodes = nodes(&["alder", "birch", "cedar", "dogwood"], |_| ()).await;
    let sender = sender(&nodes).await;
    let file = noise_file(sender.dir.path(), "image.bin", SIZE);
    let id = sender.added(Command::Send(to_pool(&file, Some(2)))).await;
    sender.done(id).await;
    let on = with(&nodes, "image.bin", SIZE);
    let lost = on[0];
    let TestNode { engine, dir, .. } = nodes.remove(lost);
    let at: std::net::SocketAddr = engine.as_ref().unwrap().url().strip_prefix("http://").unwrap().parse().unwrap();
    let names = ["alder", "birch", "cedar", "dogwood"];
    engine.unwrap().shutdown().await;
    // One of those who had none makes one, and says so meanwhile and in its list.
    let made = async {
        loop {
            let on = with(&nodes, "image.bin", SIZE);
            if on.len() == 2 {
                return on;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let on = tokio::time::timeout(super::common::PATIENCE, made).await.unwrap();
    let seen = pool(&nodes[0], |pool| pool.nodes.iter().filter(|row| row.holds == 1).count() == 2).await;
    assert_eq!(there(&seen).len(), 3);
    // It returns: three copies, and nobody moves anything.
    let back = TestNode::start_in(dir, |config| {
        member(config, names[lost], KEY, &[&nodes[0]]);
        config.listen = at;
    });
    let back = back.await;
    pool(&back, |pool| pool.nodes.iter().filter(|row| row.holds == 1).count() == 3).await;
    for node in nodes.iter().chain([&back]) {
        let snapshot = node.snapshot(Focus::default(), |snapshot| snapshot.pool.moves.is_empty()).await;
        let busy =
            snapshot.transfers.iter().filter(|row| !row.state.is_settled() && row.state != TransferState::Seeding);
        assert_eq!(busy.count(), 0, "{:#?}", snapshot.transfers);
    }
    assert_eq!(with(&nodes, "image.bin", SIZE), on);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_how_the_nodes_are_a_drained_one_gets_nothing_and_a_second_try_finds_the_first() {
    let nodes = nodes(&["alder", "birch", "cedar"], |_| ()).await;
    let sender = sender(&nodes).await;
    sender.control.command(Command::PoolDrain { name: "birch".into(), on: true }).await.unwrap();
    let by_health = |file: &Path, replicas| {
        let balancer = Some(skep_engine::control::pool::Balancer::ResourceAware);
        SendRequest { balancer, ..to_pool(file, Some(replicas)) }
    };
    for n in 1..=4 {
        let file = noise_file(sender.dir.path(), &format!("{n}.bin"), n * 100_000);
        let id = sender.added(Command::Send(by_health(&file, 2))).await;
        sender.done(id).await;
        assert_eq!(with(&nodes, &format!("{n}.bin"), n * 100_000), [0, 2], "alder and cedar");
    }
    // One copy, again and again: chance would sooner or later name the other one.
    let file = noise_file(sender.dir.path(), "one.bin", 70_000);
    for _ in 0..8 {
        let id = sender.added(Command::Send(by_health(&file, 1))).await;
        sender.done(id).await;
        assert_eq!(with(&nodes, "one.bin", 70_000).len(), 1);
    }
    let elsewhere = SendRequest { dest: "http://127.0.0.1:1/x".into(), replicas: None, ..by_health(&file, 1) };
    let error = sender.control.command(Command::Send(elsewhere)).await.unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_to_the_pool_is_refused_in_words() {
    let nodes = nodes(&["alder", "birch"], |_| ()).await;
    let sender = sender(&nodes).await;
    let file = noise_file(sender.dir.path(), "image.bin", 100_000);
    let refused = async |request: SendRequest| sender.control.command(Command::Send(request)).await.unwrap_err();
    let elsewhere = SendRequest { dest: "pool:other".into(), ..to_pool(&file, None) };
    let error = refused(elsewhere).await;
    assert!(error.kind == CommandErrorKind::NotFound && error.message.contains("\"default\""), "{error}");
    for request in [
        SendRequest { dest: "pool:".into(), ..to_pool(&file, None) },
        SendRequest { paths: vec!["http://127.0.0.1:1".into()], ..to_pool(&file, None) },
        SendRequest { dest: "http://127.0.0.1:1/x".into(), ..to_pool(&file, Some(2)) },
        to_pool(&file, Some(0)),
    ] {
        let error = refused(request).await;
        assert_eq!(error.kind, CommandErrorKind::Invalid, "{error}");
    }
    let id = sender.added(Command::Send(to_pool(&file, Some(3)))).await;
    let row = sender.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.error.as_deref().unwrap().contains("the pool has 2"), "{row:?}");
    // A name that is taken at one of them is that node's refusal; nothing there is touched.
    std::fs::write(nodes[0].root().join("image.bin"), b"other").unwrap();
    let id = sender.added(Command::Send(to_pool(&file, Some(2)))).await;
    let row = sender.wait(id, |row| row.reason.contains("exists") || row.state == TransferState::Failed).await;
    let words = format!("{} {}", row.reason, row.error.unwrap_or_default());
    assert!(words.contains("alder") && words.contains("exists"), "{words}");
    assert_eq!(std::fs::read(nodes[0].root().join("image.bin")).unwrap(), b"other");
    assert_eq!(with(&nodes[1..], "image.bin", 100_000), [0]);
}
