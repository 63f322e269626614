//! The nodes of the demo and what they are given to do.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skep_engine::control::{AddTransfer, Command, Control, Focus, Reply, ShareRequest, TransferId, TransferState};
use skep_engine::engine::{Engine, EngineConfig, StartError};
use skep_engine::log::Logs;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hostile;
use super::shaper::{Profile, Shaper};
use super::weather::{Event, Weather};

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
/// Longest wait for a share to be hashed.
const HASHING: Duration = Duration::from_secs(120);

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
    Slow(&'static str),
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
    stop: CancellationToken,
    tasks: JoinSet<()>,
    // Last, so that it is removed after everything that lies in it has ended.
    folder: tempfile::TempDir,
}

impl Fleet {
    /// Starts everything; returns when transfers are under way.
    ///
    /// # Errors
    /// No room, no sockets.
    pub async fn start(seed: u64, logs: &Logs) -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new().prefix("skep-demo-").tempdir()?;
        let stop = CancellationToken::new();
        let origin = site(folder.path(), "hive", Profile::FIBER, seed, &Logs::default()).await?;
        let mut sites = Vec::new();
        for (at, (name, profile)) in SITES.into_iter().enumerate() {
            sites.push(site(folder.path(), name, profile, seed + at as u64 + 1, &Logs::default()).await?);
        }
        let config = EngineConfig { logs: logs.clone(), ..config(folder.path(), "demo") };
        let local = Engine::start(config).await?;
        let mallory = hostile::start(address(origin.engine.url())?, stop.clone()).await?;
        let (mut fleet, mut rng) =
            (Self { local, origin, sites, stop, tasks: JoinSet::new(), folder }, fastrand::Rng::with_seed(seed));
        for (name, bytes, files) in CONTENTS {
            let path = fleet.folder.path().join("source").join(name);
            let content_seed = rng.u64(..);
            tokio::task::spawn_blocking(move || make_content(&path, bytes, files, content_seed))
                .await
                .map_err(io::Error::other)??;
            fleet.distribute(name, format!("http://{mallory}")).await?;
        }
        fleet.let_it_rain(seed);
        Ok(fleet)
    }

    /// The folder that everything lies in, and that goes with it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The node in the middle of it: what the console shows.
    pub fn control(&self) -> Arc<dyn Control> {
        self.local.control()
    }

    /// The origin shares it; everybody fetches it.
    async fn distribute(&self, name: &'static str, mallory: String) -> Result<(), DemoError> {
        let origin = self.origin.engine.control();
        let path = self.folder.path().join("source").join(name);
        let reply = origin.command(Command::Share(ShareRequest { path, ..ShareRequest::default() })).await?;
        let Reply::Added { ids, .. } = reply else { return Err(DemoError::Slow(name)) };
        let link = link_of(&origin, ids[0]).await.ok_or(DemoError::Slow(name))?;
        for site in &self.sites {
            let request = AddTransfer { link: link.clone(), seed: true, ..AddTransfer::default() };
            site.engine.control().command(Command::Add(request)).await?;
        }
        let request = AddTransfer { link, peers: vec![mallory], seed: true, ..AddTransfer::default() };
        self.local.control().command(Command::Add(request)).await?;
        Ok(())
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
        for site in self.sites {
            ending.spawn(site.engine.shutdown());
        }
        while ending.join_next().await.is_some() {}
    }
}

fn config(folder: &Path, name: &str) -> EngineConfig {
    let own = folder.join(name);
    EngineConfig { name: name.into(), ..EngineConfig::new(own.join("state"), own.join("root")) }
}

/// A node that others reach through a shaped link only.
async fn site(folder: &Path, name: &str, profile: Profile, seed: u64, logs: &Logs) -> Result<Site, DemoError> {
    for attempt in 0.. {
        // The link's address is announced before the node listens, so its port is chosen first. Another
        // process may take it in between; then there is another port.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let link = Shaper::start(listen, profile, seed).await?;
        let advertise = Some(format!("http://{}", link.addr()));
        let config = EngineConfig { listen, advertise, logs: logs.clone(), ..config(folder, name) };
        match Engine::start(config).await {
            Ok(engine) => return Ok(Site { engine, link: Arc::new(link) }),
            Err(StartError::Node(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the loop returns")
}

fn address(url: &str) -> io::Result<SocketAddr> {
    let text = url.split_once("://").map_or(url, |(_, rest)| rest);
    text.trim_end_matches('/').parse().map_err(io::Error::other)
}

/// The share's link, once it is hashed.
async fn link_of(control: &Arc<dyn Control>, id: TransferId) -> Option<String> {
    let mut view = control.view(Focus::default());
    let ready = view.snapshots.wait_for(|snapshot| {
        snapshot.transfers.iter().any(|row| row.id == id && row.state == TransferState::Seeding && row.link.is_some())
    });
    let snapshot = tokio::time::timeout(HASHING, ready).await.ok()?.ok()?.clone();
    snapshot.transfers.iter().find(|row| row.id == id)?.link.clone()
}

/// Writes content that is random but the same for the same seed.
fn make_content(path: &Path, bytes: usize, files: usize, seed: u64) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let write = |path: &Path, mut left: usize, rng: &mut fastrand::Rng| -> io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let part = &mut buffer[..left.min(1 << 20)];
            rng.fill(part);
            file.write_all(part)?;
            left -= part.len();
        }
        Ok(())
    };
    if files == 0 {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        return write(path, bytes, &mut rng);
    }
    for at in 0..files {
        let folder = path.join(format!("n{:02}", at % 20));
        std::fs::create_dir_all(&folder)?;
        let size = rng.usize(bytes / files / 2..bytes / files * 3 / 2);
        write(&folder.join(format!("{at:05}.jpg")), size, &mut rng)?;
    }
    Ok(())
}
