//! The new file from the old one and instructions.
//!
//! One thread copies and writes, another hashes what was written, close behind it: what gets the name is what was
//! read back. A third one gets it onto the disk meanwhile. Long matched runs are the kernel's to copy (`copy_file_range`): as shared extents
//! where the file system has them, elsewhere into room that was made before.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::instructions::{Instruction, Reader};
use crate::aligned::Aligned;
use crate::content::Digest;

/// Bytes copied or hashed at a time.
const STEP: usize = 256 << 10;
/// From here on a matched run is the kernel's to copy.
const IN_KERNEL: u64 = 64 << 10;
/// Bytes that the kernel copies before progress is told.
const KERNEL_STEP: u64 = 8 << 20;
/// Room is made on the disk for so many bytes at a time.
const ROOM: u64 = 64 << 20;
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
    let (written, to_hash) = sync_channel(64);
    let (grown, to_sync) = sync_channel(1);
    let (done, digest) = thread::scope(|scope| {
        let spawn = |name: &str| thread::Builder::new().name(name.into());
        let hashing = spawn("digest").spawn_scoped(scope, move || hash(new, &to_hash)).map_err(PatchError::New)?;
        let syncing = spawn("sync").spawn_scoped(scope, move || sync(new, &to_sync)).map_err(PatchError::New)?;
        let shares = shares_extents(new);
        let mut writer =
            Patcher { old, new, at: 0, matched: 0, room: 0, shares, buffer: Aligned::default(), written, grown, report };
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

/// Hashes a file up to where it is known to be written, again and again.
fn hash(new: &File, written: &Receiver<u64>) -> io::Result<Digest> {
    let (mut hash, mut at) = (Sha256::new(), 0);
    let mut buffer = Aligned::new(STEP);
    while let Ok(end) = written.recv() {
        while at < end {
            let want = (end - at).min(STEP as u64) as usize;
            new.read_exact_at(&mut buffer[..want], at)?;
            hash.update(&buffer[..want]);
            at += want as u64;
        }
    }
    Ok(Digest(hash.finalize().into()))
}

/// Gets onto the disk what is written, again and again.
fn sync(new: &File, grown: &Receiver<u64>) -> io::Result<()> {
    let mut synced = 0;
    while let Ok(end) = grown.recv() {
        if end - synced >= SYNC {
            new.sync_data()?;
            synced = end;
        }
    }
    Ok(())
}

struct Patcher<'a, F> {
    old: &'a File,
    new: &'a File,
    at: u64,
    matched: u64,
    /// Up to here room was made.
    room: u64,
    shares: bool,
    buffer: Aligned,
    written: SyncSender<u64>,
    grown: SyncSender<u64>,
    report: F,
}

impl<F: FnMut(u64, u64)> Patcher<'_, F> {
    fn run(&mut self, reader: &mut Reader<impl Read>) -> Result<(), PatchError> {
        let (mut told, size) = (0, reader.header().source_size);
        while let Some(instruction) = reader.read().map_err(PatchError::Instructions)? {
            if self.at >= self.room && !self.shares {
                make_room(self.new, self.at, ROOM.min(size - self.at)).map_err(PatchError::New)?;
                self.room = self.at.saturating_add(ROOM);
            }
            match instruction {
                Instruction::Match(run) => self.copy(run.destination, run.length)?,
                Instruction::Literal { data, .. } => {
                    self.new.write_all_at(data, self.at).map_err(PatchError::New)?;
                    self.at += data.len() as u64;
                }
            }
            if self.at - told >= STEP as u64 {
                told = self.at;
                self.tell();
            }
        }
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        // Nobody hears it if reading back failed; that is told at the end.
        let _ = self.written.send(self.at);
        // One that still waits says as much; at the end all is synced again.
        let (Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = self.grown.try_send(self.at);
        (self.report)(self.matched, self.at - self.matched);
    }

    fn copy(&mut self, mut from: u64, mut left: u64) -> Result<(), PatchError> {
        while left >= IN_KERNEL {
            match copy_in_kernel(self.old, from, self.new, self.at, left.min(KERNEL_STEP)) {
                Ok(0) => break,
                Ok(copied) => {
                    (from, left) = (from + copied, left - copied);
                    self.copied(copied);
                    self.tell();
                }
                // Not on these file systems, or between them. What is really wrong shows again below.
                Err(_) => break,
            }
        }
        self.buffer.grow(STEP);
        while left > 0 {
            let part = &mut self.buffer[..left.min(STEP as u64) as usize];
            self.old.read_exact_at(part, from).map_err(PatchError::Old)?;
            self.new.write_all_at(part, self.at).map_err(PatchError::New)?;
            let copied = part.len() as u64;
            (from, left) = (from + copied, left - copied);
            self.copied(copied);
            self.tell();
        }
        Ok(())
    }

    fn copied(&mut self, bytes: u64) {
        self.at += bytes;
        self.matched += bytes;
    }
}

#[cfg(target_os = "linux")]
fn copy_in_kernel(old: &File, from: u64, new: &File, to: u64, length: u64) -> io::Result<u64> {
    let (mut from, mut to) = (from, to);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(rustix::fs::copy_file_range(old, Some(&mut from), new, Some(&mut to), length)? as u64)
}

/// Whether copies within the file system may cost nothing: copy on write, or a server of its own at the other end.
#[cfg(target_os = "linux")]
fn shares_extents(file: &File) -> bool {
    // Btrfs, XFS, bcachefs, OCFS2, ZFS, NFS, SMB (statfs(2), linux/magic.h).
    const MAGIC: [u64; 8] =
        [0x9123_683e, 0x5846_5342, 0xca45_1a4e, 0x7461_636f, 0x2fc1_2fc1, 0x6969, 0xff53_4d42, 0xfe53_4d42];
    rustix::fs::fstatfs(file).is_ok_and(|stat| MAGIC.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
fn shares_extents(_: &File) -> bool {
    false
}

/// Pages that have their place on the disk already are written at twice the speed, and a full disk shows before they are.
#[cfg(target_os = "linux")]
fn make_room(file: &File, at: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, at, length.max(1)) {
        Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG)) => {
            Err(error.into())
        }
        // Not on this file system: it is written all the same.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn make_room(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_: &File, _: u64, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
