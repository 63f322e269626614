//! What of measuring and classifying can be set; the defaults are the specification's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::classify::Thresholds;
use super::params::Patch;
use crate::control::link::LinkClass;

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
