//! What is known of one node: its last report, what happened to those who used it, whether it is drained. Pure: times are
//! milliseconds of this node's own clock, and reports are as old as their receipt; the clock of who wrote them is never asked.

use crate::control::pool::{Figures, SLOW_MS};

/// What a failure counts as, in ms of latency.
pub const FAILURE_MS: f64 = 10_000.0;
/// Weight of a new observation in the average: two failures in a row are past any sensible limit for ten seconds, one is not.
const WEIGHT: f64 = 0.3;
/// What was observed counts half after so many ms without news, so that who failed is tried again some day.
const HALF_LIFE_MS: f64 = 30_000.0;
/// Below this nothing is left of it.
const NOTHING_MS: f64 = 0.01;

/// The health of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    report: Option<(Figures, u64)>,
    observed_ms: f64,
    observed_at: u64,
    failures: u32,
    /// When it came, or came back.
    since: u64,
    /// The operator takes it out of use.
    pub drained: bool,
}

impl Health {
    /// Of a node that came now; `is_old`: it was there before anybody looked, and needs no slow start.
    pub fn new(now: u64, is_old: bool) -> Self {
        Self { since: if is_old { 0 } else { now.max(1) }, ..Self::default() }
    }

    /// A report came. Figures that are none count as the worst.
    pub fn on_report(&mut self, figures: Figures, now: u64) {
        let percent = |value: f64| if value.is_finite() { value.clamp(0.0, 100.0) } else { 100.0 };
        let latency = figures.average_latency_ms;
        let sane = Figures {
            cpu_percent: percent(figures.cpu_percent),
            memory_percent: percent(figures.memory_percent),
            active_connections: figures.active_connections,
            average_latency_ms: if latency.is_finite() { latency.clamp(0.0, 1e9) } else { 1e9 },
        };
        self.report = Some((sane, now));
    }

    /// An operation with it ended well; it had answered after so many ms.
    pub fn on_success(&mut self, latency_ms: f64, now: u64) {
        self.observe(if latency_ms.is_finite() { latency_ms.clamp(0.0, FAILURE_MS) } else { FAILURE_MS }, now);
        self.failures = 0;
    }

    /// An operation with it ended well, which says nothing of how soon it answers: its own word counts as that.
    pub fn on_done(&mut self, now: u64) {
        let told = self.report.as_ref().map_or(0.0, |(figures, _)| figures.average_latency_ms);
        self.on_success(told.min(SLOW_MS), now);
    }

    /// An operation with it failed, however fast.
    pub fn on_failure(&mut self, now: u64) {
        self.observe(FAILURE_MS, now);
        self.failures = self.failures.saturating_add(1);
    }

    fn observe(&mut self, sample: f64, now: u64) {
        let before = self.observed(now);
        self.observed_ms =
            if before == 0.0 && sample < FAILURE_MS { sample } else { before + (sample - before) * WEIGHT };
        self.observed_at = now;
    }

    /// It came back after it was gone: what failed while it was going is no word on it now, and it starts slowly.
    pub fn on_return(&mut self, now: u64) {
        (self.since, self.observed_ms, self.failures) = (now.max(1), 0.0, 0);
    }

    /// The newest report and when it was received.
    pub fn report(&self) -> Option<(&Figures, u64)> {
        self.report.as_ref().map(|(figures, at)| (figures, *at))
    }

    /// The newest report, unless it is older than `limit` ms.
    pub fn fresh(&self, now: u64, limit: u64) -> Option<&Figures> {
        self.report.as_ref().filter(|(_, at)| now.saturating_sub(*at) <= limit).map(|(figures, _)| figures)
    }

    /// What was found by using it, ms: failures count as long ones, and all of it is forgotten in time.
    pub fn observed(&self, now: u64) -> f64 {
        if self.observed_ms == 0.0 {
            return 0.0;
        }
        let age = now.saturating_sub(self.observed_at) as f64;
        let left = self.observed_ms * (-age / HALF_LIFE_MS).exp2();
        if left < NOTHING_MS { 0.0 } else { left }
    }

