//! Walking what is to be shared: a file or a folder becomes manifest entries.
//!
//! The walk holds on to folders by handle (`openat` with `O_NOFOLLOW`), so a folder that somebody
//! swaps for a symlink meanwhile is skipped, not followed. It reads no file's content.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::manifest::{self, MAX_FILES, MAX_SIZE};
use super::name::{self, NameError};
use super::place::Place;
use super::stamp::FileStamp;
use super::{EntryKind, FileEntry};

/// A folder with this mode is implied by what it holds, and is not listed.
pub const IMPLIED_FOLDER_MODE: u32 = 0o755;
/// Links have no mode of their own; every system shows this one or nothing.
const SYMLINK_MODE: u32 = 0o777;

/// Why something in a tree does not become part of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// A socket, FIFO or device: nothing to copy.
    #[error("it is a {0}")]
    Special(&'static str),
    /// No permission, or gone before it could be looked at.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// A symlink with an absolute target, or one that leads (or could lead) out of the tree.
    #[error("the link leads outside the tree, to {target:?}")]
    LeadsOutside {
        /// Its target, made printable.
        target: String,
    },
    /// A path that a manifest cannot hold.
    #[error("its path cannot be in a manifest: {0}")]
    Name(NameError),
}

/// Something left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Path within the tree, in the manifest's spelling (pass through
    /// [`printable`](name::printable) to show it).
    pub path: String,
    /// Why.
    pub why: SkipReason,
}

/// Why there is nothing to share.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The path, or a folder in it, cannot be used at all.
    #[error("cannot read {path:?}: {error}")]
    Read {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The root of the file system has no name, and holds the machine.
    #[error("the whole file system (/) cannot be shared; choose a folder in it")]
    Root,
    /// The name of the file or folder itself is unfit.
    #[error("{path:?} has a name that a manifest cannot hold: {error}")]
    Name {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: NameError,
    },
    /// More entries than a manifest may have.
    #[error("{path:?} holds more than {MAX_FILES} entries; share its folders one by one")]
    TooMany {
        /// The tree.
        path: PathBuf,
    },
    /// More bytes than a manifest may describe (a sparse file can claim that).
    #[error("{path:?} claims to hold more than 2^53 bytes")]
    TooLarge {
        /// The tree.
        path: PathBuf,
    },
}

/// A file or tree as it was found.
#[derive(Debug)]
pub struct Scan {
    /// What was asked for, as given.
    pub path: PathBuf,
    /// Its open folder: later reads go through it.
    pub place: Place,
    /// Display name, in the manifest's spelling.
    pub name: String,
    /// The manifest's `tree` flag: a tree that would look like a single file.
    pub tree: bool,
    /// Entries, ascending by the bytes of their path.
    pub files: Vec<FileEntry>,
    /// One stamp for each of `files`.
    pub stamps: Vec<FileStamp>,
    /// When something about any of them changed last, in nanoseconds since 1970: also what leaves no other trace,
    /// such as bytes that were rewritten and a time that was put back, but modes and names of links too.
    pub changed_ns: i64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

impl Scan {
    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }
}

/// Walks a file or a folder. Symlinks in it are recorded, never followed; the path itself may be
/// one. Order and result depend on nothing but what is on disk.
///
/// # Errors
/// The path cannot be read or named, or there is more than a manifest can hold. What cannot be
/// shared inside a tree is no error: it is listed in `skipped`.
pub fn scan(path: &Path) -> Result<Scan, ScanError> {
    let place = Place::open(path).map_err(|error| ScanError::Read { path: path.to_owned(), error })?;
    let name = display_name(path)?;
    let (mut files, mut stamps) = (Vec::new(), Vec::new());
    let (mut skipped, changed_ns) = walk(path, &place, &name, |entry, stamp| {
        files.push(entry);
        stamps.push(stamp);
    })?;
    sort(&mut files, &mut stamps);
    files.shrink_to_fit();
    stamps.shrink_to_fit();
    skipped.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let tree = !place.is_single_file()
        && matches!(files.as_slice(), [only] if only.kind() == EntryKind::File && only.path == name);
    Ok(Scan { path: path.to_owned(), place, name, tree, files, stamps, changed_ns, skipped })
}

/// A second look at what was scanned.
#[derive(Debug)]
pub struct Again {
    /// Its open folder.
    pub place: Place,
    /// An entry that is not as it was, made printable; none if all are.
    pub difference: Option<String>,
    /// As of [`Scan`].
    pub changed_ns: i64,
}

