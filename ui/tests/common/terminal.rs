//! The real binary on a pseudo-terminal: keys in, a screen out; lines that are slow, cut, or gone.

use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal};

use super::Lab;

/// No state of the screen takes so long to come, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The end of a frame (synchronized output).
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// How the other end of the line reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Free,
    /// Reads nothing.
    Held,
    /// Reads as many bytes at a time, then rests.
    Slow(usize, Duration),
    /// Is no more.
    Cut,
}

struct Seen {
    parser: vt100::Parser,
    bytes: u64,
    frames: u64,
    line: Line,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command on a terminal.
pub struct Terminal {
    pub child: Box<dyn Child + Send + Sync>,
    keyboard: Option<Box<dyn Write + Send>>,
    shared: Arc<Shared>,
    master: Option<Box<dyn MasterPty + Send>>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// The program on a terminal of 100 × 30.
    pub fn start(lab: &Lab, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_sized(lab, args, env, (100, 30))
    }

    pub fn start_sized(lab: &Lab, args: &[&str], env: &[(&str, &str)], columns_rows: (u16, u16)) -> Self {
        Self::start_program(lab, Path::new(env!("CARGO_BIN_EXE_skep")), args, env, columns_rows)
    }

    /// Any program, with the laboratory's folders.
    pub fn start_program(
        lab: &Lab,
        program: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let pty = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut command = CommandBuilder::new(program);
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
        let parser = vt100::Parser::new(rows, columns, 0);
        let seen = Seen { parser, bytes: 0, frames: 0, line: Line::Free };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: Condvar::new() });
        let (reader, watched) = (pty.master.try_clone_reader().unwrap(), shared.clone());
        std::thread::spawn(move || read(reader, &watched));
        let keyboard = Some(pty.master.take_writer().unwrap());
        Self { child, keyboard, shared, master: Some(pty.master) }
    }

    /// Waits until the screen satisfies something.
    #[track_caller]
    pub fn wait_for(&self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        self.wait_until(what, |seen| holds(seen.parser.screen()));
    }

    /// Opens the help and closes it: the console takes keys and draws.
    #[track_caller]
    pub fn look_at_help(&mut self) {
        const REMARK: &str = "j k scroll, Esc closes";
        self.press("?");
        self.wait_for_text(REMARK);
        self.press("\x1b");
        self.wait_for("without help", |screen| !screen.contents().contains(REMARK));
    }

    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    #[track_caller]
    fn wait_until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let guard = self.shared.lock();
        let (guard, timeout) = self.shared.changed.wait_timeout_while(guard, PATIENCE, |seen| !holds(seen)).unwrap();
        assert!(!timeout.timed_out(), "never {what}; the screen:\n{}", guard.parser.screen().contents());
    }

    /// Waits for so many more frames; gives their bytes and the time they took.
    #[track_caller]
    pub fn watch(&self, frames: u64) -> (u64, Duration) {
        let (first, bytes) = {
            let seen = self.shared.lock();
            (seen.frames, seen.bytes)
        };
        let start = Instant::now();
        self.wait_until("so many frames", |seen| seen.frames >= first + frames);
        (self.shared.lock().bytes - bytes, start.elapsed())
    }

    /// Everything on the screen.
    pub fn contents(&self) -> String {
        self.shared.lock().parser.screen().contents()
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        // What shows the screen here panics where a line wraps on a single row or column.
        self.shared.lock().parser.screen_mut().set_size(rows.max(2), columns.max(2));
        self.master.as_ref().unwrap().resize(size(columns, rows)).unwrap();
    }

    /// Reads no more until [`Self::release`]: the terminal's buffer fills up.
    pub fn hold(&self) {
        self.set_line(Line::Held);
    }

    /// Reads as many bytes at a time only, with a rest between.
    pub fn slow_down(&self, bytes: usize, rest: Duration) {
        self.set_line(Line::Slow(bytes, rest));
    }

    pub fn release(&self) {
        self.set_line(Line::Free);
    }

    fn set_line(&self, line: Line) {
        self.shared.lock().line = line;
        self.shared.changed.notify_all();
    }

    /// Closes every descriptor of the other end: the terminal is gone.
    pub fn hang_up(&mut self) {
        self.set_line(Line::Cut);
        self.keyboard = None;
        self.master = None;
    }

    /// Waits for the end of the command, which comes within the time that anything may take.
    #[track_caller]
    pub fn exit_code(&mut self) -> u32 {
        let _watchdog = super::watchdog(self.child.process_id().unwrap());
        let status = self.child.wait().unwrap();
        assert!(status.signal().is_none(), "ended by {status:?}");
        status.exit_code()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// CPU time that the command used so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.process_id().unwrap())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in hundredths of a second on every Linux there is.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Waits until the command is stopped by a signal.
    #[track_caller]
    pub fn wait_stopped(&self) {
        let pid = Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        let flags = rustix::process::WaitIdOptions::STOPPED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), flags).unwrap();
    }

    /// Nothing of the console is left on the terminal.
    #[track_caller]
    pub fn assert_restored(&self) {
        self.wait_for("restored", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        let seen = self.shared.lock();
        assert_eq!(seen.parser.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!seen.parser.screen().bracketed_paste());
    }
}

/// Reads the other end as the line allows, until it is cut or the command has ended.
fn read(mut reader: Box<dyn std::io::Read + Send>, shared: &Shared) {
    let mut buffer = [0; 8192];
    // The end of a frame may be split between two reads.
    let mut tail = Vec::new();
    loop {
        let line = {
            let seen = shared.lock();
            let waiting = shared.changed.wait_while(seen, |seen| seen.line == Line::Held);
            waiting.unwrap_or_else(PoisonError::into_inner).line
        };
        let most = match line {
            Line::Free | Line::Held => buffer.len(),
            Line::Slow(bytes, rest) => {
                std::thread::sleep(rest);
                bytes.min(buffer.len())
            }
            Line::Cut => return,
        };
        let Ok(n @ 1..) = reader.read(&mut buffer[..most]) else { return };
        tail.extend_from_slice(&buffer[..n]);
        let ends = tail.windows(FRAME_END.len()).filter(|w| *w == FRAME_END).count();
        let keep = tail.len().min(FRAME_END.len() - 1);
        tail.drain(..tail.len() - keep);
        let mut seen = shared.lock();
        seen.parser.process(&buffer[..n]);
        seen.bytes += n as u64;
        seen.frames += ends as u64;
        shared.changed.notify_all();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.release();
        let _ = self.child.kill();
    }
}
