//! Membership by gossip: each node tells a few others every 400 ms what it knows of all (Scuttlebutt reconciliation, van
//! Renesse et al., 2008, by the crate `chitchat`), over sealed datagrams ([`seal`](super::seal)).
//!
//! A node with nobody to join is silent until somebody with the pool's key calls. Each tells of itself, under these keys:
//!
//! | key | |
//! |---|---|
//! | `n` | its name |
//! | `e` | its endpoint's URL |
//! | `w` | its weight |
//! | `h` | `{"cpu_percent","memory_percent","active_connections","average_latency_ms","n"}`: how it is; n counts |
//! | `d` | the nodes that its operator drains, one per line |
//! | `c:ID` | a content that it holds whole: its bytes, the copies that the pool shall have of it (0: none of its business), its name |
//!
//! `alone` says when nobody answers, `pace` how much is told how often, `roster` whom digests have room for, `told` what a node tells of itself.

mod alone;
pub mod pace;
mod roster;
mod told;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::alone::Alone;
use self::pace::ROUND;
use self::told::{Readings, TooMuch};
pub use self::wire::Out;
use self::wire::{Sealed, Wire};
use super::book::Member;
use super::silence::{LOOK_MS, Silence};
use crate::content::name::printable;
use crate::control::BoxFuture;
use crate::control::pool::{Figures, Holding};

/// What is left of a member that is gone is kept for so long, and told for half of it, so that it is not taken for news. Each
/// restart leaves something: of one that crashes every second there are sixty at a time.
const FORGET: Duration = Duration::from_secs(120);
/// Heartbeats that are remembered of each node, for the crate's guess whom to gossip with.
const HEARTBEATS: usize = 32;
/// Pause before gossip that broke is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where datagrams of gossip come and go.
#[derive(Debug)]
pub struct Datagrams {
    /// To send by.
    pub out: Arc<dyn Out>,
    /// Those that came, with where from.
    pub inbox: mpsc::Receiver<(SocketAddr, Bytes)>,
}

/// Who gossips.
#[derive(Debug, Clone)]
pub struct Config {
    /// The pool's name: others are not heard.
    pub pool: String,
    /// This node's name.
    pub name: String,
    /// Its endpoint's URL.
    pub endpoint: String,
    /// Where others reach its socket.
    pub address: SocketAddr,
    /// Nodes to join, `HOST:PORT`.
    pub seeds: Vec<String>,
    /// Its weight on the ring.
    pub weight: f64,
    /// The clock that its starts are told apart by, in ms.
    pub clock: fn() -> u64,
}

/// What gossip asks of its node, and tells it.
pub trait Side: Send + Sync + 'static {
    /// How the node is.
    fn report(&self) -> BoxFuture<'_, Figures>;
    /// What it holds whole, by id.
    fn holds(&self) -> BTreeMap<String, Holding>;
    /// Whom its operator drains.
    fn drains(&self) -> Vec<Arc<str>>;
    /// Gossip goes on from now on.
    fn began(&self);
    /// Nobody of those to join was heard of for so many seconds.
    fn alone(&self, seeds: &[String], seconds: u64);
    /// Who is there now.
    fn members(&self, members: Vec<Member>);
}

