//! From segments to a name: compare, read back what this run has not seen come in, finish, land.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::description::Policy;
use super::error::UploadError;
use super::job::{Outcome, Published, Record, Stage, StageRecord, Upload};
use super::ledger::Gap;
use crate::clock::unix_ms;
use crate::content::{Digest, name};
use crate::failpoint;
use crate::store::{ContentFiles, FilesErrorKind, Replace, numbered};

/// How long an upload that is done, or was cancelled here, answers whoever asks again: a sender that lost the answer may
/// rest for days.
pub(super) const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;
/// Numbers tried for the second of a name.
pub(super) const MAX_NUMBER: u32 = 10_000;

impl Upload {
    /// Publishes the upload if every segment is here with these digests. Goes on if nobody waits for
    /// it any more; whoever asks again gets the same answer.
    ///
    /// # Errors
    /// Something is missing, differs, or is not on the disk as it came; the name is taken; the disk
    /// refused. The upload is open again then.
    pub async fn assemble(self: &Arc<Self>, segments: Vec<Digest>) -> Result<Published, UploadError> {
        let count = self.files().layout().piece_count();
        if segments.len() != count as usize {
            return Err(UploadError::Bad(format!("{} digests for {count} segments", segments.len())));
        }
        let mut outcome = match self.begin_assembly(segments)? {
            Begin::Done(published) => return Ok(published),
            Begin::Wait(outcome) => outcome,
            Begin::Other(other) => {
                self.lose(&other).await?;
                let detail = format!("{} segments are here with other bytes than these", other.len());
                return Err(UploadError::Mismatch { detail, segments: other });
            }
        };
        let ended = outcome.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|outcome| outcome.clone());
        ended.unwrap_or_else(|| Err(UploadError::Disk("the assembly broke off; ask again".into())))
    }

    fn begin_assembly(self: &Arc<Self>, segments: Vec<Digest>) -> Result<Begin, UploadError> {
        let mut inner = self.lock();
        match &inner.stage {
            Stage::Gone => return Err(UploadError::Unknown),
            Stage::Cancelled => return Err(UploadError::Cancelled),
            Stage::Assembling(outcome) => return Ok(Begin::Wait(outcome.clone())),
            Stage::Done(published) if published.sha256_of_segments == digest_of(&segments) => {
                return Ok(Begin::Done(published.clone()));
            }
            Stage::Done(_) => {
                drop(inner);
                return Err(self.conflict("the upload is done, with other bytes"));
            }
            Stage::Open => {}
        }
        match inner.ledger.compare(&segments) {
            Ok(()) => {}
            Err(Gap::Missing(missing)) => return Err(UploadError::Incomplete(missing)),
            Err(Gap::Other(other)) => return Ok(Begin::Other(other)),
        }
        let (sender, outcome) = watch::channel(None);
        inner.stage = Stage::Assembling(outcome.clone());
        // Nobody writes: every segment is here, so bodies that still come are not wanted.
        self.revoke_all(&mut inner);
        drop(inner);
        self.tell();
        tokio::spawn(self.clone().assembly(segments, sender));
        Ok(Begin::Wait(outcome))
    }

    async fn assembly(self: Arc<Self>, segments: Vec<Digest>, outcome: watch::Sender<Outcome>) {
        let start = Instant::now();
        let flushed = self.flush().await;
        let waited = start.elapsed();
        let result = match flushed {
            Ok(()) => self.publish(segments).await,
            Err(error) => Err(error),
        };
        let mut inner = self.lock();
        if !matches!(inner.stage, Stage::Gone) {
            inner.stage = match &result {
                Ok(published) => Stage::Done(published.clone()),
                Err(_) => Stage::Open,
            };
            inner.trouble = result.as_ref().err().map(|error| format!("not published: {error}"));
        }
        drop(inner);
        self.tell();
        match &result {
            Ok(published) => {
                let (path, bytes) = (name::printable(&published.path), published.bytes);
                let (all, last) = (self.syncing.load(Ordering::Relaxed) / 1_000, waited.as_millis());
                tracing::info!(target: "upload", transfer = self.number.0, "received {path:?}, {bytes} bytes; {all} ms of syncing, of which {last} ms at the end");
            }
            Err(error) => tracing::warn!(target: "upload", transfer = self.number.0, "not published: {error}"),
        }
        failpoint::step("upload:answering");
        outcome.send_replace(Some(result));
    }

    /// Everything is on the disk and on record.
    async fn publish(self: &Arc<Self>, segments: Vec<Digest>) -> Result<Published, UploadError> {
        let sums = digest_of(&segments);
        let files = self.files();
        let (upload, reader) = (self.clone(), files.clone());
        let wrong = blocking(move || upload.read_back(&reader, &segments)).await?;
        if !wrong.is_empty() {
            self.lose(&wrong).await?;
            let detail = format!("{} segments are not on the disk as they came; send them again", wrong.len());
            return Err(UploadError::Mismatch { detail, segments: wrong });
        }
        failpoint::step("upload:compared");
        let _one = self.recording.lock().await;
        let upload = self.clone();
        blocking(move || upload.finish_and_land(&files, sums)).await
    }

    /// Which segments are not on the disk as they came. Those that were verified on their way in are read
    /// again only where somebody else was at their files since.
    fn read_back(&self, files: &ContentFiles, segments: &[Digest]) -> Result<Vec<u32>, UploadError> {
        let mut doubtful = files.touched();
        for segment in self.lock().ledger.unseen().ones() {
            doubtful.set(segment);
        }
        if doubtful.count() == 0 {
            return Ok(Vec::new());
        }
        tracing::debug!(target: "upload", upload = self.id, "{} segments are read back", doubtful.count());
        match files.verify(segments, &doubtful) {
            Ok(good) => Ok(doubtful.ones().filter(|segment| !good.get(*segment)).collect()),
            Err(error) if error.kind == FilesErrorKind::Missing => Ok(doubtful.ones().collect()),
            Err(error) => Err(error.into()),
        }
    }

    fn finish_and_land(&self, files: &ContentFiles, sums: Digest) -> Result<Published, UploadError> {
        files.finish()?;
        self.sync(files)?;
        failpoint::step("upload:finished");
        let replace = if self.brief.policy == Policy::Overwrite { Replace::Same } else { Replace::Nothing };
        let mut path = self.path.clone();
        for number in 2..MAX_NUMBER {
            let landing = StageRecord::Publishing { path: spelled(&path), identity: files.own_identity() };
            self.state.change_upload(&self.id, &self.record_as(landing), &[], &[])?;
            failpoint::step("upload:landing");
            match files.land(&path, replace) {
                Err(error) if error.kind == FilesErrorKind::Exists && self.brief.policy == Policy::KeepBoth => {
                    path = with_number(&self.path, number);
                }
                Err(error) => return Err(error.into()),
                Ok(()) => return self.landed(files, &path, sums),
            }
        }
        Err(UploadError::Taken(format!("{MAX_NUMBER} of that name are here")))
    }

    /// It has its name: all that is left is to say so, and to remove what it replaced.
    pub(super) fn landed(&self, files: &ContentFiles, path: &Path, sums: Digest) -> Result<Published, UploadError> {
        let published = Published {
            path: spelled(path),
            bytes: files.layout().size(),
            files: files.manifest().files.len() as u64,
            sha256_of_segments: sums,
        };
        self.lock().expires_ms = unix_ms().saturating_add(REMEMBERED_MS);
        self.state.finish_upload(&self.id, &self.record_as(StageRecord::Done(published.clone())), &self.brief)?;
        failpoint::step("upload:landed");
        if let Err(error) = files.delete_named(self.partial().as_os_str()) {
            tracing::warn!(target: "upload", upload = self.id, "what was replaced is still there: {error}");
        }
        self.forget_entries();
        Ok(published)
    }

    fn record_as(&self, stage: StageRecord) -> Record {
        Record { stage, ..self.record() }
    }
}

enum Begin {
    Done(Published),
    Wait(watch::Receiver<Outcome>),
    Other(Vec<u32>),
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))
}

/// SHA-256 of the digests one after another.
pub(super) fn digest_of(segments: &[Digest]) -> Digest {
    let mut hash = Sha256::new();
    segments.iter().for_each(|digest| hash.update(digest.0));
    Digest(hash.finalize().into())
}

pub(super) fn spelled(path: &Path) -> String {
    name::escape(path.as_os_str())
}

pub(super) fn with_number(path: &Path, number: u32) -> PathBuf {
    let name: OsString = numbered(path.file_name().unwrap_or_default(), number);
    path.with_file_name(name)
}
