//! The node that carries a command out: the one that runs on this state folder, found by the note
//! it left there, or one of our own in this process.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;
use skep_engine::content::name::printable;
use skep_engine::control::{Control, Focus, Snapshot, View};
use skep_engine::engine::{Engine, EngineConfig, EngineLimits, InFlight, StartError};
use skep_engine::queue::priority::Limits;
use skep_engine::rpc::{RemoteControl, RemoteError};
use skep_engine::store::StateError;
use skep_engine::store::instance::{self, Instance};
use skep_engine::upload::UploadLimits;

use crate::cli::Context;
use crate::config::{Settings, Source};
use crate::logging::Logging;
use crate::output::{Exit, Failure};

/// Longest wait for a node's first snapshot.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(10);
/// Attempts where a node is just starting or stopping, and the pause between them.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a token file.
const MAX_TOKEN: u64 = 4096;

/// A node in another process.
pub struct Running {
    /// Steers it.
    pub control: Arc<dyn Control>,
    /// Its note.
    pub instance: Instance,
}

impl Running {
    /// True once its process has ended.
    pub fn is_gone(&self) -> bool {
        !is_alive(self.instance.pid)
    }
}

/// How often, and how many times, a process that does not answer is looked at before it counts as alive.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);
const LOOKS: u32 = 30;

/// A node, wherever it is.
pub enum Host {
    /// In another process.
    Running(Running),
    /// In this one.
    Embedded(Engine),
}

impl Host {
    /// Steers it.
    pub fn control(&self) -> Arc<dyn Control> {
        match self {
            Self::Running(node) => node.control.clone(),
            Self::Embedded(engine) => engine.control(),
        }
    }

    /// True if it was another process's and that has ended.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Running(node) if node.is_gone())
    }

    /// The same of one that may be about to end: its connections close before it has.
    pub async fn has_gone(&self) -> bool {
        for _ in 0..LOOKS {
            if self.is_gone() || matches!(self, Self::Embedded(_)) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.is_gone()
    }

    /// Ends an embedded node with everything recorded; leaves another's alone.
    pub async fn close(self) {
        if let Self::Embedded(engine) = self {
            engine.shutdown().await;
        }
    }
}

/// False only if there is surely no such process, or one that has ended and is not yet reaped.
fn is_alive(pid: u32) -> bool {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(Errno::SRCH)) && !is_zombie(pid)
}

/// Whether only a parent that has not asked for its exit code keeps a process in the table (proc(5)).
#[cfg(target_os = "linux")]
fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which stands in parentheses and may hold any byte.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
    matches!(state, Some(b'Z' | b'X'))
}

#[cfg(not(target_os = "linux"))]
fn is_zombie(_pid: u32) -> bool {
    false
}

