//! What frames cost, in simulated time. Draws and bytes are exact; CPU times are reported, with a
//! bound far above them, so that only a blunder fails in a debug build on a slow machine.

use std::time::Duration;

use skep::console::event::Event;

use super::fixture::text;
use super::workload::{Load, Simulation};

/// Bytes per second that a load may take at 120 × 40, and what it took when this was written: more
/// than a quarter beyond that is a regression, although within the budget.
const BYTES: [(Load, u64, u64); 3] =
    [(Load::Idle, 500, 80), (Load::Live, 15_000, 5_000), (Load::Stress, 20_000, 5_000)];

#[test]
fn bytes_and_draws_are_within_their_budgets() {
    for (load, budget, usual) in BYTES {
        let seconds = if load == Load::Stress { 8 } else { 20 };
        let mut run = Simulation::new(120, 40, load);
        run.run(5_000, |_| {});
        run.reset();
        run.run(seconds * 1_000, |_| {});
        let rate = run.bytes / seconds;
        let (p50, p99) = (run.percentile(0.5), run.percentile(0.99));
        println!(
            "{}: {rate} B/s, {} draws, largest {} B, p50 {p50:?} p99 {p99:?}",
            load.name(),
            run.draws,
            run.largest
        );
        let allowed = budget.min(usual + usual / 4);
        assert!(rate <= allowed, "{}: {rate} B/s, allowed {allowed}", load.name());
        let frames = if load == Load::Idle { seconds } else { seconds * 4 };
        assert_eq!(run.draws, frames, "{}: the clock alone, or four times a second", load.name());
        assert_eq!(run.times.len() as u64, frames, "{}: nothing is drawn in vain", load.name());
        assert!(p99 < Duration::from_millis(500), "{}: {p99:?}", load.name());
    }
}

/// Whatever pane has the screen: with charts that move and a queue in which everything grows older.
#[test]
fn links_and_queue_are_within_the_same_budget() {
    for (load, budget, _) in BYTES {
        for keys in ["4", "5", "4 z", "5 z"] {
            let seconds = if load == Load::Stress { 4 } else { 10 };
            let mut run = Simulation::new(120, 40, load);
            run.run(3_000, |_| {});
            for key in keys.split(' ') {
                run.press(key, |_| {});
            }
            run.run(2_000, |_| {});
            run.reset();
            run.run(seconds * 1_000, |_| {});
            let (rate, p99) = (run.bytes / seconds, run.percentile(0.99));
            println!("{} {keys}: {rate} B/s, {} draws, p99 {p99:?}", load.name(), run.draws);
            assert!(rate <= budget, "{} {keys}: {rate} B/s, allowed {budget}", load.name());
            assert!(run.draws <= seconds * 4, "{} {keys}: {} draws", load.name(), run.draws);
            assert!(p99 < Duration::from_millis(500), "{} {keys}: {p99:?}", load.name());
        }
    }
}

#[test]
fn nobody_looking_means_a_frame_a_second() {
    for eco in [false, true] {
        let mut run = Simulation::new(120, 40, Load::Live);
        run.run(2_000, |_| {});
        if eco {
            run.press(".", |_| {});
        } else {
            run.event(Event::TerminalFocus(false));
        }
        run.run(2_000, |_| {});
        run.reset();
        run.run(10_000, |_| {});
        assert_eq!(run.draws, 10, "eco {eco}");
        let key = run.press("j", |_| {});
        assert_eq!(run.draws, 11, "a key is painted at once, after {key:?}");
    }
}

#[test]
fn a_key_is_painted_at_once_and_costs_little() {
    let mut run = Simulation::new(120, 40, Load::Live);
    run.run(3_000, |_| {});
    for key in ["j", "k", "2", "j", "j", "1", "?", "esc", ":", "esc", "t", "esc", "m"] {
        run.reset();
        run.press(key, |_| {});
        assert_eq!(run.draws, 1, "{key}");
        // A theme is the whole screen.
        let allowed = if key == "t" { 40_000 } else { 14_000 };
        assert!(run.largest <= allowed, "{key}: {} B", run.largest);
        run.run(100, |_| {});
    }
}

#[test]
fn the_terminal_shows_what_was_drawn() {
    let mut terminal = vt100::Parser::new(40, 120, 0);
    let mut run = Simulation::new(120, 40, Load::Live);
    let sizes = [(120, 40), (80, 24), (1, 1), (40, 10), (400, 120), (39, 9), (200, 60)];
    for (round, (width, height)) in sizes.into_iter().enumerate() {
        terminal.screen_mut().set_size(height, width);
        run.resize(width, height);
        for key in ["j", "tab", "2", "z", "?", "esc", "z", "o", "1"] {
            run.press(key, |bytes| terminal.process(bytes));
            run.run(200 + round as u64 * 33, |bytes| terminal.process(bytes));
            let drawn = text(&run.model);
            for (y, (shown, drawn)) in terminal.screen().rows(0, width).zip(drawn.lines()).enumerate() {
                assert_eq!(shown.trim_end(), drawn.trim_end(), "row {y} at {width}x{height} after {key}");
            }
        }
    }
}

/// Everything that the console keeps prints itself, so what grows shows.
#[test]
fn an_hour_leaves_no_more_behind_than_half_of_it() {
    let mut run = Simulation::new(60, 14, Load::Live);
    run.event(Event::TerminalFocus(false));
    let mut kept = Vec::new();
    for _ in 0..2 {
        for n in 0..30u64 {
            run.run(60_000, |_| {});
            run.press(["j", "o", "x", "esc", "/", "a", "esc", "m"][n as usize % 8], |_| {});
        }
        run.reset();
        kept.push(format!("{:?} {:?}", run.model, run.frames).len());
    }
    println!("{kept:?} bytes, printed");
    assert!(kept[1] <= kept[0] + kept[0] / 50, "{kept:?}");
    assert!(run.model.log.shown.len() <= 2_000);
}
