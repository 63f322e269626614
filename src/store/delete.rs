//! Taking a content off the disk again, and nothing but it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Permissions, PermissionsExt as _};

use super::error::FilesError;
use super::files::ContentFiles;
use crate::content::{EntryKind, FileStamp};
use crate::control::Kept;

impl ContentFiles {
    /// Removes what lies under the content's name, whatever it is: for partial data, whose folder is
    /// nobody else's. Not being there is fine.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn delete(&self) -> Result<(), FilesError> {
        self.close();
        let top = self.top().clone();
        self.delete_named(&top)
    }

    /// Removes the entries of the manifest, then the folders that are empty by that. What somebody
    /// added stays, and so does a file that does not look like its stamp any more (`stamps` as of
    /// [`Self::look`]; empty: one of another size). Entries that are gone are fine.
    ///
    /// # Errors
    /// Whatever the disk says; what was removed before stays removed.
    pub fn delete_entries(&self, stamps: &[FileStamp]) -> Result<Kept, FilesError> {
        self.close();
        let top = PathBuf::from(&*self.top());
        let mut kept = Kept::default();
        let mut folders = Folders::default();
        for (index, entry) in self.manifest.files.iter().enumerate() {
            let path = self.entry_path(index)?;
            if !folders.is_real(self, path.parent()) {
                continue;
            }
            if entry.kind() == EntryKind::Folder {
                folders.is_real(self, Some(&path));
            } else if self.base.symlink_metadata(&path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                // Gone already.
            } else if self.entry_is_as(index, &path, stamps.get(index)) {
                self.unlink(&path)?;
            } else {
                kept.changed += 1;
            }
        }
        // Longer paths first: a folder comes behind what is in it.
        let mut paths: Vec<&PathBuf> = folders.seen.iter().filter(|(_, real)| **real).map(|(path, _)| path).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        for path in paths {
            // One that is not empty stays; so does one that is gone or no folder any more.
            if self.base.remove_dir(path).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied) {
                self.make_writable(path.parent()).and_then(|()| self.base.remove_dir(path)).ok();
            }
        }
        kept.foreign = self.count(&top).saturating_sub(kept.changed);
        Ok(kept)
    }

    fn unlink(&self, path: &Path) -> Result<(), FilesError> {
        let removed = match self.base.remove_file(path) {
            // Of a folder that is read-only to its owner.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                self.make_writable(path.parent()).and_then(|()| self.base.remove_file(path))
            }
            other => other,
        };
        removed.map_err(|e| FilesError::new("delete", self.base_path.join(path), e))
    }

    fn make_writable(&self, folder: Option<&Path>) -> io::Result<()> {
        // The base folder is not the content's.
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))?;
        let mode = self.base.symlink_metadata(folder)?.permissions().mode() & 0o7777;
        self.base.set_permissions(folder, Permissions::from_mode(mode | 0o200))
    }

    /// Files, links and empty folders that are left below `top`.
    fn count(&self, top: &Path) -> u64 {
        let (mut left, mut todo) = (0, vec![top.to_path_buf()]);
        while let Some(path) = todo.pop() {
            let Ok(there) = self.base.symlink_metadata(&path) else { continue };
            let entries = there.is_dir().then(|| self.base.read_dir(&path).into_iter().flatten().flatten());
            let inside = entries.into_iter().flatten().map(|entry| path.join(entry.file_name()));
            let inside: Vec<PathBuf> = inside.collect();
            left += u64::from(inside.is_empty());
            todo.extend(inside);
        }
        left
    }
}

/// Folders of a tree: whether they are real ones, so that no link leads a removal astray.
#[derive(Default)]
struct Folders {
    seen: HashMap<PathBuf, bool>,
}

impl Folders {
    /// Whether a folder, and every folder on the way to it, is a real one.
    fn is_real(&mut self, files: &ContentFiles, folder: Option<&Path>) -> bool {
        let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return true };
        if let Some(real) = self.seen.get(folder) {
            return *real;
        }
        let is_folder = || files.base.symlink_metadata(folder).is_ok_and(|there| there.is_dir());
        let real = self.is_real(files, folder.parent()) && is_folder();
        self.seen.insert(folder.to_path_buf(), real);
        real
    }
}