/// Walks a path that was scanned before. Needs no memory for the entries, however many there are. `files` and
/// `stamps` as of [`Scan`].
///
/// # Errors
/// As [`scan`].
pub fn look_again(path: &Path, files: &[FileEntry], stamps: &[FileStamp]) -> Result<Again, ScanError> {
    let place = Place::open(path).map_err(|error| ScanError::Read { path: path.to_owned(), error })?;
    let name = display_name(path)?;
    let (mut seen, mut difference) = (vec![false; files.len()], None);
    let (_, changed_ns) = walk(path, &place, &name, |entry, stamp| {
        let at = files.binary_search_by(|known| known.path.as_bytes().cmp(entry.path.as_bytes()));
        let same = at.is_ok_and(|at| {
            seen[at] = true;
            is_same((&files[at], stamps.get(at)), (&entry, Some(&stamp)))
        });
        if !same && difference.is_none() {
            difference = Some(name::printable(&entry.path));
        }
    })?;
    let gone = || Some(name::printable(&files[seen.iter().position(|seen| !seen)?].path));
    let difference = difference.or_else(gone);
    Ok(Again { place, difference, changed_ns })
}

/// Whether two scans saw the same entry. A folder's own stamp changes with what is in it, and access times of
/// links are nobody's affair.
pub(super) fn is_same(before: (&FileEntry, Option<&FileStamp>), now: (&FileEntry, Option<&FileStamp>)) -> bool {
    before.0 == now.0 && (before.0.size == 0 || before.1 == now.1)
}

/// Brings entries, with their stamps, into the order of their paths' bytes. Nearly always they are: then
/// this costs one look at them, and never memory for a second copy.
fn sort(files: &mut [FileEntry], stamps: &mut [FileStamp]) {
    if files.is_sorted_by(|a, b| a.path < b.path) {
        return;
    }
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_unstable_by(|a, b| files[*a].path.cmp(&files[*b].path));
    // Each place takes what belongs there from the place that has it, around every cycle.
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let from = std::mem::replace(&mut order[at], at);
            files.swap(at, from);
            stamps.swap(at, from);
            at = from;
        }
        order[at] = at;
    }
}

/// Shows every entry below a place to `take`, in the order of the walk; what is left out, and when something
/// changed last.
fn walk(
    path: &Path,
    place: &Place,
    name: &str,
    take: impl FnMut(FileEntry, FileStamp),
) -> Result<(Vec<Skipped>, i64), ScanError> {
    let mut walk = Walk::new(take);
    let walked = match place.single() {
        Some(file) => walk.single(place, file, name),
        None => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(place.dir(), ".", flags, Mode::empty())
                .map_err(Stop::from)
                .and_then(|folder| walk.folder(folder, &Prefix::default()).map(|_| ()))
        }
    };
    match walked {
        Ok(()) => Ok((walk.skipped, walk.changed_ns)),
        Err(Stop::Errno(errno)) => Err(ScanError::Read { path: path.to_owned(), error: errno.into() }),
        Err(Stop::TooMany) => Err(ScanError::TooMany { path: path.to_owned() }),
        Err(Stop::TooLarge) => Err(ScanError::TooLarge { path: path.to_owned() }),
    }
}

/// The last component of the path as given; for `.`, `..` and the like, that of where it leads.
fn display_name(path: &Path) -> Result<String, ScanError> {
    let real = std::fs::canonicalize(path).map_err(|error| ScanError::Read { path: path.to_owned(), error })?;
    let (Some(real_name), true) = (real.file_name(), real.parent().is_some()) else {
        return Err(ScanError::Root);
    };
    let name = name::escape(path.file_name().unwrap_or(real_name));
    match name::checked_path(&name) {
        Ok(_) => Ok(name),
        Err(error) => Err(ScanError::Name { path: path.to_owned(), error }),
    }
}

/// What ends a walk.
enum Stop {
    Errno(Errno),
    TooMany,
    TooLarge,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The folder being read.
#[derive(Default)]
struct Prefix {
    /// In the manifest's spelling, with a slash at its end; empty for the root.
    spelled: String,
    /// Its length in the file system's spelling.
    raw_len: usize,
    depth: usize,
}

struct Walk<F> {
    take: F,
    taken: usize,
    skipped: Vec<Skipped>,
    bytes: u64,
    changed_ns: i64,
}

impl<F: FnMut(FileEntry, FileStamp)> Walk<F> {
    fn new(take: F) -> Self {
        Self { take, taken: 0, skipped: Vec::new(), bytes: 0, changed_ns: 0 }
    }

