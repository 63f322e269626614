//! Fetching a content from a swarm: manifest, what is there already, the download, the name.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::seeding;
use super::sources::Sources;
use super::strategy::{Job, JobEnd, JobError};
use crate::content::name::printable;
use crate::content::{Bitmap, ContentId, Difference, FileStamp, HashProgress, Manifest, Report, Wrong, name, verify};
use crate::control::{OnExisting, TransferRow, TransferState};
use crate::store::{ContentFiles, FetchRecord, FilesError, FilesErrorKind, JobRecord, Phase, Place, partial_name};
use crate::swarm::{
    Announcers, ClientError, Download, DownloadEnd, DownloadReport, Held, Reporter, SeedGoal, fetch_manifest,
};

/// Pauses between attempts to get the manifest.
const MANIFEST_RETRY: [u64; 5] = [1, 2, 5, 10, 30];

/// Time between two looks at who in the pool has the content.
const POOL_LOOK: Duration = Duration::from_secs(5);
/// A copy to which nothing came for so long gives its place to others: it may wait for somebody who never comes back.
const IDLE: Duration = Duration::from_secs(60);

/// The name is another content's, in the words that whoever asks how a copy stands gets.
const EXISTS: &str = "exists and is not this content";
const APPEARED: &str = "appeared while the content was fetched";

/// Whether these words, of this node or another, are that a name is taken.
pub(super) fn is_taken(words: &str) -> bool {
    [EXISTS, APPEARED].iter().any(|taken| words.contains(taken))
}

/// Fetches `job`'s content.
pub(super) async fn run(job: Job) -> Result<JobEnd, JobError> {
    let record = job.shared.record();
    let JobRecord::Fetch(fetch) = &record.job else {
        return Err(JobError::Other("internal: not a fetch".into()));
    };
    let Some(id) = record.content else {
        return Err(JobError::Other("the content to fetch is not known; remove this transfer and add it again".into()));
    };
    let Some(manifest) = manifest(&job, fetch, &id).await? else { return Ok(JobEnd::Stopped) };
    let manifest = Arc::new(manifest);
    show_content(&job, &manifest).await?;

    job.shared.update(|row| row.state = TransferState::Checking);
    let Some(found) = look(&job, fetch, &id, manifest.clone()).await? else { return Ok(JobEnd::Stopped) };
    let Found { files, have, name, published } = found;
    let is_published = published.is_some();
    if !is_published {
        check_space(&files, &have)?;
    }

    let held = Arc::new(Held::new(
        id,
        files.clone(),
        have.clone(),
        job.shared.limits.up[0].clone(),
        job.services.swarm.choker,
    ));
    held.set_replicas(fetch.replicas);
    let serving = job.services.swarm.catalog.insert(held.clone());
    let mut announcers = Announcers::start(&job.services.swarm, &held, &fetch.trackers);
    let result = async {
        if !is_published && download(&job, fetch, &held, &files, have, &mut announcers).await? == DownloadEnd::Stopped {
            return Ok(JobEnd::Stopped);
        }
        announcers.set_complete();
        job.give_back_place();
        complete(&job, &files, name, published).await?;
        if !job.shared.record().seeding {
            return Ok(JobEnd::Complete);
        }
        Ok(seeding::seed(&job, &held, &announcers, SeedGoal::default()).await)
    }
    .await;
    announcers.stop().await;
    if serving {
        job.services.swarm.catalog.remove(&held);
    }
    if let Err(JobError::Files(FilesError { kind: FilesErrorKind::Replaced, .. })) = &result {
        // What was recorded is not what is there: the next run has to look.
        let (state, transfer) = (job.services.state.clone(), job.shared.id);
        blocking(move || Ok(state.forget_data(transfer)?)).await?;
    }
    result
}

