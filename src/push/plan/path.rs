//! One path of a plan: what was measured of it, how it stands, what it was given.

use std::time::{Duration, Instant};

use super::super::retry;
use super::super::runs::Runs;
use super::super::score::{Figures, Terms, first_guess};
use super::damp::Damp;
use super::line::Line;

/// Weight of the past in the failure rate: about the last twenty attempts count.
const MEMORY: f64 = 0.9;
/// Failures in a row after which a path is dead.
const DEADLY: u32 = 3;
/// A path that moves nothing for this many times what it should take and round trips is dead; not before
/// the first of these times, and not after the second.
const SILENCE_FACTOR: f64 = 8.0;
const SILENCE: Duration = Duration::from_secs(5);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Latency that is assumed of a path before it was probed.
const UNKNOWN_MS: f64 = 100.0;

/// How a path stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Works its share.
    Healthy,
    /// So far behind the best that it keeps no share of its own and only helps out.
    Degraded,
    /// Does not answer; probed again at this time.
    Dead {
        /// When.
        probe_at: Instant,
    },
    /// A probe of a dead path is under way.
    Probing,
}

/// A path as the plan knows it.
#[derive(Debug)]
pub(super) struct Path {
    pub standing: Standing,
    pub queue: Runs,
    pub line: Line,
    pub damp: Damp,
    /// Segments under way.
    pub active: u32,
    /// Connections that carry them side by side, each a part of the rate.
    pub spread: u32,
    pub latency_ms: f64,
    pub terms: Terms,
    pub share: f64,
    /// Taken by it, hedges included, and acknowledged to it first.
    pub taken: u32,
    pub done: u32,
    pub attempts: f64,
    pub failures: f64,
    pub failed_in_a_row: u32,
    /// Gets nothing before this time.
    pub rests_until: Option<Instant>,
    /// When its oldest silence began: the last acknowledgement, or the start of work after a rest.
    pub quiet_since: Instant,
    /// The last byte that the system took from us.
    pub last_byte: Instant,
    pub dead_probes: u32,
    /// The operator lets it work.
    pub enabled: bool,
    /// The operator's, beside the others'.
    pub weight: f64,
    /// Begins nothing before this time, because others weigh more.
    pub paced_until: Option<Instant>,
}

impl Path {
    pub fn new(latency: Option<Duration>, now: Instant) -> Self {
        let mut path = Self {
            standing: Standing::Dead { probe_at: now },
            queue: Runs::default(),
            line: Line::default(),
            damp: Damp::default(),
            active: 0,
            spread: 1,
            latency_ms: UNKNOWN_MS,
            terms: Terms::default(),
            share: 0.0,
            taken: 0,
            done: 0,
            attempts: 0.0,
            failures: 0.0,
            failed_in_a_row: 0,
            rests_until: None,
            quiet_since: now,
            last_byte: now,
            dead_probes: 0,
            enabled: true,
            weight: 1.0,
            paced_until: None,
        };
        if let Some(latency) = latency {
            path.answered(latency);
        }
        path
    }

    /// A probe was answered.
    pub fn answered(&mut self, latency: Duration) {
        self.latency_ms = latency.as_secs_f64() * 1e3;
        if !self.answers() {
            self.standing = Standing::Healthy;
            self.damp.forget();
            (self.failed_in_a_row, self.dead_probes, self.rests_until) = (0, 0, None);
        }
    }

    /// It works, as far as is known.
    pub fn answers(&self) -> bool {
        matches!(self.standing, Standing::Healthy | Standing::Degraded)
    }

    /// It works and may work.
    pub fn is_usable(&self) -> bool {
        self.enabled && self.answers()
    }

    pub fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    /// An attempt ended.
    pub fn attempted(&mut self, failed: bool) {
        self.attempts = self.attempts * MEMORY + 1.0;
        self.failures = self.failures * MEMORY + f64::from(u8::from(failed));
        self.failed_in_a_row = if failed { self.failed_in_a_row + 1 } else { 0 };
    }

    /// True once it has failed so often in a row that it must prove itself by a probe.
    pub fn has_failed_enough(&self) -> bool {
        self.failed_in_a_row >= DEADLY
    }

    pub fn error_rate(&self) -> f64 {
        if self.attempts > 0.0 { (self.failures / self.attempts).min(1.0) } else { 0.0 }
    }

    /// Bytes per second: measured, else guessed from the latency; and never more than its silence allows,
    /// so that a link that collapses is noticed before its next segment is through.
    pub fn rate(&self, segment: u64, now: Instant) -> f64 {
        let rate = self.line.rate().unwrap_or_else(|| first_guess(self.latency_ms)).max(1.0);
        if self.active == 0 {
            return rate;
        }
        let silence = now.saturating_duration_since(self.quiet_since).as_secs_f64() - self.latency_ms / 1e3;
        let under_way = (u64::from(self.active) * segment) as f64;
        if silence > 0.0 { rate.min(under_way / silence).max(1.0) } else { rate }
    }

    /// Requests that may be under way at once.
    pub fn window(&self, segment: u64, now: Instant) -> u32 {
        self.line.window(segment, self.latency_ms, now)
    }

    /// Seconds until another segment would be through, behind what is under way: the last one goes by one of the connections, at
    /// its part of the rate.
    pub fn finish(&self, segment: u64, now: Instant) -> f64 {
        (u64::from(self.active + self.spread) * segment) as f64 / self.rate(segment, now) + self.latency_ms / 1e3
    }

    pub fn figures(&self, segment: u64, now: Instant) -> Figures {
        Figures { throughput: self.rate(segment, now), latency_ms: self.latency_ms, error_rate: self.error_rate() }
    }

    /// When it is given up if nothing moves until then.
    pub fn silent_until(&self, segment: u64) -> Option<Instant> {
        if self.active == 0 || !self.is_usable() {
            return None;
        }
        let rate = self.line.rate().unwrap_or_else(|| first_guess(self.latency_ms)).max(1.0);
        let expected = (u64::from(self.active) * segment) as f64 / rate + self.latency_ms / 1e3;
        let patience = Duration::try_from_secs_f64(expected * SILENCE_FACTOR).unwrap_or(LONGEST_SILENCE);
        Some(self.quiet_since.max(self.last_byte) + patience.clamp(SILENCE, LONGEST_SILENCE))
    }

    /// Dead from now on; probed after a pause that grows.
    pub fn die(&mut self, pace: retry::Pace, now: Instant, random: f64) {
        self.standing = Standing::Dead { probe_at: now + pace.probe_pause(self.dead_probes, random) };
        self.dead_probes += 1;
        (self.share, self.active) = (0.0, 0);
    }
}
