//! The durable state of a node: transfers, bitmaps, manifests, bans, and what was hashed before.
//!
//! One redb database; every call that changes something is one transaction, synced before it
//! returns. All calls block: call them off the async threads.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::content::{Bitmap, ContentId, Manifest};
use crate::control::{AddTransfer, BanRow, ShareRequest, TransferId};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const TRANSFERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("transfers");
const BITMAPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bitmaps");
const MANIFESTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("manifests");
const BANS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bans");
const HASHED: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("hashed");

/// The layout of the tables above.
const SCHEMA: u64 = 1;
/// redb's page cache: the database is small, and a node must be too.
const CACHE_BYTES: usize = 2 << 20;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process holds the database.
    #[error("{0:?} is in use by another process")]
    Busy(PathBuf),
    /// The file is not a sound database.
    #[error(
        "the state file {path:?} is damaged ({problem}); move it away to start afresh - fetched data stays \
         where it is, and `skep get` picks up partial data again after checking it"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What redb said.
        problem: String,
    },
    /// The system does not let us at the file.
    #[error("cannot open the state file {path:?}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Written by a newer skep.
    #[error("the state file {path:?} has schema {found}; this skep knows up to {SCHEMA}: use the newer skep")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// The disk refused.
    #[error("cannot write the state file: {0}")]
    Database(#[from] redb::Error),
    /// The task that should have written it did not end well.
    #[error("cannot write the state file: {0}")]
    Task(String),
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StateError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}
from_redb!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

/// A fetch, with what its link was found to mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchRecord {
    /// As asked.
    pub request: AddTransfer,
    /// Nodes to ask.
    pub peers: Vec<String>,
    /// Plain HTTP servers of the content's only file.
    pub mirrors: Vec<String>,
    /// Trackers to announce to.
    pub trackers: Vec<String>,
}

/// What a transfer was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRecord {
    /// Fetch a content.
    Fetch(FetchRecord),
    /// Share a path in place.
    Share(ShareRequest),
}

/// Where a transfer stood when last recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// At work: goes on after a restart.
    Active,
    /// Paused by the operator.
    Paused,
    /// Everything there under its final name.
    Complete,
    /// Stopped by an error.
    Failed,
    /// Stopped for good.
    Cancelled,
}

/// One transfer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// Its id.
    pub id: TransferId,
    /// What was asked.
    pub job: JobRecord,
    /// Where it stood.
    pub phase: Phase,
    /// Goes on seeding.
    pub seeding: bool,
    /// The content was put under its name by this transfer: what is there is not partial.
    #[serde(default)]
    pub published: bool,
    /// Was told to check what is under its name and to mend it.
    #[serde(default)]
    pub mend: bool,
    /// What it moves, once known.
    pub content: Option<ContentId>,
    /// Name under which the content appears.
    pub name: String,
    /// Folder it lies in.
    pub dir: PathBuf,
    /// When it was added.
    pub added_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Payload so far.
    pub bytes_down: u64,
    /// Payload so far.
    pub bytes_up: u64,
    /// Both ways, headers included as far as known.
    pub wire_bytes: u64,
    /// Time spent running.
    pub running_ms: u64,
}

/// The open database.
#[derive(Debug)]
pub struct State {
    db: Database,
}

