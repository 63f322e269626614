//! The monitors of a node: one task per endpoint, started by hand, or by the transfers that use the link.
//!
//! A monitor that somebody started is kept over restarts, with the class and the metered flag that the operator set; one
//! that a transfer brought ends some minutes after the last one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::shared::Bell;
use crate::control::link::{
    ClassChoice, LinkChange, LinkChangeRequest, LinkClass, LinkHistory, LinkRow, LinkSettings, MAX_LINKS, Measurement,
    ProbeReport,
};
use crate::control::{CommandError, CommandErrorKind, TransferKind, TransferRow, TransferState};
use crate::link::monitor::Looker;
use crate::link::passive::{Following, Passive};
use crate::link::probe::{Prober, endpoint};
use crate::link::{Figures, LinkConfig, classify, params};
use crate::queue::links as queue;
use crate::store::{LinkRecord, State};
use crate::throttle::links::LinkLimits;

/// Orders that may wait for a monitor.
const ORDERS: usize = 8;

/// Soonest and latest that an endpoint which nobody monitors should be measured again, ms.
const SOONEST_MS: u64 = 2_000;
const LATEST_MS: u64 = 60_000;

/// All monitors.
pub(crate) struct Links {
    config: Arc<LinkConfig>,
    settings: Arc<LinkSettings>,
    /// What the schedule allows each link.
    limits: Arc<LinkLimits>,
    /// Go along with every probe.
    headers: HeaderMap,
    state: Arc<State>,
    bell: Arc<Bell>,
    passive: Passive,
    span: Span,
    stop: CancellationToken,
    tasks: TaskTracker,
    all: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    row: Arc<LinkRow>,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    /// Somebody wants it whether or not there are transfers.
    kept: bool,
    /// When a transfer needed it last.
    needed: Instant,
    /// Why it does not answer, as it was logged last.
    told: Option<String>,
}

enum Order {
    Set(Option<ClassChoice>, Option<bool>),
    History(Duration, oneshot::Sender<LinkHistory>),
}

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

