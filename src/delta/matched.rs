//! What has been found so far: which stretches of the new file lie in the old one, and what is left on either side.

use std::ops::Range;

use super::matcher::{Run, Search};

/// Bytes of the new file that one thread searches at a time.
const REGION: u64 = 8 << 20;

/// Runs by position in the new file, apart from one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    source: Range<u64>,
    /// Of the old file: what should begin where `source` does, and what should end where it does.
    expected: Range<u64>,
    destination_size: u64,
    runs: Vec<Run>,
}

/// A stretch of the new file that nothing was found for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where it lies in the new file, in bytes.
    pub source: Range<u64>,
    /// Where the old file goes on behind what lies before the gap.
    pub expected: u64,
}

impl Matched {
    /// Nothing yet, of files of these sizes.
    pub fn nothing(source_size: u64, destination_size: u64) -> Self {
        Self { source: 0..source_size, expected: 0..destination_size, destination_size, runs: Vec::new() }
    }

    /// Of a stretch of the new file alone, at whose beginning this byte of the old one (`destination_size` bytes) is expected.
    pub fn part(source: Range<u64>, expected: u64, destination_size: u64, runs: Vec<Run>) -> Self {
        let expected = expected.min(destination_size);
        let end = expected.saturating_add(source.end - source.start).min(destination_size);
        Self { source, expected: expected..end, destination_size, runs }
    }

    /// The stretch of the new file that this is about.
    pub fn source(&self) -> Range<u64> {
        self.source.clone()
    }

    /// The byte of the old file that is expected behind it.
    pub fn expected_behind(&self) -> u64 {
        let on = |run: &Run| run.destination_end() + (self.source.end - run.source_end());
        self.runs.last().map_or(self.expected.end, on).min(self.destination_size)
    }

    /// The runs, for good.
    pub fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// Ends the stretch earlier, behind the last run at the earliest.
    pub fn cut(&mut self, end: u64) {
        let last = self.runs.last().map_or(self.source.start, Run::source_end);
        self.source.end = end.clamp(last, self.source.end);
    }

    /// Bytes of the old file.
    pub fn destination_size(&self) -> u64 {
        self.destination_size
    }

    /// The runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Bytes of the new file that need not be sent.
    pub fn matched_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.length).sum()
    }

    /// Bytes of the new file that nothing was found for.
    pub fn literal_bytes(&self) -> u64 {
        self.source.end - self.source.start - self.matched_bytes()
    }

    /// Adds what was found in the gaps, in order; where two overlap (searches of neighbouring regions may) the later one gives
    /// way, by whole blocks of `block` bytes.
    pub fn add(&mut self, found: Vec<Run>, block: u32) {
        let mut all = std::mem::take(&mut self.runs);
        all.extend(found);
        // Both parts are sorted: this merges them.
        all.sort_by_key(|run| run.source);
        for mut run in all {
            let end = self.runs.last().map_or(self.source.start, Run::source_end);
            if run.source < end {
                let cut = (end - run.source).next_multiple_of(u64::from(block));
                if cut >= run.length {
                    continue;
                }
                run = Run { source: run.source + cut, destination: run.destination + cut, length: run.length - cut };
            }
            if !self.runs.last_mut().is_some_and(|last| last.join(&run)) {
                self.runs.push(run);
            }
        }
        self.runs.shrink_to_fit();
    }

    /// What is left of the new file, in order.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> + '_ {
        let first = (self.source.start, self.expected.start);
        let ends = std::iter::once(first).chain(self.runs.iter().map(|r| (r.source_end(), r.destination_end())));
        let starts = self.runs.iter().map(|r| r.source).chain(std::iter::once(self.source.end));
        ends.zip(starts)
            .filter(|((end, _), start)| end < start)
            .map(|((end, expected), start)| Gap { source: end..start, expected })
    }

    /// Searches for all gaps, none longer than a thread should take at once.
    pub fn searches(&self) -> Vec<Search> {
        let mut out = Vec::new();
        for gap in self.gaps() {
            let mut at = gap.source.start;
            while at < gap.source.end {
                let end = (at + REGION).min(gap.source.end);
                // As if nothing had moved since the gap's beginning.
                let expected = Some(gap.expected + (at - gap.source.start));
                out.push(Search { starts: at..end, limit: gap.source.end, expected, patience: u64::MAX });
                at = end;
            }
        }
        out
    }

    /// The stretches of the old file that were found somewhere: ascending, apart.
    pub fn covered(&self) -> Vec<Range<u64>> {
        let mut all: Vec<_> = self.runs.iter().map(|r| r.destination..r.destination_end()).collect();
        all.sort_by_key(|range| range.start);
        let mut out: Vec<Range<u64>> = Vec::new();
        for range in all {
            match out.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => out.push(range),
            }
        }
        out
    }

    /// Where the new file should hold this byte of the old one, judged by the runs before and behind it in the old file.
    /// `by_destination`: the runs in the old file's order.
    pub fn guesses(&self, destination: u64, by_destination: &[Run]) -> [Option<u64>; 2] {
        let behind = by_destination.partition_point(|run| run.destination <= destination);
        let before = match behind.checked_sub(1).map(|at| by_destination[at]) {
            Some(run) => (run.source + (destination - run.destination)).into(),
            None => (destination + self.source.start).checked_sub(self.expected.start),
        };
        let after = match by_destination.get(behind) {
            Some(run) => run.source.checked_sub(run.destination - destination),
            None => (self.source.end + destination).checked_sub(self.expected.end),
        };
        [before, after.filter(|after| Some(*after) != before)]
    }
}

