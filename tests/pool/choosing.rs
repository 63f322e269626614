//! Whom a pool's operations use, and what that says of a node: real members that are drained, lie, or fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;
use skep_engine::content::Manifest;
use skep_engine::control::pool::{Balancer, PoolNode, PoolNodeRow};
use skep_engine::control::queue::{Operation, QueueState};
use skep_engine::control::{AddTransfer, Command, CommandErrorKind, Focus, Reply, SendRequest, TransferState};
use skep_engine::engine::EngineConfig;
use skep_engine::push::retry::Pace;

use super::common::hostile::{self, Vice};
use super::common::meddler::{Meddle, Meddler};
use super::common::{TestNode, noise, noise_file};
use super::gossip::{KEY, all_see, member};
use super::{named, placed, pool};

/// How busy this machine is excludes nobody, and waits are short.
fn calm(config: &mut EngineConfig) {
    (config.pool.limits.cpu_percent, config.pool.limits.memory_percent) = (1_000.0, 1_000.0);
    config.pool.limits.slow_start_ms = 0;
    config.pace = Pace(0.02);
}

async fn list(node: &TestNode, name: &str, endpoint: &str, weight: f64) {
    let listed = PoolNode { name: name.into(), endpoint: endpoint.into(), weight: Some(weight) };
    node.control.command(Command::PoolAdd(listed)).await.unwrap();
}

async fn row(node: &TestNode, name: &str, wanted: impl Fn(&PoolNodeRow) -> bool) -> Arc<PoolNodeRow> {
    let is_it = |row: &Arc<PoolNodeRow>| &*row.name == name && wanted(row);
    let pool = pool(node, |pool| pool.nodes.iter().any(is_it)).await;
    pool.nodes.iter().find(|row| is_it(row)).unwrap().clone()
}

fn failed(row: &PoolNodeRow) -> bool {
    row.excluded.as_deref().is_some_and(|why| why.contains("failure"))
}

async fn manifest_of(node: &TestNode, link: &str) -> Manifest {
    let url = format!("{}/swarm/manifest/{}", node.url(), link.rsplit_once('/').unwrap().1);
    let answer = reqwest::Client::builder().tls_certs_only([]).build().unwrap().get(url).send().await.unwrap();
    Manifest::from_json(&answer.bytes().await.unwrap()).unwrap()
}

