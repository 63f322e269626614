//! Membership by gossip: each node tells a few others every 400 ms what it knows of all (Scuttlebutt reconciliation, van
//! Renesse et al., 2008, by the crate `chitchat`), over sealed datagrams ([`seal`](super::seal)).
//!
//! A node with nobody to join is silent until somebody with the pool's key calls. Each tells of itself, under these keys:
//!
//! | key | |
//! |---|---|
//! | `e` | its endpoint's URL |
//! | `w` | its weight |
//! | `h` | `{"cpu_percent","memory_percent","active_connections","average_latency_ms","n"}`: how it is, every 5 s; n counts |
//! | `d` | the nodes that its operator drains, one per line |
//! | `c:ID` | a content that it holds whole: its bytes, the copies that the pool shall have of it (0: none of its business), its name |

mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, spawn_chitchat,
};
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::wire::{Sealed, Wire};
use super::book::Member;
use super::replica::MAX_REPLICAS;
use super::silence::{LOOK_MS, Silence};
use crate::clock::unix_ms;
use crate::content::name::printable;
use crate::control::BoxFuture;
use crate::control::pool::{Figures, Holding, MAX_NAME};

/// Time between two rounds.
const ROUND: Duration = Duration::from_millis(400);
/// Time between two reports of how this node is.
const REPORT: Duration = Duration::from_secs(5);
/// What is left of a member that is gone is told for so long, so that it is not taken for news.
const FORGET: Duration = Duration::from_secs(600);
/// Contents that a node tells of, and that are taken from one.
const MAX_HOLDS: usize = 1_024;
/// Characters of a content's name that are told.
const MAX_CONTENT_NAME: usize = 80;
/// Nodes that a node may drain.
const MAX_DRAINS: usize = 64;
/// Longest URL taken, in bytes.
const MAX_URL: usize = 512;
/// Pause before gossip that broke is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where datagrams of gossip come and go.
#[derive(Debug)]
pub struct Datagrams {
    /// To send by.
    pub socket: Arc<UdpSocket>,
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
    /// Who is there now.
    fn members(&self, members: Vec<Member>);
}

#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    n: u64,
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
        node_id: config.name.clone(),
        // Restarts are told apart by it: the later one counts.
        generation_id: unix_ms(),
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
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: FORGET,
        catchup_callback: None,
        extra_liveness_predicate: None,
    };
    let own = vec![("e".to_owned(), config.endpoint.clone()), ("w".to_owned(), config.weight.to_string())];
    let handle = spawn_chitchat(chitchat, own, &Sealed(wire.clone())).await?;
    let ended = handle.termination_watcher();
    tokio::select! {
        () = stop.cancelled() => {}
        ended = ended => return ended.and_then(|()| Err(anyhow::anyhow!("it stopped by itself"))),
        never = tend(&handle, &id, side) => match never {},
    }
    handle.shutdown().await
}

/// Tells of this node and looks who is there, for ever.
async fn tend(handle: &ChitchatHandle, own: &ChitchatId, side: &dyn Side) -> std::convert::Infallible {
    let began = Instant::now();
    let mut silence = Silence::default();
    let mut look = tokio::time::interval(Duration::from_millis(LOOK_MS));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut reported, mut reports, mut told) = (None::<Instant>, 0, Vec::new());
    let chitchat = handle.chitchat();
    loop {
        look.tick().await;
        let figures = match reported {
            Some(at) if at.elapsed() < REPORT => None,
            _ => Some(side.report().await),
        };
        let (holds, drains) = (side.holds(), side.drains());
        let mut chitchat = chitchat.lock().await;
        if let Some(figures) = figures {
            (reported, reports) = (Some(Instant::now()), reports + 1);
            let report = serde_json::to_string(&Report { figures, n: reports }).unwrap_or_default();
            chitchat.self_node_state().set("h", report);
        }
        tell(chitchat.self_node_state(), &holds, &drains);
        let members = members(&chitchat, own, &mut silence, began.elapsed().as_millis() as u64);
        drop(chitchat);
        if members != told {
            told.clone_from(&members);
            side.members(members);
        }
    }
}

/// Brings what is told of this node up to date.
fn tell(state: &mut NodeState, holds: &BTreeMap<String, Holding>, drains: &[Arc<str>]) {
    let drained = drains.iter().take(MAX_DRAINS).map(|name| &**name).collect::<Vec<_>>().join("\n");
    state.set("d", drained);
    let told: Vec<String> =
        state.key_values().filter_map(|(key, _)| Some(key.strip_prefix("c:")?.to_owned())).collect();
    let wanted: BTreeMap<&String, &Holding> = holds.iter().take(MAX_HOLDS).collect();
    for gone in told.iter().filter(|id| !wanted.contains_key(id)) {
        state.delete(&format!("c:{gone}"));
    }
    for (id, Holding { bytes, replicas, name }) in wanted {
        let name: String = name.chars().take(MAX_CONTENT_NAME).collect();
        state.set(format!("c:{id}"), format!("{bytes} {replicas} {name}"));
    }
}

/// Who is there: this node and those whose heartbeat grows.
fn members(chitchat: &Chitchat, own: &ChitchatId, silence: &mut Silence<ChitchatId>, now: u64) -> Vec<Member> {
    let states = chitchat.node_states();
    let others = states.iter().filter(|(id, _)| *id != own);
    let there = silence.look(others.map(|(id, state)| (id.clone(), state.heartbeat().into())), now);
    let all = there.iter().chain([own]);
    all.filter_map(|id| member(id, states.get(id)?)).collect()
}

/// A member as it tells of itself. What it tells comes from outside: what is no name, no URL or too long is left out.
fn member(id: &ChitchatId, state: &NodeState) -> Option<Member> {
    let name = id.node_id.as_str();
    let endpoint = state.get("e")?;
    let is_url = (endpoint.starts_with("http://") || endpoint.starts_with("https://")) && endpoint.len() <= MAX_URL;
    if !is_url || printable(endpoint) != endpoint || !is_name(name) {
        return None;
    }
    let report: Option<Report> = state.get("h").and_then(|text| serde_json::from_str(text).ok());
    let holds = state.key_values().filter_map(|(key, text)| {
        let id = key.strip_prefix("c:").filter(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some((id.to_owned(), holding(text)?))
    });
    let drains = state.get("d").unwrap_or_default().lines().filter(|name| is_name(name)).take(MAX_DRAINS);
    Some(Member {
        name: name.into(),
        address: id.gossip_advertise_addr.to_string(),
        endpoint: endpoint.to_owned(),
        weight: state.get("w").and_then(|weight| weight.parse().ok()).unwrap_or(1.0),
        generation: id.generation_id,
        figures: report.as_ref().map(|report| report.figures),
        report: report.map_or(0, |report| report.n),
        drains: drains.map(Arc::from).collect(),
        holds: holds.take(MAX_HOLDS).collect(),
    })
}

/// `BYTES REPLICAS NAME`
fn holding(text: &str) -> Option<Holding> {
    let mut parts = text.splitn(3, ' ');
    let (bytes, replicas) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let name = parts.next().unwrap_or_default().chars().take(MAX_CONTENT_NAME).collect::<String>();
    Some(Holding { bytes, replicas: u32::min(replicas, MAX_REPLICAS), name: printable(&name) })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= MAX_NAME && name.trim() == name && printable(name) == name
}