/// `from` without `what`; both ascending and apart.
pub fn without(from: &Range<u64>, what: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut out = Vec::new();
    let mut at = from.start;
    let first = what.partition_point(|hole| hole.end <= from.start);
    for hole in what[first..].iter().take_while(|hole| hole.start < from.end) {
        if hole.start > at {
            out.push(at..hole.start);
        }
        at = hole.end;
    }
    if at < from.end {
        out.push(at..from.end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: u64, destination: u64, length: u64) -> Run {
        Run { source, destination, length }
    }

    #[test]
    fn runs_join_and_what_overlaps_gives_way_by_whole_blocks() {
        let mut matched = Matched::nothing(1000, 800);
        matched.add(vec![run(0, 0, 100), run(100, 100, 50), run(120, 300, 100), run(400, 500, 100)], 10);
        assert_eq!(matched.runs(), [run(0, 0, 150), run(150, 330, 70), run(400, 500, 100)]);
        matched.add(vec![run(500, 600, 10), run(300, 200, 100), run(405, 0, 50)], 10);
        assert_eq!(matched.runs(), [run(0, 0, 150), run(150, 330, 70), run(300, 200, 100), run(400, 500, 110)]);
        assert_eq!((matched.matched_bytes(), matched.literal_bytes()), (430, 570));
        let gaps: Vec<_> = matched.gaps().map(|gap| (gap.source, gap.expected)).collect();
        assert_eq!(gaps, [(220..300, 400), (510..1000, 610)]);
        assert_eq!(matched.covered(), [0..150, 200..300, 330..400, 500..610]);
        assert_eq!(without(&(100..900), &matched.covered()), [150..200, 300..330, 400..500, 610..900]);
        assert_eq!(without(&(0..150), &matched.covered()), []);
    }

    #[test]
    fn long_gaps_are_searched_in_regions() {
        let searches = Matched::nothing(20 << 20, 5).searches();
        assert_eq!(searches.len(), 3);
        let second = Search { starts: 8 << 20..16 << 20, limit: 20 << 20, expected: Some(8 << 20), patience: u64::MAX };
        assert_eq!(searches[1], second);
        assert_eq!(searches[2].starts, 16 << 20..20 << 20);
    }
}
