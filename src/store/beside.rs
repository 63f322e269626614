//! A file and the one that shall take its place: opened below the root without going through a link, grown under a
//! name of our own, and put under its name by one rename, if what stands there is still what it was made of.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, RenameFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::beneath;
use super::error::FilesError;
#[cfg(doc)]
use super::error::FilesErrorKind;
use super::files::Base;
use super::publish::both;

const PREFIX: &str = ".skep-";
const SUFFIX: &str = ".delta";
/// How often another one may have removed the name that was just opened.
const TRIES: u32 = 8;

/// Which state of which file: another write, or another file of that name, has another version (as far as the file system's
/// clock can tell).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Bytes.
    pub size: u64,
    device: u64,
    inode: u64,
    modified_ns: i128,
    /// Unlike the time of modification nobody can set this one back.
    changed_ns: i128,
}

impl Version {
    /// Of an open file.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_stat(&rustix::fs::fstat(file)?))
    }

    #[allow(clippy::unnecessary_cast)] // the fields' types differ between systems
    pub(crate) fn from_stat(stat: &Stat) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            modified_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// What the version is called where others see it: tells nothing, and is equal for equal ones alone.
    pub fn tag(&self) -> String {
        let Self { size, device, inode, modified_ns, changed_ns } = self;
        let all = format!("{size} {device} {inode} {modified_ns} {changed_ns}");
        HEXLOWER.encode(&Sha256::digest(all)[..12])
    }

    /// Whether both are states of one file.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// When something about it changed last, in nanoseconds since 1970.
    pub fn changed_ns(&self) -> i128 {
        self.changed_ns
    }
}

/// What stands under a name.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file, open for reading.
    File(File, Version),
    /// A folder, or anything else.
    Other,
}

impl Base {
    /// Looks at a path below the folder.
    ///
    /// # Errors
    /// [`FilesErrorKind::Escape`] if a link stands in the way; else what the disk says.
    pub fn find(&self, path: &Path) -> Result<Found, FilesError> {
        let failed = |e: io::Error| FilesError::new("open", path, e);
        let look = || {
            let (parent, name) = beneath::split(path)?;
            let file = beneath::look_at_file(beneath::reach(&*self.dir, parent)?, name)?;
            let stat = rustix::fs::fstat(&file)?;
            Ok::<_, io::Error>((file, stat))
        };
        match look() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            // Of a device, a socket, ...
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(Found::Other),
            Err(error) => Err(failed(error)),
            Ok((file, stat)) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                Ok(Found::File(file, Version::from_stat(&stat)))
            }
            Ok(_) => Ok(Found::Other),
        }
    }

    /// The folder at `path` below this one, as a base of its own.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn within(&self, path: &Path) -> Result<Self, FilesError> {
        if path.as_os_str().is_empty() {
            return Ok(self.clone());
        }
        let folder = beneath::open_folder(&*self.dir, path).map_err(|e| FilesError::new("open", path, e))?;
        Ok(Self { dir: Dir::from_std_file(folder.into()).into(), path: self.path.join(path) })
    }

    /// Removes what was left by processes that died while they made a file.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn sweep(&self) -> Result<(), FilesError> {
        let failed = |e: io::Error| FilesError::new("read", &self.path, e);
        for entry in self.dir.entries().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(PREFIX.as_bytes()) && bytes.ends_with(SUFFIX.as_bytes()) {
                // Locked: another node of this root is at it. Dropped, it is removed.
                match Beside::open(self, &name) {
                    Ok(_) => tracing::info!(target: "store", "removed what was left of a delta"),
                    Err(error) => tracing::warn!(target: "store", "what was left of a delta stays: {error}"),
                }
            }
        }
        Ok(())
    }
}

/// Whether another process has the lock.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// A file that grows under a name of ours in the base folder; removed unless it [lands](Self::land).
#[derive(Debug)]
pub struct Beside {
    base: Base,
    name: OsString,
    file: File,
    landed: bool,
}

