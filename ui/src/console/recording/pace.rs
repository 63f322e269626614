//! How often a moment is recorded: once a second while that is cheap, less often if otherwise the last
//! hour would not fit. A decider: no clock of its own.

/// Shortest time between moments.
const STEP_MS: u64 = 1_000;
/// What every recording reaches back to at least.
const HOUR_MS: u64 = 3_600_000;
/// What may be written ahead of its time: a large moment after silence delays none.
const CREDIT_MS: u64 = 30_000;

/// Decides when the next moment is recorded.
#[derive(Debug, Clone)]
pub struct Pace {
    per_hour: u64,
    /// When what was written so far is paid for.
    paid_ms: u64,
    next_ms: u64,
}

impl Pace {
    /// At most about so many bytes in an hour.
    pub fn new(per_hour: u64) -> Self {
        Self { per_hour: per_hour.max(1), paid_ms: 0, next_ms: 0 }
    }

    /// Is it time for a moment?
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.next_ms
    }

    /// A moment of so many bytes was recorded; 0 if it would have said nothing new.
    pub fn wrote(&mut self, now_ms: u64, bytes: u64) {
        let cost_ms = u128::from(bytes) * u128::from(HOUR_MS) / u128::from(self.per_hour);
        let cost_ms = u64::try_from(cost_ms).unwrap_or(u64::MAX);
        self.paid_ms = self.paid_ms.max(now_ms).saturating_add(cost_ms);
        self.next_ms = self.paid_ms.saturating_sub(CREDIT_MS).max(now_ms.saturating_add(STEP_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn once_a_second_while_it_is_cheap() {
        let mut pace = Pace::new(36_000_000);
        let mut times = Vec::new();
        for now in (100_000..110_000).step_by(250) {
            if pace.is_due(now) {
                times.push(now);
                pace.wrote(now, 5_000);
            }
        }
        assert_eq!(times, (100_000..110_000).step_by(1_000).collect::<Vec<_>>());
    }

    proptest! {
        /// Whatever moments cost, an hour of them fits the budget, but for the credit and the last one.
        #[test]
        fn an_hour_fits(sizes in prop::collection::vec(0u64..400_000, 1..200), per_hour in 1_000_000u64..70_000_000) {
            let (mut pace, mut now, mut written) = (Pace::new(per_hour), 1_000_000, 0);
            let end = now + HOUR_MS;
            let mut sizes = sizes.iter().cycle();
            let mut last = 0;
            while now < end {
                if pace.is_due(now) {
                    last = *sizes.next().unwrap();
                    written += last;
                    pace.wrote(now, last);
                }
                now += 1_000;
            }
            prop_assert!(written <= per_hour + per_hour * CREDIT_MS / HOUR_MS + last, "{written} of {per_hour}");
        }
    }
}
