//! Long documents (the entries of a tree, say) as rows of some kilobytes: at no time is their text, or
//! a page of the database that holds it, in memory as a whole.

use std::io::{self, BufReader, Read, Write};

use redb::{ReadTransaction, Table, TableDefinition, TableError, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::StateError;

/// Made with its first row: states of the same schema may not have it.
const DOCUMENTS: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("documents");
/// Bytes of a row: with what the database adds it fits a page of 64 KiB.
const PART: usize = 60 << 10;

/// Keeps a document as JSON, in place of one of that name.
///
/// # Errors
/// The disk refused.
pub(super) fn put(tx: &WriteTransaction, name: &str, document: &impl Serialize) -> Result<(), StateError> {
    remove(tx, name)?;
    let mut parts =
        Parts { table: tx.open_table(DOCUMENTS)?, name, count: 0, part: Vec::with_capacity(PART), failed: None };
    let written = serde_json::to_writer(&mut parts, document).map_err(io::Error::from).and_then(|()| parts.flush());
    match (written, parts.failed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(error)) => Err(error.into()),
        (Err(error), None) => Err(StateError::Task(error.to_string())),
    }
}

/// The document of this name; none if there is none that can be read.
///
/// # Errors
/// The database cannot be read.
pub(super) fn get<T: DeserializeOwned>(tx: &ReadTransaction, name: &str) -> Result<Option<T>, StateError> {
    let table = match tx.open_table(DOCUMENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let mut rows = Rows { rows: table.range((name, 0)..=(name, u32::MAX))?, part: Vec::new(), at: 0, failed: None };
    let parsed = serde_json::from_reader(BufReader::new(&mut rows));
    match rows.failed {
        Some(error) => Err(error.into()),
        None => Ok(parsed.ok()),
    }
}

/// Forgets the document of this name.
///
/// # Errors
/// The disk refused.
pub(super) fn remove(tx: &WriteTransaction, name: &str) -> Result<(), StateError> {
    tx.open_table(DOCUMENTS)?.retain_in((name, 0)..=(name, u32::MAX), |_, _| false)?;
    Ok(())
}

struct Parts<'t> {
    table: Table<'t, (&'static str, u32), &'static [u8]>,
    name: &'t str,
    count: u32,
    part: Vec<u8>,
    failed: Option<redb::StorageError>,
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == PART {
            self.flush()?;
        }
        let count = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = self.table.insert((self.name, self.count), self.part.as_slice()) {
            self.failed = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        self.count += 1;
        self.part.clear();
        Ok(())
    }
}

struct Rows<'t> {
    rows: redb::Range<'t, (&'static str, u32), &'static [u8]>,
    part: Vec<u8>,
    at: usize,
    failed: Option<redb::StorageError>,
}

impl Read for Rows<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.part.len() {
            match self.rows.next() {
                None => return Ok(0),
                Some(Ok((_, part))) => {
                    self.part.clear();
                    self.part.extend_from_slice(part.value());
                    self.at = 0;
                }
                Some(Err(error)) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
        let count = into.len().min(self.part.len() - self.at);
        into[..count].copy_from_slice(&self.part[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableDatabase as _;

    use super::super::state::State;
    use super::*;

    #[test]
    fn documents_of_any_length_come_back_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.redb")).unwrap();
        let all = |name: &str| get::<Vec<u32>>(&state.db.begin_read().unwrap(), name).unwrap();
        assert_eq!(all("a"), None);
        let long: Vec<u32> = (0..50_000).collect();
        // The last one's text fills its row to the brim.
        let brim = vec![1u32; (PART - 1) / 2];
        assert_eq!(serde_json::to_vec(&brim).unwrap().len(), PART - 1);
        for (name, document) in [("a", &long), ("ab", &brim), ("a", &vec![7]), ("b", &long), ("c", &vec![])] {
            let tx = state.db.begin_write().unwrap();
            put(&tx, name, document).unwrap();
            tx.commit().unwrap();
        }
        assert_eq!(all("a"), Some(vec![7]), "nothing is left of a longer one");
        assert_eq!((all("ab"), all("b"), all("c")), (Some(brim), Some(long), Some(vec![])));
        let tx = state.db.begin_write().unwrap();
        remove(&tx, "a").unwrap();
        tx.commit().unwrap();
        assert!(all("a").is_none() && all("ab").is_some());
    }
}
