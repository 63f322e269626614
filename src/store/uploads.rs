//! What is kept of uploads that others send to this node: a record, the description, and one
//! row per segment that the disk holds.

use std::ops::RangeInclusive;

use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::documents;
use super::state::{State, StateError, json, next_id_in};
use crate::content::Digest;
use crate::control::TransferId;

/// Made with their first row: states of the same schema may not have them.
const UPLOADS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("uploads");
const SEGMENTS: TableDefinition<'_, (&str, u32), &[u8; 32]> = TableDefinition::new("upload_segments");

/// The document that an upload's description is.
fn description_of(id: &str) -> String {
    format!("upload/{id}")
}

fn all_of(id: &str) -> RangeInclusive<(&str, u32)> {
    (id, 0)..=(id, u32::MAX)
}

impl State {
    /// Keeps a new upload, whose record is made for the number that it gets among the node's transfers.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_upload<R: Serialize>(
        &self,
        id: &str,
        record: impl FnOnce(TransferId) -> R,
        description: &impl Serialize,
    ) -> Result<TransferId, StateError> {
        let tx = self.db.begin_write()?;
        let number = next_id_in(&tx)?;
        tx.open_table(UPLOADS)?.insert(id, json(&record(number)).as_slice())?;
        documents::put(&tx, &description_of(id), description)?;
        tx.open_table(SEGMENTS)?.retain_in(all_of(id), |_, _| false)?;
        tx.commit()?;
        Ok(number)
    }

    /// Every upload: its id, record and description. One that cannot be read is left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn uploads<R: DeserializeOwned, D: DeserializeOwned>(&self) -> Result<Vec<(String, R, D)>, StateError> {
        let tx = self.db.begin_read()?;
        let records = match tx.open_table(UPLOADS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            records => records?,
        };
        let mut found = Vec::new();
        for row in records.iter()? {
            let (id, record) = row?;
            let description = documents::get(&tx, &description_of(id.value()))?;
            if let (Ok(record), Some(description)) = (serde_json::from_slice(record.value()), description) {
                found.push((id.value().to_owned(), record, description));
            }
        }
        Ok(found)
    }

    /// The segments of an upload that are on the disk, ascending.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn segments(&self, id: &str) -> Result<Vec<(u32, Digest)>, StateError> {
        let table = match self.db.begin_read()?.open_table(SEGMENTS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut found = Vec::new();
        for row in table.range(all_of(id))? {
            let (key, digest) = row?;
            found.push((key.value().1, Digest(*digest.value())));
        }
        Ok(found)
    }

    /// Records where an upload stands, and segments that are on the disk now or no longer count, in
    /// one transaction.
    ///
    /// # Errors
    /// The disk refused.
    pub fn change_upload(
        &self,
        id: &str,
        record: &impl Serialize,
        held: &[(u32, Digest)],
        lost: &[u32],
    ) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            tx.open_table(UPLOADS)?.insert(id, json(record).as_slice())?;
            let mut segments = tx.open_table(SEGMENTS)?;
            for segment in lost {
                segments.remove((id, *segment))?;
            }
            for (segment, digest) in held {
                segments.insert((id, *segment), &digest.0)?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// Records what became known of an upload, with what it is.
    ///
    /// # Errors
    /// The disk refused.
    pub fn describe_upload(
        &self,
        id: &str,
        record: &impl Serialize,
        description: &impl Serialize,
    ) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(UPLOADS)?.insert(id, json(record).as_slice())?;
        documents::put(&tx, &description_of(id), description)?;
        tx.commit()?;
        Ok(())
    }

    /// Records that an upload is over. Its segments are forgotten; `brief` takes the place of its description
    /// until [`Self::remove_upload`].
    ///
    /// # Errors
    /// The disk refused.
    pub fn finish_upload(&self, id: &str, record: &impl Serialize, brief: &impl Serialize) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(UPLOADS)?.insert(id, json(record).as_slice())?;
        documents::put(&tx, &description_of(id), brief)?;
        tx.open_table(SEGMENTS)?.retain_in(all_of(id), |_, _| false)?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets an upload.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_upload(&self, id: &str) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(UPLOADS)?.remove(id)?;
        documents::remove(&tx, &description_of(id))?;
        tx.open_table(SEGMENTS)?.retain_in(all_of(id), |_, _| false)?;
        tx.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_come_and_go_with_their_upload_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.redb")).unwrap();
        assert!(state.uploads::<u8, u8>().unwrap().is_empty() && state.segments("a").unwrap().is_empty());
        for (id, record) in [("a", 1u8), ("aa", 2), ("b", 3)] {
            let number = state.put_upload(id, |_| record, &"described").unwrap();
            assert_eq!(number, TransferId(record.into()), "one after the other");
            state.change_upload(id, &record, &[(0, Digest([record; 32])), (7, Digest([9; 32]))], &[]).unwrap();
        }
        state.change_upload("a", &11u8, &[(1, Digest([5; 32]))], &[7]).unwrap();
        assert_eq!(state.segments("a").unwrap(), [(0, Digest([1; 32])), (1, Digest([5; 32]))]);
        state.finish_upload("b", &33u8, &"over").unwrap();
        state.remove_upload("aa").unwrap();
        let all = state.uploads::<u8, String>().unwrap();
        assert_eq!(all, [("a".into(), 11, "described".into()), ("b".into(), 33, "over".to_owned())]);
        assert!(state.segments("aa").unwrap().is_empty() && state.segments("b").unwrap().is_empty());
        assert_eq!(state.segments("a").unwrap().len(), 2);
        state.put_upload("a", |_| 1u8, &"again").unwrap();
        assert!(state.segments("a").unwrap().is_empty(), "nothing of a former upload counts");
    }
}
