//! Pushing a path to another node: look at the source, open the upload, send what is missing, have it
//! assembled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::future::join_all;

use super::fetch_job::blocking;
use super::strategy::{Job, JobEnd, JobError};
use crate::content::name::printable;
use crate::content::{Digest, EntryKind, Reader, Scan, first_difference, scan};
use crate::control::{
    Bits, OnTaken, PathRow, PathState, PeerRow, PeerState, SendRequest, TransferDetail, TransferId, TransferState,
};
use crate::push::drive::{Drive, Ledger, PathNews, Progress, SendEnd};
use crate::push::paths::{Destination, PathSpec, resolve};
use crate::push::plan::Standing;
use crate::push::wire::{Opened, Wire, WireError};
use crate::push::{MOST_SEGMENTS, PushError, common, in_flight, retry, segment_for};
use crate::store::{JobRecord, PushRecord, SendRecord, State, TransferRecord};
use crate::swarm::Flow;

/// How often an upload that the receiver forgot meanwhile is begun again.
const REOPENED: u32 = 3;
/// What a cancelled upload's receiver gets to drop it.
const GOODBYE: Duration = Duration::from_secs(5);

fn request_of(record: &TransferRecord) -> Result<SendRecord, JobError> {
    match &record.job {
        JobRecord::Send(send) => Ok(send.clone()),
        _ => Err(JobError::Other("internal: not a push".into())),
    }
}

/// Where a request goes. `name`: the source's, in the manifest's spelling.
pub(super) fn destination(request: &SendRequest, name: &str) -> Result<Destination, String> {
    resolve(&request.dest, &request.paths, &request.via, name)
}

fn wires(job: &Job, paths: &[PathSpec]) -> Result<Vec<Arc<Wire>>, JobError> {
    let headers = job.services.swarm.client.node_headers();
    let wire = |path| Wire::new(path, headers.clone()).map(Arc::new).map_err(|e| PushError::from(e).into());
    paths.iter().map(wire).collect()
}

