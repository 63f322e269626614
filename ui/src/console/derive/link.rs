//! What the Link pane says: words for classes and modes, and the columns of its charts.

use std::collections::VecDeque;
use std::fmt;

use skep_engine::control::link::{LinkClass, LinkRow, SyncMode, SyncParams, Thresholds};
use skep_engine::link::classify::digits;
use skep_engine::link::params::{difference, is_other};

use crate::console::glyphs::Glyphs;
use crate::console::model::Model;
use crate::console::model::links::{LinksView, Sample, badness};
use crate::console::theme::Token;
use crate::console::widgets::format::{Binary, Seconds};

/// The glyph of a class, which says how good it is, and what it means.
pub fn class_look(class: LinkClass) -> (fn(&Glyphs) -> &'static str, Token) {
    match class {
        LinkClass::Fiber => (|g| g.signal[4], Token::Done),
        LinkClass::Broadband => (|g| g.signal[3], Token::Running),
        LinkClass::Mobile => (|g| g.signal[2], Token::Text),
        LinkClass::Satellite => (|g| g.signal[1], Token::Warn),
        LinkClass::Intermittent => (|g| g.signal[0], Token::Error),
        LinkClass::Unknown => (|g| g.queued, Token::Muted),
    }
}

/// What syncs do, in a few words.
pub fn mode_name(params: &SyncParams) -> &'static str {
    match (params.mode, params.summary_only) {
        (SyncMode::Full, _) => "full",
        (SyncMode::FullCompressed, _) => "full, compressed",
        (SyncMode::DeltaOnly, _) => "delta only",
        (SyncMode::DeltaCompressed, false) => "delta, compressed",
        (SyncMode::DeltaCompressed, true) => "delta, summaries",
        (SyncMode::StoreAndForward, _) => "store and forward",
    }
}

/// How syncs behave, as a sentence: `delta only · zstd 6 · chunks of 256 KiB · a look every 30s · 2 at a time · queued`.
#[derive(Debug)]
pub struct Behaviour<'a>(pub &'a SyncParams, pub &'static str);

impl fmt::Display for Behaviour<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(params, dot) = self;
        f.write_str(mode_name(params))?;
        match params.compression {
            Some(level) => write!(f, " {dot} zstd {level}")?,
            None => write!(f, " {dot} not compressed")?,
        }
        write!(f, " {dot} chunks of {}", Binary(params.chunk_bytes))?;
        match params.interval_ms {
            Some(ms) => write!(f, " {dot} a look every {}", Seconds(ms.div_ceil(1_000)))?,
            None => write!(f, " {dot} when the link allows")?,
        }
        write!(f, " {dot} {} at a time", params.concurrent)?;
        f.write_str(if params.queued { ", in the queue's order" } else { "" })
    }
}

/// A column of the charts: what was measured in its time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Column {
    /// Mbit/s: the mean, or what was known before.
    pub bandwidth: Option<f32>,
    /// ms: the mean, or what was known just before.
    pub latency: Option<f32>,
    /// ms that the latency wavers: the jitter, or how far the worst sample lies above the mean.
    pub jitter: f32,
    /// Percent: the worst.
    pub loss: Option<f32>,
    /// The last.
    pub class: Option<LinkClass>,
    /// No sample had an answer.
    pub failed: bool,
}

/// The charts of the selected link.
#[derive(Debug, Default)]
pub struct Charts {
    /// Columns, oldest first.
    pub columns: Vec<Column>,
    /// The largest bandwidth, Mbit/s.
    pub top_bandwidth: f32,
    /// The largest latency with what it wavers, ms.
    pub top_latency: f32,
    /// The largest loss, percent.
    pub top_loss: f32,
    /// Where the class changes.
    pub edges: Edges,
    key: Option<Key>,
}

/// A figure at which a link is of another class.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Mbit/s, ms or percent.
    pub value: f32,
    /// The class on the side that the name tells.
    pub class: LinkClass,
    /// `>100 fiber`.
    pub long: String,
    /// The same where there is less room.
    pub short: String,
}

