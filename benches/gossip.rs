//! What gossip of a large pool costs and how soon it knows: nodes with everything but sockets and health of their own, in memory
//! and in virtual time, so that figures do not depend on the machine (a thousand nodes take some minutes and 8 GB of memory).
//!
//! `cargo bench --bench gossip [-- NODES…]`
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../src/pool/gossip/net.rs"]
mod net;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use net::Net;
use skep_engine::control::BoxFuture;
use skep_engine::control::pool::{Figures, Holding};
use skep_engine::pool::book::Member;
use skep_engine::pool::gossip::{self, Config, Side};
pub use skep_engine::pool::gossip::{Datagrams, Out};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Contents that each node holds.
const HELD: u64 = 2;
/// How long a pool is left alone before its traffic is counted, and how long that is.
const QUIET: Duration = Duration::from_secs(15);
const COUNTED: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(180);

struct Node {
    number: u64,
    at: SocketAddr,
    /// How many it sees, and the sum of their numbers' mixes: the same for the same nodes.
    seen: AtomicU64,
    mix: AtomicU64,
    /// Nodes that went while nobody had crashed.
    wrong: Arc<AtomicU64>,
    is_calm: Arc<AtomicBool>,
    cpu: AtomicU64,
    stop: CancellationToken,
}

fn mix(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Side for Node {
    fn report(&self) -> BoxFuture<'_, Figures> {
        let step = fastrand::u64(0..21);
        let cpu = (self.cpu.load(Ordering::Relaxed) + step).saturating_sub(10).min(100);
        self.cpu.store(cpu, Ordering::Relaxed);
        let figures = Figures {
            cpu_percent: cpu as f64 + 0.37,
            memory_percent: 41.25,
            active_connections: fastrand::u64(0..40),
            average_latency_ms: 1.0 + fastrand::f64(),
        };
        Box::pin(async move { figures })
    }

    fn holds(&self) -> BTreeMap<String, Holding> {
        let id = |n: u64| format!("{:064x}", u128::from(mix(self.number * HELD + n)) * 77_777_777_777);
        let held = |n: u64| Holding { bytes: n * 1_000_003, replicas: 2, name: format!("frames-{n}.tar") };
        (0..HELD).map(|n| (id(n), held(n))).collect()
    }

    fn drains(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn began(&self) {}

    fn alone(&self, _seeds: &[String], _seconds: u64) {}

    fn members(&self, members: Vec<Member>) {
        let numbers = members.iter().map(|member| member.name[5..9].parse::<u64>().unwrap());
        let before = self.seen.swap(members.len() as u64, Ordering::Relaxed);
        if self.is_calm.load(Ordering::Relaxed) && before > members.len() as u64 {
            self.wrong.fetch_add(before - members.len() as u64, Ordering::Relaxed);
        }
        self.mix.store(numbers.map(mix).fold(0, u64::wrapping_add), Ordering::Relaxed);
    }
}

async fn until(nodes: &[Arc<Node>]) -> Duration {
    let began = Instant::now();
    let all = nodes.iter().map(|node| mix(node.number)).fold(0, u64::wrapping_add);
    let agrees = |node: &Arc<Node>| {
        node.seen.load(Ordering::Relaxed) == nodes.len() as u64 && node.mix.load(Ordering::Relaxed) == all
    };
    loop {
        let agreed = nodes.iter().filter(|node| agrees(node)).count();
        if agreed == nodes.len() {
            return began.elapsed();
        }
        if began.elapsed() > PATIENCE {
            println!("  after {:?} only {agreed} of {} agree", began.elapsed(), nodes.len());
            return began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn pool(count: u64) {
    let net = Arc::new(Net::default());
    let (wrong, is_calm) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let at = |number: u64| SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 7_070));
    let mut nodes = Vec::new();
    for number in 0..count {
        let node = Arc::new(Node {
            number,
            at: at(number),
            seen: AtomicU64::new(0),
            mix: AtomicU64::new(0),
            wrong: wrong.clone(),
            is_calm: is_calm.clone(),
            cpu: AtomicU64::new(fastrand::u64(0..100)),
            stop: CancellationToken::new(),
        });
        let config = Config {
            pool: "default".to_owned(),
            name: format!("node-{number:04}.rack{}.example", number % 17),
            endpoint: format!("http://{}", node.at),
            address: node.at,
            seeds: (0..2.min(number)).map(|seed| at(seed).to_string()).collect(),
            weight: 1.0,
            clock: || 1_795_000_000_000 + fastrand::u64(0..1_000_000),
        };
        let (side, datagrams, stop) = (node.clone(), net.open(node.at), node.stop.clone());
        tokio::spawn(async move { gossip::run(config, b"a key for all of them", datagrams, side, stop).await });
        nodes.push(node);
        // Nobody starts a thousand nodes in the same millisecond.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20))).await;
    }
    let joined = until(&nodes).await;
    is_calm.store(true, Ordering::Relaxed);
    tokio::time::sleep(QUIET).await;
    let before = net.sent();
    tokio::time::sleep(COUNTED).await;
    let after = net.sent();
    let a_second = |before: u64, after: u64| (after - before) as f64 / COUNTED.as_secs_f64() / count as f64;
    let (bytes, datagrams) = (a_second(before.0, after.0), a_second(before.1, after.1));
    let lost = (after.2 - before.2) as f64 / (after.1 - before.1) as f64;
    let wrong_at_rest = wrong.load(Ordering::Relaxed);
    is_calm.store(false, Ordering::Relaxed);
    let mut left = nodes.clone();
    fastrand::shuffle(&mut left);
    for node in left.drain(..count as usize / 10) {
        net.close(node.at);
        node.stop.cancel();
    }
    let agreed = until(&left).await;
    println!(
        "{count} nodes: all there {:.1} s after the last one started; at rest each sends {:.1} KB and {datagrams:.0} \
         datagrams a second ({:.2} % dropped), {wrong_at_rest} wrongly given up in {:?}; {} crash: all agree in {:.1} s",
        joined.as_secs_f64(),
        bytes / 1_000.0,
        lost * 100.0,
        QUIET + COUNTED,
        count / 10,
        agreed.as_secs_f64(),
    );
}

fn main() {
    let asked: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    for count in if asked.is_empty() { vec![20, 100, 1_000] } else { asked } {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(pool(count));
    }
}
