//! The nodes of the demo and what they are given to do.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use skep_engine::control::pool::{Limits, PoolNode};
use skep_engine::control::{Command, Control, Focus};
use skep_engine::engine::{Engine, EngineConfig, StartError};
use skep_engine::log::Logs;
use skep_engine::pool::PoolConfig;
use skep_engine::store::instance;
use skep_shaper::{Profile, Shaper};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hostile;
use super::load;
use super::program::Content;
use super::replicas::Placing;
use super::ship::{self, Ship};
use super::warehouse::Warehouse;
use super::weather::{Event, Journey, Weather};
use super::work::{Fetching, Pushing, Receiving, Tally, UPLINKS, Worker};

/// Sites besides the origin, and their links.
const SITES: [(&str, Profile); 4] = [
    ("site-oslo", Profile::BROADBAND),
    ("site-quito", Profile::BROADBAND),
    ("site-perth", Profile::FIBER),
    ("van-42", Profile::MOBILE),
];
/// What the origin shares first: name, bytes, small files in it (0: one file).
const CONTENTS: [(&str, usize, usize); 4] = [
    ("debian-13-amd64.img", 96 << 20, 0),
    ("imagenet-sample", 40 << 20, 600),
    ("nightly-backup.tar", 64 << 20, 0),
    ("model-q4.gguf", 128 << 20, 0),
];
/// Attempts to start a node on a port that was free a moment ago.
const ATTEMPTS: usize = 8;
/// Longest wait for a site to be heard of in the pool.
const HEARD: Duration = Duration::from_secs(60);
/// Which of the sites pushes to the node in the middle.
const VAN: usize = 3;

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No temporary folder, no socket, no space.
    #[error("the demo cannot be set up: {0}")]
    Io(#[from] io::Error),
    /// A node did not start.
    #[error("a node of the demo does not start: {0}")]
    Start(#[from] StartError),
    /// A node refused what it was told.
    #[error("a node of the demo refuses: {0}")]
    Refused(#[from] skep_engine::control::CommandError),
    /// A share was not ready in time.
    #[error("{0} was not hashed in time")]
    Slow(String),
}

/// A node and the link it is reached by.
struct Site {
    engine: Engine,
    link: Arc<Shaper>,
}

/// A fleet that runs.
pub struct Fleet {
    local: Engine,
    origin: Site,
    sites: Vec<Site>,
    ship: Site,
    vault: Engine,
    tally: Arc<Tally>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Of the contents that are there first those that everybody fetches by now.
    contents: watch::Receiver<usize>,
    // Last, so that it is removed after everything that lies in it has ended.
    folder: tempfile::TempDir,
}

impl Fleet {
    /// Starts everything; returns when the nodes are there. What they move is made and hashed from then on ([`Self::filled`]):
    /// who looks sees that, and does not wait for it.
    ///
    /// # Errors
    /// No room, no sockets.
    pub async fn start(seed: u64, logs: &Logs) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("skep-demo-").tempdir()?;
        let stop = CancellationToken::new();
        let alone = Pooling::default();
        let origin = site(folder.path(), "hive", Profile::FIBER, seed, &alone).await?;
        // One key makes a pool, and one node to ask for the others.
        let token = instance::own_token(&folder.path().join("hive").join("state"))?;
        let pooling = Pooling { token: Some(token), join: vec![origin.link.url()] };
        let mut sites = Vec::new();
        for (at, (name, profile)) in SITES.into_iter().enumerate() {
            sites.push(site(folder.path(), name, profile, seed + at as u64 + 1, &pooling).await?);
        }
        let ship = site(folder.path(), "ship-9", Profile::BROADBAND, seed + 50, &alone).await?;
        // All of them are one machine: its CPU tells none from another.
        let limits = Limits { connections: load::MOST, cpu_percent: 100.0, ..Limits::default() };
        let middle = EngineConfig {
            logs: logs.clone(),
            pool: PoolConfig { limits, ..PoolConfig::default() },
            ..pooling.of(config(folder.path(), "demo"))
        };
        let local = Engine::start(middle).await?;
        let vault = Engine::start(config(folder.path(), "vault")).await?;
        let mallory = hostile::start(address(origin.engine.url())?, stop.clone()).await?;
        let (tasks, tally) = (JoinSet::new(), Arc::default());
        let (there, contents) = watch::channel(0);
        let mut fleet = Self { local, origin, sites, ship, vault, tally, stop, tasks, contents, folder };
        fleet.work(seed, format!("http://{mallory}"), there).await?;
        fleet.let_it_rain(seed);
        Ok(fleet)
    }

    /// Gives everybody something to do: first what is there from the start, then without an end.
    async fn work(&mut self, seed: u64, mallory: String, there: watch::Sender<usize>) -> Result<(), DemoError> {
        let worker = |engine: &Engine, name: &str| Worker {
            control: engine.control(),
            root: self.folder.path().join(name).join("root"),
        };
        let source = self.folder.path().join("source");
        let (local, tally) = (worker(&self.local, "demo"), self.tally.clone());
        let sites: Vec<Worker> =
            self.sites.iter().zip(SITES).map(|(site, (name, _))| worker(&site.engine, name)).collect();
        let mut uplinks = Vec::new();
        for (at, profile) in UPLINKS.into_iter().enumerate() {
            uplinks.push(Shaper::start(address(self.vault.url())?, profile, seed + 20 + at as u64).await?);
        }
        let link = Shaper::start(address(self.local.url())?, Profile::MOBILE, seed + 30).await?;
        let first = Profile::MOBILE;
        let thin = Arc::new(Shaper::start(address(self.vault.url())?, first, seed + 40).await?);
        let warehouse = Warehouse {
            source: source.join("warehouse"),
            local: local.clone(),
            vault: worker(&self.vault, "vault"),
            link: Arc::clone(&thin),
            tally: tally.clone(),
        };
        let ship = Ship {
            source: source.join("for-ship"),
            local: local.clone(),
            ship: worker(&self.ship.engine, "ship-9"),
            link: self.ship.link.clone(),
            tally: tally.clone(),
        };
        let pushing = Pushing {
            source: source.join("to-vault"),
            local: local.clone(),
            vault: worker(&self.vault, "vault"),
            uplinks,
            tally: tally.clone(),
        };
        let placing = Placing { source: source.join("to-pool"), local: local.clone(), seed };
        let van = sites[VAN].clone();
        let receiving =
            Receiving { source: source.join("of-van"), van, local: local.clone(), link, tally: tally.clone() };
        let origin = worker(&self.origin.engine, "hive");
        let fetching = Fetching { source, origin, local, sites, mallory, tally, there };
        let mut rng = fastrand::Rng::with_seed(seed);
        let content =
            |(name, bytes, files): (&str, _, _)| Content { name: name.into(), bytes, files, seed: rng.u64(..) };
        let contents = CONTENTS.into_iter().map(content).collect();
        self.watch().await;
        self.list().await;
        let stop = &self.stop;
        // What everybody fetches heads the list: the rest begins once the first of it is there.
        let begun = |work: BoxFuture<'static, ()>| {
            let mut contents = self.contents.clone();
            stop.clone().run_until_cancelled_owned(async move {
                let _ = contents.wait_for(|count| *count > 0).await;
                work.await;
            })
        };
        let crowded =
            |(site, (name, _)): (&Site, (&'static str, Profile))| Some((name, address(site.engine.url()).ok()?));
        let crowded = self.sites.iter().zip(SITES).take(VAN).filter_map(crowded).collect();
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(load::come_and_go(crowded, seed)).map(drop));
        self.tasks.spawn(begun(placing.run().boxed()).map(drop));
        let drained = drain(self.local.control(), SITES[VAN].0);
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(drained).map(drop));
        let sea = ship::sail(self.ship.link.clone(), seed);
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(sea).map(drop));
        self.tasks.spawn(begun(ship.run(seed).boxed()).map(drop));
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(fetching.run(contents, seed)).map(drop));
        self.tasks.spawn(begun(pushing.run(seed).boxed()).map(drop));
        self.tasks.spawn(begun(receiving.run(seed).boxed()).map(drop));
        self.tasks.spawn(begun(warehouse.run(seed).boxed()).map(drop));
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(travel(thin, Journey::new(first, seed))).map(drop));
        Ok(())
    }

    /// The node in the middle watches the links of the ship, of the origin and of two sites.
    async fn watch(&self) {
        let sites = self.sites.iter().take(2);
        for site in sites.chain([&self.origin, &self.ship]) {
            let endpoint = site.link.url();
            if let Err(error) = self.local.control().command(Command::StartMonitor { endpoint }).await {
                return tracing::warn!("links are not watched: {error}");
            }
        }
    }

    /// Vault and ship are on the pool's list: they do not gossip.
    async fn list(&self) {
        let vault = PoolNode { name: "vault".into(), endpoint: self.vault.url().to_owned(), weight: Some(2.0) };
        let ship = PoolNode { name: "ship-9".into(), endpoint: self.ship.link.url(), weight: None };
        for node in [vault, ship] {
            if let Err(error) = self.local.control().command(Command::PoolAdd(node)).await {
                return tracing::warn!("the pool has no list: {error}");
            }
        }
    }

    /// Waits until what is there first is made, hashed and fetched by everybody.
    pub async fn filled(&self) {
        // Where its end is dropped the fleet stops, and nobody waits.
        let _ = self.contents.clone().wait_for(|count| *count == CONTENTS.len()).await;
    }

    /// What was done and is not listed any more.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The folder that everything lies in, and that goes with it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The node in the middle of it: what the console shows.
    pub fn control(&self) -> Arc<dyn Control> {
        self.local.control()
    }

    /// Lets the links change by the seed, from now on.
    fn let_it_rain(&mut self, seed: u64) {
        let links: Vec<_> = self.sites.iter().map(|site| site.link.clone()).collect();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut weather = Weather::new(links.len(), seed);
            loop {
                let (pause, link, event) = weather.next();
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                match event {
                    Event::Becomes(profile) => links[link].set(profile),
                    Event::Stalls(time) => links[link].stall(time),
                    Event::Breaks => links[link].reset(),
                }
                tracing::info!("the link of {} {event}", SITES[link].0);
            }
        });
    }

    /// Stops every node and removes everything.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let mut ending = JoinSet::new();
        ending.spawn(self.local.shutdown());
        ending.spawn(self.origin.engine.shutdown());
        ending.spawn(self.ship.engine.shutdown());
        ending.spawn(self.vault.shutdown());
        for site in self.sites {
            ending.spawn(site.engine.shutdown());
        }
        while ending.join_next().await.is_some() {}
    }
}