impl Beside {
    /// An empty file for what shall stand at `path`: the name is always the same for a path, so that what a crash leaves is
    /// found, and locked, so that only one is at it.
    ///
    /// # Errors
    /// `Ok(None)`: another one is at it. Else what the disk says.
    pub fn create(base: &Base, path: &Path) -> Result<Option<Self>, FilesError> {
        let key = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let name: OsString = format!("{PREFIX}{}{SUFFIX}", HEXLOWER.encode(&key[..12])).into();
        match Self::open(base, &name) {
            Err(error) if is_locked(&error.source) => Ok(None),
            Err(error) => Err(error),
            Ok(beside) => {
                beside.file.set_len(0).map_err(|e| FilesError::new("empty", &beside.name, e))?;
                Ok(Some(beside))
            }
        }
    }

    fn open(base: &Base, name: &OsStr) -> Result<Self, FilesError> {
        let failed = |e: io::Error| FilesError::new("open", name, e);
        for _ in 0..TRIES {
            let file = beneath::open_file(&*base.dir, name, 0o600).map_err(failed)?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(failed(io::Error::other("it is no file")));
            }
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
            // Who had the lock before may have taken the name away meanwhile.
            if has_name(base, name, &file).map_err(failed)? {
                return Ok(Self { base: base.clone(), name: name.into(), file, landed: false });
            }
        }
        Err(failed(io::ErrorKind::WouldBlock.into()))
    }

    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Sets mode and time, and gets everything onto the disk. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(&self, mode: u32, mtime: Option<Timestamp>) -> Result<(), FilesError> {
        let failed = |op, e: Errno| FilesError::new(op, &self.name, e.into());
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode as _)).map_err(|e| failed("set the mode of", e))?;
        if let Some(mtime) = mtime {
            rustix::fs::futimens(&self.file, &both(mtime)).map_err(|e| failed("set the time of", e))?;
        }
        rustix::fs::fsync(&self.file).map_err(|e| failed("sync", e))
    }

    /// Gives it its name, atomically. `instead_of`: what must stand there, and goes; none: nothing may. What was refused
    /// can be tried under another name. Blocks.
    ///
    /// # Errors
    /// [`FilesErrorKind::Changed`] if something else stands there, [`FilesErrorKind::Exists`] if something does that must not,
    /// [`FilesErrorKind::Replaced`] if somebody took our own name away; else what the disk says.
    pub fn land(&mut self, path: &Path, instead_of: Option<&Version>) -> Result<(), FilesError> {
        let failed = |e: io::Error| FilesError::new("publish", path, e);
        let (parent, name) = beneath::split(path).map_err(failed)?;
        if !has_name(&self.base, &self.name, &self.file).map_err(failed)? {
            return Err(FilesError::replaced(path));
        }
        let folder = beneath::open_folder(&*self.base.dir, parent).map_err(failed)?;
        let there = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(Version::from_stat(&stat)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(failed(error.into())),
        };
        let flags = match instead_of {
            Some(_) if there.as_ref() != instead_of => return Err(FilesError::changed(path)),
            Some(_) => RenameFlags::empty(),
            None => RenameFlags::NOREPLACE,
        };
        match rustix::fs::renameat_with(&*self.base.dir, &self.name, &folder, name, flags) {
            // File systems without RENAME_NOREPLACE (some network ones): it was looked at.
            Err(Errno::INVAL) if there.is_none() => rustix::fs::renameat(&*self.base.dir, &self.name, &folder, name),
            other => other,
        }
        .map_err(|e| failed(e.into()))?;
        self.landed = true;
        crate::failpoint::step("delta:renamed");
        rustix::fs::fsync(&folder).map_err(|e| FilesError::new("sync", parent, e.into()))
    }

    /// Where the base folder's disk has this much room, in bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_space(base: &Base) -> Result<u64, FilesError> {
        let stat = rustix::fs::fstatvfs(&*base.dir).map_err(|e| FilesError::new("look at", &base.path, e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn has_name(base: &Base, name: &OsStr, file: &File) -> io::Result<bool> {
    let own = rustix::fs::fstat(file)?;
    match rustix::fs::statat(&*base.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.landed && has_name(&self.base, &self.name, &self.file).unwrap_or(false) {
            let gone = rustix::fs::unlinkat(&*self.base.dir, &self.name, AtFlags::empty());
            if let Err(error) = gone {
                let path: PathBuf = self.base.path.join(&self.name);
                tracing::warn!(target: "store", "cannot remove {}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::error::FilesErrorKind;
    use super::*;

    fn opened(base: &Base, path: &str) -> (File, Version) {
        match base.find(Path::new(path)).unwrap() {
            Found::File(file, version) => (file, version),
            other => panic!("{other:?}"),
        }
    }

    fn written(base: &Base, path: &str, bytes: &[u8]) -> Beside {
        let beside = Beside::create(base, Path::new(path)).unwrap().unwrap();
        beside.file().write_all(bytes).unwrap();
        beside.finish(0o640, "2024-05-06T07:08:09Z".parse().ok()).unwrap();
        beside
    }

    fn entries(dir: &Path) -> usize {
        dir.read_dir().unwrap().count()
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let (at, base) = (dir.path().join("d/f"), Base::open(dir.path()).unwrap());
        fs::write(&at, "old").unwrap();
        let (_, version) = opened(&base, "d/f");
        let mut new = written(&base, "d/f", b"new");
        assert!(Beside::create(&base, Path::new("d/f")).unwrap().is_none(), "one at a time");
        assert!(Beside::create(&base, Path::new("d/g")).unwrap().is_some());
        assert_eq!(fs::read(&at).unwrap(), b"old");
        assert_eq!(new.land(Path::new("d/f"), None).unwrap_err().kind, FilesErrorKind::Exists);
        new.land(Path::new("d/f"), Some(&version)).unwrap();
        drop(new);
        assert_eq!(fs::read(&at).unwrap(), b"new");
        let there = fs::metadata(&at).unwrap();
        assert_eq!(there.permissions().mode() & 0o777, 0o640);
        assert_ne!(opened(&base, "d/f").1.tag(), version.tag());
        assert_eq!(entries(dir.path()), 1, "nothing is left");
    }

    #[test]
    fn another_file_there_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (at, base) = (dir.path().join("f"), Base::open(dir.path()).unwrap());
        fs::write(&at, "old").unwrap();
        let (_, version) = opened(&base, "f");
        let mut new = written(&base, "f", b"new");
        fs::write(dir.path().join("g"), "old").unwrap();
        fs::rename(dir.path().join("g"), &at).unwrap();
        assert_eq!(new.land(Path::new("f"), Some(&version)).unwrap_err().kind, FilesErrorKind::Changed);
        fs::remove_file(&at).unwrap();
        assert_eq!(new.land(Path::new("f"), Some(&version)).unwrap_err().kind, FilesErrorKind::Changed);
        drop(new);
        assert_eq!(entries(dir.path()), 0, "dropped, it is gone");
    }

    #[test]
    fn what_a_crash_left_is_swept_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let base = Base::open(dir.path()).unwrap();
        let left = written(&base, "f", b"half");
        let name = left.name.clone();
        std::mem::forget(left);
        fs::write(dir.path().join(".skep-000000000000000000000000.delta"), "half").unwrap();
        base.sweep().unwrap();
        assert_eq!(entries(dir.path()), 1, "that one is still locked by us");
        assert!(dir.path().join(name).exists());
    }

    #[test]
    fn links_and_folders_are_no_files() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let base = Base::open(dir.path()).unwrap();
        fs::write(outside.path().join("f"), "theirs").unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(outside.path().join("f"), dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        for path in ["out/f", "link"] {
            assert_eq!(base.find(Path::new(path)).unwrap_err().kind, FilesErrorKind::Escape, "{path}");
        }
        assert!(matches!(base.find(Path::new("d")).unwrap(), Found::Other));
        for path in ["nothing", "no/thing"] {
            assert!(matches!(base.find(Path::new(path)).unwrap(), Found::Nothing), "{path}");
        }
    }
}
