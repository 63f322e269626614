//! The active probe: one endpoint, measured over a warm connection and by datagrams.
//!
//! [`Prober::life`] and [`Prober::bandwidth`] carry out what a [cadence](super::cadence) asks for; [`Prober::probe`] is a whole measurement by itself.
//! Latency is the median of round trips of datagrams, or of HEADs where those do not come back; jitter their standard
//! deviation; bandwidth the arrival rate of the later part of a body ([`estimate`]); loss what one way must
//! lose for so many datagrams to be without an echo, and not known where none ever comes back.

mod echo;
pub mod estimate;
mod hearing;
mod wire;

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use reqwest::header::HeaderMap;

use self::echo::{Asker, Echoed};
use self::estimate::{FAST_MBPS, Growth, Rate, rate};
use self::hearing::Hearing;
use self::wire::Wire;
pub use self::wire::{ProbeError, endpoint};
use super::cadence::{Ask, ECHO_BYTES, HEAD_BYTES};
use super::judge::median;
use super::sample::Sample;
use crate::clock::unix_ms;
use crate::control::link::Method;

/// Bytes that a first, unknown link is asked for.
const FIRST: u64 = 64 << 10;
/// The same where a byte is dear.
const SMALL: u64 = 32 << 10;
/// Bytes more where those that there were to be told nothing.
const MORE: u64 = 2 << 20;
/// How often there are more of them, and of a link that told something so many seconds of it.
const FURTHER: u32 = 3;
const FURTHER_SECONDS: f64 = 0.1;
/// Bytes that one measurement by itself may use.
const MOST: u64 = 24 << 20;
/// A rate counts when the later part took this long …
const ENOUGH: Duration = Duration::from_millis(25);
/// … or this long in a measurement by itself, which has the time: a latency that wavers by some 20 ms between the first and the
/// last byte is then a tenth of it.
const ENOUGH_ALONE: Duration = Duration::from_millis(200);
/// What took less than this is a hint.
const ROUGH: Duration = Duration::from_millis(3);
/// Datagrams of one measurement by itself.
const ECHOES: u32 = 10;
/// Datagrams to a link in doubt.
const SIGNS: u32 = 5;
/// Exchanges where no datagram comes back.
const HEADS: usize = 5;
/// Time for one beside datagrams, at least: one packet may be lost.
const ANSWER: Duration = Duration::from_millis(500);
/// Time for one of them.
const HEAD: Duration = Duration::from_millis(2_000);
/// Headers of packets, and acknowledgements, per byte of payload.
const OVERHEAD: f64 = 1.06;

/// How long an exchange took, and with whom.
type Headed = Result<(Duration, Option<SocketAddr>), ProbeError>;

/// What a measurement by itself found.
#[derive(Debug, Clone, Default)]
pub struct Probed {
    /// The figures.
    pub sample: Sample,
    /// Exchanges behind them.
    pub exchanges: u32,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

/// Probes one endpoint.
#[derive(Debug)]
pub struct Prober {
    wire: Wire,
    asker: Option<Asker>,
    /// Where datagrams go: whom the connection led to.
    at: Option<SocketAddr>,
    /// A connection stands.
    warm: bool,
    /// A bandwidth was measured: what is asked for is asked for at once.
    measured: bool,
    hearing: Hearing,
    secret: u64,
}

impl Prober {
    /// `headers` go along with every request; `secret`: at random, tells our datagrams from others'.
    ///
    /// # Errors
    /// It is no URL of an endpoint.
    pub fn new(endpoint: &str, headers: HeaderMap, secret: u64) -> Result<Self, ProbeError> {
        let wire = Wire::new(endpoint, headers)?;
        let hearing = Hearing::default();
        Ok(Self { wire, asker: None, at: None, warm: false, measured: false, hearing, secret })
    }

    /// Whom the connection led to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.at
    }

    /// Do no datagrams come back, though the node answers?
    pub fn is_deaf(&self) -> bool {
        self.hearing.is_deaf()
    }