/// The node that runs on the state folder, if any does.
///
/// # Errors
/// One runs, but does not let us in.
pub async fn running(cx: &Context) -> Result<Option<Running>, Failure> {
    let Some(instance) = instance::find(cx.state_dir()?).filter(|found| is_alive(found.pid)) else { return Ok(None) };
    // The note knows best; only who names a token on the command line means that one.
    let token = match cx.config.source("token_file") {
        Some(Source::Flag(_)) => token(cx.settings())?,
        _ => Some(read_token(&instance.token_file)?),
    };
    match RemoteControl::connect_once(&instance.url, token).await {
        Ok(control) => Ok(Some(Running { control: Arc::new(control), instance })),
        // A note left by a killed process whose number another one has now, or a node that is just ending.
        Err(RemoteError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// A node at a URL.
///
/// # Errors
/// It cannot be reached or does not let us in.
pub async fn remote(cx: &Context, url: &str) -> Result<Arc<dyn Control>, Failure> {
    let own = || instance::find(cx.state_dir().ok()?).filter(|found| found.url.trim_end_matches('/') == url);
    let token = match (cx.config.source("token_file"), own()) {
        (Some(Source::Flag(_)), _) | (_, None) => token(cx.settings())?,
        (_, Some(instance)) => Some(read_token(&instance.token_file)?),
    };
    attach(url, token).await
}

/// A node at a URL that has a token file of its own, unless none is named.
///
/// # Errors
/// As [`remote`].
pub async fn remote_with(cx: &Context, url: &str, token_file: Option<&Path>) -> Result<Arc<dyn Control>, Failure> {
    match token_file {
        Some(file) => attach(url, Some(read_token(file)?)).await,
        None => remote(cx, url).await,
    }
}

async fn attach(url: &str, token: Option<String>) -> Result<Arc<dyn Control>, Failure> {
    let control = RemoteControl::connect_once(url, token).await.map_err(refused)?;
    Ok(Arc::new(control))
}

fn refused(error: RemoteError) -> Failure {
    let exit = match error {
        RemoteError::Refused { .. } => Exit::Refused,
        RemoteError::Url { .. } | RemoteError::Tls { .. } => Exit::Usage,
        RemoteError::Unreachable { .. } => Exit::Failed,
    };
    Failure::because("cannot attach", error).with_exit(exit)
}

/// The node that runs on the state folder.
///
/// # Errors
/// None does.
pub async fn require(cx: &Context) -> Result<Running, Failure> {
    let none = || {
        let dir = cx.settings().state_dir.as_deref().unwrap_or(Path::new("")).display();
        Failure::failed(format!("no node runs on {dir}: start one with `skep serve`, or open the console with `skep`"))
    };
    running(cx).await?.ok_or_else(none)
}

/// How a node of our own starts.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Goes on with every transfer of the state folder, not only with those that it is asked for.
    pub resume: bool,
    /// Where it logs.
    pub logging: &'a Logging,
}

/// The running node, or an embedded one.
///
/// # Errors
/// The node that runs does not let us in; ours does not start.
pub async fn open(cx: &Context, with: Start<'_>) -> Result<Host, Failure> {
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(node) = running(cx).await? {
            return Ok(Host::Running(node));
        }
        match start(cx, with).await {
            Ok(engine) => return Ok(Host::Embedded(engine)),
            // Another process was faster: it will be found next time, or be gone.
            Err(failure) if failure.busy => last = Some(failure.failure),
            Err(failure) => return Err(failure.failure),
        }
    }
    Err(last.unwrap_or_else(|| Failure::failed("no node could be found or started")))
}

/// A node of our own.
///
/// # Errors
/// It does not start; says whether another process holds the state folder.
pub async fn start(cx: &Context, with: Start<'_>) -> Result<Engine, NotStarted> {
    let config = engine_config(cx, with).map_err(|failure| NotStarted { failure, busy: false })?;
    Engine::start(config).await.map_err(|error| {
        let (busy, refused) = (is_busy(&error), matches!(error, StartError::NoToken(_) | StartError::Token(_)));
        let failure = Failure::because("cannot start a node", error);
        NotStarted { busy, failure: if refused { failure.with_exit(Exit::Refused) } else { failure } }
    })
}

/// A node that did not start.
#[derive(Debug)]
pub struct NotStarted {
    /// What to tell.
    pub failure: Failure,
    /// Another process holds the state folder.
    pub busy: bool,
}

impl From<NotStarted> for Failure {
    fn from(not: NotStarted) -> Self {
        not.failure
    }
}

fn is_busy(error: &StartError) -> bool {
    matches!(error, StartError::Busy { .. } | StartError::State(StateError::Busy(_)))
}

/// The settings as the engine takes them.
fn engine_config(cx: &Context, with: Start<'_>) -> Result<EngineConfig, Failure> {
    let settings = cx.settings();
    let Start { listen, resume, logging } = with;
    let token = token(settings)?;
    let root = settings.root.clone();
    let root = root.ok_or_else(|| Failure::usage("no home folder for content: name one with --root"))?;
    let config = EngineConfig::new(crate::cli::absolute(cx.state_dir()?)?, crate::cli::absolute(&root)?);
    let name = if settings.name.is_empty() { host_name() } else { settings.name.clone() };
    Ok(EngineConfig {
        logs: logging.logs.clone(),
        name,
        listen,
        // One that a command starts for itself listens elsewhere.
        advertise: if listen == settings.listen { advertise(&settings.advertise)? } else { None },
        token,
        token_file: settings.token_file.as_deref().map(crate::cli::absolute).transpose()?,
        resume,
        public: settings.public,
        trackers: settings.trackers.iter().map(|t| with_scheme(t)).collect(),
        join: settings.join.iter().map(|j| with_scheme(j)).collect(),
        limits: limits(settings),
        trusted: settings.trusted,
        link: settings.link.clone(),
        pool: settings.pool.clone(),
        ..config
    })
}

/// Where others are told to reach the node; none: they take what they see.
fn advertise(given: &str) -> Result<Option<String>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    let url = with_scheme(given.trim_end_matches('/'));
    let host_port = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    let port = host_port.and_then(|(_, rest)| rest.rsplit_once(':')).filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(Some(url)),
        _ => {
            let given = printable(given);
            Err(Failure::usage(format!("--advertise {given:?}: write http://ADDRESS:PORT, as others reach this node")))
        }
    }
}

