//! Reading and writing the bytes of one content where they lie, confined to one folder.
//!
//! A content lies at `base/top`: the file itself, or the folder of a tree. Every open goes through
//! [`cap_std::fs::Dir`], so that neither `..` nor a symbolic link leads outside `base`
//! (`openat2` with RESOLVE_BENEATH where the kernel has it). Writing follows no link at all, see [`super::beneath`].

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::beneath;
use super::error::{FilesError, FilesErrorKind};
use super::folders::Folders;
use super::handles::Handles;
use super::region::Region;
use super::touched::Written;
use crate::content::{Bitmap, ContentId, FileStamp, Layout, Manifest};

/// Open files per content.
const OPEN_FILES: usize = 64;
/// Shorter stretches of files are cheaper to read than to hand to the kernel one by one.
const MIN_REGION: u64 = 32 << 10;
/// A region counts as cached if a byte of every so many is. Page caches are filled and emptied in
/// larger steps than a page, so this misses next to nothing.
const CACHE_LOOK: usize = 64 << 10;

/// Whether files may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Shared in place: read only.
    Shared,
    /// Fetched by us: written piece by piece, read only once it is [pinned](ContentFiles::pin).
    Fetched,
}

/// The name under which a content grows until it is complete.
pub fn partial_name(id: &ContentId) -> OsString {
    format!(".skep-{}.part", &id.to_string()[..24]).into()
}

/// An open folder that contents lie in.
#[derive(Debug, Clone)]
pub struct Base {
    pub(super) dir: Arc<Dir>,
    pub(super) path: PathBuf,
}

impl Base {
    /// Opens it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| FilesError::new("open", path, e))?;
        Ok(Self { dir: Arc::new(dir), path: path.into() })
    }

    /// The folder, relative to this one, from which a rename to `path` stays on one mount: the uppermost such
    /// folder on the way that is there. Empty: this one itself.
    ///
    /// # Errors
    /// A link or a file stands where a folder should; else what the disk says.
    pub fn staging(&self, path: &Path) -> Result<PathBuf, FilesError> {
        let failed = |path: &Path, e| FilesError::new("look at", path, e);
        let top = beneath::open_folder(&self.dir, Path::new("")).map_err(|e| failed(path, e))?;
        let mut found = (PathBuf::new(), beneath::mount_of(&top).map_err(|e| failed(path, e))?);
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut folders: Vec<&Path> = parent.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
        folders.reverse();
        for folder in folders {
            match beneath::open_folder(&self.dir, folder) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(failed(folder, e)),
                Ok(open) => {
                    let mount = beneath::mount_of(&open).map_err(|e| failed(folder, e))?;
                    if mount != found.1 {
                        found = (folder.to_path_buf(), mount);
                    }
                }
            }
        }
        Ok(found.0)
    }
}

/// The files of one content.
#[derive(Debug)]
pub struct ContentFiles {
    pub(super) base: Arc<Dir>,
    pub(super) base_path: PathBuf,
    pub(super) top: RwLock<OsString>,
    pub(super) manifest: Arc<Manifest>,
    pub(super) layout: Layout,
    pub(super) place: Place,
    pub(super) stamps: OnceLock<Vec<FileStamp>>,
    pub(super) handles: Handles,
    /// Folders that files were lately made in.
    pub(super) folders: Folders,
    /// Which files are written to: another one that takes the name holds nothing.
    pub(super) written: Mutex<HashMap<usize, Written>>,
    pub(super) dirty: Mutex<HashSet<usize>>,
    /// A sync failed: nothing that these files hold may be recorded any more.
    pub(super) sync_failed: AtomicBool,
}

impl ContentFiles {
    /// The files of `manifest` at `base/top`. `stamps` are what they must still look like when they
    /// are read, see [`Self::pin`]; empty: that is not known yet.
    ///
    /// # Errors
    /// `base` cannot be opened.
    pub fn open(
        base: &Path,
        top: &OsStr,
        manifest: Arc<Manifest>,
        place: Place,
        stamps: Vec<FileStamp>,
    ) -> Result<Self, FilesError> {
        Ok(Self::open_in(&Base::open(base)?, top, manifest, place, stamps))
    }

