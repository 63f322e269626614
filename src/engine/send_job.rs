//! Pushing a path to another node: look at the source, open the upload, send what is missing, have it
//! assembled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;

use super::adapt::Adapt;
use super::fetch_job::blocking;
use super::push_report::Shown;
use super::strategy::{Job, JobEnd, JobError};
use crate::content::name::printable;
use crate::content::{self, Digest, FileEntry, Place, Reader, Scan, first_difference, scan};
use crate::control::{OnTaken, SendRequest, TransferState};
use crate::failpoint;
use crate::push::drive::{Drive, SendEnd};
use crate::push::paths::{Destination, PathSpec, resolve};
use crate::push::ways::Ways;
use crate::push::wire::{Opened, Wire, WireError};
use crate::push::{MOST_SEGMENTS, PushError, common, in_flight, segment_for};
use crate::store::{JobRecord, PushRecord, SendRecord, TransferRecord};

/// How often an upload that the receiver forgot meanwhile is begun again.
const REOPENED: u32 = 3;
/// What a cancelled upload's receiver gets to drop it.
const GOODBYE: Duration = Duration::from_secs(5);
/// What changes within one tick of a file system's clock (10 ms on the slowest) may leave no trace at all.
const TICK_NS: i64 = 20_000_000;

pub(super) fn request_of(record: &TransferRecord) -> Result<SendRecord, JobError> {
    match &record.job {
        JobRecord::Send(send) => Ok(send.clone()),
        _ => Err(JobError::Other("internal: not a push".into())),
    }
}

/// Where a request goes. `name`: the source's, in the manifest's spelling.
pub(super) fn destination(request: &SendRequest, name: &str) -> Result<Destination, String> {
    resolve(&request.dest, &request.paths, &request.via, name)
}

/// The ways to `target` at the receiver.
pub(super) fn wires(job: &Job, paths: &[PathSpec], target: &str) -> Result<Vec<Arc<Wire>>, JobError> {
    let headers = job.services.swarm.client.node_headers();
    let limits = &job.services.links_limited;
    paths.iter().map(|path| Ok(Arc::new(Wire::new(path, target, headers.clone())?.limited(limits)))).collect()
}

/// Asks every path whether it answers; their round trips, in order. Records how many do, which decides
/// the strategy.
pub(super) async fn probe(job: &Job) -> Result<Ways, JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    let Destination { paths, target } = destination(&send.request, &record.name).map_err(JobError::Other)?;
    let wires = wires(job, &paths, &target)?;
    job.shared.update(|row| {
        row.state = TransferState::Starting;
        row.reason = "asking which paths answer".into();
    });
    let (ways, failed) = Ways::probe(wires).await;
    for (path, error) in failed {
        tracing::warn!(transfer = job.shared.id.0, path = %printable(&paths[path].to_string()), error = %printable(&error.to_string()), "a path does not answer");
    }
    let answering = ways.answering();
    let changed = job.shared.change_record(|record| {
        if let JobRecord::Send(send) = &mut record.job {
            (send.paths, send.answering) = (paths.len() as u32, Some(answering));
        }
    });
    changed.await?;
    Ok(ways)
}

