//! Whether a path is far behind the best, damped: two that are nearly equal do not change places with every
//! segment.
//!
//! ```text
//!            ◀── far below half of the best: at once ──
//!   keeps up ◀── below half for HOLD ────────────────── falls behind
//!            ── at half or above for HOLD ────────────▶
//! ```
//!
//! A path that collapses shows that at once. What lies within [`NOISE`] of the line has to stay there, and so
//! does a return: in any time a path changes at most twice per [`HOLD`], and once more.

use std::time::{Duration, Instant};

use super::REBALANCE;
use crate::push::score::half_of;

/// How long a path has to be on the other side.
pub(super) const HOLD: Duration = REBALANCE;
/// So far below the line no noise leads: a fifth of the throughput's term. Rates over few acknowledgements vary
/// by as much.
pub(super) const NOISE: f64 = 0.1;

/// What a path was found to be lately.
#[derive(Debug, Default)]
pub(super) struct Damp {
    /// Since when it is on the other side without a break.
    other_since: Option<Instant>,
    /// It was judged by what was measured, not guessed.
    is_measured: bool,
}

impl Damp {
    /// Whether the path is behind. `was`: as it stood; `is_measured`: no guess is behind the scores.
    pub fn is_behind(&mut self, was: bool, (score, best): (f64, f64), is_measured: bool, now: Instant) -> bool {
        let half = half_of(best);
        let is = score < half;
        // The first figure says more than the guess before it.
        let is_first = !std::mem::replace(&mut self.is_measured, is_measured);
        if is == was || is_first || score < half - NOISE {
            self.other_since = None;
            return is;
        }
        let since = *self.other_since.get_or_insert(now);
        if now.saturating_duration_since(since) < HOLD {
            return was;
        }
        self.other_since = None;
        is
    }

    /// It begins anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Judged by these scores against a best of 0.2, a tenth of a second apart; how it stood each time.
    fn course(scores: impl IntoIterator<Item = f64>) -> Vec<bool> {
        let (mut damp, start, mut was) = (Damp::default(), Instant::now(), false);
        let judged = scores.into_iter().enumerate().map(|(n, score)| {
            was = damp.is_behind(was, (score, 0.2), true, start + ms(n as u64 * 100));
            was
        });
        judged.collect()
    }

    #[test]
    fn a_collapse_shows_at_once_and_a_return_has_to_last() {
        let seen = course([0.2, 0.2, -0.3].into_iter().chain(std::iter::repeat_n(0.2, 60)));
        assert_eq!(&seen[..3], [false, false, true]);
        let back = seen[3..].iter().position(|behind| !behind).unwrap();
        assert_eq!(ms(back as u64 * 100), HOLD, "and not before");
    }

    #[test]
    fn a_little_below_half_has_to_last() {
        let seen = course(std::iter::once(0.2).chain(std::iter::repeat_n(0.08, 60)));
        assert_eq!(ms((seen.iter().position(|behind| *behind).unwrap() - 1) as u64 * 100), HOLD);
        // With a moment above half it never does.
        let seen = course((0..600).map(|n| if n % 40 == 0 { 0.11 } else { 0.08 }));
        assert!(seen.iter().all(|behind| !behind));
    }

    #[test]
    fn a_guess_gives_way_to_the_first_figure() {
        let (mut damp, now) = (Damp::default(), Instant::now());
        assert!(damp.is_behind(false, (0.0, 0.5), false, now));
        assert!(!damp.is_behind(true, (0.4, 0.5), true, now));
        assert!(!damp.is_behind(false, (0.2, 0.5), true, now), "from then on it is damped");
    }

    proptest! {
        /// The worst case, whatever the scores are and whenever they come.
        #[test]
        fn changes_are_bounded(steps in prop::collection::vec((0u64..900, -0.5f64..0.5, -0.5f64..0.5), 1..400)) {
            let (mut damp, start, mut was) = (Damp::default(), Instant::now(), false);
            let (mut at, mut changes) = (start, 0);
            for (wait, one, other) in steps {
                at += ms(wait);
                let is = damp.is_behind(was, (one.min(other), one.max(other)), true, at);
                changes += u128::from(is != was);
                was = is;
            }
            let holds = (at - start).as_millis() / HOLD.as_millis();
            prop_assert!(changes <= 2 * holds + 1 + 1, "{changes} in {holds} times the hold");
        }

        /// Two paths of which neither is more than a fifth off never change places.
        #[test]
        fn noise_changes_nothing(steps in prop::collection::vec((0.8f64..1.2, 0.8f64..1.2), 1..300)) {
            // A moment on the right side now and then is what makes it noise.
            let scores = steps.iter().enumerate().map(|(n, (a, b))| {
                let (a, b) = if n % 20 == 0 { (1.0, 1.0) } else { (*a, *b) };
                0.5 * (a / a.max(b)) - 0.3
            });
            prop_assert!(course(scores).iter().all(|behind| !behind));
        }
    }
}
