//! Sharing a path in place: hash it (what has not changed is not read again), then serve it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fetch_job::blocking;
use super::seeding;
use super::strategy::{Job, JobEnd, JobError};
use crate::content::name::printable;
use crate::content::{Bitmap, FileStamp, HashProgress, Known, MakeOptions, Manifest, make};
use crate::control::TransferState;
use crate::store::{ContentFiles, JobRecord, Place};
use crate::swarm::{Announcers, Held, SeedGoal};

/// Shares `job`'s path.
pub(super) async fn run(job: Job) -> Result<JobEnd, JobError> {
    let JobRecord::Share(request) = job.shared.record().job else {
        return Err(JobError::Other("internal: not a share".into()));
    };
    job.shared.update(|row| row.state = TransferState::Checking);
    let Some((manifest, stamps)) = hash(&job, &request.path, request.piece_length).await? else {
        return Ok(JobEnd::Stopped);
    };
    let id = manifest.id();
    let manifest = Arc::new(manifest);
    let link = super::link_to(&job.services, Some(id));
    job.shared
        .change_record(|record| {
            record.content = Some(id);
            record.phase = crate::store::Phase::Active;
        })
        .await?;

    let (base, top) = base_and_top(&request.path)?;
    let open = manifest.clone();
    let files = blocking(move || Ok(Arc::new(ContentFiles::open(&base, &top, open, Place::Shared, stamps)?))).await?;
    let have = Bitmap::full(manifest.piece_count());
    let held = Arc::new(Held::new(id, files, have, job.shared.limits.up[0].clone(), job.services.swarm.choker));
    let serving = job.services.swarm.catalog.insert(held.clone());
    job.shared.update(|row| {
        row.content = Some(id);
        row.name = printable(&manifest.name);
        row.size = manifest.size();
        row.done = row.size;
        row.pieces = manifest.piece_count();
        row.pieces_done = row.pieces;
        row.files = manifest.files.len() as u64;
        row.verified = true;
        row.link = link;
    });
    if !serving {
        return Err(JobError::Other(format!("content {} is already shared or being fetched by this node", id.short())));
    }
    let mut trackers = request.trackers.clone();
    trackers.extend(job.services.trackers.iter().cloned());
    let announcers = Announcers::start(&job.services.swarm, &held, &trackers);
    let goal = SeedGoal { ratio: request.ratio, duration: request.seconds.map(Duration::from_secs) };
    let end = seeding::seed(&job, &held, &announcers, goal).await;
    announcers.stop().await;
    job.services.swarm.catalog.remove(&held);
    Ok(end)
}

/// Folder and name of a path. `..` and links in it were resolved when the share was asked for.
fn base_and_top(path: &Path) -> Result<(PathBuf, OsString), JobError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.into(), name.into())),
        _ => Err(JobError::Other(format!("{path:?} cannot be shared: it has no name"))),
    }
}

pub(super) type Hashed = (Manifest, Vec<FileStamp>);

/// The manifest of what stands at `path`, with its files' stamps; none: stopped. What has not changed is not read again.
pub(super) async fn hash(job: &Job, path: &Path, piece_length: Option<u64>) -> Result<Option<Hashed>, JobError> {
    let cancel = Arc::new(AtomicBool::new(false));
    let (flag, shared, state) = (cancel.clone(), job.shared.clone(), job.services.state.clone());
    let path = path.to_owned();
    let hashing = blocking(move || {
        let known: Option<Known> = state.hashed(&path)?;
        let options = MakeOptions { piece_length, threads: 0, known: known.as_ref() };
        let progress = |p: HashProgress| {
            shared.update(|row| {
                row.done = p.bytes_done;
                row.size = p.bytes_total;
            });
        };
        let made = make(&path, &options, &progress, &flag).map_err(|e| JobError::Other(e.to_string()))?;
        for skipped in &made.skipped {
            tracing::warn!(transfer = shared.id.0, path = %printable(&skipped.path), why = %skipped.why, "not shared");
        }
        let found = Known { manifest: made.manifest, stamps: made.stamps };
        if made.hashed_bytes > 0 || known.is_none() {
            state.put_hashed(&path, &found)?;
            state.put_manifest(&found.manifest.id(), &found.manifest)?;
        }
        Ok((found.manifest, found.stamps))
    });
    tokio::pin!(hashing);
    tokio::select! {
        made = &mut hashing => made.map(Some),
        () = job.stop.cancelled() => {
            cancel.store(true, Ordering::Relaxed);
            let _ = hashing.await;
            Ok(None)
        }
    }
}
