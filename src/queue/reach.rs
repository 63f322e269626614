//! Whether an endpoint answers, and when it is asked again. Pure.

use std::time::Duration;

use crate::push::retry::probe_pause;

/// What is known of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    #[default]
    Unknown,
    /// A question is on its way; so many before it failed.
    Asking {
        /// In a row.
        failures: u32,
        /// What the last one came to.
        why: String,
    },
    /// It answered.
    There,
    /// It did not.
    Away {
        /// Failed questions in a row.
        failures: u32,
        /// When it is asked again, ms.
        again: u64,
        /// What came of the last question.
        why: String,
    },
}

impl Reach {
    /// It is to be asked now.
    pub fn is_due(&self, now: u64) -> bool {
        match self {
            Self::Unknown => true,
            Self::Away { again, .. } => *again <= now,
            Self::Asking { .. } | Self::There => false,
        }
    }

    /// When it is to be asked, ms; none: it need not be.
    pub fn due_at(&self) -> Option<u64> {
        match self {
            Self::Away { again, .. } => Some(*again),
            _ => None,
        }
    }

    /// Why nothing is sent there now; none: nothing speaks against it.
    pub fn away(&self) -> Option<&str> {
        match self {
            Self::Away { why, .. } | Self::Asking { why, failures: 1.. } => Some(why),
            _ => None,
        }
    }

    /// It is asked.
    pub fn on_asked(&mut self) {
        *self = match std::mem::take(self) {
            Self::Away { failures, why, .. } => Self::Asking { failures, why },
            _ => Self::Asking { failures: 0, why: String::new() },
        };
    }

    /// What came of it. `random` is uniform in 0..1, `pace` shortens the pauses (for tests). True: it was away and is back.
    pub fn on_answer(&mut self, answer: Result<(), String>, now: u64, random: f64, pace: f64) -> bool {
        let failures = match self {
            Self::Asking { failures, .. } | Self::Away { failures, .. } => *failures,
            Self::Unknown | Self::There => 0,
        };
        match answer {
            Ok(()) => {
                *self = Self::There;
                failures > 0
            }
            Err(why) => {
                let pause = probe_pause(failures, random).mul_f64(pace).max(Duration::from_millis(1));
                *self = Self::Away { failures: failures + 1, again: now.saturating_add(pause.as_millis() as u64), why };
                false
            }
        }
    }

    /// It is asked now, however long it did not answer.
    pub fn hurry(&mut self) {
        if let Self::Away { again, .. } = self {
            *again = 0;
        }
    }

    /// A transfer could not get through: nothing is known any more.
    pub fn on_broken(&mut self, why: &str) {
        if matches!(self, Self::There | Self::Unknown) {
            // Due at once. What answers then was not away.
            *self = Self::Away { failures: 0, again: 0, why: why.into() };
        }
    }
}

/// Tries of an operation whose endpoint answers; then it waits for the operator.
pub const MAX_TRIES: u32 = 8;
/// The first pause between two tries, and the longest.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);

/// The pause before an operation is tried again that failed `failures` times in a row (at least 1), ms: 2, 4, 8, … 300 s,
/// a quarter more or less, so that many of them do not come back in step.
pub fn pause(failures: u32, random: f64, pace: f64) -> u64 {
    let base = (FIRST * (1 << failures.saturating_sub(1).min(10))).min(LONGEST);
    let jittered = base.mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0));
    jittered.mul_f64(pace.max(0.0)).max(Duration::from_millis(1)).as_millis() as u64
}

/// No pause is longer than this, ms: a time further ahead comes from a clock that was put back.
pub const MAX_PAUSE: u64 = LONGEST.as_millis() as u64 * 5 / 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_answer_is_asked_less_and_less_and_is_back_once() {
        let mut reach = Reach::default();
        let (mut now, mut pauses) = (1_000, Vec::new());
        for _ in 0..7 {
            assert!(reach.is_due(now));
            reach.on_asked();
            assert!(!reach.is_due(u64::MAX), "one question at a time");
            assert!(!reach.on_answer(Err("refused".into()), now, 0.5, 1.0));
            let again = reach.due_at().unwrap();
            assert!(!reach.is_due(again - 1) && reach.away() == Some("refused"));
            pauses.push((again - now) / 1_000);
            now = again;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        reach.on_asked();
        assert_eq!(reach.away(), Some("refused"), "until it answers");
        assert!(reach.on_answer(Ok(()), now, 0.5, 1.0), "back");
        assert!(reach.away().is_none() && !reach.is_due(now));
        reach.on_broken("reset");
        assert!(reach.is_due(now) && reach.away() == Some("reset"));
        reach.on_asked();
        assert!(!reach.on_answer(Ok(()), now, 0.5, 1.0), "it was there all the time");
        let mut fresh = Reach::default();
        fresh.on_asked();
        assert!(fresh.away().is_none() && !fresh.on_answer(Ok(()), now, 0.5, 1.0), "it was never away");
    }

    #[test]
    fn pauses_between_tries_grow_to_a_bound() {
        let seconds: Vec<u64> = (1..=9).map(|failures| pause(failures, 0.5, 1.0) / 1_000).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!((pause(1, 0.0, 1.0), pause(1, 1.0, 1.0), pause(40, 1.0, 1.0)), (1_500, 2_500, MAX_PAUSE));
        assert_eq!(pause(3, 0.5, 0.0), 1);
    }
}
