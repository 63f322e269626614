//! A round of a sync: its files, as one upload that the receiver keeps aside until names are put in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::fetch_job::blocking;
use super::send_job::{all_of, digests_of};
use super::strategy::{Job, JobError};
use super::sync_job::{Receiver, key};
use super::sync_shown::Shown;
use crate::content::{FileEntry, Place, Reader};
use crate::control::SyncRequest;
use crate::push::drive::{Drive, SendEnd};
use crate::push::retry::Pace;
use crate::push::wire::{Opened, WireError};
use crate::push::{PushError, common, in_flight, segment_for};
use crate::store::PushRecord;
use crate::sync::plan::Round;
use crate::sync::scan::Scanned;
use crate::upload::staged;

/// An upload that the receiver forgets is begun again this often.
const REOPENED: u32 = 3;

/// An upload that the receiver holds.
pub(super) struct Sent {
    pub(super) upload: String,
    /// Files in it that are not what they were, and why.
    pub(super) spoiled: BTreeMap<String, String>,
}

/// Sends the files of a round. None: stopped.
pub(super) async fn send(
    job: &Job,
    request: &SyncRequest,
    receiver: &Receiver,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    round: &Round,
) -> Result<Option<Sent>, JobError> {
    let push = recorded(job, receiver, scanned, round).await?;
    for _ in 0..REOPENED {
        let opened = open(receiver, &push, job.services.pace).await?;
        if opened.segment_length != push.segment {
            return Err(JobError::Other(
                "the receiver knows this upload with other segments: cancel and sync again".into(),
            ));
        }
        let reader = reader(request, scanned, &push).await?;
        let digests = digests_of(job, reader.layout().piece_count()).await?;
        let opened = if opened.state == "done" { all_of(&reader, opened) } else { opened };
        shown.begins(&push);
        let common = common(push.upload.clone(), reader, job.shared.limits.up.clone(), receiver.packer.clone());
        let mut drive = Drive::new(
            common,
            &receiver.ways,
            digests,
            &opened,
            shown.clone(),
            job.stop.clone(),
            in_flight(push.segment),
            receiver.ways.wires.len() == 1,
            job.services.pace,
        );
        let end = async {
            if drive.run().await? == SendEnd::Stopped {
                return Ok(false);
            }
            // Files are compared with what the scan saw whenever they are read: none is looked at again.
            Ok::<bool, PushError>(drive.assemble().await?.is_some())
        };
        match end.await {
            Err(PushError::Wire { error: WireError::Unknown, .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(false) => return Ok(None),
            Ok(true) => {
                shown.ends(&push);
                return Ok(Some(Sent { upload: push.upload, spoiled: drive.spoiled() }));
            }
        }
    }
    Err(JobError::Other("the receiver forgets the upload again and again".into()))
}

/// What a round sends, as an upload of its own; the one that was under way when the sync was stopped, if it is
/// the same.
async fn recorded(job: &Job, receiver: &Receiver, scanned: &Scanned, round: &Round) -> Result<PushRecord, JobError> {
    let mut push = PushRecord { upload: key()?, tree: true, ..PushRecord::default() };
    let (mut files, mut stamps) = (Vec::new(), Vec::new());
    for path in &round.files {
        let Some(entry) = scanned.tree.get(path) else { continue };
        let stamp = entry.stamp();
        let file =
            FileEntry { mode: entry.mode, mtime: stamp.mtime(), path: path.clone(), size: entry.size(), symlink: None };
        push.bytes += file.size;
        files.push(file);
        stamps.push(stamp);
    }
    push.count = files.len() as u64;
    (push.files, push.stamps) = (Arc::new(files), Arc::new(stamps));
    push.segment = segment_for(push.bytes, 1, receiver.nearest, receiver.adapt.chunk());
    let (state, id) = (job.services.state.clone(), job.shared.id);
    blocking(move || {
        if let Some(before) = state.push(id)? {
            let is_same = (&before.files, &before.stamps) == (&push.files, &push.stamps);
            if is_same && !before.upload.is_empty() {
                return Ok(before);
            }
        }
        push.target = staged(&push.upload);
        state.put_push(id, &push)?;
        Ok(push)
    })
    .await
}

/// What changes while it is read is named, and the rest goes on.
async fn reader(request: &SyncRequest, scanned: &Scanned, push: &PushRecord) -> Result<Reader, JobError> {
    let place = place_of(request, scanned).await?;
    Ok(Reader::new(place, push.files.clone(), push.stamps.clone(), push.segment).tolerant())
}

/// The folder below which the source's entries are; that of a single file is the one around it.
pub(super) async fn place_of(request: &SyncRequest, scanned: &Scanned) -> Result<Place, JobError> {
    let top = if scanned.is_file { request.path.parent() } else { Some(request.path.as_path()) };
    let top = top.unwrap_or(Path::new("/")).to_owned();
    blocking(move || Place::open(&top).map_err(|e| JobError::Other(format!("cannot read {top:?}: {e}")))).await
}

async fn open(receiver: &Receiver, push: &PushRecord, pace: Pace) -> Result<Opened, JobError> {
    let body = serde_json::json!({
        "version": 1,
        "path": push.target,
        "policy": "overwrite",
        "size": push.bytes,
        "segment_length": push.segment,
        "files": *push.files,
    });
    let body = Bytes::from(body.to_string());
    let mut failures = 0;
    loop {
        let (error, asked) = match receiver.client.wire.open(&push.upload, body.clone()).await {
            Ok(opened) => return Ok(opened),
            Err(WireError::Busy(asked)) => (WireError::Busy(asked), asked),
            Err(error @ WireError::Broken(_)) => (error, None),
            Err(error) => return Err(receiver.client.wire.failed(error).into()),
        };
        failures += 1;
        match pace.wait(failures, asked, fastrand::f64()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(receiver.client.wire.failed(error).into()),
        }
    }
}
