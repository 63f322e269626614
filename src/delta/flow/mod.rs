//! A delta as a pipeline: instructions leave while signatures still come.
//!
//! ```text
//!  first signature ──▶ coarse ──batches──▶ fine ──decided──▶ emit ──instructions──▶
//!  (as it is made)     windows of the      what is open,     in order of
//!                      new file            asked for again   the new file
//!  digest: SHA-256 of the whole new file, beside them, of what coarse has read
//! ```
//!
//! `coarse` searches the new file window by window, each as soon as the signature has come as far as where its data should be. At the
//! first long stretch that is not found there it reads the signature to its end: what was moved may be anywhere. Where nothing at all
//! is found, probes in the rest tell whether to go on, or to leave the rest to `fine` and its samples. `fine` asks for shorter blocks of
//! what lies, in the old file, between what was found on both sides of a gap; batches that wait for it are dealt with together, so
//! that a long round trip takes more of them at once. What is left goes as literals, in the same stream: nothing is begun anew because
//! little was found.
//!
//! Channels are bounded: whoever is slow (the network, mostly) holds the others up. A thread that fails sets `stop`.

mod coarse;
mod emit;
mod fine;
mod look;
mod skim;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::blocks::BlocksError;
use super::digest::{Feed, with_digest};
use super::matcher::{Matcher, Run, Search};
use super::refine::{Ask, Prices, Refiner, first_block_length};
use super::search::search_until;
use super::signature::Signature;
use super::table::Table;
use crate::content::Digest;

/// Batches on their way from one stage to the next.
const BATCHES: usize = 64;

/// What is to be made, of what.
#[derive(Debug, Clone, Copy)]
pub struct Delta<'a> {
    /// The new file.
    pub source: &'a File,
    /// Bytes of it.
    pub source_size: u64,
    /// Bytes of the old one.
    pub destination_size: u64,
    /// Bytes of first-round blocks; none: from the old file's size.
    pub block_length: Option<u32>,
    /// What bytes and rounds cost.
    pub prices: Prices,
    /// Threads that search; 0: one per core.
    pub threads: usize,
    /// If next to nothing was found of a long file: say so instead of sending it as literals. It is as if nothing had been sent then.
    pub give_up: bool,
    /// Ends it soon, with an error (`Interrupted`), once it is set. It is set in any case when it has ended.
    pub stop: &'a AtomicBool,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The new file cannot be read, a further signature cannot be had, or nobody takes the instructions (`BrokenPipe`).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first signature does not come, or is not what was asked for.
    #[error(transparent)]
    Signature(io::Error),
    /// The block length that was given does not go with the file.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// It is better sent whole, and why.
    #[error("{0}")]
    Full(String),
}

impl FlowError {
    /// That somebody else has failed, or wants it to end.
    fn is_stop(&self) -> bool {
        matches!(self, Self::Io(error) | Self::Signature(error) if is_stop(error))
    }
}

/// What a signature's reader says when somebody wants it to end. Not `Interrupted`, which is what this pipeline says itself: who fills a
/// buffer ([`Read::read_exact`]) would try that again at once, and for ever.
pub const STOPPED: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// Whether an error says only that somebody wants it to end.
#[must_use]
pub fn is_stop(error: &io::Error) -> bool {
    matches!(error.kind(), STOPPED | io::ErrorKind::Interrupted)
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rounds of signatures that have come.
    pub rounds: u32,
    /// Bytes of the new file with a match.
    pub matched: u64,
    /// Bytes of the new file that go as they are.
    pub literal: u64,
}

/// A stretch of the new file was decided about.
#[derive(Debug)]
pub struct Told<'a> {
    /// With it.
    pub progress: Progress,
    /// The stretch; the next one begins where it ends.
    pub source: Range<u64>,
    /// What was found of it: the rest goes as it is.
    pub runs: &'a [Run],
}

/// A stretch of the new file, on its way through the stages.
#[derive(Debug)]
struct Batch {
    source: Range<u64>,
    /// The byte of the old file that is expected at its beginning.
    expected: u64,
    /// What was found.
    runs: Vec<Run>,
    /// It is the rest of the file, and the first signature had nothing of it.
    rest: bool,
    /// Nothing more is to be looked for in it.
    decided: bool,
}

