//! The rows of the outbox: operations that wait here, each under its number, as bytes of the queue's own.

use std::collections::BTreeMap;

use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, TableError};

use super::state::{State, StateError};

/// Made with their first row: states of the same schema may not have them.
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
/// What was found in it and could not be read, kept for whoever wants to look at it.
const ASIDE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox_aside");
/// The number that the next operation gets.
const NEXT: TableDefinition<'_, &str, u64> = TableDefinition::new("outbox_next");

/// What the outbox holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxRows {
    /// By their numbers.
    pub rows: BTreeMap<u64, Vec<u8>>,
    /// How many were put aside so far.
    pub aside: u64,
    /// Larger than any number that was given.
    pub next: u64,
}

impl State {
    /// Everything in the outbox.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn outbox(&self) -> Result<OutboxRows, StateError> {
        let tx = self.db.begin_read()?;
        let mut found = OutboxRows { next: 1, ..OutboxRows::default() };
        match tx.open_table(OUTBOX) {
            Err(TableError::TableDoesNotExist(_)) => {}
            table => {
                for row in table?.iter()? {
                    let (id, bytes) = row?;
                    found.rows.insert(id.value(), bytes.value().to_vec());
                }
            }
        }
        match tx.open_table(ASIDE) {
            Err(TableError::TableDoesNotExist(_)) => {}
            table => found.aside = table?.len()?,
        }
        match tx.open_table(NEXT) {
            Err(TableError::TableDoesNotExist(_)) => {}
            table => found.next = table?.get("id")?.map_or(1, |next| next.value()),
        }
        let last = found.rows.last_key_value().map_or(0, |(id, _)| *id);
        found.next = found.next.max(last + 1);
        Ok(found)
    }

    /// Changes the outbox in one transaction: rows that are new or others now, rows that go, and the number that the next
    /// operation gets.
    ///
    /// # Errors
    /// The disk refused: nothing is changed.
    pub fn change_outbox(&self, puts: &[(u64, Vec<u8>)], gone: &[u64], next: u64) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            let mut table = tx.open_table(OUTBOX)?;
            for (id, bytes) in puts {
                table.insert(id, bytes.as_slice())?;
            }
            for id in gone {
                table.remove(id)?;
            }
            let mut numbers = tx.open_table(NEXT)?;
            let before = numbers.get("id")?.map_or(0, |next| next.value());
            if before < next {
                numbers.insert("id", next)?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// Takes rows out of the outbox that cannot be read, and keeps their bytes.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_aside(&self, ids: &[u64]) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        {
            let (mut table, mut aside) = (tx.open_table(OUTBOX)?, tx.open_table(ASIDE)?);
            for id in ids {
                if let Some(bytes) = table.remove(id)? {
                    aside.insert(id, bytes.value())?;
                }
            }
        }
        tx.commit()?;
        Ok(())
    }
}
