//! The durable state of a node: transfers, bitmaps, manifests, bans, and what was hashed before.
//!
//! One redb database; every call that changes something is one transaction, synced before it
//! returns. All calls block: call them off the async threads.

mod links;
mod pool;
mod pushes;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::links::LinkRecord;
pub use self::pool::{PoolNodeRecord, PoolRecord};
use super::record::{ChosenLimits, TransferRecord};
use crate::content::{Bitmap, ContentId, FileStamp, Manifest};
use crate::control::{BanRow, TransferId};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const TRANSFERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("transfers");
const BITMAPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bitmaps");
const MANIFESTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("manifests");
const BANS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bans");
const HASHED: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("hashed");
/// Made with their first row: states of the same schema may not have them.
const STAMPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("stamps");
const LIMITS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("limits");

/// The row of [`LIMITS`] that is about the node.
const NODE: &str = "node";
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
    /// The disk refused. Nothing more is written until the file is opened anew.
    #[error("cannot write the state file: {0}; if its disk is full, free space, then start this node again")]
    Database(#[from] redb::Error),
    /// The task that should have written it did not end well.
    #[error("cannot write the state file: {0}")]
    Task(String),
}

/// A transfer id that was never given before, once `tx` is committed.
pub(super) fn next_id_in(tx: &redb::WriteTransaction) -> Result<TransferId, StateError> {
    let mut meta = tx.open_table(META)?;
    let id = meta.get("next_id")?.map_or(1, |v| v.value());
    meta.insert("next_id", id + 1)?;
    Ok(TransferId(id))
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

/// The open database.
#[derive(Debug)]
pub struct State {
    pub(super) db: Database,
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

    /// A database that lies elsewhere, for tests of disks that fail.
    #[cfg(test)]
    pub(crate) fn on(backend: impl redb::StorageBackend) -> Result<Self, StateError> {
        let db = Database::builder().create_with_backend(backend).map_err(redb::Error::from)?;
        let state = Self { db };
        state.prepare()?;
        Ok(state)
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
        let id = next_id_in(&tx)?;
        tx.commit()?;
        Ok(id)
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

    /// Records a transfer and, if given, what of it is on the disk, in one transaction. `stamps`:
    /// what the files of a complete one look like, parallel to the manifest's.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_transfer(
        &self,
        record: &TransferRecord,
        have: Option<&Bitmap>,
        stamps: Option<&[FileStamp]>,
    ) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(TRANSFERS)?.insert(record.id.0, json(record).as_slice())?;
        if let Some(have) = have {
            tx.open_table(BITMAPS)?.insert(record.id.0, have.as_bytes())?;
        }
        if let Some(stamps) = stamps {
            tx.open_table(STAMPS)?.insert(record.id.0, json(&stamps).as_slice())?;
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

    /// What the files of a complete transfer looked like when they were known to be right, parallel
    /// to its manifest's files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stamps(&self, id: TransferId) -> Result<Option<Vec<FileStamp>>, StateError> {
        let table = match self.db.begin_read()?.open_table(STAMPS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get(id.0)?.and_then(|json| serde_json::from_slice(json.value()).ok()))
    }

    /// Forgets what is on the disk of a transfer, so that it is looked at again.
    ///
    /// # Errors
    /// The disk refused.
    pub fn forget_data(&self, id: TransferId) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(BITMAPS)?.remove(id.0)?;
        tx.open_table(STAMPS)?.remove(id.0)?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets a transfer. What it leaves behind that others may use goes by [`Self::purge`].
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_transfer(&self, id: TransferId) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(TRANSFERS)?.remove(id.0)?;
        tx.open_table(BITMAPS)?.remove(id.0)?;
        tx.open_table(STAMPS)?.remove(id.0)?;
        pushes::forget(&tx, id)?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets manifests, and what was hashed, that none of these transfers uses: at most `most` of
    /// each, the others next time. Tells how many went.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn purge(&self, used_by: &[TransferRecord], most: usize) -> Result<usize, StateError> {
        let contents: HashSet<[u8; 32]> = used_by.iter().filter_map(|record| Some(record.content?.0)).collect();
        let paths: HashSet<&[u8]> = used_by.iter().filter_map(TransferRecord::shared_path).collect();
        let tx = self.db.begin_write()?;
        let mut gone = 0;
        {
            let mut manifests = tx.open_table(MANIFESTS)?;
            for row in manifests.extract_if(|content, _| !contents.contains(content))?.take(most) {
                row?;
                gone += 1;
            }
            let mut hashed = tx.open_table(HASHED)?;
            for row in hashed.extract_if(|path, _| !paths.contains(path))?.take(most) {
                row?;
                gone += 1;
            }
        }
        if gone > 0 {
            tx.commit()?;
        } else {
            tx.abort()?;
        }
        Ok(gone)
    }

    /// The node's limits as the operator chose them last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn limits(&self) -> Result<ChosenLimits, StateError> {
        let table = match self.db.begin_read()?.open_table(LIMITS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(ChosenLimits::default()),
            table => table?,
        };
        Ok(table.get(NODE)?.and_then(|json| serde_json::from_slice(json.value()).ok()).unwrap_or_default())
    }

    /// Changes the node's limits that are kept.
    ///
    /// # Errors
    /// The disk refused.
    pub fn change_limits(&self, change: impl FnOnce(&mut ChosenLimits)) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            let mut table = tx.open_table(LIMITS)?;
            let kept = table.get(NODE)?.and_then(|json| serde_json::from_slice(json.value()).ok());
            let mut limits: ChosenLimits = kept.unwrap_or_default();
            change(&mut limits);
            table.insert(NODE, json(&limits).as_slice())?;
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
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