/// `[limits]` as the engine takes them.
fn limits(settings: &Settings) -> EngineLimits {
    let limits = &settings.limits;
    EngineLimits {
        max_transfers: limits.transfers,
        upload_slots: u32::try_from(limits.upload_slots).unwrap_or(u32::MAX),
        in_flight: match limits.in_flight {
            None => InFlight::Auto,
            Some(n) => InFlight::Fixed(u32::try_from(n).unwrap_or(u32::MAX)),
        },
        piece_timeout: limits.piece_timeout,
        up: limits.up,
        down: limits.down,
        schedule: limits.schedule.clone(),
        max_connections: limits.connections,
        queue: Limits { capacity: limits.queue, ..Limits::default() },
        uploads: UploadLimits { quota: limits.upload_quota, expiry: limits.upload_expiry, ..UploadLimits::default() },
    }
}

/// `HOST:PORT` is short for `http://HOST:PORT`.
pub fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "skep".into() } else { name }
}

/// The token of `--token-file`, if one is named.
pub(crate) fn token(settings: &Settings) -> Result<Option<String>, Failure> {
    settings.token_file.as_deref().map(read_token).transpose()
}

/// The token in a file.
///
/// # Errors
/// It cannot be read or holds none.
pub fn read_token(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let fail = |e: io::Error| {
        let failure = Failure::because(format!("cannot read the token file {shown}"), e);
        failure.with_exit(Exit::Refused)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_TOKEN), &mut text).map_err(fail)?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|c| !c.is_ascii_graphic()) {
        let words =
            format!("{shown} does not hold a token: one line of printable ASCII, such as `openssl rand -hex 32` gives");
        return Err(Failure::new(Exit::Refused, words));
    }
    Ok(token.to_owned())
}

/// The first snapshot that a view gets.
///
/// # Errors
/// None comes.
pub async fn snapshot(view: &mut View) -> Result<Arc<Snapshot>, Failure> {
    snapshot_when(view, |_| true).await
}

/// The first snapshot for which something holds.
///
/// # Errors
/// None comes.
pub async fn snapshot_when(view: &mut View, holds: impl Fn(&Snapshot) -> bool) -> Result<Arc<Snapshot>, Failure> {
    let first = view.snapshots.wait_for(|s| s.generation > 0 && holds(s));
    match tokio::time::timeout(FIRST_SNAPSHOT, first).await {
        Ok(Ok(snapshot)) => Ok(snapshot.clone()),
        Ok(Err(_)) => Err(Failure::failed("the node stopped meanwhile")),
        Err(_) => Err(Failure::failed(format!("the node has not answered for {} s", FIRST_SNAPSHOT.as_secs()))),
    }
}

/// Views for those who only look: every command is refused.
pub struct ReadOnly(pub Arc<dyn Control>);

impl Control for ReadOnly {
    fn command(
        &self,
        _: skep_engine::control::Command,
    ) -> skep_engine::control::BoxFuture<'_, Result<skep_engine::control::Reply, skep_engine::control::CommandError>>
    {
        let kind = skep_engine::control::CommandErrorKind::Refused;
        let error =
            skep_engine::control::CommandError::new(kind, "read-only: attach without --read-only to change things");
        Box::pin(std::future::ready(Err(error)))
    }

    fn view(&self, focus: Focus) -> View {
        self.0.view(focus)
    }

    fn target(&self) -> String {
        self.0.target()
    }

    fn is_embedded(&self) -> bool {
        self.0.is_embedded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_others_reach_a_node_is_a_url_with_a_port() {
        let of = |given| advertise(given).map_err(|failure| failure.exit);
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("203.0.113.5:7070"), Ok(Some("http://203.0.113.5:7070".into())));
        assert_eq!(of("https://[fd00::5]:7070/"), Ok(Some("https://[fd00::5]:7070".into())));
        for wrong in ["203.0.113.5", "ftp://h:1", "http://:1", "http://h:0", "http://h:70700", "http://h:1/x"] {
            assert_eq!(of(wrong), Err(Exit::Usage), "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_ended_is_gone_before_it_is_reaped() {
        assert!(is_alive(std::process::id()));
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(is_alive(child.id()));
        let pid = Pid::from_child(&child);
        drop(child.stdin.take());
        // Waits for its end without reaping it.
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).unwrap();
        assert!(!is_alive(child.id()));
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }

    /// What the template documents as default is what the engine does by default.
    #[test]
    fn defaults_are_the_engines() {
        let matches = crate::cli::command().try_get_matches_from(["skep"]).unwrap();
        let config = crate::config::load(&matches, &|_| None, false).unwrap();
        assert_eq!(format!("{:?}", limits(&config.settings)), format!("{:?}", EngineLimits::default()));
    }

    #[test]
    fn tokens_are_one_clean_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc123\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "abc123");
        for bad in ["", "\n", "two words", "a\nb"] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(read_token(&path).unwrap_err().exit, Exit::Refused, "{bad:?}");
        }
    }

    #[test]
    fn processes() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0) && !is_alive(u32::MAX) && !is_alive(i32::MAX as u32));
    }
}
