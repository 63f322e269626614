//! The settings as the program reads them: typed, with the automatic ones decided.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use skep_engine::control::pool;
use skep_engine::control::{PieceOrder, Rate};
use skep_engine::link::{LinkConfig, Thresholds};
use skep_engine::pool::PoolConfig;
use skep_engine::pool::repair::RepairSettings;
use skep_engine::schedule::Schedule;

use super::{Entry, Folders, Value, schedule};

/// Every setting's value. The documentation of each is in [`super::table::SETTINGS`].
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Settings {
    pub json: bool,
    pub color: String,
    pub verbose: u8,
    /// None only for a user without a home who named no folder.
    pub state_dir: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    /// A file to append to; none: a file per day in [`Self::log_dir`].
    pub log_file: Option<PathBuf>,
    /// Where daily logs go.
    pub log_dir: Option<PathBuf>,
    pub log_level: String,
    pub listen: SocketAddr,
    /// Empty: not said.
    pub advertise: String,
    /// None only for a user without a home who named no folder.
    pub root: Option<PathBuf>,
    pub name: String,
    pub trackers: Vec<String>,
    pub join: Vec<String>,
    pub trusted: bool,
    pub public: bool,
    pub workers: usize,
    pub limits: Limits,
    pub share: Share,
    pub link: LinkConfig,
    pub pool: PoolConfig,
    pub get: Get,
    pub console: Console,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limits {
    pub up: Rate,
    pub down: Rate,
    pub schedule: Schedule,
    pub transfers: usize,
    pub queue: usize,
    pub upload_slots: usize,
    /// None is `auto`.
    pub in_flight: Option<usize>,
    pub piece_timeout: Duration,
    /// None is `auto`.
    pub upload_quota: Option<u64>,
    pub upload_expiry: Duration,
    pub connections: usize,
}

/// `[share]`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Share {
    /// None is `auto`.
    pub piece_length: Option<u64>,
    pub ratio: Option<f64>,
    pub seed_time: Option<Duration>,
}

/// `[get]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Get {
    /// None is the current folder.
    pub dir: Option<PathBuf>,
    pub order: PieceOrder,
    pub seed: bool,
    pub listen: SocketAddr,
}

/// `[console]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Console {
    pub theme: String,
    pub glyphs: String,
    pub keys: Option<PathBuf>,
    pub mouse: bool,
    pub fps: u32,
    /// Bytes; 0: nothing is recorded.
    pub recording: u64,
    /// See [`super::targets`].
    pub targets: Vec<String>,
}

/// Values by key. A key that the table lacks, or of another kind, would read as zero or empty: the
/// test `every_setting_arrives` sees to it that none does.
struct Values<'a>(&'a [Entry]);

