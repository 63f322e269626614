//! A copy that is wanted here: a fetch from the others that goes on serving, and takes what is pushed.

use std::sync::{Arc, Weak};

use super::job::runs;
use crate::content::{Bitmap, ContentId};
use crate::control::{AddTransfer, BoxFuture, CommandError, CommandErrorKind, TransferRow, TransferState};
use crate::engine::commands::{Core, Handle, internal};
use crate::engine::resolve::Resolved;
use crate::engine::transfer::Order;
use crate::link::probe;
use crate::pool::replica::{MAX_PEERS, ReplicaOrder, ReplicaState, ReplicaStatus, Replicas};
use crate::store::{FetchRecord, JobRecord};

/// Keeps copies in this node.
pub(in crate::engine) struct Keeper(pub Weak<Core>);

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    fn core(&self) -> Result<Arc<Core>, CommandError> {
        self.0.upgrade().ok_or_else(|| CommandError::new(CommandErrorKind::Unavailable, "the node stops"))
    }
}

fn is_coming(state: TransferState) -> bool {
    use TransferState as S;
    matches!(state, S::Running | S::Starting | S::Checking | S::Queued)
}

impl Core {
    /// What this node has of a content, or is to have: the transfer that serves it best.
    fn keeps(&self, content: &ContentId) -> Option<Handle> {
        let rank = |row: &TransferRow| match row.state {
            TransferState::Seeding => 5,
            TransferState::Running => 4,
            TransferState::Starting | TransferState::Checking | TransferState::Queued => 3,
            TransferState::Paused | TransferState::Pausing => 2,
            TransferState::Failed => 1,
            _ => 0,
        };
        let handles = self.lock();
        let of = |handle: &&Handle| {
            let record = handle.shared.record();
            record.content.as_ref() == Some(content) && matches!(record.job, JobRecord::Fetch(_) | JobRecord::Share(_))
        };
        handles.values().filter(of).max_by_key(|handle| rank(&handle.shared.row())).cloned()
    }

    /// A transfer that is at work, or waits for its turn, brings it.
    pub(in crate::engine) fn is_coming(&self, content: &ContentId) -> bool {
        self.keeps(content).is_some_and(|handle| is_coming(handle.shared.row().state))
    }

    /// Has a copy be kept here. `peers`: who has or gets others. The manifest may be asked of them.
    pub(in crate::engine) async fn keep(
        &self,
        resolved: Resolved,
        down: crate::control::Rate,
    ) -> Result<crate::control::TransferId, CommandError> {
        let (content, replicas) = (resolved.id, resolved.fetch.replicas);
        let _one_at_a_time = self.adding.lock().await;
        if let Some(handle) = self.keeps(&content) {
            let record = handle.shared.record();
            let whole = self.services.swarm.catalog.get(&content).filter(|held| held.have().is_full());
            let state = handle.shared.row().state;
            let is_coming = is_coming(state);
            if let Some(held) = self.services.swarm.catalog.get(&content) {
                // The most that anybody asked for: fewer would take copies from whoever asked for more.
                held.set_replicas(held.replicas().max(replicas));
                if is_coming {
                    held.tell_peers(resolved.fetch.peers.clone());
                }
            }
            let is_there = whole.is_some() || is_coming || state == TransferState::Paused;
            let is_fetch = matches!(record.job, JobRecord::Fetch(_));
            if is_there && is_fetch {
                let changed = handle.shared.change_record(|record| {
                    if let JobRecord::Fetch(fetch) = &mut record.job {
                        fetch.replicas = fetch.replicas.max(replicas);
                        let new = resolved.fetch.peers.iter().filter(|url| !fetch.peers.contains(url));
                        let new: Vec<String> = new.take(MAX_PEERS.saturating_sub(fetch.peers.len())).cloned().collect();
                        fetch.peers.extend(new);
                    }
                    // Whoever fetches it for himself only gives a copy to the pool, too.
                    record.seeding = true;
                });
                changed.await.map_err(|e| internal(&e))?;
            }
            if is_there {
                return Ok(handle.shared.id);
            }
            if state == TransferState::Seeding && is_fetch {
                // Pieces of it could not be read: what is wrong is looked for and fetched.
                handle.send(Order::Verify).await?;
                return Ok(handle.shared.id);
            }
        }
        let mut resolved = resolved;
        resolved.fetch.kept = true;
        let dir = self.services.root.clone();
        let found = self.find_fetch(&resolved, &dir);
        // The limit is for copies: what somebody asked for here keeps its own.
        let is_own = |handle: &Handle| matches!(&handle.shared.record().job, JobRecord::Fetch(fetch) if !fetch.kept);
        let down = down.filter(|_| !found.as_ref().is_some_and(is_own));
        let request = AddTransfer { seed: true, down, ..AddTransfer::default() };
        resolved.fetch.request = request.clone();
        match found {
            Some(handle) => self.add_again(&handle, resolved, &request).await,
            None => self.add_one(resolved, &request, dir).await,
        }
    }
}

impl Replicas for Keeper {
    fn begin(&self, order: ReplicaOrder) -> BoxFuture<'_, Result<(), CommandError>> {
        Box::pin(async move {
            let core = self.core()?;
            let own = &core.services.url;
            let peers = order.peers.iter().map(|url| probe::endpoint(url));
            let peers: Vec<String> = peers
                .collect::<Result<_, _>>()
                .map_err(|error| CommandError::new(CommandErrorKind::Invalid, error.to_string()))?;
            let peers =
                peers.into_iter().filter(|url| url.trim_end_matches('/') != own.trim_end_matches('/')).collect();
            let fetch = FetchRecord { peers, replicas: order.replicas, ..FetchRecord::default() };
            let resolved = Resolved { id: order.manifest.id(), manifest: Some(order.manifest), fetch };
            core.keep(resolved, None).await.map(drop)
        })
    }

    fn status(&self, content: &ContentId, with_held: bool) -> Option<ReplicaStatus> {
        let core = self.0.upgrade()?;
        let handle = core.keeps(content)?;
        let row = handle.shared.row();
        let held = core.services.swarm.catalog.get(content);
        let have = held.as_ref().map_or_else(|| Arc::new(Bitmap::empty(0)), |held| held.have());
        let state = match row.state {
            TransferState::Seeding | TransferState::Done if have.is_full() && held.is_some() => ReplicaState::Whole,
            TransferState::Done => ReplicaState::Stopped,
            TransferState::Running | TransferState::Seeding => ReplicaState::Fetching,
            TransferState::Starting | TransferState::Checking | TransferState::Queued => ReplicaState::Waiting,
            TransferState::Failed => ReplicaState::Failed,
            TransferState::Paused | TransferState::Pausing | TransferState::Cancelled => ReplicaState::Stopped,
        };
        Some(ReplicaStatus {
            segment_length: held.map_or(0, |held| held.manifest().piece_length),
            held: if with_held { runs(&have) } else { Vec::new() },
            held_count: have.count(),
            state,
            accepts: ["zstd"],
            error: row.error,
        })
    }

    fn drop_partial(&self, content: ContentId) -> BoxFuture<'_, Result<(), CommandError>> {
        Box::pin(async move {
            let core = self.core()?;
            let Some(handle) = core.keeps(&content) else { return Ok(()) };
            let record = handle.shared.record();
            // What somebody here asked for goes on.
            let is_copy = matches!(&record.job, JobRecord::Fetch(fetch) if fetch.kept);
            if is_copy && !record.published {
                handle.send(Order::Cancel).await?;
            }
            Ok(())
        })
    }
}
