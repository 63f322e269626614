//! What is found of a stretch of the new file: by one thread as long as all comes as it should, by all of them where it does not.
//!
//! Where files are alike one thread is faster than the digest of the new file, which is one stream, and what it has read is handed on to that:
//! the file is read once. Where much is missed byte by byte is gone, and that is for all cores.

use std::io;
use std::ops::Range;

use super::{Delta, check, search};
use crate::delta::digest::Feed;
use crate::delta::matched::Matched;
use crate::delta::matcher::{Matcher, Run, Search};
use crate::delta::signature::Signature;
use crate::delta::table::Table;
use crate::delta::window::Window;

/// A stretch of so many blocks that is not found is looked for everywhere.
pub(super) const LONG: u64 = 8;
/// Bytes and blocks that one thread searches before it is asked whether that pays.
const STRIDE: u64 = 1 << 20;
const STRIDE_BLOCKS: u64 = 32;
/// Of a stretch one part in so many may be missed before all threads search the rest of it.
const FEW: u64 = 8;
/// Longer blocks, in bytes, are not for one thread: handing on what was read would take too much memory.
const LONGEST: u64 = 256 << 10;
/// Where most is left to the next stage: after how many blocks a place to hold on to is looked for, and how many are rolled over for it.
const APART: u64 = 32;
const HOLDS: u64 = 2;

/// Looks at one stretch after another.
pub(super) struct Looker<'a> {
    window: Window<'a>,
    feed: &'a Feed,
}

impl<'a> Looker<'a> {
    /// In the source; what it reads goes to `feed`.
    pub(super) fn new(delta: &Delta<'a>, feed: &'a Feed) -> Self {
        Self { window: Window::feeding(delta.source, 0, feed), feed }
    }

    /// Nothing comes after this.
    pub(super) fn finish(mut self) {
        self.window.hand_on();
    }

    /// What is found in a stretch of the new file. Blocks begin in it; the last one may end behind it, and the stretch with it.
    ///
    /// # Errors
    /// It cannot be read; `Interrupted` if it shall end.
    pub(super) fn look(
        &mut self,
        delta: &Delta<'_>,
        (signature, table): (&Signature, &Table),
        source: Range<u64>,
        expected: u64,
        skims: bool,
    ) -> io::Result<Matched> {
        let block = signature.blocks.length();
        let limit = (source.end + u64::from(block)).min(delta.source_size);
        let part = |range, expected| Matched::part(range, expected, delta.destination_size, Vec::new());
        let mut found = part(source.start..limit, expected);
        let (mut at, mut expected_here) = (source.start, expected);
        if !skims && u64::from(block) <= LONGEST {
            let runs;
            (runs, at) = self.follow(delta, (signature, table), &source, expected, limit)?;
            expected_here = behind(&runs, source.start, expected, at);
            found.add(runs, block);
        }
        if at < source.end {
            self.feed.upto(source.end);
            let mut searches = part(at..source.end, expected_here).searches();
            searches.iter_mut().for_each(|search| search.limit = limit);
            if skims {
                searches = searches.iter().flat_map(|search| skimmed(search, u64::from(block))).collect();
            }
            found.add(search(delta, signature, table, &searches)?, block);
        }
        found.cut(source.end);
        Ok(found)
    }

    /// Searches on this thread as long as little is missed; what was found, and up to where.
    fn follow(
        &mut self,
        delta: &Delta<'_>,
        (signature, table): (&Signature, &Table),
        source: &Range<u64>,
        expected: u64,
        limit: u64,
    ) -> io::Result<(Vec<Run>, u64)> {
        let hashes = signature.hashes();
        let matcher = Matcher::new(signature, &hashes, table);
        let block = u64::from(signature.blocks.length());
        let stride = STRIDE.max(STRIDE_BLOCKS * block);
        let most = (source.end - source.start) / FEW + LONG * block;
        let (mut runs, mut at, mut missed): (Vec<Run>, _, _) = (Vec::new(), source.start, 0);
        while at < source.end && missed <= most {
            check(delta)?;
            let end = (at + stride).min(source.end);
            let expected = Some(behind(&runs, source.start, expected, at));
            let step = Search { starts: at..end, limit, expected, patience: LONG * block };
            let (mut found, reached) = matcher.reached(&step, &mut self.window)?;
            // The file's last block, found before all that comes before it was searched, is found again.
            found.retain(|run| run.source < reached);
            let matched: u64 = found.iter().map(|run| run.length).sum();
            missed += (reached - at).saturating_sub(matched);
            at = reached;
            runs.extend(found);
            if reached < end {
                break;
            }
        }
        Ok((runs, at))
    }
}

