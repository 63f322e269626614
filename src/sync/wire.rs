//! What the two ends of a sync say to each other: JSON, read with caps. The routes are in
//! [`crate::node`], the words are explained in `docs/PROTOCOL.md`.

use std::io::{BufReader, Read};

use serde::{Deserialize, Deserializer, Serialize};

use super::entry::{Entry, Folder, Mtime, What};
use super::rules::Rules;
use super::scan::MAX_ENTRIES;
use crate::content::manifest::{MAX_SIZE, capped};
use crate::content::{Digest, name};

/// The format this code reads and writes.
pub const VERSION: u32 = 1;
/// Most bytes of any of these documents.
pub const MAX_DOCUMENT: usize = 64 << 20;
/// Most folders that are asked for at once.
pub const MAX_FOLDERS: usize = 4_096;
/// Most files whose digests are asked for at once.
pub const MAX_FILES: usize = 4_096;
/// Most operations at once.
pub const MAX_OPS: usize = 16_384;

/// `POST /sync/compare`: is the tree there this one?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// [`VERSION`].
    pub version: u32,
    /// The tree's place under the root, escaped as in [`name`].
    pub path: String,
    /// What is left out.
    #[serde(default)]
    pub rules: Rules,
    /// The sender's.
    pub digest: Digest,
}

/// `POST /sync/behind`: the tree there is behind, and its data follows when the link allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// [`VERSION`].
    pub version: u32,
    /// The tree's place under the root, escaped as in [`name`].
    pub path: String,
    /// What the sender calls itself.
    #[serde(default)]
    pub from: String,
    /// Files that differ.
    pub files: u64,
    /// Bytes that would have to be sent.
    pub bytes: u64,
}

/// The answer to [`Tell`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {}

/// What stands at the tree's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file, link or something else.
    Other,
}

/// The answer to [`Compare`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Names the tree as it was seen, for [`List`]; for a minute.
    pub snapshot: String,
    /// What is there.
    pub stands: Stands,
    /// The digests are equal: all else is.
    pub same: bool,
    /// Of the top.
    #[serde(default)]
    pub mode: u32,
    /// Of the top.
    #[serde(default)]
    pub mtime: Mtime,
    /// Names that differ only in case are one name there.
    #[serde(default)]
    pub folds_case: bool,
    /// The regular file that stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ListedEntry>,
}

impl Compared {
    /// [`Self::file`], if it can be one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checked_file(&self) -> Result<Option<Entry>, WireError> {
        self.file.clone().map(ListedEntry::check).transpose()
    }
}

/// `POST /sync/list`: what is in these folders?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// From [`Compared`].
    pub snapshot: String,
    /// Paths in the tree, `""`: its top.
    #[serde(deserialize_with = "capped_folders")]
    pub folders: Vec<String>,
}

/// The answer to [`List`], in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// One for each that was asked for; none: no such folder.
    #[serde(deserialize_with = "capped_listed")]
    pub folders: Vec<Option<ListedFolder>>,
}

/// A folder as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFolder {
    /// [`Folder::hidden`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hidden: u32,
    /// Ascending by name.
    #[serde(deserialize_with = "capped_entries")]
    pub entries: Vec<ListedEntry>,
}

/// An entry as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEntry {
    /// Name.
    pub n: String,
    /// Mode.
    pub m: u32,
    /// Modification time.
    pub t: Mtime,
    /// A file's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s: Option<u64>,
    /// A file's first name, if it has several and this is not it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h: Option<String>,
    /// A folder's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d: Option<Digest>,
    /// A link's target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l: Option<String>,
}

/// `POST /sync/digests`: SHA-256 of these files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// The tree's place.
    pub path: String,
    /// Paths in the tree.
    #[serde(deserialize_with = "capped_files")]
    pub files: Vec<String>,
}

/// The answer to [`Digests`], in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digested {
    /// None: no regular file, or not to be read.
    #[serde(deserialize_with = "capped_digests")]
    pub digests: Vec<Option<Digest>>,
}

