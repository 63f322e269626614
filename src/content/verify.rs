//! Comparing what is on disk with a manifest, piece by piece and entry by entry.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use cap_std::fs::{Metadata, MetadataExt as _};

use super::hash::{self, HashProgress, Meter, Stop};
use super::place::Place;
use super::{Bitmap, Digest, EntryKind, FileEntry, FileStamp, Layout, Manifest, ManifestError, name};

/// How an entry differs from its description, apart from its bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Something else stands there: a folder for a file, a link for a folder.
    #[error("it is not a {expected}")]
    Kind {
        /// What the manifest says.
        expected: &'static str,
    },
    /// Longer or shorter.
    #[error("{found} bytes instead of {expected}")]
    Size {
        /// On disk.
        found: u64,
        /// In the manifest.
        expected: u64,
    },
    /// Other permission bits.
    #[error("mode {found:03o} instead of {expected:03o}")]
    Mode {
        /// On disk.
        found: u32,
        /// In the manifest.
        expected: u32,
    },
    /// A link that points elsewhere.
    #[error("the link leads to another target")]
    Target,
    /// It is there, but cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Path as in the manifest (pass through [`printable`](name::printable) to show it).
    pub path: String,
    /// How it differs.
    pub difference: Difference,
}

/// What is there and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Pieces whose bytes are on disk and right.
    pub good: Bitmap,
    /// Entries that are not there, in the manifest's order.
    pub missing: Vec<String>,
    /// Entries that are there but differ, in the manifest's order; one may be listed twice (size
    /// and mode). Wrong bytes at the right length show in `good` alone.
    pub wrong: Vec<Wrong>,
}

