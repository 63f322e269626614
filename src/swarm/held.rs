//! One content that this node has, in part or whole, as its server sees it.
//!
//! The driver of a download adds pieces as they are verified and written ([`Held::mark_have`]);
//! the server reads, answers who may have what, and tells watchers what came. Locks are held for
//! moments, never across an await.
//!
//! # Watchers
//! A peer that fetches from us keeps one request open that is answered when something changed
//! ([`Held::watch`]). So that 40 watchers of a content that grows by thousands of pieces a second
//! do not cost 40 wake-ups per piece, an answer waits from the first change on for
//! 50 ms × (watchers / 8), between 50 ms and 1 s: it then carries all that came. A change of the
//! peer's own upload slot, and the last piece, are told at once.

mod given;
mod have;
mod uploads;

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

pub use given::{Gift, Given, NotNow};
pub use have::Changes;
use have::Have;
use uploads::Uploads;
pub use uploads::{Admission, Slot, UploadRow};

use super::choker::ChokerConfig;
use super::thrift::Thrift;
use crate::content::{Bitmap, ContentId, FileEntry, Layout, Manifest};
use crate::store::{ContentFiles, FilesError, FilesErrorKind};
use crate::throttle::Throttle;

/// Shortest and longest time an answer to a watcher is held back to gather changes.
const GATHER: Range<Duration> = Duration::from_millis(50)..Duration::from_secs(1);
/// The time grows by the shortest for each so many watchers.
const WATCHERS_PER_STEP: u32 = 8;

/// A content on this node.
#[derive(Debug)]
pub struct Held {
    id: ContentId,
    manifest: Arc<Manifest>,
    files: Arc<ContentFiles>,
    throttle: Arc<Throttle>,
    /// Entries are in ascending order of their paths, as a sound maker leaves them.
    sorted: bool,
    json: Mutex<Weak<Shared>>,
    have: RwLock<Have>,
    pieces_changed: Notify,
    uploads: Mutex<Uploads>,
    slots_changed: Notify,
    thrift: Mutex<Thrift>,
    sent_more: Notify,
    peers_changed: Notify,
    watchers: AtomicU32,
    uploaded: AtomicU64,
    trouble: Mutex<Option<Arc<str>>>,
    trouble_came: Notify,
    giving: Mutex<Option<mpsc::Sender<Gift>>>,
    told: Mutex<Vec<String>>,
    came: AtomicU64,
    replicas: AtomicU32,
}

/// A manifest's JSON while answers that carry it are under way.
#[derive(Debug)]
struct Shared(Vec<u8>);

/// Makes [`Bytes`] of it that keep it alive.
struct SharedRef(Arc<Shared>);

impl AsRef<[u8]> for SharedRef {
    fn as_ref(&self) -> &[u8] {
        &self.0.0
    }
}

/// What a watcher is told.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The bitmap now.
    pub have: Arc<Bitmap>,
    /// Its generation.
    pub generation: u64,
    /// What changed since the generation that the watcher named.
    pub changes: Changes,
    /// The watcher's own upload slot.
    pub slot: Slot,
}

impl Held {
    /// A content with the pieces in `have`, uploads limited by `throttle` (besides the node's limit).
    pub fn new(
        id: ContentId,
        files: Arc<ContentFiles>,
        have: Bitmap,
        throttle: Arc<Throttle>,
        choker: ChokerConfig,
    ) -> Self {
        let manifest = files.manifest().clone();
        let mut uploads = Uploads::new(choker, fastrand::u64(..));
        uploads.set_seeding(have.is_full());
        Self {
            id,
            sorted: manifest.files.is_sorted_by(|a, b| a.path < b.path),
            manifest,
            files,
            throttle,
            json: Mutex::new(Weak::new()),
            // 48 bits leave 2^16 times as many generations before they would overflow.
            have: RwLock::new(Have::new(have, fastrand::u64(..) >> 16)),
            pieces_changed: Notify::new(),
            uploads: Mutex::new(uploads),
            slots_changed: Notify::new(),
            thrift: Mutex::default(),
            sent_more: Notify::new(),
            peers_changed: Notify::new(),
            watchers: AtomicU32::new(0),
            uploaded: AtomicU64::new(0),
            trouble: Mutex::default(),
            trouble_came: Notify::new(),
            giving: Mutex::default(),
            told: Mutex::default(),
            came: AtomicU64::new(0),
            replicas: AtomicU32::new(0),
        }
    }

    /// Its id.
    pub fn id(&self) -> ContentId {
        self.id
    }

    /// Its description.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Where the bytes of each piece lie.
    pub fn layout(&self) -> &Layout {
        self.files.layout()
    }

    /// Its files.
    pub fn files(&self) -> &Arc<ContentFiles> {
        &self.files
    }

    /// Its own upload limit.
    pub fn throttle(&self) -> &Arc<Throttle> {
        &self.throttle
    }

