//! The real binary in a pseudo-terminal: the console and what it leaves behind, bars, Ctrl-C.
#![allow(clippy::unwrap_used)]

mod common;

use common::Lab;
use common::terminal::Terminal;

#[test]
fn the_console_opens_on_a_node_of_its_own_and_leaves_the_terminal_as_it_was() {
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab, &["--name", "alpha", "--listen", "127.0.0.1:0"], &[]);
    terminal.wait_for_text("alpha");
    terminal.wait_for("on its own screen", |screen| screen.alternate_screen());
    terminal.wait_for("without a cursor", |screen| screen.hide_cursor());
    lab.run(&["limit"]).expect(0);
    terminal.look_at_help();
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
    lab.run(&["ls"]).expect(1);
}

/// What a terminal says of its ground changes the theme, and none of it is taken for keys.
#[test]
fn a_light_terminal_gets_the_light_theme() {
    let lab = Lab::new();
    let env = [("COLORTERM", "truecolor")];
    let mut terminal = Terminal::start(&lab, &["--name", "alpha", "--listen", "127.0.0.1:0"], &env);
    let ground = |screen: &vt100::Screen| screen.cell(0, 0).map(vt100::Cell::bgcolor);
    terminal.wait_for_text("alpha");
    terminal.wait_for("dark", |screen| ground(screen) == Some(vt100::Color::Rgb(0x11, 0x15, 0x1b)));
    // Among the answer are 1, b, r, g and slashes: all of them keys of the console.
    terminal.press("\x1b]11;rgb:bbbb/ffff/1111\x1b\\");
    terminal.wait_for("light", |screen| ground(screen) == Some(vt100::Color::Rgb(0xfa, 0xf7, 0xf0)));
    terminal.look_at_help();
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
}

#[test]
fn a_signal_restores_the_terminal_too() {
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab, &["--name", "alpha", "--listen", "127.0.0.1:0"], &[]);
    terminal.wait_for_text("alpha");
    terminal.signal(rustix::process::Signal::TERM);
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
}

#[test]
fn the_console_attaches_to_the_node_that_runs_and_leaves_it_running() {
    let lab = Lab::new();
    let node = lab.serve(&["--name", "beta"]);
    let data = lab.data("shared.bin", 1000);
    lab.share(&data);
    for args in [&[][..], &["attach", node.url.as_deref().unwrap(), "--read-only"]] {
        let mut terminal = Terminal::start(&lab, args, &[]);
        terminal.wait_for_text("beta");
        terminal.wait_for_text("shared.bin");
        terminal.press("q");
        assert_eq!(terminal.exit_code(), 0, "{args:?}");
        terminal.assert_restored();
    }
    lab.run(&["ls"]).expect(0);
}

#[test]
fn the_past_is_recorded_saved_and_played() {
    let lab = Lab::new();
    let node = lab.serve(&["--name", "gamma"]);
    let data = lab.data("first.bin", 1000);
    lab.share(&data);
    let mut terminal = Terminal::start(&lab, &[], &[]);
    terminal.wait_for_text("first.bin");
    // There is a past once something has changed since the console began to look.
    let back_to_a_moment = |terminal: &mut Terminal| {
        terminal.press("[");
        terminal.wait_for_text("PAST");
    };
    back_to_a_moment(&mut terminal);
    terminal.wait_for_text("Esc now");
    terminal.press("P");
    terminal.wait_for_text("you look at the past");
    terminal.press("\x1b");
    terminal.wait_for("now", |screen| !screen.contents().contains("PAST"));
    terminal.press("W");
    terminal.wait_for_text("skep attach --replay");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    drop(node);
    let saved = std::fs::read_dir(lab.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let saved = saved.into_iter().find(|path| path.extension().is_some_and(|e| e == "skeprec")).unwrap();
    let mut terminal = Terminal::start(&lab, &["attach", "--replay", saved.to_str().unwrap()], &[]);
    terminal.wait_for_text("STOPPED");
    terminal.wait_for_text("gamma");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    terminal.assert_restored();
    let recordings = std::fs::read_dir(lab.path("state/recordings")).unwrap().count();
    assert_eq!(recordings, 1, "of the console, none of what was played");
}

#[test]
fn one_console_goes_from_node_to_node() {
    let (lab, other) = (Lab::new(), Lab::new());
    let far = other.serve(&["--name", "faraway"]);
    let token = other.path("state/token");
    let target = format!("far={} token={}", far.url.as_deref().unwrap(), token.display());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = format!("gone=127.0.0.1:{port} read-only");
    // Something that is no node: it answers whatever is asked with rubbish.
    let rubbish = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = rubbish.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in rubbish.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut asked);
            let _ = std::io::Write::write_all(&mut stream, b"\x1b[2J\x00rubbish\r\n\r\n");
        }
    });
    // And something that takes every connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let quiet = silent.local_addr().unwrap();
    let targets = format!("{target},{gone},rubbish={address},quiet={quiet}");
    let env = [("SKEP_CONSOLE_TARGETS", targets.as_str())];
    let mut terminal = Terminal::start(&lab, &["--name", "nearby", "--listen", "127.0.0.1:0"], &env);
    terminal.wait_for_text("nearby");
    terminal.press("@");
    terminal.wait_for_text("Nodes");
    terminal.press("j\r");
    terminal.wait_for_text("faraway");
    terminal.wait_for_text("REMOTE");
    for (name, what) in [("gone", "retrying in"), ("rubbish", "retrying in"), ("quiet", "NO DATA YET")] {
        // The list opens at the node on screen; the next one is below it.
        terminal.press("@j\r");
        terminal.wait_for(name, |screen| {
            let header = screen.rows(0, 100).next().unwrap_or_default();
            header.contains(name) && header.contains(what)
        });
    }
    terminal.press("q");
    terminal.wait_for_text("Another one lives in this console");
    terminal.press("\x1b");
    terminal.wait_for("still here", |screen| !screen.contents().contains("Another one"));
    terminal.press("@");
    terminal.wait_for_text("Enter shows it");
    terminal.press("\x1b[H\r");
    terminal.wait_for_text("nearby");
    terminal.press("q");
    assert_eq!(terminal.exit_code(), 0);
    let mut by_name = Terminal::start(&lab, &["attach", "far"], &env);
    by_name.wait_for_text("faraway");
    by_name.press("q");
    assert_eq!(by_name.exit_code(), 0);
    drop(silent);
}

#[test]
fn attaching_to_nothing_never_takes_the_screen() {
    let lab = Lab::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut terminal = Terminal::start(&lab, &["attach", &format!("http://127.0.0.1:{port}")], &[]);
    assert_eq!(terminal.exit_code(), 1);
    terminal.wait_for_text(&port.to_string());
    terminal.assert_restored();
}

#[test]
fn get_shows_a_bar_and_ctrl_c_says_how_to_go_on() {
    let from = Lab::new();
    let data = from.data("data.bin", 4_000_000);
    let _node = from.serve(&[]);
    let link = from.share(&data);
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab, &["get", &link], &[("SKEP_LIMITS_DOWN", "400K")]);
    terminal.wait_for("a bar with figures", |screen| {
        let text = screen.contents();
        text.contains('━') && text.contains("data.bin") && text.contains("% ") && text.contains("pieces")
    });
    terminal.press("\x03");
    assert_eq!(terminal.exit_code(), 3);
    terminal.wait_for_text("resume with: skep get");
    terminal.wait_for("without its bar", |screen| !screen.contents().contains('━'));
}