/// The manifest: kept from before, or asked of the known nodes until one has it.
async fn manifest(job: &Job, fetch: &FetchRecord, id: &ContentId) -> Result<Option<Manifest>, JobError> {
    let state = job.services.state.clone();
    let content = *id;
    if let Some(kept) = blocking(move || Ok(state.manifest(&content)?)).await? {
        return Ok(Some(kept));
    }
    job.shared.update(|row| row.state = TransferState::Starting);
    let mut nodes: Vec<String> = fetch.peers.iter().chain(&fetch.trackers).chain(&job.services.join).cloned().collect();
    nodes.extend(job.services.pool.holders_of(id));
    let mut seen = HashSet::new();
    nodes.retain(|node| seen.insert(node.clone()));
    let mut attempt = 0;
    loop {
        let answer = tokio::select! {
            () = job.stop.cancelled() => return Ok(None),
            answer = fetch_manifest(&job.services.swarm.client, &nodes, *id) => answer,
        };
        let mut errors = match answer {
            Ok(manifest) => {
                let (state, kept) = (job.services.state.clone(), manifest.clone());
                blocking(move || Ok(state.put_manifest(&content, &kept)?)).await?;
                return Ok(Some(manifest));
            }
            Err(errors) => errors,
        };
        // The only one to ask: no use in asking again.
        if let (1, [ClientError::Unauthorized { .. } | ClientError::Url(_)]) = (seen.len(), errors.as_slice()) {
            return Err(errors.remove(0).into());
        }
        let nobody_has_it = errors.iter().all(|error| matches!(error, ClientError::Status { status: 404, .. }));
        let last = match errors.last() {
            Some(error) => error.to_string(),
            None => "no node is known to ask; add one with --peer or --tracker".to_owned(),
        };
        // Who gave a hostile manifest is not asked again: the next one would be no better.
        let mut unsound = errors.iter().map(ClientError::is_unsound);
        nodes.retain(|_| unsound.next() == Some(false));
        if nodes.is_empty() && !seen.is_empty() {
            return Err(JobError::Other(format!("{last}; get it from another node with --peer")));
        }
        // "Not found" is an answer; it may have just been shared, but no minute of asking changes it.
        let attempts = if nobody_has_it { 1 } else { MANIFEST_RETRY.len() };
        let Some(pause) = MANIFEST_RETRY[..attempts].get(attempt) else {
            return Err(JobError::Other(format!(
                "no node gave the manifest: {last}; start one that has it, then resume"
            )));
        };
        job.shared
            .update(|row| row.reason = printable(&format!("waiting for the manifest: {last}; next try in {pause} s")));
        attempt += 1;
        tokio::select! {
            () = job.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(Duration::from_secs(*pause)) => {}
        }
    }
}

async fn show_content(job: &Job, manifest: &Manifest) -> Result<(), JobError> {
    if job.shared.record().name != manifest.name {
        job.shared.change_record(|record| record.name.clone_from(&manifest.name)).await?;
    }
    let path = job.shared.record().dir.join(final_name(manifest));
    job.shared.update(|row| {
        row.name = printable(&manifest.name);
        row.size = manifest.size();
        row.pieces = manifest.piece_count();
        row.files = manifest.files.len() as u64;
        row.path = path.display().to_string();
        row.reason.clear();
    });
    Ok(())
}

/// The name under which the content appears. The manifest was checked: it is a single plain name.
fn final_name(manifest: &Manifest) -> OsString {
    name::unescape(&manifest.name).unwrap_or_else(|_| OsString::from("content"))
}

/// Where the content lies now, and what of it is good.
struct Found {
    files: Arc<ContentFiles>,
    have: Bitmap,
    name: OsString,
    /// It stands complete under its final name already, and its files looked like this when their
    /// bytes were known to be right.
    published: Option<Vec<FileStamp>>,
}

/// Finds what is there: the published content, a partial one with or without a record.
async fn look(
    job: &Job,
    fetch: &FetchRecord,
    id: &ContentId,
    manifest: Arc<Manifest>,
) -> Result<Option<Found>, JobError> {
    let (dir, transfer, id) = (job.shared.record().dir, job.shared.id, *id);
    let name = final_name(&manifest);
    let state = job.services.state.clone();
    let made = dir.clone();
    blocking(move || {
        std::fs::create_dir_all(&made).map_err(|e| JobError::Files(FilesError::new("create folder", &made, e)))
    })
    .await?;
    let open = |top: OsString| {
        let (dir, manifest) = (dir.clone(), manifest.clone());
        blocking(move || Ok(Arc::new(ContentFiles::open(&dir, &top, manifest, Place::Fetched, vec![])?)))
    };
    let partial = open(partial_name(&id)).await?;
    if partial.taken(&name) {
        let files = open(name.clone()).await?;
        if let Some(stamps) = unchanged(job, &files).await? {
            let have = Bitmap::full(manifest.piece_count());
            return Ok(Some(Found { files, have, name, published: Some(stamps) }));
        }
        // Before anything is read: what changes later does not look like it. Missing entries are
        // the check's business.
        let looked_at = files.clone();
        let stamps = blocking(move || Ok(looked_at.look().ok())).await?;
        let Some(report) = check(job, dir.join(&name), manifest.clone()).await? else { return Ok(None) };
        let (complete, have) = (is_complete(&report), report.good);
        job.shared.update(|row| {
            row.done = super::bytes_of(&manifest, &have);
            row.pieces_done = have.count();
        });
        if let (true, Some(stamps)) = (complete, stamps) {
            sync_found(&files, &have).await?;
            return Ok(Some(Found { files, have, name, published: Some(stamps) }));
        }
        if fetch.request.on_existing == OnExisting::Repair || job.shared.record().mend {
            sync_found(&files, &have).await?;
            return Ok(Some(Found { files, have, name, published: None }));
        }
        // What was looked at counted as progress; nothing of it is ours.
        job.shared.update(|row| (row.done, row.pieces_done) = (0, 0));
        let differs = match report.wrong.first().map(|w| &w.path).or(report.missing.first()) {
            Some(path) if have.is_full() => format!("all pieces match, but {:?} differs", name::excerpt(path)),
            _ => format!("{} of {} pieces match", have.count(), have.len()),
        };
        return Err(JobError::Other(format!(
            "{:?} {EXISTS} ({differs}); choose another folder with -o, or --overwrite to mend it in place",
            dir.join(&name),
        )));
    }
    let pieces = manifest.piece_count();
    let on_disk = partial.clone();
    let recorded =
        blocking(move || Ok(state.bitmap(transfer, pieces)?.filter(|recorded| on_disk.can_hold(recorded)))).await?;
    let have = if !partial.taken(&partial_name(&id)) {
        Bitmap::empty(pieces)
    } else if let Some(recorded) = recorded {
        recorded
    } else {
        // Left by a transfer whose record is gone, or not what the record says: what matches is kept.
        match check(job, dir.join(partial_name(&id)), manifest).await? {
            Some(report) => {
                sync_found(&partial, &report.good).await?;
                report.good
            }
            None => return Ok(None),
        }
    };
    Ok(Some(Found { files: partial, have, name, published: None }))
}

