//! Whether what the system took of us moves at the far end.
//!
//! A receiver under a limit of its own takes what was handed over long ago bit by bit: here that looks like a path on which nothing moves,
//! which the plan would declare dead. So when nothing moves here the receiver is asked how much came.

use std::time::{Duration, Instant};

use super::{Drive, Event};

/// When nothing moves for so long it is asked, and again as long as that lasts: twice before the plan loses patience.
const QUIET: Duration = Duration::from_millis(1_500);

/// What is known of it.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The last byte that left, or that was acknowledged.
    moved: Instant,
    /// When it was asked; whether the answer is still to come.
    asked: Instant,
    is_asking: bool,
    /// The last answer.
    came: Option<u64>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { moved: now, asked: now, is_asking: false, came: None }
    }

    /// Bytes left, or were acknowledged.
    pub(super) fn moved(&mut self, now: Instant) {
        (self.moved, self.came) = (now, None);
    }

    /// Nobody will tell what the answer was.
    pub(super) fn aborted(&mut self) {
        self.is_asking = false;
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.is_asking && now.saturating_duration_since(self.moved.max(self.asked)) >= QUIET
    }

    /// The answer; none: there is none. True: bytes came to the receiver since the one before.
    fn on_answer(&mut self, came: Option<u64>) -> bool {
        self.is_asking = false;
        let before = self.came;
        self.came = came.or(before);
        before.is_some_and(|before| came.is_some_and(|came| came > before))
    }
}

impl Drive {
    /// Asks, if it is time to.
    pub(super) fn feel_pulse(&mut self, now: Instant) {
        if !self.pulse.is_due(now) || self.plan.in_flight().is_empty() {
            return;
        }
        let Some(path) = self.plan.by_nearness(now).first().copied() else { return };
        (self.pulse.asked, self.pulse.is_asking) = (now, true);
        let (wire, common) = (self.wires[path].clone(), self.common.clone());
        self.tasks.spawn(async move { Event::Came(wire.came(&common.upload).await) });
    }

    pub(super) fn on_came(&mut self, came: Option<u64>, now: Instant) {
        if self.pulse.on_answer(came) {
            self.plan.on_taken(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_while_nothing_moves_and_only_more_than_before_is_news() {
        let now = Instant::now();
        let mut pulse = Pulse::new(now);
        assert!(!pulse.is_due(now + QUIET / 2) && pulse.is_due(now + QUIET));
        (pulse.asked, pulse.is_asking) = (now + QUIET, true);
        assert!(!pulse.is_due(now + 9 * QUIET), "one at a time");
        assert!(!pulse.on_answer(Some(5)), "nothing to compare it with");
        assert!(!pulse.is_due(now + QUIET * 3 / 2) && pulse.is_due(now + 2 * QUIET));
        assert!(pulse.on_answer(Some(6)) && !pulse.on_answer(Some(6)) && !pulse.on_answer(None));
        assert!(pulse.on_answer(Some(7)));
        pulse.moved(now + 3 * QUIET);
        assert!(!pulse.is_due(now + 3 * QUIET) && !pulse.on_answer(Some(8)), "what came before is no measure any more");
    }
}
