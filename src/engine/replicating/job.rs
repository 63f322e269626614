//! A push to a pool, from hashing to the last copy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;

use super::REPLICAS;
use super::nodes::{Found, Keeping, Nodes};
use crate::content::{self, Bitmap, Digest, Manifest, Reader};
use crate::control::TransferState;
use crate::engine::adapt::Adapt;
use crate::engine::fetch_job::blocking;
use crate::engine::push_report::Shown;
use crate::engine::send_job::{changed, finish, is_over, request_of};
use crate::engine::share_job;
use crate::engine::strategy::{Job, JobEnd, JobError};
use crate::push::drive::{Drive, SendEnd};
use crate::push::paths::PathSpec;
use crate::push::ways::Ways;
use crate::push::wire::{Opened, Wire, WireError};
use crate::push::{PushError, common, in_flight};
use crate::store::PushRecord;

/// Time between two looks at the nodes.
const LOOK: Duration = Duration::from_millis(500);
/// All was sent, and the copies do not grow for so long: what was acknowledged may be gone.
const STUCK: Duration = Duration::from_secs(5);
/// Copies that no node takes are waited for this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a cancelled push's nodes get to drop what they have.
const GOODBYE: Duration = Duration::from_secs(5);

/// How a round ended.
enum Round {
    Whole,
    Again,
    Stopped,
}

/// Sends `job`'s path to its pool.
pub(super) async fn run(job: Job) -> Result<JobEnd, JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    if is_over(&job).await? {
        return Ok(JobEnd::Complete);
    }
    job.shared.update(|row| row.state = TransferState::Checking);
    let path = send.request.path.clone();
    let Some((manifest, stamps)) = share_job::hash(&job, &path, send.request.segment_length).await? else {
        return Ok(JobEnd::Stopped);
    };
    let (manifest, stamps) = (Arc::new(manifest), Arc::new(stamps));
    let id = manifest.id();
    let mut push = PushRecord {
        upload: id.to_string(),
        segment: manifest.piece_length,
        target: manifest.name.clone(),
        tree: !manifest.is_single_file(),
        count: manifest.files.len() as u64,
        files: Arc::new(manifest.files.clone()),
        stamps,
        bytes: manifest.size(),
        ..PushRecord::default()
    };
    let transfer = job.shared.id;
    if let Some(before) = before(&job).await? {
        if before.upload == push.upload {
            push.asked = before.asked;
        } else {
            // The source is another one now: nobody sends the rest of what was begun.
            forsake(&job, &before).await;
        }
    }
    keep(&job, &push).await?;
    job.shared.change_record(|record| record.content = Some(id)).await?;
    job.shared.update(|row| {
        (row.content, row.state) = (Some(id), TransferState::Running);
        (row.size, row.files) = (push.bytes, push.count);
        (row.pieces, row.segment) = (manifest.piece_count(), push.segment);
        (row.done, row.pieces_done) = (0, 0);
    });
    let balancer = send.request.balancer.unwrap_or_else(|| job.services.pool.balancer());
    let Some(wanted) = copies(&job, send.request.replicas, push.asked.len()).await? else {
        return Ok(JobEnd::Stopped);
    };
    let mut nodes = Nodes::new(&job, id.to_string(), wanted, balancer, &push.asked);
    nodes.find_before(&job).await;
    let mut lacking_since = None;
    loop {
        nodes.fill(&job, &manifest).await.map_err(|error| match job.services.pool.nobody() {
            Some(why) => JobError::NoNodes(why),
            None => error,
        })?;
        let new: Vec<String> = nodes.asked.iter().filter(|url| !push.asked.contains(url)).cloned().collect();
        if !new.is_empty() {
            push.asked.extend(new);
            keep(&job, &push).await?;
        }
        if nodes.lacking() == 0 || nodes.is_cut_off() {
            lacking_since = None;
        } else if nodes.all.is_empty() || nodes.all.iter().all(|node| node.is_whole) {
            let since: Instant = *lacking_since.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE || nodes.all.is_empty() && since.elapsed() > LOOK * 4 {
                let words = format!(
                    "{} of {wanted} copies are there; no node takes the rest ({})",
                    nodes.all.len(),
                    nodes.left_out()
                );
                return Err(JobError::Other(words));
            }
        }
        match round(&job, &push, &manifest, &mut nodes).await? {
            Round::Stopped => return Ok(JobEnd::Stopped),
            Round::Again => {}
            Round::Whole => {
                let names: Vec<_> = nodes.all.iter().map(|node| &*node.name).collect();
                tracing::info!(transfer = transfer.0, content = %id.short(), "{} copies: {}", names.len(), names.join(", "));
                finish(&job, &push).await?;
                return Ok(JobEnd::Complete);
            }
        }
    }
}