impl State {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// It is in use, damaged, from a newer skep, or the folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let corrupt = |problem: String| StateError::Corrupt { path: path.into(), problem };
        // redb trusts its file; a damaged one may make it panic rather than answer.
        let opened = std::panic::catch_unwind(|| {
            let db = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
            Ok::<_, redb::DatabaseError>(db)
        });
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => return Err(StateError::Busy(path.into())),
            // A file that ends too early is damaged as one with the wrong bytes is.
            Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(source))))
                if !matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                return Err(StateError::Open { path: path.into(), source });
            }
            Ok(Err(e)) => return Err(corrupt(e.to_string())),
            Err(_) => return Err(corrupt("it makes the database fail".into())),
        };
        let state = Self { db };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| state.prepare()))
            .map_err(|_| corrupt("its tables cannot be read".into()))?
            .map_err(|e| corrupt(e.to_string()))?;
        if found > SCHEMA { Err(StateError::Newer { path: path.into(), found }) } else { Ok(state) }
    }

    /// Makes missing tables; the schema found.
    fn prepare(&self) -> Result<u64, StateError> {
        if let Some(found) = self.meta("schema")? {
            return Ok(found);
        }
        let tx = self.db.begin_write()?;
        {
            tx.open_table(TRANSFERS)?;
            tx.open_table(BITMAPS)?;
            tx.open_table(MANIFESTS)?;
            tx.open_table(BANS)?;
            tx.open_table(HASHED)?;
            tx.open_table(META)?.insert("schema", SCHEMA)?;
        }
        tx.commit()?;
        Ok(SCHEMA)
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, StateError> {
        match self.db.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(key)?.map(|v| v.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// A transfer id that was never given before.
    ///
    /// # Errors
    /// The disk refused.
    pub fn next_id(&self) -> Result<TransferId, StateError> {
        let tx = self.db.begin_write()?;
        let id = {
            let mut meta = tx.open_table(META)?;
            let id = meta.get("next_id")?.map_or(1, |v| v.value());
            meta.insert("next_id", id + 1)?;
            id
        };
        tx.commit()?;
        Ok(TransferId(id))
    }

    /// Every transfer, by id. Records that cannot be read are reported by id and skipped: one bad
    /// record must not take the others along.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn transfers(&self) -> Result<(Vec<TransferRecord>, Vec<TransferId>), StateError> {
        let table = self.db.begin_read()?.open_table(TRANSFERS)?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for row in table.iter()? {
            let (id, json) = row?;
            match serde_json::from_slice(json.value()) {
                Ok(record) => good.push(record),
                Err(_) => bad.push(TransferId(id.value())),
            }
        }
        Ok((good, bad))
    }

    /// Records a transfer and, if given, what of it is on the disk, in one transaction.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_transfer(&self, record: &TransferRecord, have: Option<&Bitmap>) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(TRANSFERS)?.insert(record.id.0, json(record).as_slice())?;
        if let Some(have) = have {
            tx.open_table(BITMAPS)?.insert(record.id.0, have.as_bytes())?;
        }
        tx.commit()?;
        Ok(())
    }

    /// What was recorded of `pieces` pieces; none if nothing was, or if it does not fit.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn bitmap(&self, id: TransferId, pieces: u32) -> Result<Option<Bitmap>, StateError> {
        let table = self.db.begin_read()?.open_table(BITMAPS)?;
        let bytes = table.get(id.0)?.map(|v| v.value().to_vec());
        Ok(bytes.and_then(|bytes| Bitmap::from_bytes(bytes, pieces).ok()))
    }

    /// Forgets what is on the disk of a transfer, so that it is looked at again.
    ///
    /// # Errors
    /// The disk refused.
    pub fn forget_bitmap(&self, id: TransferId) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(BITMAPS)?.remove(id.0)?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets a transfer. Its manifest goes too unless another transfer has the same content.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_transfer(&self, id: TransferId, manifest: Option<&ContentId>) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(TRANSFERS)?.remove(id.0)?;
        tx.open_table(BITMAPS)?.remove(id.0)?;
        if let Some(content) = manifest {
            tx.open_table(MANIFESTS)?.remove(&content.0)?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Keeps a manifest.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_manifest(&self, id: &ContentId, manifest: &Manifest) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(MANIFESTS)?.insert(&id.0, manifest.to_json().as_slice())?;
        tx.commit()?;
        Ok(())
    }

    /// A kept manifest; none if there is none or it is no longer sound.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn manifest(&self, id: &ContentId) -> Result<Option<Manifest>, StateError> {
        let table = self.db.begin_read()?.open_table(MANIFESTS)?;
        let found = table.get(&id.0)?.and_then(|json| Manifest::from_json(json.value()).ok());
        Ok(found.filter(|manifest| manifest.id() == *id))
    }

    /// Bans in force.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn bans(&self) -> Result<Vec<BanRow>, StateError> {
        let table = self.db.begin_read()?.open_table(BANS)?;
        let mut bans = Vec::new();
        for row in table.iter()? {
            bans.extend(serde_json::from_slice::<BanRow>(row?.1.value()).ok());
        }
        Ok(bans)
    }

    /// Replaces the bans.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_bans(&self, bans: &[BanRow]) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            let mut table = tx.open_table(BANS)?;
            table.retain(|_, _| false)?;
            for ban in bans {
                table.insert(ban.peer.as_str(), json(ban).as_slice())?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// What was found when `path` was hashed last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn hashed<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, StateError> {
        let table = self.db.begin_read()?.open_table(HASHED)?;
        let key = path.as_os_str().as_encoded_bytes();
        Ok(table.get(key)?.and_then(|json| serde_json::from_slice(json.value()).ok()))
    }

    /// Remembers what was found when `path` was hashed.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_hashed<T: Serialize>(&self, path: &Path, found: &T) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(HASHED)?.insert(path.as_os_str().as_encoded_bytes(), json(found).as_slice())?;
        tx.commit()?;
        Ok(())
    }
}

