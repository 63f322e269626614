//! The samples that count.

use std::collections::VecDeque;
use std::time::Duration;

use super::apart::{factor, is_far_off};
use crate::control::link::{Measurement, Method};
use crate::link::classify::Figures;
use crate::link::sample::{Sample, loss_percent};

/// Samples kept, whatever the window: quick confirmations and transfers bring several a second.
const MOST: usize = 512;
/// Bandwidths that a median is taken of at least: slow links are measured less often than the window is long. …
const FEW: usize = 3;
/// … They are not older than this.
const OLD: Duration = Duration::from_secs(180);
/// Datagrams older than this say nothing of the loss now.
const LOSS_LASTS: Duration = Duration::from_secs(6);

/// The samples of the last so many seconds.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    samples: VecDeque<Sample>,
    /// The newest bandwidths that have left the window: when, how much, counted over what time.
    older: VecDeque<(Duration, f64, Duration)>,
    /// Newest bandwidth and latency, for when there are no others.
    last_bandwidth: Option<f64>,
    last_latency: Option<f64>,
    last_ms: u64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            samples: VecDeque::new(),
            older: VecDeque::new(),
            last_bandwidth: None,
            last_latency: None,
            last_ms: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn push(&mut self, now: Duration, sample: Sample) {
        self.prune(now);
        if self.samples.len() >= MOST {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.last_bandwidth = sample.bandwidth_mbps.or(self.last_bandwidth);
        self.last_latency = sample.latency_ms.or(self.last_latency);
        self.last_ms = sample.wall_ms;
    }

    /// What was found out after the newest sample of a probe becomes part of it, and that the newest of all: transfers may have
    /// told something meanwhile.
    pub(super) fn amend(&mut self, now: Duration, found: &Sample) -> Option<Sample> {
        let at = self.samples.iter().rposition(|sample| sample.method != Method::Passive)?;
        let mut sample = self.samples.remove(at)?;
        sample.at = now;
        if let Some(bandwidth) = found.bandwidth_mbps {
            (sample.bandwidth_mbps, sample.over) = (Some(bandwidth), found.over);
        }
        sample.hint_mbps = found.hint_mbps.or(sample.hint_mbps);
        sample.probe_bytes += found.probe_bytes;
        sample.busy |= found.busy;
        self.last_bandwidth = sample.bandwidth_mbps.or(self.last_bandwidth);
        self.samples.push_back(sample);
        Some(sample)
    }

    pub(super) fn prune(&mut self, now: Duration) {
        while let Some(sample) = self.samples.pop_front_if(|sample| sample.at + self.length < now) {
            self.older.extend(sample.bandwidth_mbps.map(|bandwidth| (sample.at, bandwidth, sample.over)));
        }
        while self.older.len() > FEW || self.older.front().is_some_and(|(at, ..)| *at + OLD < now) {
            self.older.pop_front();
        }
    }

    /// What was measured before was another link.
    pub(super) fn forget_before(&mut self, at: Duration) {
        self.samples.retain(|sample| sample.at >= at);
        self.older.retain(|(older, ..)| *older >= at);
        self.last_bandwidth = self.samples.iter().rev().find_map(|sample| sample.bandwidth_mbps);
        self.last_latency = self.samples.iter().rev().find_map(|sample| sample.latency_ms);
    }

    /// Bandwidths since `at`, but the newest, that differ from it by more than `bandwidth` times belong to no link, nor do those of
    /// samples whose round trip differs from the newest by more than `latency` times: they were measured while it changed, or over
    /// connections that reckoned with the old one.
    pub(super) fn withdraw(&mut self, at: Duration, bandwidth: f64, latency: f64) {
        let Some((newest, earlier)) = self.samples.make_contiguous().split_last_mut() else { return };
        let right = newest.bandwidth_mbps.or(newest.hint_mbps);
        for sample in earlier.iter_mut().filter(|sample| sample.at >= at) {
            if factor(sample.bandwidth_mbps, right) > bandwidth
                || is_far_off(sample.latency_ms, newest.latency_ms, latency)
            {
                sample.bandwidth_mbps = None;
                // Nor is it what is known where nothing else is.
                self.last_bandwidth = right;
            }
        }
    }

    /// Medians of what was before `at`, and what was known before that.
    pub(super) fn figures_before(&self, at: Duration) -> Figures {
        let before: Vec<_> = self.samples.iter().filter(|sample| sample.at < at).collect();
        Self::over(&before, self.last_bandwidth, self.last_latency)
    }

    /// Latencies since `at` that are longer than the known one were those of our own queue.
    pub(super) fn forget_latencies(&mut self, at: Duration, known: Option<f64>) {
        for sample in self.samples.iter_mut().filter(|sample| sample.at >= at) {
            sample.latency_ms = sample.latency_ms.filter(|latency| known.is_none_or(|known| *latency <= known));
        }
        self.last_latency = known.or(self.last_latency);
    }

    pub(super) fn since(&self, at: Duration) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.at >= at)
    }

    /// Loss over the newest datagrams, as soon as there are so many; over all of late if there are fewer.
    pub(super) fn loss(&self, now: Duration, enough: u32) -> Option<f64> {
        let (mut sent, mut back) = (0, 0);
        for sample in self.samples.iter().rev().take_while(|sample| sample.at + LOSS_LASTS > now) {
            sent += sample.echoes;
            back += sample.echoed;
            if sent >= enough {
                break;
            }
        }
        loss_percent(sent, back)
    }

    /// Medians, and the loss of all datagrams.
    pub(super) fn figures(&self) -> Figures {
        self.figures_of(&self.samples.iter().collect::<Vec<_>>(), self.last_bandwidth)
    }

    /// The same without the newest sample.
    pub(super) fn known(&self) -> Figures {
        self.figures_of(&self.samples.iter().rev().skip(1).collect::<Vec<_>>(), None)
    }

    fn figures_of(&self, samples: &[&Sample], bandwidth: Option<f64>) -> Figures {
        let newer: Vec<_> = samples.iter().filter_map(|s| Some((s.bandwidth_mbps?, s.over))).collect();
        // Where these are few, older ones count, too.
        let older = self.older.iter().rev().take(FEW.saturating_sub(newer.len()));
        let all = newer.into_iter().chain(older.map(|(_, bandwidth, over)| (*bandwidth, *over)));
        Figures { bandwidth_mbps: weighed(all).or(bandwidth), ..Self::over(samples, None, self.last_latency) }
    }

    /// The same of the samples since `at`; a bandwidth that is not among them is `bandwidth`.
    pub(super) fn figures_since(&self, at: Duration, bandwidth: Option<f64>) -> Figures {
        Self::over(&self.since(at).collect::<Vec<_>>(), bandwidth, None)
    }

    fn over(samples: &[&Sample], bandwidth: Option<f64>, latency: Option<f64>) -> Figures {
        let (sent, back) = samples.iter().fold((0, 0), |(sent, back), s| (sent + s.echoes, back + s.echoed));
        Figures {
            bandwidth_mbps: weighed(samples.iter().filter_map(|s| Some((s.bandwidth_mbps?, s.over)))).or(bandwidth),
            latency_ms: median(samples.iter().filter_map(|s| s.latency_ms)).or(latency),
            loss_percent: loss_percent(sent, back),
        }
    }

    /// Of the round trips behind all samples: the variance within them, and that between them.
    fn jitter(&self) -> Option<f64> {
        let within: Vec<f64> = self.samples.iter().filter_map(|s| s.jitter_ms).map(|jitter| jitter * jitter).collect();
        let latencies: Vec<f64> = self.samples.iter().filter(|s| !s.busy).filter_map(|s| s.latency_ms).collect();
        let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len().max(1) as f64;
        let middle = mean(&latencies);
        let between = mean(&latencies.iter().map(|latency| (latency - middle).powi(2)).collect::<Vec<_>>());
        (!within.is_empty() || latencies.len() > 1).then(|| (mean(&within) + between).sqrt())
    }

    /// What viewers are shown of the window.
    pub(super) fn median(&self) -> Measurement {
        let figures = self.figures();
        let is = |method: Method| self.samples.iter().any(|s| s.method == method || s.method == Method::Both);
        Measurement {
            measured_at: self.last_ms,
            bandwidth_mbps: figures.bandwidth_mbps,
            latency_ms: figures.latency_ms,
            jitter_ms: self.jitter(),
            loss_percent: figures.loss_percent,
            method: match (is(Method::Active), is(Method::Passive)) {
                (true, true) => Method::Both,
                (false, true) => Method::Passive,
                _ => Method::Active,
            },
            probe_bytes: self.samples.iter().map(|s| s.probe_bytes).sum(),
            failed: false,
        }
    }
}

/// The one in the middle of the time that they were counted over, so that a first rough figure gives way to a good one; between
/// two the mean of them.
fn weighed(figures: impl Iterator<Item = (f64, Duration)>) -> Option<f64> {
    let weight = |over: Duration| u64::try_from(over.as_micros()).unwrap_or(u64::MAX).clamp(1_000, 1_000_000);
    let mut figures: Vec<(f64, u64)> = figures.map(|(figure, over)| (figure, weight(over))).collect();
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: u64 = figures.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    for (at, (figure, weight)) in figures.iter().enumerate() {
        below += weight;
        if below * 2 > all {
            return Some(*figure);
        }
        if below * 2 == all {
            return Some(f64::midpoint(*figure, figures.get(at + 1).map_or(*figure, |next| next.0)));
        }
    }
    None
}

/// The middle one; of an even number the mean of the two.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}
