//! From the disk to a [`Tree`]: one pass over all folders, several at a time, no file opened.
//!
//! Folders are held by handle and opened with `O_NOFOLLOW`: one that somebody swaps for a link meanwhile is
//! left out, not followed. Memory: an entry's name and about 100 bytes.

mod error;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use self::error::ScanError;
use super::entry::{Entry, Folder, Mtime, Skipped, Tree, What, join, split};
use super::rules::{self, Compiled, Level, Rules, RulesError};
use crate::content::{Digest, name};

/// Most entries of a tree.
pub const MAX_ENTRIES: usize = 1 << 20;
/// Names that begin so are a node's own.
pub const RESERVED: &[u8] = b".skep-";
/// Most bytes of a `.skepignore`.
const MAX_RULES_FILE: u64 = 64 << 10;
/// More threads than this only wait for each other.
const MAX_THREADS: usize = 8;
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Whose tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To be sent: every `.skepignore` in it counts, what cannot be sent is told.
    Source,
    /// A receiver's: the rules that came with the request are all.
    Receiver,
}

/// A tree, and all rules that were found to hold for it.
#[derive(Debug)]
pub struct Scanned {
    /// The tree, sealed.
    pub tree: Tree,
    /// The rules given, with those of each `.skepignore` (of a [`Side::Source`]).
    pub rules: Rules,
    /// It is one file: the only entry of the tree.
    pub is_file: bool,
}

impl Scanned {
    /// Do both have the same entries, and the same rules?
    pub fn is_same(&self, other: &Self) -> bool {
        self.tree.digest() == other.tree.digest() && self.rules == other.rules
    }
}

/// Looks at a single file, as a tree with nothing else in it. Blocks.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn scan_file(path: &Path) -> Result<Scanned, ScanError> {
    let name = path.file_name().map(name::escape).unwrap_or_default();
    let failed = |error| ScanError::Read { path: name.clone(), error };
    let file =
        std::fs::File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as _).open(path).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(failed(io::Error::other("it is no file and no folder")));
    }
    let (device, inode) = identity(&stat);
    let entry = Entry {
        name: name.clone().into(),
        mode: permissions(&stat),
        mtime: mtime_of(&stat),
        what: What::File { size: u64::try_from(stat.st_size).unwrap_or(0), leader: None },
        inode,
        device,
        sparse: is_sparse(&stat),
    };
    let mut tree = Tree::default();
    tree.folders.insert(String::new(), Folder { entries: vec![entry], hidden: 0 });
    Ok(Scanned { tree, rules: Rules::default(), is_file: true })
}

/// Scans what is below `top`. Blocks; `stop` ends it early.
///
/// # Errors
/// The top cannot be read, a rule is none, the disk fails, or there is too much.
pub fn scan(top: impl AsFd, given: Rules, side: Side, stop: &AtomicBool) -> Result<Scanned, ScanError> {
    let bad_rules = |place: &str, error| {
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        ScanError::Rules { place, error }
    };
    given.check().map_err(|error| bad_rules("", error))?;
    let first = Compiled::new(&given.first).map_err(|error| bad_rules("", error))?;
    let mut of_folders = HashMap::new();
    if side == Side::Receiver {
        for (folder, lines) in &given.folders {
            if let Some(rules) = Compiled::new(lines).map_err(|error| bad_rules(folder, error))? {
                of_folders.insert(folder.clone(), rules);
            }
        }
    }
    let read_top = |errno: Errno| ScanError::Read { path: String::new(), error: errno.into() };
    let handle = rustix::fs::openat(&top, ".", FOLDER, Mode::empty()).map_err(read_top)?;
    let stat = rustix::fs::fstat(&handle).map_err(read_top)?;
    let top_task = Task {
        parent: Arc::new(handle),
        name: c".".into(),
        path: String::new(),
        raw: OsString::new(),
        depth: 0,
        level: Level::top(first),
    };
    let walk = Walk {
        queue: Mutex::new(Queue { tasks: vec![top_task], busy: 0, error: None }),
        changed: Condvar::new(),
        found: Mutex::new(Found::default()),
        count: AtomicUsize::new(0),
        rules: of_folders,
        side,
        stop,
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| walk.work());
        }
        walk.work();
    });
    if let Some(error) = walk.queue.into_inner().unwrap_or_else(PoisonError::into_inner).error {
        return Err(error);
    }
    let Found { folders, mut skipped, linked, lines } = walk.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    skipped.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut tree = Tree { mode: permissions(&stat), mtime: mtime_of(&stat), folders, skipped };
    name_leaders(&mut tree, linked);
    tree.seal();
    let rules = match side {
        Side::Source => Rules { first: given.first, folders: lines },
        Side::Receiver => given,
    };
    rules.check().map_err(|error| bad_rules("the .skepignore files", error))?;
    Ok(Scanned { tree, rules, is_file: false })
}

