//! Sending to a pool: the ring says which nodes keep a content, each piece goes to one of them, and they give one another the
//! rest as a swarm. What is lost later is made again elsewhere.
//!
//! [`job`] places and pushes, `nodes` are those it pushes to; [`keeping`] is the other side: a copy that is wanted here;
//! [`repairing`] makes lost copies again. What the nodes say to one another: [`crate::pool::replica`].

mod job;
mod keeping;
mod nodes;
mod repairing;

pub(super) use self::job::abandon;
pub(super) use self::keeping::Keeper;
pub(super) use self::repairing::run as repair;

use super::push_strategy::push_of;
use super::strategy::{Job, JobEnd, JobError, Strategy};
use crate::control::BoxFuture;
use crate::control::pool::Balancer;
use crate::store::JobRecord;

/// Copies where nobody says how many.
pub(super) const REPLICAS: u32 = 2;

/// `transit-pool-replicated`: to the nodes of a pool that a content belongs to.
pub(super) struct PoolStrategy;

impl Strategy for PoolStrategy {
    fn id(&self) -> &'static str {
        "transit-pool-replicated"
    }

    fn name(&self) -> &'static str {
        "Replicated to a pool"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["pool", "P2P", "streaming", "resumable", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        push_of(job)?.request.pool().map(drop).ok_or_else(|| "it goes to a node, not to a pool".into())
    }

    fn why(&self, job: &JobRecord) -> String {
        let Ok(send) = push_of(job) else { return String::new() };
        let copies = send.request.replicas.unwrap_or(REPLICAS);
        let by = match send.request.balancer {
            Some(Balancer::ConsistentHash) => "placed by the ring",
            Some(Balancer::ResourceAware) => "placed by how the nodes are",
            None => "placed by its balancer",
        };
        format!("to a pool: {by}, {copies} copies, each piece is sent once")
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        Box::pin(job::run(job))
    }

    /// What the nodes hold is what was done: both begin alike.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}