/// The stamps of a content that this transfer put there, if it looks exactly as it did then: it need
/// not be read again.
async fn unchanged(job: &Job, files: &Arc<ContentFiles>) -> Result<Option<Vec<FileStamp>>, JobError> {
    let record = job.shared.record();
    if !record.published || record.mend {
        return Ok(None);
    }
    let (state, files) = (job.services.state.clone(), files.clone());
    blocking(move || Ok(state.stamps(record.id)?.filter(|stamps| files.is_as(stamps)))).await
}

/// What was found by reading may be in the page cache only: it is put on the disk before it is
/// recorded (design rule 5).
async fn sync_found(files: &Arc<ContentFiles>, have: &Bitmap) -> Result<(), JobError> {
    let (files, have) = (files.clone(), have.clone());
    blocking(move || Ok(files.sync_found(&have).map(drop)?)).await
}

/// Everything is there as it should be. Modes are the owner's business.
fn is_complete(report: &Report) -> bool {
    let harmless = |wrong: &Wrong| matches!(wrong.difference, Difference::Mode { .. });
    report.good.is_full() && report.missing.is_empty() && report.wrong.iter().all(harmless)
}

/// What under `path` matches; none if stopped meanwhile.
async fn check(job: &Job, path: PathBuf, manifest: Arc<Manifest>) -> Result<Option<Report>, JobError> {
    let shared = job.shared.clone();
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = cancel.clone();
    let checking = blocking(move || {
        let progress = |p: HashProgress| shared.update(|row| row.done = p.bytes_done);
        verify(&path, &manifest, 0, &progress, &flag).map_err(|e| JobError::Other(e.to_string()))
    });
    tokio::pin!(checking);
    tokio::select! {
        report = &mut checking => Ok(Some(report?)),
        () = job.stop.cancelled() => {
            cancel.store(true, Ordering::Relaxed);
            let _ = checking.await;
            Ok(None)
        }
    }
}

/// Refuses early what cannot fit.
fn check_space(files: &ContentFiles, have: &Bitmap) -> Result<(), JobError> {
    let missing: u64 = have
        .zeros()
        .map(|piece| {
            let r = files.piece(piece);
            r.end - r.start
        })
        .sum();
    match files.free_space() {
        Ok(free) if free < missing => {
            let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
            tracing::error!(free, missing, path = %files.path().display(), "not enough free space");
            Err(JobError::Files(FilesError {
                op: "fetch into",
                path: files.path(),
                kind: FilesErrorKind::NoSpace,
                source: error,
            }))
        }
        _ => Ok(()),
    }
}