/// Pushes `job`'s path. `all_paths`: over all of them at once, waiting if none answers; else over the one
/// that answers best, giving up after some tries.
pub(super) async fn run(job: Job, all_paths: bool) -> Result<JobEnd, JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    job.shared.update(|row| {
        row.state = TransferState::Checking;
        row.reason.clear();
    });
    let began_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let mut found = {
        let path = send.request.path.clone();
        blocking(move || scan(&path).map_err(|e| JobError::Other(e.to_string()))).await?
    };
    let destination = destination(&send.request, &found.name).map_err(JobError::Other)?;
    if is_over(&job).await? {
        return Ok(JobEnd::Complete);
    }
    let push = Arc::new(recorded(&job, &send, (&mut found, began_ns), &destination).await?);
    let (mut paths, mut ways) = (destination.paths, job.ways.as_ref().clone());
    if ways.wires.len() != paths.len() {
        let wires = wires(&job, &paths, &push.target)?;
        ways = Ways { latencies: vec![None; wires.len()], wires, late: Vec::new() };
    }
    if !all_paths {
        let choices = job.shared.choices.borrow().clone();
        let off = |n: usize| choices.get(&paths[n].to_string()).is_some_and(|choice| !choice.enabled);
        let best;
        (best, ways) = ways.best(off);
        paths = vec![paths.swap_remove(best)];
    }
    let mut place = Some(found.place);
    let packer = Adapt::of(&job.services, &send.request.dest).packer(send.request.compress);
    let shown = Arc::new(Shown::new(&job, &paths, &push));
    job.shared.update(|row| {
        row.state = TransferState::Running;
        row.size = push.bytes;
        row.files = push.count;
        row.pieces = push.bytes.div_ceil(push.segment) as u32;
        row.segment = push.segment;
    });
    for _ in 0..REOPENED {
        let Some(opened) = open(&job, &push, &paths, &ways, all_paths).await? else {
            return Ok(JobEnd::Stopped);
        };
        failpoint::step("push:opened");
        if opened.segment_length != push.segment {
            return Err(JobError::Other(
                "the receiver knows this upload with other segments: cancel it and send again".into(),
            ));
        }
        let place = match place.take() {
            Some(place) => place,
            None => look_again(&send, &push).await?.0,
        };
        let reader = Reader::new(place, push.files.clone(), push.stamps.clone(), push.segment);
        let digests = digests_of(&job, reader.layout().piece_count()).await?;
        let opened = if opened.state == "done" { all_of(&reader, opened) } else { opened };
        let common = common(push.upload.clone(), reader, job.shared.limits.up.clone(), packer.clone());
        let mut drive = Drive::new(
            common,
            &ways,
            digests,
            &opened,
            shown.clone(),
            job.stop.clone(),
            in_flight(push.segment),
            !all_paths,
            job.services.pace,
        )
        .steered(names(&paths), job.shared.choices.subscribe());
        let end = async {
            if drive.run().await? == SendEnd::Stopped {
                return Ok(JobEnd::Stopped);
            }
            // Nothing of it may have changed between the first segment's reading and the last's.
            let (place, changed_ns) = look_again(&send, &push).await?;
            if push.changed_ns != Some(changed_ns) {
                let reader = Reader::new(place, push.files.clone(), push.stamps.clone(), push.segment);
                if !is_as_sent(&job, reader, drive.digests()?).await? {
                    return Ok(JobEnd::Stopped);
                }
            }
            failpoint::step("push:all-there");
            job.shared.update(|row| row.reason = "the receiver verifies what it got".into());
            let Some(assembled) = drive.assemble().await? else { return Ok(JobEnd::Stopped) };
            failpoint::step("push:assembled");
            tracing::info!(transfer = job.shared.id.0, path = %printable(&assembled.path), "pushed");
            Ok(JobEnd::Complete)
        };
        match end.await {
            // Expired, or dropped by somebody: its description is still here.
            Err(JobError::Push(PushError::Wire { error: WireError::Unknown, .. })) => {}
            Ok(JobEnd::Complete) => {
                shown.took();
                finish(&job, &push).await?;
                failpoint::step("push:finished");
                return Ok(JobEnd::Complete);
            }
            other => return other,
        }
    }
    Err(JobError::Other("the receiver forgets the upload again and again".into()))
}

/// Whether the receiver has published it, and only the transfer's own end was not recorded any more.
pub(super) async fn is_over(job: &Job) -> Result<bool, JobError> {
    let (state, id) = (job.services.state.clone(), job.shared.id);
    let Some(push) = blocking(move || Ok(state.push(id)?)).await?.filter(|push| push.upload.is_empty()) else {
        return Ok(false);
    };
    let pieces = push.bytes.div_ceil(push.segment.max(1)) as u32;
    job.shared.update(|row| {
        (row.size, row.files, row.pieces) = (push.bytes, push.count, pieces);
        (row.done, row.pieces_done, row.verified) = (push.bytes, pieces, true);
    });
    Ok(true)
}

/// What the push sends, as it was recorded when it began; recorded now, with what was `found`, if it begins.
///
/// # Errors
/// The source is not what it was.
async fn recorded(
    job: &Job,
    send: &SendRecord,
    (found, began_ns): (&mut Scan, i64),
    destination: &Destination,
) -> Result<PushRecord, JobError> {
    let (state, id) = (job.services.state.clone(), job.shared.id);
    let before = blocking(move || Ok(state.push(id)?)).await?;
    if let Some(push) = before.filter(|push| !push.upload.is_empty()) {
        unchanged(&push, found)?;
        return Ok(push);
    }
    for skipped in &found.skipped {
        tracing::warn!(transfer = id.0, path = %printable(&skipped.path), why = %skipped.why, "not sent");
    }
    let bytes = found.size();
    let segment = match send.request.segment_length {
        Some(length) => length,
        None => {
            let nearest = job.ways.latencies.iter().flatten().min().copied().unwrap_or_default();
            let chunk = Adapt::of(&job.services, &send.request.dest).chunk();
            segment_for(bytes, u64::from(send.answering.unwrap_or(1)), nearest, chunk)
        }
    };
    if bytes.div_ceil(segment) > MOST_SEGMENTS {
        let words = format!(
            "{bytes} bytes in segments of {segment} are too many: leave --segment away, or choose a longer one"
        );
        return Err(JobError::Other(words));
    }
    let mut key = [0; 16];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| JobError::Other(format!("no random bytes: {e}")))?;
    let push = PushRecord {
        asked: Vec::new(),
        upload: HEXLOWER.encode(&key),
        segment,
        target: destination.target.clone(),
        tree: !found.place.is_single_file(),
        count: found.files.len() as u64,
        changed_ns: (found.changed_ns < began_ns - TICK_NS).then_some(found.changed_ns),
        files: Arc::new(std::mem::take(&mut found.files)),
        stamps: Arc::new(std::mem::take(&mut found.stamps)),
        bytes,
    };
    let (state, kept) = (job.services.state.clone(), push.clone());
    blocking(move || Ok(state.put_push(id, &kept)?)).await?;
    failpoint::step("push:recorded");
    let begun = job.shared.change_record(|record| {
        if let JobRecord::Send(send) = &mut record.job {
            send.begun = true;
        }
    });
    begun.await?;
    Ok(push)
}

