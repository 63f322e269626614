//! A single file instead of a tree: compared by size and time, then by digests, and put in its place in one step.

use std::sync::Arc;

use super::strategy::Job;
use super::strategy::JobError;
use super::sync_delta;
use super::sync_job::{Receiver, Seen, key, other};
use super::sync_round::{Sent, send};
use super::sync_shown::Shown;
use crate::control::sync::{Act, Item, Was};
use crate::control::{SyncRequest, TransferState};
use crate::sync::client::Client;
use crate::sync::entry::Entry;
use crate::sync::plan::{Plan, Round};
use crate::sync::scan::Scanned;
use crate::sync::wire::{Op, Stands};

fn the_entry(scanned: &Scanned) -> Result<&Entry, JobError> {
    let found = scanned.tree.folders.get("").and_then(|folder| folder.entries.first());
    found.ok_or_else(|| JobError::Other("internal: no file".into()))
}

/// What has to happen there.
pub(super) async fn compare(request: &SyncRequest, client: &Client, scanned: Scanned) -> Result<Seen, JobError> {
    let compared = client.look_at_file().await?;
    let (entry, there) = (the_entry(&scanned)?, compared.checked_file().map_err(other)?);
    if compared.stands == Stands::Folder || (compared.stands == Stands::Other && there.is_none()) {
        let words = format!("{:?} is no file there: name another destination, or end it with a slash", client.path);
        return Err(JobError::Other(words));
    }
    let send = Act::Send { size: entry.size(), basis: None };
    let act = match there.as_ref().map(|there| (there, there.size() == entry.size())) {
        Some((there, true)) => {
            let (same_time, same_mode) = (there.mtime == entry.mtime, there.mode == entry.mode);
            let same_bytes = if same_time && !request.checksum {
                true
            } else {
                let (mine, theirs) = client.file_digests(&request.path, there.size()).await?;
                mine.is_some() && mine == theirs
            };
            match (same_bytes, same_time && same_mode) {
                (true, true) => None,
                (true, false) => Some(Act::Touch),
                (false, _) => Some(send),
            }
        }
        Some((_, false)) => Some(Act::Send { size: entry.size(), basis: Some(entry.name.to_string()) }),
        None => Some(send),
    };
    let was = if there.is_some() { Was::File } else { Was::Nothing };
    let item = act.map(|act| Item { path: entry.name.to_string(), act, was });
    let plan = Plan::of_file(&scanned.tree, item);
    Ok(Seen { scanned, plan })
}

/// Carries such a plan out; what could not be done, in words. None: stopped.
pub(super) async fn carry_out(
    job: &Job,
    request: &SyncRequest,
    receiver: &Receiver,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    plan: &Plan,
) -> Result<Option<Vec<String>>, JobError> {
    job.shared.update(|row| {
        row.state = TransferState::Running;
        row.reason.clear();
    });
    let (entry, sync) = (the_entry(scanned)?, key()?);
    let meta = Op::Meta { path: String::new(), mode: Some(entry.mode), mtime: entry.mtime };
    let name = entry.name.to_string();
    if !plan.items.iter().any(|item| matches!(item.act, Act::Send { .. })) {
        return Ok(Some(receiver.client.apply(&sync, vec![meta], vec![sync.clone()]).await?));
    }
    let is_there = plan.items.iter().any(|item| item.was == Was::File);
    let bases = is_there.then(|| (name.clone(), name.clone())).into_iter().collect();
    let round = Round { files: vec![name.clone()], bases, ..Round::default() };
    match sync_delta::send(job, request, receiver, shown, scanned, &round).await? {
        None => return Ok(None),
        Some(done) if !done.is_empty() => return Ok(Some(Vec::new())),
        Some(_) => {}
    }
    let Some(Sent { upload, spoiled }) = send(job, request, receiver, shown, scanned, &round).await? else {
        return Ok(None);
    };
    let mut failed: Vec<String> = spoiled.into_values().collect();
    let take = Op::Take { upload: Some(upload.clone()), from: name, path: String::new(), over_folder: false };
    let ops = if failed.is_empty() { vec![take] } else { Vec::new() };
    failed.extend(receiver.client.apply(&sync, ops, vec![upload, sync.clone()]).await?);
    Ok(Some(failed))
}