/// Plain records of strings and numbers: they cannot fail to serialise.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> TransferRecord {
        TransferRecord {
            id: TransferId(id),
            job: JobRecord::Share(ShareRequest::default()),
            phase: Phase::Active,
            seeding: false,
            published: false,
            mend: false,
            content: Some(ContentId([3; 32])),
            name: "x".into(),
            dir: "/tmp".into(),
            added_ms: 1,
            ended_ms: None,
            error: None,
            bytes_down: 0,
            bytes_up: 0,
            wire_bytes: 0,
            running_ms: 0,
        }
    }

    #[test]
    fn what_was_recorded_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let mut have = Bitmap::empty(9);
        have.set(4);
        {
            let state = State::open(&path).unwrap();
            assert_eq!(state.next_id().unwrap(), TransferId(1));
            state.put_transfer(&record(1), Some(&have)).unwrap();
            let ban = BanRow { peer: "10.0.0.1:7".into(), reason: "bad piece".into(), since_ms: 1, until_ms: 2 };
            state.put_bans(std::slice::from_ref(&ban)).unwrap();
        }
        let state = State::open(&path).unwrap();
        assert_eq!(state.next_id().unwrap(), TransferId(2), "ids are never given twice");
        assert_eq!(state.transfers().unwrap(), (vec![record(1)], vec![]));
        assert_eq!(state.bitmap(TransferId(1), 9).unwrap(), Some(have));
        assert_eq!(state.bitmap(TransferId(1), 99).unwrap(), None, "of another content");
        assert_eq!(state.bans().unwrap().len(), 1);
        state.remove_transfer(TransferId(1), None).unwrap();
        assert_eq!(state.transfers().unwrap().0.len(), 0);
        assert_eq!(state.bitmap(TransferId(1), 9).unwrap(), None);
    }

    #[test]
    fn a_second_opener_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let _held = State::open(&path).unwrap();
        assert!(matches!(State::open(&path), Err(StateError::Busy(_))));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        drop(State::open(&path).unwrap());
        let sound = std::fs::read(&path).unwrap();
        let mut swapped = sound.clone();
        let half = swapped.len() / 2;
        swapped.truncate(half);
        let short = sound[..100].to_vec();
        for garbage in [b"not a database at all".to_vec(), vec![0; 4096], swapped, short] {
            std::fs::write(&path, &garbage).unwrap();
            let error = State::open(&path).unwrap_err().to_string();
            assert!(error.contains("damaged") && error.contains("state.redb"), "{error}");
            assert!(std::fs::read(&path).unwrap() == garbage, "not touched");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = State::open(&path).unwrap_err().to_string();
        assert!(error.contains("cannot open") && error.contains("state.redb"), "{error}");
    }
}
