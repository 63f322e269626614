//! The nodes that a content is sent to: asked to keep a copy, watched until they have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;

use crate::content::name::printable;
use crate::content::{Bitmap, Manifest};
use crate::control::pool::Balancer;
use crate::engine::pooling::Pool;
use crate::engine::strategy::{Job, JobError};
use crate::pool::book::BookError;
use crate::pool::replica::{OrderOut, ReplicaState};
use crate::push::paths::PathSpec;
use crate::push::wire::{Standing, Wire, WireError};

/// A node that does not answer for so long is lost for this push.
const LOST: Duration = Duration::from_secs(8);
/// Nodes that are asked at most whether they have some of it.
const MAX_ASKED: usize = 64;
/// Who was left out is asked again after this.
const FORGIVEN: Duration = Duration::from_secs(30);

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
    /// Who is left out, since when and why.
    out: BTreeMap<Arc<str>, (Instant, String)>,
}

impl Nodes {
    pub(super) fn new(pool: Arc<Pool>, key: String, wanted: usize, balancer: Balancer) -> Self {
        Self { pool, key, wanted, balancer, before: BTreeSet::new(), all: Vec::new(), out: BTreeMap::new() }
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
        let each = self.out.iter().map(|(name, (_, why))| format!("{name}: {why}"));
        printable(&each.collect::<Vec<_>>().join("; "))
    }

    /// Has nodes keep copies until there are as many as wanted, or nobody is left to ask.
    ///
    /// # Errors
    /// A client cannot be built.
    pub(super) async fn fill(&mut self, job: &Job, manifest: &Manifest) -> Result<(), JobError> {
        self.out.retain(|_, (since, _)| since.elapsed() < FORGIVEN);
        while self.lacking() > 0 {
            let among = self.candidates().map_err(|error| JobError::Other(error.to_string()))?;
            let is_new =
                |name: &Arc<str>| !self.out.contains_key(name) && !self.all.iter().any(|node| node.name == *name);
            let next: Vec<(Arc<str>, String)> = among.into_iter().filter(|(name, _)| is_new(name)).collect();
            let next = &next[..next.len().min(self.lacking())];
            if next.is_empty() {
                return Ok(());
            }
            let mut peers: Vec<String> = self.all.iter().map(|node| node.spec.endpoint.clone()).collect();
            peers.extend(next.iter().map(|(_, endpoint)| endpoint.clone()));
            let order = OrderOut { manifest, peers: &peers, replicas: self.wanted as u32 };
            let body = serde_json::to_vec(&order).map(Bytes::from);
            let body = body.map_err(|error| JobError::Other(format!("internal: {error}")))?;
            let asking =
                next.iter().map(|(name, endpoint)| ask(job, &self.key, name, endpoint, &manifest.name, body.clone()));
            for ((name, _), asked) in next.iter().zip(join_all(asking).await) {
                match asked {
                    Ok(node) => self.all.push(node),
                    Err(error) => self.leave_out(name, &error),
                }
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &Arc<str>, error: &WireError) {
        if matches!(error, WireError::Broken(_)) {
            self.pool.used(name, None);
        }
        self.put_out(name, error.to_string());
    }

    fn put_out(&mut self, name: &Arc<str>, why: String) {
        tracing::warn!(target: "pool", node = %name, why = %printable(&why), "left out of a push");
        self.all.retain(|node| node.name != *name);
        self.out.insert(name.clone(), (Instant::now(), why));
    }

    /// The node at the end of this way is not used any more.
    pub(super) fn drop_way(&mut self, at: &str, why: String) {
        if let Some(name) = self.all.iter().find(|node| node.wire.at() == at).map(|node| node.name.clone()) {
            self.put_out(&name, why);
        }
    }

    /// Asks all of them how their copies stand.
    pub(super) async fn look(&mut self) -> Found {
        let (answers, now) = (self.standings(false).await, Instant::now());
        let mut out = Vec::new();
        for (node, answer) in self.all.iter_mut().zip(answers) {
            match answer {
                Ok(Standing { state: ReplicaState::Failed | ReplicaState::Stopped, error, .. }) => {
                    out.push((node.name.clone(), error.unwrap_or_else(|| "it was stopped there".into())));
                }
                Ok(Standing { state, held_count, .. }) => {
                    (node.answered, node.count) = (now, held_count);
                    node.is_whole = state == ReplicaState::Whole;
                }
                Err(WireError::Unknown) => out.push((node.name.clone(), "it was removed there".into())),
                Err(error) if now.duration_since(node.answered) > LOST => {
                    self.pool.used(&node.name, None);
                    out.push((node.name.clone(), error.to_string()));
                }
                Err(_) => {}
            }
        }
        let changed = !out.is_empty();
        for (name, why) in out {
            self.put_out(&name, why);
        }
        match (changed, self.all.iter().all(|node| node.is_whole)) {
            (true, _) => Found::Changed,
            (false, true) if self.lacking() == 0 => Found::Whole,
            _ => Found::Growing,
        }
    }

    async fn standings(&self, held: bool) -> Vec<Result<Standing, WireError>> {
        join_all(self.all.iter().map(|node| node.wire.standing(&self.key, held))).await
    }

    /// The pieces that at least one of them has.
    pub(super) async fn union(&self, pieces: u32) -> Bitmap {
        let mut union = Bitmap::empty(pieces);
        for standing in self.standings(true).await.into_iter().flatten() {
            for (start, end) in standing.held {
                for piece in start..end.min(pieces) {
                    union.set(piece);
                }
            }
        }
        union
    }

    /// How far each of them is, in words.
    pub(super) fn words(&self, pieces: u32) -> String {
        let each = self.all.iter().map(|node| match node.is_whole {
            true => format!("{} whole", node.name),
            false => format!("{} {} %", node.name, u64::from(node.count) * 100 / u64::from(pieces.max(1))),
        });
        let mut words = each.collect::<Vec<_>>().join(" · ");
        if self.lacking() > 0 {
            words = format!("{words}; {} of {} copies have no node ({})", self.lacking(), self.wanted, self.left_out());
        }
        printable(&words)
    }
}

fn spec(endpoint: &str) -> PathSpec {
    PathSpec { endpoint: endpoint.trim_end_matches('/').to_owned(), via: None }
}

/// The way to a node.
fn wire(job: &Job, spec: &PathSpec, target: &str) -> Result<Wire, WireError> {
    let headers = job.services.swarm.client.node_headers().clone();
    let wire = Wire::new(spec, target, headers).map_err(|error| WireError::Path(error.to_string()))?;
    Ok(wire.into_replica())
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
    let begun = Instant::now();
    let opened = wire.open(key, body).await?;
    job.services.pool.used(name, Some(begun.elapsed()));
    let count = opened.held.iter().map(|(start, end)| end - start).sum();
    Ok(Keeping { name: name.clone(), spec, wire: Arc::new(wire), count, is_whole: false, answered: Instant::now() })
}
