//! Writing a content piece by piece, and getting what was written onto the disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use cap_std::fs::{Metadata, Permissions, PermissionsExt as _};

use super::beneath;
use super::error::FilesError;
use super::files::{ContentFiles, Place};
use super::touched::Written;
use crate::content::{Bitmap, holes};

/// With more dirty files than this, one `syncfs` is cheaper than syncing each.
const SYNC_EACH: usize = 32;

impl ContentFiles {
    /// Writes bytes of the content where they belong. Files and folders are made as they are
    /// needed, private until the content is complete. Blocks on the page cache.
    ///
    /// # Errors
    /// Whatever the disk says; never writes outside `base`, nor through a link inside it.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), FilesError> {
        debug_assert_eq!(self.place, Place::Fetched, "shared files are never written");
        let mut rest = data;
        for extent in self.layout.extents(offset..offset + data.len() as u64) {
            let (part, tail) = rest.split_at(extent.length as usize);
            let file = self.handles.get(extent.file, true, || self.open_write(extent.file))?;
            let written = holes::put(&file, part, extent.offset, self.layout.file_size(extent.file), 0).map(drop);
            self.note_written(extent.file, &*file);
            // Behind the write: a sync that runs meanwhile must not take the mark and miss the bytes.
            self.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(extent.file);
            written.map_err(|e| FilesError::new("write", self.entry_path(extent.file).unwrap_or_default(), e))?;
            rest = tail;
        }
        Ok(())
    }

    /// Opens a file for writing; makes it, and folders on the way, if need be.
    pub(super) fn open_write(&self, file: usize) -> Result<File, FilesError> {
        let path = self.entry_path(file)?;
        let opened = match self.open_or_make(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    self.make_folder(parent)?;
                }
                self.open_or_make(&path)
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => self.open_read_only(&path, e),
            other => other,
        };
        let opened = opened.map_err(|e| FilesError::new("create", &path, e))?;
        let now = opened.metadata().map_err(|e| FilesError::new("open", &path, e))?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Written { device: now.dev(), inode: now.ino(), changed: None };
        let ours = written.entry(file).or_insert(first);
        if (ours.device, ours.inode) != (first.device, first.inode) {
            return Err(FilesError::replaced(path));
        }
        Ok(opened)
    }

    fn open_or_make(&self, path: &Path) -> io::Result<File> {
        let (parent, name) = beneath::split(path)?;
        let made = beneath::open_file(self.folders.get(&self.base, parent)?, name, 0o600);
        match made {
            // A folder held open may be one that was removed since, though another stands there now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folders.clear();
                beneath::open_file(self.folders.get(&self.base, parent)?, name, 0o600)
            }
            made => made,
        }
    }

    /// A file to be mended may be read-only to its owner (0444 is usual in archives): it is made
    /// writable for as long as opening it takes.
    fn open_read_only(&self, path: &Path, refusal: io::Error) -> io::Result<File> {
        // An escape has no code of the system.
        let there = self.base.symlink_metadata(path).ok().filter(|_| refusal.raw_os_error().is_some());
        let mode = there.filter(|there| there.is_file()).map(|there| there.permissions().mode() & 0o7777);
        let Some(mode) = mode.filter(|mode| mode & 0o200 == 0) else { return Err(refusal) };
        self.base.set_permissions(path, Permissions::from_mode(mode | 0o200)).map_err(|_| refusal)?;
        let opened = self.open_or_make(path);
        self.base.set_permissions(path, Permissions::from_mode(mode))?;
        opened
    }

    /// Whether the file that stands under its name is the one that was written to.
    pub(super) fn is_ours(&self, file: usize, there: &Metadata) -> bool {
        use cap_std::fs::MetadataExt as _;
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&file).is_none_or(|ours| (ours.device, ours.inode) == (there.dev(), there.ino()))
    }

    pub(super) fn make_folder(&self, path: &Path) -> Result<(), FilesError> {
        beneath::make_folders(&self.base, path).map_err(|e| FilesError::new("create folder", path, e))
    }

    /// Puts everything written so far on the disk. Blocks, possibly for seconds.
    ///
    /// # Errors
    /// The disk refused: then nothing written since the last sync may be relied on.
    pub fn sync(&self) -> Result<(), FilesError> {
        if self.sync_failed.load(Ordering::Relaxed) {
            // The system reports a lost write once; later syncs succeed and prove nothing.
            let lost = io::Error::other("an earlier sync failed; resume checks what is on the disk");
            return Err(FilesError::new("sync", self.path(), lost));
        }
        let result = self.sync_dirty();
        if result.is_err() {
            self.sync_failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Puts the files that hold these pieces on the disk, whoever wrote them: what was found there by
    /// reading may be in the page cache only. Blocks, possibly for seconds. Tells how many files
    /// that were.
    ///
    /// # Errors
    /// The disk refused: the pieces may not be recorded.
    pub fn sync_found(&self, have: &Bitmap) -> Result<usize, FilesError> {
        let mut files = BTreeSet::new();
        for piece in have.ones() {
            files.extend(self.layout.extents(self.layout.piece(piece)).map(|extent| extent.file));
        }
        let failed = |e: rustix::io::Errno| FilesError::new("sync", self.path(), e.into());
        if files.len() > SYNC_EACH {
            rustix::fs::syncfs(self.folder_handle()?).map_err(failed)?;
            return Ok(files.len());
        }
        for file in &files {
            // A handle to read does: the content may lie where nothing can be written.
            let handle = self.handles.get(*file, false, || self.open_read(*file))?;
            rustix::fs::fdatasync(&*handle).map_err(failed)?;
        }
        Ok(files.len())
    }

    fn sync_dirty(&self) -> Result<(), FilesError> {
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        let failed = |e: rustix::io::Errno| FilesError::new("sync", self.path(), e.into());
        if dirty.len() > SYNC_EACH {
            return rustix::fs::syncfs(self.folder_handle()?).map_err(failed);
        }
        for file in dirty {
            let handle = self.handles.get(file, true, || self.open_write(file))?;
            rustix::fs::fdatasync(&*handle).map_err(failed)?;
        }
        Ok(())
    }
}
