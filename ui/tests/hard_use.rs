//! The console in bad places: sizes that storm, lines that stall, terminals that vanish, signals,
//! a panic. Every test ends with a terminal as it was, or with a process that is gone.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::Lab;
use common::terminal::Terminal;
use rustix::process::Signal;

const ALONE: &[&str] = &["--name", "alpha", "--listen", "127.0.0.1:0"];

fn alone(lab: &Lab) -> Terminal {
    let terminal = Terminal::start(lab, ALONE, &[]);
    terminal.wait_for_text("alpha");
    terminal.wait_for_text("nothing here yet");
    terminal
}

#[test]
fn a_storm_of_sizes_ends_with_the_right_screen() {
    let lab = Lab::new();
    let mut terminal = alone(&lab);
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..200 {
        terminal.resize(rng.u16(1..=400), rng.u16(1..=120));
    }
    for (columns, rows) in [(1, 1), (400, 120), (2, 50), (300, 2), (39, 9)] {
        terminal.resize(columns, rows);
        terminal.press("j");
    }
    terminal.resize(90, 28);
    let footer = |screen: &vt100::Screen| {
        let last: String = screen.rows(0, 90).last().unwrap_or_default();
        last.contains("quit") && screen.contents().contains("nothing here yet")
    };
    terminal.wait_for("drawn at its last size", footer);
    terminal.look_at_help();
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
}

#[test]
fn it_sleeps_and_wakes_as_the_shell_wants() {
    let lab = Lab::new();
    let mut terminal = alone(&lab);
    for own_key in [false, true, false] {
        if own_key {
            terminal.press("\x1a");
        } else {
            terminal.signal(Signal::TSTP);
        }
        terminal.wait_stopped();
        terminal.assert_restored();
        terminal.resize(110, 32);
        terminal.signal(Signal::CONT);
        terminal.wait_for("back on its own screen", |screen| {
            screen.alternate_screen() && screen.hide_cursor() && screen.contents().contains("nothing here yet")
        });
    }
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
}

#[test]
fn signals_that_end_it_restore_the_terminal() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let lab = Lab::new();
        let mut terminal = alone(&lab);
        terminal.signal(signal);
        assert_eq!(terminal.exit_code(), 0, "{signal:?}");
        terminal.assert_restored();
        lab.run(&["ls"]).expect(1);
    }
}

#[test]
fn a_panic_restores_the_terminal_and_names_the_log() {
    if cfg!(not(debug_assertions)) {
        return;
    }
    let lab = Lab::new();
    let mut terminal = alone(&lab);
    terminal.press(":panic");
    terminal.wait_for_text("Panic on purpose");
    terminal.press("\r");
    assert_eq!(terminal.exit_code(), 1);
    terminal.assert_restored();
    terminal.wait_for("with the way to the log", |screen| {
        let text: String = screen.rows(0, 100).map(|row| row.trim_end().to_owned()).collect();
        text.contains("panicked") && text.contains("/state/skep.") && text.contains(".log")
    });
    let logs: Vec<_> = std::fs::read_dir(lab.path("state")).unwrap().map(|e| e.unwrap().path()).collect();
    let log = logs.iter().find(|path| path.extension().is_some_and(|e| e == "log")).unwrap();
    assert!(std::fs::read_to_string(log).unwrap().contains("as asked"), "the panic is in the log");
}

#[test]
fn a_terminal_that_vanishes_takes_the_console_along() {
    let lab = Lab::new();
    let mut terminal = alone(&lab);
    terminal.hang_up();
    terminal.exit_code();
    lab.run(&["ls"]).expect(1);
}

/// The shell hears of the hangup and does not pass it on: the console has to find out by itself.
#[test]
fn a_terminal_that_vanishes_without_a_signal_does_too() {
    let lab = Lab::new();
    let script =
        format!("trap '' HUP; {} {}; echo $? >code; times >times; exit 7", env!("CARGO_BIN_EXE_skep"), ALONE.join(" "));
    let mut terminal = Terminal::start_program(&lab, Path::new("/bin/sh"), &["-c", &script], &[], (100, 30));
    terminal.wait_for_text("nothing here yet");
    terminal.hang_up();
    assert_eq!(terminal.exit_code(), 7);
    assert_eq!(std::fs::read_to_string(lab.path("code")).unwrap().trim(), "0");
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_nothing() {
    let lab = Lab::new();
    let mut terminal = alone(&lab);
    terminal.hold();
    // Whole screens, until the line is full.
    for columns in 60..=100 {
        terminal.resize(columns, 30);
        terminal.press("\x0c");
    }
    terminal.release();
    terminal.press("?");
    terminal.wait_for_text("j k scroll, Esc closes");
    terminal.press("\x1b");
    terminal.hold();
    for _ in 0..20 {
        terminal.press("\x0c");
    }
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.exit_code(), 0, "although nobody reads");
}

#[test]
fn a_slow_line_is_given_less() {
    let lab = Lab::new();
    let mut terminal = Terminal::start_sized(&lab, ALONE, &[], (400, 120));
    terminal.wait_for_text("nothing here yet");
    terminal.slow_down(4_000, Duration::from_millis(100));
    // The whole of a large screen, again and again: more than the line's buffer holds.
    for _ in 0..3 {
        terminal.press("\x0c");
        terminal.watch(1);
    }
    terminal.wait_for_text("slowed");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn without_a_usable_terminal_it_says_so() {
    let lab = Lab::new();
    let ended = lab.run(&[]);
    ended.expect(2);
    assert!(ended.stderr().contains("needs a terminal"), "{}", ended.stderr());
    let mut terminal = Terminal::start(&lab, &[], &[("TERM", "dumb")]);
    assert_eq!(terminal.exit_code(), 2);
    terminal.wait_for_text("TERM=dumb");
    terminal.assert_restored();
    let script = format!("{} <&-; echo code $?", env!("CARGO_BIN_EXE_skep"));
    let mut terminal = Terminal::start_program(&lab, Path::new("/bin/sh"), &["-c", &script], &[], (100, 30));
    terminal.wait_for_text("code 2");
    terminal.exit_code();
}

/// The seeded demo at 120 × 40: real nodes, real transfers. Frames never come faster than they may,
/// and are as small as a budget of 15 kB/s at four a second asks for. Its CPU includes seven nodes
/// that hash, so it is told and not judged.
#[test]
fn the_demo_keeps_to_the_byte_budget() {
    let lab = Lab::new();
    let mut terminal = Terminal::start_sized(&lab, &["demo", "--seed", "1"], &[], (120, 40));
    terminal.wait_for_text("RUNNING");
    terminal.wait_for_text("nightly-backup.tar");
    let cpu = terminal.cpu_s();
    let frames = 40;
    let (bytes, time) = terminal.watch(frames);
    let (per_frame, cpu) = (bytes / frames, terminal.cpu_s() - cpu);
    println!("{per_frame} B a frame, {frames} frames in {time:?}, {cpu} s of CPU\n{}", terminal.contents());
    assert!(per_frame <= 15_000 / 4, "{per_frame} B a frame");
    // A frame's end may be seen late by up to one interval, never early.
    assert!(time >= Duration::from_millis(250) * (frames as u32 - 2), "{frames} frames in {time:?}");
    terminal.press("q");
    terminal.press("y");
    terminal.signal(Signal::TERM);
    terminal.exit_code();
    terminal.assert_restored();
}
