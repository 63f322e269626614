//! Putting an engine together, from its config to its running tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::commands::Core;
use super::config::{EngineConfig, StartError};
use super::delta_strategy::DeltaStrategy;
use super::figures::{Figures, Scraped};
use super::gossiping::Gossiping;
use super::links::Links;
use super::pooling::Pool;
use super::publisher::Publisher;
use super::push_strategy::{ChunkedStrategy, MultipathStrategy};
use super::queueing::{self, Queueing};
use super::receiving::Watcher;
use super::replicating::{Keeper, PoolStrategy, repair};
use super::scheduled;
use super::services::Services;
use super::shared::Bell;
use super::strategy::Strategies;
use super::swarm_strategy::SwarmStrategy;
use super::sync_job::SyncStrategy;
use super::turns::Gate;
use super::{Engine, EngineControl};
use crate::clock::unix_ms;
use crate::control::{NodeRow, TransferId};
use crate::node::{self, Node, NodeConfig, Token};
use crate::store::instance::{self, Instance};
use crate::store::{Chosen, JobRecord, Phase, PushRecord, State, StateError};
use crate::swarm::{Bans, Catalog, ChokerConfig, Client, LeechConfig, Swarm, here};
use crate::sync::behind::Behind;
use crate::sync::receive::Trees;
use crate::throttle::Throttle;
use crate::throttle::links::LinkLimits;
use crate::upload::Uploads;

/// Manifests and hashes of paths that are forgotten at one start: a start must not take long.
const PURGED: usize = 1_000;