impl Links {
    pub(super) fn new(
        config: LinkConfig,
        limits: Arc<LinkLimits>,
        headers: HeaderMap,
        state: Arc<State>,
        bell: Arc<Bell>,
        span: Span,
        (stop, tasks): (CancellationToken, TaskTracker),
    ) -> Arc<Self> {
        let (settings, config) = (Arc::new(config.settings()), Arc::new(config));
        let (passive, all) = (Passive::start(), Mutex::default());
        Arc::new(Self { config, settings, limits, headers, state, bell, passive, span, stop, tasks, all })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How links are measured and judged.
    pub(super) fn settings(&self) -> &Arc<LinkSettings> {
        &self.settings
    }

    /// The rows now, by endpoint.
    pub(super) fn rows(&self) -> Vec<Arc<LinkRow>> {
        self.lock().values().map(|entry| entry.row.clone()).collect()
    }

    /// What is known of the link to an endpoint; none if nobody watches it.
    pub(super) fn row(&self, endpoint: &str) -> Option<Arc<LinkRow>> {
        self.lock().get(endpoint).map(|entry| entry.row.clone())
    }

    /// The endpoint of a destination; none where it has none, such as a pool.
    pub(super) fn endpoint_of(dest: &str) -> Option<String> {
        // What goes by HTTP/2 is at the same place.
        endpoint(&dest.split(',').next()?.replacen("http2://", "http://", 1)).ok()
    }

    /// Starts the monitors that were kept.
    pub(super) fn take_up(self: &Arc<Self>, records: Vec<(String, LinkRecord)>) {
        for (endpoint, record) in records {
            if let Err(error) = self.start(&endpoint, true, Some(&record)) {
                tracing::warn!(target: "link", "the monitor of {endpoint} is not taken up: {error}");
            }
        }
    }

    /// Starts a monitor and keeps it, or keeps the one that runs.
    pub(super) async fn keep(self: &Arc<Self>, url: &str) -> Result<(), CommandError> {
        let endpoint = named(url)?;
        self.start(&endpoint, true, None)?;
        self.record(&endpoint).await
    }

    fn start(self: &Arc<Self>, endpoint: &str, kept: bool, record: Option<&LinkRecord>) -> Result<(), CommandError> {
        let mut all = self.lock();
        if let Some(entry) = all.get_mut(endpoint) {
            entry.kept |= kept;
            entry.needed = Instant::now();
            return Ok(());
        }
        if all.len() >= MAX_LINKS {
            let what = format!("{MAX_LINKS} links are monitored already: stop one of those monitors first");
            return Err(error(CommandErrorKind::Conflict, what));
        }
        let looker = Looker::new(endpoint, self.headers.clone(), fastrand::u64(..), self.config.clone());
        let mut looker = looker.map_err(|e| error(CommandErrorKind::Invalid, e.to_string()))?;
        if let Some(record) = record {
            looker.set(record.class.map(ClassChoice::Fixed), Some(record.metered));
        }
        let (orders, inbox) = mpsc::channel(ORDERS);
        let stop = self.stop.child_token();
        let row = Arc::new(looker.row());
        all.insert(
            endpoint.to_owned(),
            Entry { row, orders, stop: stop.clone(), kept, needed: Instant::now(), told: None },
        );
        drop(all);
        self.tasks.spawn(self.clone().monitor(looker, inbox, stop).instrument(self.span.clone()));
        self.bell.changed.notify_one();
        Ok(())
    }

    /// Ends a monitor and forgets it.
    pub(super) async fn stop(&self, url: &str) -> Result<(), CommandError> {
        let endpoint = named(url)?;
        let Some(entry) = self.lock().remove(&endpoint) else { return Err(not_monitored(&endpoint)) };
        entry.stop.cancel();
        self.bell.changed.notify_one();
        let state = self.state.clone();
        super::commands::blocking(move || state.forget_link(&endpoint)).await
    }

    /// What the operator says of a link; it is monitored from then on.
    pub(super) async fn set(self: &Arc<Self>, request: LinkChangeRequest) -> Result<(), CommandError> {
        let endpoint = named(&request.endpoint)?;
        if let Some(ClassChoice::Fixed(LinkClass::Unknown)) = request.class {
            return Err(error(CommandErrorKind::Invalid, "`unknown` is no class to set: `auto` measures"));
        }
        self.start(&endpoint, true, None)?;
        let orders = self.lock().get(&endpoint).map(|entry| entry.orders.clone());
        let orders = orders.ok_or_else(|| not_monitored(&endpoint))?;
        let before = self.row(&endpoint);
        let sent = orders.send(Order::Set(request.class, request.metered)).await;
        sent.map_err(|_| not_monitored(&endpoint))?;
        let class = match (request.class, &before) {
            (Some(ClassChoice::Fixed(class)), _) => Some(class),
            (Some(ClassChoice::Auto), _) => None,
            (None, row) => row.as_ref().filter(|row| row.forced).map(|row| row.class),
        };
        let metered = request.metered.unwrap_or(before.is_some_and(|row| row.metered));
        let (state, record) = (self.state.clone(), LinkRecord { class, metered });
        super::commands::blocking(move || state.put_link(&endpoint, &record)).await
    }

    /// What a monitor remembers of the last `window_s` seconds.
    pub(super) async fn history(&self, url: &str, window_s: u64) -> Result<LinkHistory, CommandError> {
        let endpoint = named(url)?;
        let orders = self.lock().get(&endpoint).map(|entry| entry.orders.clone());
        let orders = orders.ok_or_else(|| not_monitored(&endpoint))?;
        let (answer, history) = oneshot::channel();
        let gone = || not_monitored(&endpoint);
        let window = Duration::from_secs(window_s);
        orders.send(Order::History(window, answer)).await.map_err(|_| gone())?;
        history.await.map_err(|_| gone())
    }

    /// Measures once, whether or not it is monitored.
    pub(super) async fn probe(&self, url: &str) -> Result<ProbeReport, CommandError> {
        let endpoint = named(url)?;
        let failed = |e: crate::link::probe::ProbeError| {
            error(CommandErrorKind::Unavailable, format!("cannot probe {endpoint}: {e}"))
        };
        let mut prober = Prober::new(&endpoint, self.headers.clone(), fastrand::u64(..)).map_err(failed)?;
        let probed = prober.probe(self.config.probe_limit).await.map_err(failed)?;
        let measurement = probed.sample.measurement();
        let figures = Figures {
            bandwidth_mbps: measurement.bandwidth_mbps,
            latency_ms: measurement.latency_ms,
            loss_percent: measurement.loss_percent,
        };
        let thresholds = &self.config.thresholds;
        let verdict = classify(&figures, thresholds);
        let patch = self.config.profiles.get(&verdict.class);
        let params = params::params(verdict.class, figures.bandwidth_mbps, thresholds, patch, false);
        let (class, why, samples, notes) = (verdict.class, verdict.why, probed.exchanges, probed.notes);
        let again_ms = again_ms(&measurement, self.config.budget);
        Ok(ProbeReport { endpoint, measurement, class, why, params, samples, notes, again_ms })
    }

    async fn record(&self, endpoint: &str) -> Result<(), CommandError> {
        let Some(row) = self.row(endpoint) else { return Ok(()) };
        let record = LinkRecord { class: row.forced.then_some(row.class), metered: row.metered };
        let (state, endpoint) = (self.state.clone(), endpoint.to_owned());
        super::commands::blocking(move || state.put_link(&endpoint, &record)).await
    }

    /// Starts the monitors that transfers need, and ends those that none has needed for long.
    pub(super) fn tend(self: &Arc<Self>, rows: &[TransferRow]) {
        if !self.config.automatic {
            return;
        }
        let needs = |row: &&TransferRow| {
            matches!(row.kind, TransferKind::Send | TransferKind::Sync)
                && matches!(row.state, TransferState::Starting | TransferState::Running)
        };
        for row in rows.iter().filter(needs) {
            if let Some(endpoint) = Self::endpoint_of(&row.dest) {
                let _ = self.start(&endpoint, false, None);
            }
        }
        let linger = self.config.linger;
        let mut ended = false;
        self.lock().retain(|_, entry| {
            let stays = entry.kept || entry.needed.elapsed() < linger;
            if !stays {
                entry.stop.cancel();
                ended = true;
            }
            stays
        });
        if ended {
            self.bell.changed.notify_one();
        }
    }

    async fn monitor(self: Arc<Self>, mut looker: Looker, mut inbox: mpsc::Receiver<Order>, stop: CancellationToken) {
        let mut following: Option<Following> = None;
        loop {
            let told = async {
                match &mut following {
                    Some(following) => following.next().await,
                    None => std::future::pending().await,
                }
            };
            let change = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                order = inbox.recv() => match order {
                    None => return,
                    Some(Order::Set(class, metered)) => looker.set(class, metered),
                    Some(Order::History(window, answer)) => {
                        let _ = answer.send(looker.history(window));
                        continue;
                    }
                },
                sample = told => match sample {
                    Some(sample) => looker.on_passive(sample),
                    None => continue,
                },
                step = looker.step() => step.change,
            };
            if following.is_none()
                && let Some(address) = looker.address()
            {
                following = Some(self.passive.follow([address]));
            }
            self.show(looker.row(), change);
        }
    }

