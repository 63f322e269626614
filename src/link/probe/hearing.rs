//! How long to listen for a sign of life, and whether datagrams are worth sending. Pure.

use std::time::Duration;

/// Time for a sign of life, at least: …
const LIFE: Duration = Duration::from_millis(1_000);
/// … and at most, which is what a link that was silent gets: it may come back as one so far away that the two round trips of a new
/// connection take longer than the time there was for one of the old link.
const LONGEST_LIFE: Duration = Duration::from_millis(2_000);
/// Looks without an answer after which a link counts as silent here.
const SILENT: u32 = 3;
/// Asks without a single echo, though the node answers otherwise, after which datagrams count as blocked.
const DEAF: u32 = 2;
/// Then they are tried again after so many asks.
const TRY_AGAIN: u32 = 10;
/// Weight of a new figure of what round trips deviate by.
const GAIN: f64 = 0.3;
/// Round trips that differ by this factor, and by more than this, are those of two links.
const OTHER_TRIP: f64 = 2.0;
const OTHER_TRIP_BY: Duration = Duration::from_millis(3);

/// What was heard of an endpoint so far.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Round trip, as far as known.
    trip: Option<Duration>,
    /// What round trips deviate by, of the last looks.
    jitter: Option<Duration>,
    /// The one that connections had when a body came over them last.
    reckoned: Option<Duration>,
    /// Asks without an echo though there was an answer, in a row.
    unheard: u32,
    /// Looks without an answer, in a row.
    missed: u32,
}

impl Hearing {
    /// The round trip, as far as known.
    pub(super) fn trip(&self) -> Option<Duration> {
        self.trip
    }

    /// So long took a round trip.
    pub(super) fn on_trip(&mut self, trip: Duration) {
        self.trip = Some(trip);
    }

    /// What round trips deviate by, as far as known.
    pub(super) fn jitter(&self) -> Duration {
        self.jitter.unwrap_or_default()
    }

    /// By so much deviated the round trips of a look. A few tell little: the last looks count together.
    pub(super) fn on_jitter(&mut self, jitter: Duration) {
        self.jitter = Some(self.jitter.map_or(jitter, |before| before.mul_f64(1.0 - GAIN) + jitter.mul_f64(GAIN)));
    }

    /// Do no datagrams come back, though the node answers?
    pub(super) fn is_deaf(&self) -> bool {
        self.unheard >= DEAF && !self.unheard.is_multiple_of(TRY_AGAIN)
    }

    /// Datagrams were sent. `heard`: one came back, at least. `answered`: the node did, by other means; who does not answer at
    /// all says nothing of datagrams.
    pub(super) fn on_echoes(&mut self, heard: bool, answered: bool) {
        if heard {
            self.unheard = 0;
        } else if answered {
            self.unheard = self.unheard.saturating_add(1);
        }
    }

    /// A look without datagrams, because none come back.
    pub(super) fn on_spared(&mut self) {
        self.unheard = self.unheard.saturating_add(1);
    }

    /// A look is over.
    pub(super) fn on_look(&mut self, failed: bool) {
        self.missed = if failed { self.missed.saturating_add(1) } else { 0 };
    }

    /// Is the link suspected to be silent? Then there is no time to ask for one thing after the other.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.missed > 0
    }

    /// Time for a sign of life.
    pub(super) fn life(&self) -> Duration {
        match self.trip {
            _ if self.missed >= SILENT => LONGEST_LIFE,
            Some(trip) => (trip * 2).clamp(LIFE, LONGEST_LIFE),
            None => LIFE,
        }
    }

    /// Time for echoes: the known round trip says how long they take, until nothing comes in it.
    pub(super) fn echoes(&self) -> Duration {
        match self.trip {
            Some(trip) if !self.is_in_doubt() => (trip * 3 / 2 + Duration::from_millis(200)).min(self.life()),
            _ => self.life(),
        }
    }

    /// A body is about to come; does it need new connections? A connection reckons with the round trip that it knows: when that is
    /// another link's, acknowledgements come late and what was not lost is sent again, so that a body tells the connection's
    /// rate and not the link's.
    pub(super) fn on_body(&mut self) -> bool {
        let Some(trip) = self.trip else { return false };
        let before = self.reckoned.replace(trip).unwrap_or(trip);
        let (shorter, longer) = (trip.min(before), trip.max(before));
        longer > shorter.mul_f64(OTHER_TRIP) && longer - shorter > OTHER_TRIP_BY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn silence_says_nothing_of_datagrams() {
        let mut hearing = Hearing::default();
        for _ in 0..10 {
            hearing.on_echoes(false, false);
        }
        assert!(!hearing.is_deaf(), "nobody answered by other means either");
        for _ in 0..DEAF {
            hearing.on_echoes(false, true);
        }
        assert!(hearing.is_deaf());
        hearing.on_echoes(true, false);
        assert!(!hearing.is_deaf());
    }

    #[test]
    fn what_is_blocked_is_tried_again_once_in_a_while() {
        let mut hearing = Hearing::default();
        let mut asked = 0;
        for _ in 0..TRY_AGAIN * 3 {
            if hearing.is_deaf() {
                hearing.on_spared();
            } else {
                asked += 1;
                hearing.on_echoes(false, true);
            }
        }
        assert_eq!(asked, DEAF + 2);
    }

    /// A new connection over a satellite takes two round trips of 600 ms.
    #[test]
    fn a_link_that_was_silent_may_come_back_far_away() {
        let mut hearing = Hearing::default();
        hearing.on_trip(ms(100));
        assert_eq!((hearing.life(), hearing.echoes()), (LIFE, ms(350)));
        hearing.on_look(true);
        assert_eq!(
            (hearing.life(), hearing.echoes()),
            (LIFE, LIFE),
            "whoever is silent for a moment is not waited for longer"
        );
        for _ in 1..SILENT {
            hearing.on_look(true);
        }
        assert!(hearing.life() >= ms(1_300) && hearing.echoes() >= ms(700), "{hearing:?}");
        hearing.on_look(false);
        assert_eq!((hearing.life(), hearing.echoes()), (LIFE, ms(350)));
    }

    #[test]
    fn another_links_connections_are_left_behind() {
        let mut hearing = Hearing::default();
        let mut body = |trip| {
            hearing.on_trip(trip);
            hearing.on_body()
        };
        assert!(!body(ms(600)), "the first");
        assert!(!body(ms(600)) && !body(ms(610)) && !body(ms(400)));
        assert!(body(ms(2)) && !body(ms(3)) && !body(ms(2)), "a satellite became fiber");
        assert!(body(ms(80)), "and that a phone");
        assert!(!body(ms(100)), "which wavers");
    }
}