    /// A whole measurement, in `limit` at most. What was measured until then counts.
    ///
    /// # Errors
    /// Nothing could be measured: why.
    pub async fn probe(&mut self, limit: Duration) -> Result<Probed, ProbeError> {
        let begun = Instant::now();
        let left = || limit.saturating_sub(begun.elapsed());
        let mut probed = Probed::default();
        self.meet(limit, &mut probed.sample).await?;
        let echoed = self.echo(ECHOES, left().min(Duration::from_millis(1_500)), &mut probed.sample).await;
        probed.exchanges = 1 + echoed.trips_ms.len() as u32;
        let mut trips = echoed.trips_ms;
        if trips.len() < 3 {
            let reserve = limit / 2;
            for _ in 0..HEADS {
                if trips.len() >= 3 && left() < reserve {
                    break;
                }
                let Ok((took, _)) = self.head(left().min(HEAD), &mut probed.sample).await else { break };
                trips.push(took.as_secs_f64() * 1e3);
                probed.exchanges += 1;
            }
        }
        if probed.sample.echoes == 0 {
            probed.notes.push(
                "no datagram came back, though the node answers: UDP is blocked on the way, loss is not known".into(),
            );
        }
        self.latency(&trips, &mut probed.sample);
        let mut growth = Growth::new(FIRST, MOST, ENOUGH_ALONE, 2);
        let measured = self.grow(&mut growth, &left, &mut probed.sample, &mut probed.exchanges).await;
        match growth.figure() {
            Some(figure) => {
                probed.sample.bandwidth_mbps = Some(figure.mbps);
                if figure.over < ENOUGH {
                    probed.notes.push("the bandwidth is rough: too little arrived in the time".into());
                }
            }
            None => probed.notes.push(match measured {
                Err(error) => format!("no bandwidth: {error}"),
                Ok(()) => "no bandwidth: too little arrived in the time".into(),
            }),
        }
        (probed.sample.wall_ms, probed.sample.method) = (unix_ms(), Method::Active);
        Ok(probed)
    }

    async fn grow(
        &mut self,
        growth: &mut Growth,
        left: &(dyn Fn() -> Duration + Sync),
        sample: &mut Sample,
        exchanges: &mut u32,
    ) -> Result<(), ProbeError> {
        while let Some(bytes) = growth.next(left()) {
            *exchanges += 1;
            let (rate, cut) = self.pull(bytes, left(), sample).await?;
            growth.on_rate(bytes, rate);
            if cut {
                break;
            }
        }
        Ok(())
    }

    /// Signs of life, as asked for. A sample always comes of it; a failed one if nothing answered, with the reason.
    pub async fn life(&mut self, ask: Ask) -> (Sample, Option<ProbeError>) {
        let mut sample = Sample { method: Method::Active, ..Sample::default() };
        let begun = Instant::now();
        let error = self.look_for_life(ask, &mut sample).await.err();
        let is_silent = matches!(error, Some(ProbeError::Silent(_)));
        sample.behind_ms = sample.behind_ms.or(is_silent.then(|| begun.elapsed().as_secs_f64() * 1e3));
        (sample.wall_ms, sample.failed) = (unix_ms(), error.is_some());
        self.hearing.on_look(sample.failed);
        (sample, error)
    }

