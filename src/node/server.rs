//! The server: binds, accepts, stops.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Gate;
use super::caps::Caps;
use super::config::NodeConfig;
use super::conn::Serving;
use super::echo::Echo;
use super::error::NodeError;
use super::health::{Health, HealthReport};
use super::metrics::Metrics;
use super::peer::Ends;
use super::pool::BufferPool;
use super::problem::Problem;
use super::routes;
use super::services::Services;
use super::signatures::Signatures;
use crate::pool::gossip::Datagrams;

/// Pause after a failed accept that says the process is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Large documents (descriptions of uploads) parsed at once: each may take its cap of memory.
const DOCUMENTS: usize = 4;
/// Requests of syncs worked on at once: each may take a tree's memory, or all cores.
const SYNCS: usize = 8;
/// Deltas that are applied at once: as many as the fastest links' class has a sync send.
const DELTAS: usize = 10;
/// Signatures that are made at once: each uses every core and holds up to some 10 MiB. Each delta that is applied asks for some
/// meanwhile, and other ones are asked for.
const SIGNINGS: usize = 8;

/// KiB of given pieces in memory: the longest piece, or many short ones.
const GIVEN_KIB: usize = 64 << 10;

/// Attempts to get one port number for connections and datagrams.
const ATTEMPTS: usize = 16;

/// What every route can see.
#[derive(Debug)]
pub struct Shared {
    /// Settings.
    pub config: NodeConfig,
    /// The engine's side.
    pub services: Services,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Load and latency.
    pub health: Health,
    /// Who may do what.
    pub gate: Gate,
    /// Buffers for bodies.
    pub pool: Arc<BufferPool>,
    /// One permit per body being sent.
    pub bodies: Arc<Semaphore>,
    /// One permit per file body being sent.
    pub files: Arc<Semaphore>,
    /// One permit per large document being parsed.
    pub documents: Arc<Semaphore>,
    /// One permit per request of a sync.
    pub syncs: Arc<Semaphore>,
    /// Signatures that were made lately.
    pub signatures: Arc<Signatures>,
    /// One permit per delta that is applied.
    pub deltas: Arc<Semaphore>,
    /// One permit per KiB of given pieces in memory.
    pub given: Arc<Semaphore>,
    /// One permit per signature that is made.
    pub signings: Arc<Semaphore>,
    /// Set when the node stops: who waits, answers.
    pub drain: CancellationToken,
}

/// A node's server, bound and ready to run.
#[derive(Debug)]
pub struct Node {
    listener: TcpListener,
    /// None: the port is taken for datagrams, and others cannot measure loss here.
    echo: Option<Echo>,
    local: SocketAddr,
    shared: Arc<Shared>,
}

/// The number of open connections, for as long as anybody wants it.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Metrics>);

impl Connections {
    /// Connections open now, upgraded ones (WebSocket) included.
    pub fn open(&self) -> u32 {
        u32::try_from(self.0.connections.get()).unwrap_or(u32::MAX)
    }
}

/// Tells how the node is, for as long as anybody wants it.
#[derive(Debug, Clone)]
pub struct Reporter(Arc<Shared>);

impl Reporter {
    /// Of this node.
    pub fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What `GET /health` answers.
    pub async fn report(&self) -> HealthReport {
        self.0.health.report(&self.0.config.name, self.0.metrics.connections.get()).await
    }
}

/// Listens, for datagrams on the same port number. Where any number will do it is one that is free for both, if there is one.
async fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr, io::Result<Echo>)> {
    for attempt in 1.. {
        let listener = TcpListener::bind(addr).await?;
        let local = listener.local_addr()?;
        let echo = Echo::bind(local).await;
        if echo.is_ok() || addr.port() != 0 || attempt == ATTEMPTS {
            return Ok((listener, local, echo));
        }
    }
    unreachable!("the loop returns")
}

