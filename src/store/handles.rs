//! A few open files, least recently used closed first: trees of 100,000 files must not need as
//! many descriptors.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Open files by their index in the manifest.
#[derive(Debug)]
pub(super) struct Handles {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clock: u64,
    open: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    index: usize,
    used: u64,
    writable: bool,
    file: Arc<File>,
}

impl Handles {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    /// The open file `index`, opened by `open` if need be. A writable handle serves reads too.
    pub(super) fn get<E>(
        &self,
        index: usize,
        writable: bool,
        open: impl FnOnce() -> Result<File, E>,
    ) -> Result<Arc<File>, E> {
        if let Some(file) = self.find(index, writable) {
            return Ok(file);
        }
        // Opened outside the lock: a slow disk must not hold up readers of other files. Two
        // threads may open the same file; both handles are good.
        let file = Arc::new(open()?);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let used = inner.clock;
        inner.open.retain(|slot| slot.index != index);
        if inner.open.len() >= self.capacity
            && let Some(oldest) = inner.open.iter().enumerate().min_by_key(|(_, slot)| slot.used).map(|(at, _)| at)
        {
            inner.open.swap_remove(oldest);
        }
        inner.open.push(Slot { index, used, writable, file: file.clone() });
        Ok(file)
    }

    fn find(&self, index: usize, writable: bool) -> Option<Arc<File>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let slot = inner.open.iter_mut().find(|slot| slot.index == index && (slot.writable || !writable))?;
        slot.used = now;
        Some(slot.file.clone())
    }

    /// The file `index` if it is open.
    pub(super) fn peek(&self, index: usize) -> Option<Arc<File>> {
        self.find(index, false)
    }

    /// Closes all of them (those in use stay open until their users are done).
    pub(super) fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_recently_used_and_no_more_than_its_capacity() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::new(2);
        let open = |i: usize| {
            let path = dir.path().join(i.to_string());
            let mut opened = false;
            handles
                .get(i, true, || {
                    opened = true;
                    File::create(path)
                })
                .unwrap();
            opened
        };
        assert!(open(1) && open(2) && !open(1));
        assert!(open(3), "3 closes 2, which was used longest ago");
        assert!(!open(1) && open(2));
    }
}
