//! Reading and writing the bytes of one content where they lie, confined to one folder.
//!
//! A content lies at `base/top`: the file itself, or the folder of a tree. Every open goes through
//! [`cap_std::fs::Dir`], so that neither `..` nor a symbolic link leads outside `base`
//! (`openat2` with RESOLVE_BENEATH where the kernel has it). Writing follows no link at all, see [`beneath`].

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::beneath;
use super::error::{FilesError, FilesErrorKind};
use super::handles::Handles;
use super::region::Region;
use crate::content::{Bitmap, ContentId, Layout, Manifest};

/// Open files per content.
const OPEN_FILES: usize = 64;
/// With more dirty files than this, one `syncfs` is cheaper than syncing each.
const SYNC_EACH: usize = 32;
/// Shorter stretches of files are cheaper to read than to hand to the kernel one by one.
const MIN_REGION: u64 = 32 << 10;
/// A region counts as cached if a byte of every so many is. Page caches are filled and emptied in
/// larger steps than a page, so this misses next to nothing.
const CACHE_LOOK: usize = 64 << 10;

/// Whether files may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Shared in place: read only, and every read checks that the file is what it was.
    Shared,
    /// Fetched by us: written piece by piece.
    Fetched,
}

/// The name under which a content grows until it is complete.
pub fn partial_name(id: &ContentId) -> OsString {
    format!(".skep-{}.part", &id.to_string()[..24]).into()
}

/// Size and modification time of a shared file when it was hashed.
pub(crate) type Stamp = (u64, i128);

/// The files of one content.
#[derive(Debug)]
pub struct ContentFiles {
    pub(super) base: Dir,
    pub(super) base_path: PathBuf,
    pub(super) top: RwLock<OsString>,
    pub(super) manifest: Arc<Manifest>,
    layout: Layout,
    place: Place,
    stamps: Vec<Stamp>,
    handles: Handles,
    pub(super) dirty: Mutex<HashSet<usize>>,
    /// A sync failed: nothing that these files hold may be recorded any more.
    sync_failed: AtomicBool,
}

impl ContentFiles {
    /// The files of `manifest` at `base/top`. `stamps` (parallel to the manifest's files) are what
    /// shared files must still look like; empty: not checked.
    ///
    /// # Errors
    /// `base` cannot be opened.
    pub fn open(
        base: &Path,
        top: &OsStr,
        manifest: Arc<Manifest>,
        place: Place,
        stamps: Vec<(u64, i128)>,
    ) -> Result<Self, FilesError> {
        let dir = Dir::open_ambient_dir(base, ambient_authority()).map_err(|e| FilesError::new("open", base, e))?;
        Ok(Self {
            base: dir,
            base_path: base.into(),
            top: RwLock::new(top.into()),
            layout: Layout::new(&manifest),
            manifest,
            place,
            stamps,
            handles: Handles::new(OPEN_FILES),
            dirty: Mutex::default(),
            sync_failed: AtomicBool::new(false),
        })
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
    /// A file that is gone, shorter than it was or (where shared in place) changed.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), FilesError> {
        let mut rest = buf;
        for extent in self.layout.extents(offset..offset + rest.len() as u64) {
            let (part, tail) = rest.split_at_mut(extent.length as usize);
            let file = self.handles.get(extent.file, false, || self.open_read(extent.file))?;
            if let Some(stamp) = self.stamps.get(extent.file)
                && !self.is_unchanged(&file, stamp)
            {
                self.handles.clear();
                return Err(FilesError::changed(self.entry_path(extent.file)?));
            }
            file.read_exact_at(part, extent.offset).map_err(|e| self.read_failed(extent.file, e))?;
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
            if let Some(stamp) = self.stamps.get(extent.file)
                && !self.is_unchanged(&file, stamp)
            {
                self.handles.clear();
                return Err(FilesError::changed(self.entry_path(extent.file)?));
            }
            let part = &mut buf[filled..filled + extent.length as usize];
            let count = read_nowait(&file, part, extent.offset);
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
        if let Some(stamp) = self.stamps.get(extent.file)
            && !self.is_unchanged(&file, stamp)
        {
            self.handles.clear();
            return Err(FilesError::changed(self.entry_path(extent.file)?));
        }
        let last = extent.offset + extent.length - 1;
        let looks = (extent.offset..last).step_by(CACHE_LOOK).chain([last]);
        let cached = is_cached(&file, looks);
        Ok(cached.then(|| Region::new(file, extent.offset, extent.length as usize)))
    }

    fn is_unchanged(&self, file: &File, (size, mtime_ns): &Stamp) -> bool {
        file.metadata().is_ok_and(|m| {
            m.len() == *size && i128::from(m.mtime()) * 1_000_000_000 + i128::from(m.mtime_nsec()) == *mtime_ns
        })
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

    fn open_read(&self, file: usize) -> Result<File, FilesError> {
        let path = self.entry_path(file)?;
        self.base.open(&path).map(cap_std::fs::File::into_std).map_err(|e| FilesError::new("open", path, e))
    }

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
            let written = file.write_all_at(part, extent.offset);
            // Behind the write: a sync that runs meanwhile must not take the mark and miss the bytes.
            self.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(extent.file);
            written.map_err(|e| FilesError::new("write", self.entry_path(extent.file).unwrap_or_default(), e))?;
            rest = tail;
        }
        Ok(())
    }

    pub(super) fn open_write(&self, file: usize) -> Result<File, FilesError> {
        let path = self.entry_path(file)?;
        let open = || beneath::open_file(&self.base, &path, 0o600);
        let opened = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    self.make_folder(parent)?;
                }
                open()
            }
            other => other,
        };
        opened.map_err(|e| FilesError::new("create", &path, e))
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

    /// The base folder, opened so that it can be synced (a [`Dir`] may be a mere O_PATH handle).
    pub(super) fn folder_handle(&self) -> Result<rustix::fd::OwnedFd, FilesError> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.base, ".", flags, Mode::empty())
            .map_err(|e| FilesError::new("open", &self.base_path, e.into()))
    }

    /// Closes every file.
    pub(super) fn close(&self) {
        self.handles.clear();
    }

    /// Bytes free on the file system.
    ///
    /// # Errors
    /// The file system cannot be asked.
    pub fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.base)?;
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
