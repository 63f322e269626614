//! Folders below a base that were used lately, held open: of entries that lie side by side only the
//! first pays for the walk there.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::OwnedFd;

use super::beneath;

/// Folders held open: as many as segments are usually written at once, or so.
const HELD: usize = 8;

/// The folders used last, oldest first.
#[derive(Debug, Default)]
pub(super) struct Folders(Mutex<Vec<(PathBuf, Arc<OwnedFd>)>>);

impl Folders {
    /// The folder at `path` below `base`, to reach entries in it by. It may be another one's by now, or
    /// gone: whoever needs to know looks at what it finds there.
    ///
    /// # Errors
    /// As [`beneath::reach`].
    pub(super) fn get(&self, base: impl AsFd, path: &Path) -> io::Result<Arc<OwnedFd>> {
        let found = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = held.iter().rposition(|(there, _)| there == path);
            // The one used last stays where it is: that is nearly always the one.
            at.map(|at| if at + 1 == held.len() { held[at].1.clone() } else { touch(&mut held, at) })
        };
        if let Some(folder) = found {
            return Ok(folder);
        }
        let folder = Arc::new(beneath::reach(base, path)?);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= HELD {
            held.remove(0);
        }
        held.push((path.to_owned(), folder.clone()));
        Ok(folder)
    }

    /// Lets go of all of them.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn touch(held: &mut Vec<(PathBuf, Arc<OwnedFd>)>, at: usize) -> Arc<OwnedFd> {
    let entry = held.remove(at);
    let folder = entry.1.clone();
    held.push(entry);
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_stay_open_and_no_more_than_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let base = std::fs::File::open(dir.path()).unwrap();
        let folders = Folders::default();
        for n in 0..HELD + 1 {
            std::fs::create_dir(dir.path().join(n.to_string())).unwrap();
            folders.get(&base, Path::new("0")).unwrap();
            folders.get(&base, Path::new(&n.to_string())).unwrap();
        }
        assert_eq!(folders.0.lock().unwrap().len(), HELD);
        std::fs::rename(dir.path().join("0"), dir.path().join("away")).unwrap();
        assert!(folders.get(&base, Path::new("0")).is_ok(), "used all the time, so still at hand");
        folders.clear();
        assert_eq!(folders.get(&base, Path::new("0")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(folders.get(&base, Path::new("")).is_ok(), "the base itself");
    }
}
