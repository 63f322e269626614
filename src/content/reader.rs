//! Reading what was scanned, by content bytes: runs over the files laid end to end. What changed since the
//! scan is noticed, never mixed in. Holes of sparse files are not read.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::name::printable;
use super::{Digest, Extent, FileEntry, FileStamp, Layout, Place, tree};
use crate::aligned::Aligned;

/// Bytes per read: they are hashed from the cache that the read left them in.
const STEP: usize = 128 << 10;
/// Shorter runs are read, holes or not.
#[cfg(target_os = "linux")]
const HOLE: u64 = 64 << 10;

/// Why bytes cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not what the scan saw: size, time of modification or inode differ.
    #[error("{path:?} changed since the transfer began")]
    Changed {
        /// Path in the content, made printable.
        path: String,
    },
    /// It cannot be read.
    #[error("cannot read {path:?}: {error}")]
    Read {
        /// Path in the content, made printable.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// An open content to read from. Blocks.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    files: Arc<Vec<FileEntry>>,
    stamps: Arc<Vec<FileStamp>>,
    layout: Layout,
    /// Files that could not be read as they were scanned, and why; none: the first one is an error.
    spoiled: Option<Mutex<BTreeMap<usize, String>>>,
}

impl Reader {
    /// Reads what a scan found at a place, in segments of `segment` bytes (the layout's pieces). `stamps`: one
    /// for each of `files`.
    pub fn new(place: Place, files: Arc<Vec<FileEntry>>, stamps: Arc<Vec<FileStamp>>, segment: u64) -> Self {
        let layout = Layout::of(&files, segment);
        Self { place, files, stamps, layout, spoiled: None }
    }

    /// What cannot be read any more as it was scanned reads as zeros, and is [told](Self::spoiled): the rest goes on.
    pub fn tolerant(self) -> Self {
        Self { spoiled: Some(Mutex::default()), ..self }
    }

    /// Is it [`Self::tolerant`]?
    pub fn is_tolerant(&self) -> bool {
        self.spoiled.is_some()
    }

    /// Paths of files that could not be read as they were scanned, and why: what was read of them is not what they hold.
    pub fn spoiled(&self) -> BTreeMap<String, String> {
        let Some(spoiled) = &self.spoiled else { return BTreeMap::new() };
        let spoiled = spoiled.lock().unwrap_or_else(PoisonError::into_inner);
        spoiled.iter().map(|(file, why)| (self.files[*file].path.clone(), why.clone())).collect()
    }

    /// Where segments lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads a run of content bytes into `buffer` (as long as the run), and hashes it on the way.
    ///
    /// # Errors
    /// A file cannot be read, or is not what the scan saw.
    pub fn read(&self, run: Range<u64>, buffer: &mut [u8]) -> Result<Digest, ReadError> {
        let mut hash = Sha256::new();
        let mut filled = 0;
        for extent in self.layout.extents(run) {
            let part = &mut buffer[filled..filled + extent.length as usize];
            filled += extent.length as usize;
            let Some(spoiled) = &self.spoiled else {
                self.extent(&extent, part, &mut hash)?;
                continue;
            };
            let known = spoiled.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&extent.file);
            let before = hash.clone();
            let why = match self.extent(&extent, part, &mut hash) {
                Ok(()) if !known => continue,
                Ok(()) => None,
                Err(error) => Some(error.to_string()),
            };
            // Once it was another it stays so: its bytes here may be of two times.
            hash = before;
            part.fill(0);
            hash.update(&*part);
            if let Some(why) = why {
                spoiled.lock().unwrap_or_else(PoisonError::into_inner).entry(extent.file).or_insert(why);
            }
        }
        Ok(Digest(hash.finalize().into()))
    }

    /// Reads a run of one file, and hashes it.
    fn extent(&self, extent: &Extent, part: &mut [u8], hash: &mut Sha256) -> Result<(), ReadError> {
        let path = || printable(&self.files[extent.file].path);
        let failed = |error| ReadError::Read { path: path(), error };
        let name = self.files[extent.file].os_path().map_err(|error| failed(io::Error::other(error)))?;
        let file = match self.place.open_file(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::Changed { path: path() });
            }
            file => file.map_err(failed)?,
        };
        let metadata = self.same(&file, extent.file)?;
        if is_hole(&file, &metadata, extent) {
            part.fill(0);
            hash.update(&*part);
        } else {
            for (at, step) in part.chunks_mut(STEP).enumerate() {
                match file.read_exact_at(step, extent.offset + (at * STEP) as u64) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(ReadError::Changed { path: path() });
                    }
                    read => read.map_err(failed)?,
                }
                hash.update(&*step);
            }
        }
        // Written to meanwhile: the bytes may be of either time.
        self.same(&file, extent.file).map(drop)
    }

    /// Reads everything again and compares it with the digests of its segments. False: `stopped` said so.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it was.
    pub fn compare(&self, digests: &[Digest], stopped: impl Fn() -> bool) -> Result<bool, ReadError> {
        let mut buffer = Aligned::new(usize::try_from(self.layout.piece_length().min(self.layout.size())).unwrap_or(0));
        for (segment, digest) in (0..).zip(digests) {
            if stopped() {
                return Ok(false);
            }
            let run = self.layout.piece(segment);
            let length = (run.end - run.start) as usize;
            if self.read(run.clone(), &mut buffer[..length])? != *digest {
                let file = self.layout.extents(run).next().map_or(0, |extent| extent.file);
                let path = self.files.get(file).map_or("", |entry| entry.path.as_str());
                return Err(ReadError::Changed { path: printable(path) });
            }
        }
        Ok(true)
    }

    fn same(&self, file: &File, index: usize) -> Result<Metadata, ReadError> {
        let path = || printable(&self.files[index].path);
        let metadata = file.metadata().map_err(|error| ReadError::Read { path: path(), error })?;
        if self.stamps.get(index) == Some(&FileStamp::of(&metadata)) {
            Ok(metadata)
        } else {
            Err(ReadError::Changed { path: path() })
        }
    }
}

