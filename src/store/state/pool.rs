//! What is kept of the pool: the operator's list, who is drained, which balancer answers.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableDatabase as _, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{State, StateError, json};
use crate::control::pool::Balancer;

/// Made with its row: states of the same schema may not have it.
const POOL: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("pool");
const ROW: &str = "pool";

/// A node of the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolNodeRecord {
    /// Its endpoint's URL.
    pub endpoint: String,
    /// Its weight; none: its own word.
    pub weight: Option<f64>,
}

/// The pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolRecord {
    /// The list, by name.
    pub nodes: BTreeMap<String, PoolNodeRecord>,
    /// Drained by this node's operator.
    pub drained: BTreeSet<String>,
    /// Who answers where nobody says.
    pub balancer: Balancer,
}

impl State {
    /// The pool as it was kept; an empty one if there is none, or it cannot be read.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn pool(&self) -> Result<PoolRecord, StateError> {
        let table = match self.db.begin_read()?.open_table(POOL) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(PoolRecord::default()),
            table => table?,
        };
        let row = table.get(ROW)?;
        Ok(row.and_then(|row| serde_json::from_slice(row.value()).ok()).unwrap_or_default())
    }

    /// Keeps the pool.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put_pool(&self, record: &PoolRecord) -> Result<(), StateError> {
        let tx = self.db.begin_write()?;
        tx.open_table(POOL)?.insert(ROW, json(record).as_slice())?;
        tx.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let record = PoolRecord {
            nodes: BTreeMap::from([("a".into(), PoolNodeRecord { endpoint: "http://a:1".into(), weight: Some(0.1) })]),
            drained: BTreeSet::from(["a".into(), "b".into()]),
            balancer: Balancer::ResourceAware,
        };
        let state = State::open(&path).unwrap();
        assert_eq!(state.pool().unwrap(), PoolRecord::default());
        state.put_pool(&record).unwrap();
        drop(state);
        assert_eq!(State::open(&path).unwrap().pool().unwrap(), record);
    }
}
