//! The description of a content: its files laid end to end, and one SHA-256 per piece.
//!
//! A manifest is untrusted until [`Manifest::from_json`] or [`Manifest::check`] has passed: from
//! then on every path stays inside the root, the numbers add up, and nothing is larger than the
//! caps below.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::io::{BufReader, Read};

use jiff::Timestamp;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use super::name::{self, NameError};
use super::{ContentId, Digest};

/// The format this code reads and writes.
pub const VERSION: u32 = 1;
/// Most pieces of a content.
pub const MAX_PIECES: usize = 1 << 21;
/// Most entries of a tree.
pub const MAX_FILES: usize = 1 << 20;
/// Most bytes of a manifest's JSON: 2^21 pieces with their 67 bytes each, or 2^20 entries of 140 bytes.
pub const MAX_JSON: usize = 160 << 20;
/// Shortest piece, in bytes.
pub const MIN_PIECE_LENGTH: u64 = 1 << 10;
/// Longest piece, in bytes.
pub const MAX_PIECE_LENGTH: u64 = 64 << 20;
/// Most bytes of a content: integers in RFC 8785 are exact up to here.
pub const MAX_SIZE: u64 = 1 << 53;

/// Piece lengths that [`piece_length_for`] chooses from.
const DEFAULT_PIECE_LENGTH: u64 = 256 << 10;
const LONGEST_CHOSEN: u64 = 16 << 20;
const AIMED_PIECES: u64 = 16 << 10;

/// The piece length for `size` bytes: 256 KiB, doubling until there are at most 16 Ki pieces, 16 MiB
/// at most.
pub fn piece_length_for(size: u64) -> u64 {
    let mut length = DEFAULT_PIECE_LENGTH;
    while length < LONGEST_CHOSEN && size.div_ceil(length) > AIMED_PIECES {
        length *= 2;
    }
    length
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder; listed only where it is empty or has a mode other than 0755.
    Folder,
    /// A symbolic link.
    Symlink,
}

/// One entry. Fields stand in the order of RFC 8785 (sorted keys).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Permission bits, `0o777` at most.
    pub mode: u32,
    /// Last modification; not part of the content id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<Timestamp>,
    /// Relative path with `/`, escaped as in [`name`]; a folder's ends with `/`.
    pub path: String,
    /// Bytes; 0 for folders and links.
    pub size: u64,
    /// A link's target, escaped as in [`name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<String>,
}

impl FileEntry {
    /// File, folder or link.
    pub fn kind(&self) -> EntryKind {
        if self.symlink.is_some() {
            EntryKind::Symlink
        } else if self.path.ends_with('/') {
            EntryKind::Folder
        } else {
            EntryKind::File
        }
    }

    /// The path without a folder's trailing slash, in the manifest's spelling.
    pub fn plain_path(&self) -> &str {
        self.path.strip_suffix('/').unwrap_or(&self.path)
    }

    /// The path as the file system spells it.
    ///
    /// # Errors
    /// A path that could lead outside the root.
    pub fn os_path(&self) -> Result<OsString, NameError> {
        name::checked_path(self.plain_path())
    }
}

/// The description of a content. Fields stand in the order of RFC 8785 (sorted keys).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Entries in ascending order of their path's bytes.
    #[serde(deserialize_with = "capped_files")]
    pub files: Vec<FileEntry>,
    /// Display name, and the name under which it appears; not part of the id.
    pub name: String,
    /// Bytes per piece; the last one may be shorter.
    pub piece_length: u64,
    /// SHA-256 of each piece.
    #[serde(deserialize_with = "capped_pieces")]
    pub pieces: Vec<Digest>,
    /// Set where a tree would look like a single file: one file with the tree's own name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tree: bool,
    /// [`VERSION`].
    pub version: u32,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON of a manifest.
    #[error("not a manifest: {}", name::excerpt(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// A version that this program does not know.
    #[error("manifest version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// More than a cap allows.
    #[error("{what} {got} is over the limit of {limit}")]
    Cap {
        /// What is too large.
        what: &'static str,
        /// How large it claims to be.
        got: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A path that leads outside or that cannot exist.
    #[error("entry {index} ({path:?}): bad path, {error}")]
    Path {
        /// Position in `files`.
        index: usize,
        /// The path, or its beginning, made printable.
        path: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// An entry that contradicts itself or another.
    #[error("entry {index} ({path:?}): {problem}")]
    Entry {
        /// Position in `files`.
        index: usize,
        /// The path, or its beginning, made printable.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The number of pieces does not fit the size.
    #[error("{size} bytes in pieces of {piece_length} are {expected} pieces, but {got} are listed")]
    PieceCount {
        /// Bytes in all.
        size: u64,
        /// Bytes per piece.
        piece_length: u64,
        /// Pieces that makes.
        expected: u64,
        /// Digests there are.
        got: usize,
    },
    /// It is sound, but not the content that was asked for.
    #[error("the manifest describes {got}, not {wanted}: the peer answered with another content")]
    WrongId {
        /// Asked for.
        wanted: ContentId,
        /// Got.
        got: ContentId,
    },
}

/// The part of an entry that the id covers.
#[derive(Serialize)]
struct CanonicalEntry<'a> {
    mode: u32,
    path: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    symlink: Option<&'a str>,
}

/// The part of a manifest that the id covers. serde_json writes it as RFC 8785 wants it: sorted
/// keys (the fields' order here), no space, integers below 2^53, the short escapes.
#[derive(Serialize)]
struct Canonical<'a> {
    files: Entries<'a>,
    piece_length: u64,
    pieces: &'a [Digest],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tree: bool,
    version: u32,
}