/// Whether a whole run of a file is a hole (lseek(2), `SEEK_DATA`).
#[cfg(target_os = "linux")]
fn is_hole(file: &File, metadata: &Metadata, extent: &Extent) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::SeekFrom;
    use rustix::io::Errno;
    if extent.length < HOLE || metadata.blocks().saturating_mul(512) >= metadata.len() {
        return false;
    }
    match rustix::fs::seek(file, SeekFrom::Data(extent.offset)) {
        Ok(data) => data >= extent.offset + extent.length,
        // No data behind that place.
        Err(error) => error == Errno::NXIO,
    }
}

#[cfg(not(target_os = "linux"))]
fn is_hole(_: &File, _: &Metadata, _: &Extent) -> bool {
    false
}

/// The first entry that two scans of a path see differently, made printable; none if they are alike.
pub fn first_difference(before: (&[FileEntry], &[FileStamp]), now: (&[FileEntry], &[FileStamp])) -> Option<String> {
    let same = |n: usize| {
        let (Some(a), Some(b)) = (before.0.get(n), now.0.get(n)) else { return false };
        tree::is_same((a, before.1.get(n)), (b, now.1.get(n)))
    };
    let at = (0..before.0.len().max(now.0.len())).find(|n| !same(*n))?;
    Some(printable(&before.0.get(at).or(now.0.get(at))?.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Scan, look_again, scan};

    #[test]
    fn runs_over_files_and_notices_every_change() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("t");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("a"), b"abc").unwrap();
        std::fs::write(tree.join("b"), b"").unwrap();
        std::fs::write(tree.join("c"), vec![7; 300_000]).unwrap();
        let Scan { place, files, stamps, .. } = scan(&tree).unwrap();
        let reader = Reader::new(place, Arc::new(files), Arc::new(stamps), 1 << 20);
        let mut all = b"abc".to_vec();
        all.extend([7; 300_000]);
        let mut buffer = vec![0; 300_003];
        let digest = reader.read(0..300_003, &mut buffer).unwrap();
        assert!(buffer == all);
        assert_eq!(digest.0, <[u8; 32]>::from(Sha256::digest(&all)));
        reader.read(2..5, &mut buffer[..3]).unwrap();
        assert_eq!(&buffer[..3], [b'c', 7, 7]);
        let changed = |what: &dyn Fn()| {
            what();
            matches!(reader.read(2..5, &mut [0; 3]), Err(ReadError::Changed { path }) if path == "c")
        };
        let c = tree.join("c");
        assert!(changed(&|| std::fs::write(&c, b"short").unwrap()));
        assert!(changed(&|| std::fs::write(&c, vec![7; 300_001]).unwrap()));
        assert!(changed(&|| std::fs::remove_file(&c).unwrap()));
        assert!(reader.read(0..3, &mut [0; 3]).is_ok(), "the others are as they were");
    }

    #[test]
    fn what_leaves_no_other_trace_moves_the_time_of_change_and_is_found_by_reading_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![7; 3000]).unwrap();
        let before = scan(&path).unwrap();
        let (changed_ns, times) = (before.changed_ns, std::fs::metadata(&path).unwrap());
        let reader = Reader::new(before.place, Arc::new(before.files), Arc::new(before.stamps), 1024);
        let digests: Vec<Digest> = (0..3)
            .map(|segment| {
                let run = reader.layout().piece(segment);
                let mut buffer = vec![0; (run.end - run.start) as usize];
                reader.read(run, &mut buffer).unwrap()
            })
            .collect();
        assert!(reader.compare(&digests, || false).unwrap());
        assert!(!reader.compare(&digests, || true).unwrap(), "stopped");
        // Until the file system's clock has moved on.
        while scan(&path).unwrap().changed_ns == changed_ns {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[8], 2500).unwrap();
            file.set_modified(times.modified().unwrap()).unwrap();
        }
        assert_eq!(FileStamp::of(&std::fs::metadata(&path).unwrap()), FileStamp::of(&times), "no other trace");
        assert!(matches!(reader.compare(&digests, || false), Err(ReadError::Changed { path }) if path == "f"));
    }

    #[test]
    fn a_tolerant_reader_goes_on_without_what_changed_and_names_it() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a", b"aaaa"), ("b", b"bbbb"), ("c", b"cccc")] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let found = scan(dir.path()).unwrap();
        let reader = Reader::new(found.place, Arc::new(found.files), Arc::new(found.stamps), 1 << 20).tolerant();
        let mut buffer = [7; 12];
        reader.read(0..12, &mut buffer).unwrap();
        assert_eq!((&buffer, reader.spoiled().len()), (b"aaaabbbbcccc", 0));
        std::fs::write(dir.path().join("b"), b"longer").unwrap();
        let digest = reader.read(2..12, &mut buffer[..10]).unwrap();
        assert_eq!(&buffer[..10], b"aa\0\0\0\0cccc");
        assert_eq!(digest.0, <[u8; 32]>::from(Sha256::digest(&buffer[..10])), "of what was read");
        let spoiled = reader.spoiled();
        assert_eq!(spoiled.keys().collect::<Vec<_>>(), ["b"]);
        assert!(spoiled["b"].contains("changed"), "{spoiled:?}");
    }

    #[test]
    fn holes_read_as_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("f")).unwrap();
        file.write_all_at(&[9; 4096], 1 << 20).unwrap();
        file.set_len(3 << 20).unwrap();
        let found = scan(dir.path()).unwrap();
        let reader = Reader::new(found.place, Arc::new(found.files), Arc::new(found.stamps), 1 << 20);
        let mut buffer = vec![7; 1 << 20];
        for piece in 0..3 {
            let digest = reader.read(reader.layout().piece(piece), &mut buffer).unwrap();
            assert_eq!(digest.0, <[u8; 32]>::from(Sha256::digest(&buffer)));
            assert_eq!(buffer.iter().filter(|byte| **byte != 0).count(), if piece == 1 { 4096 } else { 0 });
        }
    }

    #[test]
    fn scans_differ_where_something_changed() {
        let dir = tempfile::tempdir().unwrap();
        let see = || scan(dir.path()).unwrap();
        std::fs::write(dir.path().join("a"), b"abc").unwrap();
        let before = see();
        // However it is looked at.
        let difference = |now: &Scan| {
            let found = first_difference((&before.files, &before.stamps), (&now.files, &now.stamps));
            let again = look_again(dir.path(), &before.files, &before.stamps).unwrap().difference;
            assert_eq!(found, again);
            found
        };
        assert_eq!(difference(&see()), None);
        std::fs::write(dir.path().join("b"), b"").unwrap();
        assert_eq!(difference(&see()).as_deref(), Some("b"));
        std::fs::remove_file(dir.path().join("b")).unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("old")).unwrap();
        std::fs::copy(dir.path().join("old"), dir.path().join("a")).unwrap();
        std::fs::remove_file(dir.path().join("old")).unwrap();
        assert_eq!(difference(&see()).as_deref(), Some("a"), "another inode");
    }
}
