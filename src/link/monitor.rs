//! A monitor's loop over one endpoint: asks what the cadence says, feeds the judge, tells what came of it.
//!
//! [`Looker`] does one look at a time and can be used by itself (`skep probe --watch`); the engine runs one per monitored
//! endpoint, in a task of its own. What transfers tell is heard while a look waits for its answer.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cadence::{Ask, Cadence, Confirm, HEAD_BYTES, Known};
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
}

/// What a part of a look brought.
#[derive(Debug, Default)]
pub struct Step {
    /// The class in force changed, or what syncs do on it.
    pub change: Option<LinkChange>,
    /// The look is over.
    pub look: Option<Look>,
}

/// What is being asked.
enum Asked {
    /// Signs of life.
    Life(Ask),
    /// The bandwidth.
    Bandwidth(Measuring),
}

/// A bandwidth is being measured.
struct Measuring {
    /// The signs of life that it belongs to.
    life: Sample,
    since: Instant,
    /// Bytes that it may use.
    most: u64,
    /// Given up, since transfers get this of the link, in Mbit/s: it would but wait behind them.
    behind: Option<f64>,
    stop: CancellationToken,
}

/// A probe on its way, with the prober that it gives back.
type Probing = Pin<Box<dyn Future<Output = (Prober, Sample, Option<ProbeError>)> + Send>>;

