//! What is kept of links: which are monitored, and what the operator said of them.

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{State, StateError, json};
use crate::control::link::LinkClass;

/// Made with its first row: states of the same schema may not have it.
const LINKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("links");

/// A monitored link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRecord {
    /// The class that the operator set.
    pub class: Option<LinkClass>,
    /// Every byte costs.
    pub metered: bool,
}

impl State {
    /// The links that are monitored, by endpoint. One that cannot be read is left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn links(&self) -> Result<Vec<(String, LinkRecord)>, StateError> {
        let table = match self.db.begin_read()?.open_table(LINKS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut links = Vec::new();
        for row in table.iter()? {
            let (endpoint, record) = row?;
            if let Ok(record) = serde_json::from_slice(record.value()) {
                links.push((endpoint.value().to_owned(), record));
            }
        }
        Ok(links)
    }

    /// Keeps a link.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_link(&self, endpoint: &str, record: &LinkRecord) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(LINKS)?.insert(endpoint, json(record).as_slice())?;
        tx.commit()?;
        Ok(())
    }

    /// Forgets a link.
    ///
    /// # Errors
    /// The disk refused.
    pub fn forget_link(&self, endpoint: &str) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(LINKS)?.remove(endpoint)?;
        tx.commit()?;
        Ok(())
    }
}