/// What is recorded of an earlier run.
async fn before(job: &Job) -> Result<Option<PushRecord>, JobError> {
    let (state, id) = (job.services.state.clone(), job.shared.id);
    let push = blocking(move || Ok(state.push(id)?)).await?;
    Ok(push.filter(|push| !push.upload.is_empty()))
}

async fn keep(job: &Job, push: &PushRecord) -> Result<(), JobError> {
    let (state, id, push) = (job.services.state.clone(), job.shared.id, push.clone());
    blocking(move || Ok(state.put_push(id, &push)?)).await
}

/// How many copies to make; none: stopped. `before`: nodes that were asked in an earlier run, which come back if they are not
/// heard of yet.
async fn copies(job: &Job, asked: Option<u32>, before: usize) -> Result<Option<usize>, JobError> {
    let mut look = tokio::time::interval(LOOK);
    loop {
        let there = job.services.pool.size();
        let wanted = asked.map_or(REPLICAS as usize, |asked| asked as usize);
        let wanted = if asked.is_none() { wanted.min(before.max(there)) } else { wanted };
        let words = match there {
            _ if (1..=there).contains(&wanted) => return Ok(Some(wanted)),
            0 => job.services.pool.nobody().unwrap_or_default(),
            _ => format!(
                "{wanted} copies need {wanted} nodes, the pool has {there}: add nodes, or ask for fewer with --replicas"
            ),
        };
        if before == 0 {
            return Err(if there == 0 { JobError::NoNodes(words) } else { JobError::Other(words) });
        }
        job.shared.update(|row| row.reason = format!("waiting for the nodes that it began with: {words}"));
        tokio::select! {
            () = job.stop.cancelled() => return Ok(None),
            _ = look.tick() => {}
        }
    }
}

/// Sends what none of the nodes has, and watches them until all have all, or one of them is out.
async fn round(job: &Job, push: &PushRecord, manifest: &Manifest, nodes: &mut Nodes) -> Result<Round, JobError> {
    let pieces = manifest.piece_count();
    let (to, have) = nodes.lacking_pieces(pieces).await;
    let stop = job.stop.child_token();
    let mut drive = match have.is_full() || to.is_empty() {
        true => None,
        false => Some(drive(job, push, manifest, &to, &have, stop.clone()).await?),
    };
    let mut driving = std::pin::pin!(async {
        match &mut drive {
            Some(drive) => drive.run().await,
            None => Ok(SendEnd::AllThere),
        }
    });
    let mut is_looking = false;
    let (mut is_sent, mut is_over, mut grew, mut last) = (false, false, Instant::now(), None);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The push goes on while the nodes are asked.
    let mut looking = OptionFuture::from(None);
    let end = loop {
        tokio::select! {
            end = &mut driving, if !is_over => {
                is_over = true;
                match end {
                    Ok(SendEnd::AllThere) => (is_sent, grew) = (true, Instant::now()),
                    Ok(SendEnd::Stopped) => break Ok(Round::Stopped),
                    Err(error) => break judge(error, nodes),
                }
            }
            () = job.stop.cancelled() => break Ok(Round::Stopped),
            _ = look.tick(), if !is_looking => (looking, is_looking) = (Some(Box::pin(nodes.asking())).into(), true),
            Some(answers) = &mut looking, if is_looking => {
                (looking, is_looking) = (None.into(), false);
                match nodes.heard(answers, is_sent) {
                    Found::Whole => break Ok(Round::Whole),
                    Found::Changed => break Ok(Round::Again),
                    Found::Growing => {
                        let counts: Vec<u32> = nodes.all.iter().map(|node| node.count).collect();
                        if last.as_ref() != Some(&counts) {
                            (grew, last) = (Instant::now(), Some(counts));
                        }
                        if is_sent {
                            let words = nodes.words(pieces);
                            job.shared.update(|row| row.reason = words);
                            if grew.elapsed() > STUCK {
                                break Ok(Round::Again);
                            }
                        }
                    }
                }
            },
        }
    };
    stop.cancel();
    if !is_over {
        // It ends by itself, with nothing left under way.
        let _ = driving.await;
    }
    end
}

