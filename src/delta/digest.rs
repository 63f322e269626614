//! The digest of the whole new file, beside everything else.
//!
//! Who searches the file hands on the buffers that it has read, in order as far as it can: then the file is read once. What was not handed on
//! (it was searched by several threads, or not at all) is read here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::ordered::give_way;
use crate::aligned::Aligned;
use crate::content::Digest;

/// Bytes per read while hashing.
const STEP: usize = 256 << 10;
/// Buffers on their way to be hashed. Who hands them on waits then: it needs not be further ahead of what is slowest.
const BUFFERS: usize = 4;

/// Something of the file.
#[derive(Debug)]
pub(super) enum Fed {
    /// So many bytes from this one on are what the buffer begins with.
    Bytes(u64, Aligned, usize),
    /// What lies before this byte will not be handed on.
    Upto(u64),
}

/// Hands on what was read of the file. Nothing has to be: it only saves reading it again.
#[derive(Debug)]
pub struct Feed {
    to: SyncSender<Fed>,
    free: Receiver<Aligned>,
}

impl Feed {
    pub(super) fn new() -> (Self, Receiver<Fed>, SyncSender<Aligned>) {
        let ((to, fed), (give_back, free)) = (sync_channel(BUFFERS), sync_channel(BUFFERS));
        (Self { to, free }, fed, give_back)
    }

    /// A buffer of at least so many bytes.
    pub(super) fn buffer(&self, length: usize) -> Aligned {
        let mut buffer = self.free.try_recv().unwrap_or_default();
        buffer.grow(length);
        buffer
    }

    /// So many bytes from this one of the file on are what `buffer` begins with.
    pub(super) fn bytes(&self, at: u64, buffer: Aligned, length: usize) {
        // Nobody hashes any more: that is told at the end.
        let _ = self.to.send(Fed::Bytes(at, buffer, length));
    }

    /// What lies before this byte is not handed on.
    pub(super) fn upto(&self, end: u64) {
        let _ = self.to.send(Fed::Upto(end));
    }
}

/// SHA-256 of a file, as far as it is.
struct Hashing<'a> {
    file: &'a File,
    hash: Sha256,
    at: u64,
    buffer: Aligned,
    stop: &'a AtomicBool,
}

impl<'a> Hashing<'a> {
    fn new(file: &'a File, stop: &'a AtomicBool) -> Self {
        Self { file, hash: Sha256::new(), at: 0, buffer: Aligned::default(), stop }
    }

    /// Reads on up to this byte, unless it is there already.
    fn upto(&mut self, end: u64) -> io::Result<()> {
        while self.at < end {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let want = (end - self.at).min(STEP as u64) as usize;
            self.buffer.grow(STEP);
            self.file.read_exact_at(&mut self.buffer[..want], self.at)?;
            self.hash.update(&self.buffer[..want]);
            self.at += want as u64;
        }
        Ok(())
    }

    /// Takes what is new of these bytes.
    fn take(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.upto(at)?;
        let known = usize::try_from(self.at - at).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(known..) {
            self.hash.update(new);
            self.at += new.len() as u64;
        }
        Ok(())
    }

    fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

/// SHA-256 of the first `size` bytes of a file, on this thread, unless `stop` is set.
///
/// # Errors
/// It cannot be read, is shorter (`UnexpectedEof`), or nobody wants to know any more (`Interrupted`).
pub fn digest_of(file: &File, size: u64, stop: &AtomicBool) -> io::Result<Digest> {
    let mut hashing = Hashing::new(file, stop);
    hashing.upto(size)?;
    Ok(hashing.finish())
}

/// The same, of what is handed on as long as somebody does.
fn digest_fed(
    file: &File,
    size: u64,
    stop: &AtomicBool,
    fed: &Receiver<Fed>,
    give_back: &SyncSender<Aligned>,
) -> io::Result<Digest> {
    let mut hashing = Hashing::new(file, stop);
    for fed in fed {
        match fed {
            Fed::Bytes(at, buffer, length) => {
                hashing.take(at, &buffer[..length])?;
                // Nobody wants it back.
                let _ = give_back.try_send(buffer);
            }
            Fed::Upto(end) => hashing.upto(end)?,
        }
    }
    hashing.upto(size)?;
    Ok(hashing.finish())
}

/// Runs `work` while the digest of `source` is computed on another core, which lets go of `running` when it is there. The work gets a
/// function that waits for it, and what feeds it: until it is dropped, the digest goes no further than what is handed on. Behind the work nobody
/// waits for it: it ends then.
///
/// # Errors
/// The work's.
pub fn with_digest<T, E>(
    source: &File,
    size: u64,
    stop: &AtomicBool,
    running: impl Send,
    work: impl FnOnce(&mut dyn FnMut() -> io::Result<Digest>, Feed) -> Result<T, E>,
) -> Result<T, E> {
    thread::scope(|scope| {
        let (feed, fed, give_back) = Feed::new();
        let hashing = thread::Builder::new().name("digest".into());
        let hashing = hashing.spawn_scoped(scope, move || {
            let _running = running;
            give_way();
            digest_fed(source, size, stop, &fed, &give_back)
        });
        let mut hashing = hashing.ok();
        let mut digest = || match hashing.take() {
            Some(hashing) => hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: it is this one's turn.
            None => digest_of(source, size, stop),
        };
        let done = work(&mut digest, feed);
        stop.store(true, Ordering::Relaxed);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, file};
    use super::*;

    fn handed_on(buffer: &[u8]) -> (Aligned, usize) {
        let mut aligned = Aligned::new(buffer.len() + 100);
        aligned[..buffer.len()].copy_from_slice(buffer);
        (aligned, buffer.len())
    }

    #[test]
    fn whatever_is_handed_on_it_is_the_digest_of_the_file() {
        let data = bytes(3_000_000, 1);
        let there = file(&data);
        let size = data.len() as u64;
        let wanted = Digest(Sha256::digest(&data).into());
        let never = AtomicBool::new(false);
        assert_eq!(digest_of(&there, size, &never).unwrap(), wanted);
        // All of it, with overlaps, with holes, twice, back and forth, and nothing at all.
        let ways: [&[std::ops::Range<usize>]; 6] = [
            &[0..1_000_000, 1_000_000..3_000_000],
            &[0..500_000, 400_000..2_000_000, 1_999_999..3_000_000],
            &[100_000..200_000, 1_500_000..1_600_000],
            &[0..900_000, 0..900_000, 0..1_000_000],
            &[2_000_000..3_000_000, 0..1_000_000],
            &[],
        ];
        for way in ways {
            let stop = AtomicBool::new(false);
            let done = with_digest(&there, size, &stop, (), |digest, feed| {
                for range in way {
                    let (buffer, length) = handed_on(&data[range.clone()]);
                    feed.bytes(range.start as u64, buffer, length);
                    feed.upto(range.start as u64 + 7);
                }
                drop(feed);
                digest()
            });
            assert_eq!(done.unwrap(), wanted, "{way:?}");
        }
    }

    #[test]
    fn what_is_handed_on_is_what_is_hashed() {
        let (data, other) = (bytes(1_000_000, 1), bytes(1_000_000, 2));
        let there = file(&other);
        let stop = AtomicBool::new(false);
        let done = with_digest(&there, 1_000_000, &stop, (), |digest, feed| {
            let (buffer, length) = handed_on(&data);
            feed.bytes(0, buffer, length);
            drop(feed);
            digest()
        });
        assert_eq!(done.unwrap(), Digest(Sha256::digest(&data).into()), "it was not read again");
    }

    #[test]
    fn nobody_waits_for_who_has_stopped() {
        let there = file(&[1; 1000]);
        let stop = AtomicBool::new(true);
        // A file that is shorter than it was: what is handed on after that goes nowhere, without waiting.
        let done = with_digest(&there, 2000, &stop, (), |digest, feed| {
            feed.upto(2000);
            (0..10 * BUFFERS as u64).for_each(|at| feed.bytes(at, Aligned::new(10), 10));
            drop(feed);
            digest()
        });
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
