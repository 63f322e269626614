//! One upload: what it is, where it stands, who writes to it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, watch};

use super::admission::Claim;
use super::append::Tail;
use super::description::{Description, Target};
use super::error::UploadError;
use super::ledger::{Ledger, Run};
use super::news::News;
use super::segment::Lease;
use super::sender::Senders;
use crate::clock::unix_ms;
use crate::content::{Digest, Manifest, name};
use crate::control::TransferId;
use crate::store::{Base, ContentFiles, Identity, Place, State};

/// Segments of one upload that may come at once.
const WRITERS: usize = 64;

/// How an upload ended, for whoever asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where it is, relative to the root, escaped as in manifests.
    pub path: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Entries.
    pub files: u64,
    /// SHA-256 of the segments' digests (32 bytes each) one after another.
    pub sha256_of_segments: Digest,
}

/// What is recorded of an upload, beside its description and segments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub expires_ms: u64,
    /// The folder that the partial data lies in, relative to the root, spelled as in manifests.
    #[serde(default)]
    pub staged_in: String,
    pub stage: StageRecord,
    /// Its number among the node's transfers; none in records of before they had one.
    #[serde(default)]
    pub number: Option<TransferId>,
    #[serde(default)]
    pub began_ms: u64,
    /// Of the description as it came; what is kept of it once the upload is done lacks its entries.
    #[serde(default)]
    pub digest: Option<Digest>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageRecord {
    /// Takes segments.
    Open,
    /// Verified; about to get this name, or has it already: then that is this very file or folder.
    Publishing { path: String, identity: Option<Identity> },
    /// Has its name.
    Done(Published),
    /// The operator does not want it.
    Cancelled,
}

/// Where an upload stands, for its sender.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Its name.
    pub transfer: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes per segment.
    pub segment_length: u64,
    /// Segments that are here: from the first to before the second.
    pub held: Vec<Run>,
    /// All of them would outlive a power cut.
    pub durable: bool,
    /// Digests of those that are here, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digests: Option<BTreeMap<u32, Digest>>,
    /// When it is removed unless something comes.
    pub expires_at: String,
    /// `open`, `assembling`, `done` or `cancelled`.
    pub state: &'static str,
    /// Codings in which segments may come (RFC 9110, section 8.4.1).
    pub accepts: [&'static str; 1],
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

pub(super) type Outcome = Option<Result<Published, UploadError>>;

#[derive(Debug)]
pub(super) enum Stage {
    Open,
    /// Whoever asks for it meanwhile waits for the same outcome.
    Assembling(watch::Receiver<Outcome>),
    Done(Published),
    /// The operator does not want it: its sender is told so as long as this is remembered.
    Cancelled,
    /// Removed: nothing more is written.
    Gone,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub ledger: Ledger,
    pub stage: Stage,
    pub expires_ms: u64,
    pub writers: HashMap<u32, Writers>,
    /// A task waits for the next batch.
    pub flushing: bool,
    /// What went wrong last, for the operator; none once something came since.
    pub trouble: Option<String>,
}

/// Who writes one segment.
#[derive(Debug, Default)]
pub(super) struct Writers {
    pub leases: Vec<Arc<Lease>>,
    /// What several wrote is being read back: nobody may begin.
    pub settling: bool,
}

/// What all uploads of a node have in common.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub root: Base,
    pub state: Arc<State>,
    pub expiry: Duration,
    pub news: Arc<News>,
}

/// One upload. Shared by its requests; its state is behind one lock that is never held across a wait.
#[derive(Debug)]
pub struct Upload {
    pub(super) id: String,
    /// Among the node's transfers.
    pub(super) number: TransferId,
    pub(super) began_ms: u64,
    pub(super) senders: Arc<Senders>,
    pub(super) news: Arc<News>,
    /// Of its whole description.
    pub(super) digest: Digest,
    /// Its description without the entries.
    pub(super) brief: Description,
    pub(super) path: PathBuf,
    /// The folder that it grows in, relative to the root: on the same mount as its destination.
    pub(super) staged_in: PathBuf,
    pub(super) root: Base,
    pub(super) state: Arc<State>,
    pub(super) expiry: Duration,
    pub(super) files: Mutex<Arc<ContentFiles>>,
    pub(super) inner: Mutex<Inner>,
    pub(super) slots: Arc<Semaphore>,
    /// The batch is full.
    pub(super) full: Arc<Notify>,
    /// Something about its writers was decided: what several wrote, or whether it goes on at all.
    pub(super) decided: Arc<Notify>,
    /// Where its stream stands, if it comes in one; none: not known yet.
    pub(super) tail: Arc<tokio::sync::Mutex<Option<Tail>>>,
    /// One at a time changes the record.
    pub(super) recording: tokio::sync::Mutex<()>,
    /// Microseconds spent on getting it onto the disk.
    pub(super) syncing: AtomicU64,
}

