//! How fast bytes go: over the last seconds for the eye, smoothed for the ETA.

use std::time::{Duration, Instant};

/// Length of a slot of the short window.
const SLOT: Duration = Duration::from_millis(250);
/// Slots of the short window: 1.5 s.
const SLOTS: usize = 6;
/// Time constant of the smoothed rate.
const SMOOTHING: f64 = 20.0;

/// Bytes per second of one flow. Time comes in; ask it as often as you like.
#[derive(Debug, Clone)]
pub struct Meter {
    slots: [u64; SLOTS],
    at: usize,
    slot_start: Instant,
    started: Instant,
    smooth: f64,
    total: u64,
    last_byte: Instant,
}

impl Meter {
    /// A flow that starts now.
    pub fn new(now: Instant) -> Self {
        Self { slots: [0; SLOTS], at: 0, slot_start: now, started: now, smooth: 0.0, total: 0, last_byte: now }
    }

    /// `bytes` more have passed.
    pub fn add(&mut self, bytes: u64, now: Instant) {
        self.advance(now);
        self.slots[self.at] += bytes;
        self.total += bytes;
        if bytes > 0 {
            self.last_byte = now;
        }
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes per second over the last 1–1.5 s (or since the start, if that is shorter).
    pub fn now(&mut self, now: Instant) -> u64 {
        self.advance(now);
        let covered = SLOT * (SLOTS as u32 - 1) + now.saturating_duration_since(self.slot_start);
        let covered = covered.min(now.saturating_duration_since(self.started)).max(Duration::from_millis(50));
        (self.slots.iter().sum::<u64>() as f64 / covered.as_secs_f64()) as u64
    }

    /// Bytes per second, smoothed over about 20 s.
    pub fn smooth(&mut self, now: Instant) -> u64 {
        let recent = self.now(now);
        // Until the smoothing has something to smooth, the short window is the better guess.
        if now.saturating_duration_since(self.started).as_secs_f64() < SMOOTHING / 4.0 { recent } else { self.smooth as u64 }
    }

    /// Time since the last byte.
    pub fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_byte)
    }

    fn advance(&mut self, now: Instant) {
        let mut passed = now.saturating_duration_since(self.slot_start).as_millis() / SLOT.as_millis();
        if passed > 1_000 {
            // Long idle: nothing of the past is left in either figure.
            self.slots = [0; SLOTS];
            self.smooth = 0.0;
            self.slot_start = now;
            return;
        }
        while passed > 0 {
            let rate = self.slots[self.at] as f64 / SLOT.as_secs_f64();
            let weight = SLOT.as_secs_f64() / SMOOTHING.min((now - self.started).as_secs_f64().max(0.5));
            self.smooth += (rate - self.smooth) * weight.min(1.0);
            self.at = (self.at + 1) % SLOTS;
            self.slots[self.at] = 0;
            self.slot_start += SLOT;
            passed -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_and_an_end_is_seen() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut now = start;
        for _ in 0..400 {
            now += Duration::from_millis(100);
            meter.add(100_000, now);
        }
        let close = |rate: u64| (900_000..1_100_000).contains(&rate);
        assert!(close(meter.now(now)), "{}", meter.now(now));
        assert!(close(meter.smooth(now)), "{}", meter.smooth(now));
        now += Duration::from_secs(2);
        assert_eq!(meter.now(now), 0);
        assert!(meter.smooth(now) > 500_000, "smoothed: does not drop at once");
        assert_eq!(meter.idle(now), Duration::from_secs(2));
        assert_eq!(meter.smooth(now + Duration::from_secs(3600)), 0);
        assert_eq!(meter.total(), 40_000_000);
    }
}