/// Starts everything on an open state.
pub(super) async fn start(config: EngineConfig, state: Arc<State>, own_token: String) -> Result<Engine, StartError> {
    config.link.check()?;
    let token = config.token.clone().unwrap_or(own_token);
    let catalog = Arc::new(Catalog::default());
    let chosen = state.limits()?;
    let throttle_up = Arc::new(Throttle::new(Chosen::over(chosen.up, config.limits.up)));
    let throttle_down = Arc::new(Throttle::new(Chosen::over(chosen.down, config.limits.down)));
    let scraped = Arc::new(Scraped::default());
    let uploads = Uploads::load(&config.root, state.clone(), config.limits.uploads, throttle_down.clone())?;
    let uploads = Arc::new(uploads);
    let root_failed = |source| StartError::Folder { what: "root", path: config.root.clone(), source };
    let trees = Arc::new(Trees::open(&config.root).map_err(root_failed)?);
    let (bans_changed, bans_bell) = mpsc::channel(1);
    let bans = Arc::new(Bans::new(state.bans()?, bans_changed));
    let behind = Arc::new(Behind::open(state.clone())?);
    let services = node::Services {
        catalog: catalog.clone(),
        bans: bans.clone(),
        up: throttle_up.clone(),
        figures: scraped.clone(),
        uploads: Some(uploads.clone()),
        trees: Some(trees.clone()),
        behind: Some(behind.clone()),
        replicas: Arc::default(),
    };
    let keeps = services.replicas.clone();
    let mut node = bind(&config, &token, services).await?;
    let (listen, advertise) = (node.local_addr(), config.advertise.as_deref());
    let url = format!("http://{}", here::local(listen));
    let announced = here::announced(listen, advertise);
    let way_out = here::way_out();
    let linked = here::linked(listen, advertise, way_out);
    if listen.ip().is_unspecified() && advertise.is_none() {
        match way_out {
            Some(ip) => tracing::info!(%ip, "links name this address; --advertise sets another"),
            None => tracing::warn!("links name loopback, since this machine has no way out: set --advertise"),
        }
    }

    let swarm = Arc::new(Swarm {
        client: Arc::new(Client::new(config.token.as_deref(), Some(&announced))?),
        catalog,
        bans,
        endpoint: Some(announced),
        leech: LeechConfig {
            in_flight: config.limits.in_flight,
            piece_timeout: config.limits.piece_timeout,
            ..LeechConfig::default()
        },
        choker: ChokerConfig { slots: config.limits.upload_slots, trusted: config.trusted, ..ChokerConfig::default() },
        hash_failures: Default::default(),
    });
    let bell = Arc::new(Bell::default());
    let ring = config.logs.ring(&config.name);
    let span = ring.span();
    let (stop, background) = (CancellationToken::new(), TaskTracker::new());
    let headers = swarm.client.node_headers().clone();
    let links_limited = Arc::new(LinkLimits::of(config.limits.schedule.links()));
    let pool =
        Pool::open(&config.pool, &config.name, swarm.client.node_headers().clone(), state.clone(), bell.clone())?;
    let links = Links::new(
        config.link.clone(),
        links_limited.clone(),
        headers,
        state.clone(),
        bell.clone(),
        span.clone(),
        (stop.child_token(), background.clone()),
    );
    let services = Arc::new(Services {
        state: state.clone(),
        swarm: swarm.clone(),
        uploads: uploads.clone(),
        root: config.root.clone(),
        name: config.name.clone(),
        url: linked.clone(),
        trackers: config.trackers.clone(),
        join: config.join.clone(),
        places: Gate::new(config.limits.max_transfers),
        copy_places: Gate::new(config.limits.max_transfers),
        throttle_up: throttle_up.clone(),
        throttle_down: throttle_down.clone(),
        links_limited,
        configured: (config.limits.up, config.limits.down),
        bell: bell.clone(),
        links: links.clone(),
        pool: pool.clone(),
        pace: config.pace,
    });
    let fixed = NodeRow {
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        endpoint: linked,
        root: config.root.display().to_string(),
        pid: std::process::id(),
        started_ms: unix_ms(),
        ..NodeRow::default()
    };
    let (connections, datagrams, reporter) = (node.connections(), node.gossip(), node.reporter());
    let places = services.places.clone();
    let received = uploads.clone();
    let (queueing, ends) = Queueing::new();
    let figures = Figures {
        fixed,
        swarm: swarm.clone(),
        received,
        connections,
        throttle_up,
        throttle_down,
        places,
        links: links.clone(),
        queue: queueing.view.clone(),
        pool: pool.clone(),
    };
    let ring = config.logs.ring(&config.name);
    let span = ring.span();
    let core = Arc::new(Core {
        services,
        publisher: Arc::new(Publisher::new(bell, ring, Box::new(figures))),
        strategies: Arc::new(Strategies::new(vec![
            Arc::new(PoolStrategy),
            Arc::new(SwarmStrategy),
            Arc::new(DeltaStrategy),
            Arc::new(MultipathStrategy),
            Arc::new(ChunkedStrategy),
            Arc::new(SyncStrategy),
        ])),
        logs: config.logs.clone(),
        span: span.clone(),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
        handles: Mutex::new(BTreeMap::new()),
        queueing,
        adding: tokio::sync::Mutex::default(),
    });
    let _ = scraped.0.set(Arc::downgrade(&core));
    let _ = keeps.set(Arc::new(Keeper(Arc::downgrade(&core))));
    resume(&core, &state, config.resume)?;
    let queue = queueing::Setup {
        ends,
        limits: config.limits.queue,
        links: config.links.clone().unwrap_or_else(|| links.clone()),
        places: config.limits.max_transfers,
        go_on: config.resume,
        behind,
    };
    queueing::start(&core, queue)?;

    links.take_up(state.links()?);
    let control = Arc::new(EngineControl { core: core.clone() });
    let rpc = crate::rpc::router(control.clone(), control, stop.clone());
    let (serving, received) = (node.run(rpc, stop.clone()), uploads.clone());
    let serving = async move {
        serving.await;
        received.settle().await;
    };
    background.spawn(serving.instrument(span.clone()));
    background.spawn(core.publisher.clone().run(stop.clone()));
    background.spawn(Watcher::new(uploads.clone(), core.publisher.clone(), config.root.clone()).run(stop.clone()));
    background.spawn(uploads.run(stop.clone()).instrument(span.clone()));
    background.spawn(keep_bans(swarm, state, bans_bell, stop.clone()).instrument(span.clone()));
    background.spawn(tend(links, Arc::downgrade(&core), stop.clone()));
    if let Some(datagrams) = datagrams {
        let gossiping = Gossiping {
            pool: pool.clone(),
            reporter,
            catalog: core.services.swarm.catalog.clone(),
            listen,
            token,
            weight: config.pool.weight,
        };
        let told = gossiping.run(datagrams, core.services.clone(), stop.clone());
        background.spawn(told.instrument(span.clone()));
    }
    background.spawn(pool.run(stop.clone()).instrument(span.clone()));
    if config.resume {
        let repairing = repair(Arc::downgrade(&core), config.pool.repair, stop.clone());
        background.spawn(repairing.instrument(span.clone()));
    }
    background.spawn(trees.keep_tidy(stop.clone()));
    let (schedule, services) = (config.limits.schedule.clone(), core.services.clone());
    background.spawn(scheduled::run(schedule, services, stop.clone()).instrument(span));
    let note = Instance { url: url.clone(), pid: std::process::id(), token_file: token_file(&config) };
    instance::leave(&config.state_dir, &note).map_err(|source| StartError::Folder {
        what: "state",
        path: config.state_dir.clone(),
        source,
    })?;
    Ok(Engine { core, url, state_dir: config.state_dir, stop, background })
}

