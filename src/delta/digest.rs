//! The digest of the whole new file, beside everything else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::ordered::give_way;
use crate::aligned::Aligned;
use crate::content::Digest;

/// Bytes per read while hashing.
const STEP: usize = 256 << 10;

/// SHA-256 of the first `size` bytes of a file, on this thread, unless `stop` is set.
///
/// # Errors
/// It cannot be read, is shorter (`UnexpectedEof`), or nobody wants to know any more (`Interrupted`).
pub fn digest_of(file: &File, size: u64, stop: &AtomicBool) -> io::Result<Digest> {
    let (mut hash, mut at) = (Sha256::new(), 0);
    let mut buffer = Aligned::new(STEP);
    while at < size {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let want = (size - at).min(STEP as u64) as usize;
        file.read_exact_at(&mut buffer[..want], at)?;
        hash.update(&buffer[..want]);
        at += want as u64;
    }
    Ok(Digest(hash.finalize().into()))
}

/// Runs `work` while the digest of `source` is computed on another core, which lets go of `running` when it is there. The work gets a
/// function that waits for it; behind the work nobody does: it ends then.
///
/// # Errors
/// The work's.
pub fn with_digest<T, E>(
    source: &File,
    size: u64,
    stop: &AtomicBool,
    running: impl Send,
    work: impl FnOnce(&mut dyn FnMut() -> io::Result<Digest>) -> Result<T, E>,
) -> Result<T, E> {
    thread::scope(|scope| {
        let hashing = thread::Builder::new().name("digest".into());
        let hashing = hashing.spawn_scoped(scope, || {
            let _running = running;
            give_way();
            digest_of(source, size, stop)
        });
        let mut hashing = hashing.ok();
        let mut digest = || match hashing.take() {
            Some(hashing) => hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: it is this one's turn.
            None => digest_of(source, size, stop),
        };
        let done = work(&mut digest);
        stop.store(true, Ordering::Relaxed);
        done
    })
}
