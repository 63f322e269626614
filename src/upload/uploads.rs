//! All uploads of a node: beginning, finding, removing, expiring.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::admission::{self, Claim, UploadLimits};
use super::assembly;
use super::description::{Description, Policy, Target};
use super::error::UploadError;
use super::job::{Home, Record, Stage, StageRecord, Upload};
use super::news::News;
use super::patches::Patches;
use crate::clock::unix_ms;
use crate::content::{Digest, name};
use crate::control::TransferId;
use crate::failpoint;
use crate::store::{Base, State};
use crate::throttle::Throttle;

/// Longest name of an upload.
const MAX_ID: usize = 64;
/// Uploads that are over and remembered, for whoever asks again.
const REMEMBERED: usize = 1_024;
/// The clock is looked at this often: it may jump.
const LOOK: Duration = Duration::from_secs(3_600);

/// An upload that was opened.
#[derive(Debug)]
pub struct Opened {
    /// It.
    pub upload: Arc<Upload>,
    /// It was not known before.
    pub new: bool,
}

/// Every upload that a node receives or has lately received.
#[derive(Debug)]
pub struct Uploads {
    pub(super) home: Home,
    pub(super) limits: UploadLimits,
    /// Files that are being changed by deltas.
    pub(super) patches: Patches,
    down: [Arc<Throttle>; 1],
    all: Mutex<BTreeMap<String, Arc<Upload>>>,
    /// One at a time begins, so that each knows of the others.
    pub(super) opening: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl Uploads {
    /// The uploads on record, as far as they are still sound. Blocks.
    ///
    /// # Errors
    /// The root or the state cannot be read.
    pub fn load(
        root: &Path,
        state: Arc<State>,
        limits: UploadLimits,
        down: Arc<Throttle>,
    ) -> Result<Self, UploadError> {
        let uploads = Self {
            home: Home { root: Base::open(root)?, state, expiry: limits.expiry, news: Arc::<News>::default() },
            limits,
            patches: Patches::default(),
            down: [down],
            all: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        };
        if let Err(error) = uploads.home.root.sweep() {
            tracing::warn!(target: "upload", "{error}");
        }
        for (id, record, description) in uploads.home.state.uploads::<Record, Description>()? {
            match uploads.restore(&id, record, description) {
                Ok(upload) => drop(uploads.lock().insert(id, Arc::new(upload))),
                Err(error) => tracing::error!(target: "upload", upload = id, "not taken up again: {error}"),
            }
        }
        Ok(uploads)
    }

    fn restore(&self, id: &str, record: Record, description: Description) -> Result<Upload, UploadError> {
        let mut target = description.check()?;
        target.digest = record.digest.unwrap_or(target.digest);
        let segments = self.home.state.segments(id)?;
        let digests: Vec<Digest> = segments.iter().map(|(_, digest)| *digest).collect();
        let bad = |e: name::NameError| UploadError::Bad(e.to_string());
        let staged_in = match record.staged_in.as_str() {
            "" => PathBuf::new(),
            folder => PathBuf::from(name::checked_path(folder).map_err(bad)?),
        };
        let mut upload = self.make((id, staged_in), target, segments);
        upload.lock().expires_ms = record.expires_ms;
        // Records of before they had one keep the number only as long as the node runs, unless something comes.
        upload.number = match record.number {
            Some(number) => number,
            None => self.home.state.next_id()?,
        };
        upload.began_ms = if record.began_ms == 0 { crate::clock::unix_ms() } else { record.began_ms };
        match record.stage {
            StageRecord::Open => {}
            StageRecord::Cancelled => upload.lock().stage = Stage::Cancelled,
            StageRecord::Done(published) => {
                // The node died between the record and this: what was replaced is still there.
                if let Err(error) = upload.files().delete_named(upload.partial().as_os_str()) {
                    tracing::warn!(target: "upload", upload = id, "what was replaced is still there: {error}");
                }
                upload.lock().stage = Stage::Done(published);
            }
            // The node died around the rename: which side of it?
            StageRecord::Publishing { path, identity } => {
                let files = upload.files();
                let path = PathBuf::from(name::checked_path(&path).map_err(bad)?);
                if identity.is_some() && files.identity(&path) == identity {
                    let published = upload.landed(&files, &path, assembly::digest_of(&digests))?;
                    upload.lock().stage = Stage::Done(published);
                }
            }
        }
        Ok(upload)
    }

    pub(super) fn make(&self, named: (&str, PathBuf), target: Target, recorded: Vec<(u32, Digest)>) -> Upload {
        Upload::new(named, target, &self.home, recorded)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Upload>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits on what comes in.
    pub fn down(&self) -> &[Arc<Throttle>] {
        &self.down
    }

    /// The upload of this name, for its sender.
    ///
    /// # Errors
    /// There is none, or the operator does not want it.
    pub fn get(&self, id: &str) -> Result<Arc<Upload>, UploadError> {
        let upload = self.named(id).ok_or(UploadError::Unknown)?;
        let cancelled = matches!(upload.lock().stage, Stage::Cancelled);
        if cancelled { Err(UploadError::Cancelled) } else { Ok(upload) }
    }

    /// The upload of this name, whatever became of it.
    pub fn named(&self, id: &str) -> Option<Arc<Upload>> {
        self.lock().get(id).cloned()
    }

    /// The upload of this number.
    pub fn numbered(&self, number: TransferId) -> Option<Arc<Upload>> {
        self.lock().values().find(|upload| upload.number == number).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Upload>> {
        self.lock().values().cloned().collect()
    }

    /// Begins an upload, or finds the one that was begun before with the same description.
    ///
    /// # Errors
    /// The description is not sound, another upload has the name or writes to the same place, or it
    /// is too much.
    pub async fn open(self: &Arc<Self>, id: &str, description: Description) -> Result<Opened, UploadError> {
        let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(sound) {
            return Err(UploadError::Bad(format!(
                "an upload's name has 1 to {MAX_ID} of the characters A-Z a-z 0-9 _ -"
            )));
        }
        let _one = self.opening.lock().await;
        let (uploads, id) = (self.clone(), id.to_owned());
        let opened = tokio::task::spawn_blocking(move || uploads.open_now(&id, description)).await;
        let opened = opened.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))?;
        if opened.new {
            self.changed.notify_one();
            let path = name::printable(&assembly::spelled(&opened.upload.path));
            let (number, bytes) = (opened.upload.number.0, opened.upload.size());
            tracing::info!(target: "upload", transfer = number, upload = opened.upload.id, "{path:?} begins, {bytes} bytes");
            opened.upload.tell();
        }
        Ok(opened)
    }

    fn open_now(&self, id: &str, description: Description) -> Result<Opened, UploadError> {
        if let Some(upload) = self.lock().get(id).cloned() {
            let (cancelled, gone) = {
                let stage = &upload.lock().stage;
                (matches!(stage, Stage::Cancelled), matches!(stage, Stage::Gone))
            };
            return if cancelled {
                Err(UploadError::Cancelled)
            } else if gone {
                Err(UploadError::Busy("the upload of that name is being removed".into()))
            } else if upload.digest == description.digest() {
                Ok(Opened { upload, new: false })
            } else {
                Err(upload.conflict("an upload of that name is under way with another description"))
            };
        }
        let (mut upload, _) = self.admitted(id, description)?;
        // Left by a record that is lost: nothing of it counts.
        let files = upload.files();
        files.delete_named(upload.partial().as_os_str())?;
        let record = |number| Record { number: Some(number), ..upload.record() };
        let number = self.home.state.put_upload(id, record, &upload.brief.with_entries(files.manifest()))?;
        upload.number = number;
        failpoint::step("upload:opened");
        let upload = Arc::new(upload);
        self.forget_some()?;
        self.lock().insert(id.to_owned(), upload.clone());
        Ok(Opened { upload, new: true })
    }

    /// An upload that could begin now, and the bytes that are free for it.
    fn admitted(&self, id: &str, description: Description) -> Result<(Upload, u64), UploadError> {
        let target = description.check()?;
        let others = self.claims();
        let staged_in = self.home.root.staging(&target.path)?;
        let upload = self.make((id, staged_in), target, Vec::new());
        let (files, brief) = (upload.files(), &upload.brief);
        let free = files.free_space()?;
        let size = if upload.is_deferred() { 0 } else { upload.size() };
        let entries = files.manifest().files.len();
        admission::admit(&upload.path, (size, entries), brief.policy, &others, &self.limits, free)?;
        files.check_landing(&upload.path)?;
        if brief.policy == Policy::Refuse && files.identity(&upload.path).is_some() {
            return Err(UploadError::Taken(format!("{:?} is taken", name::excerpt(&brief.path))));
        }
        let promised = others.iter().map(|other| other.missing).fold(0, u64::saturating_add);
        Ok((upload, free.saturating_sub(promised)))
    }

    /// The bytes that are free for such an upload; nothing is begun.
    ///
    /// # Errors
    /// Why it would not be taken.
    pub async fn check(self: &Arc<Self>, description: Description) -> Result<u64, UploadError> {
        let uploads = self.clone();
        let checked = tokio::task::spawn_blocking(move || uploads.admitted("check", description)).await;
        let checked = checked.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))));
        checked.map(|(_, free)| free)
    }

    /// What unfinished uploads, and files that are being changed, lay claim to.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self.lock().values().filter_map(|upload| upload.claim()).collect();
        claims.extend(self.patches.claims());
        claims
    }

    /// Forgets those that ended first where too many are remembered.
    fn forget_some(&self) -> Result<(), UploadError> {
        let ended = |upload: &Arc<Upload>| {
            let inner = upload.lock();
            let over = matches!(inner.stage, Stage::Done(_) | Stage::Cancelled);
            over.then_some((inner.expires_ms, upload.id.clone()))
        };
        let mut done: Vec<(u64, String)> = self.lock().values().filter_map(ended).collect();
        if done.len() < REMEMBERED {
            return Ok(());
        }
        done.sort();
        for (_, id) in &done[..=done.len() - REMEMBERED] {
            self.home.state.remove_upload(id)?;
            if let Some(gone) = self.lock().remove(id) {
                gone.lock().stage = Stage::Gone;
                gone.tell();
            }
        }
        Ok(())
    }

    /// Stops an unfinished upload for good and drops what is here of it. Its sender is told so for as long as
    /// one that is done is remembered, so that it does not begin anew.
    ///
    /// # Errors
    /// There is none, it is done or being assembled; else what the disk says.
    pub async fn cancel(self: &Arc<Self>, id: &str) -> Result<(), UploadError> {
        let upload = self.named(id).ok_or(UploadError::Unknown)?;
        let uploads = self.clone();
        to_its_end(async move { uploads.cancel_now(upload).await }).await
    }

    async fn cancel_now(&self, upload: Arc<Upload>) -> Result<(), UploadError> {
        {
            let mut inner = upload.lock();
            let refusal = match inner.stage {
                Stage::Gone => return Err(UploadError::Unknown),
                Stage::Cancelled => return Ok(()),
                Stage::Assembling(_) => Some("the upload is being assembled"),
                Stage::Done(_) => Some("the upload is done"),
                Stage::Open => None,
            };
            if let Some(refusal) = refusal {
                drop(inner);
                return Err(upload.conflict(refusal));
            }
            upload.revoke_all(&mut inner);
            inner.stage = Stage::Cancelled;
            inner.trouble = None;
            inner.expires_ms = unix_ms().saturating_add(assembly::REMEMBERED_MS);
        }
        let _one = upload.recording.lock().await;
        upload.forget_segments();
        let cancelled = upload.clone();
        let dropped = tokio::task::spawn_blocking(move || {
            cancelled.files().delete_named(cancelled.partial().as_os_str())?;
            cancelled.state.finish_upload(&cancelled.id, &cancelled.record(), &cancelled.brief)?;
            cancelled.forget_entries();
            Ok::<(), UploadError>(())
        });
        let dropped = dropped.await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))));
        upload.tell();
        self.changed.notify_one();
        if dropped.is_ok() {
            tracing::info!(target: "upload", transfer = upload.number.0, "cancelled here");
        }
        dropped
    }

    /// Removes an upload and what is here of it. One that is over is only forgotten.
    ///
    /// # Errors
    /// There is none, or it is being assembled; else what the disk says.
    pub async fn remove(self: &Arc<Self>, id: &str) -> Result<(), UploadError> {
        let upload = self.named(id).ok_or(UploadError::Unknown)?;
        let uploads = self.clone();
        to_its_end(async move { uploads.remove_now(upload).await }).await
    }

    async fn remove_now(&self, upload: Arc<Upload>) -> Result<(), UploadError> {
        let unfinished = {
            let mut inner = upload.lock();
            match inner.stage {
                Stage::Gone => return Err(UploadError::Unknown),
                Stage::Assembling(_) => {
                    drop(inner);
                    return Err(upload.conflict("the upload is being assembled"));
                }
                Stage::Open | Stage::Done(_) | Stage::Cancelled => {}
            }
            upload.revoke_all(&mut inner);
            matches!(std::mem::replace(&mut inner.stage, Stage::Gone), Stage::Open)
        };
        let _one = upload.recording.lock().await;
        upload.forget_segments();
        let removed = upload.clone();
        let gone = tokio::task::spawn_blocking(move || {
            if unfinished {
                removed.files().delete_named(removed.partial().as_os_str())?;
            }
            removed.state.remove_upload(&removed.id)?;
            Ok::<(), UploadError>(())
        });
        let gone = gone.await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))));
        self.lock().remove(&upload.id);
        upload.tell();
        gone
    }

    /// Removes what has expired, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let now = unix_ms();
            self.expire(now).await;
            let next = self.lock().values().map(|upload| upload.lock().expires_ms).min();
            let pause = next.map_or(LOOK, |next| Duration::from_millis(next.saturating_sub(now).max(1_000)).min(LOOK));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause), if next.is_some() => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Makes everything durable that is here.
    pub async fn settle(&self) {
        let all: Vec<Arc<Upload>> = self.lock().values().cloned().collect();
        for upload in all {
            // Logged; what is not durable will be asked for again.
            let _ = upload.flush().await;
        }
    }

    async fn expire(self: &Arc<Self>, now: u64) {
        let is_over = |upload: &Arc<Upload>| {
            let inner = upload.lock();
            inner.expires_ms <= now && inner.writers.is_empty() && !matches!(inner.stage, Stage::Assembling(_))
        };
        let over: Vec<Arc<Upload>> = self.lock().values().filter(|upload| is_over(upload)).cloned().collect();
        for upload in over {
            match self.remove(&upload.id).await {
                Ok(()) => tracing::info!(target: "upload", transfer = upload.number.0, "expired"),
                Err(error) => {
                    tracing::warn!(target: "upload", transfer = upload.number.0, "cannot be removed: {error}");
                }
            }
        }
    }
}

/// On a task of its own: whoever asked for it may go away in the midst of it, which must not leave it half done.
async fn to_its_end(work: impl Future<Output = Result<(), UploadError>> + Send + 'static) -> Result<(), UploadError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))
}

#[cfg(test)]
#[path = "uploads/tests.rs"]
mod tests;
