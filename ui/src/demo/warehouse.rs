//! A large file of which little changes, kept equal at the vault over a link that is never the same for long: only what
//! changed goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use skep_engine::control::{Command, OnTaken, SendRequest, SendStrategy, TransferId, TransferState};
use skep_shaper::Shaper;

use super::content::{edit, make_content};
use super::fleet::DemoError;
use super::program::{Content, Edit, WAREHOUSE, edits};
use super::work::{AFTER_FAILURE, ENDED, Tally, Worker, forget_received};

/// Deltas from the node in the middle to the vault.
pub(super) struct Warehouse {
    pub source: PathBuf,
    pub local: Worker,
    pub vault: Worker,
    /// The vault, as it is reached.
    pub link: Arc<Shaper>,
    pub tally: Arc<Tally>,
}

impl Warehouse {
    /// Goes on for ever.
    pub(super) async fn run(self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x77a2_e4a5);
        if let Err(error) = self.stock(rng.u64(..)).await {
            return tracing::warn!("{}: {error}", WAREHOUSE.0);
        }
        let (mut over, mut first) = (std::collections::VecDeque::new(), true);
        loop {
            let (pause, edits) = edits(&mut rng, first);
            tokio::time::sleep(pause).await;
            first = false;
            match self.sync(edits).await {
                Ok(id) => over.push_back(id),
                Err(error) => {
                    tracing::warn!("{}: {error}", WAREHOUSE.0);
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
            if over.len() > ENDED
                && let Some(id) = over.pop_front()
            {
                if self.local.here(id).is_some_and(|row| row.state == TransferState::Done) {
                    self.tally.retired.fetch_add(1, Ordering::Relaxed);
                }
                self.local.remove(id, false).await;
                forget_received(&self.vault, WAREHOUSE.0, false).await;
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.source.join(WAREHOUSE.0)
    }

    /// The vault has the file as it was yesterday.
    async fn stock(&self, seed: u64) -> Result<(), DemoError> {
        let content = Content { name: WAREHOUSE.0.into(), bytes: WAREHOUSE.1, files: 0, seed };
        let (file, there) = (self.file(), self.vault.root.join(WAREHOUSE.0));
        blocking(move || {
            make_content(&file, &content)?;
            there.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::copy(&file, &there).map(drop)
        })
        .await
    }

    /// Some of it changes; then the vault gets what changed.
    async fn sync(&self, edits: Vec<Edit>) -> Result<TransferId, DemoError> {
        let path = self.file();
        let (file, places) = (path.clone(), edits.len());
        blocking(move || edit(Path::new(&file), &edits)).await?;
        tracing::info!("{} places of {} change", places, WAREHOUSE.0);
        let request = SendRequest {
            path,
            dest: format!("http://{}/", self.link.addr()),
            strategy: SendStrategy::Delta,
            on_taken: OnTaken::Overwrite,
            ..SendRequest::default()
        };
        let id = self.local.begin(Command::Send(request)).await?;
        let row = self.local.row(|row| row.id == id && row.state.is_settled()).await;
        let done = row.filter(|row| row.state == TransferState::Done);
        if let Some(row) = done.filter(|row| row.delta.is_some()) {
            self.tally.deltas.fetch_add(1, Ordering::Relaxed);
            self.tally.saved.fetch_add(row.size.saturating_sub(row.wire_bytes), Ordering::Relaxed);
        }
        Ok(id)
    }
}

async fn blocking(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), DemoError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)??;
    Ok(())
}
