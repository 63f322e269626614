//! What a path moves, and how many requests it may have at once.
//!
//! ```text
//! rate   = bytes acknowledged over the last two seconds, at least four and at most 64 acknowledgements
//! full   = max(rate, min(4 × rate, assumed)) × latency      what may be on the way on a full line
//! window = ⌈3 × full / segment⌉ + spare, at most 32, and not above the allowance
//! ```
//!
//! A gain lets the rate that is measured show that there is room for more (as in BBR, see
//! [`crate::swarm::window`]). It is 3 because connections that share a long line have windows of a part of
//! it: a segment takes two round trips or so to leave and another to be acknowledged. The spare ones keep the line busy while others wait for their answers: a
//! connection that has to wait starts again with a burst, which shallow queues drop. Acknowledgements of
//! requests that share a line come in bunches, so that a rate over less than several of them says little.
//! A path begins as if it moved [`ASSUMED`]: on long round trips that decides how long it takes to fill
//! the line. A failure halves what is allowed, an acknowledgement adds one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Requests under way on a path at most.
const CAP: u32 = 32;
const GAIN: f64 = 3.0;
/// A path below [`ASSUMED`] may turn out to do this many times as much.
const HOPE: f64 = 4.0;
/// Bytes per second that are assumed of a path that has nothing to show yet.
const ASSUMED: f64 = 12.5e6;
/// A path is new for this many round trips and this long.
const NEW_ROUNDS: f64 = 8.0;
const NEW: Duration = Duration::from_secs(1);
/// Requests beside those that fill the line, and where the round trip is next to nothing.
const SPARE: u32 = 3;
const SPARE_NEAR: u32 = 1;
const NEAR_MS: f64 = 2.0;
/// What a rate is taken over.
const SPAN: Duration = Duration::from_secs(2);
const LEAST: usize = 4;
const MOST: usize = 64;

/// Rate and window of one path.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Acknowledgements and the bytes of each; the first only says since when.
    acks: VecDeque<(Instant, u64)>,
    /// Bytes of all of them but the first.
    bytes: u64,
    rate: Option<f64>,
    /// When it was first given something.
    since: Option<Instant>,
    allowance: Option<u32>,
}

impl Line {
    /// The path gets work after it had none: what passed until now says nothing about its rate.
    pub fn on_start(&mut self, now: Instant) {
        self.acks.clear();
        self.acks.push_back((now, 0));
        self.bytes = 0;
        self.since.get_or_insert(now);
    }

    /// A segment of `bytes` was acknowledged, `took` after it was sent: that alone is no more than the line can do.
    pub fn on_held(&mut self, bytes: u64, took: Duration, now: Instant) {
        self.allowance = self.allowance.map(|allowance| allowance + 1).filter(|allowance| *allowance < CAP);
        self.acks.push_back((now, bytes));
        self.bytes += bytes;
        while self.acks.len() > MOST
            || self.acks.len() > LEAST + 1
                && self.acks.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > SPAN)
        {
            self.acks.pop_front();
            self.bytes -= self.acks.front().map_or(0, |(_, bytes)| *bytes);
        }
        let passed = self.acks.front().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at));
        if !passed.is_zero() && self.bytes > 0 {
            let least = if took.is_zero() { 0.0 } else { bytes as f64 / took.as_secs_f64() };
            self.rate = Some((self.bytes as f64 / passed.as_secs_f64()).max(least));
        }
    }

    /// A request failed while `active` (it included) were under way.
    pub fn on_failure(&mut self, active: u32) {
        self.allowance = Some((self.allowance.unwrap_or(CAP).min(active.max(1)) / 2).max(1));
    }

    /// Bytes per second while it had work; none before the first acknowledgement.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Requests that may be under way at once.
    pub fn window(&self, segment: u64, latency_ms: f64, now: Instant) -> u32 {
        let new_for = NEW + Duration::try_from_secs_f64(NEW_ROUNDS * latency_ms / 1e3).unwrap_or_default();
        let is_new = self.since.is_none_or(|since| now.saturating_duration_since(since) < new_for);
        let rate = self.rate.unwrap_or(0.0).max(if is_new { ASSUMED } else { 0.0 });
        // Connections on a long line take their time to open up: what it could do shows only if there are
        // more of them than what it does asks for.
        let full = rate.max((HOPE * rate).min(ASSUMED)) * latency_ms / 1e3;
        let spare = if latency_ms < NEAR_MS { SPARE_NEAR } else { SPARE };
        let wanted = (GAIN * full / segment.max(1) as f64).ceil() as u32;
        wanted.saturating_add(spare).clamp(2, CAP).min(self.allowance.unwrap_or(CAP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn bunches_do_not_look_like_a_line_rate() {
        let start = Instant::now();
        let mut line = Line::default();
        line.on_start(start);
        // Four at once every 400 ms: 10 MiB/s.
        for bunch in 1..20 {
            (0..4).for_each(|n| line.on_held(MIB, ms(400), start + ms(bunch * 400 + n)));
            let rate = line.rate().unwrap() / (10 * MIB) as f64;
            assert!((0.75..1.3).contains(&rate), "bunch {bunch}: {rate}");
        }
        // A pause without work does not count.
        line.on_start(start + Duration::from_secs(100));
        line.on_held(MIB, ms(100), start + ms(100_100));
        assert_eq!(line.rate(), Some((10 * MIB) as f64));
    }

    #[test]
    fn the_window_fills_the_line_and_failures_halve_it() {
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        let at = |rate: u64, latency_ms: f64| {
            let mut line = Line::default();
            line.on_start(start);
            (1..=10).for_each(|n| line.on_held(rate, ms(1_000), start + ms(n * 1_000)));
            line.window(MIB, latency_ms, later)
        };
        assert_eq!(at(600_000_000, 0.2), 2, "next door");
        assert_eq!(at(25_000_000, 10.0), 4);
        assert_eq!(at(12_500_000, 600.0), 25, "3 × 7.5 MB and three");
        assert_eq!(at(100_000, 600.0), 4, "slow and far: nothing heaped up there");
        let mut line = Line::default();
        assert_eq!(line.window(MIB, 600.0, start), 25, "a long line is filled from the beginning");
        line.on_start(start);
        assert_eq!(line.window(MIB, 600.0, later), 3, "but not for long, if nothing comes of it");
        line.on_failure(18);
        assert_eq!(line.window(MIB, 600.0, start), 9);
        line.on_held(MIB, ms(0), start);
        assert_eq!(line.window(MIB, 600.0, start), 10);
    }
}