/// Of several names of one file, all but the first learn which that is.
fn name_leaders(tree: &mut Tree, mut linked: Vec<((u64, u64), String)>) {
    linked.sort_unstable();
    for group in linked.chunk_by(|a, b| a.0 == b.0) {
        let leading = &group[0].1;
        for (_, path) in &group[1..] {
            let (folder, name) = split(path);
            let Some(folder) = tree.folders.get_mut(folder) else { continue };
            let Ok(at) = folder.entries.binary_search_by(|entry| (*entry.name).cmp(name)) else { continue };
            if let What::File { leader, .. } = &mut folder.entries[at].what {
                *leader = Some(leading.as_str().into());
            }
        }
    }
}

/// A folder to be read.
struct Task {
    parent: Arc<OwnedFd>,
    name: CString,
    path: String,
    raw: OsString,
    depth: usize,
    level: Level,
}

struct Queue {
    tasks: Vec<Task>,
    /// Threads that read a folder now, and may add more.
    busy: usize,
    error: Option<ScanError>,
}

#[derive(Default)]
struct Found {
    folders: BTreeMap<String, Folder>,
    skipped: Vec<Skipped>,
    linked: Vec<((u64, u64), String)>,
    lines: BTreeMap<String, Vec<String>>,
}

struct Walk<'a> {
    queue: Mutex<Queue>,
    changed: Condvar,
    found: Mutex<Found>,
    count: AtomicUsize,
    rules: HashMap<String, Arc<Compiled>>,
    side: Side,
    stop: &'a AtomicBool,
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads folders until there are no more.
    fn work(&self) {
        loop {
            let mut queue = self.queue();
            let task = loop {
                if queue.error.is_some() {
                    return;
                }
                // The last one first: what is below a folder is done before its neighbours, so that few handles are open.
                if let Some(task) = queue.tasks.pop() {
                    break task;
                }
                if queue.busy == 0 {
                    return;
                }
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            queue.busy += 1;
            drop(queue);
            let result = if self.stop.load(Ordering::Relaxed) { Err(ScanError::Stopped) } else { self.folder(task) };
            let mut queue = self.queue();
            queue.busy -= 1;
            match result {
                Ok(tasks) => queue.tasks.extend(tasks),
                Err(error) => queue.error = Some(error),
            }
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Reads one folder; the folders in it.
    fn folder(&self, task: Task) -> Result<Vec<Task>, ScanError> {
        let read = |errno: Errno| ScanError::Read { path: name::printable(&task.path), error: errno.into() };
        let handle = match rustix::fs::openat(&task.parent, &task.name, FOLDER, Mode::empty()) {
            Ok(handle) => Arc::new(handle),
            Err(errno) if left_out(errno) && !task.path.is_empty() => {
                let mut found = self.found();
                found.folders.insert(task.path.clone(), Folder { entries: Vec::new(), hidden: 1 });
                found.skipped.push(unreadable(task.path, errno));
                return Ok(Vec::new());
            }
            Err(errno) => return Err(read(errno)),
        };
        let mut names: Vec<CString> = Vec::new();
        for child in rustix::fs::Dir::read_from(&handle).map_err(read)? {
            let child = child.map_err(read)?;
            if !matches!(child.file_name().to_bytes(), b"." | b"..") {
                names.push(child.file_name().to_owned());
                if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_ENTRIES {
                    return Err(ScanError::TooMany);
                }
            }
        }
        let level = self.level(&task, &handle, &names)?;
        let mut seen = Seen::default();
        for child in &names {
            self.child(&task, &handle, &level, child, &mut seen).map_err(read)?;
        }
        let Seen { mut folder, skipped, linked, tasks } = seen;
        folder.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut found = self.found();
        found.folders.insert(task.path, folder);
        found.skipped.extend(skipped);
        found.linked.extend(linked);
        Ok(tasks)
    }

    /// The rules in a folder: those from above, and its own.
    fn level(&self, task: &Task, handle: &OwnedFd, names: &[CString]) -> Result<Level, ScanError> {
        let base = if task.raw.is_empty() { 0 } else { task.raw.len() + 1 };
        if self.side == Side::Receiver {
            return Ok(match self.rules.get(&task.path) {
                Some(rules) => task.level.with(rules.clone(), base),
                None => task.level.clone(),
            });
        }
        if !names.iter().any(|name| name.to_bytes() == rules::FILE.as_bytes()) {
            return Ok(task.level.clone());
        }
        let path = join(&task.path, rules::FILE);
        let bad = |error| ScanError::Rules { place: format!("{}: ", name::printable(&path)), error };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let read = |error| ScanError::Read { path: name::printable(&path), error };
        let file = rustix::fs::openat(handle, rules::FILE, flags, Mode::empty()).map_err(|e| read(e.into()))?;
        let mut text = Vec::new();
        std::fs::File::from(file).take(MAX_RULES_FILE + 1).read_to_end(&mut text).map_err(read)?;
        if text.len() as u64 > MAX_RULES_FILE {
            return Err(bad(RulesError::Many));
        }
        let lines: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(ToOwned::to_owned)
            .collect();
        let Some(rules) = Compiled::new(&lines).map_err(bad)? else { return Ok(task.level.clone()) };
        self.found().lines.insert(task.path.clone(), lines);
        Ok(task.level.with(rules, base))
    }

    fn child(
        &self,
        task: &Task,
        handle: &Arc<OwnedFd>,
        level: &Level,
        child: &CStr,
        seen: &mut Seen,
    ) -> Result<(), Errno> {
        let own = OsStr::from_bytes(child.to_bytes());
        let spelled = name::escape(own);
        let path = || join(&task.path, &spelled);
        if child.to_bytes().starts_with(RESERVED) {
            seen.skip(path(), "names that begin with \".skep-\" are a node's own");
            return Ok(());
        }
        let raw_len = task.raw.len() + 1 + own.len();
        if raw_len > name::MAX_PATH_BYTES || own.len() > name::MAX_NAME_BYTES || task.depth >= name::MAX_DEPTH {
            seen.skip(path(), "its path is too long, or too deep");
            return Ok(());
        }
        let stat = match rustix::fs::statat(handle, child, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) if left_out(errno) => {
                // Gone since the folder was read: not there.
                if errno != Errno::NOENT {
                    seen.leave(unreadable(path(), errno));
                }
                return Ok(());
            }
            Err(errno) => return Err(errno),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let raw = || {
            let mut raw = task.raw.clone();
            if !raw.is_empty() {
                raw.push("/");
            }
            raw.push(own);
            raw
        };
        if !level.is_empty() && level.ignores(&raw(), kind == FileType::Directory) {
            seen.folder.hidden += 1;
            return Ok(());
        }
        let what = match kind {
            FileType::RegularFile => {
                let asks = self.side == Side::Source && stat.st_mode & 0o444 != 0o444;
                if asks && let Err(errno) = rustix::fs::accessat(handle, child, Access::READ_OK, AtFlags::EACCESS) {
                    seen.leave(unreadable(path(), errno));
                    return Ok(());
                }
                if stat.st_nlink > 1 {
                    seen.linked.push((identity(&stat), path()));
                }
                What::File { size: u64::try_from(stat.st_size).unwrap_or(0), leader: None }
            }
            FileType::Directory => {
                seen.tasks.push(Task {
                    parent: handle.clone(),
                    name: child.to_owned(),
                    path: path(),
                    raw: raw(),
                    depth: task.depth + 1,
                    level: level.clone(),
                });
                What::Folder(Digest([0; 32]))
            }
            FileType::Symlink => match rustix::fs::readlinkat(handle, child, Vec::new()) {
                Ok(target) => {
                    let target = name::escape(OsStr::from_bytes(target.to_bytes()));
                    let path = path();
                    if self.side == Side::Source && !crate::content::manifest::target_stays_inside(&path, &target) {
                        seen.skip(path, format!("the link leads outside the tree, to {:?}", name::printable(&target)));
                        return Ok(());
                    }
                    What::Symlink(target.into())
                }
                Err(errno) if left_out(errno) => {
                    seen.leave(unreadable(path(), errno));
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            },
            special => {
                let why = match special {
                    FileType::Fifo => "it is a named pipe",
                    FileType::Socket => "it is a socket",
                    _ => "it is a device",
                };
                seen.skip(path(), why);
                return Ok(());
            }
        };
        let (device, inode) = identity(&stat);
        let is_link = matches!(what, What::Symlink(_));
        seen.folder.entries.push(Entry {
            name: spelled.into(),
            // Links have no mode of their own.
            mode: if is_link { 0o777 } else { permissions(&stat) },
            mtime: mtime_of(&stat),
            sparse: kind == FileType::RegularFile && is_sparse(&stat),
            what,
            inode,
            device,
        });
        Ok(())
    }
}

/// What one folder was found to hold.
#[derive(Default)]
struct Seen {
    folder: Folder,
    skipped: Vec<Skipped>,
    linked: Vec<((u64, u64), String)>,
    tasks: Vec<Task>,
}

impl Seen {
    fn skip(&mut self, path: String, why: impl Into<String>) {
        self.leave(Skipped { path, why: why.into(), unreadable: false });
    }

    fn leave(&mut self, skipped: Skipped) {
        self.folder.hidden += 1;
        self.skipped.push(skipped);
    }
}

/// What may not be read, or went away or changed its kind under the scan; anything else (no more handles, a
/// failing disk) must not silently shrink the tree.
fn left_out(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

fn unreadable(path: String, errno: Errno) -> Skipped {
    Skipped { path, why: format!("it cannot be read: {}", io::Error::from(errno)), unreadable: true }
}

#[allow(clippy::unnecessary_cast)] // field types differ between systems
pub(super) fn permissions(stat: &Stat) -> u32 {
    stat.st_mode as u32 & 0o777
}

#[allow(clippy::unnecessary_cast)] // field types differ between systems
pub(super) fn mtime_of(stat: &Stat) -> Mtime {
    Mtime(stat.st_mtime as i64, stat.st_mtime_nsec as u32)
}

#[allow(clippy::unnecessary_cast)] // field types differ between systems
pub(super) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// `st_blocks` counts 512 bytes each, whatever the file system's blocks (stat(2)).
#[allow(clippy::unnecessary_cast)] // field types differ between systems
fn is_sparse(stat: &Stat) -> bool {
    (stat.st_blocks as u64).saturating_mul(512) < (stat.st_size as u64) / 4096 * 4096
}

#[cfg(test)]
mod tests;
