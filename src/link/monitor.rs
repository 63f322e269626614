//! A monitor's loop over one endpoint: asks what the cadence says, feeds the judge, tells what came of it.
//!
//! [`Looker`] does one look at a time and can be used by itself (`skep probe --watch`); the engine runs one per monitored
//! endpoint, in a task of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::cadence::{Cadence, Confirm};
use super::config::LinkConfig;
use super::judge::{Judge, Outcome};
use super::params::{difference, is_other, params};
use super::probe::{ProbeError, Prober};
use super::sample::{PassiveSample, Sample};
use crate::clock::unix_ms;
use crate::content::name::printable;
use crate::control::link::{ClassChoice, LinkChange, LinkClass, LinkHistory, LinkRow, SyncParams};

/// Samples and changes that are remembered of a link: half an hour of seconds.
const MOST_SAMPLES: usize = 1_800;
const MOST_CHANGES: usize = 256;
/// A bandwidth measurement may take this long, and a few round trips.
const BANDWIDTH_LIMIT: Duration = Duration::from_millis(1_200);

/// What a look brought.
#[derive(Debug, Clone)]
pub struct Look {
    /// Everything that was measured.
    pub sample: Sample,
    /// Why nothing was.
    pub error: Option<ProbeError>,
    /// The class in force changed, or what syncs do on it.
    pub change: Option<LinkChange>,
}

/// Looks at one endpoint.
#[derive(Debug)]
pub struct Looker {
    endpoint: String,
    config: Arc<LinkConfig>,
    prober: Prober,
    judge: Judge,
    cadence: Cadence,
    begun: Instant,
    confirm: Confirm,
    metered: bool,
    since_ms: u64,
    cost: u64,
    looks: u64,
    changed: u64,
    /// Why the last look had no answer.
    trouble: Option<String>,
    samples: VecDeque<Sample>,
    /// With the time since the start: the wall's clock may jump.
    changes: VecDeque<(Duration, LinkChange)>,
}