    /// Whether that is above `ms`; most often told without working out what is left.
    pub fn exceeds(&self, ms: f64, now: u64) -> bool {
        self.observed_ms > ms && self.observed(now) > ms
    }

    /// What was found by using it if that is above `ms`, else `ms`.
    pub fn observed_above(&self, ms: f64, now: u64) -> f64 {
        if self.observed_ms > ms { self.observed(now).max(ms) } else { ms }
    }

    /// Failures since it last did well.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The part of its score that counts `now`, where a new node needs `span` ms to be a full one: from a tenth to 1.
    pub fn slow_start(&self, now: u64, span: u64) -> f64 {
        if self.since == 0 || span == 0 {
            return 1.0;
        }
        (now.saturating_sub(self.since) as f64 / span as f64).clamp(0.1, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_age_by_their_receipt() {
        let mut health = Health::new(0, true);
        assert!(health.fresh(0, 30_000).is_none());
        health.on_report(Figures { cpu_percent: 5.0, ..Figures::default() }, 1_000);
        assert!(health.fresh(31_000, 30_000).is_some());
        assert!(health.fresh(31_001, 30_000).is_none());
        // A clock that goes back (it should not) makes nothing stale.
        assert!(health.fresh(0, 30_000).is_some());
    }

    #[test]
    fn figures_that_are_none_are_the_worst() {
        let mut health = Health::new(0, true);
        let figures = Figures {
            cpu_percent: f64::NAN,
            memory_percent: -7.0,
            active_connections: u64::MAX,
            average_latency_ms: f64::NEG_INFINITY,
        };
        health.on_report(figures, 0);
        let (kept, _) = health.report().unwrap();
        assert_eq!((kept.cpu_percent, kept.memory_percent, kept.average_latency_ms), (100.0, 0.0, 1e9));
    }

    #[test]
    fn failures_count_as_latency_and_are_forgotten() {
        let mut health = Health::new(0, true);
        health.on_success(8.0, 0);
        assert!((health.observed(0) - 8.0).abs() < 1e-9);
        health.on_failure(1);
        assert!(health.observed(1) > 2_000.0 && health.observed(1) < 4_000.0);
        health.on_failure(2);
        assert!(health.observed(2) > 4_000.0 && health.failures() == 2);
        assert!(health.observed(10_002) > 4_000.0, "for ten seconds");
        assert!((health.observed(30_002) / health.observed(2) - 0.5).abs() < 1e-9, "half after thirty seconds");
        assert_eq!(health.observed(10_000_000), 0.0);
        health.on_success(f64::NAN, 10_000_000);
        assert!(health.observed(10_000_000).is_finite() && health.failures() == 0);
    }

    #[test]
    fn who_did_well_is_trusted_again_by_its_own_word() {
        let mut health = Health::new(0, true);
        health.on_report(Figures { average_latency_ms: 40.0, ..Figures::default() }, 0);
        health.on_failure(0);
        let before = health.observed(0);
        health.on_done(0);
        assert!(health.failures() == 0 && health.observed(0) < before * 0.8);
        for _ in 0..40 {
            health.on_done(0);
        }
        assert!((health.observed(0) - 40.0).abs() < 1.0, "{}", health.observed(0));
    }

    #[test]
    fn a_new_node_starts_slowly_and_an_old_one_does_not() {
        let new = Health::new(1_000, false);
        assert_eq!(
            [1_000, 2_000, 16_000, 31_000, 99_000].map(|now| new.slow_start(now, 30_000)),
            [0.1, 0.1, 0.5, 1.0, 1.0]
        );
        assert_eq!(Health::new(1_000, true).slow_start(1_000, 30_000), 1.0);
        let mut back = Health::new(0, true);
        back.on_failure(0);
        back.on_return(0);
        assert_eq!((back.observed(0), back.failures()), (0.0, 0), "it is another one now");
        assert_eq!(back.slow_start(0, 30_000), 0.1);
    }
}
