//! Fetching and sharing something: a new transfer, or one that is there already and goes on.

use std::path::{Path, PathBuf};

use super::commands::{Core, Handle, blocking, internal, new_record, queued};
use super::limits::limits_of;
use super::resolve::{self, Resolved};
use super::transfer::Order;
use crate::content::{ContentId, Manifest, manifest, name};
use crate::control::{AddTransfer, CommandError, CommandErrorKind, Reply, ShareRequest, TransferId, TransferState};
use crate::store::{JobRecord, Phase, TransferRecord};

impl Core {
    pub(super) async fn add(&self, request: AddTransfer) -> Result<Reply, CommandError> {
        let dir = self.target_dir(&request)?;
        let (mut ids, mut contents) = (Vec::new(), Vec::new());
        // Two requests for the same content must not both find that there is none yet.
        let _one_at_a_time = self.adding.lock().await;
        for resolved in resolve::resolve(&self.services.swarm.client, &self.services.pool, &request).await? {
            contents.push(resolved.id);
            ids.push(match self.find_fetch(&resolved, &dir) {
                Some(handle) => self.add_again(&handle, resolved, &request).await?,
                None => self.add_one(resolved, &request, dir.clone()).await?,
            });
        }
        Ok(Reply::Added { ids, contents })
    }