/// Asks every path whether it answers; their round trips, in order. Records how many do, which decides
/// the strategy.
pub(super) async fn probe(job: &Job) -> Result<Vec<Option<Duration>>, JobError> {
    let record = job.shared.record();
    let send = request_of(&record)?;
    let paths = destination(&send.request, &record.name).map_err(JobError::Other)?.paths;
    let wires = wires(job, &paths)?;
    job.shared.update(|row| {
        row.state = TransferState::Starting;
        row.reason = "asking which paths answer".into();
    });
    let found: Vec<Result<Duration, WireError>> = join_all(wires.iter().map(|wire| wire.probe(None))).await;
    for (path, error) in paths.iter().zip(&found).filter_map(|(path, f)| Some((path, f.as_ref().err()?))) {
        tracing::warn!(transfer = job.shared.id.0, path = %printable(&path.to_string()), error = %printable(&error.to_string()), "a path does not answer");
    }
    let answering = found.iter().filter(|f| f.is_ok()).count() as u32;
    let changed = job.shared.change_record(|record| {
        if let JobRecord::Send(send) = &mut record.job {
            (send.paths, send.answering) = (paths.len() as u32, Some(answering));
        }
    });
    changed.await?;
    Ok(found.into_iter().map(Result::ok).collect())
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
    let found = {
        let path = send.request.path.clone();
        blocking(move || scan(&path).map_err(|e| JobError::Other(e.to_string()))).await?
    };
    let destination = destination(&send.request, &found.name).map_err(JobError::Other)?;
    let push = Arc::new(recorded(&job, &send, &found, &destination).await?);
    let (mut paths, mut latencies) = (destination.paths, job.latencies.as_ref().clone());
    latencies.resize(paths.len(), None);
    if !all_paths {
        let best = (0..paths.len()).min_by_key(|n| latencies[*n].unwrap_or(Duration::MAX)).unwrap_or(0);
        (paths, latencies) = (vec![paths.swap_remove(best)], vec![latencies[best]]);
    }
    let wires = wires(&job, &paths)?;
    let mut reader = Some(Reader::new(found, push.segment).map_err(|e| JobError::Other(e.to_string()))?);
    let shown = Arc::new(Shown::new(&job, &paths, &push));
    job.shared.update(|row| {
        row.state = TransferState::Running;
        row.size = push.bytes;
        row.files = push.count;
        row.pieces = push.bytes.div_ceil(push.segment) as u32;
    });
    for _ in 0..REOPENED {
        let Some(opened) = open(&job, &push, &wires, &latencies, all_paths).await? else {
            return Ok(JobEnd::Stopped);
        };
        if opened.segment_length != push.segment {
            return Err(JobError::Other(
                "the receiver knows this upload with other segments: cancel it and send again".into(),
            ));
        }
        let reader = match reader.take() {
            Some(reader) => reader,
            None => look_again(&send, &push).await?,
        };
        let digests = digests(&job, reader.layout().piece_count()).await?;
        let opened = if opened.state == "done" { all_of(&reader, opened) } else { opened };
        let common = common(push.upload.clone(), reader, job.shared.limits.up.clone());
        let mut drive = Drive::new(
            common,
            wires.clone(),
            &latencies,
            digests,
            &opened,
            shown.clone(),
            job.stop.clone(),
            in_flight(push.segment),
            !all_paths,
        );
        let end = async {
            if drive.run().await? == SendEnd::Stopped {
                return Ok(JobEnd::Stopped);
            }
            // Nothing of it may have changed between the first segment's reading and the last's.
            look_again(&send, &push).await?;
            job.shared.update(|row| row.reason = "the receiver verifies what it got".into());
            let Some(assembled) = drive.assemble().await? else { return Ok(JobEnd::Stopped) };
            tracing::info!(transfer = job.shared.id.0, path = %printable(&assembled.path), "pushed");
            Ok(JobEnd::Complete)
        };
        match end.await {
            // Expired, or dropped by somebody: its description is still here.
            Err(JobError::Push(PushError::Wire(WireError::Unknown))) => {}
            Ok(JobEnd::Complete) => {
                shown.took();
                finish(&job, &push).await?;
                return Ok(JobEnd::Complete);
            }
            other => return other,
        }
    }
    Err(JobError::Other("the receiver forgets the upload again and again".into()))
}

/// What the push sends, as it was recorded when it began; recorded now if it begins.
///
/// # Errors
/// The source is not what it was.
async fn recorded(
    job: &Job,
    send: &SendRecord,
    found: &Scan,
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
        None => segment_for(bytes, u64::from(send.answering.unwrap_or(1))),
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
        upload: HEXLOWER.encode(&key),
        segment,
        target: destination.target.clone(),
        tree: !found.place.is_single_file(),
        files: found.files.clone(),
        stamps: found.stamps.clone(),
        bytes,
        count: found.files.len() as u64,
    };
    let (state, kept) = (job.services.state.clone(), push.clone());
    blocking(move || Ok(state.put_push(id, &kept)?)).await?;
    let begun = job.shared.change_record(|record| {
        if let JobRecord::Send(send) = &mut record.job {
            send.begun = true;
        }
    });
    begun.await?;
    Ok(push)
}

fn unchanged(push: &PushRecord, found: &Scan) -> Result<(), JobError> {
    let changed = |what: String| {
        JobError::Other(format!(
            "{what} changed since the transfer began, nothing of it was mixed: cancel this transfer and send again"
        ))
    };
    if push.tree == found.place.is_single_file() {
        return Err(changed(printable(&found.name)));
    }
    match first_difference((&push.files, &push.stamps), (&found.files, &found.stamps)) {
        None => Ok(()),
        Some(path) => Err(changed(format!("{path:?}"))),
    }
}

/// Scans the source again.
async fn look_again(send: &SendRecord, push: &Arc<PushRecord>) -> Result<Reader, JobError> {
    let (path, push) = (send.request.path.clone(), push.clone());
    blocking(move || {
        let found = scan(&path).map_err(|e| JobError::Other(e.to_string()))?;
        unchanged(&push, &found)?;
        Reader::new(found, push.segment).map_err(|e| JobError::Other(e.to_string()))
    })
    .await
}

