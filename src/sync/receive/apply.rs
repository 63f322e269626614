//! Carrying out a list of operations. Each is one step that either happened or did not; all of them were
//! checked before the first. Folders that names came into or went from are synced at the end, so what a later
//! request deletes is gone only after what replaced it is on the disk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::put::{self, Replaces};
use super::{Hashed, SyncError, below, open_regular, target};
use crate::content::manifest::target_stays_inside;
use crate::content::name;
use crate::failpoint;
use crate::store::{Version, beneath};
use crate::sync::entry::Mtime;
use crate::sync::scan::{mtime_of, permissions};
use crate::sync::wire::{Applied, Apply, Op, VERSION};
use crate::upload::{is_key, stage_of, staged};

/// So many folders are synced one by one; of more, the whole file system is.
const SYNCED: usize = 64;
/// Reasons that are told.
const REASONS: usize = 200;

pub(super) fn apply(root: &OwnedFd, request: &Apply, hashed: &mut Hashed) -> Result<Applied, SyncError> {
    if request.version != VERSION {
        return Err(SyncError::Bad(format!("version {}; this node knows version {VERSION}", request.version)));
    }
    let top = target(&request.path)?;
    if !is_key(&request.sync) || !request.over.iter().all(|key| is_key(key)) {
        return Err(SyncError::Bad("a sync and its uploads are named by 32 hex digits each".into()));
    }
    for op in &request.ops {
        check(op)?;
    }
    let stage = stage_of(&request.sync);
    let mut work = Work { root, top, stage, hashed, at: None, dirty: BTreeSet::new() };
    let mut applied = Applied::default();
    for (index, op) in request.ops.iter().enumerate() {
        match work.carry_out(op) {
            Ok(()) => {
                applied.done += 1;
                failpoint::step("sync:operation");
            }
            Err(error) if applied.failed.len() < REASONS => {
                let why = format!("{:?}: {error}", name::excerpt(op.path()));
                applied.failed.push((index as u32, why));
            }
            Err(_) => applied.failed.push((index as u32, String::new())),
        }
    }
    failpoint::step("sync:carried-out");
    work.sync()?;
    failpoint::step("sync:synced");
    for key in &request.over {
        if let Err(error) = remove_all(root, OsStr::new(&stage_of(key))) {
            tracing::warn!(target: "sync", %error, "what was kept aside is still there");
        }
    }
    Ok(applied)
}

/// Everything that an operation's words alone can tell.
fn check(op: &Op) -> Result<(), SyncError> {
    let path = op.path();
    let bad = |why: &str| Err(SyncError::Bad(format!("{:?}: {why}", name::excerpt(path))));
    if !path.is_empty() {
        target(path)?;
    } else if !matches!(op, Op::Folder { .. } | Op::Unlock { .. } | Op::Take { .. } | Op::Meta { .. }) {
        return bad("that cannot be done to the top of a tree");
    }
    match op {
        Op::Take { upload, from, over_folder, .. } => {
            if path.is_empty() && *over_folder {
                return bad("a file does not take the place of a tree");
            }
            if upload.as_ref().is_some_and(|upload| !is_key(upload)) {
                return bad("an upload is named by 32 hex digits");
            }
            match upload {
                Some(_) => drop(target(from)?),
                None if from.parse::<u32>().is_err() => return bad("a slot is a number"),
                None => {}
            }
        }
        Op::Link { leader, .. } => drop(target(leader)?),
        Op::Symlink { target: leads, mtime, .. } => {
            if !target_stays_inside(path, leads) || name::unescape(leads).is_err() {
                return bad("a link that leads outside the tree");
            }
            check_time(path, *mtime)?;
        }
        Op::Meta { mode, mtime, .. } => {
            if mode.is_some_and(|mode| mode > 0o777) {
                return bad("mode over 0777");
            }
            check_time(path, *mtime)?;
        }
        Op::Unlock { .. } | Op::Stash { .. } | Op::Folder { .. } | Op::Delete { .. } => {}
    }
    Ok(())
}

