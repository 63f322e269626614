//! What this node was told of trees under its root that are behind: another node has newer ones, and a link that takes only
//! summaries now. Kept over restarts, until a sync of that tree is done or finds both equal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::receive::SyncError;
use super::wire::{Tell, VERSION};
use crate::content::name;
use crate::control::queue::{BehindRow, MAX_BEHIND};
use crate::store::{State, StateError};

/// The list. See the module.
#[derive(Debug)]
pub struct Behind {
    state: Arc<State>,
    rows: Mutex<BTreeMap<String, BehindRow>>,
    changed: watch::Sender<()>,
}

impl Behind {
    /// As it was recorded. Blocks.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(state: Arc<State>) -> Result<Self, StateError> {
        let rows = state.behind()?.into_iter().take(MAX_BEHIND).map(|row| (row.path.clone(), row)).collect();
        Ok(Self { state, rows: Mutex::new(rows), changed: watch::Sender::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BehindRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by path.
    pub fn rows(&self) -> Vec<BehindRow> {
        self.lock().values().cloned().collect()
    }

    /// Wakes whoever shows them.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes what was told. `from`: the address it came from; `now`: ms since the epoch. Blocks.
    ///
    /// # Errors
    /// A request that makes no sense, too many of them, or the disk refused.
    pub fn told(&self, tell: &Tell, from: &str, now: u64) -> Result<(), SyncError> {
        if tell.version != VERSION {
            return Err(SyncError::Bad(format!("version {}; this node knows {VERSION}", tell.version)));
        }
        name::checked_path(&tell.path)
            .map_err(|e| SyncError::Bad(format!("bad path {:?}: {e}", name::excerpt(&tell.path))))?;
        let from = match name::excerpt(&tell.from) {
            called if called.is_empty() => from.to_owned(),
            called => format!("{called} ({from})"),
        };
        let row = {
            let rows = self.lock();
            let before = rows.get(&tell.path);
            if before.is_none() && rows.len() >= MAX_BEHIND {
                return Err(SyncError::Bad(format!("{MAX_BEHIND} trees are behind here already: sync some first")));
            }
            BehindRow {
                path: tell.path.clone(),
                from,
                files: tell.files,
                bytes: tell.bytes,
                since_ms: before.map_or(now, |before| before.since_ms),
                told_ms: now,
            }
        };
        self.state.put_behind(&row).map_err(|e| SyncError::Disk(e.to_string()))?;
        let (path, from) = (name::printable(&row.path), name::printable(&row.from));
        let words = format!(
            "{path} is behind {from} by {} files, {} bytes: its link takes only that now",
            row.files, row.bytes
        );
        tracing::warn!(target: "sync", "{words}");
        self.lock().insert(row.path.clone(), row);
        self.changed.send_replace(());
        Ok(())
    }

    /// A sync of this tree is done, or found it equal. Blocks if it was behind.
    pub fn settled(&self, path: &str) {
        if self.lock().remove(path).is_none() {
            return;
        }
        if let Err(error) = self.state.remove_behind(path) {
            tracing::error!(target: "sync", %error, "a tree that is not behind any more stays on the list after a restart");
        }
        tracing::info!(target: "sync", "{} is not behind any more", name::printable(path));
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(path: &str, files: u64) -> Tell {
        Tell { version: VERSION, path: path.into(), from: "a\u{1b}node".into(), files, bytes: files * 10 }
    }

    #[test]
    fn what_was_told_is_there_after_a_restart_until_the_tree_is_equal() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Behind::open(Arc::new(State::open(&dir.path().join("state.redb")).unwrap())).unwrap();
        {
            let behind = open();
            behind.told(&tell("in/a", 3), "10.0.0.1", 100).unwrap();
            behind.told(&tell("in/b", 1), "10.0.0.1", 101).unwrap();
            behind.told(&tell("in/a", 7), "10.0.0.1", 200).unwrap();
        }
        let behind = open();
        let rows = behind.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].files, rows[0].bytes, rows[0].since_ms, rows[0].told_ms), (7, 70, 100, 200));
        assert!(rows[0].from.contains("10.0.0.1") && !rows[0].from.contains('\u{1b}'), "{}", rows[0].from);
        let mut changes = behind.changes();
        behind.settled("in/a");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        behind.settled("in/a");
        assert!(!changes.has_changed().unwrap(), "it was not behind");
        drop(behind);
        assert_eq!(open().rows().iter().map(|row| row.path.as_str()).collect::<Vec<_>>(), ["in/b"]);
    }

    #[test]
    fn nonsense_and_floods_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let behind = Behind::open(Arc::new(State::open(&dir.path().join("state.redb")).unwrap())).unwrap();
        for bad in [tell("../up", 1), tell("/abs", 1), tell("", 1), Tell { version: 9, ..tell("a", 1) }] {
            assert!(matches!(behind.told(&bad, "h", 1), Err(SyncError::Bad(_))), "{bad:?}");
        }
        behind.lock().extend((0..MAX_BEHIND).map(|n| (n.to_string(), BehindRow::default())));
        assert!(behind.told(&tell("new", 1), "h", 1).is_err());
        behind.told(&tell("7", 1), "h", 1).unwrap();
    }
}