    /// The manifest as JSON. Made on demand (it may be large), once for all who ask meanwhile.
    pub fn manifest_json(&self) -> Bytes {
        let mut slot = lock(&self.json);
        let shared = slot.upgrade().unwrap_or_else(|| {
            let shared = Arc::new(Shared(self.manifest.to_json()));
            *slot = Arc::downgrade(&shared);
            shared
        });
        Bytes::from_owner(SharedRef(shared))
    }

    /// The entry with this path (the manifest's spelling) and its index.
    pub fn entry(&self, path: &str) -> Option<(usize, &FileEntry)> {
        let files = &self.manifest.files;
        let at = if self.sorted {
            files.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?
        } else {
            files.iter().position(|entry| entry.path == path)?
        };
        Some((at, &files[at]))
    }

    /// The pieces here now; cheap, and it stays as it is.
    pub fn have(&self) -> Arc<Bitmap> {
        self.read_have().bitmap().clone()
    }

    /// True if piece `index` is here.
    pub fn has(&self, index: u32) -> bool {
        self.read_have().bitmap().get(index)
    }

    /// True if all of these pieces are here.
    pub fn has_all(&self, mut pieces: Range<u32>) -> bool {
        let have = self.read_have();
        have.bitmap().is_full() || pieces.all(|piece| have.bitmap().get(piece))
    }

    /// The generation of [`Self::have`].
    pub fn generation(&self) -> u64 {
        self.read_have().generation()
    }

    /// What changed since a generation.
    pub fn since(&self, generation: u64) -> Changes {
        self.read_have().since(generation)
    }

    fn read_have(&self) -> std::sync::RwLockReadGuard<'_, Have> {
        self.have.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pieces are here: verified and written. Watchers are told.
    pub fn mark_have(&self, pieces: &[u32]) {
        let (new, full) = {
            let mut have = self.have.write().unwrap_or_else(PoisonError::into_inner);
            (have.add(pieces, now()), have.bitmap().is_full())
        };
        if new > 0 {
            if full {
                lock(&self.uploads).set_seeding(true);
            }
            self.pieces_changed.notify_waiters();
        }
    }

    /// Pieces are not here any more. Watchers are told.
    pub fn drop_pieces(&self, pieces: impl Iterator<Item = u32>) -> usize {
        let gone = self.have.write().unwrap_or_else(PoisonError::into_inner).remove(pieces);
        if gone > 0 {
            lock(&self.uploads).set_seeding(false);
            self.pieces_changed.notify_waiters();
        }
        gone
    }

    /// Bytes of the content could not be read: the pieces they belong to are withdrawn, all of a
    /// file's pieces if the file is gone or not what it was.
    pub fn unreadable(&self, bytes: &Range<u64>, error: &FilesError) {
        let layout = self.layout();
        let mut suspect = bytes.clone();
        if matches!(error.kind, FilesErrorKind::Changed | FilesErrorKind::Missing) {
            let mut files = layout.extents(bytes.clone());
            if let (Some(only), None) = (files.next(), files.next()) {
                suspect = layout.file(only.file);
            }
        }
        let gone = self.drop_pieces(layout.pieces_of(&suspect));
        if gone > 0 {
            let name = crate::content::name::printable(&self.manifest.name);
            tracing::warn!(target: "swarm", content = %self.id.short(), "{name}: {gone} pieces withdrawn: {error}");
            *lock(&self.trouble) = Some(format!("{gone} pieces withdrawn: {error}").into());
            self.trouble_came.notify_waiters();
        }
    }

    /// The last thing that went wrong when serving, in words.
    pub fn trouble(&self) -> Option<Arc<str>> {
        lock(&self.trouble).clone()
    }

    /// Waits until [`Self::trouble`] is something else than `known`.
    pub async fn new_trouble(&self, known: Option<&Arc<str>>) {
        loop {
            let more = self.trouble_came.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.trouble().as_ref() != known {
                return;
            }
            more.await;
        }
    }

    /// A peer asks for a piece: may it have it? It counts as interested from now on.
    pub fn admit(&self, peer: &Arc<str>) -> Admission {
        lock(&self.thrift).see(peer, now());
        let mut uploads = lock(&self.uploads);
        let admission = uploads.admit(peer, now());
        let changed = uploads.take_changed();
        drop(uploads);
        self.tell_slots(changed);
        admission
    }

    /// How many of `count` pieces from `first` on a peer of the swarm is given now; 0: others got
    /// them a moment ago, it shall ask them. See [`thrift`](super::thrift).
    pub fn grant(&self, peer: &Arc<str>, first: u32, count: u32) -> u32 {
        if !self.have().is_full() {
            return count;
        }
        lock(&self.thrift).grant(peer, first, count, self.layout().piece_count(), now())
    }

    /// Payload went to a peer.
    pub fn sent(&self, peer: &Arc<str>, bytes: u64) {
        self.uploaded.fetch_add(bytes, Ordering::Relaxed);
        lock(&self.uploads).sent(peer, bytes, now());
        self.sent_more.notify_waiters();
    }

    /// Waits until [`Self::uploaded`] is more than `before`.
    pub async fn uploaded_more(&self, before: u64) {
        loop {
            let more = self.sent_more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.uploaded() > before {
                return;
            }
            more.await;
        }
    }

