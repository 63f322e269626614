//! The driver of matching: asks for signatures as the [`Refiner`] says and matches them on all cores.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::blocks::BlocksError;
use super::hashes::{AdlerSha, Hashes};
use super::matched::Matched;
use super::matcher::{Matcher, Run, Search};
use super::ordered::in_order;
use super::refine::{Ask, Prices, Refiner, first_block_length};
use super::signature::Signature;
use super::window::Window;

/// How far a sample is looked for around where it should be, in bytes to either side.
const AROUND: u64 = 256 << 10;

/// How to match.
#[derive(Debug, Clone, Copy, Default)]
pub struct MatchOptions<'a> {
    /// Bytes of first-round blocks; none: from the old file's size.
    pub block_length: Option<u32>,
    /// What bytes and rounds cost.
    pub prices: Prices,
    /// Threads; 0: one per core.
    pub threads: usize,
    /// Ends it soon, with an error (`Interrupted`), once it is set.
    pub stop: Option<&'a AtomicBool>,
}

/// Why matching failed.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// The new file cannot be read, or a signature cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The block length that was given does not go with the file.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
}

/// One round, as it ended.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Counted from 1.
    pub number: u32,
    /// The shortest blocks of this round, in bytes.
    pub block_length: u32,
    /// Blocks asked for.
    pub blocks: u64,
    /// Bytes of the new file with a match so far.
    pub matched: u64,
}

/// Finds what `source` (`source_size` bytes) shares with a file of `destination_size` bytes that is known by its signatures alone;
/// `fetch` gets those of one round, in order. Blocks.
///
/// # Errors
/// The source cannot be read or became shorter; whatever `fetch` says.
pub fn find_matches(
    source: &File,
    source_size: u64,
    destination_size: u64,
    options: &MatchOptions<'_>,
    mut fetch: impl FnMut(&[Ask]) -> io::Result<Vec<Signature>>,
    mut report: impl FnMut(Round, &Matched),
) -> Result<Matched, MatchError> {
    let mut matched = Matched::nothing(source_size, destination_size);
    if source_size == 0 || destination_size == 0 {
        return Ok(matched);
    }
    let mut refiner = Refiner::new(source_size, destination_size);
    let mut asks = vec![refiner.first(options.block_length.unwrap_or_else(|| first_block_length(destination_size)))?];
    let mut number = 0;
    while !asks.is_empty() {
        let signatures = fetch(&asks)?;
        for (ask, signature) in asks.iter().zip(&signatures) {
            if ask.sample {
                let found = search(source, signature, &samples(&matched, signature), options)?;
                refiner.on_sampled(ask, covered_bytes(&found), found.len() as u64);
            } else {
                let found = search(source, signature, &matched.searches(), options)?;
                matched.add(found, ask.blocks.length());
                refiner.on_matched(ask, &matched.covered());
            }
        }
        number += 1;
        let round = Round {
            number,
            block_length: asks.iter().map(|ask| ask.blocks.length()).min().unwrap_or(0),
            blocks: asks.iter().map(|ask| u64::from(ask.blocks.count())).sum(),
            matched: matched.matched_bytes(),
        };
        report(round, &matched);
        asks = refiner.next(matched.literal_bytes(), &options.prices);
    }
    Ok(matched)
}

fn search(
    source: &File,
    signature: &Signature,
    searches: &[Search],
    options: &MatchOptions<'_>,
) -> io::Result<Vec<Run>> {
    let hashes = AdlerSha::new(signature.blocks.length());
    search_until(source, signature, &hashes, searches, options.threads, options.stop)
}

/// Searches for a signature's blocks on all cores, results in the searches' order.
///
/// # Errors
/// The source cannot be read or became shorter.
pub fn search_with(
    source: &File,
    signature: &Signature,
    hashes: &impl Hashes,
    searches: &[Search],
    threads: usize,
) -> io::Result<Vec<Run>> {
    search_until(source, signature, hashes, searches, threads, None)
}

fn search_until(
    source: &File,
    signature: &Signature,
    hashes: &impl Hashes,
    searches: &[Search],
    threads: usize,
    stop: Option<&AtomicBool>,
) -> io::Result<Vec<Run>> {
    let matcher = Matcher::new(signature, hashes);
    let mut all = Vec::new();
    let window = || Window::new(source, 0);
    let work = |window: &mut Window<'_>, item: usize| {
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        matcher.search(&searches[item], window)
    };
    in_order(searches.len(), threads, window, work, |runs| {
        all.extend(runs);
        Ok(())
    })?;
    Ok(all)
}

/// Searches around where the sampled blocks should be.
fn samples(matched: &Matched, signature: &Signature) -> Vec<Search> {
    let mut by_destination = matched.runs().to_vec();
    by_destination.sort_unstable_by_key(|run| run.destination);
    let gaps: Vec<Range<u64>> = matched.gaps().map(|gap| gap.source).collect();
    let mut wanted: Vec<Range<u64>> = Vec::new();
    for range in signature.blocks.ranges() {
        for guess in matched.guesses(range.start, &by_destination).into_iter().flatten() {
            let gap = gaps.partition_point(|gap| gap.end <= guess);
            let Some(gap) = gaps.get(gap).filter(|gap| gap.start <= guess) else { continue };
            let end = guess.saturating_add(range.end - range.start).saturating_add(AROUND);
            wanted.push(guess.saturating_sub(AROUND).max(gap.start)..end.min(gap.end));
        }
    }
    wanted.sort_unstable_by_key(|range| range.start);
    let mut at = 0;
    let apart = wanted.into_iter().filter_map(|range| {
        let starts = range.start.max(at)..range.end;
        at = at.max(range.end);
        (!starts.is_empty()).then_some(Search { limit: starts.end, starts, expected: None })
    });
    apart.collect()
}

/// Bytes of the old file that runs cover, each counted once.
fn covered_bytes(runs: &[Run]) -> u64 {
    let mut all: Vec<_> = runs.iter().map(|run| (run.destination, run.destination_end())).collect();
    all.sort_unstable();
    let mut end = 0;
    all.into_iter()
        .map(|(from, to)| {
            let new = to.saturating_sub(from.max(end));
            end = end.max(to);
            new
        })
        .sum()
}
