//! What the links go through while the demo runs: decided by the seed alone.

use std::fmt;
use std::time::Duration;

use skep_shaper::Profile;

/// Something that happens to a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event {
    /// It becomes another kind of link.
    Becomes(Profile),
    /// Nothing passes for so long.
    Stalls(Duration),
    /// All its connections break.
    Breaks,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Becomes(profile) => write!(f, "becomes {}", profile.name),
            Self::Stalls(time) => write!(f, "stalls for {:.1} s", time.as_secs_f32()),
            Self::Breaks => f.write_str("breaks"),
        }
    }
}

/// The weather of a fleet.
pub(super) struct Weather {
    rng: fastrand::Rng,
    links: usize,
}

impl Weather {
    /// For `links` links.
    pub(super) fn new(links: usize, seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x57ea_7e12), links }
    }

    /// What happens next: after how long, to which link, what.
    pub(super) fn next(&mut self) -> (Duration, usize, Event) {
        let pause = Duration::from_millis(self.rng.u64(4_000..9_000));
        let link = self.rng.usize(..self.links.max(1));
        let event = match self.rng.u8(..10) {
            0..=2 => Event::Becomes(Profile::BROADBAND),
            3..=4 => Event::Becomes(Profile::MOBILE),
            5..=6 => Event::Becomes(Profile::FIBER),
            7..=8 => Event::Stalls(Duration::from_millis(self.rng.u64(800..3_000))),
            _ => Event::Breaks,
        };
        (pause, link, event)
    }
}

/// What somebody on the way takes along: a link that turns into every kind there is, never the same twice in a row.
pub(super) struct Journey {
    rng: fastrand::Rng,
    now: Profile,
}

impl Journey {
    /// Kinds of links on the way.
    const STAGES: [Profile; 5] =
        [Profile::FIBER, Profile::BROADBAND, Profile::MOBILE, Profile::SATELLITE, Profile::INTERMITTENT];

    /// Begins on `first`.
    pub(super) fn new(first: Profile, seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed ^ 0x10e7_1e55), now: first }
    }

    /// The next stage, and after how long: long enough to see what a change of link changes.
    pub(super) fn next(&mut self) -> (Duration, Profile) {
        let others: Vec<_> = Self::STAGES.into_iter().filter(|stage| *stage != self.now).collect();
        self.now = others[self.rng.usize(..others.len())];
        (Duration::from_millis(self.rng.u64(25_000..45_000)), self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journey_comes_by_every_kind_of_link() {
        let journey = |seed| {
            let mut journey = Journey::new(Profile::MOBILE, seed);
            (0..40).map(|_| journey.next()).collect::<Vec<_>>()
        };
        assert_eq!(journey(7), journey(7));
        assert_ne!(journey(7), journey(8));
        let seen = journey(7);
        assert!(Journey::STAGES.iter().all(|stage| seen.iter().any(|(_, profile)| profile == stage)));
        assert!(seen[0].1 != Profile::MOBILE && seen.windows(2).all(|pair| pair[0].1 != pair[1].1));
    }

    #[test]
    fn the_same_seed_gives_the_same_weather() {
        let days = |seed| {
            let mut weather = Weather::new(4, seed);
            (0..50).map(|_| weather.next()).collect::<Vec<_>>()
        };
        assert_eq!(days(7), days(7));
        assert_ne!(days(7), days(8));
        assert!(days(7).iter().all(|(_, link, _)| *link < 4));
    }
}