/// `POST /sync/apply`: do this, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// [`VERSION`].
    pub version: u32,
    /// The tree's place.
    pub path: String,
    /// Names the sync: 32 hex digits, chosen by the sender.
    pub sync: String,
    /// What to do.
    #[serde(deserialize_with = "capped_ops")]
    pub ops: Vec<Op>,
    /// Uploads (and the sync itself) whose leftovers can go when that is done.
    #[serde(default, deserialize_with = "capped_files")]
    pub over: Vec<String>,
}

/// One operation. Paths are relative to the tree, `""` being its top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Make a folder accessible for what follows; its mode comes back with its `Meta`.
    Unlock {
        /// A folder.
        path: String,
    },
    /// Keep what a file holds now, to be taken from there later.
    Stash {
        /// A file of this size and time.
        path: String,
        /// Its bytes.
        size: u64,
        /// Its modification time.
        mtime: Mtime,
        /// The name that it is kept under.
        slot: u32,
        /// Copy it: the file stays what it is. Otherwise it is about to go, and a hard link will do.
        copy: bool,
    },
    /// Make a folder.
    Folder {
        /// Where.
        path: String,
        /// A file or link that stands there may give way to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_file: bool,
    },
    /// Move a file of an upload (or a stashed one) to its place, in one step.
    Take {
        /// The upload; none: stashed by this sync.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<String>,
        /// Path in the upload, or the slot's number.
        from: String,
        /// Where to.
        path: String,
        /// A folder that stands there may go with all that is in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_folder: bool,
    },
    /// Make a file another name of one.
    Link {
        /// Where.
        path: String,
        /// The file.
        leader: String,
        /// As for `Take`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_folder: bool,
    },
    /// Make a symbolic link.
    Symlink {
        /// Where.
        path: String,
        /// Where it leads.
        target: String,
        /// Modification time.
        mtime: Mtime,
        /// As for `Take`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_folder: bool,
    },
    /// Delete a file or link, or an empty folder.
    Delete {
        /// What.
        path: String,
        /// It is a folder.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        folder: bool,
    },
    /// Set mode and time.
    Meta {
        /// Of what.
        path: String,
        /// Permission bits; none: of a link, which has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// Modification time.
        mtime: Mtime,
    },
}

impl Op {
    /// What it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Unlock { path }
            | Self::Stash { path, .. }
            | Self::Folder { path, .. }
            | Self::Take { path, .. }
            | Self::Link { path, .. }
            | Self::Symlink { path, .. }
            | Self::Delete { path, .. }
            | Self::Meta { path, .. } => path,
        }
    }
}

/// The answer to [`Apply`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Operations that were carried out.
    pub done: u64,
    /// Those that were not: index and reason. What follows was tried all the same.
    #[serde(default)]
    pub failed: Vec<(u32, String)>,
}

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not what it should be.
    #[error("{0}")]
    Bad(String),
    /// Over a cap.
    #[error("at most {MAX_DOCUMENT} bytes")]
    TooLarge,
}

/// Reads a document while it comes. Blocks as `json` does.
///
/// # Errors
/// Not such a document, or more than the cap.
pub fn read<T: serde::de::DeserializeOwned>(json: impl Read) -> Result<T, WireError> {
    let mut json = BufReader::with_capacity(64 << 10, json.take(MAX_DOCUMENT as u64 + 1));
    let parsed = serde_json::from_reader(&mut json);
    if json.get_ref().limit() == 0 {
        return Err(WireError::TooLarge);
    }
    parsed.map_err(|error| WireError::Bad(name::excerpt(&error.to_string())))
}

impl From<&Folder> for ListedFolder {
    fn from(folder: &Folder) -> Self {
        Self { hidden: folder.hidden, entries: folder.entries.iter().map(Into::into).collect() }
    }
}

impl From<&Entry> for ListedEntry {
    fn from(entry: &Entry) -> Self {
        let mut listed =
            Self { n: entry.name.to_string(), m: entry.mode, t: entry.mtime, s: None, h: None, d: None, l: None };
        match &entry.what {
            What::File { size, leader } => {
                (listed.s, listed.h) = (Some(*size), leader.as_ref().map(ToString::to_string))
            }
            What::Folder(digest) => listed.d = Some(*digest),
            What::Symlink(target) => listed.l = Some(target.to_string()),
        }
        listed
    }
}

