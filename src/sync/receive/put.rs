//! Single steps on names in open folders; none follows a link. What lies on another mount than its place is copied
//! beside that first: no rename goes from one mount to another.

use std::ffi::OsStr;
use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::content::name::MAX_DEPTH;
use crate::sync::entry::Mtime;
use crate::sync::scan::{mtime_of, permissions};

/// What is copied to another mount, on its way to its name. One at a time changes anything, so one name will do: what a
/// crash leaves under it is removed by the next that comes by.
const COPY: &str = ".skep-sync-copy";

/// What may stand where something is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaces {
    /// A file or link.
    File,
    /// A folder, too.
    Folder,
}

impl Replaces {
    pub(super) fn of(over_folder: bool) -> Self {
        if over_folder { Self::Folder } else { Self::File }
    }
}

/// Gives a file or link its name; what stood there is replaced in the same moment.
pub(super) fn put(from: &OwnedFd, own: &OsStr, to: &OwnedFd, name: &OsStr, replaces: Replaces) -> io::Result<()> {
    match rustix::fs::renameat(from, own, to, name) {
        Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) if replaces == Replaces::Folder => {
            exchange(from, own, to, name)?;
            remove_tree(from, own)
        }
        Err(Errno::XDEV) => {
            let copy = OsStr::new(COPY);
            let put = copy_beside(from, own, to, copy).and_then(|()| put(to, copy, to, name, replaces));
            if put.is_err() {
                let _ = remove_file(to, copy);
            }
            put?;
            remove_file(from, own)
        }
        Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
            Err(io::Error::other("a folder stands there meanwhile: run the sync again"))
        }
        other => Ok(other?),
    }
}

/// Copies a file or link, with its mode and time, onto the disk.
fn copy_beside(from: &OwnedFd, own: &OsStr, to: &OwnedFd, copy: &OsStr) -> io::Result<()> {
    remove_file(to, copy)?;
    let stat = rustix::fs::statat(from, own, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, own, Vec::new())?;
            rustix::fs::symlinkat(&*target, to, copy)?;
            set_time(to, copy, mtime_of(&stat))
        }
        FileType::RegularFile => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut old = super::open_regular(from, own)?;
            let mut new = std::fs::File::from(rustix::fs::openat(to, copy, flags, Mode::from_raw_mode(0o600))?);
            io::copy(&mut old, &mut new)?;
            rustix::fs::fchmod(&new, Mode::from_raw_mode(permissions(&stat) as _))?;
            set_time(to, copy, mtime_of(&stat))?;
            new.sync_all()
        }
        _ => Err(io::Error::other("it lies on another mount")),
    }
}

/// Makes a folder in place of what is no folder, in one step.
pub(super) fn turn_into_folder(aside: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mut made = OsStr::new("folder");
    let mut at = aside;
    for last in [false, true] {
        match rustix::fs::mkdirat(at, made, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        match exchange(at, made, to, name) {
            // Another mount: beside it.
            Err(error) if !last && error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                (at, made) = (to, OsStr::new(COPY));
            }
            other => {
                other?;
                break;
            }
        }
    }
    remove_file(at, made)
}

/// Two names change places, in one step where the file system can.
pub(super) fn exchange(from: &OwnedFd, own: &OsStr, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::renameat_with(from, own, to, name, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            remove_tree(from, OsStr::new("old"))?;
            rustix::fs::renameat(to, name, from, "old")?;
            rustix::fs::renameat(from, own, to, name)?;
            Ok(rustix::fs::renameat(from, "old", from, own)?)
        }
        other => Ok(other?),
    }
}

/// Gives a file another name. There is no file with names on two mounts.
pub(super) fn link(
    aside: &OwnedFd,
    (leading, own): (&OwnedFd, &OsStr),
    (to, name): (&OwnedFd, &OsStr),
    replaces: Replaces,
) -> io::Result<()> {
    let (mut at, mut link) = (aside, OsStr::new("link"));
    remove_file(at, link)?;
    if let Err(error) = rustix::fs::linkat(leading, own, at, link, AtFlags::empty()) {
        if error != Errno::XDEV {
            return Err(error.into());
        }
        (at, link) = (to, OsStr::new(COPY));
        remove_file(at, link)?;
        rustix::fs::linkat(leading, own, at, link, AtFlags::empty())?;
    }
    let put = put(at, link, to, name, replaces);
    // Two names of one file are not renamed into one (rename(2)).
    remove_file(at, link)?;
    put
}

/// Removes a file or link; that there is none is fine.
pub(super) fn remove_file(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes whatever has this name, with all that is in it; that there is nothing is fine.
pub(super) fn remove_tree(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    remove_below(folder, name, 0)
}

fn remove_below(folder: &OwnedFd, name: &OsStr, depth: usize) -> io::Result<()> {
    // A tree's own depth, and what we put on top of it.
    if depth > MAX_DEPTH + 8 {
        return Err(io::Error::other("nested too deep"));
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says ISDIR, others PERM (POSIX).
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            set_mode(folder, name, 0o700)?;
            rustix::fs::openat(folder, name, flags, Mode::empty())?
        }
        inner => inner?,
    };
    // What is in a folder that may not be changed goes only if it may.
    let _ = rustix::fs::fchmod(&inner, Mode::from_raw_mode(0o700));
    for child in rustix::fs::Dir::read_from(&inner)? {
        let child = child?;
        let bytes = child.file_name().to_bytes();
        if !matches!(bytes, b"." | b"..") {
            use std::os::unix::ffi::OsStrExt as _;
            remove_below(&inner, OsStr::from_bytes(bytes), depth + 1)?;
        }
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets the permission bits of a file or folder.
pub(super) fn set_mode(folder: impl AsFd, name: &OsStr, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode as _);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
            if !matches!(kind, FileType::RegularFile | FileType::Directory) {
                return Err(io::Error::other("it is no file or folder"));
            }
            Ok(rustix::fs::fchmod(file, mode)?)
        }
        Err(Errno::ACCESS) => set_unreadable(folder, name, mode),
        Err(errno) => Err(errno.into()),
    }
}

/// Of what may not even be read by its owner: by a handle that needs no permission.
#[cfg(target_os = "linux")]
fn set_unreadable(folder: impl AsFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let file = rustix::fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(io::Error::other("it is no file or folder"));
    }
    Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?)
}

#[cfg(not(target_os = "linux"))]
fn set_unreadable(folder: impl AsFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    Ok(rustix::fs::chmodat(folder, name, mode, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Sets the modification time of what has this name, be it a link.
pub(super) fn set_time(folder: impl AsFd, name: &OsStr, mtime: Mtime) -> io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT as _ };
    let times =
        Timestamps { last_access: omit, last_modification: Timespec { tv_sec: mtime.0, tv_nsec: mtime.1 as _ } };
    Ok(rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