/// Gossips until `stop`. `secret`: what the nodes of the pool share.
pub async fn run(config: Config, secret: &[u8], datagrams: Datagrams, side: Arc<dyn Side>, stop: CancellationToken) {
    let wire = match Wire::new(secret, datagrams) {
        Ok(wire) => Arc::new(wire),
        Err(why) => {
            tracing::error!(target: "pool", "no gossip: {why}");
            return;
        }
    };
    if config.seeds.is_empty() {
        let called = tokio::select! {
            () = stop.cancelled() => None,
            message = wire.message() => message,
        };
        if called.is_none() {
            return;
        }
    }
    while !stop.is_cancelled() {
        side.began();
        let Err(why) = live(&config, &wire, &*side, &stop).await else { return };
        tracing::error!(target: "pool", "gossip broke, and begins again: {}", printable(&why.to_string()));
        side.members(Vec::new());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// One life of gossip: until `stop`, or an error.
async fn live(config: &Config, wire: &Arc<Wire>, side: &dyn Side, stop: &CancellationToken) -> anyhow::Result<()> {
    let id = ChitchatId {
        // Its name would be in every digest: it is told as a key.
        node_id: String::new(),
        // Restarts are told apart by it: the later one counts.
        generation_id: (config.clock)(),
        gossip_advertise_addr: config.address,
    };
    let chitchat = ChitchatConfig {
        chitchat_id: id.clone(),
        cluster_id: config.pool.clone(),
        gossip_interval: ROUND,
        listen_addr: config.address,
        seed_nodes: config.seeds.clone(),
        // Whom it takes for alive decides whom it gossips with; who is in the pool is decided by `silence`.
        failure_detector_config: FailureDetectorConfig {
            initial_interval: ROUND * 2,
            max_interval: Duration::from_secs(3),
            dead_node_grace_period: FORGET,
            sampling_window_size: HEARTBEATS,
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: FORGET,
        catchup_callback: None,
        extra_liveness_predicate: None,
    };
    let own = [("n", config.name.clone()), ("e", config.endpoint.clone()), ("w", config.weight.to_string())];
    let own = own.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let handle = spawn_chitchat(chitchat, own, &Sealed(wire.clone())).await?;
    let ended = handle.termination_watcher();
    tokio::select! {
        () = stop.cancelled() => {}
        ended = ended => return ended.and_then(|()| Err(anyhow::anyhow!("it stopped by itself"))),
        why = tend(&handle, &id, &config.seeds, side) => {
            handle.shutdown().await?;
            return Err(why.into());
        }
    }
    handle.shutdown().await
}

/// Tells of this node and looks who is there, until somebody tells too much.
async fn tend(handle: &ChitchatHandle, own: &ChitchatId, seeds: &[String], side: &dyn Side) -> TooMuch {
    let began = Instant::now();
    let (mut silence, mut readings) = (Silence::default(), Readings::default());
    let mut look = tokio::time::interval(Duration::from_millis(LOOK_MS));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut asked, mut reported, mut reports) = (None::<Instant>, None::<(Instant, Figures)>, 0);
    let (mut told, mut nodes, mut alone) = (Vec::new(), 1, Alone::default());
    let chitchat = handle.chitchat();
    loop {
        look.tick().await;
        let mut due = None;
        if asked.is_none_or(|at| at.elapsed() >= pace::report_after(nodes)) {
            asked = Some(Instant::now());
            let now = side.report().await;
            let is_due = |(at, before): &(Instant, Figures)| pace::is_due(before, &now, at.elapsed());
            due = reported.as_ref().is_none_or(is_due).then_some(now);
        }
        let (holds, drains) = (side.holds(), side.drains());
        let mut chitchat = chitchat.lock().await;
        if let Some(figures) = due {
            (reported, reports) = (Some((Instant::now(), figures)), reports + 1);
            chitchat.self_node_state().set("h", told::report(figures, reports));
        }
        told::tell(chitchat.self_node_state(), &holds, &drains);
        nodes = chitchat.node_states().len();
        let now = began.elapsed().as_millis() as u64;
        let members = match members(&chitchat, own, &mut silence, &mut readings, now) {
            Ok(members) => members,
            Err(why) => return why,
        };
        drop(chitchat);
        // Who has nobody to join only waits to be called.
        if !seeds.is_empty()
            && let Some(seconds) = alone.look(members.len().saturating_sub(1), now)
        {
            side.alone(seeds, seconds);
        }
        if members != told {
            told.clone_from(&members);
            side.members(members);
        }
    }
}

/// Who is there: this node and those whose heartbeat grows.
fn members(
    chitchat: &Chitchat,
    own: &ChitchatId,
    silence: &mut Silence<ChitchatId>,
    readings: &mut Readings,
    now: u64,
) -> Result<Vec<Member>, TooMuch> {
    let states = chitchat.node_states();
    let others = states.iter().filter(|(id, _)| *id != own);
    let heartbeats = others.map(|(id, state)| (id.clone(), state.heartbeat().into()));
    let there = silence.look(heartbeats, now, pace::silent_ms(states.len()));
    readings.retain(|id| states.contains_key(id));
    let mut members = Vec::with_capacity(there.len() + 1);
    for id in there.iter().chain([own]) {
        let Some(state) = states.get(id) else { continue };
        members.extend(readings.member(id, state)?);
    }
    Ok(members)
}

#[cfg(test)]
mod net;
#[cfg(test)]
mod tests;