/// Where the class of links changes on the node that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges {
    of: Thresholds,
    /// Mbit/s.
    pub bandwidth: [Edge; 3],
    /// ms.
    pub latency: [Edge; 3],
    /// Percent.
    pub loss: [Edge; 1],
}

impl Edges {
    fn new(of: Thresholds) -> Self {
        let edge = |value: f64, side: &str, class: LinkClass, short: &str| {
            let figure = digits(value);
            let (long, short) = (format!("{side}{figure} {}", class.name()), format!("{side}{figure} {short}"));
            Edge { value: value as f32, class, long, short }
        };
        let lost = digits(of.intermittent_loss);
        Self {
            bandwidth: [
                edge(of.fiber_bandwidth, ">", LinkClass::Fiber, "fiber"),
                edge(of.broadband_bandwidth, ">", LinkClass::Broadband, "broad"),
                edge(of.satellite_bandwidth, "<", LinkClass::Satellite, "sat"),
            ],
            latency: [
                edge(of.satellite_latency, ">", LinkClass::Satellite, "sat"),
                edge(of.broadband_latency, "<", LinkClass::Broadband, "broad"),
                edge(of.fiber_latency, "<", LinkClass::Fiber, "fiber"),
            ],
            loss: [Edge {
                value: of.intermittent_loss as f32,
                class: LinkClass::Intermittent,
                long: format!(">{lost}% intermit."),
                short: format!(">{lost}% gone"),
            }],
            of,
        }
    }
}

impl Default for Edges {
    fn default() -> Self {
        Self::new(Thresholds::default())
    }
}

#[derive(Debug, PartialEq)]
struct Key {
    endpoint: String,
    /// Newest sample, and how many.
    newest: (u64, usize),
    /// The column of now, and the time of one.
    at: (u64, u64),
    width: u16,
}

/// How long what was measured is taken to hold, in ms: bandwidth is measured seldom.
const BANDWIDTH_HOLDS_MS: u64 = 90_000;
/// The same of the latency, of which there is news every second on most links.
const LATENCY_HOLDS_MS: u64 = 4_000;

impl Charts {
    /// Brings them up to date: `width` columns that end now, or at the moment on screen.
    pub fn update(&mut self, model: &Model, width: u16) {
        if self.edges.of != model.snapshot.thresholds {
            self.edges = Edges::new(model.snapshot.thresholds);
        }
        let samples = model.link().and_then(|link| Some((link, model.links.samples(&link.endpoint)?)));
        let (Some((link, samples)), 1..) = (samples, width) else {
            *self = Self { edges: std::mem::take(&mut self.edges), ..Self::default() };
            return;
        };
        let step = (model.links.span_ms() / u64::from(width)).max(1);
        let at = model.snapshot.time_ms / step;
        let newest = (samples.back().map_or(0, |sample| sample.time_ms), samples.len());
        let same = |key: &Key| {
            key.endpoint == link.endpoint && key.newest == newest && key.at == (at, step) && key.width == width
        };
        if self.key.as_ref().is_some_and(same) {
            return;
        }
        let hold = LATENCY_HOLDS_MS.max(link.probe_interval_ms.saturating_mul(2)).min(LinksView::longest_ms());
        self.columns = columns(samples, model.snapshot.time_ms, step, width, hold);
        let top = |of: fn(&Column) -> Option<f32>| self.columns.iter().filter_map(of).fold(0.0, f32::max);
        (self.top_bandwidth, self.top_loss) = (top(|c| c.bandwidth), top(|c| c.loss));
        self.top_latency = top(|c| c.latency.map(|latency| latency + c.jitter));
        self.key = Some(Key { endpoint: link.endpoint.clone(), newest, at: (at, step), width });
    }
}

