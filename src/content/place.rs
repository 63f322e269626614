//! Where a content lies on disk, for reading: one file, or a folder that nothing leads out of.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;

/// An open folder, and the name of the one file in it if the content is a single file. All reads
/// go through the folder's handle (cap-std: the kernel keeps them beneath it where it can), so
/// neither `..` nor a symlink leads out, whatever happens to the tree meanwhile.
#[derive(Debug)]
pub struct Place {
    dir: Dir,
    single: Option<OsString>,
}

impl Place {
    /// What stands at a path that the user chose. Symlinks on the way to it are followed; inside it
    /// none lead out.
    ///
    /// # Errors
    /// Not there, not readable, or neither a regular file nor a folder (`InvalidInput`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = std::fs::canonicalize(path)?;
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            return Ok(Self { dir: Dir::open_ambient_dir(&path, ambient_authority())?, single: None });
        }
        match (kind.is_file(), path.parent(), path.file_name()) {
            (true, Some(parent), Some(name)) => {
                let dir = Dir::open_ambient_dir(parent, ambient_authority())?;
                Ok(Self { dir, single: Some(name.to_owned()) })
            }
            _ => Err(not_a_place()),
        }
    }

    /// What stands at `path` inside a folder that must not be left (a node's root). A symlink as
    /// the last component is refused.
    ///
    /// # Errors
    /// As [`Place::open`]; also where the path leads out of the folder.
    pub fn inside(dir: &Dir, path: &Path) -> io::Result<Self> {
        let kind = dir.symlink_metadata(path)?.file_type();
        if kind.is_dir() {
            return Ok(Self { dir: dir.open_dir(path)?, single: None });
        }
        match (kind.is_file(), path.parent(), path.file_name()) {
            (true, Some(parent), Some(name)) => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                Ok(Self { dir: dir.open_dir(parent)?, single: Some(name.to_owned()) })
            }
            _ => Err(not_a_place()),
        }
    }

    /// True if this is one file rather than a folder.
    pub fn is_single_file(&self) -> bool {
        self.single.is_some()
    }

    /// The folder; for a single file the one that it lies in.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The file's own name, if this is a single file.
    pub(super) fn single(&self) -> Option<&OsStr> {
        self.single.as_deref()
    }

    /// Where an entry of the manifest lies below the folder. A single file may have another name
    /// on disk than in its manifest.
    fn locate<'a>(&'a self, entry: &'a OsStr) -> &'a Path {
        Path::new(self.single.as_deref().unwrap_or(entry))
    }

    /// Opens a regular file for reading. Never waits (a FIFO put in its place would block) and does
    /// not follow a link.
    pub(crate) fn open_file(&self, entry: &OsStr) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        Ok(self.dir.open_with(self.locate(entry), &options)?.into_std())
    }

    /// What stands there, links not followed.
    pub(super) fn metadata(&self, entry: &OsStr) -> io::Result<Metadata> {
        self.dir.symlink_metadata(self.locate(entry))
    }

    /// A link's target as it is written.
    pub(super) fn read_link(&self, entry: &OsStr) -> io::Result<PathBuf> {
        self.dir.read_link_contents(self.locate(entry))
    }
}

fn not_a_place() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "neither a regular file nor a folder")
}
