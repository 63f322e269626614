//! The new file from the old one and instructions.
//!
//! One thread copies and writes, another hashes the very bytes that were written, close behind it. A third one gets them onto the disk
//! meanwhile. Long runs of zeros become holes. Where the file system shares extents long matched runs are the kernel's to copy
//! (`copy_file_range`), and are read back; elsewhere they are written as literals are, into room that was made before.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::instructions::{Instruction, Reader};
use super::room::{Ground, copy_in_kernel, make_room};
use crate::aligned::Aligned;
use crate::content::Digest;
use crate::content::holes::put;

/// Bytes written and hashed at a time, and how many of these are on their way from the one to the other.
const STEP: usize = 256 << 10;
const BUFFERS: usize = 4;
/// From here on a matched run is the kernel's to copy, where extents are shared.
const IN_KERNEL: u64 = 64 << 10;
/// Bytes that the kernel copies before progress is told.
const KERNEL_STEP: u64 = 8 << 20;
/// Room is made on the disk for so many bytes at a time.
const ROOM: u64 = 64 << 20;
/// But only behind so many buffers without a hole.
const DENSE: u32 = 4;
/// What is to be on the disk goes there in stretches of at least so many bytes.
const SYNC: u64 = 64 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patched {
    /// Bytes taken from the old file.
    pub matched: u64,
    /// Bytes that came with the instructions.
    pub literal: u64,
    /// SHA-256 of the new file, which is what the instructions said.
    pub digest: Digest,
}

