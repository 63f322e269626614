//! A tree as it is compared: folders with their entries, and one digest for all that lies below a folder.
//! Pure.
//!
//! A digest covers, for each entry in order of its name: kind, name, mode, modification time, then a file's
//! size and hard link, a link's target, a folder's own digest. Two trees with equal digests at their top have
//! the same names, kinds, sizes, modes, times, targets and hard links all the way down (after Merkle, "A
//! digital signature based on a conventional encryption function", 1987).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::content::{Digest, FileStamp};

/// Modification time: whole seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mtime(pub i64, pub u32);

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Of several names of one file in the tree: the first one's path, unless this is that.
        leader: Option<Box<str>>,
    },
    /// A folder, with the digest of all that is in it.
    Folder(Digest),
    /// A symbolic link, with its target escaped as in [`crate::content::name`].
    Symlink(Box<str>),
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One name, escaped as in [`crate::content::name`].
    pub name: Box<str>,
    /// Permission bits, `0o777` at most.
    pub mode: u32,
    /// Last modification.
    pub mtime: Mtime,
    /// The rest.
    pub what: What,
    /// Inode number; 0 in what another node tells.
    pub inode: u64,
    /// Device of the inode.
    pub device: u64,
    /// Takes less room on the disk than it has bytes.
    pub sparse: bool,
}

impl Entry {
    /// Bytes of a file; 0 of anything else.
    pub fn size(&self) -> u64 {
        if let What::File { size, .. } = self.what { size } else { 0 }
    }

    /// What a file that has not changed since still looks like.
    pub fn stamp(&self) -> FileStamp {
        let mtime_ns = i128::from(self.mtime.0) * 1_000_000_000 + i128::from(self.mtime.1);
        FileStamp { size: self.size(), mtime_ns, inode: self.inode, device: self.device }
    }

    /// Is it a folder?
    pub fn is_folder(&self) -> bool {
        matches!(self.what, What::Folder(_))
    }

    /// Is it a regular file?
    pub fn is_file(&self) -> bool {
        matches!(self.what, What::File { .. })
    }
}

/// A folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// Ascending by name.
    pub entries: Vec<Entry>,
    /// Things in it that are no entries: ignored, special, or not to be read.
    pub hidden: u32,
}

impl Folder {
    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok().map(|at| &self.entries[at])
    }
}

/// Something that a scan left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path in the tree.
    pub path: String,
    /// Why, in words.
    pub why: String,
    /// It would be sent if it could be read.
    pub unreadable: bool,
}

/// A tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Mode of its top.
    pub mode: u32,
    /// Modification time of its top.
    pub mtime: Mtime,
    /// By path, `""` being the top: a folder comes before all that is in it.
    pub folders: BTreeMap<String, Folder>,
    /// What was left out but for what rules ignore: never touched at the other end.
    pub skipped: Vec<Skipped>,
}

impl Tree {
    /// Computes the digests of all folders from the innermost to the top.
    pub fn seal(&mut self) {
        let mut known: BTreeMap<String, Digest> = BTreeMap::new();
        for (path, folder) in self.folders.iter_mut().rev() {
            for entry in &mut folder.entries {
                if let What::Folder(digest) = &mut entry.what
                    && let Some(below) = known.remove(&join(path, &entry.name))
                {
                    *digest = below;
                }
            }
            known.insert(path.clone(), digest_of(folder));
        }
    }

    /// The digest of the whole, its top's mode and time included.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        let top = self.folders.get("").map(digest_of).unwrap_or(Digest([0; 32]));
        hash.update(top.0);
        feed_times(&mut hash, self.mode, self.mtime);
        Digest(hash.finalize().into())
    }

    /// Entries in all.
    pub fn count(&self) -> u64 {
        self.folders.values().map(|folder| folder.entries.len() as u64).sum()
    }

    /// Bytes of all files, each hard link counted once.
    pub fn bytes(&self) -> u64 {
        let own = |entry: &Entry| match entry.what {
            What::File { size, leader: None } => size,
            _ => 0,
        };
        self.folders.values().flat_map(|folder| folder.entries.iter().map(own)).sum()
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let (folder, name) = split(path);
        self.folders.get(folder)?.get(name)
    }
}

/// `folder/name`; just the name at the top.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The folder and the last name of a path.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Is `path` this folder, or below it?
pub fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| folder.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

fn feed_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u32).to_le_bytes());
    hash.update(text.as_bytes());
}

fn feed_times(hash: &mut Sha256, mode: u32, mtime: Mtime) {
    hash.update(mode.to_le_bytes());
    hash.update(mtime.0.to_le_bytes());
    hash.update(mtime.1.to_le_bytes());
}

/// The digest of a folder whose own folders have theirs.
fn digest_of(folder: &Folder) -> Digest {
    let mut hash = Sha256::new();
    for entry in &folder.entries {
        let kind = match entry.what {
            What::File { .. } => b'f',
            What::Folder(_) => b'd',
            What::Symlink(_) => b'l',
        };
        hash.update([kind]);
        feed_text(&mut hash, &entry.name);
        feed_times(&mut hash, entry.mode, entry.mtime);
        match &entry.what {
            What::File { size, leader } => {
                hash.update(size.to_le_bytes());
                feed_text(&mut hash, leader.as_deref().unwrap_or_default());
            }
            What::Folder(digest) => hash.update(digest.0),
            What::Symlink(target) => feed_text(&mut hash, target),
        }
    }
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Entry {
        Entry {
            name: name.into(),
            mode: 0o644,
            mtime: Mtime(5, 6),
            what: What::File { size, leader: None },
            inode: 0,
            device: 0,
            sparse: false,
        }
    }

    fn tree(change: impl FnOnce(&mut Entry)) -> Digest {
        let mut changed = file("x", 1);
        change(&mut changed);
        let folder = Entry { what: What::Folder(Digest([0; 32])), ..file("a", 0) };
        let mut tree = Tree { mode: 0o755, ..Tree::default() };
        tree.folders.insert(String::new(), Folder { entries: vec![folder.clone(), file("b", 2)], hidden: 3 });
        tree.folders.insert("a".into(), Folder { entries: vec![Entry { name: "in".into(), ..folder }], hidden: 0 });
        tree.folders.insert("a/in".into(), Folder { entries: vec![changed], hidden: 0 });
        tree.seal();
        tree.digest()
    }

    #[test]
    fn whatever_changes_far_below_shows_at_the_top() {
        let same = tree(|_| ());
        assert_eq!(tree(|e| (e.inode, e.device, e.sparse) = (7, 8, true)), same, "what only this disk knows");
        let changes: [fn(&mut Entry); 7] = [
            |e| e.name = "y".into(),
            |e| e.mode = 0o600,
            |e| e.mtime.0 += 1,
            |e| e.mtime.1 += 1,
            |e| e.what = What::File { size: 2, leader: None },
            |e| e.what = What::File { size: 1, leader: Some("b".into()) },
            |e| e.what = What::Symlink("b".into()),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert_ne!(tree(change), same, "{n}");
        }
    }

    #[test]
    fn paths_within_a_folder() {
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("a", ""));
        assert!(!is_within("ab", "a") && !is_within("a", "a/b"));
        assert_eq!((split("a/b/c"), split("a")), (("a/b", "c"), ("", "a")));
    }
}
