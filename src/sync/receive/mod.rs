//! The far side of a sync: tells what a tree under the root holds, and changes it as it is told. Confined: a
//! path is followed name by name from the root, never through a link.

mod apply;
mod put;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use data_encoding::HEXLOWER;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::entry::{Tree, What};
use super::scan::{RESERVED, ScanError, Side, identity, mtime_of, permissions, scan};
use super::wire::{Applied, Apply, Compare, Compared, Digested, Digests, List, Listed, ListedEntry, Stands, VERSION};
use crate::aligned::Aligned;
use crate::content::{Digest, name};
use crate::store::{Version, beneath};
use crate::upload::STAGE;

/// Trees kept for those who ask for their folders.
const SNAPSHOTS: usize = 4;
/// For so long after they were last asked for.
const KEPT: Duration = Duration::from_secs(60);
/// What a sync left behind is removed after this.
const LEFTOVERS: Duration = Duration::from_secs(48 * 3600);
/// Files whose looks are kept from when they were hashed until they are used.
const HASHED: usize = 1 << 16;
/// Bytes per read of a file that is hashed.
const STEP: usize = 256 << 10;
/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;

/// Why something is not told or done.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The tree that was looked at is not kept any more.
    #[error("what was seen of the tree is not kept any more: compare again")]
    Stale,
    /// What stands there is in the way.
    #[error("{0}")]
    InTheWay(String),
    /// The disk refused.
    #[error("{0}")]
    Disk(String),
}

/// What syncs may see and change: all below one folder.
#[derive(Debug)]
pub struct Trees {
    root: OwnedFd,
    snapshots: Mutex<VecDeque<Snapshot>>,
    /// Times that something was changed here: what was seen before the last one is not kept.
    changes: AtomicUsize,
    /// One at a time changes anything.
    applying: Mutex<()>,
    /// What files looked like when their digests were told.
    hashed: Mutex<Hashed>,
}

/// Paths below the root.
type Hashed = HashMap<PathBuf, Version>;

#[derive(Debug)]
struct Snapshot {
    name: String,
    tree: Arc<Tree>,
    asked: Instant,
}

