//! The file that a delta is made of.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::store::Version;

/// The new file, open, as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) file: File,
    version: Version,
    mode: u32,
    mtime: Option<jiff::Timestamp>,
}

impl Source {
    /// Opens a file. None: it is none. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        Self::of(File::open(path)?).map(Some)
    }

    /// A file that is open.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of(file: File) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = file.metadata()?;
        Ok(Self {
            version: Version::of(&file)?,
            mode: metadata.permissions().mode() & 0o777,
            mtime: metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok()),
            file,
        })
    }

    /// Bytes of it.
    pub(crate) fn size(&self) -> u64 {
        self.version.size
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Its time of modification.
    pub(crate) fn mtime(&self) -> Option<jiff::Timestamp> {
        self.mtime
    }

    /// Whether it is still what it was.
    pub(crate) fn is_unchanged(&self) -> bool {
        Version::of(&self.file).is_ok_and(|version| version == self.version)
    }
}
