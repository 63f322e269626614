//! How long to seed: until told to stop, or until a ratio or a time is reached.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What ends seeding; the first that is reached. Nothing set: seed until told to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedGoal {
    /// Bytes given over the content's size.
    pub ratio: Option<f64>,
    /// Time spent seeding.
    pub duration: Option<Duration>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Nothing ends it.
    Forever,
    /// Not reached yet.
    Going {
        /// Ratio given and wanted.
        ratio: Option<(f64, f64)>,
        /// Time left.
        left: Option<Duration>,
    },
    /// This ratio was wanted and is reached.
    RatioReached(f64),
    /// This time was wanted and is over.
    TimeReached(Duration),
}

impl Verdict {
    /// True if seeding ends.
    pub fn stops(self) -> bool {
        matches!(self, Self::RatioReached(_) | Self::TimeReached(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forever => f.write_str("seeds until told to stop"),
            Self::Going { ratio, left } => {
                f.write_str("seeds")?;
                if let Some((now, wanted)) = ratio {
                    write!(f, ", ratio {now:.2} of {wanted:.2}")?;
                }
                if let Some(left) = left {
                    write!(f, ", {} s left", left.as_secs())?;
                }
                Ok(())
            }
            Self::RatioReached(ratio) => write!(f, "ratio {ratio:.2} reached"),
            Self::TimeReached(time) => write!(f, "seeded for {} s", time.as_secs()),
        }
    }
}

impl SeedGoal {
    /// Go on? `uploaded`: bytes given; `size`: bytes of the content (0: any ratio is reached); `seeding`:
    /// time since it was complete. A ratio that is no number, or not above 0, counts as not set.
    pub fn judge(&self, uploaded: u64, size: u64, seeding: Duration) -> Verdict {
        let ratio = self.ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        let given = if size == 0 { f64::INFINITY } else { uploaded as f64 / size as f64 };
        match (ratio, self.duration) {
            (Some(wanted), _) if given >= wanted => Verdict::RatioReached(wanted),
            (_, Some(wanted)) if seeding >= wanted => Verdict::TimeReached(wanted),
            (None, None) => Verdict::Forever,
            (wanted, time) => {
                Verdict::Going { ratio: wanted.map(|wanted| (given, wanted)), left: time.map(|time| time - seeding) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_goal_reached_ends_it() {
        let goal = SeedGoal { ratio: Some(2.0), duration: Some(10 * MIN) };
        let going = goal.judge(150, 100, MIN);
        assert_eq!(going, Verdict::Going { ratio: Some((1.5, 2.0)), left: Some(9 * MIN) });
        assert_eq!(going.to_string(), "seeds, ratio 1.50 of 2.00, 540 s left");
        assert_eq!(goal.judge(200, 100, MIN), Verdict::RatioReached(2.0));
        assert_eq!(goal.judge(0, 100, 10 * MIN), Verdict::TimeReached(10 * MIN));
        assert!(goal.judge(0, 0, Duration::ZERO).stops());
    }

    #[test]
    fn without_a_goal_it_goes_on() {
        for ratio in [None, Some(f64::NAN), Some(0.0), Some(-1.0)] {
            let goal = SeedGoal { ratio, duration: None };
            assert_eq!(goal.judge(u64::MAX, 1, 1_000_000 * MIN), Verdict::Forever);
        }
    }
}