impl Trees {
    /// All below `root`. Removes what syncs left behind that were given up days ago. Blocks.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let trees = Self {
            root: rustix::fs::open(root, flags, Mode::empty())?,
            snapshots: Mutex::default(),
            changes: AtomicUsize::new(0),
            applying: Mutex::default(),
            hashed: Mutex::default(),
        };
        trees.sweep(root);
        Ok(trees)
    }

    fn snapshots(&self) -> MutexGuard<'_, VecDeque<Snapshot>> {
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        snapshots.retain(|snapshot| snapshot.asked.elapsed() < KEPT);
        snapshots
    }

    /// Looks at the tree as it is now, and compares it. Blocks.
    ///
    /// # Errors
    /// A request that makes no sense; the disk.
    pub fn compare(&self, request: Compare, stop: &AtomicBool) -> Result<Compared, SyncError> {
        if request.version != VERSION {
            return Err(SyncError::Bad(format!("version {}; this node knows version {VERSION}", request.version)));
        }
        let path = target(&request.path)?;
        let mut compared = Compared {
            snapshot: String::new(),
            stands: Stands::Nothing,
            same: false,
            mode: 0,
            mtime: Default::default(),
            folds_case: false,
            file: None,
        };
        let top = match self.stands(&path)? {
            (Stands::Folder, _) => self.folder(&path)?,
            (stands, file) => return Ok(Compared { stands, file, ..compared }),
        };
        let changes = self.changes.load(Ordering::Acquire);
        let tree = scan(&top, request.rules, Side::Receiver, stop).map_err(|error| match error {
            ScanError::Rules { .. } => SyncError::Bad(error.to_string()),
            error => SyncError::Disk(error.to_string()),
        })?;
        let tree = Arc::new(tree.tree);
        compared.stands = Stands::Folder;
        compared.same = tree.digest() == request.digest;
        (compared.mode, compared.mtime) = (tree.mode, tree.mtime);
        compared.folds_case = folds_case(&top, &tree);
        if !compared.same {
            let mut key = [0; 16];
            rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty()).map_err(disk)?;
            compared.snapshot = HEXLOWER.encode(&key);
            let mut snapshots = self.snapshots();
            if snapshots.len() == SNAPSHOTS {
                snapshots.pop_front();
            }
            // Under the lock that forgets what was seen: if something was changed meanwhile, it is asked for again.
            if self.changes.load(Ordering::Acquire) == changes {
                snapshots.push_back(Snapshot { name: compared.snapshot.clone(), tree, asked: Instant::now() });
            }
        }
        Ok(compared)
    }

    /// What was in these folders when [`Self::compare`] looked.
    ///
    /// # Errors
    /// That is not kept any more.
    pub fn list(&self, request: &List) -> Result<Listed, SyncError> {
        let mut asked = HashSet::new();
        if !request.folders.iter().all(|path| asked.insert(path)) {
            // An answer is no larger than the tree.
            return Err(SyncError::Bad("a folder is asked for twice".into()));
        }
        let tree = {
            let mut snapshots = self.snapshots();
            let found = snapshots.iter_mut().find(|s| s.name == request.snapshot).ok_or(SyncError::Stale)?;
            found.asked = Instant::now();
            found.tree.clone()
        };
        Ok(Listed { folders: request.folders.iter().map(|path| tree.folders.get(path).map(Into::into)).collect() })
    }

    /// SHA-256 of files, on all cores. Blocks.
    ///
    /// # Errors
    /// A path that leads elsewhere.
    pub fn digests(&self, request: &Digests, stop: &AtomicBool) -> Result<Digested, SyncError> {
        let top = target(&request.path)?;
        let paths = request.files.iter().map(|file| below(&top, file)).collect::<Result<Vec<_>, _>>()?;
        let open = |path: &PathBuf| self.open_file(path).ok();
        let found = digests(&paths, open, stop);
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        if hashed.len() + paths.len() > HASHED {
            hashed.clear();
        }
        let digests = paths.into_iter().zip(found).map(|(path, found)| {
            let (digest, version) = found?;
            hashed.insert(path, version);
            Some(digest)
        });
        Ok(Digested { digests: digests.collect() })
    }

    /// Carries out operations; what was seen of any tree does not count any more. Blocks.
    ///
    /// # Errors
    /// A request that makes no sense, of which nothing was done.
    pub fn apply(&self, request: &Apply) -> Result<Applied, SyncError> {
        let _one = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget();
        let applied =
            apply::apply(&self.root, request, &mut self.hashed.lock().unwrap_or_else(PoisonError::into_inner));
        // What was seen while it was being changed is neither the one nor the other.
        self.forget();
        applied
    }

    fn forget(&self) {
        let mut snapshots = self.snapshots();
        self.changes.fetch_add(1, Ordering::AcqRel);
        snapshots.clear();
    }

    /// Gives back the memory of what nobody asks about any more, until `stop`.
    pub async fn keep_tidy(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(KEPT)).await.is_some() {
            drop(self.snapshots());
        }
    }

    fn folder(&self, path: &Path) -> Result<OwnedFd, SyncError> {
        beneath::open_folder(&self.root, path).map_err(|error| SyncError::Disk(told(path, &error)))
    }

    /// What is there; if it is a file, how it looks.
    fn stands(&self, path: &Path) -> Result<(Stands, Option<ListedEntry>), SyncError> {
        let parent = match beneath::open_folder(&self.root, path.parent().unwrap_or(Path::new(""))) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Stands::Nothing, None)),
            Err(error) => return Err(SyncError::InTheWay(told(path, &error))),
        };
        let name = path.file_name().unwrap_or_default();
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok((Stands::Nothing, None)),
            Err(errno) => return Err(disk(errno)),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => (Stands::Folder, None),
            FileType::RegularFile => (Stands::Other, Some(listed(name, &stat))),
            _ => (Stands::Other, None),
        })
    }

    /// A regular file, for reading; never waits for a pipe.
    fn open_file(&self, path: &Path) -> io::Result<File> {
        let parent = beneath::open_folder(&self.root, path.parent().unwrap_or(Path::new("")))?;
        open_regular(&parent, path.file_name().unwrap_or_default())
    }

    fn sweep(&self, root: &Path) {
        let Ok(children) = root.read_dir() else { return };
        for child in children.flatten() {
            let name = child.file_name();
            let is_old = || {
                let age = SystemTime::now().duration_since(child.metadata().ok()?.modified().ok()?).ok()?;
                Some(age > LEFTOVERS)
            };
            if name.to_str().is_some_and(|name| name.starts_with(STAGE)) && is_old() == Some(true) {
                match apply::remove_all(&self.root, &name) {
                    Ok(()) => tracing::info!(target: "sync", name = ?name, "what a sync left behind is removed"),
                    Err(error) => tracing::warn!(target: "sync", name = ?name, %error, "cannot be removed"),
                }
            }
        }
    }
}