impl ListedFolder {
    /// The folder, if it can be one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self) -> Result<Folder, WireError> {
        let entries = self.entries.into_iter().map(ListedEntry::check).collect::<Result<Vec<_>, _>>()?;
        if entries.windows(2).any(|pair| pair[0].name >= pair[1].name) {
            return Err(WireError::Bad("names that are not in order".into()));
        }
        Ok(Folder { entries, hidden: self.hidden })
    }
}

impl ListedEntry {
    fn check(self) -> Result<Entry, WireError> {
        let bad = |why: &str| Err(WireError::Bad(format!("the entry {:?}: {why}", name::excerpt(&self.n))));
        if self.n.contains('/') {
            return bad("a slash in its name");
        }
        if let Err(error) = name::checked_path(&self.n) {
            return bad(&error.to_string());
        }
        if self.m > 0o777 || self.t.1 >= 1_000_000_000 || self.s.is_some_and(|size| size > MAX_SIZE) {
            return bad("a mode, time or size that cannot be");
        }
        let what = match (self.s, self.d, self.l, self.h) {
            (Some(size), None, None, leader) => What::File { size, leader: leader.map(Into::into) },
            (None, Some(digest), None, None) => What::Folder(digest),
            (None, None, Some(target), None) => What::Symlink(target.into()),
            _ => return Err(WireError::Bad("an entry that is no file, folder or link".into())),
        };
        Ok(Entry { name: self.n.into(), mode: self.m, mtime: self.t, what, inode: 0, device: 0, sparse: false })
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn capped_folders<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    capped(d, MAX_FOLDERS)
}

fn capped_listed<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Option<ListedFolder>>, D::Error> {
    capped(d, MAX_FOLDERS)
}

fn capped_entries<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<ListedEntry>, D::Error> {
    capped(d, MAX_ENTRIES)
}

fn capped_files<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    capped(d, MAX_FILES)
}

fn capped_digests<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Option<Digest>>, D::Error> {
    capped(d, MAX_FILES)
}

fn capped_ops<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Op>, D::Error> {
    capped(d, MAX_OPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(change: impl FnOnce(&mut ListedEntry)) -> Result<Folder, WireError> {
        let mut entry = ListedEntry { n: "b".into(), m: 0o644, t: Mtime(1, 2), s: Some(3), h: None, d: None, l: None };
        change(&mut entry);
        let first = ListedEntry { n: "a".into(), m: 0, t: Mtime(0, 0), s: None, h: None, d: None, l: Some("x".into()) };
        ListedFolder { hidden: 0, entries: vec![first, entry] }.check()
    }

    #[test]
    fn what_a_receiver_lists_is_believed_only_as_far_as_it_can_be() {
        let folder = listed(|_| ()).unwrap();
        assert_eq!(ListedFolder::from(&folder).check().unwrap(), folder);
        let bad: [fn(&mut ListedEntry); 12] = [
            |e| e.n = "..".into(),
            |e| e.n = "a/b".into(),
            |e| e.n = "/".into(),
            |e| e.n = "".into(),
            |e| e.n = "x\0".into(),
            |e| e.n = "\\x61".into(),
            |e| e.n = "a".into(),
            |e| e.m = 0o4755,
            |e| e.t.1 = 1_000_000_000,
            |e| e.s = Some(u64::MAX),
            |e| e.s = None,
            |e| e.l = Some("x".into()),
        ];
        for (n, change) in bad.into_iter().enumerate() {
            assert!(listed(change).is_err(), "{n}");
        }
    }

    #[test]
    fn documents_have_caps() {
        let many = format!(r#"{{"snapshot":"x","folders":[{}""]}}"#, "\"\",".repeat(MAX_FOLDERS));
        assert!(matches!(read::<List>(many.as_bytes()), Err(WireError::Bad(_))));
        assert_eq!(read::<List>(std::io::repeat(b' ')), Err(WireError::TooLarge));
        assert!(read::<List>(&br#"{"snapshot":"x","folders":[""]}"#[..]).is_ok());
        let op: Op = read(&br#"{"op":"take","from":"a","path":"b"}"#[..]).unwrap();
        assert_eq!(op, Op::Take { upload: None, from: "a".into(), path: "b".into(), over_folder: false });
    }
}