fn check_time(path: &str, mtime: Mtime) -> Result<(), SyncError> {
    if mtime.1 < 1_000_000_000 {
        Ok(())
    } else {
        Err(SyncError::Bad(format!("{:?}: a second has 10^9 nanoseconds", name::excerpt(path))))
    }
}

struct Work<'a> {
    root: &'a OwnedFd,
    top: PathBuf,
    stage: String,
    hashed: &'a mut Hashed,
    /// The folder that was opened last: neighbours come one after another.
    at: Option<(PathBuf, OwnedFd)>,
    /// Folders whose names changed.
    dirty: BTreeSet<PathBuf>,
}

impl Work<'_> {
    /// The folder that a path in the tree lies in, and its name there.
    fn place(&mut self, path: &str, changes: bool) -> io::Result<(&OwnedFd, std::ffi::OsString)> {
        let full = below(&self.top, path).map_err(io::Error::other)?;
        let parent = full.parent().unwrap_or(Path::new("")).to_owned();
        let name = full.file_name().unwrap_or_default().to_owned();
        if self.at.as_ref().is_none_or(|(open, _)| *open != parent) {
            let folder = beneath::open_folder(self.root, &parent)?;
            self.at = Some((parent.clone(), folder));
        }
        if changes {
            self.dirty.insert(parent);
        }
        match &self.at {
            Some((_, folder)) => Ok((folder, name)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What is kept aside by this sync.
    fn aside(&self) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(self.root, &*self.stage, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => beneath::open_folder(self.root, Path::new(&self.stage)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn carry_out(&mut self, op: &Op) -> io::Result<()> {
        match op {
            Op::Unlock { path } => {
                let (folder, name) = self.place(path, false)?;
                let stat = rustix::fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
                put::set_mode(folder, &name, permissions(&stat) | 0o700)?;
                self.at = None;
                Ok(())
            }
            Op::Stash { path, size, mtime, slot, copy } => {
                let aside = self.aside()?;
                let full = below(&self.top, path).map_err(io::Error::other)?;
                // Whoever wrote into it since its digest was told, and set the time back.
                let told = self.hashed.get(&full).copied();
                let (folder, name) = self.place(path, false)?;
                stash(folder, &name, &aside, &slot.to_string(), (*size, *mtime, told), *copy)?;
                // A link to it moves its time of change.
                self.hashed.remove(&full);
                Ok(())
            }
            Op::Folder { path, over_file } => self.make_folder(path, *over_file),
            Op::Take { upload, from, path, over_folder } => {
                let (source, own) = match upload {
                    None => (self.aside()?, std::ffi::OsString::from(from)),
                    Some(upload) => {
                        let full = below(Path::new(&staged(upload)), from).map_err(io::Error::other)?;
                        let parent = beneath::open_folder(self.root, full.parent().unwrap_or(Path::new("")))?;
                        (parent, full.file_name().unwrap_or_default().to_owned())
                    }
                };
                if path.is_empty() {
                    // A single file: where it goes may not be there yet.
                    let parent = self.top.parent().unwrap_or(Path::new("")).to_owned();
                    beneath::make_folders(self.root, &parent)?;
                    self.dirty.extend(parent.ancestors().map(ToOwned::to_owned));
                }
                let (folder, name) = self.place(path, true)?;
                put::put(&source, &own, folder, &name, Replaces::of(*over_folder))
            }
            Op::Link { path, leader, over_folder } => {
                let aside = self.aside()?;
                let (own, leading) = {
                    let (folder, name) = self.place(leader, false)?;
                    refuse_all_but_files(folder, &name)?;
                    (name, folder.try_clone()?)
                };
                let (folder, name) = self.place(path, true)?;
                put::link(&aside, (&leading, &own), (folder, &name), Replaces::of(*over_folder))
            }
            Op::Symlink { path, target, mtime, over_folder } => {
                let aside = self.aside()?;
                let target = name::unescape(target).map_err(io::Error::other)?;
                put::remove_file(&aside, OsStr::new("link"))?;
                rustix::fs::symlinkat(&*target, &aside, "link")?;
                put::set_time(&aside, OsStr::new("link"), *mtime)?;
                let (folder, name) = self.place(path, true)?;
                put::put(&aside, OsStr::new("link"), folder, &name, Replaces::of(*over_folder))
            }
            Op::Delete { path, folder: is_folder } => {
                if *is_folder {
                    self.at = None;
                }
                let (folder, name) = self.place(path, true)?;
                let flags = if *is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                match rustix::fs::unlinkat(folder, &*name, flags) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(Errno::NOTEMPTY | Errno::EXIST) => Err(io::Error::other("the folder is not empty: it stays")),
                    Err(errno) => Err(errno.into()),
                }
            }
            Op::Meta { path, mode, mtime } => {
                let (folder, name) = self.place(path, false)?;
                if let Some(mode) = mode {
                    put::set_mode(folder, &name, *mode)?;
                }
                put::set_time(folder, &name, *mtime)
            }
        }
    }

    fn make_folder(&mut self, path: &str, over_file: bool) -> io::Result<()> {
        if path.is_empty() {
            let top = self.top.clone();
            beneath::make_folders(self.root, &top)?;
            self.dirty.extend(top.ancestors().skip(1).map(ToOwned::to_owned));
            return Ok(());
        }
        let (folder, name) = self.place(path, true)?;
        // Ours alone until its own mode is set: what comes into it is nobody's business before.
        match rustix::fs::mkdirat(folder, &*name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
        let stat = rustix::fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(());
        }
        if !over_file {
            // Rules hid it from the comparison, or it came since.
            return Err(io::Error::other("a file stands there that the comparison did not see: it stays"));
        }
        let aside = self.aside()?;
        let (folder, name) = self.place(path, true)?;
        put::turn_into_folder(&aside, folder, &name)
    }

    /// Makes durable which names there are.
    fn sync(&mut self) -> Result<(), SyncError> {
        let disk = |error: io::Error| SyncError::Disk(format!("cannot sync: {error}"));
        if self.dirty.len() > SYNCED {
            return sync_all(self.root).map_err(disk);
        }
        for folder in &self.dirty {
            match beneath::open_folder(self.root, folder) {
                Ok(folder) => rustix::fs::fsync(folder).map_err(|e| disk(e.into()))?,
                // Deleted by a later operation, or replaced.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
                Err(error) => return Err(disk(error)),
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn sync_all(root: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(root)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_: &OwnedFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

fn refuse_all_but_files(folder: impl AsFd, name: &OsStr) -> io::Result<rustix::fs::Stat> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok(stat)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// Keeps what a file holds under a name of ours.
fn stash(
    folder: impl AsFd,
    name: &OsStr,
    aside: &OwnedFd,
    slot: &str,
    (size, mtime, told): (u64, Mtime, Option<Version>),
    copy: bool,
) -> io::Result<()> {
    let stat = refuse_all_but_files(&folder, name)?;
    let is_other = told.is_some_and(|told| Version::from_stat(&stat) != told);
    if u64::try_from(stat.st_size) != Ok(size) || mtime_of(&stat) != mtime || is_other {
        return Err(io::Error::other("it changed since it was compared: run the sync again"));
    }
    put::remove_file(aside, OsStr::new(slot))?;
    // Of several names of one file only the content moves, not the tie to the others.
    if !copy && stat.st_nlink == 1 && rustix::fs::linkat(&folder, name, aside, slot, AtFlags::empty()).is_ok() {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut new = std::fs::File::from(rustix::fs::openat(aside, slot, flags, Mode::from_raw_mode(0o600))?);
    let mut old = open_regular(&folder, name)?;
    // In the kernel where it can be, shared extents included (copy_file_range(2)).
    let copied = io::copy(&mut old, &mut new)?;
    if copied != size {
        return Err(io::Error::other("it changed while it was copied: run the sync again"));
    }
    new.sync_data()
}

/// Removes a folder of ours directly below the root, with all that is in it; that it is not there is fine.
pub(super) fn remove_all(root: &OwnedFd, name: &OsStr) -> io::Result<()> {
    put::remove_tree(root, name)
}
