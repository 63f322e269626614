//! Hashing pieces on all cores: the one pipeline behind making and verifying.
//!
//! The unit of work is a piece; threads take the next one from a counter, so that neither a slow
//! file nor a short piece idles anybody. A thread reads with positioned reads into one buffer that
//! stays in its L2 cache and hashes from there: the bytes cross memory once. It keeps the last file
//! open, so that a large file is opened once per thread and a small one once per piece.
//!
//! What to do with a digest, and what to make of a failure, is the [`Source`]'s affair.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use sha2::{Digest as _, Sha256};

use super::{Digest, Extent, Layout};
use crate::aligned::Aligned;

/// Bytes per read: small enough for L2 (where hashing finds them again), large enough that the
/// calls do not show.
const BUFFER: usize = 128 << 10;
/// Most threads; more than this is a mistake, not a machine.
const MAX_THREADS: usize = 256;

/// How far making or verifying has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashProgress {
    /// Bytes hashed, or known without hashing.
    pub bytes_done: u64,
    /// Bytes of the content.
    pub bytes_total: u64,
    /// Files whose last byte is done.
    pub files_done: u64,
    /// Files that hold bytes.
    pub files_total: u64,
}

/// Counts, and reports at most some hundred times in all.
pub(super) struct Meter<'a> {
    bytes: AtomicU64,
    files: AtomicU64,
    bytes_total: u64,
    files_total: u64,
    step: u64,
    /// Held while reporting, so that reports come one at a time and never run backwards.
    gate: Mutex<()>,
    report: &'a (dyn Fn(HashProgress) + Sync),
}

impl<'a> Meter<'a> {
    /// A meter for `layout`, of which some is done already.
    pub(super) fn new(layout: &Layout, bytes: u64, files: u64, report: &'a (dyn Fn(HashProgress) + Sync)) -> Self {
        let meter = Self {
            bytes: bytes.into(),
            files: files.into(),
            bytes_total: layout.size(),
            files_total: layout.file_count() as u64,
            // At the usual 1 to 3 GB/s this makes some ten reports a second.
            step: (layout.size() / 256).clamp(4 << 20, 128 << 20),
            gate: Mutex::new(()),
            report,
        };
        meter.show();
        meter
    }

    fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before / self.step != (before + bytes) / self.step
            && let Ok(_gate) = self.gate.try_lock()
        {
            self.show();
        }
    }

    /// Reports the figures as they are.
    pub(super) fn show(&self) {
        (self.report)(HashProgress {
            bytes_done: self.bytes.load(Relaxed),
            bytes_total: self.bytes_total,
            files_done: self.files.load(Relaxed),
            files_total: self.files_total,
        });
    }
}

/// Where bytes come from and where digests go.
pub(super) trait Source: Sync {
    /// What is wrong with a file.
    type Error: Send;

    /// Opens entry `file` of the manifest.
    fn open(&self, file: usize) -> Result<File, Self::Error>;

    /// Called once a thread has read what it needs of an opened file.
    fn done(&self, file: usize, handle: &File) -> Result<(), Self::Error>;

    /// Reading failed; `UnexpectedEof` if the file is shorter than the manifest says.
    fn failed(&self, file: usize, error: io::Error) -> Self::Error;

    /// Takes the digest of a piece, or why it has none. An error ends all threads.
    fn piece(&self, index: u32, digest: Result<Digest, Self::Error>) -> Result<(), Self::Error>;
}

/// Why hashing ended early.
#[derive(Debug)]
pub(super) enum Stop<E> {
    Cancelled,
    Failed(E),
}

/// Hashes the pieces in `todo` on `threads` threads (0: one per core), this one included.
pub(super) fn hash_pieces<S: Source>(
    layout: &Layout,
    todo: &[u32],
    threads: usize,
    source: &S,
    meter: &Meter<'_>,
    cancel: &AtomicBool,
) -> Result<(), Stop<S::Error>> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads }.min(todo.len()).clamp(1, MAX_THREADS);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut worker = Worker { layout, source, meter, cancel, open: None, buffer: Aligned::new(BUFFER) };
        let outcome = worker.run(todo, &next, &stop);
        if outcome.is_err() {
            stop.store(true, Relaxed);
        }
        outcome
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        // A thread that cannot be started is one helper less; this one works in any case.
        let spawn = |_| std::thread::Builder::new().name("hash".into()).spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..threads).map_while(spawn).collect();
        let mine = work();
        let theirs = helpers.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(mine).chain(theirs).collect()
    });
    // A failure says more than "cancelled".
    let mut end = Ok(());
    for outcome in outcomes {
        match outcome {
            Err(Stop::Failed(error)) => return Err(Stop::Failed(error)),
            Err(Stop::Cancelled) => end = Err(Stop::Cancelled),
            Ok(()) => {}
        }
    }
    meter.show();
    end
}

struct Worker<'a, S: Source> {
    layout: &'a Layout,
    source: &'a S,
    meter: &'a Meter<'a>,
    cancel: &'a AtomicBool,
    /// The file read last, and its index in the manifest.
    open: Option<(usize, File)>,
    buffer: Aligned,
}

impl<S: Source> Worker<'_, S> {
    fn run(&mut self, todo: &[u32], next: &AtomicUsize, stop: &AtomicBool) -> Result<(), Stop<S::Error>> {
        while !stop.load(Relaxed) {
            let Some(&index) = todo.get(next.fetch_add(1, Relaxed)) else { break };
            let digest = match self.hash(index) {
                Ok(digest) => Ok(digest),
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Cancelled) => return Err(Stop::Cancelled),
            };
            self.source.piece(index, digest).map_err(Stop::Failed)?;
        }
        self.close().map_err(Stop::Failed)
    }

    fn hash(&mut self, index: u32) -> Result<Digest, Stop<S::Error>> {
        let piece = self.layout.piece(index);
        let mut hash = Sha256::new();
        let mut left = piece.end - piece.start;
        for extent in self.layout.extents(piece) {
            let outcome = self.feed(&extent, &mut hash, &mut left);
            if outcome.is_err() {
                // What cannot be read is done with, too: the total is reached in any case.
                self.meter.add(left);
                outcome?;
            }
            if extent.offset + extent.length == self.layout.file_size(extent.file) {
                self.meter.files.fetch_add(1, Relaxed);
            }
        }
        Ok(Digest(hash.finalize().into()))
    }

    /// Hashes a run of bytes of one file; `left` counts down.
    fn feed(&mut self, extent: &Extent, hash: &mut Sha256, left: &mut u64) -> Result<(), Stop<S::Error>> {
        if self.open.as_ref().is_none_or(|(file, _)| *file != extent.file) {
            self.close().map_err(Stop::Failed)?;
            self.open = Some((extent.file, self.source.open(extent.file).map_err(Stop::Failed)?));
        }
        let Some((file, handle)) = &self.open else { return Ok(()) };
        let (mut at, end) = (extent.offset, extent.offset + extent.length);
        while at < end {
            if self.cancel.load(Relaxed) {
                return Err(Stop::Cancelled);
            }
            let want = self.buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let got = match handle.read_at(&mut self.buffer[..want], at) {
                Ok(0) => return Err(Stop::Failed(self.source.failed(*file, io::ErrorKind::UnexpectedEof.into()))),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Failed(self.source.failed(*file, error))),
            };
            hash.update(&self.buffer[..got]);
            at += got as u64;
            *left -= got as u64;
            self.meter.add(got as u64);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), S::Error> {
        match self.open.take() {
            Some((file, handle)) => self.source.done(file, &handle),
            None => Ok(()),
        }
    }
}
