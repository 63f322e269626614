//! When a node announces itself to one tracker, and with which event.
//!
//! The tracker's interval rules, with two exceptions: when peers run dry the next announce comes sooner
//! (not within 5 s of the last), and completion is announced at once. A tracker that fails is left alone
//! for longer each time, up to 5 minutes, whatever else happens: a dead one costs one request per 5
//! minutes and holds nothing up. One announcer per tracker, so that all are used and none waits for
//! another.

use std::time::{Duration, Instant};

use super::announce::AnnounceEvent;

/// The least time between two announces.
pub const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// The longest interval that is believed.
pub const MAX_INTERVAL: Duration = Duration::from_secs(1800);
/// Until a tracker says otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// The schedule for one tracker.
#[derive(Debug, Clone)]
pub struct Announcer {
    interval: Duration,
    /// When the last announce was sent.
    last: Option<Instant>,
    next: Instant,
    in_flight: Option<AnnounceEvent>,
    /// The tracker knows that we are there.
    started: bool,
    /// The event that it has still to be told.
    pending: Option<AnnounceEvent>,
    failures: u32,
    dry: bool,
    stopped: bool,
}

impl Announcer {
    /// Announces as soon as asked.
    pub fn new(now: Instant) -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            last: None,
            next: now,
            in_flight: None,
            started: false,
            pending: None,
            failures: 0,
            dry: false,
            stopped: false,
        }
    }

    /// When [`Announcer::poll`] has something to send; `None`: an announce is under way, or all is said.
    pub fn next(&self) -> Option<Instant> {
        let done = self.in_flight.is_some() || (self.stopped && self.pending.is_none());
        (!done).then_some(self.next)
    }

    /// The event to announce now, if it is time; it counts as sent.
    pub fn poll(&mut self, now: Instant) -> Option<AnnounceEvent> {
        if self.next().is_none_or(|next| next > now) {
            return None;
        }
        let event = match self.pending {
            Some(event @ (AnnounceEvent::Stopped | AnnounceEvent::Completed)) => event,
            _ if !self.started => AnnounceEvent::Started,
            _ => AnnounceEvent::Progress,
        };
        (self.in_flight, self.last) = (Some(event), Some(now));
        Some(event)
    }

    /// The tracker answered: announce again after `interval`, sooner if peers are dry.
    pub fn on_reply(&mut self, interval: Duration, now: Instant) {
        let Some(event) = self.in_flight.take() else { return };
        self.interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        (self.failures, self.started) = (0, event != AnnounceEvent::Stopped);
        // Something else may have happened while it was under way.
        if self.pending == Some(event) {
            self.pending = None;
        }
        self.schedule(now);
    }

    /// It did not answer, or refused.
    pub fn on_failed(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        if self.in_flight.take().is_none() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.stopped {
            // A tracker that does not hear of our leaving forgets us by itself.
            self.pending = None;
        }
        let backoff = FIRST_BACKOFF.saturating_mul(1 << (self.failures - 1).min(16)).min(MAX_BACKOFF);
        self.next = now + backoff.mul_f64(0.75 + 0.25 * rng.f64());
    }

    /// Peers ran dry (none left to ask, or none has what is missing), or no longer.
    pub fn set_dry(&mut self, dry: bool, now: Instant) {
        if self.dry != dry {
            self.dry = dry;
            self.reschedule(now);
        }
    }

    /// Everything is there now.
    pub fn on_completed(&mut self, now: Instant) {
        if !self.stopped {
            self.pending = Some(AnnounceEvent::Completed);
            self.reschedule(now);
        }
    }

    /// We leave: one last announce if the tracker knows us, then none.
    pub fn on_stopped(&mut self, now: Instant) {
        self.stopped = true;
        // One under way may make us known.
        let known = self.started || self.in_flight.is_some();
        self.pending = (known && self.failures == 0).then_some(AnnounceEvent::Stopped);
        self.reschedule(now);
    }

    /// Failures since the last answer.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The tracker's interval.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    fn reschedule(&mut self, now: Instant) {
        // A failing tracker is left alone whatever happens.
        if self.failures == 0 && self.in_flight.is_none() && self.last.is_some() {
            self.schedule(now);
        }
    }

    fn schedule(&mut self, now: Instant) {
        let last = self.last.unwrap_or(now);
        self.next = match self.pending {
            Some(AnnounceEvent::Stopped | AnnounceEvent::Completed) => now,
            _ if self.dry => last + MIN_INTERVAL,
            _ => last + self.interval,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn started() -> (Announcer, Instant) {
        let now = Instant::now();
        let mut announcer = Announcer::new(now);
        assert_eq!(announcer.poll(now), Some(AnnounceEvent::Started));
        assert_eq!(announcer.poll(now + 100 * S), None, "one at a time");
        announcer.on_reply(40 * S, now);
        (announcer, now)
    }

    #[test]
    fn follows_the_trackers_interval() {
        let (mut announcer, now) = started();
        assert_eq!(announcer.next(), Some(now + 40 * S));
        assert_eq!(announcer.poll(now + 39 * S), None);
        assert_eq!(announcer.poll(now + 40 * S), Some(AnnounceEvent::Progress));
        announcer.on_reply(Duration::ZERO, now + 41 * S);
        assert_eq!(announcer.next(), Some(now + 45 * S), "not faster than 5 s");
        announcer.poll(now + 45 * S);
        announcer.on_reply(1_000_000 * S, now + 45 * S);
        assert_eq!(announcer.interval(), MAX_INTERVAL);
    }

    #[test]
    fn sooner_when_peers_run_dry() {
        let (mut announcer, now) = started();
        announcer.set_dry(true, now + S);
        assert_eq!(announcer.next(), Some(now + 5 * S));
        announcer.poll(now + 5 * S);
        announcer.on_reply(40 * S, now + 5 * S);
        assert_eq!(announcer.next(), Some(now + 10 * S));
        announcer.set_dry(false, now + 6 * S);
        assert_eq!(announcer.next(), Some(now + 45 * S));
    }

    #[test]
    fn a_dead_tracker_costs_next_to_nothing() {
        let start = Instant::now();
        let mut announcer = Announcer::new(start);
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut now, mut tries) = (start, 0);
        while now < start + 3600 * S {
            assert_eq!(announcer.poll(now), Some(AnnounceEvent::Started));
            tries += 1;
            announcer.on_failed(now, &mut rng);
            announcer.set_dry(tries % 2 == 0, now);
            announcer.on_completed(now);
            assert!(announcer.next().unwrap() > now + 3 * S);
            now = announcer.next().unwrap();
            announcer.pending = None;
        }
        assert!((12..30).contains(&tries), "{tries} tries in an hour");
        assert_eq!(announcer.poll(now), Some(AnnounceEvent::Started));
        announcer.on_reply(30 * S, now);
        assert_eq!(announcer.failures(), 0);
    }

    #[test]
    fn completion_and_leaving_are_told_at_once() {
        let (mut announcer, now) = started();
        announcer.on_completed(now + S);
        assert_eq!(announcer.poll(now + S), Some(AnnounceEvent::Completed));
        // Leaving while that is under way: told after it.
        announcer.on_stopped(now + 2 * S);
        assert_eq!(announcer.next(), None);
        announcer.on_reply(30 * S, now + 3 * S);
        assert_eq!(announcer.poll(now + 3 * S), Some(AnnounceEvent::Stopped));
        announcer.on_reply(30 * S, now + 3 * S);
        assert_eq!(announcer.next(), None);
    }

    #[test]
    fn who_never_came_need_not_leave() {
        let mut announcer = Announcer::new(Instant::now());
        announcer.on_stopped(Instant::now());
        assert_eq!(announcer.next(), None);
    }

    #[test]
    fn completion_that_fails_is_told_again() {
        let (mut announcer, now) = started();
        let mut rng = fastrand::Rng::with_seed(1);
        announcer.on_completed(now);
        assert_eq!(announcer.poll(now), Some(AnnounceEvent::Completed));
        announcer.on_failed(now, &mut rng);
        assert_eq!(announcer.poll(now + 5 * S), Some(AnnounceEvent::Completed));
    }
}
