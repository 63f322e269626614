//! The real binary in a pseudo-terminal: the console and what it leaves behind, bars, Ctrl-C.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::Lab;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command on a terminal of 100 × 30.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn start(lab: &Lab, args: &[&str], env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 30, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_skep"));
        command.env_clear();
        command.args(args);
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")].iter().chain(env) {
            command.env(name, value);
        }
        command.env("HOME", lab.path("home"));
        command.env("SKEP_STATE_DIR", lab.path("state"));
        command.cwd(lab.dir.path());
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let screen = Arc::new((Mutex::new(vt100::Parser::new(30, 100, 0)), Condvar::new()));
        let (mut reader, shared) = (pty.master.try_clone_reader().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                shared.0.lock().unwrap().process(&buffer[..n]);
                shared.1.notify_all();
            }
        });
        Self { child, keyboard: pty.master.take_writer().unwrap(), screen, _master: pty.master }
    }

    /// Waits until the screen satisfies something.
    #[track_caller]
    fn wait_for(&self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let (parser, changed) = &*self.screen;
        let guard = parser.lock().unwrap();
        let (guard, timeout) = changed.wait_timeout_while(guard, PATIENCE, |parser| !holds(parser.screen())).unwrap();
        assert!(!timeout.timed_out(), "never {what}; the screen:\n{}", guard.screen().contents());
    }

    #[track_caller]
    fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn exit_code(&mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Nothing of the console is left on the terminal.
    #[track_caller]
    fn assert_restored(&self) {
        self.wait_for("restored", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let parser = self.screen.0.lock().unwrap();
        assert_eq!(parser.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!parser.screen().bracketed_paste());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_console_opens_on_a_node_of_its_own_and_leaves_the_terminal_as_it_was() {
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab, &["--name", "alpha", "--listen", "127.0.0.1:0"], &[]);
    terminal.wait_for_text("alpha");
    terminal.wait_for("on its own screen", |screen| screen.alternate_screen());
    terminal.wait_for("without a cursor", |screen| screen.hide_cursor());
    lab.run(&["limit"]).expect(0);
    terminal.press("?");
    terminal.wait_for_text("Show the keys that work here");
    terminal.press("\x1b");
    terminal.wait_for("without help", |screen| !screen.contents().contains("Show the keys that work here"));
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
    terminal.press("?");
    terminal.wait_for_text("Show the keys that work here");
    terminal.press("\x1b");
    terminal.wait_for("without help", |screen| !screen.contents().contains("Show the keys that work here"));
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
