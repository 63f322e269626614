//! What a push's decisions cost: 16 paths, 100,000 segments.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use divan::Bencher;
use skep_engine::content::Bitmap;
use skep_engine::push::plan::{Plan, PlanConfig, REBALANCE};
use skep_engine::push::score::Weights;

const SEGMENTS: u32 = 100_000;
const SEGMENT: u64 = 1 << 20;

fn main() {
    divan::main();
}

/// A plan at work, a tenth of it done.
fn plan(now: Instant) -> Plan {
    let config = PlanConfig {
        segment: SEGMENT,
        in_flight: 64,
        gives_up: false,
        weights: Weights::default(),
        pace: Default::default(),
    };
    let mut plan = Plan::new(config, Bitmap::empty(SEGMENTS), now);
    for path in 0..16 {
        plan.add_path(Some(Duration::from_millis(10 + path % 4)), now);
    }
    for _ in 0..SEGMENTS / 10 {
        let Some(next) = plan.next(now) else { break };
        plan.on_held(next.path, next.segment, SEGMENT, Duration::from_millis(20), now);
    }
    plan
}

/// One segment: chosen, acknowledged, paths scored.
#[divan::bench]
fn a_segment(bencher: Bencher<'_, '_>) {
    let mut now = Instant::now();
    let mut working = plan(now);
    bencher.bench_local(|| {
        now += Duration::from_micros(10);
        if let Some(next) = working.next(now) {
            working.on_held(next.path, next.segment, SEGMENT, Duration::from_millis(20), now);
        }
        if working.is_done() {
            working = plan(now);
        }
    });
}

/// Score, plan and rebalance everything that is left.
#[divan::bench]
fn rebalance(bencher: Bencher<'_, '_>) {
    let mut now = Instant::now();
    let mut working = plan(now);
    bencher.bench_local(|| {
        now += REBALANCE;
        working.tick(0.5, now);
    });
}

/// A path dies and comes back.
#[divan::bench]
fn death_and_return(bencher: Bencher<'_, '_>) {
    let mut now = Instant::now();
    let mut working = plan(now);
    bencher.bench_local(|| {
        now += Duration::from_micros(10);
        working.kill(3, "bench", 0.5, now);
        working.on_probe(3, Some(Duration::from_millis(10)), 0.5, now);
    });
}
