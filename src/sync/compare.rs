//! Finding out how the tree at the other end differs, from its top down: only folders whose digests differ
//! are looked into, all of one depth at once. Pure.

use std::collections::BTreeMap;

use super::entry::{Entry, Folder, Mtime, Tree, What, join, split};
use super::scan::MAX_ENTRIES;
use super::wire::{Compared, MAX_FOLDERS, Stands};
use crate::content::Digest;
use crate::content::name::{MAX_DEPTH, excerpt};

/// What is known of the tree at the other end.
#[derive(Debug, Clone)]
pub struct There {
    /// At the tree's place.
    pub stands: Stands,
    /// Of the top.
    pub mode: u32,
    /// Of the top.
    pub mtime: Mtime,
    /// Names that differ only in case are one name there.
    pub folds_case: bool,
    /// The folders that were looked into: those that differ, and those that only the other end has.
    pub folders: BTreeMap<String, Folder>,
}

impl There {
    /// The entry at a path, if its folder was looked into.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let (folder, name) = split(path);
        self.folders.get(folder)?.get(name)
    }
}

/// Why the comparison cannot go on: the other end does not tell a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// More than the cap.
    #[error("the receiver lists more than {MAX_ENTRIES} entries")]
    TooMany,
    /// Nested without end.
    #[error("the receiver lists folders deeper than {MAX_DEPTH}")]
    TooDeep,
    /// It was not asked for this.
    #[error("the receiver does not list {0:?}, which it named before: it changes meanwhile; run the sync again")]
    Gone(String),
}

/// A comparison under way.
#[derive(Debug)]
pub struct Descent<'a> {
    source: &'a Tree,
    everything: bool,
    there: There,
    wanted: Vec<String>,
    entries: usize,
}

impl<'a> Descent<'a> {
    /// Begins with what the receiver said about the top. `everything`: equal folders are looked into too.
    pub fn new(source: &'a Tree, compared: &Compared, everything: bool) -> Self {
        let looks = compared.stands == Stands::Folder && (everything || !compared.same);
        Self {
            source,
            everything,
            there: There {
                stands: compared.stands,
                mode: compared.mode & 0o777,
                mtime: compared.mtime,
                folds_case: compared.folds_case,
                folders: BTreeMap::new(),
            },
            wanted: if looks { vec![String::new()] } else { Vec::new() },
            entries: 0,
        }
    }

    /// Folders to ask for now; none: the comparison is complete.
    pub fn ask(&mut self) -> Vec<String> {
        let rest = self.wanted.split_off(self.wanted.len().min(MAX_FOLDERS));
        std::mem::replace(&mut self.wanted, rest)
    }

    /// Takes in what is in a folder that was asked for.
    ///
    /// # Errors
    /// It is more than can be, or not there any more.
    pub fn take(&mut self, path: String, folder: Option<Folder>) -> Result<(), CompareError> {
        let Some(folder) = folder else { return Err(CompareError::Gone(excerpt(&path))) };
        self.entries += folder.entries.len() + 1;
        if self.entries > MAX_ENTRIES {
            return Err(CompareError::TooMany);
        }
        let here = self.source.folders.get(&path);
        for entry in &folder.entries {
            let What::Folder(digest) = &entry.what else { continue };
            let same = |own: &Digest| own == digest && !self.everything;
            let own = here.and_then(|here| here.get(&entry.name)).map(|own| &own.what);
            if !matches!(own, Some(What::Folder(own)) if same(own)) {
                if path.matches('/').count() + 2 > MAX_DEPTH {
                    return Err(CompareError::TooDeep);
                }
                self.wanted.push(join(&path, &entry.name));
            }
        }
        self.there.folders.insert(path, folder);
        Ok(())
    }

    /// What is known once there is nothing more to ask.
    pub fn finish(self) -> There {
        self.there
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::sync::rules::Rules;
    use crate::sync::scan::{Side, scan};

    fn tree(dir: &Path) -> Tree {
        scan(fs::File::open(dir).unwrap(), Rules::default(), Side::Receiver, &AtomicBool::new(false)).unwrap().tree
    }

    fn compared(here: &Tree, there: &Tree) -> Compared {
        Compared {
            snapshot: String::new(),
            stands: Stands::Folder,
            same: here.digest() == there.digest(),
            mode: there.mode,
            mtime: there.mtime,
            folds_case: false,
            file: None,
        }
    }

    /// The folders asked for, level by level.
    fn rounds(here: &Tree, there: &Tree, everything: bool) -> Vec<Vec<String>> {
        let mut descent = Descent::new(here, &compared(here, there), everything);
        let mut rounds = Vec::new();
        loop {
            let asked = descent.ask();
            if asked.is_empty() {
                return rounds;
            }
            for path in &asked {
                descent.take(path.clone(), there.folders.get(path).cloned()).unwrap();
            }
            rounds.push(asked);
        }
    }

    #[test]
    fn only_what_differs_is_looked_into_a_level_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..20 {
            fs::create_dir_all(dir.path().join(format!("d{n:02}/in/deep"))).unwrap();
            fs::write(dir.path().join(format!("d{n:02}/in/f")), "x").unwrap();
        }
        let before = tree(dir.path());
        assert!(rounds(&before, &before, false).is_empty(), "equal at the top: nothing is asked");
        fs::write(dir.path().join("d03/in/f"), "longer").unwrap();
        fs::create_dir_all(dir.path().join("new/in")).unwrap();
        let after = tree(dir.path());
        assert_eq!(rounds(&after, &before, false), [vec![""], vec!["d03"], vec!["d03/in"]]);
        assert_eq!(rounds(&before, &after, false), [vec![""], vec!["d03", "new"], vec!["d03/in", "new/in"]]);
        assert_eq!(rounds(&before, &before, true).concat().len(), 61);
    }

    #[test]
    fn a_tree_without_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let endless = tree(dir.path()).folders[""].clone();
        let empty = Tree::default();
        let mut descent = Descent::new(&empty, &compared(&empty, &tree(dir.path())), false);
        let end = loop {
            let asked = descent.ask();
            assert_eq!(asked.len(), 1);
            if let Err(error) = descent.take(asked[0].clone(), Some(endless.clone())) {
                break error;
            }
        };
        assert_eq!(end, CompareError::TooDeep);
        let mut descent = Descent::new(&empty, &compared(&empty, &tree(dir.path())), false);
        assert!(matches!(descent.take("d".into(), None), Err(CompareError::Gone(_))));
    }
}
