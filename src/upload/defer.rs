//! A stream whose length its sender tells later (tus: creation-defer-length). Until then it has the longest that it can
//! have in segments of the usual length, and lays claim to what is here of it only.

use std::sync::Arc;
use std::time::Instant;

use sha2::Digest as _;

use super::admission::{self, Claim};
use super::append::Tail;
use super::description::Description;
use super::error::UploadError;
use super::job::{Stage, Upload};
use super::uploads::Uploads;
use crate::content::Digest;

impl Uploads {
    /// The stream has `size` bytes: from now on the upload that this gives stands in its place. One that had a length
    /// from the start must have been told the same.
    ///
    /// # Errors
    /// More bytes are here already, another request is at it, or so much cannot be taken.
    pub async fn set_length(self: &Arc<Self>, upload: &Arc<Upload>, size: u64) -> Result<Arc<Upload>, UploadError> {
        if !upload.is_deferred() {
            let same = size == upload.size();
            return if same { Ok(upload.clone()) } else { Err(UploadError::Bad("it has another length".into())) };
        }
        let _one = self.opening.lock().await;
        let busy = || UploadError::Locked("another request is sending to this upload".into());
        let tail = upload.tail.clone().try_lock_owned().map_err(|_| busy())?;
        upload.flush().await?;
        let tail = upload.sound(&tail).cloned();
        let (uploads, old) = (self.clone(), upload.clone());
        let known = tokio::task::spawn_blocking(move || uploads.replace_deferred(&old, tail, size)).await;
        let known = known.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))?;
        known.flush_soon();
        Ok(known)
    }

    /// Whether a stream may go on at this offset: how much it lays claim to was not known when it began.
    ///
    /// # Errors
    /// It is too much, for the quota or the disk.
    pub fn go_on(&self, upload: &Arc<Upload>, offset: u64) -> Result<(), UploadError> {
        if !upload.is_deferred() {
            return Ok(());
        }
        let is_other = |other: &&Arc<Upload>| !Arc::ptr_eq(other, upload);
        let mut others: Vec<Claim> = self.all().iter().filter(is_other).filter_map(|other| other.claim()).collect();
        others.extend(self.patches.claims());
        let free = upload.files().free_space()?;
        admission::go_on(offset, &others, &self.limits, free)
    }

    fn replace_deferred(&self, old: &Arc<Upload>, tail: Option<Tail>, size: u64) -> Result<Arc<Upload>, UploadError> {
        let here = tail.as_ref().map_or_else(|| old.prefix(), |tail| tail.offset);
        if size < here {
            return Err(UploadError::Bad(format!("{here} bytes are here already, more than {size}")));
        }
        // Whatever was written through the old files counts in the new ones.
        old.files().sync().inspect_err(|_| old.reopen())?;
        let description = Description { size, deferred: false, ..old.brief.clone() };
        let target = description.clone().check()?;
        let is_other = |upload: &&Arc<Upload>| !Arc::ptr_eq(upload, old);
        let others: Vec<Claim> = self.all().iter().filter(is_other).filter_map(|upload| upload.claim()).collect();
        let free = old.files().free_space()?.saturating_add(here);
        admission::admit(&old.path, (size, 1), old.brief.policy, &others, &self.limits, free)?;
        let held = old.lock().ledger.digests().collect();
        let mut new = self.make((&old.id, old.staged_in.clone()), target, held);
        (new.number, new.began_ms, new.senders) = (old.number, old.began_ms, old.senders.clone());
        new.tail = Arc::new(tokio::sync::Mutex::new(tail.clone().map(|tail| tail.within(&new.files()))));
        if let Some(Tail { hash, .. }) =
            tail.filter(|tail| tail.offset == size && !size.is_multiple_of(new.segment_length()))
        {
            // The short segment at the end turns out to be complete.
            let last = new.files().layout().piece_count().saturating_sub(1);
            let (digest, bytes) = (Digest(hash.finalize().into()), size % new.segment_length());
            new.lock().ledger.on_verified(last, digest, bytes, Instant::now());
        }
        let mut inner = old.lock();
        if !matches!(inner.stage, Stage::Open) {
            return Err(UploadError::Unknown);
        }
        self.home.state.describe_upload(&old.id, &new.record(), &description)?;
        old.revoke_all(&mut inner);
        inner.stage = Stage::Gone;
        drop(inner);
        let new = Arc::new(new);
        self.lock().insert(new.id.clone(), new.clone());
        new.tell();
        Ok(new)
    }
}
