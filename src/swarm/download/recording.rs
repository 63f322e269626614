//! Verified pieces on their way to the disk and the record, off the async threads.

use std::time::Instant;

use tokio::task::{JoinError, JoinHandle};

use super::{DownloadEnd, DownloadError, Running};
use crate::content::Bitmap;

/// What a batch that was synced and recorded brings back: what the record holds now.
pub(super) type Recorded = Result<Bitmap, DownloadError>;

impl Running {
    /// Syncs and records a batch, if one is due, off the async threads.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<JoinHandle<Recorded>> {
        let next = self.durable.next_batch(now, false)?;
        Some(self.sync_and_record(next))
    }

    fn sync_and_record(&self, have: Bitmap) -> JoinHandle<Recorded> {
        let (files, record) = (self.job.files.clone(), self.job.record.clone());
        tokio::task::spawn_blocking(move || {
            files.sync()?;
            record(&have)?;
            Ok(have)
        })
    }

    pub(super) fn on_recorded(&mut self, result: Result<Recorded, JoinError>) -> Result<(), DownloadError> {
        let recorded = result.map_err(|e| DownloadError::Internal(e.to_string()))??;
        self.durable.on_recorded(recorded);
        Ok(())
    }

    /// Waits for the batch under way and puts the rest on the disk, whatever the reason to stop.
    pub(super) async fn settle(
        &mut self,
        result: Result<DownloadEnd, DownloadError>,
    ) -> Result<DownloadEnd, DownloadError> {
        if let Some(batch) = self.batch.take() {
            let result = batch.await;
            self.on_recorded(result)?;
        }
        if self.durable.recorded() != self.leech.have() {
            let rest = self.sync_and_record(self.leech.have().clone()).await;
            if let Err(error) = self.on_recorded(rest) {
                return result.and(Err(error));
            }
        }
        result
    }
}

/// The end of the batch under way; never, if there is none.
pub(super) async fn joined(batch: &mut Option<JoinHandle<Recorded>>) -> Result<Recorded, JoinError> {
    let Some(handle) = batch else { return std::future::pending().await };
    let result = handle.await;
    *batch = None;
    result
}
