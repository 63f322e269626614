//! Whether files are still as the writes of this run left them. What was verified on its way in, was
//! written by us and was touched by nobody since need not be read again.

use std::os::fd::AsFd;
use std::sync::PoisonError;

use rustix::fs::{AtFlags, FileType, Stat};

use super::beneath;
use super::files::ContentFiles;
use super::folders::Folders;
use crate::content::Bitmap;

/// What a file was like behind our last write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub device: u64,
    pub inode: u64,
    /// Its change time (ctime), in nanoseconds since 1970: unlike that of modification nobody can set
    /// it back. None: opened to be written, no more.
    pub changed: Option<i64>,
}

#[allow(clippy::unnecessary_cast)] // the fields' types differ between systems
fn changed(stat: &Stat) -> i64 {
    (stat.st_ctime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64)
}

impl ContentFiles {
    /// Notes what a file looks like behind a write of ours. Several write at once and note in any
    /// order: the latest counts.
    pub(super) fn note_written(&self, file: usize, handle: impl AsFd) {
        let Ok(stat) = rustix::fs::fstat(handle) else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = written.get_mut(&file) {
            written.changed = written.changed.max(Some(changed(&stat)));
        }
    }

    /// The pieces of which bytes lie in a file that this run did not write, or that somebody else
    /// has touched since our last write (as far as the system's clock can tell: within the same tick,
    /// some milliseconds, it cannot). Looks at every file; blocks.
    pub fn touched(&self) -> Bitmap {
        let mut pieces = Bitmap::empty(self.layout.piece_count());
        let folders = Folders::default();
        for (file, _) in self.manifest.files.iter().enumerate().filter(|(_, entry)| entry.size > 0) {
            if !self.is_as_written(file, &folders) {
                for piece in self.layout.pieces_of(&self.layout.file(file)) {
                    pieces.set(piece);
                }
            }
        }
        pieces
    }

    fn is_as_written(&self, file: usize, folders: &Folders) -> bool {
        let noted = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(&file).copied();
        let (Some(noted), Ok(path)) = (noted, self.entry_path(file)) else { return false };
        let Ok((parent, name)) = beneath::split(&path) else { return false };
        let Ok(folder) = folders.get(&self.base, parent) else { return false };
        let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        #[allow(clippy::unnecessary_cast)]
        let there = Written { device: stat.st_dev as u64, inode: stat.st_ino as u64, changed: Some(changed(&stat)) };
        let long_enough = u64::try_from(stat.st_size).is_ok_and(|size| size >= self.manifest.files[file].size);
        FileType::from_raw_mode(stat.st_mode).is_file() && long_enough && there == noted
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::Arc;

    use crate::content::{FileEntry, Manifest};
    use crate::store::{ContentFiles, Place};

    #[test]
    fn who_else_was_there_shows() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |path: &str, size| FileEntry { mode: 0o644, mtime: None, path: path.into(), size, symlink: None };
        let files = vec![entry("a/f", 1500), entry("b/empty", 0), entry("b/g", 1000), entry("b/h", 1000)];
        let (name, piece_length) = ("t".into(), 1024);
        let manifest = Manifest { files, name, piece_length, pieces: vec![], tree: true, version: 1 };
        let files =
            ContentFiles::open(dir.path(), OsStr::new("t"), Arc::new(manifest), Place::Fetched, vec![]).unwrap();
        let touched = |files: &ContentFiles| files.touched().ones().collect::<Vec<_>>();
        assert_eq!(touched(&files), [0, 1, 2, 3], "nothing was written yet");
        files.write_at(0, &[7; 3500]).unwrap();
        assert_eq!(touched(&files), [0u32; 0]);
        let g = dir.path().join("t/b/g");
        let changed = || g.metadata().map(|there| (there.ctime(), there.ctime_nsec())).unwrap();
        let before = changed();
        while changed() == before {
            fs::File::options().write(true).open(&g).unwrap().set_len(1000).unwrap();
        }
        assert_eq!(touched(&files), [1, 2], "the pieces that g lies in");
        files.write_at(1024, &[8; 2048]).unwrap();
        assert_eq!(touched(&files), [0u32; 0], "written anew");
        fs::rename(&g, dir.path().join("kept")).unwrap();
        fs::copy(dir.path().join("kept"), &g).unwrap();
        assert_eq!(touched(&files), [1, 2], "another file of that name");
        fs::remove_dir_all(dir.path().join("t/a")).unwrap();
        assert_eq!(touched(&files), [0, 1, 2]);
    }
}