/// Lets a link become another one, again and again.
async fn travel(link: Arc<Shaper>, mut journey: Journey) {
    loop {
        let (pause, profile) = journey.next();
        tokio::time::sleep(pause).await;
        link.set(profile);
        tracing::info!("the link to the warehouse becomes {}", profile.name);
    }
}

/// The operator of the node in the middle takes a node out of use, as soon as it is heard of.
async fn drain(control: Arc<dyn Control>, name: &str) {
    let mut view = control.view(Focus::default());
    let is_there = view.snapshots.wait_for(|s| s.pool.nodes.iter().any(|row| *row.name == *name && row.available));
    if !matches!(tokio::time::timeout(HEARD, is_there).await, Ok(Ok(_))) {
        return tracing::warn!("{name} does not come to the pool");
    }
    if let Err(error) = control.command(Command::PoolDrain { name: name.to_owned(), on: true }).await {
        tracing::warn!("{name} is not drained: {error}");
    }
}

/// What a node needs to be in the pool; nothing: it is in none unless others call it.
#[derive(Default)]
struct Pooling {
    token: Option<String>,
    join: Vec<String>,
}

impl Pooling {
    fn of(&self, config: EngineConfig) -> EngineConfig {
        EngineConfig { token: self.token.clone(), join: self.join.clone(), ..config }
    }
}

