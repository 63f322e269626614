//! What one transfer shows of its speed: over the last seconds for the eye, smoothed for the ETA.

use std::time::{Duration, Instant};

use super::rate::Meter;

/// Memory of the rate "now": it follows within 1–2 s.
const NOW: Duration = Duration::from_millis(700);
/// Memory of the smoothed rate.
const SMOOTH: Duration = Duration::from_secs(20);

/// Bytes of one flow, and their rates.
#[derive(Debug, Clone)]
pub struct Flow {
    fast: Meter,
    slow: Meter,
    total: u64,
    measured: u64,
    started: Instant,
    last_byte: Instant,
}

impl Flow {
    /// A flow that starts now.
    pub fn new(now: Instant) -> Self {
        Self { fast: Meter::new(NOW), slow: Meter::new(SMOOTH), total: 0, measured: 0, started: now, last_byte: now }
    }

    /// `bytes` more have passed.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        if bytes > 0 {
            self.fast.add(bytes, now);
            self.slow.add(bytes, now);
            (self.total, self.measured) = (self.total + bytes, self.measured + bytes);
            self.last_byte = now;
        }
    }

    /// `bytes` passed before it was measured.
    pub fn skip(&mut self, bytes: u64) {
        self.total += bytes;
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes per second over the last 1–2 s.
    pub fn now(&self, now: Instant) -> u64 {
        let rate = self.fast.rate(now);
        // A fading memory never reaches zero by itself; an idle flow shall read 0.
        if rate < 16 { 0 } else { rate }
    }

    /// Bytes per second, smoothed over about 20 s.
    pub fn smooth(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.started);
        // Until the memory is full, the average since the start is the better guess.
        if age < SMOOTH * 3 { (self.measured as f64 / age.as_secs_f64().max(0.05)) as u64 } else { self.slow.rate(now) }
    }

    /// Time since the last byte.
    pub fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_and_an_end_is_seen() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        let mut now = start;
        let close = |rate: u64| (900_000..1_100_000).contains(&rate);
        for tenth in 0..400 {
            now += Duration::from_millis(100);
            flow.add(100_000, now);
            if tenth == 50 || tenth == 399 {
                assert!(close(flow.now(now)) && close(flow.smooth(now)), "{flow:?}");
            }
        }
        now += Duration::from_secs(3);
        assert!(flow.now(now) < 50_000);
        assert!(flow.smooth(now) > 500_000, "smoothed: does not drop at once");
        assert_eq!(flow.idle(now), Duration::from_secs(3));
        assert_eq!(flow.now(now + Duration::from_secs(60)), 0);
        assert_eq!(flow.total(), 40_000_000);
    }
}
