//! System 1 as a strategy: `transit-p2p-swarm`.

use super::strategy::{Job, JobEnd, JobError, Strategy};
use super::{fetch_job, share_job};
use crate::control::BoxFuture;
use crate::store::JobRecord;

/// Fetches from and serves to a swarm of nodes and mirrors.
pub(super) struct SwarmStrategy;

impl Strategy for SwarmStrategy {
    fn id(&self) -> &'static str {
        "transit-p2p-swarm"
    }

    fn name(&self) -> &'static str {
        "Swarm transfer"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["P2P", "streaming", "resumable", "p2p", "swarm", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        match job {
            JobRecord::Fetch(_) | JobRecord::Share(_) => Ok(()),
            JobRecord::Send(_) | JobRecord::Sync(_) => Err("it fetches and shares, this is a push".into()),
        }
    }

    fn why(&self, job: &JobRecord) -> String {
        let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        match job {
            JobRecord::Send(_) | JobRecord::Sync(_) => String::new(),
            JobRecord::Share(_) => "whoever fetches it serves the others too".to_owned(),
            JobRecord::Fetch(fetch) => match (fetch.peers.len(), fetch.mirrors.len()) {
                (0, 0) => "from the peers that trackers name".to_owned(),
                (0, mirrors) => format!("from {} at once", many(mirrors, "mirror")),
                (peers, 0) => format!("from {} and all they know, at once", many(peers, "node")),
                (peers, mirrors) => format!("from {} and {} at once", many(peers, "node"), many(mirrors, "mirror")),
            },
        }
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        match job.shared.record().job {
            JobRecord::Fetch(_) => Box::pin(fetch_job::run(job)),
            JobRecord::Share(_) | JobRecord::Send(_) | JobRecord::Sync(_) => Box::pin(share_job::run(job)),
        }
    }

    /// What was recorded is found again by [`fetch_job`] itself: both begin alike.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}
