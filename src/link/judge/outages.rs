//! Silences of a link, and how long it must hold afterwards to be believed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::link::classify::Figures;

/// Silences longer ago than this say nothing about the link any more.
const MEMORY: Duration = Duration::from_secs(180);
/// Silences that are remembered.
const MOST: usize = 16;
/// How long a link that comes back as it was must hold after its first silence.
const FIRST_HOLD: Duration = Duration::from_secs(10);
/// And at most, after many.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// Figures that differ by these factors (and ms) are those of another link.
const OTHER_BANDWIDTH: f64 = 1.6;
const OTHER_LATENCY: f64 = 1.5;
const OTHER_LATENCY_MS: f64 = 3.0;

/// The silences of a link.
#[derive(Debug, Clone, Default)]
pub(super) struct Outages {
    /// When each began.
    begun: VecDeque<Duration>,
    /// When something was heard again first.
    back: Option<Duration>,
    /// How the link was before the last one.
    before: Figures,
    /// The longest time that it held between two.
    longest: Duration,
}

impl Outages {
    /// The link fell silent at `at`; until then it was like `figures`.
    pub(super) fn begin(&mut self, at: Duration, figures: Figures) {
        if let Some(back) = self.back.take() {
            self.longest = self.longest.max(at.saturating_sub(back));
        }
        while self.begun.len() >= MOST || self.begun.front().is_some_and(|begun| *begun + MEMORY < at) {
            self.begun.pop_front();
        }
        if self.begun.is_empty() {
            self.longest = Duration::ZERO;
        }
        self.begun.push_back(at);
        // A silence after another one that nothing was measured in between says nothing of the link.
        if figures != Figures::default() {
            self.before = figures;
        }
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, at: Duration) {
        if !self.begun.is_empty() {
            self.back.get_or_insert(at);
        }
    }

    /// How long the link must hold yet, which came back being like `figures`.
    pub(super) fn hold(&self, now: Duration, figures: &Figures) -> Duration {
        let off = |new: Option<f64>, old: Option<f64>, factor: f64, step: f64| match (new, old) {
            (Some(new), Some(old)) => (new / old).max(old / new) > factor && (new - old).abs() > step,
            _ => false,
        };
        let is_other = off(figures.bandwidth_mbps, self.before.bandwidth_mbps, OTHER_BANDWIDTH, 0.0)
            || off(figures.latency_ms, self.before.latency_ms, OTHER_LATENCY, OTHER_LATENCY_MS);
        if is_other {
            return Duration::ZERO;
        }
        let of_late = self.begun.iter().filter(|begun| **begun + MEMORY > now).count();
        let hold = match of_late {
            0 => Duration::ZERO,
            1 => FIRST_HOLD,
            _ => (self.longest * 2).clamp(FIRST_HOLD, LONGEST_HOLD),
        };
        hold.saturating_sub(now.saturating_sub(self.back.unwrap_or(now)))
    }
}
