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

#[cfg(test)]
mod tests {
    use super::*;

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
