//! What a choice among the nodes of a pool costs: lookups on the ring beside the crate `hashring` and a Maglev table, changes of
//! the ring, and a resource-aware choice. Each lookup hashes its key (a content id, 64 characters).
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use hashring::HashRing;
use skep_engine::control::pool::{Figures, Holding};
use skep_engine::pool::book::{Book, Member};
use skep_engine::pool::chance::Chance;
use skep_engine::pool::health::Health;
use skep_engine::pool::resource::{Limits, ResourceAware};
use skep_engine::pool::ring::{Ring, hash};

const NODES: [usize; 2] = [100, 1_000];
const POINTS: u32 = 150;

fn main() {
    divan::main();
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("node-{number}")).collect()
}

fn ring(count: usize) -> Ring {
    let mut ring = Ring::new(POINTS);
    let names = names(count);
    ring.add_nodes(names.iter().map(|name| (name.as_str(), 1.0))).unwrap_or_default();
    ring
}

/// Enough keys that neither branches nor caches learn them by heart.
fn keys() -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..8_192).map(|_| (0..4).map(|_| format!("{:016x}", rng.u64(..))).collect()).collect()
}

fn each<T>(bencher: Bencher<'_, '_>, look: impl Fn(&[u8]) -> T) {
    let keys = keys();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % keys.len();
        black_box(look(keys[at].as_bytes()));
    });
}

#[divan::bench(args = NODES, sample_size = 2_000)]
fn lookup(bencher: Bencher<'_, '_>, count: usize) {
    let ring = ring(count);
    each(bencher, |key| ring.get_node(key).map(|node| node.as_ptr()));
}

/// The same for three different nodes.
#[divan::bench(args = NODES, sample_size = 2_000)]
fn lookup_three(bencher: Bencher<'_, '_>, count: usize) {
    let ring = ring(count);
    each(bencher, |key| ring.get_nodes(key, 3));
}

#[divan::bench(args = NODES, sample_size = 2_000)]
fn lookup_hashring(bencher: Bencher<'_, '_>, count: usize) {
    let mut ring = HashRing::new();
    for name in names(count) {
        ring.batch_add((0..POINTS).map(|point| (name.clone(), point)).collect());
    }
    each(bencher, |key| ring.get(&key).map(|(name, _)| name.as_ptr()));
}

/// A table of prime length as in the paper (Eisenbud et al., NSDI 2016), filled by the same hash.
#[divan::bench(args = NODES, sample_size = 2_000)]
fn lookup_maglev(bencher: Bencher<'_, '_>, count: usize) {
    const LENGTH: usize = 65_537;
    let names = names(count);
    let ways: Vec<(usize, usize)> = names
        .iter()
        .map(|name| {
            let of = |what: &str| hash(format!("{name}/{what}").as_bytes()) as usize;
            (of("offset") % LENGTH, of("skip") % (LENGTH - 1) + 1)
        })
        .collect();
    let mut table = vec![u16::MAX; LENGTH];
    let mut next = vec![0usize; count];
    let mut left = LENGTH;
    'fill: loop {
        for (node, (offset, skip)) in ways.iter().enumerate() {
            let free = loop {
                let place = (offset + next[node] * skip) % LENGTH;
                next[node] += 1;
                if table[place] == u16::MAX {
                    break place;
                }
            };
            table[free] = node as u16;
            left -= 1;
            if left == 0 {
                break 'fill;
            }
        }
    }
    each(bencher, |key| names[usize::from(table[hash(key) as usize % LENGTH])].as_ptr());
}

#[divan::bench(args = NODES)]
fn add_and_remove(bencher: Bencher<'_, '_>, count: usize) {
    let mut ring = ring(count);
    bencher.bench_local(|| {
        let _ = ring.add_node("the new one", 1.0);
        ring.remove_node("the new one")
    });
}

/// All of them were used: the dearest case.
fn resource_aware(count: usize) -> ResourceAware {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut pool = ResourceAware::new(Limits::default());
    let names: Vec<Arc<str>> = names(count).into_iter().map(Arc::from).collect();
    for name in &names {
        let mut health = Health::new(1_000, false);
        health.on_report(
            Figures {
                cpu_percent: rng.f64() * 100.0,
                memory_percent: rng.f64() * 100.0,
                active_connections: rng.u64(..12_000),
                average_latency_ms: rng.f64() * 300.0,
            },
            1_000,
        );
        health.on_success(rng.f64() * 300.0, 1_000);
        pool.add(name, health);
    }
    pool
}

/// With the chance that the program has.
#[divan::bench(args = NODES, sample_size = 20)]
fn resource_aware_choice(bencher: Bencher<'_, '_>, count: usize) {
    let (mut pool, mut chance) = (resource_aware(count), Chance::new().unwrap_or_else(|error| panic!("{error}")));
    bencher.bench_local(|| pool.choose(2_000, |_| true, || chance.bits()));
}

/// The order in which all of them would be drawn: what places a copy, and finds sources.
#[divan::bench(args = NODES, sample_size = 20)]
fn resource_aware_order(bencher: Bencher<'_, '_>, count: usize) {
    let (pool, mut chance) = (resource_aware(count), Chance::new().unwrap_or_else(|error| panic!("{error}")));
    bencher.bench_local(|| pool.order(2_000, 8, |_| true, || chance.bits()));
}

/// 64 bits of that chance.
#[divan::bench(sample_size = 2_000)]
fn chance(bencher: Bencher<'_, '_>) {
    let mut chance = Chance::new().unwrap_or_else(|error| panic!("{error}"));
    bencher.bench_local(|| chance.bits());
}

/// What a look at who is there costs where each tells news of itself and holds eight contents.
#[divan::bench(args = [100, 1_000, 4_096], sample_count = 20)]
fn a_look_at_all_members(bencher: Bencher<'_, '_>, count: usize) {
    let mut book = Book::new("pool", "node-0", Limits::default(), 0);
    let member = |number: usize| Member {
        name: format!("node-{number}").into(),
        address: format!("10.0.{}.{}:7070", number >> 8, number & 255),
        endpoint: format!("http://10.0.{}.{}:7070", number >> 8, number & 255),
        weight: 1.0,
        figures: Some(Figures { cpu_percent: 50.0, ..Figures::default() }),
        drains: vec!["node-7".into()],
        holds: Arc::new(
            (0..8)
                .map(|held| (format!("{:064x}", number * 8 + held), Holding { bytes: 1_000, ..Holding::default() }))
                .collect(),
        ),
        ..Member::default()
    };
    let mut members: Vec<Member> = (0..count).map(member).collect();
    let mut now = 0;
    bencher.bench_local(|| {
        now += 500;
        members.iter_mut().for_each(|member| member.report += 1);
        book.on_gossip(members.clone(), now).len()
    });
}
