//! What a viewer sees of the links to other nodes: what was measured, what class that makes, how syncs behave.
//!
//! Bandwidth is in Mbit/s, latency and jitter are in milliseconds (latency is the round trip), loss is in percent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Links that a node watches at most.
pub const MAX_LINKS: usize = 256;

/// What kind of link an endpoint is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkClass {
    /// Too little is known.
    #[default]
    Unknown,
    /// Fast and near.
    Fiber,
    /// Good enough for everything.
    Broadband,
    /// Neither.
    Mobile,
    /// Slow or far.
    Satellite,
    /// Comes and goes.
    Intermittent,
}

impl LinkClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Fiber, Self::Broadband, Self::Mobile, Self::Satellite, Self::Intermittent];

    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fiber => "fiber",
            Self::Broadband => "broadband",
            Self::Mobile => "mobile",
            Self::Satellite => "satellite",
            Self::Intermittent => "intermittent",
        }
    }
}

/// How data is kept in step over a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Everything, as it is.
    Full,
    /// Everything, compressed where that pays.
    FullCompressed,
    /// What changed, compressed.
    DeltaOnly,
    /// What changed, compressed hard; of what is not critical only a summary.
    #[default]
    DeltaCompressed,
    /// Kept here until the link is back.
    StoreAndForward,
}

impl SyncMode {
    /// All of them, the one for the best links first.
    pub const ALL: [Self; 5] =
        [Self::Full, Self::FullCompressed, Self::DeltaOnly, Self::DeltaCompressed, Self::StoreAndForward];

    /// Its name, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::FullCompressed => "full_compressed",
            Self::DeltaOnly => "delta_only",
            Self::DeltaCompressed => "delta_compressed",
            Self::StoreAndForward => "store_and_forward",
        }
    }
}

/// Where one class ends and another begins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thresholds {
    /// Intermittent above this loss, percent.
    pub intermittent_loss: f64,
    /// Intermittent after more than so many intervals in a row without a measurement.
    pub intermittent_missed: u32,
    /// Satellite below this bandwidth, Mbit/s.
    pub satellite_bandwidth: f64,
    /// Satellite above this latency, ms.
    pub satellite_latency: f64,
    /// Fiber above this bandwidth, Mbit/s …
    pub fiber_bandwidth: f64,
    /// … and below this latency, ms.
    pub fiber_latency: f64,
    /// Broadband from this bandwidth on, Mbit/s …
    pub broadband_bandwidth: f64,
    /// … and below this latency, ms.
    pub broadband_latency: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            intermittent_loss: 20.0,
            intermittent_missed: 2,
            satellite_bandwidth: 1.0,
            satellite_latency: 500.0,
            fiber_bandwidth: 100.0,
            fiber_latency: 10.0,
            broadband_bandwidth: 10.0,
            broadband_latency: 50.0,
        }
    }
}

/// Where a measurement comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Probes.
    #[default]
    Active,
    /// The system's figures of connections that are there anyway, and what transfers measure.
    Passive,
    /// Probes, checked against those.
    Both,
}

/// What a link was found to be like. A figure that is left out is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurement {
    /// When, ms since the epoch.
    pub measured_at: u64,
    /// Mbit/s.
    pub bandwidth_mbps: Option<f64>,
    /// Round trip, ms.
    pub latency_ms: Option<f64>,
    /// Standard deviation of the latency, ms.
    pub jitter_ms: Option<f64>,
    /// Percent of packets lost; not known where UDP does not come through.
    pub loss_percent: Option<f64>,
    /// Where it comes from.
    pub method: Method,
    /// Bytes that it put on the link, both ways.
    pub probe_bytes: u64,
    /// It failed: there was no answer. The other figures are none.
    pub failed: bool,
}

/// How syncs and pushes over a link behave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncParams {
    /// The mode.
    pub mode: SyncMode,
    /// What is not critical is told about, and sent when the link is better.
    pub summary_only: bool,
    /// Level of zstd; none: not compressed.
    pub compression: Option<i32>,
    /// Bytes per chunk.
    pub chunk_bytes: u64,
    /// Time between two looks at a watched tree, ms; none: when the link allows.
    pub interval_ms: Option<u64>,
    /// Transfers at a time.
    pub concurrent: u32,
    /// Operations wait in the priority queue.
    pub queued: bool,
}

/// What its link has a transfer do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkUse {
    /// The link's class.
    pub class: LinkClass,
    /// The mode that follows from it.
    pub mode: SyncMode,
    /// Level of zstd at which data goes; none: as it is.
    pub compression: Option<i32>,
}