/// The tree's place below the root.
fn target(text: &str) -> Result<PathBuf, SyncError> {
    let wrong = |why: &str| SyncError::Bad(format!("bad path {:?}: {why}", name::excerpt(text)));
    let path = name::checked_path(text).map_err(|error| wrong(&error.to_string()))?;
    refuse_reserved(Path::new(&path)).map_err(wrong)?;
    Ok(path.into())
}

/// A path in the tree (`""`: its top), below the root.
fn below(top: &Path, text: &str) -> Result<PathBuf, SyncError> {
    if text.is_empty() { Ok(top.to_owned()) } else { Ok(top.join(target(text)?)) }
}

fn refuse_reserved(path: &Path) -> Result<(), &'static str> {
    let is_reserved = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(RESERVED);
    if path.components().any(is_reserved) {
        Err("names that begin with \".skep-\" are this node's own")
    } else {
        Ok(())
    }
}

/// A file as it is told.
fn listed(name: &std::ffi::OsStr, stat: &rustix::fs::Stat) -> ListedEntry {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let (m, t) = (permissions(stat), mtime_of(stat));
    ListedEntry { n: name::escape(name), m, t, s: Some(size), h: None, d: None, l: None }
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{:?}: {error}", name::printable(&name::escape(path.as_os_str())))
}

fn disk(errno: Errno) -> SyncError {
    SyncError::Disk(io::Error::from(errno).to_string())
}

/// Opens a regular file in a folder; a link, pipe or device is refused.
pub(super) fn open_regular(folder: impl AsFd, name: &std::ffi::OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// SHA-256 of each file that `open` opens, on all cores, and what it was that was hashed; none where one cannot be read, or is
/// written to meanwhile.
pub(super) fn digests<P: Sync>(
    paths: &[P],
    open: impl Fn(&P) -> Option<File> + Sync,
    stop: &AtomicBool,
) -> Vec<Option<(Digest, Version)>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; paths.len()]));
    let work = || {
        let mut buffer = Aligned::new(STEP);
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(at).filter(|_| !stop.load(Ordering::Relaxed)) else { return };
            let digest = open(path).and_then(|file| hash(file, &mut buffer, stop));
            found.lock().unwrap_or_else(PoisonError::into_inner)[at] = digest;
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(paths.len()) {
            scope.spawn(work);
        }
        work();
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn hash(mut file: File, buffer: &mut [u8], stop: &AtomicBool) -> Option<(Digest, Version)> {
    let mut hash = Sha256::new();
    let version = Version::of(&file).ok()?;
    loop {
        match file.read(buffer) {
            Ok(0) => {
                let is_same = Version::of(&file).is_ok_and(|now| now == version);
                return is_same.then(|| (Digest(hash.finalize().into()), version));
            }
            Ok(count) if !stop.load(Ordering::Relaxed) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return None,
        }
    }
}

/// Does a name with its case turned round lead to the same entry? Asked of the first name with letters in it.
fn folds_case(top: &OwnedFd, tree: &Tree) -> bool {
    let entries = tree.folders.get("").map_or(&[][..], |folder| &folder.entries);
    let turn = |c: char| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
    let other = entries.iter().find_map(|entry| {
        let turned: String = entry.name.chars().map(turn).collect();
        let plain = !entry.name.contains('\\') && !matches!(entry.what, What::Symlink(_));
        (turned != *entry.name && plain).then_some((entry, turned))
    });
    let Some((entry, turned)) = other else { return false };
    rustix::fs::statat(top, turned.as_str(), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| identity(&stat) == (entry.device, entry.inode))
        && tree.folders.get("").is_some_and(|folder| folder.get(&turned).is_none())
}
