//! Real engines on loopback in temporary folders, for integration tests.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

pub mod hostile;
pub mod meddler;
pub mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skep_engine::control::{
    AddTransfer, Command, Control, Focus, Reply, ShareRequest, Snapshot, TransferId, TransferRow, TransferState,
};
use skep_engine::engine::{Engine, EngineConfig};

/// Far longer than anything here takes: reached only if something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An engine with folders of its own.
pub struct TestNode {
    pub engine: Option<Engine>,
    pub control: Arc<dyn Control>,
    pub dir: tempfile::TempDir,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    pub async fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = EngineConfig::new(dir.path().join("state"), dir.path().join("root"));
        // What a busy machine's loopback is taken for changes nothing; tests of links watch those that they are about.
        config.link.automatic = false;
        change(&mut config);
        let engine = Engine::start(config).await.unwrap();
        let control = engine.control();
        Self { engine: Some(engine), control, dir }
    }

    /// Stops it properly and starts another on the same folders.
    pub async fn restart(mut self) -> Self {
        self.engine.take().unwrap().shutdown().await;
        drop(self.control);
        Self::start_in(self.dir, |_| ()).await
    }

    pub async fn shutdown(mut self) -> tempfile::TempDir {
        self.engine.take().unwrap().shutdown().await;
        self.dir
    }

    pub fn url(&self) -> String {
        self.engine.as_ref().unwrap().url().to_owned()
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub async fn added(&self, command: Command) -> TransferId {
        match self.control.command(command).await.unwrap() {
            Reply::Added { ids, .. } => ids[0],
            other => panic!("{other:?}"),
        }
    }

    /// Shares a path; its link.
    pub async fn share(&self, path: &Path) -> String {
        let request = ShareRequest { path: path.into(), piece_length: Some(16 << 10), ..ShareRequest::default() };
        let id = self.added(Command::Share(request)).await;
        self.wait(id, |row| row.state == TransferState::Seeding).await.link.unwrap()
    }

    /// Starts fetching.
    pub async fn get(&self, link: &str) -> TransferId {
        self.get_with(link, |_| ()).await
    }

    pub async fn get_with(&self, link: &str, change: impl FnOnce(&mut AddTransfer)) -> TransferId {
        let mut request = AddTransfer { link: link.into(), ..AddTransfer::default() };
        change(&mut request);
        self.added(Command::Add(request)).await
    }

    /// Waits until the transfer is done; panics if it fails.
    pub async fn done(&self, id: TransferId) -> TransferRow {
        let over = |row: &TransferRow| row.state.is_settled() && row.state != TransferState::Paused;
        let row = self.wait(id, over).await;
        assert!(matches!(row.state, TransferState::Done | TransferState::Seeding), "{row:#?}");
        row
    }

    pub async fn wait(&self, id: TransferId, wanted: impl Fn(&TransferRow) -> bool) -> TransferRow {
        let snapshot =
            self.snapshot(Focus::default(), |s| s.transfers.iter().any(|row| row.id == id && wanted(row))).await;
        let row = snapshot.transfers.iter().find(|row| row.id == id).unwrap();
        TransferRow::clone(row)
    }

    /// The first snapshot that is as wanted.
    pub async fn snapshot(&self, focus: Focus, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut view = self.control.view(focus);
        let found = tokio::time::timeout(PATIENCE, view.snapshots.wait_for(|s| wanted(s))).await;
        match found {
            Ok(snapshot) => snapshot.unwrap().clone(),
            Err(_) => {
                let view = self.control.view(Focus::default());
                let last = view.snapshots.borrow().clone();
                panic!("not so in {PATIENCE:?}: {:#?} {:#?}", last.transfers, last.pool)
            }
        }
    }
}

/// Bytes that compress badly and differ everywhere, the same every time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// A file of noise.
pub fn noise_file(dir: &Path, name: &str, len: usize) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, noise(len, len as u64)).unwrap();
    path
}