pub(super) fn changed(what: String) -> JobError {
    JobError::Other(format!(
        "{what} changed since the transfer began, nothing of it was mixed: cancel this transfer and send again"
    ))
}

fn unchanged(push: &PushRecord, found: &Scan) -> Result<(), JobError> {
    if push.tree == found.place.is_single_file() {
        return Err(changed(printable(&found.name)));
    }
    match first_difference((&push.files, &push.stamps), (&found.files, &found.stamps)) {
        None => Ok(()),
        Some(path) => Err(changed(format!("{path:?}"))),
    }
}

/// Scans the source again: where it lies, if it is what it was, and when something about it changed last.
async fn look_again(send: &SendRecord, push: &Arc<PushRecord>) -> Result<(Place, i64), JobError> {
    let (path, push) = (send.request.path.clone(), push.clone());
    blocking(move || {
        let found = content::look_again(&path, &push.files, &push.stamps);
        let again = found.map_err(|e| JobError::Other(e.to_string()))?;
        if push.tree == again.place.is_single_file() {
            return Err(changed(format!("{:?}", printable(&path.to_string_lossy()))));
        }
        match again.difference {
            None => Ok((again.place, again.changed_ns)),
            Some(path) => Err(changed(format!("{path:?}"))),
        }
    })
    .await
}

/// Something about the source changed that its size, time and inode do not tell: it is read again. False: stopped.
///
/// # Errors
/// It has other bytes than were sent.
async fn is_as_sent(job: &Job, reader: Reader, digests: Vec<Digest>) -> Result<bool, JobError> {
    job.shared.update(|row| row.reason = "the source was touched meanwhile: compared with what was sent".into());
    let stop = job.stop.clone();
    blocking(move || Ok(reader.compare(&digests, || stop.is_cancelled()).map_err(PushError::from)?)).await
}

/// The digests of what was acknowledged before.
pub(super) async fn digests_of(job: &Job, segments: u32) -> Result<Vec<Option<Digest>>, JobError> {
    let (state, id) = (job.services.state.clone(), job.shared.id);
    let sent = blocking(move || Ok(state.sent(id)?)).await?;
    let mut digests = vec![None; segments as usize];
    for (segment, digest) in sent {
        if let Some(slot) = digests.get_mut(segment as usize) {
            *slot = Some(digest);
        }
    }
    Ok(digests)
}

/// An upload that is published holds everything, whatever it lists.
pub(super) fn all_of(reader: &Reader, opened: Opened) -> Opened {
    Opened { held: vec![(0, reader.layout().piece_count())], ..opened }
}

/// The description of an upload.
#[derive(Serialize)]
struct Opening<'a> {
    version: u32,
    path: &'a str,
    policy: &'static str,
    size: u64,
    segment_length: u64,
    files: Option<&'a [FileEntry]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<Timestamp>,
}

/// As the receiver calls it.
pub(super) fn policy(on_taken: OnTaken) -> &'static str {
    match on_taken {
        OnTaken::Refuse => "refuse",
        OnTaken::Overwrite => "overwrite",
        OnTaken::KeepBoth => "keep-both",
    }
}

/// The body that opens an upload.
pub(super) fn description_of(send: &SendRecord, push: &PushRecord) -> Bytes {
    let policy = policy(send.request.on_taken);
    let file = push.files.first().filter(|_| !push.tree);
    let opening = Opening {
        version: 1,
        path: &push.target,
        policy,
        size: push.bytes,
        segment_length: push.segment,
        files: push.tree.then_some(&push.files[..]),
        mode: file.map(|file| file.mode),
        mtime: file.and_then(|file| file.mtime),
    };
    // Numbers, strings and lists only: cannot fail to serialise.
    Bytes::from(serde_json::to_vec(&opening).unwrap_or_default())
}

