//! A laboratory for the real binary: a home and a state folder of its own, nothing of the user's.
#![allow(dead_code, clippy::unwrap_used)]

pub mod terminal;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;

/// No command of these tests takes so long, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary folder with everything that one user's `skep` touches.
pub struct Lab {
    pub dir: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of `size` bytes that do not repeat.
    pub fn data(&self, name: &str, size: usize) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut rng = fastrand::Rng::with_seed(name.bytes().map(u64::from).sum());
        let mut bytes = vec![0; size];
        rng.fill(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The binary with these arguments, on this laboratory's folders.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("SKEP_") || name.starts_with("XDG_") || name == "NO_COLOR"
        }) {
            command.env_remove(name);
        }
        command
            .args(args)
            .env("HOME", self.path("home"))
            .env("SKEP_STATE_DIR", self.path("state"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _watchdog = watchdog(child.id());
        Ended(child.wait_with_output().unwrap())
    }

    /// Starts a command that goes on until it is told to stop.
    pub fn spawn(&self, args: &[&str]) -> Process {
        Self::spawned(&mut self.command(args))
    }

    /// The same, killed by itself at a step of its work (`failpoint` in the engine).
    pub fn spawn_to_die_at(&self, step: &str, args: &[&str]) -> Process {
        Self::spawned(self.command(args).env("SKEP_DIE_AT", step))
    }

    fn spawned(command: &mut Command) -> Process {
        Process::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Starts `skep serve` on any port and waits until it listens.
    pub fn serve(&self, args: &[&str]) -> Process {
        self.serve_at("127.0.0.1:0", args)
    }

    /// The same on a certain port.
    pub fn serve_at(&self, address: &str, args: &[&str]) -> Process {
        let mut all = vec!["serve", "--listen", address];
        all.extend(args);
        self.spawn(&all).listening()
    }

    /// One call of JSON-RPC to the running node; its result.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: &Value) -> Value {
        self.rpc_with("state/token", method, params)
    }

    /// The same with the token in this file.
    #[track_caller]
    pub fn rpc_with(&self, token: &str, method: &str, params: &Value) -> Value {
        let node: Value = serde_json::from_slice(&std::fs::read(self.path("state/node.json")).unwrap()).unwrap();
        let token = std::fs::read_to_string(self.path(token)).unwrap();
        let address = node["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /rpc HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            token.trim(),
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let json = answer.split_once("\r\n\r\n").unwrap().1;
        let answer: Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert!(answer["jsonrpc"] == "2.0" && answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Shares a path through the running node.
    pub fn share(&self, path: &Path) -> String {
        let ended = self.run(&["share", path.to_str().unwrap()]);
        ended.expect(0);
        ended.stdout().trim().to_owned()
    }
}

/// Kills a command that hangs, so that its test fails instead of all of them waiting. Dropped, it lets go.
fn watchdog(pid: u32) -> Sender<()> {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let (sender, receiver) = channel::<()>();
    std::thread::spawn(move || {
        if receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    sender
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended(pub Output);

impl Ended {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "stdout {:?}, stderr {:?}", self.stdout(), self.stderr());
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Stdout as JSON lines: every line must be an object.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        self.stdout().lines().map(parse).collect()
    }

    #[track_caller]
    pub fn last(&self) -> Value {
        self.objects().pop().unwrap_or_else(|| panic!("nothing on stdout; stderr {:?}", self.stderr()))
    }
}

/// A running command; ended with the test.
pub struct Process {
    pub child: Child,
    out: BufReader<ChildStdout>,
    pub url: Option<String>,
    _watchdog: Sender<()>,
}

impl Process {
    pub fn new(mut child: Child) -> Self {
        let out = BufReader::new(child.stdout.take().unwrap());
        let _watchdog = watchdog(child.id());
        Self { child, out, url: None, _watchdog }
    }

    /// Waits until it listens.
    pub fn listening(mut self) -> Self {
        let line = self.line();
        self.url = line.strip_prefix("listening on ").map(str::to_owned);
        assert!(self.url.is_some(), "{line:?}, stderr {:?}", self.stderr());
        self
    }

    /// The next line of stdout, empty at its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Everything that is left on stdout, and the exit code.
    pub fn wait(&mut self) -> (i32, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), rest)
    }

    /// Kills it and gives what it said on stderr.
    pub fn stderr(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut err) = self.child.stderr.take() {
            let _ = err.read_to_string(&mut text);
        }
        text
    }

    /// Asks it to end; its exit code.
    pub fn stop(&mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.wait().0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