/// Samples up to a moment in columns of `step_ms`, whose edges stay where they are as time goes on.
fn columns(samples: &VecDeque<Sample>, until_ms: u64, step_ms: u64, width: u16, hold_ms: u64) -> Vec<Column> {
    let last = until_ms / step_ms;
    let first = (last + 1).saturating_sub(width.into());
    let mut made = Vec::with_capacity(width.into());
    // What was known before the first column counts in it.
    let mut at = samples.partition_point(|sample| sample.time_ms / step_ms < first);
    let mut known = Known::default();
    let back = until_ms.saturating_sub(first * step_ms).saturating_add(BANDWIDTH_HOLDS_MS);
    for sample in samples.range(..at).skip_while(|sample| until_ms.saturating_sub(sample.time_ms) > back) {
        known.take(sample);
    }
    for number in first..=last {
        let start = at;
        while at < samples.len() && samples[at].time_ms / step_ms <= number && samples[at].time_ms <= until_ms {
            at += 1;
        }
        let (mut sums, mut worst, mut jitter, mut loss) = ([(0.0, 0u16); 2], 0.0f32, 0.0f32, None);
        let mut failed = start < at;
        for sample in samples.range(start..at) {
            known.take(sample);
            for (sum, value) in sums.iter_mut().zip([sample.bandwidth, sample.latency]) {
                if let Some(value) = value {
                    *sum = (sum.0 + value, sum.1 + 1);
                }
            }
            worst = worst.max(sample.latency.unwrap_or(0.0));
            jitter = jitter.max(sample.jitter.unwrap_or(0.0));
            loss = sample.loss.map_or(loss, |value| Some(f32::max(value, loss.unwrap_or(0.0))));
            failed &= sample.failed;
        }
        let end = ((number + 1) * step_ms).min(until_ms);
        let mean = |(sum, count): (f32, u16)| (count > 0).then(|| sum / f32::from(count));
        let latency = mean(sums[1]).or_else(|| known.latency(end, hold_ms)).filter(|_| !failed);
        made.push(Column {
            bandwidth: mean(sums[0]).or_else(|| known.bandwidth(end)).filter(|_| !failed),
            latency,
            jitter: jitter.max(latency.map_or(0.0, |latency| worst - latency)),
            loss: loss.or_else(|| known.loss(end)).filter(|_| !failed),
            class: known.class(end, hold_ms.max(BANDWIDTH_HOLDS_MS)),
            failed,
        });
    }
    made
}

/// What was measured last, and when.
#[derive(Default)]
struct Known {
    bandwidth: Option<(f32, u64)>,
    latency: Option<(f32, u64)>,
    loss: Option<(f32, u64)>,
    class: Option<(LinkClass, u64)>,
}

impl Known {
    fn take(&mut self, sample: &Sample) {
        let at = sample.time_ms;
        let newer = |old: Option<(f32, u64)>, value: Option<f32>| value.map(|value| (value, at)).or(old);
        self.bandwidth = newer(self.bandwidth, sample.bandwidth);
        self.latency = newer(self.latency, sample.latency);
        self.loss = newer(self.loss, sample.loss);
        self.class = sample.class.map(|class| (class, at)).or(self.class);
        if sample.failed {
            (self.bandwidth, self.latency, self.loss) = (None, None, None);
        }
    }

    fn bandwidth(&self, now: u64) -> Option<f32> {
        held(self.bandwidth, now, BANDWIDTH_HOLDS_MS)
    }

    fn latency(&self, now: u64, hold: u64) -> Option<f32> {
        held(self.latency, now, hold)
    }

    fn loss(&self, now: u64) -> Option<f32> {
        held(self.loss, now, BANDWIDTH_HOLDS_MS)
    }

    fn class(&self, now: u64, hold: u64) -> Option<LinkClass> {
        held(self.class, now, hold)
    }
}

fn held<T>(known: Option<(T, u64)>, now: u64, hold: u64) -> Option<T> {
    known.filter(|(_, at)| now.saturating_sub(*at) <= hold).map(|(value, _)| value)
}