async fn drive(
    job: &Job,
    push: &PushRecord,
    manifest: &Manifest,
    to: &[&Keeping],
    have: &Bitmap,
    stop: tokio_util::sync::CancellationToken,
) -> Result<Drive, JobError> {
    let send = request_of(&job.shared.record())?;
    let (path, known) = (send.request.path.clone(), push.clone());
    let again = blocking(move || {
        content::look_again(&path, &known.files, &known.stamps).map_err(|e| JobError::Other(e.to_string()))
    });
    let again = again.await?;
    if let Some(path) = again.difference {
        return Err(changed(format!("{path:?}")));
    }
    let reader = Reader::new(again.place, push.files.clone(), push.stamps.clone(), push.segment);
    let specs: Vec<PathSpec> = to.iter().map(|node| node.spec.clone()).collect();
    let (ways, _) = Ways::probe(to.iter().map(|node| node.wire.clone()).collect()).await;
    let packer = Adapt::of(&job.services, &specs[0].endpoint).packer(send.request.compress);
    let shown = Arc::new(Shown::new(job, &specs, push).unrecorded());
    let common = common(push.upload.clone(), reader, job.shared.limits.up.clone(), packer);
    let opened =
        Opened { segment_length: push.segment, held: runs(have), state: "open".into(), accepts: vec!["zstd".into()] };
    let digests: Vec<Option<Digest>> = manifest.pieces.iter().copied().map(Some).collect();
    let pace = job.services.pace;
    Ok(Drive::new(common, &ways, digests, &opened, shown, stop, in_flight(push.segment), false, pace).replacing())
}

/// Half-open ranges of what is set.
pub(super) fn runs(bitmap: &Bitmap) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for piece in bitmap.ones() {
        match runs.last_mut() {
            Some((_, end)) if *end == piece => *end += 1,
            _ => runs.push((piece, piece + 1)),
        }
    }
    runs
}

/// Whether a push that ended so goes on with other nodes.
fn judge(error: PushError, nodes: &mut Nodes) -> Result<Round, JobError> {
    match error {
        PushError::Wire { at, error } | PushError::GaveUp { at, error, .. } if !matches!(error, WireError::Path(_)) => {
            nodes.drop_way(&at, &error);
            Ok(Round::Again)
        }
        other => Err(other.into()),
    }
}

/// Has the nodes that were asked drop what is not whole there, if they can be reached, and forgets the push.
pub(in crate::engine) async fn abandon(job: &Job) -> Result<(), JobError> {
    if let Some(push) = before(job).await? {
        forsake(job, &push).await;
    }
    let (state, id) = (job.services.state.clone(), job.shared.id);
    blocking(move || Ok(state.forget_push(id)?)).await
}

async fn forsake(job: &Job, push: &PushRecord) {
    let headers = job.services.swarm.client.node_headers();
    let goodbyes = push.asked.iter().map(async |endpoint| {
        let spec = PathSpec { endpoint: endpoint.trim_end_matches('/').to_owned(), via: None };
        let Ok(wire) = Wire::new(&spec, "", headers.clone()) else { return };
        if let Err(error) = wire.into_replica().abort(&push.upload).await {
            tracing::warn!(transfer = job.shared.id.0, node = %endpoint, %error, "not told that the push is over: it waits for the rest until it is cancelled there");
        }
    });
    let _ = tokio::time::timeout(GOODBYE, futures_util::future::join_all(goodbyes)).await;
}