    fn single(&mut self, place: &Place, file: &OsStr, name: &str) -> Result<(), Stop> {
        let stat = rustix::fs::statat(place.dir(), file, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::accessat(place.dir(), file, Access::READ_OK, AtFlags::EACCESS)?;
        self.file(name.to_owned(), &stat)
    }

    /// Reads one folder and all below it; the number of things in it that became part of the content.
    fn folder(&mut self, folder: OwnedFd, prefix: &Prefix) -> Result<usize, Stop> {
        let mut children = Vec::new();
        for child in rustix::fs::Dir::read_from(&folder)? {
            let child = child?;
            if !matches!(child.file_name().to_bytes(), b"." | b"..") {
                children.push(child.file_name().to_owned());
            }
            if self.taken + self.skipped.len() + children.len() > MAX_FILES {
                return Err(Stop::TooMany);
            }
        }
        // The result is sorted later; sorting here keeps the order of the walk the same everywhere.
        children.sort_unstable();
        let mut taken = 0;
        for child in &children {
            taken += usize::from(self.child(&folder, child, prefix)?);
        }
        Ok(taken)
    }

    /// Takes in one child of a folder; false if it was left out.
    fn child(&mut self, folder: &OwnedFd, child: &CStr, prefix: &Prefix) -> Result<bool, Stop> {
        let raw = OsStr::from_bytes(child.to_bytes());
        let path = format!("{}{}", prefix.spelled, name::escape(raw));
        let raw_len = prefix.raw_len + raw.len();
        if raw_len > name::MAX_PATH_BYTES || raw.len() > name::MAX_NAME_BYTES {
            return Ok(self.skip(path, SkipReason::Name(NameError::Long)));
        }
        if prefix.depth == name::MAX_DEPTH {
            return Ok(self.skip(path, SkipReason::Name(NameError::Deep)));
        }
        let stat = match rustix::fs::statat(folder, child, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.unreadable(path, errno),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                // Asking costs a call per file; what everybody may read needs no asking.
                if stat.st_mode & 0o444 != 0o444
                    && let Err(errno) = rustix::fs::accessat(folder, child, Access::READ_OK, AtFlags::EACCESS)
                {
                    return self.unreadable(path, errno);
                }
                self.file(path, &stat)?;
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = match rustix::fs::openat(folder, child, flags, Mode::empty()) {
                    Ok(inner) => inner,
                    Err(errno) => return self.unreadable(path, errno),
                };
                let spelled = format!("{path}/");
                let inside = Prefix { spelled, raw_len: raw_len + 1, depth: prefix.depth + 1 };
                let taken = self.folder(inner, &inside)?;
                let mode = permissions(&stat);
                if taken == 0 || mode != IMPLIED_FOLDER_MODE {
                    self.take(inside.spelled, mode, &stat, 0, None);
                }
            }
            FileType::Symlink => {
                let target = match rustix::fs::readlinkat(folder, child, Vec::new()) {
                    Ok(target) => name::escape(OsStr::from_bytes(target.to_bytes())),
                    Err(errno) => return self.unreadable(path, errno),
                };
                if !manifest::target_stays_inside(&path, &target) {
                    let target = name::printable(&target);
                    return Ok(self.skip(path, SkipReason::LeadsOutside { target }));
                }
                self.take(path, SYMLINK_MODE, &stat, 0, Some(target));
            }
            FileType::Fifo => return Ok(self.skip(path, SkipReason::Special("named pipe"))),
            FileType::Socket => return Ok(self.skip(path, SkipReason::Special("socket"))),
            _ => return Ok(self.skip(path, SkipReason::Special("device"))),
        }
        Ok(true)
    }

    #[allow(clippy::unnecessary_fallible_conversions, clippy::useless_conversion)] // st_size differs between systems
    fn file(&mut self, path: String, stat: &Stat) -> Result<(), Stop> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.bytes = self.bytes.checked_add(size).filter(|bytes| *bytes <= MAX_SIZE).ok_or(Stop::TooLarge)?;
        self.take(path, permissions(stat), stat, size, None);
        Ok(())
    }

    fn take(&mut self, path: String, mode: u32, stat: &Stat, size: u64, symlink: Option<String>) {
        let stamp = FileStamp::of_stat(stat, size);
        if size > 0 {
            self.changed_ns = self.changed_ns.max(changed_ns(stat));
        }
        self.taken += 1;
        (self.take)(FileEntry { mode, mtime: stamp.mtime(), path, size, symlink }, stamp);
    }

    fn skip(&mut self, path: String, why: SkipReason) -> bool {
        self.skipped.push(Skipped { path, why });
        false
    }

    /// Leaves out what may not be read, or went away or changed its kind under the walk. Anything
    /// else (no more file handles, a failing disk) must not silently shrink the content.
    fn unreadable(&mut self, path: String, errno: Errno) -> Result<bool, Stop> {
        match errno {
            Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
                Ok(self.skip(path, SkipReason::Unreadable(io::Error::from(errno).to_string())))
            }
            _ => Err(Stop::Errno(errno)),
        }
    }
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // field types differ between systems
fn changed_ns(stat: &Stat) -> i64 {
    (stat.st_ctime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64)
}

#[allow(clippy::unnecessary_cast)] // mode_t is 16 bits wide on some systems
fn permissions(stat: &Stat) -> u32 {
    stat.st_mode as u32 & 0o777
}

#[cfg(test)]
mod tests;