/// What became other about a link, in words for a toast, and whether it became worse.
pub fn class_change(before: &LinkRow, now: &LinkRow) -> Option<(String, bool)> {
    let (from, to) = (before.class.name(), now.class.name());
    let name = crate::console::model::links::authority(&now.endpoint);
    if before.class == now.class {
        if !is_other(&before.params, &now.params) {
            return None;
        }
        let is = match (before.metered, now.metered) {
            (false, true) => "is metered now",
            (true, false) => "is not metered any more",
            _ => "is what it was",
        };
        let what = difference(&before.params, &now.params);
        return Some((format!("{name} {is} ({to}); from now on {what}"), now.metered && !before.metered));
    }
    let by = if now.forced && !before.forced { " by your word" } else { "" };
    let what = difference(&before.params, &now.params);
    let what = if what.is_empty() { String::new() } else { format!("; from now on {what}") };
    let text = format!("{name} is {to} now{by}, was {from}{what}");
    Some((text, badness(now.class) > badness(before.class)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ms: u64, bandwidth: Option<f32>, latency: Option<f32>) -> Sample {
        let (jitter, loss, class) = (Some(2.0), None, Some(LinkClass::Mobile));
        Sample { time_ms, bandwidth, latency, jitter, loss, class, failed: latency.is_none() && bandwidth.is_none() }
    }

    #[test]
    fn columns_end_now_and_hold_what_was_known() {
        let samples: VecDeque<Sample> = [
            sample(1_000, Some(8.0), Some(20.0)),
            sample(2_100, None, Some(10.0)),
            sample(2_900, None, Some(50.0)),
            sample(4_000, None, None),
            sample(9_000, None, Some(5.0)),
        ]
        .into();
        let made = columns(&samples, 5_500, 1_000, 6, 1_500);
        let latency: Vec<_> = made.iter().map(|column| column.latency).collect();
        // The mean of those in the column; what was known a moment ago; no answer; nothing since.
        assert_eq!(latency, [None, Some(20.0), Some(30.0), Some(50.0), None, None]);
        assert_eq!(made[2].jitter, 20.0, "how far the worst lies above the mean");
        assert_eq!(made[2].bandwidth, Some(8.0), "measured seldom, it holds for longer");
        assert_eq!((made[4].failed, made[4].bandwidth), (true, None));
        assert_eq!(made[5].class, Some(LinkClass::Mobile));
        let back = columns(&samples, 2_500, 1_000, 3, 1_500);
        assert_eq!(back[2].latency, Some(10.0), "at a moment that has passed nothing later is shown");
        assert_eq!(columns(&samples, 3_000, 1_000, 1, 1_500)[0].bandwidth, Some(8.0), "from before the first column");
    }

    #[test]
    fn a_change_says_what_is_different_and_nothing_else() {
        let mobile = SyncParams {
            mode: SyncMode::DeltaOnly,
            compression: Some(6),
            chunk_bytes: 256 << 10,
            interval_ms: Some(30_000),
            concurrent: 2,
            queued: true,
            ..SyncParams::default()
        };
        let sky = SyncParams {
            mode: SyncMode::DeltaCompressed,
            summary_only: true,
            chunk_bytes: 64 << 10,
            concurrent: 1,
            ..mobile
        };
        assert_eq!(
            Behaviour(&mobile, "·").to_string(),
            "delta only · zstd 6 · chunks of 256 KiB · a look every 30s · 2 at a time, in the queue's order"
        );
        let row = |class, params| LinkRow { endpoint: "http://van:7070/".into(), class, params, ..LinkRow::default() };
        let (before, now) = (row(LinkClass::Mobile, mobile), row(LinkClass::Satellite, sky));
        let (text, worse) = class_change(&before, &now).unwrap();
        assert!(
            worse && text.starts_with("van:7070 is satellite now, was mobile; from now on delta_compressed"),
            "{text}"
        );
        assert!(!class_change(&now, &before).unwrap().1);
        assert_eq!(class_change(&now, &now), None);
        let wider = LinkRow { params: SyncParams { chunk_bytes: 1 << 20, concurrent: 3, ..mobile }, ..before.clone() };
        assert_eq!(class_change(&before, &wider), None, "that follows every waver of the bandwidth");
        let metered = LinkRow { metered: true, params: SyncParams { summary_only: true, ..mobile }, ..before.clone() };
        let (text, worse) = class_change(&before, &metered).unwrap();
        assert!(worse && text.starts_with("van:7070 is metered now (mobile); from now on of what is not"), "{text}");
        assert!(class_change(&metered, &before).unwrap().0.starts_with("van:7070 is not metered any more"));
    }
}
