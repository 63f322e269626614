//! From a complete but private content to its public name: metadata, then one rename.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use cap_std::fs::{Metadata, PermissionsExt as _};
use jiff::Timestamp;
use rustix::fs::{AtFlags, Mode, RenameFlags, Timespec, Timestamps};

use super::beneath;
use super::error::FilesError;
use super::files::ContentFiles;
use super::folders::Folders;
use crate::content::{EntryKind, FileEntry, name};

impl ContentFiles {
    /// Makes what has no bytes (empty files, folders, links), trims files that are too long, sets
    /// modes and times. Call when every piece is there; blocks.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn finish(&self) -> Result<(), FilesError> {
        let single = self.manifest.is_single_file();
        if !single {
            self.make_folder(Path::new(&*self.top()))?;
        }
        // Links last: until then no path can lead through one, and one that does was planted.
        let mut looked_at = None;
        let folders = Folders::default();
        for links in [false, true] {
            for (index, entry) in self.manifest.files.iter().enumerate() {
                let path = self.entry_path(index)?;
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                if let Some(parent) = parent.filter(|parent| looked_at.as_deref() != Some(*parent)) {
                    self.make_folder(parent)?;
                    looked_at = Some(parent.to_path_buf());
                }
                match entry.kind() {
                    EntryKind::Folder if !links => self.make_folder(&path)?,
                    EntryKind::File if !links && self.finish_usual(&folders, &path, index, entry) => {}
                    EntryKind::File if !links => self.finish_file(index, entry)?,
                    EntryKind::Symlink if links => self.finish_link(index, entry)?,
                    _ => {}
                }
            }
        }
        for (index, entry) in self.manifest.files.iter().enumerate().rev() {
            if entry.kind() == EntryKind::Folder {
                self.set_metadata(&self.entry_path(index)?, entry)?;
            }
        }
        self.close();
        Ok(())
    }

    /// The usual case: a file of ours that is as long as it should be, and that we may open. `false`: it
    /// is not that simple, or something went wrong, which [`Self::finish_file`] tells better.
    fn finish_usual(&self, folders: &Folders, path: &Path, index: usize, entry: &FileEntry) -> bool {
        let finish = || {
            let (parent, name) = beneath::split(path)?;
            let file = beneath::look_at_file(folders.get(&self.base, parent)?, name)?;
            let there = Metadata::from_just_metadata(file.metadata()?);
            if !there.is_file() || there.len() != entry.size || !self.is_ours(index, &there) {
                return Ok(false);
            }
            if there.permissions().mode() & 0o7777 != entry.mode {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode as _))?;
            }
            if let Some(mtime) = entry.mtime {
                rustix::fs::futimens(&file, &both(mtime))?;
            }
            Ok::<bool, io::Error>(true)
        };
        finish().unwrap_or(false)
    }

    fn finish_file(&self, index: usize, entry: &FileEntry) -> Result<(), FilesError> {
        let path = self.entry_path(index)?;
        match self.base.symlink_metadata(&path) {
            // Every byte was written: a file that is gone, short or another one since then lost data.
            Ok(there) if !there.is_file() || there.len() < entry.size || !self.is_ours(index, &there) => {
                return Err(FilesError::replaced(path));
            }
            Ok(there) if there.len() == entry.size => {}
            Err(_) if entry.size > 0 => return Err(FilesError::replaced(path)),
            _ => {
                let file = self.open_write(index)?;
                file.set_len(entry.size).map_err(|e| FilesError::new("set the length of", &path, e))?;
                // At once: behind its mode it may not be opened for writing again.
                rustix::fs::fdatasync(&file).map_err(|e| FilesError::new("sync", &path, e.into()))?;
            }
        }
        self.set_metadata(&path, entry)
    }

    fn finish_link(&self, index: usize, entry: &FileEntry) -> Result<(), FilesError> {
        let path = self.entry_path(index)?;
        let target = entry.symlink.as_deref().unwrap_or_default();
        let target = name::unescape(target).map_err(|e| FilesError::new("link", &path, io::Error::other(e)))?;
        if self.base.read_link_contents(&path).is_ok_and(|there| there.as_os_str() == target) {
            return Ok(());
        }
        self.base.symlink_contents(&target, &path).map_err(|e| FilesError::new("link", &path, e))?;
        self.set_times(&path, entry)
    }

    fn set_metadata(&self, path: &Path, entry: &FileEntry) -> Result<(), FilesError> {
        let mode = cap_std::fs::Permissions::from_mode(entry.mode);
        self.base.set_permissions(path, mode).map_err(|e| FilesError::new("set the mode of", path, e))?;
        self.set_times(path, entry)
    }

    fn set_times(&self, path: &Path, entry: &FileEntry) -> Result<(), FilesError> {
        let Some(mtime) = entry.mtime else { return Ok(()) };
        let failed = |e: io::Error| FilesError::new("set the time of", path, e);
        // utimensat resolves every component but the last: that walk must stay beneath the base.
        let (parent, last) = (path.parent().filter(|p| !p.as_os_str().is_empty()), path.file_name());
        let times = both(mtime);
        let last = last.unwrap_or(path.as_os_str());
        match parent {
            Some(parent) => {
                let dir = self.base.open_dir(parent).map_err(failed)?;
                rustix::fs::utimensat(&dir, last, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
            None => rustix::fs::utimensat(&self.base, last, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
        .map_err(|e| failed(e.into()))
    }

    /// Gives the finished content its name, atomically, and syncs the folder. Refuses to replace
    /// anything.
    ///
    /// # Errors
    /// [`super::FilesErrorKind::Exists`] if the name is taken; else what the disk says.
    pub fn publish(&self, name: &OsStr) -> Result<PathBuf, FilesError> {
        let mut top = self.top.write().unwrap_or_else(PoisonError::into_inner);
        if *top != name {
            let rename = |flags| rustix::fs::renameat_with(&self.base, &*top, &self.base, name, flags);
            let renamed = match rename(RenameFlags::NOREPLACE) {
                // File systems without RENAME_NOREPLACE (some network ones): look, then rename.
                Err(rustix::io::Errno::INVAL) if self.base.symlink_metadata(name).is_err() => {
                    rename(RenameFlags::empty())
                }
                other => other,
            };
            renamed.map_err(|e| FilesError::new("publish", self.base_path.join(name), e.into()))?;
            name.clone_into(&mut top);
        }
        drop(top);
        rustix::fs::fsync(self.folder_handle()?).map_err(|e| FilesError::new("sync", &self.base_path, e.into()))?;
        Ok(self.base_path.join(name))
    }

    /// What stands under `name` in the base folder.
    pub fn taken(&self, name: &OsStr) -> bool {
        !matches!(self.base.symlink_metadata(name), Err(e) if e.kind() == io::ErrorKind::NotFound)
    }
}

/// Access and modification at this time.
pub(super) fn both(time: Timestamp) -> Timestamps {
    // Floored: the nanoseconds of a timespec count upwards, also before 1970.
    let nanos = time.as_nanosecond();
    let time =
        Timespec { tv_sec: nanos.div_euclid(1_000_000_000) as i64, tv_nsec: nanos.rem_euclid(1_000_000_000) as _ };
    Timestamps { last_access: time, last_modification: time }
}
