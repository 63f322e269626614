//! What an operator decides about a path: whether it works, and how much.
//!
//! A disabled path hands over everything that it had, what was under way too, and takes nothing again until
//! it is enabled; it is not probed either. Weights are relative: the path of the greatest weight among those
//! that can be used works as fast as it can, one of half that weight at half of what it could. So bytes
//! follow `what a path can carry × its weight`, and weights that are all the same change nothing.

use std::time::{Duration, Instant};

use super::path::Path;
use super::{PathId, Plan, Why};

/// Least and greatest weight.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

impl Plan {
    /// Takes a path out, or lets it work again.
    pub fn set_enabled(&mut self, id: PathId, enabled: bool, now: Instant) {
        let Some(path) = self.paths.get_mut(id).filter(|path| path.enabled != enabled) else { return };
        path.enabled = enabled;
        if enabled {
            return self.deal(now, Some(id), Why::Enabled);
        }
        path.share = 0.0;
        path.active = 0;
        self.take_back(id, now, Why::Disabled);
    }

    /// Gives a path a weight, brought within [`WEIGHTS`]; 1 unless somebody sets another.
    pub fn set_weight(&mut self, id: PathId, weight: f64, now: Instant) {
        let weight = if weight.is_finite() { weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()) } else { 1.0 };
        let Some(path) = self.paths.get_mut(id).filter(|path| path.weight != weight) else { return };
        path.weight = weight;
        path.paced_until = None;
        self.deal(now, Some(id), Why::Weighed(weight));
    }

    /// No path may work: each was disabled.
    pub fn is_switched_off(&self) -> bool {
        !self.paths.is_empty() && self.paths.iter().all(|path| !path.enabled)
    }

    /// Those that may work.
    pub fn enabled(&self) -> impl Iterator<Item = PathId> + '_ {
        (0..self.paths.len()).filter(|id| self.paths[*id].enabled)
    }

    /// Some path may not work.
    pub fn has_disabled(&self) -> bool {
        self.paths.iter().any(|path| !path.enabled)
    }

    /// The greatest weight of those that can be used.
    pub(super) fn top_weight(&self) -> f64 {
        self.paths.iter().filter(|path| path.is_usable()).map(|path| path.weight).fold(0.0, f64::max)
    }

    /// Bytes per second that a path shall have, by its weight.
    pub(super) fn weighed_rate(&self, path: &Path, now: Instant) -> f64 {
        let rate = path.rate(self.config.segment, now);
        let top = self.top_weight();
        if path.weight < top { rate * path.weight / top } else { rate }
    }

    /// A path of less than the greatest weight begins its next segment only when it has earned it.
    pub(super) fn pace(&mut self, id: PathId, now: Instant) {
        let path = &self.paths[id];
        if path.weight >= self.top_weight() {
            return;
        }
        let pause = self.config.segment as f64 / self.weighed_rate(path, now).max(1.0);
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX).min(Duration::from_secs(3_600));
        let path = &mut self.paths[id];
        // From when it could have begun, so that waking late costs it nothing; but it saves nothing up.
        let since = path.paced_until.filter(|until| *until + pause > now).unwrap_or(now);
        path.paced_until = Some(since + pause);
    }

    /// True while a path waits because of its weight.
    pub(super) fn is_paced(&self, path: &Path, now: Instant) -> bool {
        path.paced_until.is_some_and(|until| until > now) && path.weight < self.top_weight()
    }
}
