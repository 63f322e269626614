//! `Command::Sync`: a sync is added, or goes on; and what it would do.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::commands::{Core, internal, new_record, queued};
use super::strategy::JobError;
use super::sync_job::{Receiver, Seen, compare, scan_source};
use super::transfer::Order;
use crate::content::name::{escape, printable};
use crate::control::queue::QueueId;
use crate::control::sync::{Act, Item, MAX_ITEMS, SyncPlan};
use crate::control::{CommandError, CommandErrorKind, PriorityClass, Reply, SyncRequest};
use crate::push::PushError;
use crate::push::paths::{Destination, resolve};
use crate::push::wire::WireError;
use crate::store::{JobRecord, Phase, TransferRecord};
use crate::sync::rules::Rules;

fn refused(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

/// The request with its path as the system knows it, the source's name, and where it goes.
pub(super) async fn checked(request: SyncRequest) -> Result<(SyncRequest, String, Destination), CommandError> {
    let given = request.path.clone();
    let looked = tokio::task::spawn_blocking(move || std::fs::canonicalize(&given));
    let path = looked
        .await
        .map_err(|e| refused(CommandErrorKind::Internal, e.to_string()))?
        .map_err(|e| refused(CommandErrorKind::NotFound, format!("cannot sync {:?}: {e}", request.path)))?;
    let Some(name) = path.file_name().map(escape) else {
        return Err(refused(
            CommandErrorKind::Invalid,
            "the whole file system (/) cannot be synced; choose a folder in it",
        ));
    };
    Rules::first(request.rules.clone()).check().map_err(|e| refused(CommandErrorKind::Invalid, e.to_string()))?;
    let found = resolve(&request.dest, &[], &[], &name).map_err(|e| refused(CommandErrorKind::Invalid, e))?;
    Ok((SyncRequest { path, ..request }, name, found))
}

impl Core {
    /// Makes a tree at another node equal to one here. The same path and destination, if that is not over,
    /// goes on as this request has it. `operation`: that of the queue that it is, and its class.
    pub(super) async fn sync(
        &self,
        request: SyncRequest,
        operation: Option<(QueueId, PriorityClass)>,
    ) -> Result<Reply, CommandError> {
        let (request, name, _) = checked(request).await?;
        let class = operation.map(|(_, class)| class).or(request.priority);
        let priority = class.map_or(0, PriorityClass::priority);
        let _one_at_a_time = self.adding.lock().await;
        let is_it = |job: &JobRecord| matches!(job, JobRecord::Sync(sync) if (&sync.path, &sync.dest) == (&request.path, &request.dest));
        let again = self
            .lock()
            .values()
            .find(|handle| {
                let record = handle.shared.record();
                is_it(&record.job) && matches!(record.phase, Phase::Active | Phase::Paused | Phase::Failed)
            })
            .cloned();
        let Some(handle) = again else {
            let dir = request.path.parent().map(Into::into).unwrap_or_default();
            let job = JobRecord::Sync(request);
            let record = |id| TransferRecord {
                priority,
                queued: operation.map(|(id, _)| id),
                ..new_record(id, job, Phase::Active, None, name, dir)
            };
            let id = self.begin(record).await?;
            return Ok(Reply::Added { ids: vec![id], contents: vec![] });
        };
        let shared = &handle.shared;
        shared.limits.up[0].set(request.up);
        let changed = shared.change_record(|record| {
            record.job = JobRecord::Sync(request);
            record.queued = operation.map(|(id, _)| id).or(record.queued);
        });
        changed.await.map_err(|e| internal(&e))?;
        let is_settled = shared.row().state.is_settled();
        shared.update(|row| {
            queued(row);
            row.queued = operation.map(|(id, _)| id).or(row.queued);
            (row.watch, row.delta) = (None, None);
        });
        handle.send(if is_settled { Order::Resume } else { Order::Restart }).await?;
        Ok(Reply::Added { ids: vec![shared.id], contents: vec![] })
    }

    /// What [`Self::sync`] would do.
    pub(super) async fn preview_sync(&self, request: SyncRequest) -> Result<Reply, CommandError> {
        let (request, _, destination) = checked(request).await?;
        let failed = |error: JobError| {
            let kind = match &error {
                JobError::Push(PushError::Wire { error: WireError::Refused(_), .. }) => CommandErrorKind::Refused,
                JobError::Push(PushError::Wire { .. }) => CommandErrorKind::Unavailable,
                _ => CommandErrorKind::Conflict,
            };
            refused(kind, printable(&error.to_string()))
        };
        let receiver = Receiver::find(&self.services, &request, &destination).await.map_err(failed)?;
        let scanned = scan_source(&request).await.map_err(failed)?;
        let Seen { scanned, plan } = compare(&request, &receiver.client, scanned, |_, _| ()).await.map_err(failed)?;
        // What moves is one thing to people, not a file that comes and another that goes.
        let moved = |item: &Item| match &item.act {
            Act::Reuse { from, copy: false, .. } => Some(from.clone()),
            _ => None,
        };
        let moved: HashSet<String> = plan.items.iter().filter_map(moved).collect();
        let mut items = plan.items;
        items.retain(|item| !(matches!(item.act, Act::Delete { .. }) && moved.contains(&item.path)));
        let count = items.len();
        let skipped = scanned.tree.skipped.into_iter().take(MAX_ITEMS);
        let told = SyncPlan {
            to: printable(&destination.target),
            totals: plan.totals,
            items: items.into_iter().take(MAX_ITEMS).collect(),
            more: count.saturating_sub(MAX_ITEMS) as u64,
            skipped: skipped.map(|s| (printable(&s.path), printable(&s.why))).collect(),
            wire_bytes: receiver.client.bytes.load(Ordering::Relaxed),
        };
        Ok(Reply::SyncPlan(Box::new(told)))
    }
}