fn config(folder: &Path, name: &str) -> EngineConfig {
    let own = folder.join(name);
    EngineConfig { name: name.into(), ..EngineConfig::new(own.join("state"), own.join("root")) }
}

/// A node that others reach through a shaped link only.
async fn site(folder: &Path, name: &str, profile: Profile, seed: u64, pooling: &Pooling) -> Result<Site, DemoError> {
    for attempt in 0.. {
        // The link's address is announced before the node listens, so its port is chosen first. Another
        // process may take it in between; then there is another port.
        let (tcp, udp) = free()?;
        let listen = tcp.local_addr()?;
        let link = Shaper::start(listen, profile, seed).await?;
        drop((tcp, udp));
        let advertise = Some(format!("http://{}", link.addr()));
        let config = EngineConfig { listen, advertise, ..pooling.of(config(folder, name)) };
        match Engine::start(config).await {
            Ok(engine) => return Ok(Site { engine, link: Arc::new(link) }),
            Err(StartError::Node(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the loop returns")
}

/// A port of loopback that is free for connections and datagrams: a node without these would be in no pool.
fn free() -> io::Result<(TcpListener, UdpSocket)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn address(url: &str) -> io::Result<SocketAddr> {
    let text = url.split_once("://").map_or(url, |(_, rest)| rest);
    text.trim_end_matches('/').parse().map_err(io::Error::other)
}