    /// Where what is asked for would appear.
    pub(super) fn target_dir(&self, request: &AddTransfer) -> Result<PathBuf, CommandError> {
        match &request.dir {
            Some(dir) if !dir.is_absolute() => {
                Err(CommandError::new(CommandErrorKind::Invalid, format!("the folder {dir:?} must be absolute")))
            }
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.services.root.clone()),
        }
    }

    /// A transfer that is asked for again goes on (or pauses, if that is asked for), with what is new
    /// in the request.
    pub(super) async fn add_again(
        &self,
        handle: &Handle,
        resolved: Resolved,
        request: &AddTransfer,
    ) -> Result<TransferId, CommandError> {
        self.keep_manifest(resolved.id, resolved.manifest).await?;
        let before = handle.shared.record();
        let changed = handle.shared.change_record(|record| {
            let JobRecord::Fetch(fetch) = &mut record.job else { return };
            let lists = [
                (&mut fetch.peers, resolved.fetch.peers),
                (&mut fetch.mirrors, resolved.fetch.mirrors),
                (&mut fetch.trackers, resolved.fetch.trackers),
            ];
            for (known, new) in lists {
                for url in new {
                    if !known.contains(&url) {
                        known.push(url);
                    }
                }
            }
            fetch.replicas = resolved.fetch.replicas.max(fetch.replicas);
            // Whoever asked for it here is not to lose it when the pool wants it no more.
            fetch.kept &= resolved.fetch.kept;
            fetch.request.order = request.order;
            fetch.request.on_existing = request.on_existing;
            fetch.request.up = request.up.or(fetch.request.up);
            fetch.request.down = request.down.or(fetch.request.down);
            record.seeding |= request.seed;
        });
        changed.await.map_err(|e| internal(&e))?;
        let record = handle.shared.record();
        if let JobRecord::Fetch(fetch) = &record.job {
            handle.shared.limits.up[0].set(fetch.request.up);
            handle.shared.limits.down[0].set(fetch.request.down);
        }
        let is_settled = handle.shared.row().state.is_settled();
        if request.paused {
            if handle.shared.row().state != TransferState::Paused {
                handle.send(Order::Pause).await?;
            }
        } else if is_settled || record != before {
            handle.shared.update(queued);
            handle.send(if is_settled { Order::Resume } else { Order::Restart }).await?;
        }
        Ok(handle.shared.id)
    }

    async fn keep_manifest(&self, id: ContentId, manifest: Option<Manifest>) -> Result<(), CommandError> {
        let Some(manifest) = manifest else { return Ok(()) };
        let state = self.services.state.clone();
        blocking(move || state.put_manifest(&id, &manifest)).await
    }

    /// A fetch of the same content to the same folder that is not over.
    pub(super) fn find_fetch(&self, resolved: &Resolved, dir: &Path) -> Option<Handle> {
        let handles = self.lock();
        let same = |handle: &&Handle| {
            let record = handle.shared.record();
            record.content == Some(resolved.id)
                && record.dir == dir
                && matches!(record.job, JobRecord::Fetch(_))
                && matches!(record.phase, Phase::Active | Phase::Paused | Phase::Failed)
        };
        handles.values().find(same).cloned()
    }

    /// The share of a path that is there already.
    pub(super) fn find_share(&self, path: &Path) -> Option<TransferId> {
        let same =
            |handle: &&Handle| matches!(&handle.shared.record().job, JobRecord::Share(share) if share.path == path);
        self.lock().values().find(same).map(|handle| handle.shared.id)
    }

    pub(super) async fn add_one(
        &self,
        resolved: Resolved,
        request: &AddTransfer,
        dir: PathBuf,
    ) -> Result<TransferId, CommandError> {
        let name = resolved.manifest.as_ref().map(|m| m.name.clone()).unwrap_or_default();
        self.keep_manifest(resolved.id, resolved.manifest).await?;
        let mut fetch = resolved.fetch;
        fetch.trackers.extend(self.services.trackers.iter().cloned());
        fetch.trackers.sort();
        fetch.trackers.dedup();
        let phase = if request.paused { Phase::Paused } else { Phase::Active };
        let record = |id| TransferRecord {
            seeding: request.seed,
            ..new_record(id, JobRecord::Fetch(fetch), phase, Some(resolved.id), name, dir)
        };
        self.begin(record).await
    }

    pub(super) async fn share(&self, request: ShareRequest) -> Result<Reply, CommandError> {
        let given = request.path.clone();
        let path = tokio::task::spawn_blocking(move || std::fs::canonicalize(&given))
            .await
            .map_err(|e| CommandError::new(CommandErrorKind::Internal, e.to_string()))?
            .map_err(|e| {
                CommandError::new(CommandErrorKind::NotFound, format!("cannot share {:?}: {e}", request.path))
            })?;
        if let Some(length) = request.piece_length
            && !(manifest::MIN_PIECE_LENGTH..=manifest::MAX_PIECE_LENGTH).contains(&length)
        {
            return Err(CommandError::new(
                CommandErrorKind::Invalid,
                format!("a piece of {length} bytes: use 1KiB to 64MiB"),
            ));
        }
        let request = ShareRequest { path: path.clone(), ..request };
        let again = {
            let handles = self.lock();
            let same = |h: &&Handle| matches!(&h.shared.record().job, JobRecord::Share(share) if share.path == path && share.piece_length == request.piece_length);
            handles.values().find(same).cloned()
        };
        if let Some(handle) = again {
            // Hashed again, which costs nothing where nothing has changed.
            handle.shared.update(|row| row.state = TransferState::Checking);
            let mut request = request;
            let changed = handle.shared.change_record(|record| {
                let (up, down) = limits_of(&mut record.job);
                (request.up, request.down) = (request.up.or(*up), request.down.or(*down));
                handle.shared.limits.up[0].set(request.up);
                handle.shared.limits.down[0].set(request.down);
                record.job = JobRecord::Share(request);
            });
            changed.await.map_err(|e| internal(&e))?;
            handle.send(Order::Restart).await?;
            return Ok(Reply::Added { ids: vec![handle.shared.id], contents: vec![] });
        }
        let name = path.file_name().map(name::escape).unwrap_or_default();
        let dir = path.parent().map(Into::into).unwrap_or_default();
        let id = self.begin(|id| new_record(id, JobRecord::Share(request), Phase::Active, None, name, dir)).await?;
        Ok(Reply::Added { ids: vec![id], contents: vec![] })
    }
}
