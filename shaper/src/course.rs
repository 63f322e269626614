//! How the delay of a link wavers.

use std::time::{Duration, Instant};

/// The jitter of one connection: between random values, one per step of time, so that it has a course and no
/// jumps, as real delay does. The seed decides all of it.
#[derive(Debug)]
pub(crate) struct Course {
    born: Instant,
    seed: u64,
}

impl Course {
    pub(crate) fn new(seed: u64, now: Instant) -> Self {
        Self { born: now, seed }
    }

    /// How far the delay is off its mean now, in seconds; `jitter` is the standard deviation.
    pub(crate) fn deviation(&self, jitter: Duration, now: Instant) -> f64 {
        let jitter = jitter.as_secs_f64();
        if jitter == 0.0 {
            return 0.0;
        }
        let at = now.saturating_duration_since(self.born).as_secs_f64() / (4.0 * jitter).max(0.05);
        let (step, share) = (at.floor() as u64, at.fract());
        // Evenly spread over ±√3 has a standard deviation of 1; mixing two lessens it, which is
        // made up for.
        let value = |step: u64| {
            fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(step)).f64() * 2.0 - 1.0
        };
        let mixed = value(step) * (1.0 - share) + value(step + 1) * share;
        jitter * 3f64.sqrt() * mixed / (share * share + (1.0 - share) * (1.0 - share)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_has_the_asked_size_and_the_seed_decides_it() {
        let (start, ms) = (Instant::now(), Duration::from_millis(1));
        let course = |seed| {
            let course = Course::new(seed, start);
            (0..20_000).map(|at| course.deviation(14 * ms, start + ms * at)).collect::<Vec<_>>()
        };
        let (a, b) = (course(7), course(8));
        assert_eq!(a, course(7));
        assert_ne!(a, b);
        let spread = (a.iter().map(|d| d * d).sum::<f64>() / a.len() as f64).sqrt();
        assert!((0.010..0.018).contains(&spread), "{spread}");
        let jump = a.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f64::max);
        assert!(jump < 0.004, "it has a course: {jump}");
    }
}
