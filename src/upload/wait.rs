//! Waiting for what becomes of an upload, or of a segment that several send.

use std::sync::Arc;

use super::error::UploadError;
use super::job::{Inner, Stage, Upload};

impl Upload {
    /// Until `look` finds what it looks for.
    pub(super) async fn until<T>(self: Arc<Self>, look: impl Fn(&Inner) -> Option<T>) -> T {
        loop {
            let told = self.decided.notified();
            tokio::pin!(told);
            // What is decided from here on is not missed.
            told.as_mut().enable();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            told.await;
        }
    }

    /// Until it is cancelled or gone: what its sender hears then.
    pub async fn ended(self: Arc<Self>) -> UploadError {
        self.until(|inner| match inner.stage {
            Stage::Gone => Some(UploadError::Unknown),
            Stage::Cancelled => Some(UploadError::Cancelled),
            Stage::Open | Stage::Assembling(_) | Stage::Done(_) => None,
        })
        .await
    }
}