    /// Something is being sent to a peer until the guard is dropped: its slot is not idle.
    pub fn serving(self: &Arc<Self>, peer: &Arc<str>) -> Serving {
        lock(&self.uploads).serving(peer, now());
        Serving { held: self.clone(), peer: peer.clone() }
    }

    /// A peer is gone, or has everything: its slot is free at once.
    pub fn gone(&self, peer: &str) {
        lock(&self.uploads).gone(peer);
        self.peers_changed.notify_waiters();
    }

    /// Is notified when a peer is gone.
    pub fn peers_changed(&self) -> Notified<'_> {
        self.peers_changed.notified()
    }

    /// Payload came from a peer: what it gives is what earns it a slot.
    pub fn received(&self, peer: &Arc<str>, bytes: u64) {
        lock(&self.uploads).received(peer, bytes, now());
    }

    /// Payload sent since the start, in bytes.
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    /// The peers that ask us, for the console.
    pub fn upload_rows(&self) -> Vec<UploadRow> {
        lock(&self.uploads).rows(now())
    }

    /// Peers that wait for news of this content now.
    pub fn watchers(&self) -> u32 {
        self.watchers.load(Ordering::Relaxed)
    }

    /// What changed for `peer` since `generation` (`None`: everything is new to it), waiting up to
    /// `wait` for something to change. See the module's notes on gathering.
    pub async fn watch(&self, generation: Option<u64>, peer: &Arc<str>, wait: Duration) -> Watch {
        if let Some(generation) = generation
            && !wait.is_zero()
        {
            lock(&self.thrift).see(peer, now());
            let watcher = Watcher::new(self, peer);
            let _ = tokio::time::timeout(wait, self.wait_for_news(generation, peer)).await;
            watcher.answered();
        }
        let slot = lock(&self.uploads).tell(peer, now());
        let have = self.read_have();
        let changes = generation.map_or(Changes::Whole, |generation| have.since(generation));
        Watch { have: have.bitmap().clone(), generation: have.generation(), changes, slot }
    }

    async fn wait_for_news(&self, generation: u64, peer: &Arc<str>) {
        loop {
            let pieces = self.pieces_changed.notified();
            let slots = self.slots_changed.notified();
            tokio::pin!(pieces, slots);
            pieces.as_mut().enable();
            slots.as_mut().enable();
            let round = self.tick(peer);
            let Some(round) = round else { return };
            let until = match self.news_due(generation) {
                // From now on only the clock and the slot matter: not woken per piece.
                Some(due) if due <= now() => return,
                Some(due) => {
                    tokio::select! {
                        () = sleep_until(Some(due)) => return,
                        () = slots.as_mut() => continue,
                    }
                }
                None => round,
            };
            tokio::select! {
                () = pieces.as_mut() => {}
                () = slots.as_mut() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Runs the choker's clock. `None`: the peer's slot is not what it was told last; else when to
    /// look again.
    fn tick(&self, peer: &Arc<str>) -> Option<Option<Instant>> {
        let mut uploads = lock(&self.uploads);
        let round = uploads.tick(now());
        let news = uploads.is_news(peer);
        let changed = uploads.take_changed();
        drop(uploads);
        self.tell_slots(changed);
        (!news).then_some(round)
    }

    fn tell_slots(&self, changed: bool) {
        if changed {
            self.slots_changed.notify_waiters();
        }
    }

    /// When a watcher that knows `generation` is to be told; `None`: there is nothing to tell.
    fn news_due(&self, generation: u64) -> Option<Instant> {
        let have = self.read_have();
        if have.generation() == generation {
            return None;
        }
        let at_once = now();
        if have.bitmap().is_full() {
            return Some(at_once);
        }
        let steps = (self.watchers.load(Ordering::Relaxed) / WATCHERS_PER_STEP).max(1);
        let gather = (GATHER.start * steps).min(GATHER.end);
        Some(have.first_change(generation).map_or(at_once, |first| first + gather))
    }
}

/// A body under way to a peer.
#[derive(Debug)]
pub struct Serving {
    held: Arc<Held>,
    peer: Arc<str>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        lock(&self.held.uploads).served(&self.peer, now());
    }
}

/// A peer that waits for news. Dropped before it is answered, its connection broke: nobody keeps a slot
/// for a ghost.
struct Watcher<'a> {
    held: &'a Held,
    peer: &'a Arc<str>,
    answered: bool,
}

impl<'a> Watcher<'a> {
    fn new(held: &'a Held, peer: &'a Arc<str>) -> Self {
        held.watchers.fetch_add(1, Ordering::Relaxed);
        lock(&held.uploads).waits(peer, now());
        Self { held, peer, answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.held.watchers.fetch_sub(1, Ordering::Relaxed);
        let mut uploads = lock(&self.held.uploads);
        if self.answered {
            uploads.answered(self.peer);
        } else if uploads.broke(self.peer) {
            drop(uploads);
            self.held.peers_changed.notify_waiters();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// tokio's clock, so that tests can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