    /// [`Self::open`], in a folder that many share: without a handle of its own for each.
    pub fn open_in(base: &Base, top: &OsStr, manifest: Arc<Manifest>, place: Place, stamps: Vec<FileStamp>) -> Self {
        let files = Self {
            base: base.dir.clone(),
            base_path: base.path.clone(),
            top: RwLock::new(top.into()),
            layout: Layout::new(&manifest),
            manifest,
            place,
            stamps: OnceLock::new(),
            handles: Handles::new(OPEN_FILES),
            folders: Folders::default(),
            written: Mutex::default(),
            dirty: Mutex::default(),
            sync_failed: AtomicBool::new(false),
        };
        if !stamps.is_empty() {
            files.pin(stamps);
        }
        files
    }

    /// The manifest these files belong to.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Where the bytes of each piece lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the content lies now.
    pub fn path(&self) -> PathBuf {
        self.base_path.join(&*self.top())
    }

    pub(super) fn top(&self) -> std::sync::RwLockReadGuard<'_, OsString> {
        self.top.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path of an entry below `base`.
    pub(super) fn entry_path(&self, file: usize) -> Result<PathBuf, FilesError> {
        let mut path = PathBuf::from(&*self.top());
        if !self.manifest.is_single_file() {
            let entry = &self.manifest.files[file];
            let name = entry.os_path().map_err(|e| FilesError {
                op: "open",
                path: entry.path.clone().into(),
                kind: FilesErrorKind::Escape,
                source: io::Error::other(e),
            })?;
            path.push(name);
        }
        Ok(path)
    }

