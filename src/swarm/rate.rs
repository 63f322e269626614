//! Measuring rates and round trips: a meter for people, filters for decisions.

use std::time::{Duration, Instant};

/// A rate smoothed over time: bytes per second with an exponentially fading memory.
///
/// Bytes are gathered for at least `Meter::STEP` before they move the average, so that many small
/// arrivals cost nothing and a burst does not look like a line rate.
#[derive(Debug, Clone)]
pub struct Meter {
    memory: Duration,
    since: Option<Instant>,
    gathered: u64,
    rate: f64,
}

impl Meter {
    const STEP: Duration = Duration::from_millis(100);

    /// `memory`: the time after which an old rate weighs 1/e.
    pub fn new(memory: Duration) -> Self {
        Self { memory, since: None, gathered: 0, rate: 0.0 }
    }

    /// Bytes arrived.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        self.fold(now);
        self.gathered = self.gathered.saturating_add(bytes);
        self.since.get_or_insert(now);
    }

    fn fold(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let passed = now.saturating_duration_since(since);
        if passed >= Self::STEP {
            self.rate = self.folded(passed);
            (self.gathered, self.since) = (0, Some(now));
        }
    }

    fn folded(&self, passed: Duration) -> f64 {
        // What was gathered came within about a step; after that there was silence.
        let keep = |time: Duration| (-time.as_secs_f64() / self.memory.as_secs_f64()).exp();
        let step = passed.min(Self::STEP * 2);
        let rate = self.rate * keep(step) + self.gathered as f64 / step.as_secs_f64() * (1.0 - keep(step));
        rate * keep(passed - step)
    }

    /// Bytes per second as of `now`; fades while nothing arrives.
    pub fn rate(&self, now: Instant) -> u64 {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if passed >= Self::STEP { self.folded(passed) as u64 } else { self.rate as u64 }
    }
}

/// The best value of the last one to two epochs: BBR's windowed filters (min RTT, max delivery rate)
/// with two numbers instead of a list. An idle link keeps what it knew.
#[derive(Debug, Clone)]
pub struct Best<T> {
    epoch: Duration,
    better: fn(&T, &T) -> bool,
    started: Option<Instant>,
    last: Option<T>,
    current: Option<T>,
}

impl<T: Copy> Best<T> {
    /// `better(a, b)`: a beats b. Values are forgotten after one to two `epoch`s of new ones.
    pub fn new(epoch: Duration, better: fn(&T, &T) -> bool) -> Self {
        Self { epoch, better, started: None, last: None, current: None }
    }

    /// A new sample.
    pub fn add(&mut self, value: T, now: Instant) {
        let started = *self.started.get_or_insert(now);
        if now.saturating_duration_since(started) >= self.epoch && self.current.is_some() {
            (self.last, self.current, self.started) = (self.current, None, Some(now));
        }
        if self.current.is_none_or(|best| (self.better)(&value, &best)) {
            self.current = Some(value);
        }
    }

    /// The best that is remembered.
    pub fn get(&self) -> Option<T> {
        match (self.last, self.current) {
            (Some(a), Some(b)) => Some(if (self.better)(&a, &b) { a } else { b }),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_fades() {
        let start = Instant::now();
        let mut meter = Meter::new(Duration::from_secs(1));
        for ms in 0..5000 {
            meter.add(1000, start + Duration::from_millis(ms));
        }
        let rate = meter.rate(start + Duration::from_secs(5));
        assert!((980_000..1_020_000).contains(&rate), "{rate}");
        assert!(meter.rate(start + Duration::from_secs(10)) < 10_000);
        meter.add(0, start); // a clock that goes back harms nothing
    }

    #[test]
    fn best_forgets_after_two_epochs() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut best = Best::new(Duration::from_secs(5), |a: &u64, b| a > b);
        assert_eq!(best.get(), None);
        best.add(100, at(0));
        best.add(10, at(4));
        assert_eq!(best.get(), Some(100));
        best.add(20, at(6));
        assert_eq!(best.get(), Some(100));
        best.add(15, at(12));
        assert_eq!(best.get(), Some(20));
    }
}