fn token_file(config: &EngineConfig) -> std::path::PathBuf {
    config.token_file.clone().unwrap_or_else(|| instance::token_file(&config.state_dir))
}

async fn bind(config: &EngineConfig, token: &str, services: node::Services) -> Result<Node, StartError> {
    // The state folder's own token guards `/rpc`; only one that was set on purpose opens more than
    // loopback.
    let shared = config.token.is_some();
    if !config.listen.ip().is_loopback() && !shared && !config.public {
        return Err(StartError::NoToken(config.listen));
    }
    let limits = node::Limits { connections: config.limits.max_connections, ..node::Limits::default() };
    let node_config = NodeConfig {
        name: config.name.clone(),
        listen: config.listen,
        token: Some(Token::new(token).map_err(|e| StartError::Token(e.to_string()))?),
        public: config.public,
        joins: !config.join.is_empty(),
        limits,
    };
    Ok(Node::bind(node_config, services).await?)
}

/// Brings back every transfer that was recorded. `go_on`: those that were at work start again.
fn resume(core: &Arc<Core>, state: &State, go_on: bool) -> Result<(), StartError> {
    let (records, unreadable) = state.transfers()?;
    let all_known = unreadable.is_empty();
    for id in unreadable {
        tracing::error!(transfer = id.0, "its record cannot be read: it is left alone");
    }
    // What an unreadable record uses is not known.
    if all_known && state.purge(&records, PURGED)? > 0 {
        tracing::debug!("what no transfer uses was forgotten");
    }
    for mut record in records {
        if !go_on {
            // In memory only: the next node that goes on with everything goes on with these too.
            let is_fetch = matches!(record.job, JobRecord::Fetch(_));
            record.seeding &= !is_fetch || record.phase != Phase::Complete;
            if record.phase == Phase::Active {
                record.phase = Phase::Paused;
            }
        }
        // What a row shows of a transfer that does not run; a job shows it anew when it does.
        let found = record.content.and_then(|id| state.manifest(&id).ok().flatten());
        let have = found.as_ref().and_then(|m| state.bitmap(record.id, m.piece_count()).ok().flatten());
        let complete = record.phase == Phase::Complete;
        let pushed = match &record.job {
            JobRecord::Send(_) => pushed(state, record.id).ok().flatten(),
            _ => None,
        };
        let shared = core.spawn(record);
        if let Some((push, done, segments)) = pushed {
            shared.update(|row| {
                (row.size, row.files, row.pieces) =
                    (push.bytes, push.count, push.bytes.div_ceil(push.segment.max(1)) as u32);
                row.segment = push.segment;
                (row.done, row.pieces_done) = if complete { (row.size, row.pieces) } else { (done, segments) };
            });
        }
        if let Some(manifest) = found {
            shared.update(|row| {
                (row.size, row.pieces) = (manifest.size(), manifest.piece_count());
                row.files = manifest.files.len() as u64;
                (row.done, row.pieces_done) = match have {
                    _ if complete => (row.size, row.pieces),
                    Some(have) => (super::bytes_of(&manifest, &have), have.count()),
                    None => (0, 0),
                };
            });
        }
    }
    Ok(())
}

/// What a push sends, and how many bytes and segments of it were acknowledged.
fn pushed(state: &State, id: TransferId) -> Result<Option<(PushRecord, u64, u32)>, StateError> {
    let Some(push) = state.push_figures(id)? else { return Ok(None) };
    let sent = state.sent(id)?;
    let length = |segment: u32| (push.bytes - (u64::from(segment) * push.segment).min(push.bytes)).min(push.segment);
    let done = sent.iter().map(|(segment, _)| length(*segment)).sum();
    Ok(Some((push, done, sent.len() as u32)))
}

/// Has the links that transfers use monitored.
async fn tend(links: Arc<Links>, core: std::sync::Weak<Core>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(super::links::TEND) => {}
        }
        let Some(core) = core.upgrade() else { return };
        links.tend(&core.rows());
    }
}

/// Writes the ban list whenever it has changed.
async fn keep_bans(swarm: Arc<Swarm>, state: Arc<State>, mut bell: mpsc::Receiver<()>, stop: CancellationToken) {
    loop {
        let last = tokio::select! {
            () = stop.cancelled() => true,
            rung = bell.recv() => rung.is_none(),
        };
        let (rows, state) = (swarm.bans.rows(), state.clone());
        let kept = tokio::task::spawn_blocking(move || state.put_bans(&rows)).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(%error, "bans not recorded");
        }
        if last {
            return;
        }
    }
}