/// Looks at one endpoint.
pub struct Looker {
    endpoint: String,
    config: Arc<LinkConfig>,
    /// None while it is on its way.
    prober: Option<Prober>,
    probing: Option<(Asked, Probing)>,
    /// Whom the connection led to.
    at: Option<SocketAddr>,
    /// The class and the parameters that were told last.
    told: (LinkClass, SyncParams),
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
        let judge = Judge::new(Arc::clone(&config));
        let told = (judge.class(), params_of(&judge, &config, false));
        Ok(Self {
            endpoint: endpoint.to_owned(),
            prober: Some(Prober::new(endpoint, headers, secret)?),
            probing: None,
            at: None,
            told,
            judge,
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

    /// Waits until a look is due, or what is asked is answered, and makes what it can of it. May be given up at any time.
    pub async fn step(&mut self) -> Step {
        if self.probing.is_none() {
            tokio::time::sleep_until(self.begun + self.cadence.due()).await;
            self.begin();
        }
        let silent_at = self.judge.falls_silent().map(|at| self.begun + at);
        let Some((_, probing)) = &mut self.probing else { return Step::default() };
        let (prober, found, error) = tokio::select! {
            biased;
            answer = probing => answer,
            () = async {
                match silent_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {
                // Whatever it may yet bring.
                self.judge.on_tick(self.now());
                return Step { change: self.news(), look: None };
            }
        };
        self.at = prober.address().or(self.at);
        match self.probing.take() {
            Some((Asked::Life(ask), _)) => self.on_life(prober, found, error, ask),
            Some((Asked::Bandwidth(measuring), _)) => self.on_bandwidth(prober, &measuring, found, error),
            None => Step::default(),
        }
    }

    fn begin(&mut self) {
        let Some(mut prober) = self.prober.take() else { return };
        let now = self.now();
        self.judge.on_tick(now);
        self.judge.on_asked(now);
        let known = Known { busy: self.judge.is_busy(now), deaf: prober.is_deaf(), loses: self.judge.loses(now) };
        let ask = self.cadence.ask(now, self.confirm, known);
        let probing = async move {
            let (sample, error) = prober.life(ask).await;
            (prober, sample, error)
        };
        self.probing = Some((Asked::Life(ask), Box::pin(probing)));
    }

    fn on_life(&mut self, mut prober: Prober, mut sample: Sample, error: Option<ProbeError>, ask: Ask) -> Step {
        let now = self.now();
        sample.at = now;
        self.trouble = error.as_ref().map(|error| printable(&error.to_string()));
        let outcome = self.judge.on_sample(now, sample);
        if sample.failed {
            return self.over(prober, sample, error, outcome);
        }
        // Transfers may have begun to tell the bandwidth meanwhile.
        let busy = self.judge.is_busy(now);
        let then = self.cadence.then(now, ask, outcome.confirm, outcome.changed.is_some(), busy);
        if then.full == 0 && then.train == 0 {
            return self.over(prober, sample, error, outcome);
        }
        let trips = sample.latency_ms.map_or(Duration::ZERO, |ms| Duration::from_secs_f64(ms * 3.0 / 1e3));
        let limit = (BANDWIDTH_LIMIT + trips).min(self.config.probe_limit);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let probing = async move {
            let found = stopped.run_until_cancelled(prober.bandwidth(then, limit)).await;
            let (found, error) = found.unwrap_or_default();
            (prober, found, error)
        };
        self.confirm = outcome.confirm;
        let (since, most) = (Instant::now(), then.full + then.train);
        let measuring = Measuring { life: sample, since, most, behind: None, stop };
        self.probing = Some((Asked::Bandwidth(measuring), Box::pin(probing)));
        Step { change: self.news(), look: None }
    }

    fn on_bandwidth(
        &mut self,
        prober: Prober,
        measuring: &Measuring,
        mut found: Sample,
        error: Option<ProbeError>,
    ) -> Step {
        if let Some(rate) = measuring.behind {
            // Nobody counted what came until then; this much, at most.
            let came = (rate * 1e6 / 8.0 * measuring.since.elapsed().as_secs_f64()) as u64;
            found.probe_bytes = found.probe_bytes.max(HEAD_BYTES + came.min(measuring.most));
        }
        let has_figure = found.bandwidth_mbps.is_some() || found.hint_mbps.is_some();
        let outcome = match has_figure {
            true => self.judge.on_bandwidth(self.now(), found),
            false => Outcome { confirm: self.confirm, ..Outcome::default() },
        };
        let mut sample = measuring.life;
        (sample.bandwidth_mbps, sample.over, sample.hint_mbps) = (found.bandwidth_mbps, found.over, found.hint_mbps);
        sample.probe_bytes += found.probe_bytes;
        self.over(prober, sample, error, outcome)
    }

    fn over(&mut self, prober: Prober, sample: Sample, error: Option<ProbeError>, outcome: Outcome) -> Step {
        let now = self.now();
        self.prober = Some(prober);
        self.cost += sample.probe_bytes;
        self.looks += 1;
        let seen = sample.bandwidth_mbps.or(sample.hint_mbps);
        self.cadence.done(now, sample.probe_bytes, self.judge.median().bandwidth_mbps, seen);
        self.heed(outcome, now);
        if self.samples.len() >= MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        Step { change: self.news(), look: Some(Look { sample, error }) }
    }

    /// What the transfers over this link tell.
    pub fn on_passive(&mut self, sample: PassiveSample) -> Option<LinkChange> {
        let now = self.now();
        if let Some((Asked::Bandwidth(measuring), _)) = &mut self.probing
            && sample.fills()
        {
            measuring.behind = sample.delivery_mbps;
            measuring.stop.cancel();
        }
        let outcome = self.judge.on_passive(now, unix_ms(), sample);
        if outcome.confirm != Confirm::No {
            self.heed(outcome, now);
        }
        self.news()
    }

    /// What the operator says.
    pub fn set(&mut self, class: Option<ClassChoice>, metered: Option<bool>) -> Option<LinkChange> {
        match class {
            None => {}
            Some(ClassChoice::Auto) => drop(self.judge.force(None)),
            Some(ClassChoice::Fixed(class)) => drop(self.judge.force(Some(class))),
        }
        self.metered = metered.unwrap_or(self.metered);
        self.news()
    }

    fn heed(&mut self, outcome: Outcome, now: Duration) {
        self.confirm = outcome.confirm;
        if self.confirm != Confirm::No {
            self.cadence.hurry(now);
        }
    }

    /// What changed since it was told last.
    fn news(&mut self) -> Option<LinkChange> {
        let (to, params) = (self.judge.class(), self.params());
        if self.told.0 == to && !is_other(&self.told.1, &params) {
            return None;
        }
        let (from, before) = std::mem::replace(&mut self.told, (to, params));
        let time_ms = unix_ms();
        if from != to {
            self.since_ms = time_ms;
            self.changed += 1;
        }
        let what = difference(&before, &params);
        let change = LinkChange { time_ms, endpoint: self.endpoint.clone(), from, to, what };
        if self.changes.len() >= MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((self.now(), change.clone()));
        Some(change)
    }

    /// Whom the connection led to; none: nobody answered yet.
    pub fn address(&self) -> Option<SocketAddr> {
        self.at
    }

    /// How syncs over this link behave.
    pub fn params(&self) -> SyncParams {
        params_of(&self.judge, &self.config, self.metered)
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

impl fmt::Debug for Looker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looker").field("endpoint", &self.endpoint).field("judge", &self.judge).finish_non_exhaustive()
    }
}

fn params_of(judge: &Judge, config: &LinkConfig, metered: bool) -> SyncParams {
    let class = judge.class();
    let profile = config.profiles.get(&class);
    params(class, judge.median().bandwidth_mbps, &config.thresholds, profile, metered)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Transfers' figures and orders are heard while a look waits, and the look goes on where it was.
    #[tokio::test]
    async fn a_step_may_be_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut looker = Looker::new(&url, HeaderMap::new(), 1, Arc::new(LinkConfig::default())).unwrap();
        let met = tokio::select! {
            _ = looker.step() => None,
            met = listener.accept() => Some(met.unwrap().0),
        };
        assert!(looker.prober.is_none() && looker.probing.is_some(), "it is on its way");
        let change = looker.set(Some(ClassChoice::Fixed(LinkClass::Mobile)), None).unwrap();
        assert_eq!((change.from, change.to), (LinkClass::Unknown, LinkClass::Mobile));
        let alive = PassiveSample { alive: true, delivery_mbps: Some(4.0), ..PassiveSample::default() };
        assert!(looker.on_passive(alive).is_none(), "the class is the operator's");
        drop((met, listener));
        let step = looker.step().await;
        assert!(step.change.is_none() && step.look.is_some_and(|look| look.sample.failed), "told once");
        assert_eq!((looker.row().probes, looker.row().class), (1, LinkClass::Mobile));
    }

    /// That nothing is heard any more is told when it is so, not when the look is over which waits for it.
    #[tokio::test(start_paused = true)]
    async fn silence_is_told_while_a_look_waits() {
        let mut looker =
            Looker::new("http://127.0.0.1:9", HeaderMap::new(), 1, Arc::new(LinkConfig::default())).unwrap();
        let ask = Ask { echoes: 3, head: false, train: 0, full: 0, grow: false };
        looker.probing = Some((Asked::Life(ask), Box::pin(std::future::pending())));
        (0..3).for_each(|_| looker.judge.on_asked(Duration::ZERO));
        let step = looker.step().await;
        assert_eq!(step.change.map(|change| change.to), Some(LinkClass::Intermittent));
        assert!(step.look.is_none() && looker.probing.is_some(), "the look goes on");
        let again = tokio::time::timeout(std::time::Duration::from_secs(60), looker.step()).await;
        assert!(again.is_err(), "once");
    }

    /// A bandwidth that transfers tell is not waited for.
    #[tokio::test]
    async fn a_measurement_behind_transfers_is_given_up() {
        let mut looker =
            Looker::new("http://127.0.0.1:9", HeaderMap::new(), 1, Arc::new(LinkConfig::default())).unwrap();
        let (prober, stop) = (looker.prober.take().unwrap(), CancellationToken::new());
        let stopped = stop.clone();
        let life = Sample { latency_ms: Some(20.0), probe_bytes: 100, ..Sample::default() };
        let measuring = Measuring { life, since: Instant::now(), most: 1_000, behind: None, stop };
        let probing = async move {
            stopped.cancelled().await;
            (prober, Sample::default(), None)
        };
        looker.probing = Some((Asked::Bandwidth(measuring), Box::pin(probing)));
        let few =
            PassiveSample { alive: true, app_limited: true, delivery_mbps: Some(4.0), ..PassiveSample::default() };
        looker.on_passive(few);
        let is_stopped = |looker: &Looker| match &looker.probing {
            Some((Asked::Bandwidth(measuring), _)) => measuring.stop.is_cancelled(),
            _ => false,
        };
        assert!(!is_stopped(&looker));
        looker.on_passive(PassiveSample { app_limited: false, ..few });
        assert!(is_stopped(&looker));
        let look = looker.step().await.look.unwrap();
        assert_eq!((look.sample.latency_ms, look.sample.bandwidth_mbps), (Some(20.0), None));
        assert!((100 + HEAD_BYTES..=1_100 + HEAD_BYTES).contains(&look.sample.probe_bytes), "{look:?}");
    }
}