/// A class that is not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingClass {
    /// Which.
    pub class: LinkClass,
    /// Samples in a row that said so.
    pub samples: u32,
    /// Samples in a row that are needed.
    pub needed: u32,
    /// What it waits for, in words.
    pub why: String,
}

/// A link that is watched: one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRow {
    /// The endpoint's URL.
    pub endpoint: String,
    /// The class in force.
    pub class: LinkClass,
    /// Why it is that, in words: the rule and its figures; where the last look had no answer, why.
    pub why: String,
    /// Why the last look had no answer: no such name, refused, a token is wanted, a login page; none: it had one.
    pub error: Option<String>,
    /// Since when, ms since the epoch.
    pub class_since_ms: u64,
    /// The operator set the class: it stays until that is taken back.
    pub forced: bool,
    /// Every byte costs: what is not critical is kept back.
    pub metered: bool,
    /// A class on its way.
    pub pending: Option<PendingClass>,
    /// The median of the window.
    pub median: Measurement,
    /// The newest sample.
    pub newest: Measurement,
    /// Samples in the window.
    pub samples: u32,
    /// Nothing was measured of late: the figures are old.
    pub stale: bool,
    /// What syncs do here.
    pub params: SyncParams,
    /// Bytes that probing cost since the monitor's start.
    pub probe_bytes: u64,
    /// Looks since then: signs of life, and measurements of the bandwidth.
    pub probes: u64,
    /// How often the class changed since then.
    pub changes: u64,
    /// Bytes that probing may cost per second, of late.
    pub probe_budget: u64,
    /// Time between two measurements, of late, ms.
    pub probe_interval_ms: u64,
    /// Limits by the operator, bytes per second: up and down.
    pub limit_up: Option<u64>,
    /// Limits by the operator, bytes per second: up and down.
    pub limit_down: Option<u64>,
}

/// How links are measured and judged: what `transport.config` tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkSettings {
    /// Where one class ends and another begins.
    pub thresholds: Thresholds,
    /// Percent of a link that probing may cost over any minute.
    pub budget_percent: f64,
    /// Time between two signs of life, ms.
    pub heartbeat_ms: u64,
    /// Time between two measurements of the bandwidth where the budget allows, ms.
    pub interval_ms: u64,
    /// Time that one measurement may take, ms.
    pub probe_limit_ms: u64,
    /// Samples older than this count no more, ms.
    pub window_ms: u64,
    /// Samples below which a link is unknown.
    pub samples: u32,
    /// Samples in a row that a change of class takes.
    pub confirmations: u32,
    /// Percent by which the deciding figure has to be past its threshold.
    pub margin_percent: f64,
    /// Links of sends and syncs are monitored by themselves …
    pub automatic: bool,
    /// … and for so long after the last of them, ms.
    pub linger_ms: u64,
    /// Per class what syncs do at the upper end of its range of bandwidth, profiles of the configuration included.
    pub classes: BTreeMap<LinkClass, SyncParams>,
}

/// A link became another one, or syncs on it behave otherwise than before (`from` and `to` are equal then).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkChange {
    /// When, ms since the epoch.
    pub time_ms: u64,
    /// The endpoint's URL.
    pub endpoint: String,
    /// The class before.
    pub from: LinkClass,
    /// The class since.
    pub to: LinkClass,
    /// What that changes in behaviour, in words.
    pub what: String,
}

/// What a monitor remembers of a link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkHistory {
    /// Samples, oldest first.
    pub samples: Vec<Measurement>,
    /// Changes of class, and of what syncs do without one, oldest first.
    pub changes: Vec<LinkChange>,
}

/// An ad-hoc measurement of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeRequest {
    /// URL of the endpoint.
    pub url: String,
}

/// What a probe found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeReport {
    /// The endpoint's URL.
    pub endpoint: String,
    /// What was measured.
    pub measurement: Measurement,
    /// The class that these figures alone make.
    pub class: LinkClass,
    /// Which rule made it that, in words.
    pub why: String,
    /// What syncs would do.
    pub params: SyncParams,
    /// Exchanges behind it.
    pub samples: u32,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
    /// Time after which another one keeps to what probing may cost of the link, ms.
    pub again_ms: u64,
}

/// What to change of a monitored link; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkChangeRequest {
    /// URL of the endpoint.
    pub endpoint: String,
    /// `auto`, or a class that holds from now on.
    pub class: Option<ClassChoice>,
    /// Every byte costs here.
    pub metered: Option<bool>,
}

/// Who says what class a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassChoice {
    /// What is measured.
    Auto,
    /// The operator.
    #[serde(untagged)]
    Fixed(LinkClass),
}
