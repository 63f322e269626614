//! Making a manifest: scan, hash in one streaming pass, check that nothing changed meanwhile.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::hash::{self, HashProgress, Meter, Stop};
use super::manifest::{self, MAX_PIECE_LENGTH, MAX_PIECES, MIN_PIECE_LENGTH};
use super::name;
use super::tree::{Scan, ScanError, Skipped, scan};
use super::{Digest, FileStamp, Known, Layout, Manifest, ManifestError, piece_length_for};

/// How to make a manifest. The default: length by size, all cores, nothing known.
#[derive(Debug, Clone, Copy, Default)]
pub struct MakeOptions<'a> {
    /// Bytes per piece; none: chosen by [`piece_length_for`].
    pub piece_length: Option<u64>,
    /// Threads that hash; 0: one per core.
    pub threads: usize,
    /// What a former run found out. Pieces whose files are unchanged are taken from it unread.
    pub known: Option<&'a Known>,
}

/// A manifest, and what went into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The manifest; it passes [`Manifest::check`].
    pub manifest: Manifest,
    /// What each of its files looked like, before and after it was read.
    pub stamps: Vec<FileStamp>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
    /// Bytes that were read and hashed.
    pub hashed_bytes: u64,
    /// Bytes whose digests were known.
    pub reused_bytes: u64,
}

impl From<Made> for Known {
    fn from(made: Made) -> Self {
        Self { manifest: made.manifest, stamps: made.stamps }
    }
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The tree could not be walked.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file was written to, replaced or removed while it was hashed. Trying again can help.
    #[error("{path:?} changed while it was being hashed; try again when nothing writes to it")]
    Changed {
        /// Path in the manifest, made printable.
        path: String,
    },
    /// A file could not be read.
    #[error("cannot read {path:?}: {error}")]
    Read {
        /// Path in the manifest, made printable.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A piece length outside the format's bounds.
    #[error("a piece length of {got} bytes; it must be {MIN_PIECE_LENGTH} to {MAX_PIECE_LENGTH}")]
    PieceLength {
        /// What was asked for.
        got: u64,
    },
    /// Too many pieces of that length.
    #[error(
        "{size} bytes in pieces of {piece_length} are {pieces} pieces, over the limit of {MAX_PIECES}; choose a longer piece length"
    )]
    TooManyPieces {
        /// Bytes in all.
        size: u64,
        /// Bytes per piece.
        piece_length: u64,
        /// Pieces that makes.
        pieces: u64,
    },
    /// The tree cannot be described soundly, such as a file below a folder of the same spelling.
    #[error("the tree cannot be described: {0}")]
    Manifest(#[from] ManifestError),
    /// The caller said so.
    #[error("cancelled")]
    Cancelled,
}

/// Makes the manifest of a file or a tree. Blocks, on as many threads as the options say.
///
/// `progress` is called from any of these threads, one call at a time, a few hundred times in all;
/// setting `cancel` ends the work within a buffer's reading.
///
/// # Errors
/// Whatever keeps the tree from being described as it is, a change under the reading included.
pub fn make(
    path: &Path,
    options: &MakeOptions<'_>,
    progress: &(dyn Fn(HashProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Made, MakeError> {
    make_scanned(scan(path)?, options, progress, cancel)
}

/// [`make`], of what a scan found before.
///
/// # Errors
/// As [`make`]; also if a file changed since the scan.
pub fn make_scanned(
    scan: Scan,
    options: &MakeOptions<'_>,
    progress: &(dyn Fn(HashProgress) + Sync),
    cancel: &AtomicBool,
) -> Result<Made, MakeError> {
    let size = scan.size();
    let piece_length = options.piece_length.unwrap_or_else(|| piece_length_for(size));
    if !(MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&piece_length) {
        return Err(MakeError::PieceLength { got: piece_length });
    }
    let pieces = size.div_ceil(piece_length);
    if pieces > MAX_PIECES as u64 {
        return Err(MakeError::TooManyPieces { size, piece_length, pieces });
    }
    let Scan { place, name, tree, files, stamps, skipped, .. } = scan;
    let mut manifest = Manifest { files, name, piece_length, pieces: Vec::new(), tree, version: manifest::VERSION };
    manifest.check_json_size(pieces)?;
    let layout = Layout::new(&manifest);

    let reused = match options.known {
        Some(known) => known.reusable(&layout, &stamps),
        None => vec![None; layout.piece_count() as usize],
    };
    let todo: Vec<u32> = (0..layout.piece_count()).filter(|p| reused[*p as usize].is_none()).collect();
    let hashed_bytes: u64 = todo.iter().map(|p| layout.piece_size(*p)).sum();
    let reused_bytes = size - hashed_bytes;
    let last_piece = |file| layout.pieces_of(&layout.file(file)).end as usize - 1;
    let known_files = layout.starts().iter().filter(|(_, file)| reused[last_piece(*file)].is_some()).count();

    let digests = reused.into_iter().map(|digest| digest.unwrap_or(Digest([0; 32]))).collect();
    let source = Source { place: &place, manifest: &manifest, stamps: &stamps, digests: Mutex::new(digests) };
    let meter = Meter::new(&layout, reused_bytes, known_files as u64, progress);
    hash::hash_pieces(&layout, &todo, options.threads, &source, &meter, cancel).map_err(|stop| match stop {
        Stop::Cancelled => MakeError::Cancelled,
        Stop::Failed(error) => error,
    })?;
    manifest.pieces = source.digests.into_inner().unwrap_or_else(PoisonError::into_inner);
    manifest.check()?;
    Ok(Made { manifest, stamps, skipped, hashed_bytes, reused_bytes })
}

/// Files as the scan saw them; any difference is an error.
struct Source<'a> {
    place: &'a super::Place,
    manifest: &'a Manifest,
    stamps: &'a [FileStamp],
    digests: Mutex<Vec<Digest>>,
}

impl Source<'_> {
    fn path(&self, file: usize) -> String {
        name::printable(&self.manifest.files[file].path)
    }

    /// By handle, so a file that took this one's name is noticed as well as a write.
    fn unchanged(&self, file: usize, handle: &File) -> Result<(), MakeError> {
        match handle.metadata() {
            Ok(now) if FileStamp::of(&now) == self.stamps[file] => Ok(()),
            Ok(_) => Err(MakeError::Changed { path: self.path(file) }),
            Err(error) => Err(MakeError::Read { path: self.path(file), error }),
        }
    }
}

impl hash::Source for Source<'_> {
    type Error = MakeError;

    fn open(&self, file: usize) -> Result<File, MakeError> {
        let changed = || MakeError::Changed { path: self.path(file) };
        let path = self.manifest.files[file].os_path().map_err(|_| changed())?;
        let handle = self.place.open_file(&path).map_err(|error| match Errno::from_io_error(&error) {
            // Gone, or now a link or a socket.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => changed(),
            _ => MakeError::Read { path: self.path(file), error },
        })?;
        self.unchanged(file, &handle)?;
        Ok(handle)
    }

    fn done(&self, file: usize, handle: &File) -> Result<(), MakeError> {
        self.unchanged(file, handle)
    }

    fn failed(&self, file: usize, error: io::Error) -> MakeError {
        let path = self.path(file);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => MakeError::Changed { path },
            _ => MakeError::Read { path, error },
        }
    }

    fn piece(&self, index: u32, digest: Result<Digest, MakeError>) -> Result<(), MakeError> {
        let digest = digest?;
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)[index as usize] = digest;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
