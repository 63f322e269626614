//! When a request that moves nothing is over. Pure.
//!
//! The system takes megabytes of a segment at once, and hands them over as the receiver takes them: under a limit of its own that may be
//! minutes later. So before a request is given up the receiver is asked how much came ([`Quiet::on_answer`]); as long as that grows it
//! is not. It counts all that came of the upload: a request that alone is stuck is over when the others have nothing more to send.

use std::time::{Duration, Instant};

/// A request that moves nothing for so long is over.
pub const SILENCE: Duration = Duration::from_secs(30);
/// Half way the receiver is asked how much came, to know later whether it was more.
const HALF: Duration = Duration::from_secs(15);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again after this time.
    Wait(Duration),
    /// Ask the receiver how much came, and tell [`Quiet::on_answer`].
    Ask,
    /// It is over.
    GiveUp,
}

/// The silence of one request.
#[derive(Debug, Default)]
pub struct Quiet {
    /// When bytes were handed over last, and where the receiver was asked since: what it said.
    since: Option<Instant>,
    came: Option<Option<u64>>,
    /// When more had come.
    moved: Option<Instant>,
    /// The second answer is there.
    is_told: bool,
}

impl Quiet {
    /// `last`: when bytes were handed to the system; `is_limited`: by a limit here they may not be.
    pub fn next(&mut self, last: Instant, is_limited: bool, now: Instant) -> Next {
        if self.since != Some(last) {
            *self = Self { since: Some(last), ..Self::default() };
        }
        if is_limited {
            return Next::Wait(LOOK);
        }
        let since = self.moved.map_or(last, |moved| moved.max(last));
        let quiet = now.saturating_duration_since(since);
        match self.came {
            None if quiet >= HALF => Next::Ask,
            Some(Some(_)) if quiet >= SILENCE && !self.is_told => Next::Ask,
            _ if quiet >= SILENCE => Next::GiveUp,
            None => Next::Wait((HALF - quiet).max(LOOK)),
            Some(_) => Next::Wait((SILENCE - quiet).max(LOOK)),
        }
    }

    /// The receiver says how many bytes came; none: it does not.
    pub fn on_answer(&mut self, came: Option<u64>, now: Instant) {
        match (self.came.flatten(), came) {
            (Some(before), Some(came)) if came > before => {
                (self.came, self.moved, self.is_told) = (Some(Some(came)), Some(now), false);
            }
            (Some(_), _) => self.is_told = true,
            (None, came) => self.came = Some(came),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_receiver_that_says_nothing_is_given_up() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        assert_eq!(quiet.next(start, false, start), Next::Wait(HALF));
        assert_eq!(quiet.next(start, false, start + s(15)), Next::Ask);
        quiet.on_answer(None, start + s(16));
        assert_eq!(quiet.next(start, false, start + s(16)), Next::Wait(s(14)));
        assert_eq!(quiet.next(start, false, start + s(30)), Next::GiveUp);
        // Unless something moved meanwhile, or may not move.
        assert_eq!(quiet.next(start + s(29), false, start + s(30)), Next::Wait(s(14)));
        assert_eq!(quiet.next(start, true, start + s(300)), Next::Wait(LOOK));
    }

    #[test]
    fn one_that_takes_what_it_has_is_not_and_one_that_stops_is() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        assert_eq!(quiet.next(start, false, start + s(15)), Next::Ask);
        quiet.on_answer(Some(100), start + s(15));
        for (at, came) in [(30, 101), (60, 102), (90, 103)] {
            assert_eq!(quiet.next(start, false, start + s(at)), Next::Ask, "{at}");
            quiet.on_answer(Some(came), start + s(at));
            assert_eq!(quiet.next(start, false, start + s(at)), Next::Wait(SILENCE));
        }
        assert_eq!(quiet.next(start, false, start + s(120)), Next::Ask);
        quiet.on_answer(Some(103), start + s(120));
        assert_eq!(quiet.next(start, false, start + s(120)), Next::GiveUp);
        // The same without any answer.
        let mut quiet = Quiet::default();
        quiet.next(start, false, start + s(15));
        quiet.on_answer(Some(100), start + s(15));
        assert_eq!(quiet.next(start, false, start + s(30)), Next::Ask);
        quiet.on_answer(None, start + s(40));
        assert_eq!(quiet.next(start, false, start + s(40)), Next::GiveUp);
    }
}
