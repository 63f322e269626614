//! The tail: what idle paths send once more.

use std::time::Instant;

use super::{PathId, Plan};

/// Requests for one segment at most.
const CARRIERS: usize = 2;

impl Plan {
    /// The outstanding segment that will take longest, if `id` would have it through sooner. `finish`:
    /// seconds until that.
    pub(super) fn hedge(&self, id: PathId, finish: f64, now: Instant) -> Option<u32> {
        if self.queued() > 0 {
            return None;
        }
        let slowest = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.carriers.len() < CARRIERS && flight.carriers.iter().all(|c| c.path != id))
            .map(|(segment, flight)| {
                let left = flight.carriers.iter().map(|carrier| self.left(carrier.path, carrier.since, now));
                (left.fold(f64::INFINITY, f64::min), *segment)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        (slowest.0 > finish).then_some(slowest.1)
    }

    /// Seconds that a request probably still takes: what is left of the expected time; once that is over,
    /// as long as it has taken so far.
    fn left(&self, carrier: PathId, since: Instant, now: Instant) -> f64 {
        let path = &self.paths[carrier];
        let segment = self.config.segment;
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        let share = path.rate(segment, now) / f64::from(path.active.max(1));
        let expected = segment as f64 / share + path.latency_ms / 1e3;
        if elapsed < expected { expected - elapsed } else { elapsed }
    }
}
