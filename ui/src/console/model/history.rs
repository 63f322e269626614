//! Rates of the node over the last minutes, one sample per second.

use std::collections::VecDeque;

/// Samples kept.
const SAMPLES: usize = 360;

/// Totals down and up, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    samples: VecDeque<(u64, u64)>,
    second: u64,
}

impl History {
    /// Notes rates at a moment. Several in one second: the last stands; seconds without one repeat it.
    pub fn note(&mut self, now_ms: u64, down: u64, up: u64) {
        let second = now_ms / 1000;
        if let (Some(last), true) = (self.samples.back_mut(), second <= self.second) {
            *last = (down, up);
            return;
        }
        let missed = if self.samples.is_empty() { 0 } else { second - self.second - 1 };
        if let Some(last) = self.samples.back().copied() {
            for _ in 0..missed.min(SAMPLES as u64) {
                self.push(last);
            }
        }
        self.push((down, up));
        self.second = second;
    }

    fn push(&mut self, sample: (u64, u64)) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Rates down, oldest first.
    pub fn down(&self) -> impl DoubleEndedIterator<Item = u64> + Clone {
        self.samples.iter().map(|s| s.0)
    }

    /// Rates up until a moment, oldest first.
    pub fn up_until(&self, ms: u64) -> impl DoubleEndedIterator<Item = u64> + Clone {
        let later = self.second.saturating_sub(ms / 1_000).min(self.samples.len() as u64) as usize;
        self.samples.range(..self.samples.len() - later).map(|s| s.1)
    }

    /// Rates up, oldest first.
    pub fn up(&self) -> impl DoubleEndedIterator<Item = u64> + Clone {
        self.samples.iter().map(|s| s.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second_and_a_bound() {
        let mut history = History::default();
        history.note(1_000, 1, 0);
        history.note(1_900, 2, 0);
        history.note(4_000, 5, 0);
        assert_eq!(history.down().collect::<Vec<_>>(), [2, 2, 2, 5]);
        assert_eq!(history.up_until(2_999).count(), 2, "later ones are left out");
        assert_eq!((history.up_until(9_000).count(), history.up_until(0).count()), (4, 0));
        history.note(u64::MAX, 9, 0);
        assert_eq!(history.down().count(), SAMPLES);
    }
}