/// The byte of the old file that is expected at `at`, which lies behind these runs, or if there are none behind `start`.
fn behind(runs: &[Run], start: u64, expected: u64, at: u64) -> u64 {
    let (source, destination) = runs.last().map_or((start, expected), |run| (run.source_end(), run.destination_end()));
    destination + at.saturating_sub(source)
}

/// A search of which only a part is rolled over: its beginning, and a little every [`APART`] blocks.
fn skimmed(search: &Search, block: u64) -> impl Iterator<Item = Search> + use<> {
    let (whole, expected, limit) = (search.starts.clone(), search.expected, search.limit);
    (whole.start..whole.end).step_by((APART * block) as usize).map(move |start| Search {
        starts: start..(start + APART * block).min(whole.end),
        limit,
        expected: expected.map(|at| at + (start - whole.start)),
        patience: if start == whole.start { u64::MAX } else { HOLDS * block },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::delta::blocks::Blocks;
    use crate::delta::digest::Fed;
    use crate::delta::hashes::StrongHash;
    use crate::delta::refine::Prices;
    use crate::delta::testing::{bytes, file};

    const MIB: usize = 1 << 20;
    const BLOCK: u32 = 16 << 10;

    /// What is found of `new`, looked at in stretches of 4 MiB, and the bytes that were handed on at least once.
    fn looked(old: &[u8], new: &[u8]) -> (Matched, u64) {
        let (there, here) = (file(old), file(new));
        let delta = Delta {
            source: &here,
            source_size: new.len() as u64,
            destination_size: old.len() as u64,
            block_length: Some(BLOCK),
            prices: Prices::default(),
            threads: 2,
            give_up: false,
            stop: &AtomicBool::new(false),
        };
        let blocks = Blocks::whole(old.len() as u64, BLOCK).unwrap();
        let signature = Signature::of(&there, blocks, (StrongHash::Xxh3 { seed: 5 }, 5), 1).unwrap();
        let table = Table::new(&signature);
        let (feed, fed, _back) = Feed::new();
        let counting = std::thread::spawn(move || {
            let (mut at, mut handed_on) = (0, 0);
            for fed in fed {
                if let Fed::Bytes(from, _, length) = fed {
                    let end = from + length as u64;
                    handed_on += end.saturating_sub(from.max(at));
                    at = at.max(end);
                }
            }
            handed_on
        });
        let mut looker = Looker::new(&delta, &feed);
        let mut all = Matched::nothing(delta.source_size, delta.destination_size);
        let (mut at, mut expected) = (0, 0);
        while at < delta.source_size {
            let end = (at + 4 * MIB as u64).min(delta.source_size);
            let found = looker.look(&delta, (&signature, &table), at..end, expected, false).unwrap();
            (at, expected) = (found.source().end, found.expected_behind());
            all.add(found.into_runs(), BLOCK);
        }
        looker.finish();
        drop(feed);
        for run in all.runs() {
            let (a, b, n) = (run.source as usize, run.destination as usize, run.length as usize);
            assert!(new[a..a + n] == old[b..b + n], "{run:?} is not what it says");
        }
        (all, counting.join().unwrap())
    }

    #[test]
    fn where_little_has_changed_the_file_is_read_once() {
        let old = bytes(16 * MIB, 1);
        let mut new = old.clone();
        new.splice(3 * MIB..3 * MIB, bytes(333, 2));
        (0..20).for_each(|n| new[n * 700_000 + 5] ^= 1);
        let (found, handed_on) = looked(&old, &new);
        assert!(found.literal_bytes() < 23 * u64::from(BLOCK), "{}", found.literal_bytes());
        assert!(handed_on > new.len() as u64 * 19 / 20, "{handed_on}");
    }

    #[test]
    fn what_was_moved_or_replaced_is_searched_by_all_threads_and_found_as_well() {
        let (old, other) = (bytes(16 * MIB, 1), bytes(5 * MIB, 2));
        let new = [&old[9 * MIB + 77..12 * MIB], &other, &old[..7 * MIB + 3], &other[..100], &old[13 * MIB..]].concat();
        let (found, handed_on) = looked(&old, &new);
        assert!(found.literal_bytes() < other.len() as u64 + 10 * u64::from(BLOCK), "{}", found.literal_bytes());
        assert!(handed_on < new.len() as u64 * 9 / 10, "{handed_on}");
    }

    #[test]
    fn an_end_is_found_whatever_is_before_it() {
        let old = bytes(2 * MIB + 777, 1);
        let new = [&bytes(MIB, 2)[..], &old[2 * MIB - 5..]].concat();
        assert_eq!(looked(&old, &new).0.matched_bytes(), 777);
        assert_eq!(looked(&old, &old).0.matched_bytes(), old.len() as u64);
        assert_eq!(looked(&old, &old[..2 * MIB]).0.matched_bytes(), 2 * MIB as u64);
    }
}
