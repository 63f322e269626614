//! When a subscription may send its next message. Pure: time is passed in.

use std::time::{Duration, Instant};

/// Shortest time between two messages.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// After so long without anything taken off its hands, a reader counts as gone.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(60);

/// At most four messages a second; one extra after a change of focus, so that moving the cursor
/// answers at once.
#[derive(Debug)]
pub(super) struct Pacer {
    next: Instant,
    credit: bool,
    stuck_since: Option<Instant>,
}

impl Pacer {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, credit: false, stuck_since: None }
    }

    /// When the next message may go.
    pub(super) fn ready_at(&self) -> Instant {
        self.next
    }

    /// The viewer looks at something else.
    pub(super) fn on_focus(&mut self, now: Instant) {
        self.next = now;
        self.credit = true;
    }

    /// A message went out.
    pub(super) fn on_sent(&mut self, now: Instant) {
        self.stuck_since = None;
        self.next = if std::mem::take(&mut self.credit) { now } else { now + INTERVAL };
    }

    /// The reader has not yet taken what was sent before: skip this turn, a newer snapshot goes
    /// later. True if it is to be given up.
    pub(super) fn on_full(&mut self, now: Instant) -> bool {
        let stuck = now.saturating_duration_since(*self.stuck_since.get_or_insert(now));
        self.next = now + if stuck < INTERVAL { INTERVAL / 10 } else { INTERVAL };
        stuck >= STUCK_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_a_second_and_one_more_for_a_new_focus() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        assert_eq!(pacer.ready_at(), start, "the first at once");
        pacer.on_sent(start);
        assert_eq!(pacer.ready_at(), start + INTERVAL);
        let moved = start + INTERVAL / 5;
        pacer.on_focus(moved);
        pacer.on_sent(moved);
        assert_eq!(pacer.ready_at(), moved, "the details follow when the engine has them");
        pacer.on_sent(moved);
        assert_eq!(pacer.ready_at(), moved + INTERVAL);
    }

    #[test]
    fn a_reader_that_takes_nothing_is_given_up() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        assert!(!pacer.on_full(start));
        assert!(!pacer.on_full(start + STUCK_AFTER / 2));
        pacer.on_sent(start + STUCK_AFTER / 2);
        assert!(!pacer.on_full(start + STUCK_AFTER), "it took something in between");
        assert!(pacer.on_full(start + STUCK_AFTER * 2));
    }
}