/// Why there is no new file.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The instructions break a rule, are cut off, or do not arrive.
    #[error("cannot read the instructions: {0}")]
    Instructions(#[source] io::Error),
    /// They are for an old file of another size.
    #[error("the instructions are for a file of {expected} bytes; the one here has {found}: it changed, start again")]
    Changed {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The old file cannot be read, or became shorter.
    #[error("cannot read the old file: {0}")]
    Old(#[source] io::Error),
    /// The new file cannot be written.
    #[error("cannot write the new file: {0}")]
    New(#[source] io::Error),
    /// What came out is not what the instructions say. The old file may have changed meanwhile, or two blocks have the same hashes.
    #[error("the new file has SHA-256 {found}, it should have {expected}: send it whole")]
    Mismatch {
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
    },
}

/// Writes the new file into `new`, which is empty, and verifies it. Nothing else is touched; the end of `new` is not synced. Blocks.
///
/// # Errors
/// See [`PatchError`]; what `new` holds then is of no use.
pub fn patch(
    old: &File,
    instructions: impl Read,
    new: &File,
    report: impl FnMut(u64, u64),
) -> Result<Patched, PatchError> {
    let mut reader = Reader::new(instructions).map_err(PatchError::Instructions)?;
    let found = old.metadata().map_err(PatchError::Old)?.len();
    let expected = reader.header().destination_size;
    if found != expected {
        return Err(PatchError::Changed { expected, found });
    }
    let (fresh, to_hash) = sync_channel(BUFFERS);
    let (hashed, free) = sync_channel(BUFFERS);
    for _ in 1..BUFFERS {
        // It has room for all of them.
        let _ = hashed.send(Aligned::new(STEP));
    }
    let (grown, to_sync) = sync_channel(1);
    let (done, digest) = thread::scope(|scope| {
        let spawn = |name: &str| thread::Builder::new().name(name.into());
        let hashing = spawn("digest").spawn_scoped(scope, move || hash(new, &to_hash, &hashed));
        let hashing = hashing.map_err(PatchError::New)?;
        let syncing = spawn("sync").spawn_scoped(scope, move || sync(new, &to_sync)).map_err(PatchError::New)?;
        let mut writer = Patcher {
            old,
            new,
            size: reader.header().source_size,
            at: 0,
            matched: 0,
            buffer: Aligned::new(STEP),
            filled: 0,
            ground: Ground::of(new),
            room: 0,
            dense: 0,
            fresh,
            free,
            synced: 0,
            grown,
            report,
        };
        let done = writer.run(&mut reader);
        let totals = (writer.matched, writer.at - writer.matched);
        drop(writer);
        let digest = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let synced = syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done?;
        // Told once: a later sync of the same file knows nothing of it.
        synced.map_err(PatchError::New)?;
        Ok((totals, digest.map_err(PatchError::New)?))
    })?;
    match reader.digest() {
        Some(expected) if *expected == digest => Ok(Patched { matched: done.0, literal: done.1, digest }),
        Some(expected) => Err(PatchError::Mismatch { expected: *expected, found: digest }),
        None => Err(PatchError::Instructions(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// What was written, for whoever hashes it.
enum Fresh {
    /// These bytes, the first so many of them.
    Bytes(Aligned, usize),
    /// So many bytes, by the kernel: they are read back.
    Copied(u64),
}

/// Hashes what was written, close behind it.
fn hash(new: &File, fresh: &Receiver<Fresh>, free: &SyncSender<Aligned>) -> io::Result<Digest> {
    let (mut hash, mut at) = (Sha256::new(), 0);
    let mut buffer = Aligned::default();
    while let Ok(fresh) = fresh.recv() {
        match fresh {
            Fresh::Bytes(bytes, length) => {
                hash.update(&bytes[..length]);
                at += length as u64;
                // There is room for all of them; when the writer has ended nobody wants it back.
                let _ = free.send(bytes);
            }
            Fresh::Copied(length) => {
                let end = at + length;
                buffer.grow(STEP);
                while at < end {
                    let want = (end - at).min(STEP as u64) as usize;
                    new.read_exact_at(&mut buffer[..want], at)?;
                    hash.update(&buffer[..want]);
                    at += want as u64;
                }
            }
        }
    }
    Ok(Digest(hash.finalize().into()))
}

/// Gets onto the disk what is written, again and again.
fn sync(new: &File, grown: &Receiver<()>) -> io::Result<()> {
    while let Ok(()) = grown.recv() {
        new.sync_data()?;
    }
    Ok(())
}

struct Patcher<'a, F> {
    old: &'a File,
    new: &'a File,
    /// Bytes that the new file will have, that were made, and of these from the old file. The last `filled` are in the buffer yet.
    size: u64,
    at: u64,
    matched: u64,
    buffer: Aligned,
    filled: usize,
    ground: Ground,
    /// Up to here room was made.
    room: u64,
    /// Buffers in a row without a hole.
    dense: u32,
    fresh: SyncSender<Fresh>,
    free: Receiver<Aligned>,
    /// Up to here it is on the disk, or will be.
    synced: u64,
    grown: SyncSender<()>,
    report: F,
}

impl<F: FnMut(u64, u64)> Patcher<'_, F> {
    fn run(&mut self, reader: &mut Reader<impl Read>) -> Result<(), PatchError> {
        while let Some(instruction) = reader.read().map_err(PatchError::Instructions)? {
            match instruction {
                Instruction::Match(run) => self.copy(run.destination, run.length)?,
                Instruction::Literal { data, .. } => self.literal(data)?,
            }
        }
        self.put()
    }

    fn literal(&mut self, mut data: &[u8]) -> Result<(), PatchError> {
        while !data.is_empty() {
            let (part, rest) = data.split_at(data.len().min(STEP - self.filled));
            self.buffer[self.filled..][..part.len()].copy_from_slice(part);
            self.took(part.len())?;
            data = rest;
        }
        Ok(())
    }

    fn copy(&mut self, mut from: u64, mut left: u64) -> Result<(), PatchError> {
        if self.ground == Ground::Shares && left >= IN_KERNEL {
            self.put()?;
            while left > 0 {
                match copy_in_kernel(self.old, from, self.new, self.at, left.min(KERNEL_STEP)) {
                    // Not between these. What is really wrong shows again below.
                    Ok(0) | Err(_) => break,
                    Ok(copied) => {
                        (from, left) = (from + copied, left - copied);
                        self.at += copied;
                        self.matched += copied;
                        self.tell(Fresh::Copied(copied));
                    }
                }
            }
        }
        while left > 0 {
            let part = left.min((STEP - self.filled) as u64) as usize;
            let into = &mut self.buffer[self.filled..][..part];
            self.old.read_exact_at(into, from).map_err(PatchError::Old)?;
            self.matched += part as u64;
            (from, left) = (from + part as u64, left - part as u64);
            self.took(part)?;
        }
        Ok(())
    }

    /// So many bytes more are in the buffer.
    fn took(&mut self, bytes: usize) -> Result<(), PatchError> {
        self.at += bytes as u64;
        self.filled += bytes;
        if self.filled == STEP { self.put() } else { Ok(()) }
    }

    /// Writes what is in the buffer, and passes it on.
    fn put(&mut self) -> Result<(), PatchError> {
        if self.filled == 0 {
            return Ok(());
        }
        let from = self.at - self.filled as u64;
        if self.ground == Ground::Disk && self.dense >= DENSE && self.at > self.room {
            make_room(self.new, from, ROOM.min(self.size - from)).map_err(PatchError::New)?;
            self.room = from.saturating_add(ROOM);
        }
        let bytes = &self.buffer[..self.filled];
        let holes = put(self.new, bytes, from, self.size, self.room).map_err(PatchError::New)?;
        self.dense = if holes { 0 } else { self.dense.saturating_add(1) };
        // Nobody gives one back if reading back failed; that is told at the end.
        let next = self.free.recv().unwrap_or_else(|_| Aligned::new(STEP));
        let full = std::mem::replace(&mut self.buffer, next);
        self.tell(Fresh::Bytes(full, self.filled));
        self.filled = 0;
        Ok(())
    }

    fn tell(&mut self, fresh: Fresh) {
        // As above.
        let _ = self.fresh.send(fresh);
        // One that still waits says as much; at the end all is synced again.
        if self.at - self.synced >= SYNC && self.grown.try_send(()).is_ok() {
            self.synced = self.at;
        }
        (self.report)(self.matched, self.at - self.matched);
    }
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
