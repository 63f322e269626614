//! A received content takes its name somewhere below the root, under one of three policies.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use cap_std::fs::MetadataExt as _;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::beneath;
use super::error::FilesError;
use super::files::ContentFiles;
use crate::content::{self, Bitmap, Digest};

/// Whether what stands under a name may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// No.
    Nothing,
    /// A file may be replaced by a file, a folder by a folder. One step: at no time is the name
    /// free or half there.
    Same,
}

/// Which file or folder something is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl ContentFiles {
    /// What stands at this path below the base folder; none if nothing does.
    pub fn identity(&self, path: &Path) -> Option<Identity> {
        let there = self.base.symlink_metadata(path).ok()?;
        Some(Identity { device: there.dev(), inode: there.ino() })
    }

    /// What the content is under the name that it has now.
    pub fn own_identity(&self) -> Option<Identity> {
        self.identity(Path::new(&*self.top()))
    }

    /// Reads back which of the segments in `which` (pieces of the manifest's length) have these digests,
    /// on all cores. Blocks for as long as that takes.
    ///
    /// # Errors
    /// What was written is not there any more, or is something else.
    pub fn verify(&self, segments: &[Digest], which: &Bitmap) -> Result<Bitmap, FilesError> {
        let top = self.top().clone();
        let failed = |e: io::Error| FilesError::new("read back", &top, e);
        let place = content::Place::inside(&self.base, Path::new(&top)).map_err(failed)?;
        let never = AtomicBool::new(false);
        content::verify_pieces(&place, &self.manifest, segments, which, &never).map_err(|e| failed(io::Error::other(e)))
    }

    /// Refuses a path below the base folder that cannot be landed on: a link or a file stands where
    /// a folder should, on the way to it.
    ///
    /// # Errors
    /// [`super::FilesErrorKind::Escape`] then; else what the disk says.
    pub fn check_landing(&self, path: &Path) -> Result<(), FilesError> {
        match beneath::open_folder(&self.base, path.parent().unwrap_or(Path::new(""))) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(drop).map_err(|e| FilesError::new("look at", path, e)),
        }
    }

    /// Gives the finished content its place below the base folder, atomically; makes folders on the
    /// way and syncs them. What a folder replaced is left under the content's former name.
    ///
    /// # Errors
    /// [`super::FilesErrorKind::Exists`] if the name is taken, [`super::FilesErrorKind::Escape`] if a link or a
    /// file stands in the way; else what the disk says.
    pub fn land(&self, path: &Path, replace: Replace) -> Result<(), FilesError> {
        let failed = |e: io::Error| FilesError::new("publish", path, e);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let mut top = self.top.write().unwrap_or_else(PoisonError::into_inner);
        self.make_folder(parent)?;
        let folder = beneath::open_folder(&self.base, parent).map_err(failed)?;
        let (Some(stage), Some(own)) = (Path::new(&*top).parent(), Path::new(&*top).file_name()) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let stage = beneath::open_folder(&self.base, stage).map_err(failed)?;
        let rename = |flags| rustix::fs::renameat_with(&stage, own, &folder, name, flags);
        let renamed = match rename(RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) if replace == Replace::Same => {
                let is_folder = |path: &Path| self.base.symlink_metadata(path).map(|there| there.is_dir());
                match (is_folder(Path::new(&*top)).map_err(failed)?, is_folder(path).map_err(failed)?) {
                    (false, false) => rename(RenameFlags::empty()),
                    (true, true) => rename(RenameFlags::EXCHANGE),
                    _ => Err(Errno::EXIST),
                }
            }
            // File systems without RENAME_NOREPLACE (some network ones): look, then rename.
            Err(Errno::INVAL) if self.base.symlink_metadata(path).is_err() => rename(RenameFlags::empty()),
            other => other,
        };
        renamed.map_err(|e| failed(e.into()))?;
        crate::failpoint::step("upload:renamed");
        path.as_os_str().clone_into(&mut top);
        drop(top);
        for ancestor in parent.ancestors() {
            let folder = beneath::open_folder(&self.base, ancestor).map_err(failed)?;
            rustix::fs::fsync(folder).map_err(|e| FilesError::new("sync", ancestor, e.into()))?;
        }
        Ok(())
    }

    /// Removes what lies under a name in the base folder, whatever it is.
    ///
    /// # Errors
    /// Whatever the disk says; not being there is fine.
    pub fn delete_named(&self, name: &OsStr) -> Result<(), FilesError> {
        let failed = |e| FilesError::new("delete", self.base_path.join(name), e);
        match self.base.symlink_metadata(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed(e)),
            Ok(there) if there.is_dir() => self.base.remove_dir_all(name).map_err(failed),
            Ok(_) => self.base.remove_file(name).map_err(failed),
        }
    }
}