impl Node {
    /// Binds the address. Nothing is answered before [`Self::run`].
    ///
    /// # Errors
    /// The address is taken (of what shall join others: also for datagrams), not ours, or open to others without a token.
    pub async fn bind(config: NodeConfig, services: Services) -> Result<Self, NodeError> {
        let addr = config.listen;
        if config.token.is_none() && !addr.ip().to_canonical().is_loopback() {
            return Err(NodeError::TokenNeeded { addr });
        }
        let (listener, local, echo) = listen(addr).await.map_err(|source| NodeError::Bind { addr, source })?;
        let echo = match echo {
            Ok(echo) => Some(echo),
            Err(source) if config.joins => return Err(NodeError::Datagrams { addr: local, source }),
            Err(error) => {
                tracing::warn!(
                    target: "node",
                    "no datagrams on {local}: {error}; others cannot measure loss to here, nor call this node into a pool"
                );
                None
            }
        };
        let shared = Shared {
            gate: Gate::new(local, config.token.as_ref(), config.public),
            metrics: Arc::new(Metrics::new(services.figures.clone())),
            health: Health::default(),
            pool: BufferPool::new(),
            bodies: Arc::new(Semaphore::new(config.limits.bodies)),
            files: Arc::new(Semaphore::new(config.limits.files)),
            documents: Arc::new(Semaphore::new(DOCUMENTS)),
            syncs: Arc::new(Semaphore::new(SYNCS)),
            signatures: Arc::new(Signatures::new()),
            deltas: Arc::new(Semaphore::new(DELTAS)),
            given: Arc::new(Semaphore::new(GIVEN_KIB)),
            signings: Arc::new(Semaphore::new(SIGNINGS)),
            drain: CancellationToken::new(),
            config,
            services,
        };
        Ok(Self { listener, echo, local, shared: Arc::new(shared) })
    }

    /// Where it listens; the port is the real one.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// `http://ADDR:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.local)
    }

    /// The server's counters, for as long as anybody wants them.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }

    /// Where gossip comes and goes, on the port number of the server; none where there are no datagrams, or somebody has it.
    pub fn gossip(&mut self) -> Option<Datagrams> {
        self.echo.as_mut().and_then(Echo::gossip)
    }

    /// Who tells how the node is.
    pub fn reporter(&self) -> Reporter {
        Reporter(self.shared.clone())
    }

    /// How many connections are open.
    pub fn connections(&self) -> Connections {
        Connections(self.shared.metrics.clone())
    }

    /// Serves until `shutdown`, and `rpc` too if there is one: its routes must lie at `/rpc`, where
    /// the control token is asked for. Then lets running requests end, ten seconds at most (see
    /// [`Limits::drain_timeout`](super::Limits)).
    pub async fn run(self, rpc: impl Into<Option<Router>>, shutdown: CancellationToken) {
        let limits = self.shared.config.limits.clone();
        let caps = Caps::new(limits.connections, limits.connections_per_source, self.shared.metrics.clone());
        let serving = Serving {
            router: routes::router(self.shared.clone(), rpc.into()),
            limits: Arc::new(limits),
            metrics: self.shared.metrics.clone(),
            drain: self.shared.drain.clone(),
            cut: CancellationToken::new(),
        };
        let tasks = TaskTracker::new();
        if let Some(echo) = self.echo {
            tasks.spawn(echo.run(shutdown.clone()));
        }
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    let Some(permit) = caps.admit(remote.ip()) else {
                        turn_away(stream);
                        continue;
                    };
                    let ends = Ends { remote, local: stream.local_addr().unwrap_or(self.local) };
                    tasks.spawn(serving.clone().serve(stream, ends, permit));
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "node", "cannot accept connections: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        tasks.close();
        serving.drain.cancel();
        if tokio::time::timeout(serving.limits.drain_timeout, tasks.wait()).await.is_err() {
            tracing::info!(target: "node", "cutting {} connections that did not end in time", tasks.len());
            serving.cut.cancel();
            tasks.wait().await;
        }
    }
}

/// Errors that say nothing about the listener (see accept(2)).
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused)
}

/// Answers 503 as far as the empty socket buffer takes it (all of it), without waiting for anything.
fn turn_away(stream: TcpStream) {
    let body = Problem::busy("too many connections", Duration::from_secs(1)).to_json();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n",
        super::problem::MEDIA_TYPE,
        body.len()
    );
    // The standard library's handle: tokio's knows only after a turn of its driver that it may write.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&[head.as_bytes(), &body].concat());
    }
}
