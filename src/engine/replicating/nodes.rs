//! The nodes that a content is sent to: asked to keep a copy, watched until they have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;

use crate::content::name::printable;
use crate::content::{Bitmap, Manifest};
use crate::control::pool::Balancer;
use crate::engine::fetch_job::is_taken;
use crate::engine::pooling::Pool;
use crate::engine::strategy::{Job, JobError};
use crate::pool::book::BookError;
use crate::pool::replica::{OrderOut, ReplicaState};
use crate::push::paths::PathSpec;
use crate::push::retry::Pace;
use crate::push::wire::{Standing, Wire, WireError};

/// A node that does not answer for so long is lost for this push.
const LOST: Duration = Duration::from_secs(8);
/// Nodes that are asked at most whether they have some of it.
const MAX_ASKED: usize = 64;
/// Who was left out is asked again after this; who was silent, sooner: it may be our own link that was gone.
const FORGIVEN: Duration = Duration::from_secs(30);
const FORGIVEN_SILENCE: Duration = Duration::from_secs(5);
/// Others have all of it, and a copy does not grow for so long: it is sent what it lacks, and left out if that does not help.
const HELPED_AFTER: Duration = Duration::from_secs(30);
const HOPELESS_AFTER: Duration = Duration::from_secs(300);
/// As long may a copy wait for its turn there.
const TURN_AFTER: Duration = Duration::from_secs(600);

/// A node that keeps a copy, or is to.
#[derive(Debug, Clone)]
pub(super) struct Keeping {
    pub name: Arc<str>,
    pub spec: PathSpec,
    pub wire: Arc<Wire>,
    /// Pieces that it has.
    pub count: u32,
    pub is_whole: bool,
    answered: Instant,
    /// When it had more than before.
    grew: Instant,
}

/// What the nodes said when they were asked how their copies stand.
pub(super) type Answers = Vec<(Arc<str>, Result<Standing, WireError>)>;

/// A node that is left out.
struct Out {
    since: Instant,
    why: String,
    is_silent: bool,
}

/// What a look at the nodes found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All have all.
    Whole,
    /// They get there.
    Growing,
    /// One of them is out.
    Changed,
}

/// The nodes of one push.
pub(super) struct Nodes {
    pool: Arc<Pool>,
    key: String,
    wanted: usize,
    balancer: Balancer,
    /// Nodes that had some of it before, where chance chooses.
    before: BTreeSet<Arc<str>>,
    pub all: Vec<Keeping>,
    pace: Pace,
    /// Endpoints of those who were asked to keep a copy.
    pub asked: BTreeSet<String>,
    out: BTreeMap<Arc<str>, Out>,
}

impl Nodes {
    /// `asked`: who was asked in an earlier run.
    pub(super) fn new(job: &Job, key: String, wanted: usize, balancer: Balancer, asked: &[String]) -> Self {
        let (pool, pace) = (job.services.pool.clone(), job.services.pace);
        let (before, asked) = (BTreeSet::new(), asked.iter().cloned().collect());
        Self { pool, key, wanted, balancer, before, all: Vec::new(), pace, asked, out: BTreeMap::new() }
    }

    /// Finds out who has some of it from an earlier try: by the key the same nodes are named again, by chance they are not.
    pub(super) async fn find_before(&mut self, job: &Job) {
        if self.balancer == Balancer::ConsistentHash {
            return;
        }
        let all = self.pool.by_health(&self.key).unwrap_or_default();
        let asking = all.iter().take(MAX_ASKED).map(async |(name, endpoint)| {
            let wire = wire(job, &spec(endpoint), "").ok()?;
            let standing = wire.standing(&self.key, false).await.ok()?;
            let counts = matches!(standing.state, ReplicaState::Waiting | ReplicaState::Fetching | ReplicaState::Whole);
            counts.then(|| name.clone())
        });
        self.before = join_all(asking).await.into_iter().flatten().collect();
    }

    /// Nodes to ask, the first ones first.
    fn candidates(&self) -> Result<Vec<(Arc<str>, String)>, BookError> {
        let mut among = match self.balancer {
            Balancer::ConsistentHash => self.pool.nodes_for(&self.key, self.wanted + self.out.len()),
            Balancer::ResourceAware => self.pool.by_health(&self.key),
        }?;
        among.sort_by_key(|(name, _)| !self.before.contains(name));
        Ok(among)
    }

    /// So many copies are still without a node.
    pub(super) fn lacking(&self) -> usize {
        self.wanted.saturating_sub(self.all.len())
    }

    /// Who is left out and why, in words.
    pub(super) fn left_out(&self) -> String {
        let each = self.out.iter().map(|(name, out)| format!("{name}: {}", out.why));
        printable(&each.collect::<Vec<_>>().join("; "))
    }