/// The name to keep a second (third, ...) one of the same name under: `a.txt` becomes `a (2).txt`.
pub fn numbered(name: &OsStr, number: u32) -> OsString {
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|b| *b == b'.').filter(|dot| *dot > 0).unwrap_or(bytes.len());
    let mut out = bytes[..dot].to_vec();
    out.extend_from_slice(format!(" ({number})").as_bytes());
    out.extend_from_slice(&bytes[dot..]);
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::*;
    use crate::content::{FileEntry, Manifest};
    use crate::store::{FilesErrorKind, Place};

    fn landed(dir: &Path, tree: bool, path: &str, replace: Replace) -> Result<ContentFiles, FilesError> {
        let entry = FileEntry { mode: 0o644, mtime: None, path: "new".into(), size: 3, symlink: None };
        let name = if tree { "tree" } else { "new" };
        let manifest =
            Manifest { files: vec![entry], name: name.into(), piece_length: 1024, pieces: vec![], tree, version: 1 };
        let files = ContentFiles::open(dir, OsStr::new(".part"), Arc::new(manifest), Place::Fetched, vec![]).unwrap();
        files.write_at(0, b"new").unwrap_or_else(|_| {
            fs::create_dir(dir.join(".part")).unwrap();
            files.write_at(0, b"new").unwrap();
        });
        files.finish().unwrap();
        let before = files.own_identity();
        files.land(Path::new(path), replace)?;
        assert_eq!(files.identity(Path::new(path)), before, "the same file under another name");
        Ok(files)
    }

    #[test]
    fn the_three_ways_to_meet_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        landed(dir.path(), false, "deep/er/f", Replace::Nothing).unwrap();
        assert_eq!(fs::read(at("deep/er/f")).unwrap(), b"new");
        fs::write(at("f"), "old").unwrap();
        let refused = landed(dir.path(), false, "f", Replace::Nothing).unwrap_err();
        assert!(refused.kind == FilesErrorKind::Exists);
        assert_eq!(fs::read(at("f")).unwrap(), b"old");
        landed(dir.path(), false, "f", Replace::Same).unwrap();
        assert_eq!(fs::read(at("f")).unwrap(), b"new");
        assert!(!at(".part").exists());

        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/old"), "old").unwrap();
        assert_eq!(landed(dir.path(), false, "d", Replace::Same).unwrap_err().kind, FilesErrorKind::Exists);
        assert_eq!(fs::read(at("d/old")).unwrap(), b"old", "no file takes the place of a folder");
        fs::remove_file(at(".part")).unwrap();
        let files = landed(dir.path(), true, "d", Replace::Same).unwrap();
        assert_eq!(fs::read(at("d/new")).unwrap(), b"new");
        assert!(!at("d/old").exists() && at(".part/old").exists(), "what was replaced is under the former name");
        files.delete_named(OsStr::new(".part")).unwrap();
        assert!(!at(".part").exists());
    }

    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), dir.path().join("out")).unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        symlink("in", dir.path().join("also")).unwrap();
        for path in ["out/f", "out/deep/f", "also/f"] {
            let error = landed(dir.path(), false, path, Replace::Same).unwrap_err();
            assert_eq!(error.kind, FilesErrorKind::Escape, "{path}: {error}");
        }
        assert_eq!(outside.path().read_dir().unwrap().count(), 0);
        assert_eq!(dir.path().join("in").read_dir().unwrap().count(), 0);
        // A link under the name itself is replaced, what it leads to is not touched.
        fs::write(outside.path().join("f"), "theirs").unwrap();
        symlink(outside.path().join("f"), dir.path().join("f")).unwrap();
        landed(dir.path(), false, "f", Replace::Same).unwrap();
        assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"theirs");
        assert!(!dir.path().join("f").is_symlink());
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        for (name, numbered_name) in
            [("a.txt", "a (2).txt"), ("a", "a (2)"), (".rc", ".rc (2)"), ("a.b.c", "a.b (2).c")]
        {
            assert_eq!(numbered(OsStr::new(name), 2), numbered_name);
        }
    }
}