    async fn look_for_life(&mut self, ask: Ask, sample: &mut Sample) -> Result<(), ProbeError> {
        let life = self.hearing.life();
        if self.at.is_none() {
            self.meet(life * 2, sample).await?;
        }
        if self.hearing.is_in_doubt() {
            let trip = self.first_sign(ask.echoes, life, sample).await?;
            self.latency(&[trip], sample);
            return Ok(());
        }
        let echoed = self.echo(ask.echoes, self.hearing.echoes(), sample).await;
        let mut trips = echoed.trips_ms;
        let was_heard = !trips.is_empty();
        let mut answered = false;
        if ask.head || !was_heard {
            let (was_warm, asked) = (self.warm, Instant::now());
            // Beside datagrams that came back it tells nothing new: it is not waited for much longer than for those.
            let limit = if was_heard && was_warm { self.hearing.echoes().max(ANSWER) } else { life };
            match self.head(limit, sample).await {
                Ok((took, _)) if !was_heard => {
                    trips.push(one_trip(took, was_warm));
                    sample.behind_ms = Some(took.as_secs_f64() * 1e3);
                }
                Err(error) if !was_heard => return Err(error),
                Err(ProbeError::Silent(_)) => sample.late = asked.elapsed(),
                Ok(_) | Err(_) => {}
            }
            answered = true;
        }
        match ask.echoes {
            0 => self.hearing.on_spared(),
            _ => self.hearing.on_echoes(was_heard, answered),
        }
        self.latency(&trips, sample);
        Ok(())
    }

    /// A link in doubt is asked by datagrams and by an exchange at once: how long what answers first took, in ms. Those that are
    /// not waited for say nothing of the loss.
    async fn first_sign(&mut self, echoes: u32, life: Duration, sample: &mut Sample) -> Result<f64, ProbeError> {
        self.open_asker().await;
        let was_warm = std::mem::take(&mut self.warm);
        let count = echoes.min(SIGNS);
        sample.probe_bytes += HEAD_BYTES + u64::from(count) * ECHO_BYTES;
        let echo = async {
            match (self.at, &mut self.asker) {
                (Some(at), Some(asker)) if count > 0 => asker.first(at, count, life).await,
                _ => None,
            }
        };
        let head = self.wire.head(life);
        let headed = match select(pin!(echo), pin!(head)).await {
            Either::Left((Some(trip), _)) => return Ok(trip),
            Either::Left((None, head)) => head.await,
            Either::Right((Err(error), echo)) => return echo.await.ok_or(error),
            Either::Right((headed, _)) => headed,
        };
        self.warm = headed.is_ok();
        headed.map(|(took, _)| one_trip(took, was_warm))
    }

    /// The bandwidth, as asked for: a sample with nothing else in it.
    pub async fn bandwidth(&mut self, ask: Ask, limit: Duration) -> (Sample, Option<ProbeError>) {
        let mut sample = Sample { method: Method::Active, ..Sample::default() };
        let begun = Instant::now();
        let left = || limit.saturating_sub(begun.elapsed());
        let mut error = None;
        if self.hearing.on_body() {
            self.wire.renew();
            self.warm = false;
        }
        if ask.full > 0 {
            let first = if ask.grow || !self.measured { SMALL } else { ask.full };
            let mut growth = Growth::new(first, ask.full, ENOUGH, 1);
            let mut exchanges = 0;
            error = self.grow(&mut growth, &left, &mut sample, &mut exchanges).await.err();
            // What was over sooner than it could be timed, or than the sender got going, cost this link next to nothing: what
            // was known of it is far too little (it is another one now, or the machine was busy at the first look).
            for _ in 0..FURTHER {
                let is_short = |figure: &Rate| figure.over < ENOUGH && figure.mbps < FAST_MBPS;
                let Some(short) = growth.figure().filter(|figure| error.is_none() && is_short(figure)) else { break };
                growth.allow(match growth.reliable(ROUGH) {
                    Some(_) => ((short.mbps * 1e6 / 8.0 * FURTHER_SECONDS) as u64).clamp(FIRST, MORE),
                    None => MORE,
                });
                error = self.grow(&mut growth, &left, &mut sample, &mut exchanges).await.err();
            }
            match growth.reliable(ROUGH) {
                Some(figure) => {
                    self.measured = true;
                    (sample.bandwidth_mbps, sample.over) = (Some(figure.mbps), figure.over);
                }
                None => sample.hint_mbps = growth.figure().map(|figure| figure.mbps),
            }
        } else if ask.train > 0 {
            match self.pull(ask.train, left(), &mut sample).await {
                Ok((rate, _)) => sample.hint_mbps = rate.map(|rate| rate.mbps),
                Err(why) => error = Some(why),
            }
        }
        sample.wall_ms = unix_ms();
        (sample, error)
    }