    /// It began, and now nobody answers: the nodes may be well, and our link gone.
    pub(super) fn is_cut_off(&self) -> bool {
        self.all.is_empty() && !self.asked.is_empty() && self.out.values().all(|out| out.is_silent)
    }

    /// Has nodes keep copies until there are as many as wanted, or nobody is left to ask.
    ///
    /// # Errors
    /// A client cannot be built.
    pub(super) async fn fill(&mut self, job: &Job, manifest: &Manifest) -> Result<(), JobError> {
        let lasts = |out: &Out| if out.is_silent { FORGIVEN_SILENCE } else { FORGIVEN };
        let pace = self.pace;
        self.out.retain(|_, out| out.since.elapsed() < pace.of(lasts(out)));
        let known: Vec<Keeping> = self.all.clone();
        while self.lacking() > 0 {
            let among = match self.candidates() {
                Ok(among) => among,
                Err(_) if !self.asked.is_empty() => break,
                Err(error) => return Err(JobError::Other(error.to_string())),
            };
            let is_new =
                |name: &Arc<str>| !self.out.contains_key(name) && !self.all.iter().any(|node| node.name == *name);
            let next: Vec<(Arc<str>, String)> = among.into_iter().filter(|(name, _)| is_new(name)).collect();
            let next = &next[..next.len().min(self.lacking())];
            if next.is_empty() {
                break;
            }
            let mut peers: Vec<String> = self.all.iter().map(|node| node.spec.endpoint.clone()).collect();
            peers.extend(next.iter().map(|(_, endpoint)| endpoint.clone()));
            let order = OrderOut { manifest, peers: &peers, replicas: self.wanted as u32 };
            let body = serde_json::to_vec(&order).map(Bytes::from);
            let body = body.map_err(|error| JobError::Other(format!("internal: {error}")))?;
            let asking =
                next.iter().map(|(name, endpoint)| ask(job, &self.key, name, endpoint, &manifest.name, body.clone()));
            for ((name, endpoint), asked) in next.iter().zip(join_all(asking).await) {
                match asked {
                    Ok(node) => {
                        self.asked.insert(endpoint.clone());
                        self.all.push(node);
                    }
                    Err(error) => self.leave_out(name, &error),
                }
            }
            // Who keeps one already is told of those who came.
            let telling = known.iter().map(|node| node.wire.open(&self.key, body.clone()));
            join_all(telling).await;
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &Arc<str>, error: &WireError) {
        if is_fault(error) {
            self.pool.used(name, None);
        }
        self.put_out(name, error.to_string(), matches!(error, WireError::Broken(_)));
    }

    fn put_out(&mut self, name: &Arc<str>, why: String, is_silent: bool) {
        tracing::warn!(target: "pool", node = %name, why = %printable(&why), "left out of a push");
        self.all.retain(|node| node.name != *name);
        self.out.insert(name.clone(), Out { since: Instant::now(), why, is_silent });
    }

    /// The node at the end of this way is not used any more.
    pub(super) fn drop_way(&mut self, at: &str, error: &WireError) {
        if let Some(name) = self.all.iter().find(|node| node.wire.at() == at).map(|node| node.name.clone()) {
            self.leave_out(&name, error);
        }
    }

    /// Asks all of them how their copies stand.
    pub(super) fn asking(&self) -> impl Future<Output = Answers> + Send + 'static {
        let nodes: Vec<_> = self.all.iter().map(|node| (node.name.clone(), node.wire.clone())).collect();
        let key = self.key.clone();
        async move {
            let each = nodes.into_iter().map(|(name, wire)| {
                let key = &key;
                async move { (name, wire.standing(key, false).await) }
            });
            join_all(each).await
        }
    }

