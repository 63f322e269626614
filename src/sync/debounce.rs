//! When what was seen to change is looked at: once it has been quiet for a moment, and in any case before long. Pure.

use std::time::{Duration, Instant};

/// Nothing more changed for so long: whoever wrote is done. Longer than snapshots are apart, so that each pass is seen.
const QUIET: Duration = Duration::from_millis(300);
/// Where something changes all the time it is looked at this often.
const MOST: Duration = Duration::from_secs(5);
/// A pass that took long is followed by a pause that is so much longer.
const SHARE: u32 = 9;

/// Changes that nobody has looked at yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Debounce {
    changed: Option<(Instant, Instant)>,
    not_before: Option<Instant>,
    /// When the last pass began.
    looked: Option<Instant>,
}

impl Debounce {
    /// Something changed.
    pub fn on_change(&mut self, now: Instant) {
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// A pass begins: it sees everything that changed so far.
    pub fn on_look(&mut self, now: Instant) {
        (self.changed, self.looked) = (None, Some(now));
    }

    /// A pass has ended that took so long.
    pub fn on_looked(&mut self, now: Instant, took: Duration) {
        self.not_before = Some(now + took * SHARE);
    }

    /// When to look, where two looks are at least `interval` apart; none: nothing has changed.
    pub fn due(&self, interval: Duration) -> Option<Instant> {
        let (first, last) = self.changed?;
        let due = (last + QUIET).min(first + MOST);
        let next = self.looked.map(|looked| looked + interval);
        [self.not_before, next].into_iter().flatten().max().map_or(Some(due), |earliest| Some(due.max(earliest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut changes = Debounce::default();
        assert_eq!(changes.due(Duration::ZERO), None);
        changes.on_change(at(0));
        changes.on_change(at(100));
        assert_eq!(changes.due(Duration::ZERO), Some(at(400)));
        (1..100).for_each(|n| changes.on_change(at(n * 200)));
        assert_eq!(changes.due(Duration::ZERO), Some(at(5_000)));
        changes.on_look(at(5_000));
        assert_eq!(changes.due(Duration::ZERO), None);
        // A tenth of the time at most goes into looking.
        changes.on_looked(at(6_000), Duration::from_secs(1));
        changes.on_change(at(6_500));
        assert_eq!(changes.due(Duration::ZERO), Some(at(15_000)));
        changes.on_change(at(20_000));
        assert_eq!(changes.due(Duration::ZERO), Some(at(15_000)), "5 s after the first was long ago");
        assert_eq!(changes.due(Duration::from_secs(5)), Some(at(15_000)));
        assert_eq!(changes.due(Duration::from_secs(60)), Some(at(65_000)), "a slow link: a look a minute");
    }
}