impl Values<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|e| e.setting.key == key).map(|e| &e.value)
    }

    fn yes(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Bool(true)))
    }

    fn count(&self, key: &str) -> usize {
        match self.get(key) {
            Some(Value::Count(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    fn text(&self, key: &str) -> String {
        match self.get(key) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        match self.get(key) {
            Some(Value::Path(path)) => path.clone(),
            _ => None,
        }
    }

    fn rate(&self, key: &str) -> Rate {
        match self.get(key) {
            Some(Value::Rate(rate)) => *rate,
            _ => None,
        }
    }

    fn size(&self, key: &str) -> u64 {
        match self.get(key) {
            Some(Value::Size(bytes)) => *bytes,
            _ => 0,
        }
    }

    fn auto_size(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(Value::AutoSize(size)) => *size,
            _ => None,
        }
    }

    fn list(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn span(&self, key: &str) -> Option<Duration> {
        match self.get(key) {
            Some(Value::Duration(span)) => *span,
            _ => None,
        }
    }

    fn number(&self, key: &str) -> f64 {
        match self.get(key) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    fn ratio(&self, key: &str) -> Option<f64> {
        match self.get(key) {
            Some(Value::Ratio(ratio)) => *ratio,
            _ => None,
        }
    }

    fn address(&self, key: &str) -> SocketAddr {
        match self.get(key) {
            Some(Value::Address(address)) => *address,
            _ => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

impl Settings {
    /// Reads the values; a state folder of one's own brings root and logs with it, so that trials
    /// and tests leave the user's folders alone.
    pub fn new(entries: &[Entry], folders: Option<&Folders>) -> Self {
        let of = Values(entries);
        let own = of.path("state_dir");
        let log_dir = own.clone().or_else(|| folders.map(|f| f.state.clone()));
        let root = of.path("root").or_else(|| own.as_ref().map(|dir| dir.join("root")));
        Self {
            json: of.yes("json"),
            color: of.text("color"),
            verbose: of.count("verbose").min(3) as u8,
            state_dir: own.or_else(|| folders.map(|f| f.data.join("state"))),
            token_file: of.path("token_file"),
            log_file: of.path("log_file"),
            log_dir,
            log_level: of.text("log_level"),
            listen: of.address("listen"),
            advertise: of.text("advertise"),
            root: root.or_else(|| folders.map(|f| f.data.join("files"))),
            name: of.text("name"),
            trackers: of.list("trackers"),
            join: of.list("join"),
            trusted: of.yes("trusted"),
            public: of.yes("public"),
            workers: of.count("workers").max(1),
            limits: Limits {
                up: of.rate("limits.up"),
                down: of.rate("limits.down"),
                // Each was read before, when its value was.
                schedule: Schedule(
                    of.list("limits.schedule").iter().filter_map(|text| schedule::rule(text).ok()).collect(),
                ),
                transfers: of.count("limits.transfers"),
                queue: of.count("limits.queue"),
                upload_slots: of.count("limits.upload_slots"),
                in_flight: match of.get("limits.in_flight") {
                    Some(Value::AutoCount(n)) => n.and_then(|n| usize::try_from(n).ok()),
                    _ => None,
                },
                piece_timeout: of.span("limits.piece_timeout").unwrap_or_default(),
                upload_quota: of.auto_size("limits.upload_quota"),
                upload_expiry: of.span("limits.upload_expiry").unwrap_or_default(),
                connections: of.count("limits.connections"),
            },
            share: Share {
                piece_length: of.auto_size("share.piece_length"),
                ratio: of.ratio("share.ratio"),
                seed_time: of.span("share.seed_time"),
            },
            link: link(&of),
            pool: PoolConfig {
                name: of.text("pool.name"),
                weight: of.number("pool.weight"),
                points: of.count("pool.points") as u32,
                bound: of.ratio("pool.bound"),
                limits: pool(&of),
                repair: RepairSettings {
                    after_ms: of.span("pool.repair_after").unwrap_or_default().as_millis() as u64,
                    at_once: of.count("pool.repairs"),
                    budget: of.rate("pool.budget"),
                },
            },
            get: Get {
                dir: of.path("get.dir"),
                order: match of.text("get.order").as_str() {
                    "sequential" => PieceOrder::Sequential,
                    "random" => PieceOrder::Random,
                    _ => PieceOrder::Rarest,
                },
                seed: of.yes("get.seed"),
                listen: of.address("get.listen"),
            },
            console: Console {
                theme: of.text("console.theme"),
                glyphs: of.text("console.glyphs"),
                keys: of.path("console.keys"),
                mouse: of.yes("console.mouse"),
                fps: of.count("console.fps") as u32,
                recording: of.size("console.recording"),
                targets: of.list("console.targets"),
            },
        }
    }
}

/// `[pool]`.
fn pool(of: &Values<'_>) -> pool::Limits {
    let ms = |key| of.span(key).unwrap_or_default().as_millis() as u64;
    pool::Limits {
        cpu_percent: of.number("pool.cpu"),
        memory_percent: of.number("pool.memory"),
        connections: of.count("pool.connections") as u64,
        stale_ms: ms("pool.stale"),
        slow_start_ms: ms("pool.slow_start"),
        weights: weights(of),
        ..pool::Limits::default()
    }
}

/// Those of a score, which is 1 for a node that does nothing.
fn weights(of: &Values<'_>) -> [f64; 4] {
    let Some(Value::Weights(all)) = of.get("pool.weights") else { return pool::Limits::default().weights };
    let sum: f64 = all.iter().sum();
    // Divided by what is 1 but for rounding they would only look worse.
    let scale = if (sum - 1.0).abs() < 1e-9 { 1.0 } else { sum };
    let each = |at: usize| all.get(at).copied().unwrap_or(0.0) / scale;
    [each(0), each(1), each(2), each(3)]
}

/// `[link]`.
fn link(of: &Values<'_>) -> LinkConfig {
    let span = |key| of.span(key).unwrap_or_default();
    LinkConfig {
        thresholds: Thresholds {
            intermittent_loss: of.number("link.intermittent_loss"),
            intermittent_missed: u32::try_from(of.count("link.intermittent_missed")).unwrap_or(u32::MAX),
            satellite_bandwidth: of.number("link.satellite_bandwidth"),
            satellite_latency: of.number("link.satellite_latency"),
            fiber_bandwidth: of.number("link.fiber_bandwidth"),
            fiber_latency: of.number("link.fiber_latency"),
            broadband_bandwidth: of.number("link.broadband_bandwidth"),
            broadband_latency: of.number("link.broadband_latency"),
        },
        window: span("link.window"),
        min_samples: of.count("link.samples"),
        confirmations: of.count("link.confirmations"),
        margin: of.number("link.margin") / 100.0,
        interval: span("link.interval"),
        budget: of.number("link.budget") / 100.0,
        probe_limit: span("link.probe_limit"),
        profiles: match of.get("link.profiles") {
            Some(Value::Profiles(profiles)) => profiles.clone(),
            _ => BTreeMap::new(),
        },
        automatic: of.yes("link.automatic"),
        linger: span("link.linger"),
        ..LinkConfig::default()
    }
}