    /// Fills `buf` from the content's bytes at `offset`. Blocks on the disk.
    ///
    /// # Errors
    /// A file that is gone, shorter than it was or (where [pinned](Self::pin)) changed.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), FilesError> {
        let mut rest = buf;
        for extent in self.layout.extents(offset..offset + rest.len() as u64) {
            let (part, tail) = rest.split_at_mut(extent.length as usize);
            let file = self.handles.get(extent.file, false, || self.open_read(extent.file))?;
            file.read_exact_at(part, extent.offset).map_err(|e| self.read_failed(extent.file, e))?;
            // Behind the read: what was written before or meanwhile shows.
            self.refuse_changed(extent.file, &file)?;
            rest = tail;
        }
        if rest.is_empty() { Ok(()) } else { Err(FilesError::changed(self.path())) }
    }

    /// Reads from `offset` on what the page cache holds, without waiting for a disk: fit for an async
    /// thread. Tells how many bytes of `buf` it filled; for the rest use [`Self::read_at`], also
    /// where the file is not open yet or the file system cannot tell (Linux: `RWF_NOWAIT`).
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, FilesError> {
        let mut filled = 0;
        for extent in self.layout.extents(offset..offset + buf.len() as u64) {
            let Some(file) = self.handles.peek(extent.file) else { break };
            let part = &mut buf[filled..filled + extent.length as usize];
            let count = read_nowait(&file, part, extent.offset);
            self.refuse_changed(extent.file, &file)?;
            filled += count;
            if count < extent.length as usize {
                break;
            }
        }
        Ok(filled)
    }

    /// The stretch of a file that the content's bytes from `offset` on are, `length` bytes at most, if
    /// the page cache holds it: the kernel can send it without a copy and without a wait for a disk.
    /// `None`: use [`Self::read_cached_at`] or [`Self::read_at`].
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn cached_region(&self, offset: u64, length: usize) -> Result<Option<Region>, FilesError> {
        let Some(extent) = self.layout.extents(offset..offset + length as u64).next() else { return Ok(None) };
        if extent.length < MIN_REGION {
            return Ok(None);
        }
        let Some(file) = self.handles.peek(extent.file) else { return Ok(None) };
        self.refuse_changed(extent.file, &file)?;
        let last = extent.offset + extent.length - 1;
        let looks = (extent.offset..last).step_by(CACHE_LOOK).chain([last]);
        let cached = is_cached(&file, looks);
        Ok(cached.then(|| Region::new(file, self.stamp(extent.file), extent.offset, extent.length as usize)))
    }

    fn read_failed(&self, file: usize, error: io::Error) -> FilesError {
        let path = self.entry_path(file).unwrap_or_default();
        if error.kind() == io::ErrorKind::UnexpectedEof {
            FilesError::changed(path)
        } else {
            FilesError::new("read", path, error)
        }
    }

    /// Whether files that are long enough to hold these pieces are there: a cheap look that notices
    /// partial data which somebody cut, deleted or replaced. The bytes themselves are not read.
    pub fn can_hold(&self, have: &Bitmap) -> bool {
        let mut looked_at = None;
        for piece in have.ones() {
            for extent in self.layout.extents(self.layout.piece(piece)) {
                let length = match looked_at {
                    Some((file, length)) if file == extent.file => length,
                    _ => self.length_of(extent.file),
                };
                looked_at = Some((extent.file, length));
                if length < extent.offset + extent.length {
                    return false;
                }
            }
        }
        true
    }

    /// Length of a regular file; 0 if there is none.
    fn length_of(&self, file: usize) -> u64 {
        let there = self.entry_path(file).ok().and_then(|path| self.base.symlink_metadata(path).ok());
        there.filter(|meta| meta.is_file()).map_or(0, |meta| meta.len())
    }

    pub(super) fn open_read(&self, file: usize) -> Result<File, FilesError> {
        let path = self.entry_path(file)?;
        self.base.open(&path).map(cap_std::fs::File::into_std).map_err(|e| FilesError::new("open", path, e))
    }

    /// The folder that the content lies in, opened so that it can be synced (a [`Dir`] may be a mere O_PATH handle).
    pub(super) fn folder_handle(&self) -> Result<rustix::fd::OwnedFd, FilesError> {
        let folder = Path::new(&*self.top()).parent().unwrap_or(Path::new("")).to_path_buf();
        beneath::open_folder(&self.base, &folder).map_err(|e| FilesError::new("open", self.base_path.join(&folder), e))
    }

    /// Closes every file; those that are needed again are opened again.
    pub fn close(&self) {
        self.handles.clear();
        self.folders.clear();
    }

    /// Bytes free on the file system that the content lies on.
    ///
    /// # Errors
    /// The file system cannot be asked.
    pub fn free_space(&self) -> Result<u64, FilesError> {
        let stat = rustix::fs::fstatvfs(self.folder_handle()?)
            .map_err(|e| FilesError::new("look at", &self.base_path, e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes of piece `index` within the content.
    pub fn piece(&self, index: u32) -> Range<u64> {
        self.layout.piece(index)
    }
}

/// Fills `buf` as far as the page cache reaches. Errors count as "not cached": the read that
/// follows tells them better.
#[cfg(target_os = "linux")]
fn read_nowait(file: &File, buf: &mut [u8], offset: u64) -> usize {
    let mut filled = 0;
    while filled < buf.len() {
        let at = offset + filled as u64;
        let mut rest = [io::IoSliceMut::new(&mut buf[filled..])];
        let read = match rustix::io::preadv2(file, &mut rest, at, rustix::io::ReadWriteFlags::NOWAIT) {
            Err(rustix::io::Errno::OPNOTSUPP) if is_in_memory(file) => file.read_at(&mut buf[filled..], at),
            other => other.map_err(io::Error::from),
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    filled
}

/// True if the page cache holds the bytes at `looks`.
#[cfg(target_os = "linux")]
fn is_cached(file: &File, mut looks: impl Iterator<Item = u64>) -> bool {
    let mut byte = [0];
    is_in_memory(file) || looks.all(|at| read_nowait(file, &mut byte, at) == 1)
}

/// Nothing is known elsewhere, and nothing could send it.
#[cfg(not(target_os = "linux"))]
fn is_cached(_file: &File, _looks: impl Iterator<Item = u64>) -> bool {
    false
}

/// tmpfs does not know `RWF_NOWAIT`, and has no disk to wait for.
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> bool {
    /// `TMPFS_MAGIC` in linux/magic.h.
    const TMPFS: u64 = 0x0102_1994;
    // The field's type differs between architectures.
    rustix::fs::fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(TMPFS))
}

#[cfg(not(target_os = "linux"))]
fn read_nowait(_file: &File, _buf: &mut [u8], _offset: u64) -> usize {
    0
}