    /// Makes a connection; its first exchange tells no latency.
    async fn meet(&mut self, limit: Duration, sample: &mut Sample) -> Result<(), ProbeError> {
        let (took, at) = self.head(limit, sample).await?;
        self.at = at.or(self.at);
        // A round trip for the connection, another for the exchange.
        if self.hearing.trip().is_none() {
            self.hearing.on_trip(took / 2);
        }
        Ok(())
    }

    async fn head(&mut self, limit: Duration, sample: &mut Sample) -> Headed {
        sample.probe_bytes += HEAD_BYTES;
        let answer = self.wire.head(limit).await;
        self.warm = answer.is_ok();
        answer
    }

    async fn pull(
        &mut self,
        bytes: u64,
        limit: Duration,
        sample: &mut Sample,
    ) -> Result<(Option<Rate>, bool), ProbeError> {
        // It may be given up at any time.
        self.warm = false;
        let pulled = self.wire.pull(bytes, limit).await;
        self.warm = pulled.as_ref().is_ok_and(|pulled| !pulled.cut);
        let pulled = pulled.inspect_err(|_| sample.probe_bytes += HEAD_BYTES)?;
        let came = pulled.arrivals.last().map_or(0, |arrival| arrival.bytes);
        if pulled.cut {
            sample.late = limit.saturating_sub(pulled.arrivals.last().map_or(limit, |arrival| arrival.at));
        }
        sample.probe_bytes += HEAD_BYTES * pulled.requests + (came as f64 * OVERHEAD) as u64;
        Ok((rate(&pulled.arrivals, self.hearing.trip(), self.hearing.jitter()), pulled.cut))
    }

    /// Datagrams, if any; what they say of the loss goes into the sample.
    async fn echo(&mut self, count: u32, wait: Duration, sample: &mut Sample) -> Echoed {
        self.open_asker().await;
        let echoed = match (self.at, &mut self.asker) {
            (Some(at), Some(asker)) if count > 0 => asker.ask(at, count, wait).await,
            _ => Echoed::default(),
        };
        sample.probe_bytes += u64::from(echoed.sent) * ECHO_BYTES;
        // Not one of them: they may be lost, or blocked. Who answers otherwise tells which; until then it is not known.
        if !echoed.trips_ms.is_empty() {
            (sample.echoes, sample.echoed) = (echoed.sent, echoed.trips_ms.len() as u32);
        }
        echoed
    }

    async fn open_asker(&mut self) {
        if let (None, Some(at)) = (&self.asker, self.at) {
            self.asker = Asker::new(at, self.secret).await.ok();
        }
    }

    fn latency(&mut self, trips_ms: &[f64], sample: &mut Sample) {
        sample.latency_ms = median(trips_ms.iter().copied());
        sample.jitter_ms = deviation(trips_ms);
        if let Some(ms) = sample.jitter_ms {
            self.hearing.on_jitter(Duration::from_secs_f64(ms / 1e3));
        }
        if let Some(ms) = sample.latency_ms {
            self.hearing.on_trip(Duration::from_secs_f64(ms / 1e3));
        }
    }
}

/// Milliseconds of a round trip; an exchange takes two where its connection is new.
fn one_trip(took: Duration, was_warm: bool) -> f64 {
    took.as_secs_f64() * if was_warm { 1e3 } else { 5e2 }
}

/// Standard deviation of two or more.
fn deviation(figures: &[f64]) -> Option<f64> {
    let count = figures.len() as f64;
    if count < 2.0 {
        return None;
    }
    let mean = figures.iter().sum::<f64>() / count;
    Some((figures.iter().map(|figure| (figure - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
}
