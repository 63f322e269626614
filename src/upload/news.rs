//! Which uploads changed, for whoever shows them: that costs what changed, however many there are.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::error::UploadError;
use super::job::{Stage, Upload};
use super::patching::Patching;
use super::sender::Sending;
use super::uploads::Uploads;
use crate::control::TransferId;

/// What is told, until it was looked at.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Numbers and names of uploads that changed; none: nobody looks.
    changed: Mutex<Option<BTreeMap<TransferId, String>>>,
    bell: Notify,
    /// Payload that came since the node runs.
    bytes: AtomicU64,
}

/// How many uploads there are, by where they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Segments are missing, or it was not asked for yet.
    pub open: u64,
    /// Being verified and published.
    pub assembling: u64,
    /// Published, and remembered for whoever asks again.
    pub done: u64,
    /// Cancelled here, and remembered.
    pub cancelled: u64,
    /// Bytes held of the unfinished ones.
    pub held_bytes: u64,
}

impl News {
    /// Something about what has this number changed.
    pub(super) fn tell(&self, number: TransferId, name: &str) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changed) = changed.as_mut() else { return };
        if let Entry::Vacant(entry) = changed.entry(number) {
            entry.insert(name.to_owned());
            self.bell.notify_one();
        }
    }
}

impl Upload {
    /// Something about it changed.
    pub(super) fn tell(&self) {
        self.news.tell(self.number, &self.id);
    }

    /// Bytes that came since the node runs, counted or not: a sender whose bytes wait for this node's limit sees by it that they move.
    pub fn bytes_that_came(&self) -> u64 {
        let all = self.senders.all();
        all.iter().map(|sender| sender.bytes.load(Ordering::Relaxed)).fold(0, u64::saturating_add)
    }

    /// Bytes came from somebody; what is copied from other uploads is nobody's.
    pub(super) fn came(&self, from: Option<&Sending>, bytes: usize) {
        let Some(from) = from else { return self.tell() };
        from.add(bytes);
        self.news.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.tell();
    }

    /// Why nobody may write any more.
    pub(super) fn revoked(&self) -> UploadError {
        match self.lock().stage {
            Stage::Cancelled => UploadError::Cancelled,
            _ => UploadError::Unknown,
        }
    }
}

impl Uploads {
    /// From now on changes are told; every upload that is here counts as changed.
    pub fn watch(&self) {
        let uploads = self.all().into_iter().map(|upload| (upload.number, upload.id.clone()));
        let patchings = self.patches.shown.numbers().into_iter().map(|number| (number, String::new()));
        let all = uploads.chain(patchings).collect();
        *self.home.news.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
        self.home.news.bell.notify_one();
    }

    /// Waits until something has changed. For one who waits.
    pub async fn changed(&self) {
        self.home.news.bell.notified().await;
    }

    /// Those that changed since this was asked last: number and name, also of what is gone.
    pub fn take_changed(&self) -> BTreeMap<TransferId, String> {
        let mut changed = self.home.news.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The file of this number that is changed by a delta, or was lately.
    pub fn patching(&self, number: TransferId) -> Option<Arc<Patching>> {
        self.patches.shown.get(number)
    }

    /// It is told of no more.
    pub fn forget_patching(&self, number: TransferId) {
        self.patches.shown.remove(number);
    }

    /// Payload came that is no upload's.
    pub fn came(&self, bytes: usize) {
        self.home.news.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Payload that came since the node runs, in bytes, counted or not.
    pub fn bytes(&self) -> u64 {
        self.home.news.bytes.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for upload in self.all() {
            let count = match upload.lock().stage {
                Stage::Open => &mut counts.open,
                Stage::Assembling(_) => &mut counts.assembling,
                Stage::Done(_) => &mut counts.done,
                Stage::Cancelled => &mut counts.cancelled,
                Stage::Gone => continue,
            };
            *count += 1;
            if upload.claim().is_some() {
                counts.held_bytes += upload.held_bytes();
            }
        }
        counts
    }
}
