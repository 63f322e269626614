//! What the files of a content look like on the disk, so that a change by somebody else is noticed.

use std::fs::File;
use std::path::Path;

use super::error::FilesError;
use super::files::ContentFiles;
use crate::content::{EntryKind, FileStamp, name};

impl ContentFiles {
    /// What every entry looks like now, parallel to the manifest's files. Links are not followed.
    ///
    /// # Errors
    /// An entry that is gone, or that the system does not let us look at.
    pub fn look(&self) -> Result<Vec<FileStamp>, FilesError> {
        let stamp = |index| {
            let path = self.entry_path(index)?;
            let there = self.base.symlink_metadata(&path).map_err(|e| FilesError::new("look at", path, e))?;
            Ok(FileStamp::of_confined(&there))
        };
        (0..self.manifest.files.len()).map(stamp).collect()
    }

    /// From now on the files are read only while they look like this, which is what [`Self::look`]
    /// gave when their bytes were known to be right. Once only: later calls change nothing.
    pub fn pin(&self, stamps: Vec<FileStamp>) {
        if stamps.len() == self.manifest.files.len() {
            let _ = self.stamps.set(stamps);
        }
    }

    /// What it looks like is known: it stands under its name, on the disk.
    pub fn is_pinned(&self) -> bool {
        self.stamps.get().is_some()
    }

    /// Whether every entry is there and looks as it did: a file like its stamp, a link with its
    /// target, a folder a folder. Nothing is read.
    pub fn is_as(&self, stamps: &[FileStamp]) -> bool {
        let is = |(index, stamp): (usize, &FileStamp)| {
            self.entry_path(index).is_ok_and(|path| self.entry_is_as(index, &path, Some(stamp)))
        };
        stamps.len() == self.manifest.files.len() && stamps.iter().enumerate().all(is)
    }

    /// Whether what stands at `path` is the entry `index` of the manifest: by its stamp or, if there
    /// is none, as far as its kind, size and target tell.
    pub(super) fn entry_is_as(&self, index: usize, path: &Path, stamp: Option<&FileStamp>) -> bool {
        let entry = &self.manifest.files[index];
        let Ok(there) = self.base.symlink_metadata(path) else { return false };
        match entry.kind() {
            EntryKind::Folder => there.is_dir(),
            EntryKind::File => {
                let same = |stamp: &FileStamp| FileStamp::of_confined(&there) == *stamp;
                there.is_file() && stamp.map_or(there.len() == entry.size, same)
            }
            EntryKind::Symlink => {
                let target = self.base.read_link_contents(path).ok();
                target.is_some_and(|target| Some(name::escape(target.as_os_str())) == entry.symlink)
            }
        }
    }

    /// What a file must look like to be read; none if nothing is pinned.
    pub(super) fn stamp(&self, index: usize) -> Option<FileStamp> {
        self.stamps.get()?.get(index).copied()
    }

    /// Refuses an open file that is not what it was when it was pinned.
    pub(super) fn refuse_changed(&self, index: usize, file: &File) -> Result<(), FilesError> {
        let Some(stamp) = self.stamp(index) else { return Ok(()) };
        if is_like(file, &stamp) {
            return Ok(());
        }
        self.handles.clear();
        Err(FilesError::changed(self.entry_path(index)?))
    }
}

/// Whether an open file looks like its stamp.
pub(super) fn is_like(file: &File, stamp: &FileStamp) -> bool {
    file.metadata().is_ok_and(|now| FileStamp::of(&now) == *stamp)
}