    fn show(&self, mut row: LinkRow, change: Option<LinkChange>) {
        if let Some(limit) = self.limits.towards(&row.endpoint) {
            (row.limit_up, row.limit_down) = (limit.up.rate(), limit.down.rate());
        }
        let mut all = self.lock();
        let Some(entry) = all.get_mut(&row.endpoint) else { return };
        if let Some(change) = &change {
            tracing::info!(target: "link", "{}", in_words(change, &entry.row, &row));
        }
        // Of a link that comes and goes it is known that looks fail; why is news.
        let hopeless = matches!(row.class, LinkClass::Intermittent | LinkClass::Unknown);
        if let Some(error) = row.error.as_ref().filter(|_| hopeless && entry.told != row.error) {
            tracing::warn!(target: "link", "{} does not answer: {error}", row.endpoint);
            entry.told = row.error.clone();
        } else if row.error.is_none() && !row.stale {
            entry.told = None;
        }
        if *entry.row != row {
            entry.row = Arc::new(row);
        }
        drop(all);
        self.bell.changed.notify_one();
        if change.is_some() {
            self.bell.urgent.notify_one();
        }
    }
}

impl queue::Links for Links {
    /// As its monitor has it; where none is, nothing is known.
    fn terms(&self, endpoint: &str) -> queue::Terms {
        self.row(endpoint).map_or_else(queue::Terms::default, |row| queue::Terms::of(&row.params, row.metered))
    }
}

/// A change as the log tells it.
fn in_words(change: &LinkChange, before: &LinkRow, now: &LinkRow) -> String {
    let LinkChange { endpoint, from, to, what, .. } = change;
    let what = if what.is_empty() { String::new() } else { format!("; from now on {what}") };
    let (from, to) = (from.name(), to.name());
    match (before.metered, now.metered) {
        _ if from != to => format!("{endpoint} is {to} now, it was {from}: {}{what}", now.why),
        (false, true) => format!("{endpoint} is metered now ({to}){what}"),
        (true, false) => format!("{endpoint} is not metered any more ({to}){what}"),
        _ => format!("{endpoint} is {to} as before{what}"),
    }
}

/// The mode in force on the worst of these links: what `node.info` tells.
pub(super) fn mode_of(rows: &[Arc<LinkRow>]) -> &'static str {
    let known = rows.iter().filter(|row| row.class != LinkClass::Unknown);
    known.max_by_key(|row| row.params.mode as u8).map_or("unknown", |row| row.params.mode.name())
}

/// How long a measurement is to be followed by none so that it costs no more than `budget` of the link, ms.
fn again_ms(measured: &Measurement, budget: f64) -> u64 {
    let per_second = measured.bandwidth_mbps.unwrap_or_default() * 1e6 / 8.0 * budget;
    let seconds = measured.probe_bytes as f64 / per_second;
    if seconds.is_finite() { (seconds * 1e3) as u64 } else { u64::MAX }.clamp(SOONEST_MS, LATEST_MS)
}

fn named(url: &str) -> Result<String, CommandError> {
    endpoint(url).map_err(|e| error(CommandErrorKind::Invalid, e.to_string()))
}

fn not_monitored(endpoint: &str) -> CommandError {
    error(CommandErrorKind::NotFound, format!("{endpoint} is not monitored: start a monitor for it first"))
}

/// How often transfers are looked at for the links that they need.
pub(super) const TEND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_again_and_again_keeps_to_the_budget() {
        let after = |mbps, probe_bytes| {
            again_ms(&Measurement { bandwidth_mbps: mbps, probe_bytes, ..Measurement::default() }, 0.05)
        };
        assert_eq!(after(Some(8.0), 500_000), 10_000);
        assert_eq!((after(Some(1_000.0), 500_000), after(Some(0.01), 500_000)), (SOONEST_MS, LATEST_MS));
        assert_eq!((after(None, 500_000), after(Some(0.0), 0)), (LATEST_MS, LATEST_MS));
    }
}