/// A seeder and a peer with a vice that calls itself a node in the best of health, both on the list of who fetches; after
/// fetches of several contents: who fetched, and the seeder.
async fn with_a_liar(vice: Vice) -> (TestNode, TestNode) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let good = named("good").await;
    let (mut contents, mut ids) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let path = noise_file(good.dir.path(), &format!("f{n}"), 400_000 + n);
        let manifest = manifest_of(&good, &good.share(&path).await).await;
        ids.push(manifest.id());
        contents.push((vice, manifest, std::fs::read(path).unwrap()));
    }
    let liar = hostile::serve_all(contents).await;
    let reader = TestNode::start_with(calm).await;
    list(&reader, "good", &good.url(), 1.0).await;
    list(&reader, "liar", &liar.url(), 1.0).await;
    assert!(row(&reader, "liar", |row| row.figures.is_some()).await.chance > 0.4);
    for (n, id) in ids.iter().enumerate() {
        let transfer = reader.get(&format!("pool:default/{id}")).await;
        reader.done(transfer).await;
        assert_eq!(std::fs::read(reader.root().join(format!("f{n}"))).unwrap(), noise(400_000 + n, 400_000 + n as u64));
    }
    assert!(liar.asked.load(Ordering::Relaxed) > 0, "it was asked");
    let seen = row(&reader, "good", |row| row.chosen > 0.0).await;
    assert!(seen.latency_ms < 4_000.0 && !failed(&seen), "{seen:?}");
    (reader, good)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_answers_well_and_fails_pieces_is_chosen_no_more() {
    for vice in [Vice::ErrorsAtOnce, Vice::TooLittle, Vice::Corrupts] {
        let (reader, _good) = with_a_liar(vice).await;
        let liar = row(&reader, "liar", failed).await;
        assert_eq!((liar.chance, liar.chosen), (0.0, 0.0), "{vice:?}: {liar:?}");
        let by_health = Command::Place { key: "x".into(), replicas: Some(1), balancer: Some(Balancer::ResourceAware) };
        assert_eq!(placed(&reader, by_health).await.nodes, ["good".into()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_of_it_or_is_choked_is_no_liar() {
    for vice in [Vice::LiesAboutBitmap, Vice::AlwaysChoked] {
        let (reader, _good) = with_a_liar(vice).await;
        let liar = row(&reader, "liar", |_| true).await;
        assert!(liar.excluded.is_none() && liar.chosen == 0.0, "{vice:?}: {liar:?}");
    }
}

fn to_pool(path: &std::path::Path) -> SendRequest {
    let dest = "pool:default".into();
    SendRequest { path: path.into(), dest, replicas: Some(1), segment_length: Some(64 << 10), ..SendRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_orders_and_fails_pieces_does_not_look_ever_better() {
    let (bad, good) = (named("bad").await, named("good").await);
    let puts = Arc::new(AtomicU64::new(0));
    let counted = puts.clone();
    let behind = bad.url();
    let front = Meddler::to(&behind, move |asked| match asked.is(Method::PUT, "/replica/") {
        true => {
            counted.fetch_add(1, Ordering::Relaxed);
            Meddle::json(500, "{}")
        }
        false => Meddle::Pass,
    });
    let front = front.await;
    let sender = TestNode::start_with(calm).await;
    // The ring gives nearly everything to the bad one.
    list(&sender, "bad", &front.url, 100.0).await;
    list(&sender, "good", &good.url(), 0.01).await;
    row(&sender, "bad", |row| row.figures.is_some()).await;
    for n in 0..2 {
        let id =
            sender.added(Command::Send(to_pool(&noise_file(sender.dir.path(), &format!("f{n}"), 300_000 + n)))).await;
        sender.done(id).await;
        assert_eq!(std::fs::read(good.root().join(format!("f{n}"))).unwrap(), noise(300_000 + n, 300_000 + n as u64));
    }
    assert!(puts.load(Ordering::Relaxed) > 0, "pieces went there");
    let seen = row(&sender, "bad", failed).await;
    assert!(seen.chance == 0.0 && seen.chosen > 0.0, "orders were placed there, and it failed them: {seen:?}");
    let seen = row(&sender, "good", |row| row.chosen > 0.0).await;
    assert!(seen.chance > 0.99 && seen.latency_ms < 1_000.0, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_no_failure_of_its_node() {
    let (full, good) = (named("full").await, named("good").await);
    std::fs::write(full.root().join("taken"), b"other").unwrap();
    let sender = TestNode::start_with(calm).await;
    list(&sender, "full", &full.url(), 100.0).await;
    list(&sender, "good", &good.url(), 0.01).await;
    let id = sender.added(Command::Send(to_pool(&noise_file(sender.dir.path(), "taken", 200_000)))).await;
    sender.done(id).await;
    assert_eq!(std::fs::read(good.root().join("taken")).unwrap(), noise(200_000, 200_000));
    let seen = row(&sender, "full", |row| row.chosen > 0.0).await;
    assert!(seen.latency_ms < 1_000.0 && seen.excluded.is_none(), "{seen:?}");
}

/// Two that hold a content, and a third that reads it; the third joined the second.
async fn two_holders() -> (TestNode, TestNode, TestNode, String) {
    let holder = |config: &mut EngineConfig, name: &str, join: &[&TestNode]| {
        member(config, name, KEY, join);
        calm(config);
        config.limits.up = Some(2_000_000);
    };
    let a = TestNode::start_with(|config| holder(config, "alder", &[])).await;
    let b = TestNode::start_with(|config| holder(config, "birch", &[&a])).await;
    let reader = TestNode::start_with(|config| holder(config, "reader", &[&b])).await;
    let mut id = String::new();
    for node in [&a, &b] {
        let link = node.share(&noise_file(node.dir.path(), "held", 1_500_000)).await;
        id = link.rsplit_once('/').unwrap().1.to_owned();
    }
    all_see(&[&a, &b, &reader], &["alder", "birch", "reader"]).await;
    pool(&reader, |pool| pool.nodes.iter().filter(|row| row.holds == 1).count() == 2).await;
    (a, b, reader, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_holder_gives_nothing_and_is_not_counted_as_chosen() {
    let (a, _b, reader, content) = two_holders().await;
    a.control.command(Command::PoolDrain { name: "birch".into(), on: true }).await.unwrap();
    row(&reader, "birch", |row| row.draining).await;
    let id = reader.get(&format!("pool:default/{content}")).await;
    let done = reader.done(id).await;
    assert_eq!(done.bytes_per_peer, [(a.url(), 1_500_000)], "though it is whom the reader joined");
    let alder = row(&reader, "alder", |row| row.chosen > 0.0).await;
    assert!((alder.chosen - 1.0).abs() < 1e-9, "{alder:?}");
    assert_eq!(row(&reader, "birch", |_| true).await.chosen, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_drained_while_it_gives_gives_no_more() {
    let (_a, b, reader, content) = two_holders().await;
    let slow = |request: &mut AddTransfer| request.down = Some(100_000);
    let id = reader.get_with(&format!("pool:default/{content}"), slow).await;
    let focus = Focus { transfer: Some(id) };
    let from_b = |snapshot: &skep_engine::control::Snapshot| {
        let detail = snapshot.details.get(&id)?;
        Some(detail.peers.iter().any(|peer| peer.endpoint == b.url()))
    };
    reader.snapshot(focus, |snapshot| from_b(snapshot) == Some(true)).await;
    reader.control.command(Command::PoolDrain { name: "birch".into(), on: true }).await.unwrap();
    let seen = reader.snapshot(focus, |snapshot| from_b(snapshot) == Some(false)).await;
    let row = seen.transfers.iter().find(|row| row.id == id).unwrap();
    assert!(row.state == TransferState::Running && row.done < row.size, "long before it is over: {row:?}");
    reader.control.command(Command::Limit { id: Some(id), up: None, down: Some(None) }).await.unwrap();
    reader.done(id).await;
    assert_eq!(std::fs::read(reader.root().join("held")).unwrap(), noise(1_500_000, 1_500_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_here_stays_so_though_it_is_drained_elsewhere() {
    let node = |name: &'static str, join: &[&TestNode]| {
        let join: Vec<String> = join.iter().map(|node| node.url()).collect();
        TestNode::start_with(move |config| {
            member(config, name, KEY, &[]);
            config.join = join;
        })
    };
    let a = node("alder", &[]).await;
    let b = node("birch", &[&a]).await;
    all_see(&[&a, &b], &["alder", "birch"]).await;
    let drain = |on| Command::PoolDrain { name: "birch".into(), on };
    a.control.command(drain(true)).await.unwrap();
    b.control.command(drain(true)).await.unwrap();
    // Each has heard of the other's.
    let error = async {
        loop {
            match a.control.command(drain(false)).await {
                Err(error) => break error,
                Ok(_) => drop(a.control.command(drain(true)).await.unwrap()),
            }
        }
    };
    let error = tokio::time::timeout(super::common::PATIENCE, error).await.unwrap();
    assert!(error.kind == CommandErrorKind::Conflict && error.message.contains("drained at birch"), "{error}");
    // It is on the disk: after a restart alder drains nobody.
    b.control.command(drain(false)).await.ok();
    let (dir, to) = (a.shutdown().await, b.url());
    let a = TestNode::start_in(dir, |config| {
        member(config, "alder", KEY, &[]);
        config.join = vec![to];
    });
    let a = a.await;
    row(&a, "birch", |row| row.available && !row.draining).await;
    row(&b, "birch", |row| row.available && !row.draining).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_pool_is_stored_until_one_of_its_nodes_is_there() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sender = TestNode::start_with(calm).await;
    let enqueue = async |name: &str| {
        let operation = Operation::Send(to_pool(&noise_file(sender.dir.path(), name, 100_000)));
        match sender.control.command(Command::Enqueue { operation, class: None }).await.unwrap() {
            Reply::Enqueued { id, .. } => id,
            other => panic!("{other:?}"),
        }
    };
    let stored = async |words: &str| {
        let is_so = |s: &skep_engine::control::Snapshot| {
            let mut rows = s.queue.rows.iter();
            s.queue.rows.iter().any(|row| row.why.contains(words)) && rows.all(|row| row.state == QueueState::Stored)
        };
        sender.snapshot(Focus::default(), is_so).await
    };
    enqueue("one").await;
    stored("the pool has no nodes").await;
    list(&sender, "late", &format!("http://{address}"), 1.0).await;
    row(&sender, "late", |row| !row.available).await;
    enqueue("two").await;
    stored("none of the 1 nodes of the pool answers; late: ").await;
    let place = Command::Place { key: "x".into(), replicas: None, balancer: None };
    let error = sender.control.command(place).await.unwrap_err();
    assert!(error.kind == CommandErrorKind::Unavailable && error.message.contains("none of the 1 nodes"), "{error}");
    let late = TestNode::start_with(|config| (config.name, config.listen) = ("late".into(), address)).await;
    let over = |s: &skep_engine::control::Snapshot| {
        s.queue.count() == 0 && s.transfers.iter().all(|row| row.state == TransferState::Done)
    };
    sender.snapshot(Focus::default(), over).await;
    for name in ["one", "two"] {
        assert_eq!(std::fs::read(late.root().join(name)).unwrap(), noise(100_000, 100_000));
    }
}