/// Writes the instructions that make the source of the old file. `first` is what the old file's owner answers to the first question
/// (see [`first_ask`]), `further` asks for signatures of stretches, `out` takes the instructions, `whole` is asked at the very end
/// whether the source is still what it was. Gives `out` back. Blocks.
///
/// # Errors
/// See [`FlowError`]. `InvalidData` if the source is not what it was.
pub fn run<W: Write>(
    delta: &Delta<'_>,
    first: impl Read + Send,
    further: impl FnMut(&[Ask]) -> io::Result<Vec<Signature>> + Send,
    out: W,
    whole: impl FnOnce() -> bool,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<W, FlowError> {
    let hashing = AtomicBool::new(false);
    let (running, hashed) = sync_channel(0);
    with_digest(delta.source, delta.source_size, &hashing, running, |digest, feed| {
        let done = stages(delta, first, further, out, whole, tell, (digest, feed, &hashed));
        delta.stop.store(true, Ordering::Relaxed);
        done
    })
}

fn stages<W: Write>(
    delta: &Delta<'_>,
    first: impl Read + Send,
    further: impl FnMut(&[Ask]) -> io::Result<Vec<Signature>> + Send,
    out: W,
    whole: impl FnOnce() -> bool,
    tell: &(dyn Fn(Told<'_>) + Sync),
    (digest, feed, hashed): (&mut dyn FnMut() -> io::Result<Digest>, Feed, &Receiver<()>),
) -> Result<W, FlowError> {
    let ask = first_ask(delta)?;
    let grain = ask.blocks.length();
    let seen = skim::Seen::default();
    let (found, batches) = sync_channel(BATCHES);
    let (refined, decided) = sync_channel(BATCHES);
    let (running, read) = sync_channel(0);
    let stop_on_error = |done: Result<(), FlowError>| {
        if done.is_err() {
            delta.stop.store(true, Ordering::Relaxed);
        }
        done
    };
    thread::scope(|scope| {
        let spawn = |name: &str| thread::Builder::new().name(name.into());
        let coarse = spawn("coarse").spawn_scoped(scope, {
            let (ask, seen) = (ask.clone(), &seen);
            move || {
                let _running = running;
                stop_on_error(coarse::run(delta, &ask, first, &found, seen, feed))
            }
        })?;
        let fine = spawn("fine").spawn_scoped(scope, {
            let seen = &seen;
            move || stop_on_error(fine::run(delta, grain, further, &batches, &refined, tell, seen))
        })?;
        let written = emit::run(delta, grain, &decided, out).and_then(|mut writer| {
            // The rest of the signature may be long.
            emit::alive_until(delta, &mut writer, &read)?;
            Ok(writer)
        });
        if written.is_err() {
            delta.stop.store(true, Ordering::Relaxed);
        }
        // Whoever waits to hand something on finds nobody.
        drop(decided);
        let join = |thread: thread::ScopedJoinHandle<'_, Result<(), FlowError>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let (fine, coarse) = (join(fine), join(coarse));
        let errors: Vec<FlowError> = [fine.err(), coarse.err()].into_iter().flatten().collect();
        let mut writer = match (written, errors) {
            (Ok(writer), errors) if errors.is_empty() => writer,
            (written, mut errors) => {
                errors.extend(written.err().map(FlowError::Io));
                let worst = errors.iter().position(|error| !error.is_stop()).unwrap_or(0);
                return Err(errors.swap_remove(worst));
            }
        };
        emit::alive_until(delta, &mut writer, hashed)?;
        let digest = digest()?;
        if !whole() {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        writer.flush()?;
        Ok(writer.finish(&digest)?)
    })
}

/// What the first signature has to be of.
///
/// # Errors
/// The block length that was given does not go with the file.
pub fn first_ask(delta: &Delta<'_>) -> Result<Ask, BlocksError> {
    let length = delta.block_length.unwrap_or_else(|| first_block_length(delta.destination_size));
    Refiner::new(delta.source_size, delta.destination_size).first(length)
}

/// The shortest blocks that those of this length are halved to: what all matches are counted in.
fn common_grain(mut length: u32) -> u32 {
    while length.is_multiple_of(2) && super::blocks::BLOCK_LENGTHS.contains(&(length / 2)) {
        length /= 2;
    }
    length
}

/// Looks for what is in a signature.
fn search(delta: &Delta<'_>, signature: &Signature, table: &Table, searches: &[Search]) -> io::Result<Vec<Run>> {
    let hashes = signature.hashes();
    let matcher = Matcher::new(signature, &hashes, table);
    search_until(delta.source, &matcher, searches, delta.threads, delta.stop)
}

/// # Errors
/// `Interrupted` if it shall end.
fn check(delta: &Delta<'_>) -> io::Result<()> {
    if delta.stop.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// What to tell whoever finds that the next stage is gone: it has failed, and says why itself.
fn gone<T>(_: T) -> FlowError {
    io::Error::from(io::ErrorKind::Interrupted).into()
}
