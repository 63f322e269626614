//! A content that the pool keeps: the node in the middle sends each piece once, and three nodes give one another the rest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_engine::control::{Command, Focus, SendRequest, Snapshot};

use super::fleet::DemoError;
use super::work::Worker;

/// Its name.
const NAME: &str = "field-maps-2026.tar";
/// Its bytes, and how many of them are sent a second: long enough to be watched.
const SIZE: usize = 12 << 20;
const RATE: u64 = 1_500_000;
/// Copies, and nodes to choose from before it begins.
const COPIES: u32 = 3;
const CHOICE: usize = 5;

/// Sends it once there are nodes to choose from.
pub(super) struct Placing {
    pub source: PathBuf,
    pub local: Worker,
    pub seed: u64,
}

impl Placing {
    pub(super) async fn run(self) {
        if let Err(error) = self.place().await {
            tracing::warn!("{NAME} does not go to the pool: {error}");
        }
    }

    async fn place(&self) -> Result<(), DemoError> {
        let mut view = self.local.control.view(Focus::default());
        let enough =
            |s: &Arc<Snapshot>| s.pool.nodes.iter().filter(|row| row.available && !row.draining).count() >= CHOICE;
        if view.snapshots.wait_for(enough).await.is_err() {
            return Ok(());
        }
        let path = self.source.join(NAME);
        write(&path, self.seed).await?;
        let dest = format!("pool:{}", view.snapshots.borrow().pool.name);
        let request = SendRequest { path, dest, replicas: Some(COPIES), up: Some(RATE), ..SendRequest::default() };
        self.local.begin(Command::Send(request)).await.map(drop)
    }
}

async fn write(path: &Path, seed: u64) -> io::Result<()> {
    let path = path.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; SIZE];
        fastrand::Rng::with_seed(seed ^ 0x0f1e_1d05).fill(&mut bytes);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)
    });
    written.await.map_err(io::Error::other)?
}
