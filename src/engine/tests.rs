//! Engines on a state whose disk fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::*;
use crate::control::AddTransfer;

/// A disk that is full after so many syncs.
#[derive(Debug)]
struct Filling {
    memory: InMemoryBackend,
    left: Arc<AtomicI64>,
}

impl Filling {
    fn check(&self) -> io::Result<()> {
        if self.left.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl StorageBackend for Filling {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.left.fetch_sub(1, Ordering::Relaxed);
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

/// Were it started first, a transfer would run that no restart knows of.
#[tokio::test]
async fn a_transfer_that_cannot_be_recorded_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let (mut refused, mut added) = (0, false);
    for syncs in 0.. {
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let state = State::on(Filling { memory: InMemoryBackend::new(), left: left.clone() }).unwrap();
        let config = EngineConfig::new(dir.path().join("state"), dir.path().join("root"));
        std::fs::create_dir_all(&config.state_dir).unwrap();
        std::fs::create_dir_all(&config.root).unwrap();
        let engine = setup::start(config, Arc::new(state), "token".repeat(8)).await.unwrap();
        let request = AddTransfer {
            link: format!("skep://127.0.0.1:1/{}", "a".repeat(64)),
            paused: true,
            ..AddTransfer::default()
        };
        left.store(syncs, Ordering::Relaxed);
        let result = engine.control().command(Command::Add(request)).await;
        assert_eq!(engine.core.rows().len(), usize::from(result.is_ok()), "after {syncs} syncs: {result:?}");
        engine.shutdown().await;
        match result {
            Ok(_) => {
                added = true;
                break;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(added && refused > 1, "the disk failed at each step: {refused}");
}