impl Looker {
    /// `endpoint`: `http(s)://HOST:PORT`; `headers` go along with requests; `secret`: at random.
    ///
    /// # Errors
    /// It is no URL of an endpoint.
    pub fn new(endpoint: &str, headers: HeaderMap, secret: u64, config: Arc<LinkConfig>) -> Result<Self, ProbeError> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            prober: Prober::new(endpoint, headers, secret)?,
            judge: Judge::new(Arc::clone(&config)),
            cadence: Cadence::new(&config),
            config,
            begun: Instant::now(),
            confirm: Confirm::No,
            metered: false,
            since_ms: unix_ms(),
            cost: 0,
            looks: 0,
            changed: 0,
            trouble: None,
            samples: VecDeque::new(),
            changes: VecDeque::new(),
        })
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When the next look is due. May be waited for and given up at any time.
    pub async fn due(&self) {
        tokio::time::sleep_until(self.begun + self.cadence.due()).await;
    }

    /// Looks once, now.
    pub async fn look(&mut self) -> Look {
        let (before, params_before) = (self.judge.class(), self.params());
        let now = self.now();
        self.judge.on_tick(now);
        self.judge.on_asked();
        let busy = self.judge.is_busy(now);
        let ask = self.cadence.ask(now, self.confirm, busy, self.prober.is_deaf());
        let (mut sample, mut error) = self.prober.life(ask).await;
        let now = self.now();
        sample.at = now;
        self.trouble = error.as_ref().map(|error| printable(&error.to_string()));
        let mut outcome = self.judge.on_sample(now, sample);
        let then = self.cadence.then(now, ask, outcome.confirm, outcome.changed.is_some(), busy);
        if !sample.failed && (then.full > 0 || then.train > 0) {
            let trips = sample.latency_ms.map_or(Duration::ZERO, |ms| Duration::from_secs_f64(ms * 3.0 / 1e3));
            let limit = (BANDWIDTH_LIMIT + trips).min(self.config.probe_limit);
            let (found, why) = self.prober.bandwidth(then, limit).await;
            error = why;
            let now = self.now();
            if why_or_figure(&found) {
                outcome = self.judge.on_bandwidth(now, found);
            }
            (sample.bandwidth_mbps, sample.over, sample.hint_mbps) =
                (found.bandwidth_mbps, found.over, found.hint_mbps);
            sample.probe_bytes += found.probe_bytes;
        }
        let now = self.now();
        self.cost += sample.probe_bytes;
        self.looks += 1;
        let seen = sample.bandwidth_mbps.or(sample.hint_mbps);
        self.cadence.done(now, sample.probe_bytes, self.judge.median().bandwidth_mbps, seen);
        self.heed(outcome, now);
        if self.samples.len() >= MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let change = self.changed(before, &params_before);
        Look { sample, error, change }
    }

    /// What the transfers over this link tell.
    pub fn on_passive(&mut self, sample: PassiveSample) -> Option<LinkChange> {
        let (before, params_before) = (self.judge.class(), self.params());
        let now = self.now();
        let outcome = self.judge.on_passive(now, unix_ms(), sample);
        if outcome.confirm != Confirm::No {
            self.heed(outcome, now);
        }
        self.changed(before, &params_before)
    }

    /// What the operator says.
    pub fn set(&mut self, class: Option<ClassChoice>, metered: Option<bool>) -> Option<LinkChange> {
        let (before, params_before) = (self.judge.class(), self.params());
        match class {
            None => {}
            Some(ClassChoice::Auto) => drop(self.judge.force(None)),
            Some(ClassChoice::Fixed(class)) => drop(self.judge.force(Some(class))),
        }
        self.metered = metered.unwrap_or(self.metered);
        self.changed(before, &params_before)
    }

    fn heed(&mut self, outcome: Outcome, now: Duration) {
        self.confirm = outcome.confirm;
        if self.confirm != Confirm::No {
            self.cadence.hurry(now);
        }
    }

    fn changed(&mut self, from: LinkClass, before: &SyncParams) -> Option<LinkChange> {
        let (to, params) = (self.judge.class(), self.params());
        if from == to && !is_other(before, &params) {
            return None;
        }
        let time_ms = unix_ms();
        if from != to {
            self.since_ms = time_ms;
            self.changed += 1;
        }
        let what = difference(before, &params);
        let change = LinkChange { time_ms, endpoint: self.endpoint.clone(), from, to, what };
        if self.changes.len() >= MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((self.now(), change.clone()));
        Some(change)
    }

    /// Whom the connection led to; none: nobody answered yet.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.prober.address()
    }

    /// How syncs over this link behave.
    pub fn params(&self) -> SyncParams {
        let class = self.judge.class();
        let bandwidth = self.judge.median().bandwidth_mbps;
        params(class, bandwidth, &self.config.thresholds, self.config.profiles.get(&class), self.metered)
    }

    /// What viewers see.
    pub fn row(&self) -> LinkRow {
        let now = self.now();
        LinkRow {
            endpoint: self.endpoint.clone(),
            class: self.judge.class(),
            why: match &self.trouble {
                Some(trouble) => format!("{} ({trouble})", self.judge.why()),
                None => self.judge.why(),
            },
            error: self.trouble.clone(),
            class_since_ms: self.since_ms,
            forced: self.judge.is_forced(),
            metered: self.metered,
            pending: self.judge.pending().cloned(),
            median: self.judge.median(),
            newest: self.judge.newest().map(Sample::measurement).unwrap_or_default(),
            samples: u32::try_from(self.judge.samples()).unwrap_or(u32::MAX),
            stale: self.judge.is_stale(now),
            params: self.params(),
            probe_bytes: self.cost,
            probes: self.looks,
            changes: self.changed,
            probe_budget: self.cadence.per_second(),
            probe_interval_ms: u64::try_from(self.cadence.full_interval().as_millis()).unwrap_or(u64::MAX),
            limit_up: None,
            limit_down: None,
        }
    }

    /// What is remembered of the time of this length up to now.
    pub fn history(&self, window: Duration) -> LinkHistory {
        let from = self.now().saturating_sub(window);
        LinkHistory {
            samples: self.samples.iter().filter(|sample| sample.at >= from).map(Sample::measurement).collect(),
            changes: self.changes.iter().filter(|(at, _)| *at >= from).map(|(_, change)| change.clone()).collect(),
        }
    }
}

fn why_or_figure(found: &Sample) -> bool {
    found.bandwidth_mbps.is_some() || found.hint_mbps.is_some()
}