impl Upload {
    /// A new one, or one that is on record with these segments.
    pub(super) fn new(
        (id, staged_in): (&str, PathBuf),
        target: Target,
        home: &Home,
        recorded: Vec<(u32, Digest)>,
    ) -> Self {
        let Home { root, state, expiry, news } = home.clone();
        let manifest = Arc::new(target.manifest);
        let files = open_files(&root, &staged_in.join(partial_name(id)), manifest);
        let mut ledger = Ledger::new(files.layout().piece_count(), recorded);
        if !files.can_hold(ledger.held()) {
            let all: Vec<u32> = ledger.held().ones().collect();
            ledger.lose(&all);
        }
        let expires_ms = unix_ms().saturating_add(expiry.as_millis() as u64);
        let inner =
            Inner { ledger, stage: Stage::Open, expires_ms, writers: HashMap::new(), flushing: false, trouble: None };
        Self {
            id: id.to_owned(),
            number: TransferId(0),
            began_ms: unix_ms(),
            senders: Arc::default(),
            news,
            digest: target.digest,
            brief: target.brief,
            path: target.path,
            staged_in,
            root,
            state,
            expiry,
            files: Mutex::new(Arc::new(files)),
            inner: Mutex::new(inner),
            slots: Arc::new(Semaphore::new(WRITERS)),
            full: Arc::default(),
            decided: Arc::default(),
            tail: Arc::default(),
            recording: tokio::sync::Mutex::default(),
            syncing: AtomicU64::new(0),
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its number among the node's transfers.
    pub fn number(&self) -> TransferId {
        self.number
    }

    /// It comes in one stream, see [`super::STREAM`].
    pub fn is_stream(&self) -> bool {
        self.id.starts_with(super::STREAM)
    }

    /// It is a part of another upload.
    pub fn is_part(&self) -> bool {
        self.brief.part
    }

    /// What its creator wrote beside it.
    pub fn metadata(&self) -> Option<&str> {
        self.brief.metadata.as_deref()
    }

    /// When it is removed unless something comes, in milliseconds since 1970.
    pub fn expires_ms(&self) -> u64 {
        self.lock().expires_ms
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.brief.size
    }

    /// Bytes per segment.
    pub fn segment_length(&self) -> u64 {
        self.brief.segment_length
    }

    /// Its sender will tell later how long it is, see [`super::Uploads::set_length`].
    pub fn is_deferred(&self) -> bool {
        self.brief.deferred
    }

    /// Under which it grows, relative to the root.
    pub(super) fn partial(&self) -> PathBuf {
        self.staged_in.join(partial_name(&self.id))
    }

    pub(super) fn files(&self) -> Arc<ContentFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the files anew: those at hand must not be relied on after a failed sync.
    pub(super) fn reopen(&self) {
        self.open_as(self.files().manifest().clone());
    }

    /// It is done: lets go of the entries of its tree. What is left has the same segments.
    pub(super) fn forget_entries(&self) {
        if let Ok(target) = self.brief.clone().check() {
            self.open_as(Arc::new(target.manifest));
        }
    }

    fn open_as(&self, manifest: Arc<Manifest>) {
        let files = open_files(&self.root, &self.partial(), manifest);
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touch(&self, inner: &mut Inner) {
        inner.expires_ms = unix_ms().saturating_add(self.expiry.as_millis() as u64);
        inner.trouble = None;
    }

    pub(super) fn record(&self) -> Record {
        let inner = self.lock();
        let stage = match &inner.stage {
            Stage::Done(published) => StageRecord::Done(published.clone()),
            Stage::Cancelled => StageRecord::Cancelled,
            Stage::Open | Stage::Assembling(_) | Stage::Gone => StageRecord::Open,
        };
        let (number, began_ms, digest) = (Some(self.number), self.began_ms, Some(self.digest));
        let staged_in = name::escape(self.staged_in.as_os_str());
        Record { expires_ms: inner.expires_ms, staged_in, stage, number, began_ms, digest }
    }

    /// Where it stands. `digests`: also those of the segments that are here.
    pub fn status(&self, digests: bool) -> Status {
        let inner = self.lock();
        let (state, published) = match &inner.stage {
            Stage::Open | Stage::Gone => ("open", None),
            Stage::Cancelled => ("cancelled", None),
            Stage::Assembling(_) => ("assembling", None),
            Stage::Done(published) => ("done", Some(published.clone())),
        };
        let held = match &published {
            Some(_) => super::ledger::runs(0..inner.ledger.held().len()),
            None => inner.ledger.held_runs(),
        };
        Status {
            transfer: self.id.clone(),
            size: self.size(),
            segment_length: self.segment_length(),
            held,
            durable: inner.ledger.is_durable(),
            digests: digests.then(|| inner.ledger.digests().collect()),
            expires_at: timestamp(inner.expires_ms),
            state,
            accepts: ["zstd"],
            published,
        }
    }

    /// Bytes of the segments that are here.
    pub fn held_bytes(&self) -> u64 {
        let files = self.files();
        let inner = self.lock();
        match inner.stage {
            Stage::Done(_) => files.layout().size(),
            _ => held_bytes(&files, &inner.ledger),
        }
    }

    /// All that is here would outlive a power cut.
    pub fn is_durable(&self) -> bool {
        self.lock().ledger.is_durable()
    }

    /// The claim it lays while it is unfinished.
    pub(super) fn claim(&self) -> Option<Claim> {
        let size = self.size();
        let held = self.held_bytes();
        let unfinished = matches!(self.lock().stage, Stage::Open | Stage::Assembling(_));
        unfinished.then(|| Claim {
            path: self.path.clone(),
            policy: self.brief.policy,
            size: if self.is_deferred() { held } else { size },
            missing: if self.is_deferred() { 0 } else { size - held },
            entries: self.files().manifest().files.len(),
        })
    }

    pub(super) fn conflict(&self, detail: impl Into<String>) -> UploadError {
        UploadError::Conflict { detail: detail.into(), status: Box::new(self.status(false)) }
    }

    /// Gets what was written onto the disk, and keeps account of the time. Blocks.
    pub(super) fn sync(&self, files: &ContentFiles) -> Result<(), UploadError> {
        let start = Instant::now();
        let synced = files.sync();
        self.syncing.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(synced?)
    }

    /// Stops every writer: once this returns, none writes any more.
    pub(super) fn revoke_all(&self, inner: &mut Inner) {
        for (_, writers) in inner.writers.drain() {
            writers.leases.iter().for_each(|lease| lease.revoke());
        }
        // Whoever hears it looks once the lock is free.
        self.decided.notify_waiters();
    }
}

impl Upload {
    /// What was about to be synced or recorded is not wanted any more. While nobody records.
    pub(super) fn forget_segments(&self) {
        let mut inner = self.lock();
        inner.ledger = Ledger::new(inner.ledger.held().len(), []);
    }
}

pub(super) fn held_bytes(files: &ContentFiles, ledger: &Ledger) -> u64 {
    let layout = files.layout();
    let (count, held) = (ledger.held().len(), u64::from(ledger.held().count()));
    let last = count.saturating_sub(1);
    let short = if ledger.held().get(last) { layout.piece_length() - layout.piece_size(last) } else { 0 };
    (held * layout.piece_length()).saturating_sub(short)
}

/// The name under which an upload grows, directly below the root.
fn partial_name(id: &str) -> OsString {
    format!(".skep-upload-{id}.part").into()
}

fn open_files(root: &Base, partial: &Path, manifest: Arc<Manifest>) -> ContentFiles {
    ContentFiles::open_in(root, partial.as_os_str(), manifest, Place::Fetched, Vec::new())
}

fn timestamp(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}
