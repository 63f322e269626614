//! Whether a delta that was sent is still at work at the receiver: pure.
//!
//! Its answer comes when the new file is on the disk, which may take minutes; one that got lost never comes. Both look the same from here. So
//! while nothing moves the receiver is asked.

use std::time::{Duration, Instant};

/// When nothing moves for so long it is asked.
pub(super) const QUIET: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(5) };
/// Behind the last instruction the receiver has its disk to sync: nothing may move for so long there.
const PATIENCE: Duration = Duration::from_secs(600);
/// A link may be gone for so long: what was sent is on its way then, and would have to be sent again.
const GONE: Duration = Duration::from_secs(60);
/// How often it may say that it knows of none: if it was seen, its answer may be on its way yet; if not, the request may be.
const ABSENT: u32 = 2;
const NEVER_SEEN: u32 = 6;

/// What the receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is at work; a figure that grows with what it has received and made.
    AtWork(u64),
    /// No delta of that file is at work.
    Absent,
    /// Nothing: it cannot be asked.
    Mute,
    /// Something else: it does not know the question.
    Other,
}

/// What is known of it.
#[derive(Debug)]
pub(super) struct Silence {
    moved: Instant,
    came: Option<u64>,
    absent: u32,
    /// Since when it cannot be asked.
    mute: Option<Instant>,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self { moved: now, came: None, absent: 0, mute: None }
    }

    /// Bytes left.
    pub(super) fn moved(&mut self, now: Instant) {
        (self.moved, self.absent, self.mute) = (now, 0, None);
    }

    /// It was asked. True: no answer will come any more.
    pub(super) fn on_answer(&mut self, heard: Heard, now: Instant) -> bool {
        match heard {
            Heard::AtWork(came) => {
                if self.came.replace(came) != Some(came) {
                    self.moved = now;
                }
                (self.absent, self.mute) = (0, None);
            }
            Heard::Absent => (self.absent, self.mute) = (self.absent + 1, None),
            Heard::Mute => self.mute = self.mute.or(Some(now)),
            Heard::Other => self.mute = None,
        }
        let since = |then: Instant| now.saturating_duration_since(then);
        let absent = if self.came.is_some() { ABSENT } else { NEVER_SEEN };
        self.absent >= absent || self.mute.is_some_and(|then| since(then) >= GONE) || since(self.moved) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_works_is_waited_for_and_whoever_is_gone_is_not() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut silence = Silence::new(now);
        for n in 1..100 {
            assert!(!silence.on_answer(Heard::AtWork(n), after(500 * n)), "it moves");
        }
        assert!(!silence.on_answer(Heard::AtWork(99), after(49_500 + 599)));
        assert!(silence.on_answer(Heard::AtWork(99), after(49_500 + 600)), "it stands still");
        // Seen, then gone: its answer had time enough.
        let mut silence = Silence::new(now);
        silence.on_answer(Heard::AtWork(1), now);
        assert!(!silence.on_answer(Heard::Absent, now) && silence.on_answer(Heard::Absent, now));
        // Never seen: perhaps the request is on its way yet.
        let mut silence = Silence::new(now);
        assert!((1..NEVER_SEEN).all(|_| !silence.on_answer(Heard::Absent, now)));
        silence.moved(now);
        assert!(
            (1..NEVER_SEEN).all(|_| !silence.on_answer(Heard::Absent, now)) && silence.on_answer(Heard::Absent, now)
        );
        // A link that is gone, however often it is asked.
        let mut silence = Silence::new(now);
        assert!((0..60).all(|n| !silence.on_answer(Heard::Mute, after(n))));
        assert!(!silence.on_answer(Heard::AtWork(1), after(60)), "it is back");
        assert!((61..121).all(|n| !silence.on_answer(Heard::Mute, after(n))));
        assert!(silence.on_answer(Heard::Mute, after(121)));
        // Who does not know the question is waited for as long as ever.
        let mut silence = Silence::new(now);
        assert!((0..100).all(|n| !silence.on_answer(Heard::Other, after(5 * n))));
        assert!(silence.on_answer(Heard::Other, after(600)));
    }
}
