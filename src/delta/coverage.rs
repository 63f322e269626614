//! Where in a new file what was found lies, and what is sent, coarsely: for whoever watches. Pure.

use std::ops::Range;

use super::matcher::Run;

/// Shortest stretch that is told apart, in bytes.
const SHORTEST: u64 = 4 << 10;

/// What is known of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is in the old file.
    Matched,
    /// It is to be sent, or was.
    Literal,
    /// It was sent.
    Sent,
}

/// Bytes of the new file by what is known of them, in cells of equal length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    size: u64,
    cell: u64,
    cells: [Vec<u64>; 3],
    bytes: [u64; 3],
}

impl Coverage {
    /// Nothing yet, of a file of `size` bytes, on at most `cells` cells (at least one).
    pub fn new(size: u64, cells: usize) -> Self {
        let cell = size.div_ceil(cells.max(1) as u64).max(SHORTEST).next_power_of_two();
        let count = size.div_ceil(cell) as usize;
        Self { size, cell, cells: [vec![0; count], vec![0; count], vec![0; count]], bytes: [0; 3] }
    }

    /// Bytes of the new file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of a cell; the last may have fewer.
    pub fn cell(&self) -> u64 {
        self.cell
    }

    /// Adds bytes, no byte twice; what lies behind the file's end is nothing.
    pub fn add(&mut self, what: What, range: Range<u64>) {
        let (mut at, end) = (range.start, range.end.min(self.size));
        while at < end {
            let cell = at / self.cell;
            let stop = ((cell + 1) * self.cell).min(end);
            self.cells[what as usize][cell as usize] += stop - at;
            self.bytes[what as usize] += stop - at;
            at = stop;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cells.iter_mut().for_each(|cells| cells.fill(0));
        self.bytes = [0; 3];
    }

    /// A stretch was decided about, in which these runs were matched: the rest of it is to be sent.
    pub fn decided(&mut self, source: Range<u64>, runs: &[Run]) {
        let mut at = source.start;
        for run in runs {
            self.add(What::Literal, at..run.source);
            self.add(What::Matched, run.source..run.source_end());
            at = run.source_end();
        }
        self.add(What::Literal, at..source.end);
    }

    /// The first `bytes` bytes of what is to be sent, in the order of the file, were sent.
    pub fn sent_in_order(&mut self, mut bytes: u64) {
        let [_, literal, sent] = &mut self.cells;
        self.bytes[What::Sent as usize] = bytes.min(self.bytes[What::Literal as usize]);
        for (sent, literal) in sent.iter_mut().zip(literal) {
            *sent = bytes.min(*literal);
            bytes -= *sent;
        }
    }

    /// Bytes in all.
    pub fn bytes(&self, what: What) -> u64 {
        self.bytes[what as usize]
    }

    /// Cells of which nothing is left to be found or sent.
    pub fn settled(&self) -> impl Iterator<Item = usize> + '_ {
        let [matched, _, sent] = &self.cells;
        matched
            .iter()
            .zip(sent)
            .enumerate()
            .filter(|(at, (matched, sent))| *matched + *sent >= self.length(*at))
            .map(|(at, _)| at)
    }

    /// Bytes of a cell.
    fn length(&self, at: usize) -> u64 {
        self.cell.min(self.size - at as u64 * self.cell)
    }

    /// Cells, each with how much of it: 0 nothing, 255 all, never either for what lies between.
    pub fn shares(&self, what: What) -> Vec<u8> {
        let share = |(at, bytes): (usize, &u64)| match (*bytes, self.length(at)) {
            (0, _) => 0,
            (bytes, length) if bytes >= length => 255,
            (bytes, length) => (bytes as f64 / length as f64 * 255.0).clamp(1.0, 254.0) as u8,
        };
        self.cells[what as usize].iter().enumerate().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_in_a_large_cell_is_neither_nothing_nor_all() {
        let mut coverage = Coverage::new(1 << 30, 1_024);
        assert_eq!((coverage.cell(), coverage.shares(What::Matched).len()), (1 << 20, 1_024));
        coverage.add(What::Literal, 5 << 20..(5 << 20) + 1);
        coverage.add(What::Matched, (5 << 20) + 1..6 << 20);
        assert_eq!((coverage.shares(What::Literal)[5], coverage.shares(What::Matched)[5]), (1, 254));
    }

    #[test]
    fn what_was_not_found_is_to_be_sent_and_goes_in_order() {
        let run = Run { source: 8 << 10, destination: 0, length: 16 << 10 };
        let mut coverage = Coverage::new(40 << 10, 1_000);
        coverage.decided(0..20 << 10, &[Run { length: 12 << 10, ..run }]);
        assert_eq!((coverage.bytes(What::Matched), coverage.bytes(What::Literal)), (12 << 10, 8 << 10));
        coverage.decided(20 << 10..40 << 10, &[Run { source: 20 << 10, length: 4 << 10, ..run }]);
        assert_eq!((coverage.bytes(What::Matched), coverage.bytes(What::Literal)), (16 << 10, 24 << 10));
        assert_eq!(coverage.shares(What::Literal), [255, 255, 0, 0, 0, 0, 255, 255, 255, 255]);
        coverage.sent_in_order(9 << 10);
        assert_eq!(coverage.shares(What::Sent), [255, 255, 0, 0, 0, 0, 63, 0, 0, 0]);
        coverage.sent_in_order(u64::MAX);
        assert_eq!(coverage.shares(What::Sent), coverage.shares(What::Literal));
        assert_eq!((coverage.bytes(What::Sent), coverage.settled().count()), (24 << 10, 10));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(size in 0u64..1 << 40, cells in 0usize..2_000, cuts in prop::collection::vec(0.0..1.0f64, 0..20)) {
            let mut coverage = Coverage::new(size, cells);
            prop_assert!(coverage.shares(What::Sent).len() <= cells.max(1));
            let mut cuts: Vec<u64> = cuts.iter().map(|cut| (size as f64 * cut) as u64).collect();
            cuts.sort_unstable();
            for (at, pair) in cuts.windows(2).enumerate() {
                coverage.add(if at % 2 == 0 { What::Matched } else { What::Literal }, pair[0]..pair[1]);
            }
            let all = cuts.last().unwrap_or(&0) - cuts.first().unwrap_or(&0);
            prop_assert_eq!(coverage.bytes(What::Matched) + coverage.bytes(What::Literal), all);
            for what in [What::Matched, What::Literal] {
                let some = coverage.shares(what).iter().any(|share| *share > 0);
                prop_assert_eq!(some, coverage.bytes(what) > 0);
            }
        }
    }
}