/// The digests of what was acknowledged before.
async fn digests(job: &Job, segments: u32) -> Result<Vec<Option<Digest>>, JobError> {
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
fn all_of(reader: &Reader, opened: Opened) -> Opened {
    Opened { held: vec![(0, reader.layout().piece_count())], ..opened }
}

/// The body that opens an upload.
fn description(send: &SendRecord, push: &PushRecord) -> Bytes {
    let policy = match send.request.on_taken {
        OnTaken::Refuse => "refuse",
        OnTaken::Overwrite => "overwrite",
        OnTaken::KeepBoth => "keep-both",
    };
    let mut body = serde_json::json!({
        "version": 1,
        "path": push.target,
        "policy": policy,
        "size": push.bytes,
        "segment_length": push.segment,
        "files": push.tree.then_some(&push.files),
    });
    if let (false, Some(file), Some(object)) = (push.tree, push.files.first(), body.as_object_mut()) {
        object.insert("mode".into(), file.mode.into());
        if let Some(mtime) = file.mtime {
            object.insert("mtime".into(), mtime.to_string().into());
        }
    }
    Bytes::from(body.to_string())
}

/// Opens the upload over the first path that answers. None: stopped.
async fn open(
    job: &Job,
    push: &PushRecord,
    wires: &[Arc<Wire>],
    latencies: &[Option<Duration>],
    waits: bool,
) -> Result<Option<Opened>, JobError> {
    let body = description(&request_of(&job.shared.record())?, push);
    let mut order: Vec<usize> = (0..wires.len()).collect();
    order.sort_by_key(|n| latencies[*n].unwrap_or(Duration::MAX));
    let mut rounds = 0;
    job.shared.update(|row| row.reason = "opening the upload at the receiver".into());
    loop {
        let mut last = WireError::Broken("no path".into());
        for n in &order {
            let answer = tokio::select! {
                () = job.stop.cancelled() => return Ok(None),
                answer = wires[*n].open(&push.upload, body.clone()) => answer,
            };
            last = match answer {
                Ok(opened) => return Ok(Some(opened)),
                Err(error @ (WireError::Broken(_) | WireError::Busy(_))) => error,
                Err(WireError::Unknown) => {
                    return Err(JobError::Other("what answers there takes no uploads: is it a skep node?".into()));
                }
                Err(error) => return Err(PushError::from(error).into()),
            };
        }
        rounds += 1;
        let asked = if let WireError::Busy(asked) = &last { *asked } else { None };
        let pause = match retry::wait(rounds, asked, fastrand::f64()) {
            Some(pause) => pause,
            None if waits => retry::probe_pause(rounds, fastrand::f64()),
            None => return Err(PushError::from(last).into()),
        };
        let reason = printable(&format!("no path answers ({last}): tried again in {} s", pause.as_secs().max(1)));
        job.shared.update(|row| row.reason = reason);
        tokio::select! {
            () = job.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What was sent is known by its row from now on.
async fn finish(job: &Job, push: &PushRecord) -> Result<(), JobError> {
    let push = PushRecord { upload: String::new(), files: Vec::new(), stamps: Vec::new(), ..push.clone() };
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
        let paths = destination(&send.request, &record.name).map_err(JobError::Other)?.paths;
        let goodbye = async {
            for wire in wires(job, &paths)? {
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

/// The files that a viewer is shown, the first 1,000.
pub(super) fn files_of(push: &PushRecord) -> Vec<(String, u64)> {
    let files = push.files.iter().filter(|file| file.kind() == EntryKind::File);
    files.take(1_000).map(|file| (printable(&file.path), file.size)).collect()
}

/// Shows what a push does, and keeps what it achieves.
struct Shown {
    id: TransferId,
    state: Arc<State>,
    shared: Arc<super::shared::Shared>,
    paths: Vec<String>,
    segment: u64,
    files: Arc<Vec<(String, u64)>>,
    before: (u64, u64, f64),
    started: Instant,
    flow: Mutex<Flow>,
}

impl Shown {
    fn new(job: &Job, paths: &[PathSpec], push: &PushRecord) -> Self {
        let row = job.shared.row();
        let started = Instant::now();
        Self {
            id: job.shared.id,
            state: job.services.state.clone(),
            shared: job.shared.clone(),
            paths: paths.iter().map(|path| printable(&path.to_string())).collect(),
            segment: push.segment,
            files: Arc::new(files_of(push)),
            before: (row.bytes_up, row.wire_bytes, row.duration_s),
            started,
            flow: Mutex::new(Flow::new(started)),
        }
    }

    /// The row counts the time so far, assembling included.
    fn took(&self) {
        let seconds = self.before.2 + self.started.elapsed().as_secs_f64();
        self.shared.update(|row| row.duration_s = seconds);
    }
}

impl Ledger for Shown {
    fn record(&self, segments: &[(u32, Digest)]) -> Result<(), String> {
        self.state.put_sent(self.id, segments).map_err(|e| e.to_string())
    }

    fn wants_pieces(&self) -> bool {
        *self.shared.wanted.borrow()
    }

    fn show(&self, p: Progress) {
        if let Some((have, in_flight)) = &p.pieces {
            let peers = self.paths.iter().zip(&p.paths).map(|(name, path)| PeerRow {
                endpoint: name.clone(),
                state: match path.view.standing {
                    Standing::Healthy | Standing::Degraded => PeerState::Connected,
                    Standing::Dead { .. } | Standing::Probing => PeerState::Failing,
                },
                rate_up: path.view.rate as u64,
                bytes_up: path.bytes,
                rtt_ms: Some(path.view.latency_ms),
                active: path.view.active,
                window: path.view.window,
                note: printable(&path.note),
                ..PeerRow::default()
            });
            self.shared.show(Some(TransferDetail {
                id: self.id,
                generation: crate::clock::unix_ms(),
                piece_length: self.segment,
                have: Bits(Arc::new(have.clone())),
                in_flight: in_flight.clone(),
                failed: Vec::new(),
                availability: Arc::default(),
                peers: peers.collect(),
                trackers: Vec::new(),
                files: self.files.clone(),
            }));
        }
        let now = Instant::now();
        let (rate, smooth, idle) = {
            let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
            let news = p.sent.saturating_sub(flow.total());
            flow.add(news, now);
            (flow.now(now), flow.smooth(now), flow.idle(now))
        };
        let row_of = |(name, PathNews { view, bytes, note }): (&String, &PathNews)| PathRow {
            path: name.clone(),
            state: match view.standing {
                Standing::Healthy => PathState::Healthy,
                Standing::Degraded => PathState::Degraded,
                Standing::Dead { .. } => PathState::Dead,
                Standing::Probing => PathState::Probing,
            },
            latency_ms: view.latency_ms,
            rate: view.rate as u64,
            error_rate: view.error_rate,
            score: view.terms.score,
            terms: (view.terms.throughput, view.terms.latency, view.terms.errors),
            share: view.share,
            assigned: u64::from(view.queued + view.active) * self.segment + bytes,
            bytes: *bytes,
            active: view.active,
            note: printable(note),
        };
        let paths: Vec<PathRow> = self.paths.iter().zip(&p.paths).map(row_of).collect();
        let many = paths.len() > 1;
        self.shared.update(|row| {
            (row.done, row.pieces_done) = (p.held, p.segments);
            (row.rate_up, row.smooth_up) = (rate, smooth);
            row.bytes_up = self.before.0 + p.sent;
            row.wire_bytes = self.before.1 + p.wire;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
            let left = row.size.saturating_sub(p.held);
            row.eta_s = (smooth > 0 && left > 0).then(|| left / smooth);
            row.stalled_s = idle.as_secs();
            row.peers =
                paths.iter().filter(|p| matches!(p.state, PathState::Healthy | PathState::Degraded)).count() as u32;
            row.peers_known = paths.len() as u32;
            row.reason = if many { p.words } else { paths.first().map(|p| p.note.clone()).unwrap_or_default() };
            row.paths = paths;
        });
    }
}