impl Report {
    /// True if everything is as described.
    pub fn is_intact(&self) -> bool {
        self.good.is_full() && self.missing.is_empty() && self.wrong.is_empty()
    }
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file or folder is not there or cannot be opened.
    #[error("cannot read {path:?}: {error}")]
    Root {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A manifest that contradicts itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file where the manifest describes a tree, or the reverse.
    #[error("the manifest describes a {expected}, but a {found} stands there")]
    Shape {
        /// In the manifest.
        expected: &'static str,
        /// On disk.
        found: &'static str,
    },
    /// The caller said so.
    #[error("cancelled")]
    Cancelled,
}

/// Compares the file or folder at a path that the user chose with a manifest. Files on disk that
/// the manifest does not know are ignored.
///
/// `threads`, `progress` and `cancel` as for [`make`](super::make()).
///
/// # Errors
/// Nothing there to compare with, or cancelled. Differences are no errors: they are the report.
pub fn verify(
    root: &Path,
    manifest: &Manifest,
    threads: usize,
    progress: &(dyn Fn(HashProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Report, VerifyError> {
    let place = Place::open(root).map_err(|error| VerifyError::Root { path: root.to_owned(), error })?;
    verify_place(&place, manifest, threads, progress, cancel)
}

/// [`verify`], of a place that was opened before (inside a node's root: [`Place::inside`]).
///
/// # Errors
/// As [`verify`].
pub fn verify_place(
    place: &Place,
    manifest: &Manifest,
    threads: usize,
    progress: &(dyn Fn(HashProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Report, VerifyError> {
    manifest.check()?;
    let shape = |single| if single { "file" } else { "tree" };
    if place.is_single_file() != manifest.is_single_file() {
        let (expected, found) = (shape(manifest.is_single_file()), shape(place.is_single_file()));
        return Err(VerifyError::Shape { expected, found });
    }
    let entries = Entries::look(place, manifest);
    let todo: Vec<u32> = (0..manifest.pieces.len() as u32).collect();
    let (good, unreadable) =
        compare(place, manifest, &manifest.pieces, &todo, &entries.seen, threads, progress, cancel)?;
    let mut wrong = entries.wrong;
    wrong.extend(unreadable);
    wrong.sort_by_key(|(file, _)| *file);
    let spell = |file: usize| manifest.files[file].path.clone();
    let wrong = wrong.into_iter().map(|(file, difference)| Wrong { path: spell(file), difference }).collect();
    Ok(Report { good, missing: entries.missing.into_iter().map(spell).collect(), wrong })
}

/// Which of the pieces in `which` of a place have these digests; `manifest` need not have any of its own.
/// Modes, and entries without bytes, are not looked at.
///
/// # Errors
/// Cancelled.
pub fn verify_pieces(
    place: &Place,
    manifest: &Manifest,
    pieces: &[Digest],
    which: &Bitmap,
    cancel: &AtomicBool,
) -> Result<Bitmap, VerifyError> {
    let entries = Entries::look(place, manifest);
    let todo: Vec<u32> = which.ones().collect();
    compare(place, manifest, pieces, &todo, &entries.seen, 0, &|_| (), cancel).map(|(good, _)| good)
}

type Compared = (Bitmap, BTreeMap<usize, Difference>);

#[allow(clippy::too_many_arguments)] // each is another thing
fn compare(
    place: &Place,
    manifest: &Manifest,
    pieces: &[Digest],
    todo: &[u32],
    seen: &[Option<(u64, u64)>],
    threads: usize,
    progress: &(dyn Fn(HashProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Compared, VerifyError> {
    let layout = Layout::new(manifest);
    let source = Source {
        place,
        manifest,
        pieces,
        seen,
        good: Mutex::new(Bitmap::empty(layout.piece_count())),
        unreadable: Mutex::default(),
    };
    let meter = Meter::new(&layout, 0, 0, progress);
    match hash::hash_pieces(&layout, todo, threads, &source, &meter, cancel) {
        Ok(()) => {}
        // No failure ends a verification; only the caller does.
        Err(Stop::Cancelled | Stop::Failed(NotThere)) => return Err(VerifyError::Cancelled),
    }
    let good = source.good.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((good, source.unreadable.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// What the entries look like, before any is read. Indices are those of the manifest.
#[derive(Default)]
struct Entries {
    missing: Vec<usize>,
    wrong: Vec<(usize, Difference)>,
    /// (inode, device) of each entry that is a regular file and should be one.
    seen: Vec<Option<(u64, u64)>>,
}

impl Entries {
    fn look(place: &Place, manifest: &Manifest) -> Self {
        let mut entries = Self { seen: vec![None; manifest.files.len()], ..Self::default() };
        let mut folders = HashMap::new();
        for (file, entry) in manifest.files.iter().enumerate() {
            let found = entry.os_path().map_err(io::Error::other).and_then(|path| {
                if !place.is_single_file() {
                    real_parents(place, entry.plain_path(), &mut folders)?;
                }
                Ok((place.metadata(&path)?, path))
            });
            match found {
                Ok((metadata, path)) => {
                    let target = || place.read_link(&path).ok().map(|target| name::escape(target.as_os_str()));
                    entries.compare(file, entry, &metadata, target);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => entries.missing.push(file),
                    _ => entries.wrong.push((file, Difference::Unreadable(error.to_string()))),
                },
            }
        }
        entries
    }

    fn compare(&mut self, file: usize, entry: &FileEntry, found: &Metadata, target: impl Fn() -> Option<String>) {
        let kind = found.file_type();
        let (is_it, expected) = match entry.kind() {
            EntryKind::File => (kind.is_file(), "file"),
            EntryKind::Folder => (kind.is_dir(), "folder"),
            EntryKind::Symlink => (kind.is_symlink(), "symbolic link"),
        };
        if !is_it {
            return self.wrong.push((file, Difference::Kind { expected }));
        }
        if entry.kind() == EntryKind::Symlink {
            if target() != entry.symlink {
                self.wrong.push((file, Difference::Target));
            }
            return;
        }
        if entry.kind() == EntryKind::File {
            self.seen[file] = Some((found.ino(), found.dev()));
            if found.len() != entry.size {
                self.wrong.push((file, Difference::Size { found: found.len(), expected: entry.size }));
            }
        }
        let mode = found.mode() & 0o777;
        if mode != entry.mode {
            self.wrong.push((file, Difference::Mode { found: mode, expected: entry.mode }));
        }
    }
}

/// An entry behind a link is not where the manifest says, even if the link stays in the tree.
fn real_parents<'a>(place: &Place, path: &'a str, known: &mut HashMap<&'a str, bool>) -> io::Result<()> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
    let real = match known.get(parent) {
        Some(real) => *real,
        None => {
            // At most MAX_DEPTH deep: the manifest was checked.
            let real = real_parents(place, parent, known).is_ok() && {
                let raw = name::unescape(parent).map_err(io::Error::other)?;
                place.metadata(&raw).is_ok_and(|m| m.is_dir())
            };
            known.insert(parent, real);
            real
        }
    };
    if real { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// A file, or enough of it, is not there: its pieces are not good.
#[derive(Debug)]
struct NotThere;

struct Source<'a> {
    place: &'a Place,
    manifest: &'a Manifest,
    pieces: &'a [Digest],
    seen: &'a [Option<(u64, u64)>],
    good: Mutex<Bitmap>,
    unreadable: Mutex<BTreeMap<usize, Difference>>,
}

impl Source<'_> {
    fn unreadable(&self, file: usize, error: &io::Error) -> NotThere {
        let mut files = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        // Once per file, not once per piece of it.
        files.entry(file).or_insert_with(|| Difference::Unreadable(error.to_string()));
        NotThere
    }
}

impl hash::Source for Source<'_> {
    type Error = NotThere;

    fn open(&self, file: usize) -> Result<File, NotThere> {
        let seen = self.seen[file].ok_or(NotThere)?;
        let path = self.manifest.files[file].os_path().map_err(|_| NotThere)?;
        let open = || {
            let handle = self.place.open_file(&path)?;
            let stamp = FileStamp::of(&handle.metadata()?);
            Ok((handle, (stamp.inode, stamp.device)))
        };
        match open() {
            // The file that was looked at, and nothing that took its name since.
            Ok((handle, now)) if now == seen => Ok(handle),
            Ok(_) => Err(NotThere),
            Err(error) => Err(self.unreadable(file, &error)),
        }
    }

    fn done(&self, _: usize, _: &File) -> Result<(), NotThere> {
        Ok(())
    }

    fn failed(&self, file: usize, error: io::Error) -> NotThere {
        match error.kind() {
            // Already listed with its size.
            io::ErrorKind::UnexpectedEof => NotThere,
            _ => self.unreadable(file, &error),
        }
    }

    fn piece(&self, index: u32, digest: Result<Digest, NotThere>) -> Result<(), NotThere> {
        if digest.is_ok_and(|digest| self.pieces.get(index as usize) == Some(&digest)) {
            self.good.lock().unwrap_or_else(PoisonError::into_inner).set(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