    /// What their answers mean. `is_sent`: they have all of it between them.
    pub(super) fn heard(&mut self, answers: Answers, is_sent: bool) -> Found {
        let (now, pace) = (Instant::now(), self.pace);
        let mut out = Vec::new();
        for (name, answer) in answers {
            let Some(node) = self.all.iter_mut().find(|node| node.name == name) else { continue };
            match answer {
                Ok(Standing { state: state @ (ReplicaState::Failed | ReplicaState::Stopped), error, .. }) => {
                    let why = error.unwrap_or_else(|| "it was stopped there".into());
                    // A name that is another's, or an operator's word, is no fault of the node.
                    if state == ReplicaState::Failed && !is_taken(&why) {
                        self.pool.used(&name, None);
                    }
                    out.push((name, why, false));
                }
                Ok(Standing { state, held_count, .. }) => {
                    let is_whole = state == ReplicaState::Whole;
                    // That it took the order was no success: this is.
                    if is_whole && !node.is_whole {
                        self.pool.did_well(&name);
                    }
                    node.is_whole = is_whole;
                    if held_count > node.count || node.is_whole || !is_sent {
                        node.grew = now;
                    }
                    (node.answered, node.count) = (now, held_count);
                    let waits = state == ReplicaState::Waiting;
                    if now.duration_since(node.grew) > pace.of(if waits { TURN_AFTER } else { HOPELESS_AFTER }) {
                        let why = if waits { "its turn does not come there" } else { "its copy does not grow" };
                        if !waits {
                            self.pool.used(&name, None);
                        }
                        out.push((name, why.into(), false));
                    }
                }
                Err(WireError::Unknown) => out.push((name, "it was removed there".into(), false)),
                Err(error) if now.duration_since(node.answered) > LOST => {
                    self.pool.used(&node.name, None);
                    out.push((name, error.to_string(), true));
                }
                Err(_) => {}
            }
        }
        let changed = !out.is_empty();
        for (name, why, is_silent) in out {
            self.put_out(&name, why, is_silent);
        }
        match (changed, self.all.iter().all(|node| node.is_whole)) {
            (true, _) => Found::Changed,
            (false, true) if self.lacking() == 0 => Found::Whole,
            _ => Found::Growing,
        }
    }

    /// To whom to send, and what need not be sent: all of them what none has; where they have all between them, the one that
    /// gets nothing from the others what it lacks.
    pub(super) async fn lacking_pieces(&self, pieces: u32) -> (Vec<&Keeping>, Bitmap) {
        let all = join_all(self.all.iter().map(|node| node.wire.standing(&self.key, true))).await;
        let mut union = Bitmap::empty(pieces);
        let mut helped: Option<(&Keeping, Bitmap)> = None;
        for (node, standing) in self.all.iter().zip(all) {
            let Ok(standing) = standing else { continue };
            let mut held = Bitmap::empty(pieces);
            let each = standing.held.iter().flat_map(|(start, end)| *start..(*end).min(pieces));
            each.for_each(|piece| {
                held.set(piece);
                union.set(piece);
            });
            let is_stuck = standing.state == ReplicaState::Fetching && node.grew.elapsed() > self.pace.of(HELPED_AFTER);
            if is_stuck && !held.is_full() && helped.as_ref().is_none_or(|(_, most)| held.count() > most.count()) {
                helped = Some((node, held));
            }
        }
        match helped {
            Some((node, held)) if union.is_full() => (vec![node], held),
            _ => (self.all.iter().collect(), union),
        }
    }

    /// How far each of them is, in words.
    pub(super) fn words(&self, pieces: u32) -> String {
        if self.is_cut_off() {
            return "no node of the pool answers: waiting for them to come back".into();
        }
        let each = self.all.iter().map(|node| match node.is_whole {
            true => format!("{} whole", node.name),
            false => format!("{} {} %", node.name, u64::from(node.count) * 100 / u64::from(pieces.max(1))),
        });
        let mut words: Vec<String> = each.collect();
        if self.lacking() > 0 {
            let why = if self.out.is_empty() { String::new() } else { format!(" ({})", self.left_out()) };
            words.push(format!("{} of {} copies have no node{why}", self.lacking(), self.wanted));
        }
        printable(&words.join(" · "))
    }
}

/// Whether that is a node's fault: not what its operator refuses, what is wrong with what it was asked, or with the way itself.
fn is_fault(error: &WireError) -> bool {
    match error {
        WireError::Broken(_) | WireError::Busy(_) | WireError::Full(_) | WireError::Malformed(_) => true,
        WireError::Status { status, .. } => *status >= 500,
        WireError::Refused(_) | WireError::Unknown | WireError::Missing(_) | WireError::Path(_) => false,
    }
}

fn spec(endpoint: &str) -> PathSpec {
    PathSpec { endpoint: endpoint.trim_end_matches('/').to_owned(), via: None }
}

/// The way to a node.
fn wire(job: &Job, spec: &PathSpec, target: &str) -> Result<Wire, WireError> {
    let headers = job.services.swarm.client.node_headers().clone();
    let wire = Wire::new(spec, target, headers).map_err(|error| WireError::Path(error.to_string()))?;
    Ok(wire.into_replica().limited(&job.services.links_limited))
}

/// Has one node keep a copy.
async fn ask(
    job: &Job,
    key: &str,
    name: &Arc<str>,
    endpoint: &str,
    target: &str,
    body: Bytes,
) -> Result<Keeping, WireError> {
    let spec = spec(endpoint);
    let wire = wire(job, &spec, target)?;
    let opened = wire.open(key, body).await?;
    job.services.pool.chose(name);
    let count = opened.held.iter().map(|(start, end)| end - start).sum();
    let now = Instant::now();
    Ok(Keeping { name: name.clone(), spec, wire: Arc::new(wire), count, is_whole: false, answered: now, grew: now })
}
