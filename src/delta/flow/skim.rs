//! Whether the first stage may leave out most of its rolling: pure.
//!
//! In an archive whose every header differs most long blocks hold one, and are not there; the first stage rolls over nearly all of the
//! file for nothing, since the second one finds the rest in short blocks, where it should be. It rolls byte by byte as well, so that what
//! moved is found; but for that it needs a place here and there to hold on to, no more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes that the second stage must have dealt with before it is judged.
const ENOUGH: u64 = 4 << 20;
/// It leaves at most one part in so many.
const LEAVES: u64 = 8;
/// The first stage misses at least one part in so many: where it misses little it rolls little.
const MISSES: u64 = 2;

/// What both stages have seen, in bytes of the new file.
#[derive(Debug, Default)]
pub(super) struct Seen {
    searched: AtomicU64,
    missed: AtomicU64,
    open: AtomicU64,
    left: AtomicU64,
}

impl Seen {
    /// The first stage searched so much, and did not find so much of it.
    pub(super) fn on_coarse(&self, searched: u64, missed: u64) {
        self.searched.fetch_add(searched, Relaxed);
        self.missed.fetch_add(missed, Relaxed);
    }

    /// The second stage was given so much, and so much is left.
    pub(super) fn on_fine(&self, open: u64, left: u64) {
        self.open.fetch_add(open, Relaxed);
        self.left.fetch_add(left, Relaxed);
    }

    /// Whether what the first stage does not find is found behind it.
    pub(super) fn may_skim(&self) -> bool {
        let [searched, missed, open, left] =
            [&self.searched, &self.missed, &self.open, &self.left].map(|n| n.load(Relaxed));
        open >= ENOUGH && left.saturating_mul(LEAVES) <= open && missed.saturating_mul(MISSES) >= searched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_the_second_stage_finds_nearly_all_and_the_first_one_little() {
        let seen = |searched, missed, open, left| {
            let seen = Seen::default();
            seen.on_coarse(searched, missed);
            seen.on_fine(open, left);
            seen.may_skim()
        };
        const MIB: u64 = 1 << 20;
        assert!(!Seen::default().may_skim(), "nothing is known");
        assert!(seen(30 * MIB, 20 * MIB, 10 * MIB, MIB));
        assert!(!seen(30 * MIB, 20 * MIB, 10 * MIB, 2 * MIB), "too much is left");
        assert!(!seen(30 * MIB, 10 * MIB, 10 * MIB, MIB), "the first stage finds most");
        assert!(!seen(30 * MIB, 20 * MIB, MIB, 0), "too early to tell");
    }
}
