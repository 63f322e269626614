//! How long to wait before a segment is tried again: 1, 2, 4 s with jitter, or as long as the other side
//! asks for; then the segment is given up.

use std::time::Duration;

/// Tries after the first one.
pub const RETRIES: u32 = 3;
/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// Waits vary by this share up and down, so that many senders do not come back in step.
const JITTER: f64 = 0.25;
/// Most that a Retry-After is believed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// Longest pause between two probes of a dead path.
const MAX_PROBE_PAUSE: Duration = Duration::from_secs(30);

/// How fast waits pass: 1 in earnest, less for tests that would have to sit them out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(pub f64);

impl Default for Pace {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Pace {
    /// This time at this pace.
    pub fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }

    /// [`wait`] at this pace.
    pub fn wait(self, failures: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        wait(failures, retry_after, random).map(|time| self.of(time))
    }

    /// [`probe_pause`] at this pace.
    pub fn probe_pause(self, failures: u32, random: f64) -> Duration {
        self.of(probe_pause(failures, random))
    }
}

/// The wait before try number `failures + 1`, where `failures` tries have failed (at least 1). None: enough.
/// `retry_after` (RFC 9110, section 10.2.3) is a least time; `random` is uniform in 0..1.
pub fn wait(failures: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
    if failures > RETRIES {
        return None;
    }
    let backoff = jittered(FIRST * (1 << failures.saturating_sub(1)), random);
    Some(retry_after.map_or(backoff, |asked| asked.min(MAX_RETRY_AFTER).max(backoff)))
}

/// The pause before a dead path is probed again, after `failures` failed probes in a row: 1, 2, 4, … 30 s.
pub fn probe_pause(failures: u32, random: f64) -> Duration {
    jittered((FIRST * (1 << failures.min(5))).min(MAX_PROBE_PAUSE), random)
}

fn jittered(time: Duration, random: f64) -> Duration {
    time.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_two_four_and_out() {
        let at = |failures| wait(failures, None, 0.5);
        assert_eq!([at(1), at(2), at(3), at(4)], [1, 2, 4, 0].map(|s| (s > 0).then(|| Duration::from_secs(s))));
        assert_eq!(wait(1, None, 0.0), Some(Duration::from_millis(750)));
        assert_eq!(wait(1, None, 1.0), Some(Duration::from_millis(1250)));
    }

    #[test]
    fn retry_after_is_a_least_time_and_capped() {
        assert_eq!(wait(1, Some(Duration::from_secs(9)), 0.5), Some(Duration::from_secs(9)));
        assert_eq!(wait(3, Some(Duration::from_secs(1)), 0.5), Some(Duration::from_secs(4)));
        assert_eq!(wait(1, Some(Duration::from_secs(99_999)), 0.5), Some(MAX_RETRY_AFTER));
        assert_eq!(wait(4, Some(Duration::from_secs(9)), 0.5), None);
    }

    #[test]
    fn a_quicker_pace_shortens_every_wait() {
        let pace = Pace(0.01);
        assert_eq!(pace.wait(1, Some(Duration::from_secs(9)), 0.5), Some(Duration::from_millis(90)));
        assert_eq!((pace.wait(4, None, 0.5), pace.probe_pause(0, 0.5)), (None, Duration::from_millis(10)));
        assert_eq!(Pace::default().wait(1, None, 0.5), wait(1, None, 0.5));
    }

    #[test]
    fn probes_of_a_dead_path_thin_out() {
        let seconds: Vec<u64> = (0..8).map(|n| probe_pause(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
