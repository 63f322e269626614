//! Opening what lies below a folder without ever going through a symbolic link.
//!
//! A content's own links are made last, and no entry lies behind one (manifests that say so are refused).
//! So whatever link a path meets while it is written was planted by somebody, be it one that stays within
//! the download folder, where cap-std would follow it: into the files of another download, say. Each step is
//! an `openat` with `O_NOFOLLOW`, which every Unix has; files stay open, so the steps are rare.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

/// A folder on the way: where the system can, a handle that needs no permission to list it.
#[cfg(target_os = "linux")]
const STEP: OFlags = OFlags::PATH.union(FOLDER);
#[cfg(not(target_os = "linux"))]
const STEP: OFlags = FOLDER;
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the file `name` in a folder that was [reached](reach), for reading and writing; made with this mode if
/// it is not there.
///
/// # Errors
/// What the system says; `PermissionDenied` without a code where a link, or anything else that is no file,
/// stands there.
pub(super) fn open_file(folder: impl AsFd, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::from_raw_mode(mode as _)).map(File::from).map_err(told)
}

/// Opens the file `name` in a folder that was [reached](reach), for reading, without ever waiting for it.
///
/// # Errors
/// As [`open_file`].
pub(super) fn look_at_file(folder: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map(File::from).map_err(told)
}

/// A handle of the folder at `path` below `base`, to reach what is in it: it may not be fit to list or sync it.
///
/// # Errors
/// What the system says; `PermissionDenied` without a code where a link, or anything else that is no folder,
/// stands in the way.
pub(super) fn reach(base: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    match walk(&base, path, false)? {
        Some(folder) => Ok(folder),
        None => openat(&base, ".", STEP, Mode::empty()).map_err(told),
    }
}

/// The folder that something lies in, and its name there.
///
/// # Errors
/// A path that is no name.
pub(super) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(in_the_way)
}

/// Makes the folder at `path` below `base`, with all above it.
///
/// # Errors
/// As [`reach`].
pub(crate) fn make_folders(base: impl AsFd, path: &Path) -> io::Result<()> {
    walk(&base, path, true).map(drop)
}

/// Opens the folder at `path` below `base`, so that it can be synced and renamed into.
///
/// # Errors
/// As [`reach`].
pub(crate) fn open_folder(base: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | FOLDER;
    let folder = match walk(&base, path, false)? {
        Some(folder) => openat(folder, ".", flags, Mode::empty()),
        None => openat(&base, ".", flags, Mode::empty()),
    };
    folder.map_err(told)
}

/// What a folder is mounted on: its device, and where the system tells, its mount. No rename goes from one to another,
/// also not between two mounts of one device.
///
/// # Errors
/// The system refuses to tell.
pub(super) fn mount_of(folder: &OwnedFd) -> io::Result<(u64, u64)> {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // its type differs between systems
    let device = rustix::fs::fstat(folder)?.st_dev as u64;
    Ok((device, mount_number(folder)))
}

/// 0: the kernel is too old to tell (before 5.8).
#[cfg(target_os = "linux")]
fn mount_number(folder: &OwnedFd) -> u64 {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let found = statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    found.ok().filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).map_or(0, |stat| stat.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
fn mount_number(_folder: &OwnedFd) -> u64 {
    0
}

/// The folder at `path`; none if that is `base` itself.
fn walk(base: impl AsFd, path: &Path, make: bool) -> io::Result<Option<OwnedFd>> {
    let mut at: Option<OwnedFd> = None;
    for component in path.components() {
        let Component::Normal(name) = component else { return Err(in_the_way()) };
        let folder = at.as_ref().map_or(base.as_fd(), |at| at.as_fd());
        let mut next = openat(folder, name, STEP, Mode::empty());
        if make && matches!(next, Err(Errno::NOENT)) {
            match mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
                // Somebody else was faster: fine.
                Ok(()) | Err(Errno::EXIST) => next = openat(folder, name, STEP, Mode::empty()),
                Err(error) => return Err(error.into()),
            }
        }
        at = Some(next.map_err(told)?);
    }
    Ok(at)
}

fn told(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => in_the_way(),
        error => error.into(),
    }
}

/// Told as cap-std tells an escape, see [`super::FilesError::new`].
fn in_the_way() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a link, or a file, stands where a folder or file of ours should")
}