struct Entries<'a>(&'a [FileEntry]);

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|e| CanonicalEntry {
            mode: e.mode,
            path: &e.path,
            size: e.size,
            symlink: e.symlink.as_deref(),
        }))
    }
}

/// Feeds a hash as a serialiser writes.
struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.update(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Counts what a serialiser writes.
struct CountWriter(u64);

impl std::io::Write for CountWriter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Manifest {
    /// Reads and checks one that came from outside.
    ///
    /// # Errors
    /// Anything that is not a sound manifest within the caps.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        cap("the manifest's JSON", json.len() as u64, MAX_JSON as u64)?;
        let manifest: Self = serde_json::from_slice(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// [`Manifest::from_json`] while it comes: what was read is not kept. Blocks as `json` does.
    ///
    /// # Errors
    /// As [`Manifest::from_json`]; also what reading met.
    pub fn from_reader(json: impl Read) -> Result<Self, ManifestError> {
        let limit = MAX_JSON as u64 + 1;
        let mut json = BufReader::with_capacity(64 << 10, json.take(limit));
        let parsed = serde_json::from_reader(&mut json);
        if json.get_ref().limit() == 0 {
            cap("the manifest's JSON", limit, limit - 1)?;
        }
        let manifest: Self = parsed?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The JSON with display name and mtimes, keys sorted.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, integers and vectors only: nothing here can fail to serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Checks that the JSON will not be over its cap once there are `pieces` digests in it.
    ///
    /// # Errors
    /// It will be: nobody could take it.
    pub fn check_json_size(&self, pieces: u64) -> Result<(), ManifestError> {
        // Quotes and a comma around each digest.
        let digests = (pieces.saturating_sub(self.pieces.len() as u64)) * (2 * 32 + 3);
        let mut length = CountWriter(0);
        // Counting cannot fail, nor can serialising these types.
        let _ = serde_json::to_writer(&mut length, self);
        cap("the manifest's JSON", length.0 + digests, MAX_JSON as u64)
    }

    /// SHA-256 of the canonical form (RFC 8785) without display name and mtimes.
    pub fn id(&self) -> ContentId {
        let canonical = Canonical {
            files: Entries(&self.files),
            piece_length: self.piece_length,
            pieces: &self.pieces,
            tree: self.tree,
            version: self.version,
        };
        let mut hash = std::io::BufWriter::with_capacity(1 << 16, HashWriter(Sha256::new()));
        // Writing to a hash cannot fail, nor can serialising these types.
        let _ = serde_json::to_writer(&mut hash, &canonical);
        match hash.into_inner() {
            Ok(hash) => ContentId(hash.0.finalize().into()),
            Err(_) => unreachable!("a hash takes every byte"),
        }
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Number of pieces.
    pub fn piece_count(&self) -> u32 {
        self.pieces.len() as u32
    }

    /// Bytes in piece `index`; 0 if there is no such piece.
    pub fn piece_size(&self, index: u32) -> u64 {
        self.size().saturating_sub(u64::from(index) * self.piece_length).min(self.piece_length)
    }

    /// True for a single file rather than a tree.
    pub fn is_single_file(&self) -> bool {
        !self.tree
            && matches!(self.files.as_slice(), [only] if only.kind() == EntryKind::File && only.path == self.name)
    }

    /// Checks everything that later code relies on.
    ///
    /// # Errors
    /// The first thing found wrong, with the entry it is in.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != VERSION {
            return Err(ManifestError::Version(self.version));
        }
        cap("the number of pieces", self.pieces.len() as u64, MAX_PIECES as u64)?;
        self.check_shape()?;
        let size = self.size();
        let expected = size.div_ceil(self.piece_length);
        if expected != self.pieces.len() as u64 {
            let (piece_length, got) = (self.piece_length, self.pieces.len());
            return Err(ManifestError::PieceCount { size, piece_length, expected, got });
        }
        Ok(())
    }

    /// [`Self::check`] of one whose digests are not known yet: name, entries and lengths.
    ///
    /// # Errors
    /// As [`Self::check`], but for the version and the number of pieces.
    pub fn check_shape(&self) -> Result<(), ManifestError> {
        cap("the number of entries", self.files.len() as u64, MAX_FILES as u64)?;
        cap("the piece length", self.piece_length, MAX_PIECE_LENGTH)?;
        if self.piece_length < MIN_PIECE_LENGTH {
            return Err(ManifestError::Cap {
                what: "the number of pieces per KiB",
                got: MIN_PIECE_LENGTH / self.piece_length.max(1),
                limit: 1,
            });
        }
        let name = name::checked_path(&self.name);
        if let Err(error) =
            name.and_then(|n| if n.as_encoded_bytes().contains(&b'/') { Err(NameError::Dots) } else { Ok(n) })
        {
            return Err(ManifestError::Path { index: 0, path: name::excerpt(&self.name), error });
        }
        self.check_entries()
    }

    fn check_entries(&self) -> Result<(), ManifestError> {
        let bad = |index: usize, problem| {
            let path = name::excerpt(&self.files[index].path);
            Err(ManifestError::Entry { index, path, problem })
        };
        let mut size = 0u64;
        // Paths that must stay folders (parents), and paths that are files or links.
        let mut leaves: HashSet<&str> = HashSet::with_capacity(self.files.len());
        let mut parents: HashSet<&str> = HashSet::new();
        for (index, entry) in self.files.iter().enumerate() {
            if let Err(error) = entry.os_path() {
                return Err(ManifestError::Path { index, path: name::excerpt(&entry.path), error });
            }
            let kind = entry.kind();
            if entry.mode > 0o777 {
                return bad(index, "mode over 0777");
            }
            if kind != EntryKind::File && entry.size != 0 {
                return bad(index, "only a file has a size");
            }
            size = match size.checked_add(entry.size) {
                Some(size) if size <= MAX_SIZE => size,
                _ => return bad(index, "the sizes add up to more than 2^53 bytes"),
            };
            if let Some(target) = &entry.symlink {
                if entry.path.ends_with('/') {
                    return bad(index, "a link's path ends with a slash");
                }
                if !target_stays_inside(entry.plain_path(), target) {
                    return bad(index, "the link's target leads outside the tree");
                }
            }
            let path = entry.plain_path();
            let new = if kind == EntryKind::Folder { !leaves.contains(path) } else { leaves.insert(path) };
            if !new || (kind != EntryKind::Folder && parents.contains(path)) {
                return bad(index, "the path is listed twice");
            }
            if kind == EntryKind::Folder {
                parents.insert(path);
            }
            let mut parent = path;
            while let Some((shorter, _)) = parent.rsplit_once('/') {
                parent = shorter;
                if leaves.contains(parent) {
                    return bad(index, "it lies inside something that is not a folder");
                }
                if !parents.insert(parent) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// True if a link at `path` with this target cannot lead outside the tree. `..` may only lead the
/// target: behind a name it could step out through another link (`d/link/..`).
pub fn target_stays_inside(path: &str, target: &str) -> bool {
    let Ok(raw) = name::unescape(target) else { return false };
    let bytes = raw.as_encoded_bytes();
    if bytes.is_empty() || bytes.len() > name::MAX_PATH_BYTES || bytes[0] == b'/' || bytes.contains(&0) {
        return false;
    }
    let mut depth = path.matches('/').count();
    let mut named = false;
    for part in bytes.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named || depth == 0 => return false,
            b".." => depth -= 1,
            _ => named = true,
        }
    }
    true
}

fn cap(what: &'static str, got: u64, limit: u64) -> Result<(), ManifestError> {
    if got > limit { Err(ManifestError::Cap { what, got, limit }) } else { Ok(()) }
}

/// A list that stops at `limit` items instead of growing as long as the sender likes.
pub(crate) fn capped<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D, limit: usize) -> Result<Vec<T>, D::Error> {
    struct Capped<T>(usize, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Capped<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {} items", self.0)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut out = Vec::new();
            while let Some(item) = seq.next_element()? {
                if out.len() == self.0 {
                    return Err(de::Error::invalid_length(out.len() + 1, &self));
                }
                out.push(item);
            }
            out.shrink_to_fit();
            Ok(out)
        }
    }
    d.deserialize_seq(Capped(limit, std::marker::PhantomData))
}

fn capped_files<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<FileEntry>, D::Error> {
    capped(d, MAX_FILES)
}

fn capped_pieces<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Digest>, D::Error> {
    capped(d, MAX_PIECES)
}

#[cfg(test)]
mod tests;
