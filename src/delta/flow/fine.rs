//! The second stage: what the first signature left open is asked for again in shorter blocks, round by round.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender};

use super::skim::Seen;
use super::{Batch, Delta, FlowError, Progress, Told, check, gone, search};
use crate::delta::matched::Matched;
use crate::delta::matcher::{Run, Search};
use crate::delta::pays::{Verdict, after_matching};
use crate::delta::refine::{Ask, Refiner, Sampled};
use crate::delta::signature::Signature;
use crate::delta::table::Table;

/// How far a sample is looked for around where it should be, in bytes to either side.
const AROUND: u64 = 256 << 10;
/// Most bytes of the new file that are dealt with in one round.
const TOGETHER: u64 = 1 << 30;
/// Between two matches the old file may be so much longer than the new one, in bytes, before it is looked at only near both.
const LONGER: u64 = 8 << 20;

/// Asks for signatures and uses them.
struct Fine<'a, F> {
    delta: &'a Delta<'a>,
    grain: u32,
    further: F,
    seen: &'a Seen,
    /// What samples said of an earlier batch.
    sampled: Option<Sampled>,
    progress: Progress,
}

pub(super) fn run(
    delta: &Delta<'_>,
    grain: u32,
    further: impl FnMut(&[Ask]) -> io::Result<Vec<Signature>>,
    batches: &Receiver<Batch>,
    decided: &SyncSender<Batch>,
    tell: &(dyn Fn(Told<'_>) + Sync),
    seen: &Seen,
) -> Result<(), FlowError> {
    let progress = Progress { rounds: 1, ..Progress::default() };
    let mut fine = Fine { delta, grain, further, seen, sampled: None, progress };
    let mut next = None;
    while let Some(mut batch) = next.take().or_else(|| batches.recv().ok()) {
        while !batch.decided && batch.source.end - batch.source.start < TOGETHER {
            match batches.try_recv() {
                Ok(more) if !more.decided && !more.rest => {
                    batch.source.end = more.source.end;
                    batch.runs.extend(more.runs);
                }
                other => {
                    next = other.ok();
                    break;
                }
            }
        }
        let (decided_before, rest) = (batch.decided, batch.rest);
        let batch = if decided_before { batch } else { fine.refined(batch)? };
        let matched: u64 = batch.runs.iter().map(|run| run.length).sum();
        if rest && delta.give_up && fine.progress.matched == 0 {
            let literal = batch.source.end - batch.source.start - matched;
            if let Verdict::Full(why) = after_matching(delta.source_size, literal, delta.prices.literal) {
                return Err(FlowError::Full(why));
            }
        }
        fine.progress.matched += matched;
        fine.progress.literal += batch.source.end - batch.source.start - matched;
        tell(Told { progress: fine.progress, source: batch.source.clone(), runs: &batch.runs });
        decided.send(batch).map_err(gone)?;
    }
    Ok(())
}

impl<F: FnMut(&[Ask]) -> io::Result<Vec<Signature>>> Fine<'_, F> {
    fn refined(&mut self, batch: Batch) -> Result<Batch, FlowError> {
        let (delta, source) = (self.delta, batch.source.clone());
        let mut matched = Matched::part(batch.source, batch.expected, delta.destination_size, batch.runs);
        let open = if batch.rest {
            // Of a file of which nothing was found in place, what is like it may be anywhere.
            whole(batch.expected, delta.destination_size, self.grain)
        } else {
            near(&matched, self.grain)
        };
        let mut refiner = Refiner::within(source.end - source.start, delta.destination_size, open, self.grain);
        refiner.believe(self.sampled);
        let (mut rounds, literal) = (1, matched.literal_bytes());
        loop {
            let asks = refiner.next(matched.literal_bytes(), &delta.prices);
            if asks.is_empty() {
                break;
            }
            check(delta)?;
            let signatures = (self.further)(&asks)?;
            for (ask, signature) in asks.iter().zip(&signatures) {
                let table = Table::new(signature);
                if ask.sample {
                    let found = search(delta, signature, &table, &samples(&matched, signature))?;
                    refiner.on_sampled(ask, covered_bytes(&found), found.len() as u64);
                } else {
                    let found = search(delta, signature, &table, &matched.searches())?;
                    matched.add(found, ask.blocks.length());
                    refiner.on_matched(ask, &matched.covered());
                }
            }
            rounds += 1;
        }
        self.seen.on_fine(literal, matched.literal_bytes());
        self.sampled = refiner.sampled();
        self.progress.rounds = self.progress.rounds.max(rounds);
        Ok(Batch { source, expected: batch.expected, runs: matched.into_runs(), rest: batch.rest, decided: true })
    }
}

fn whole(expected: u64, size: u64, grain: u32) -> Vec<Range<u64>> {
    let start = expected.min(size) / u64::from(grain) * u64::from(grain);
    (start < size).then_some(start..size).into_iter().collect()
}

/// What lies in the old file where the gaps are: between what was found on both sides of each. If that is far apart (something was
/// moved, or much was taken out) as much as the gap has behind the one and before the other.
fn near(matched: &Matched, grain: u32) -> Vec<Range<u64>> {
    let (unit, size) = (u64::from(grain), matched.destination_size());
    let mut ends: Vec<Range<u64>> = Vec::new();
    let mut behind = matched.runs().iter().peekable();
    for gap in matched.gaps() {
        while behind.peek().is_some_and(|run| run.source < gap.source.end) {
            behind.next();
        }
        let length = (gap.source.end - gap.source.start).next_multiple_of(unit);
        let from = gap.expected.min(size);
        let on = from.saturating_add(length).min(size);
        match behind.peek().map(|run| run.destination) {
            Some(to) if to >= from && to - from <= 2 * length + LONGER => ends.push(from..to),
            Some(to) => ends.extend([from..on, to.saturating_sub(length)..to]),
            None => ends.push(from..on),
        }
    }
    // To whole blocks, apart, and without what was found.
    for range in &mut ends {
        let end = range.end.next_multiple_of(unit);
        *range = range.start / unit * unit..if end > size { size } else { end };
    }
    ends.retain(|range| range.start < range.end);
    ends.sort_unstable_by_key(|range| range.start);
    let mut apart: Vec<Range<u64>> = Vec::new();
    for range in ends {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    let covered = blocks_of(&matched.covered(), unit, size);
    apart.iter().flat_map(|range| crate::delta::matched::without(range, &covered)).collect()
}

/// Of covered stretches what is whole blocks: a run that was cut where it met another one need not be.
fn blocks_of(covered: &[Range<u64>], unit: u64, size: u64) -> Vec<Range<u64>> {
    let inner = |range: &Range<u64>| {
        let end = if range.end == size { size } else { range.end / unit * unit };
        range.start.next_multiple_of(unit)..end
    };
    covered.iter().map(inner).filter(|range| range.start < range.end).collect()
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
        (!starts.is_empty()).then_some(Search { limit: starts.end, starts, expected: None, patience: u64::MAX })
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