fn names(paths: &[PathSpec]) -> Vec<String> {
    paths.iter().map(PathSpec::to_string).collect()
}

/// Opens the upload over the first path that answers and is not disabled. None: stopped.
async fn open(
    job: &Job,
    push: &PushRecord,
    paths: &[PathSpec],
    ways: &Ways,
    waits: bool,
) -> Result<Option<Opened>, JobError> {
    let body = description_of(&request_of(&job.shared.record())?, push);
    let (names, mut choices) = (names(paths), job.shared.choices.subscribe());
    let mut order: Vec<usize> = (0..ways.wires.len()).collect();
    order.sort_by_key(|n| ways.latencies[*n].unwrap_or(Duration::MAX));
    let mut rounds = 0;
    loop {
        let usable: Vec<usize> = {
            let choices = choices.borrow_and_update();
            order.iter().copied().filter(|n| choices.get(&names[*n]).is_none_or(|choice| choice.enabled)).collect()
        };
        if usable.is_empty() {
            job.shared.update(|row| row.reason = "every path is disabled: waiting for one to be enabled".into());
            tokio::select! {
                () = job.stop.cancelled() => return Ok(None),
                changed = choices.changed() => if changed.is_err() { return Ok(None) },
            }
            continue;
        }
        if rounds == 0 {
            job.shared.update(|row| row.reason = "opening the upload at the receiver".into());
        }
        let (mut last, mut elsewhere) = (None, None);
        for wire in usable.iter().map(|n| &ways.wires[*n]) {
            let answer = tokio::select! {
                () = job.stop.cancelled() => return Ok(None),
                answer = wire.open(&push.upload, body.clone()) => answer,
            };
            match answer {
                Ok(opened) => return Ok(Some(opened)),
                Err(error @ (WireError::Broken(_) | WireError::Busy(_))) => last = Some((wire, error)),
                // Other paths may lead to the receiver all the same.
                Err(WireError::Unknown) => {
                    let words = "what answers there takes no uploads: is it a skep node?";
                    elsewhere = Some(JobError::Other(format!("{}: {words}", wire.at())));
                }
                Err(
                    error @ (WireError::Status { status: 300..400 | 404 | 405 | 500.., .. } | WireError::Malformed(_)),
                ) => {
                    elsewhere = Some(wire.failed(error).into());
                }
                Err(error) => return Err(wire.failed(error).into()),
            }
        }
        let (wire, last) = match (last, elsewhere) {
            (Some(last), _) => last,
            (None, Some(elsewhere)) => return Err(elsewhere),
            (None, None) => return Err(JobError::Other("no path".into())),
        };
        rounds += 1;
        let asked = if let WireError::Busy(asked) = &last { *asked } else { None };
        let pause = match job.services.pace.wait(rounds, asked, fastrand::f64()) {
            Some(pause) => pause,
            None if waits => job.services.pace.probe_pause(rounds, fastrand::f64()),
            None => return Err(wire.failed(last).into()),
        };
        let last = wire.failed(last);
        let reason = printable(&format!("no path answers ({last}): tried again in {} s", pause.as_secs().max(1)));
        job.shared.update(|row| row.reason = reason);
        tokio::select! {
            () = job.stop.cancelled() => return Ok(None),
            // Tried at once with what may be used now.
            Ok(()) = choices.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What was sent is known by its row from now on.
pub(super) async fn finish(job: &Job, push: &PushRecord) -> Result<(), JobError> {
    let push = PushRecord { upload: String::new(), files: Arc::default(), stamps: Arc::default(), ..push.clone() };
    let (state, id) = (job.services.state.clone(), job.shared.id);
    job.shared.update(|row| (row.done, row.pieces_done, row.verified) = (row.size, row.pieces, true));
    blocking(move || Ok(state.put_push(id, &push)?)).await
}

/// Has the receiver drop an unfinished upload, if it can be reached, and forgets it.
pub(super) async fn abandon(job: &Job) -> Result<(), JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    let (state, id) = (job.services.state.clone(), record.id);
    let push = blocking(move || Ok(state.push(id)?)).await?;
    if let Some(push) = push.filter(|push| !push.upload.is_empty()) {
        let Destination { paths, target } = destination(&send.request, &record.name).map_err(JobError::Other)?;
        let goodbye = async {
            for wire in wires(job, &paths, &target)? {
                match wire.abort(&push.upload).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(transfer = id.0, %error, "the receiver was not told that the push is over: it drops what it holds by itself")
                    }
                }
            }
            Ok::<_, JobError>(())
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
    let state = job.services.state.clone();
    blocking(move || Ok(state.forget_push(id)?)).await
}
