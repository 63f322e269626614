//! What is kept of a push: what was to be sent, and the digest of each segment that the receiver has.

use std::sync::Arc;

use redb::{ReadableDatabase as _, TableDefinition, WriteTransaction};

use super::{State, StateError, json};
use crate::content::Digest;
use crate::control::TransferId;
use crate::store::documents;
use crate::store::record::PushRecord;

/// Made with their first row: states of the same schema may not have them.
const PUSHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("pushes");
const SENT: TableDefinition<'_, (u64, u32), &[u8; 32]> = TableDefinition::new("sent");

/// The document that the entries of a push are, with their stamps.
fn entries_of(id: TransferId) -> String {
    format!("push/{}", id.0)
}

impl State {
    /// What a push was found to send; none before that.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn push(&self, id: TransferId) -> Result<Option<PushRecord>, StateError> {
        let Some(push) = self.push_figures(id)? else { return Ok(None) };
        let entries = documents::get(&self.db.begin_read()?, &entries_of(id))?;
        let (files, stamps) = entries.unwrap_or_default();
        Ok(Some(PushRecord { files: Arc::new(files), stamps: Arc::new(stamps), ..push }))
    }

    /// [`Self::push`] without the list of what is sent.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn push_figures(&self, id: TransferId) -> Result<Option<PushRecord>, StateError> {
        let table = match self.db.begin_read()?.open_table(PUSHES) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get(id.0)?.and_then(|json| serde_json::from_slice(json.value()).ok()))
    }

    /// Records what a push sends; what was sent before of something else is forgotten.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_push(&self, id: TransferId, push: &PushRecord) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        forget(&tx, id)?;
        tx.open_table(PUSHES)?.insert(id.0, json(push).as_slice())?;
        if !push.files.is_empty() {
            documents::put(&tx, &entries_of(id), &(&*push.files, &*push.stamps))?;
        }
        tx.commit()?;
        Ok(())
    }

    /// The segments that were acknowledged, with their digests, ascending.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sent(&self, id: TransferId) -> Result<Vec<(u32, Digest)>, StateError> {
        let table = match self.db.begin_read()?.open_table(SENT) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let rows = table.range((id.0, 0)..=(id.0, u32::MAX))?;
        rows.map(|row| row.map(|(key, digest)| (key.value().1, Digest(*digest.value()))).map_err(Into::into)).collect()
    }

    /// Records segments as acknowledged.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_sent(&self, id: TransferId, segments: &[(u32, Digest)]) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            let mut table = tx.open_table(SENT)?;
            for (segment, digest) in segments {
                table.insert((id.0, *segment), &digest.0)?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// Forgets what a push sends and has sent.
    ///
    /// # Errors
    /// The disk refused.
    pub fn forget_push(&self, id: TransferId) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        forget(&tx, id)?;
        tx.commit()?;
        Ok(())
    }
}

pub(super) fn forget(tx: &WriteTransaction, id: TransferId) -> Result<(), StateError> {
    tx.open_table(PUSHES)?.remove(id.0)?;
    documents::remove(tx, &entries_of(id))?;
    tx.open_table(SENT)?.retain_in((id.0, 0)..=(id.0, u32::MAX), |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{FileEntry, FileStamp};

    #[test]
    fn segments_outlive_the_process_and_go_with_the_transfer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let (one, two) = (TransferId(1), TransferId(2));
        let entry = FileEntry { mode: 0o644, mtime: None, path: "a".into(), size: 9, symlink: None };
        let stamp = FileStamp { size: 9, mtime_ns: -1, inode: 2, device: 3 };
        let push = PushRecord {
            upload: "ab".into(),
            segment: 7,
            files: Arc::new(vec![entry]),
            stamps: Arc::new(vec![stamp]),
            ..PushRecord::default()
        };
        {
            let state = State::open(&path).unwrap();
            assert_eq!((state.push(one).unwrap(), state.sent(one).unwrap()), (None, vec![]));
            state.put_push(one, &push).unwrap();
            state.put_sent(one, &[(3, Digest([3; 32])), (1, Digest([1; 32]))]).unwrap();
            state.put_sent(two, &[(0, Digest([9; 32]))]).unwrap();
        }
        let state = State::open(&path).unwrap();
        assert_eq!(state.push(one).unwrap(), Some(push));
        assert_eq!(state.sent(one).unwrap(), [(1, Digest([1; 32])), (3, Digest([3; 32]))]);
        state.remove_transfer(one).unwrap();
        assert_eq!((state.push(one).unwrap(), state.sent(one).unwrap()), (None, vec![]));
        assert_eq!(state.sent(two).unwrap().len(), 1, "another's stay");
    }
}
