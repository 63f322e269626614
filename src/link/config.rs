//! What of measuring and classifying can be set; the defaults are the specification's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::classify::Thresholds;
use super::params::Patch;
use super::params::params;
use crate::control::link::{LinkClass, LinkSettings};

/// How links are measured and judged.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkConfig {
    /// Where one class ends and another begins.
    pub thresholds: Thresholds,
    /// Samples older than this count no more.
    pub window: Duration,
    /// Samples below which a link is unknown.
    pub min_samples: usize,
    /// Samples in a row that have to say the same before a class changes.
    pub confirmations: usize,
    /// How far past a threshold they have to be: 0.2 is 20 %.
    pub margin: f64,
    /// Time between two signs of life.
    pub heartbeat: Duration,
    /// Time between two full probes where the budget allows.
    pub interval: Duration,
    /// What probing may cost of the link's own capacity over any minute: 0.05 is 5 %.
    pub budget: f64,
    /// Time that one probe may take.
    pub probe_limit: Duration,
    /// Per class, what its parameters are instead of the table's.
    pub profiles: BTreeMap<LinkClass, Patch>,
    /// A send or sync has its endpoint monitored.
    pub automatic: bool,
    /// How long such a monitor goes on after the last of them.
    pub linger: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            window: Duration::from_secs(30),
            min_samples: 3,
            confirmations: 3,
            margin: 0.2,
            heartbeat: Duration::from_secs(1),
            interval: Duration::from_secs(5),
            budget: 0.05,
            probe_limit: Duration::from_secs(5),
            profiles: BTreeMap::new(),
            automatic: true,
            linger: Duration::from_secs(180),
        }
    }
}

/// A setting that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct Misplaced {
    /// Its name, as in the configuration.
    pub name: &'static str,
    /// The one that it does not fit to.
    pub other: Option<&'static str>,
    /// What it is, and what it should be.
    pub problem: String,
}

impl LinkConfig {
    /// Can links be measured and judged like this?
    ///
    /// # Errors
    /// The first setting with which they cannot.
    pub fn check(&self) -> Result<(), Misplaced> {
        self.thresholds.check()?;
        let second = Duration::from_secs(1);
        let within = |name, value: Duration, least: Duration, most: Duration| {
            let problem = || format!("is {value:?}: from {least:?} to {most:?}");
            let fits = (least..=most).contains(&value);
            if fits { Ok(()) } else { Err(Misplaced { name, other: None, problem: problem() }) }
        };
        within("heartbeat", self.heartbeat, second / 5, second * 60)?;
        within("interval", self.interval, self.heartbeat, second * 3_600)?;
        within("probe_limit", self.probe_limit, second / 2, second * 60)?;
        within("window", self.window, second * 5, second * 3_600)?;
        let share = |name, value: f64, most: f64| {
            let problem = || format!("is {} %: above 0 and at most {} %", value * 100.0, most * 100.0);
            let fits = value.is_finite() && value > 0.0 && value <= most;
            if fits { Ok(()) } else { Err(Misplaced { name, other: None, problem: problem() }) }
        };
        share("budget", self.budget, 0.5)?;
        share("margin", self.margin, 0.9)
    }

    /// As it is told.
    pub fn settings(&self) -> LinkSettings {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let of = |class| (class, params(class, None, &self.thresholds, self.profiles.get(&class), false));
        LinkSettings {
            thresholds: self.thresholds,
            budget_percent: self.budget * 100.0,
            heartbeat_ms: ms(self.heartbeat),
            interval_ms: ms(self.interval),
            probe_limit_ms: ms(self.probe_limit),
            window_ms: ms(self.window),
            samples: count(self.min_samples),
            confirmations: count(self.confirmations),
            margin_percent: self.margin * 100.0,
            automatic: self.automatic,
            linger_ms: ms(self.linger),
            classes: LinkClass::ALL.into_iter().map(of).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let default = LinkConfig::default;
        assert_eq!(default().check(), Ok(()));
        let thresholds = |change: fn(&mut Thresholds)| {
            let mut config = default();
            change(&mut config.thresholds);
            config
        };
        for (config, name) in [
            (LinkConfig { window: Duration::from_secs(1), ..default() }, "window is 1s: from 5s to 3600s"),
            (LinkConfig { budget: 0.0, ..default() }, "budget is 0 %"),
            (LinkConfig { margin: f64::NAN, ..default() }, "margin is NaN %"),
            (LinkConfig { interval: Duration::from_millis(10), ..default() }, "interval is 10ms"),
            (
                thresholds(|t| t.fiber_bandwidth = 5.0),
                "fiber_bandwidth is 5: it must be above 10 (broadband_bandwidth)",
            ),
            (thresholds(|t| t.satellite_latency = f64::INFINITY), "satellite_latency is inf"),
            (thresholds(|t| t.intermittent_loss = 100.0), "intermittent_loss is 100"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn what_is_told_has_the_profiles_in_it() {
        let patch = Patch { chunk_bytes: Some(4096), ..Patch::default() };
        let config = LinkConfig { profiles: BTreeMap::from([(LinkClass::Satellite, patch)]), ..LinkConfig::default() };
        let told = config.settings();
        assert_eq!((told.budget_percent, told.classes.len()), (5.0, 6));
        assert_eq!(told.classes[&LinkClass::Satellite].chunk_bytes, 4096);
    }
}