async fn download(
    job: &Job,
    fetch: &FetchRecord,
    held: &Arc<Held>,
    files: &Arc<ContentFiles>,
    have: Bitmap,
    announcers: &mut Announcers,
) -> Result<DownloadEnd, JobError> {
    let before = job.shared.row();
    let recorder = job.shared.clone();
    let started = Instant::now();
    let figures = watch::Sender::new(DownloadReport::default());
    let mut reports = figures.subscribe();
    let mut reporter = Reporter { figures, detail: job.shared.detail.clone(), wanted: job.shared.wanted.subscribe() };
    let mut sources = Sources::new(job.services.pool.clone(), held.id());
    let (peers, spared) = sources.first(fetch.peers.iter().chain(&job.services.join).cloned().collect());
    let download = Download {
        swarm: job.services.swarm.clone(),
        id: job.shared.id,
        held: held.clone(),
        files: files.clone(),
        have,
        order: fetch.request.order,
        peers,
        spared,
        mirrors: fetch.mirrors.clone(),
        throttles: job.shared.limits.down.clone(),
        links: job.services.links_limited.clone(),
        record: Arc::new(move |have| recorder.write(Some(have), None)),
        seed: fastrand::u64(..),
    };
    job.shared.update(|row| row.state = TransferState::Running);
    let running = download.run(&mut reporter, announcers, job.stop.clone());
    tokio::pin!(running);
    let uploaded_before = held.uploaded();
    let mut look = tokio::time::interval(POOL_LOOK);
    let mut came = (before.done, Instant::now());
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = look.tick() => {
                sources.look(held);
                let done = reports.borrow().done;
                if done != came.0 {
                    came = (done, Instant::now());
                } else if fetch.kept && came.1.elapsed() > IDLE {
                    job.give_back_place();
                }
            }
            Ok(()) = reports.changed() => {
                let report = reports.borrow_and_update().clone();
                sources.on_report(&report);
                let up = held.uploaded() - uploaded_before;
                job.shared.update(|row| show(row, &before, &report, up, held.upload_rows().iter().map(|row| row.rate).sum(), started));
            }
        }
    };
    let report = reports.borrow().clone();
    sources.at_end(&report);
    let up = held.uploaded() - uploaded_before;
    job.shared.update(|row| show(row, &before, &report, up, 0, started));
    Ok(result?)
}

/// Puts a download's figures into the row. `before`: the row when this run began.
fn show(row: &mut TransferRow, before: &TransferRow, report: &DownloadReport, up: u64, up_rate: u64, started: Instant) {
    row.done = report.done;
    row.pieces_done = report.pieces_done;
    (row.rate_down, row.smooth_down) = (report.rate, report.smooth);
    (row.rate_up, row.smooth_up) = (up_rate, up_rate);
    row.stalled_s = report.stalled_s;
    (row.peers, row.peers_known, row.seeds) = (report.peers, report.peers_known, report.seeds);
    row.bytes_down = before.bytes_down + report.bytes;
    row.bytes_up = before.bytes_up + up;
    row.wire_bytes = before.wire_bytes + report.bytes + report.overhead + up;
    row.reason.clone_from(&report.reason);
    row.eta_s = (report.smooth > 0).then(|| row.size.saturating_sub(report.done) / report.smooth.max(1));
    row.duration_s = before.duration_s + started.elapsed().as_secs_f64();
    if !report.bytes_per_peer.is_empty() {
        row.bytes_per_peer.clone_from(&report.bytes_per_peer);
    }
}

/// Metadata, the name, the record. From here on a file that somebody changes is not served.
async fn complete(
    job: &Job,
    files: &Arc<ContentFiles>,
    name: OsString,
    published: Option<Vec<FileStamp>>,
) -> Result<(), JobError> {
    let done = files.clone();
    let stamps = blocking(move || {
        let stamps = match published {
            Some(stamps) => stamps,
            None => {
                done.finish()?;
                done.sync()?;
                publish(&done, &name)?;
                done.look()?
            }
        };
        done.pin(stamps.clone());
        Ok(stamps)
    })
    .await?;
    let now = crate::clock::unix_ms();
    let have = Bitmap::full(files.manifest().piece_count());
    let link = super::link_to(&job.services, job.shared.record().content);
    job.shared.update(|row| {
        row.state = TransferState::Done;
        row.done = row.size;
        row.pieces_done = row.pieces;
        row.path = files.path().display().to_string();
        row.verified = true;
        row.ended_ms = Some(now);
        row.eta_s = None;
        row.link = link;
        (row.rate_down, row.rate_up, row.smooth_down, row.smooth_up, row.stalled_s) = (0, 0, 0, 0, 0);
        row.reason.clear();
    });
    job.shared
        .change_record(|record| {
            record.phase = Phase::Complete;
            record.published = true;
            record.mend = false;
            record.ended_ms = Some(now);
            record.error = None;
        })
        .await?;
    let shared = job.shared.clone();
    blocking(move || Ok(shared.write(Some(&have), Some(&stamps))?)).await
}

fn publish(files: &ContentFiles, name: &OsStr) -> Result<(), JobError> {
    files.publish(name).map(drop).map_err(|error| match error.kind {
        FilesErrorKind::Exists => JobError::Other(format!("{:?} {APPEARED}; move it away, then resume", error.path)),
        _ => error.into(),
    })
}

/// Runs something that blocks off the async threads.
pub(super) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> impl Future<Output = Result<T, JobError>> {
    let task = tokio::task::spawn_blocking(work);
    async move { task.await.unwrap_or_else(|e| Err(JobError::Other(format!("internal: {e}")))) }
}
