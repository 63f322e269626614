//! Getting segments onto the disk and into the record, in batches (design rule 5).

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::error::UploadError;
use super::job::Upload;
use crate::content::Digest;
use crate::failpoint;

impl Upload {
    /// Sees to it that what is here gets durable within the time for a batch.
    pub(super) fn flush_soon(self: &Arc<Self>) {
        let mut inner = self.lock();
        if inner.ledger.is_batch_full() {
            self.full.notify_one();
        }
        if !std::mem::replace(&mut inner.flushing, true) {
            tokio::spawn(flush_when_due(Arc::downgrade(self), self.full.clone()));
        }
    }

    /// Syncs and records what is here.
    ///
    /// # Errors
    /// The disk refused: what was not recorded is not held any more.
    pub(super) async fn flush(self: &Arc<Self>) -> Result<(), UploadError> {
        // On a task of its own: a sender that goes away while it waits for this must not leave a batch
        // that is for ever under way.
        let flushed = tokio::spawn({
            let upload = self.clone();
            async move { upload.flush_batch().await }
        });
        flushed.await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))
    }

    async fn flush_batch(self: &Arc<Self>) -> Result<(), UploadError> {
        let _one = self.recording.lock().await;
        let Some(batch) = self.lock().ledger.next_batch() else { return Ok(()) };
        let (upload, files) = (self.clone(), self.files());
        let written = tokio::task::spawn_blocking(move || {
            upload.sync(&files)?;
            failpoint::step("upload:synced");
            upload.state.change_upload(&upload.id, &upload.record(), &batch, &[])?;
            failpoint::step("upload:recorded");
            Ok(())
        });
        let written = written.await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))));
        if let Err(error) = &written {
            tracing::error!(target: "upload", upload = self.id, "segments could not be made durable: {error}");
            self.not_durable(error);
        } else {
            let mut inner = self.lock();
            inner.ledger.on_recorded();
            if inner.writers.is_empty() {
                // Uploads that wait for days must not hold descriptors.
                self.files().close();
            }
        }
        written
    }

    /// What is not on record is not held any more, and the files at hand are not relied on.
    pub(super) fn not_durable(&self, error: &UploadError) {
        {
            let mut inner = self.lock();
            inner.ledger.on_sync_failed();
            inner.trouble = Some(format!("the disk refused: {error}"));
        }
        self.reopen();
        self.tell();
    }

    /// These segments turned out wrong: they are wanted again, here and after a restart.
    ///
    /// # Errors
    /// The state refused.
    pub(super) async fn lose(self: &Arc<Self>, segments: &[u32]) -> Result<(), UploadError> {
        // What is under way to the record comes first, so that it does not come back.
        self.flush().await?;
        let _one = self.recording.lock().await;
        self.lock().ledger.lose(segments);
        self.tell();
        let (upload, segments) = (self.clone(), segments.to_vec());
        let lost = tokio::task::spawn_blocking(move || {
            let nothing: [(u32, Digest); 0] = [];
            upload.state.change_upload(&upload.id, &upload.record(), &nothing, &segments)
        });
        lost.await.map_err(|error| UploadError::Disk(format!("internal: {error}")))??;
        Ok(())
    }
}

/// Holds on to the upload only while it works: a node that ends closes its state, however long the
/// time for a batch is.
async fn flush_when_due(upload: Weak<Upload>, full: Arc<Notify>) {
    loop {
        let (due, is_full) = {
            let Some(upload) = upload.upgrade() else { return };
            let mut inner = upload.lock();
            let Some(due) = inner.ledger.due() else {
                inner.flushing = false;
                return;
            };
            (due, inner.ledger.is_batch_full())
        };
        if !is_full {
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = full.notified() => {}
            }
        }
        let Some(upload) = upload.upgrade() else { return };
        // Logged, and its segments are wanted again.
        let _ = upload.flush().await;
    }
}
