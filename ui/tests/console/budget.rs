//! What frames cost. Bytes are exact; times are reported, with a bound far above them so that only
//! a blunder fails on a busy machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::console::derive::Derived;
use skep::console::event::Event;
use skep::console::reduce::reduce;
use skep::console::runtime::screen::Screen;
use skep::console::view;
use skep_engine::control::Snapshot;

use super::fixture::{advance, at, busy, console, press, stress};

struct Run {
    bytes: usize,
    p50: Duration,
    p99: Duration,
}

/// Draws a frame every quarter of a second, as a live console does.
fn run(mut snapshot: Snapshot, frames: u64, moving: bool) -> Run {
    let mut model = console(120, 40, snapshot.clone());
    let mut derived = Derived::default();
    let mut screen = Screen::new(120, 40);
    let mut first = Vec::new();
    view::draw(&model, &mut derived, screen.buffer());
    screen.frame(None, &mut first);
    let (mut bytes, mut times) = (0, Vec::new());
    for n in 1..=frames {
        if moving {
            snapshot = advance(&snapshot, n);
        }
        let next = Arc::new(snapshot.clone());
        let start = Instant::now();
        reduce(&mut model, Event::Snapshot(next), at(n * 250));
        view::draw(&model, &mut derived, screen.buffer());
        let mut out = Vec::new();
        screen.frame(None, &mut out);
        times.push(start.elapsed());
        bytes += out.len();
    }
    times.sort();
    Run { bytes, p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

#[test]
fn frames_cost_what_they_may() {
    let seconds = 10;
    let cases = [
        ("idle", busy(), false, 500),
        ("live", stress(50, 200, 8_000), true, 15_000),
        ("stress", stress(1_000, 3_000, 100_000), true, 20_000),
    ];
    for (name, snapshot, moving, budget) in cases {
        let run = run(snapshot, seconds * 4, moving);
        let rate = run.bytes as u64 / seconds;
        println!("{name}: {rate} B/s, frame p50 {:?} p99 {:?}", run.p50, run.p99);
        assert!(rate <= budget, "{name}: {rate} B/s, allowed {budget}");
        assert!(run.p99 < Duration::from_millis(250), "{name}: {:?}", run.p99);
    }
}

#[test]
fn moving_the_selection_costs_a_few_hundred_bytes() {
    let mut model = console(120, 40, stress(200, 0, 0));
    let mut derived = Derived::default();
    let mut screen = Screen::new(120, 40);
    for n in 0..2 {
        let mut out = Vec::new();
        view::draw(&model, &mut derived, screen.buffer());
        screen.frame(None, &mut out);
        if n == 1 {
            assert!(out.len() < 2_500, "{}", out.len());
        }
        press(&mut model, "j");
    }
}

#[test]
fn an_hour_leaves_no_more_behind_than_a_minute() {
    let mut model = console(120, 40, busy());
    let mut snapshot = busy();
    for n in 0..4 * 3_600u64 {
        snapshot.generation += 1;
        snapshot.time_ms += 250;
        let mut line = (*snapshot.log[0]).clone();
        line.seq = 100 + n;
        snapshot.log = Arc::new(vec![Arc::new(line)]);
        reduce(&mut model, Event::Snapshot(Arc::new(snapshot.clone())), at(n * 250));
    }
    assert!(model.log.shown.len() <= 2_000);
    assert!(model.history.down().count() <= 360);
    assert!(model.toasts.all().len() <= 8);
}
