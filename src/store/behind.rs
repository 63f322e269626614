//! Trees here that other nodes said are behind.

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

use super::state::{State, StateError, json};
use crate::control::queue::BehindRow;

/// Made with its first row: states of the same schema may not have it.
const BEHIND: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("behind");

impl State {
    /// All of them. One that cannot be read is left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn behind(&self) -> Result<Vec<BehindRow>, StateError> {
        let table = match self.db.begin_read()?.open_table(BEHIND) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut found = Vec::new();
        for row in table.iter()? {
            found.extend(serde_json::from_slice::<BehindRow>(row?.1.value()).ok());
        }
        Ok(found)
    }

    /// Keeps one, in place of what was known of that path.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_behind(&self, row: &BehindRow) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(BEHIND)?.insert(row.path.as_str(), json(row).as_slice())?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// The disk refused.
    pub fn remove_behind(&self, path: &str) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(BEHIND)?.remove(path)?;
        tx.commit()?;
        Ok(())
    }
}
