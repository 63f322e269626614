//! Where the operator is among the links that are watched, and what was measured on each lately.
//!
//! Snapshots carry the newest sample of each link alone; the console keeps those that it saw, and takes over what
//! the monitor remembers from before.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use skep_engine::control::link::{LinkClass, LinkHistory, LinkRow, Measurement};
use skep_engine::control::{Snapshot, TransferDetail, TransferRow};

use super::transfers::scroll;

/// Samples kept of each link: twenty minutes at one a second.
const SAMPLES: usize = 1_200;
/// Links whose samples are kept.
const MAX_KEPT: usize = 64;

/// What the charts show, in ms.
const SPANS_MS: [u64; 3] = [2 * 60_000, 10 * 60_000, 20 * 60_000];

/// What a link was like at a moment. What is not known is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, ms since the epoch.
    pub time_ms: u64,
    /// Mbit/s.
    pub bandwidth: Option<f32>,
    /// Round trip, ms.
    pub latency: Option<f32>,
    /// Standard deviation of the latency, ms.
    pub jitter: Option<f32>,
    /// Percent.
    pub loss: Option<f32>,
    /// The class then; none where only the monitor remembers the sample.
    pub class: Option<LinkClass>,
    /// There was no answer.
    pub failed: bool,
}

impl Sample {
    fn of(measured: &Measurement, class: Option<LinkClass>) -> Self {
        let known = |value: Option<f64>| value.filter(|value| value.is_finite() && *value >= 0.0).map(|v| v as f32);
        Self {
            time_ms: measured.measured_at,
            bandwidth: known(measured.bandwidth_mbps),
            latency: known(measured.latency_ms),
            jitter: known(measured.jitter_ms),
            loss: known(measured.loss_percent),
            class,
            failed: measured.failed,
        }
    }
}

/// The Link pane's view.
#[derive(Debug, Clone, Default)]
pub struct LinksView {
    /// The selected link, by its endpoint.
    pub selected: Option<String>,
    /// First link on screen.
    pub top: usize,
    /// A link that was just asked for, by host and port: it is selected as soon as its row comes.
    pub awaited: Option<String>,
    /// Index into the spans.
    span: usize,
    /// What was measured on each, oldest first.
    samples: BTreeMap<String, VecDeque<Sample>>,
    /// Links whose history was asked for.
    asked: BTreeSet<String>,
}

impl LinksView {
    /// Brings the selection up to date: there is one where there are links.
    pub fn refresh(&mut self, links: &[Arc<LinkRow>]) {
        if let Some(at) = &self.awaited
            && let Some(link) = links.iter().find(|link| authority(&link.endpoint) == at)
        {
            (self.selected, self.awaited) = (Some(link.endpoint.clone()), None);
        }
        if self.place(links).is_none() {
            self.selected = links.first().map(|link| link.endpoint.clone());
        }
    }

    /// Notes what is new; forgets links that nobody watches any more.
    pub fn note(&mut self, snapshot: &Snapshot) {
        if snapshot.links.is_empty() && self.samples.is_empty() {
            return;
        }
        let is_there = |endpoint: &String| snapshot.links.iter().any(|link| link.endpoint == *endpoint);
        self.samples.retain(|endpoint, _| is_there(endpoint));
        self.asked.retain(is_there);
        self.note_past(snapshot);
    }

    /// Notes what was measured at a moment of a recording: one may go back and forth in it.
    pub fn note_past(&mut self, snapshot: &Snapshot) {
        for link in snapshot.links.iter().filter(|link| link.newest.measured_at > 0) {
            self.insert(&link.endpoint, Sample::of(&link.newest, Some(link.class)));
        }
    }

    /// Takes what the monitor remembers of a link.
    pub fn take_history(&mut self, endpoint: &str, history: &LinkHistory) {
        let start = history.samples.len().saturating_sub(SAMPLES);
        for measured in &history.samples[start..] {
            let class = history.changes.iter().rev().find(|change| change.time_ms <= measured.measured_at);
            // Before the first change it was what that one changed.
            let class = class.map(|change| change.to).or_else(|| history.changes.first().map(|change| change.from));
            self.insert(endpoint, Sample::of(measured, class));
        }
    }

    fn insert(&mut self, endpoint: &str, sample: Sample) {
        if !self.samples.contains_key(endpoint) {
            if self.samples.len() >= MAX_KEPT {
                return;
            }
            self.samples.insert(endpoint.to_owned(), VecDeque::new());
        }
        let Some(samples) = self.samples.get_mut(endpoint) else { return };
        // Nearly always it is the newest, or known already.
        if let Some(last) = samples.back_mut().filter(|last| last.time_ms >= sample.time_ms) {
            if last.time_ms == sample.time_ms {
                last.class = sample.class.or(last.class);
                return;
            }
            let at = samples.partition_point(|known| known.time_ms < sample.time_ms);
            if samples.get(at).is_none_or(|known| known.time_ms != sample.time_ms) && samples.len() < SAMPLES {
                samples.insert(at, sample);
            }
            return;
        }
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What was measured on a link, oldest first.
    pub fn samples(&self, endpoint: &str) -> Option<&VecDeque<Sample>> {
        self.samples.get(endpoint)
    }

    /// The link whose history is to be asked for: the selected one, once.
    pub fn ask(&mut self, links: &[Arc<LinkRow>]) -> Option<String> {
        let endpoint = &links.get(self.place(links)?)?.endpoint;
        if self.asked.contains(endpoint) || self.asked.len() >= MAX_KEPT {
            return None;
        }
        self.asked.insert(endpoint.clone());
        Some(endpoint.clone())
    }

    /// What the charts show, ms.
    pub fn span_ms(&self) -> u64 {
        SPANS_MS[self.span]
    }

    /// The longest that they can show, ms.
    pub fn longest_ms() -> u64 {
        SPANS_MS[SPANS_MS.len() - 1]
    }

    /// The next span, then the first again.
    pub fn next_span(&mut self) {
        self.span = (self.span + 1) % SPANS_MS.len();
    }

    /// Forgets everything but the span: another node is shown.
    pub fn change_node(&mut self) {
        *self = Self { span: self.span, ..Self::default() };
    }

    /// Place of the selected link.
    pub fn place(&self, links: &[Arc<LinkRow>]) -> Option<usize> {
        let endpoint = self.selected.as_deref()?;
        links.iter().position(|link| link.endpoint == endpoint)
    }

    /// Selects the link at a place, or the last.
    pub fn select(&mut self, links: &[Arc<LinkRow>], place: usize) {
        self.selected = links.get(place.min(links.len().saturating_sub(1))).map(|link| link.endpoint.clone());
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, links: &[Arc<LinkRow>], rows: isize) {
        let place = self.place(links).unwrap_or(0);
        self.select(links, place.saturating_add_signed(rows));
    }

    /// Scrolls so that the selected link is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, links: &[Arc<LinkRow>], page: usize) {
        self.top = scroll(self.top, self.place(links).unwrap_or(0), links.len(), page);
    }
}

/// Host and port of a URL.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#', ' ', ',']).next().unwrap_or(rest)
}

/// How much a class is in the way: the most, the worst.
pub const fn badness(class: LinkClass) -> u8 {
    match class {
        LinkClass::Fiber => 0,
        LinkClass::Broadband => 1,
        LinkClass::Unknown => 2,
        LinkClass::Mobile => 3,
        LinkClass::Satellite => 4,
        LinkClass::Intermittent => 5,
    }
}

/// The link that matters most: the worst of those that the selected transfer uses, else the worst of all.
pub fn that_matters<'a>(
    links: &'a [Arc<LinkRow>],
    row: Option<&TransferRow>,
    detail: Option<&TransferDetail>,
) -> Option<&'a Arc<LinkRow>> {
    let known: HashMap<&str, &Arc<LinkRow>> = links.iter().map(|link| (authority(&link.endpoint), link)).collect();
    let row = row.filter(|_| !known.is_empty());
    let paths = row.into_iter().flat_map(|row| row.paths.iter().map(|path| path.path.as_str()).chain([&*row.dest]));
    let peers = detail.filter(|_| row.is_some_and(|row| row.paths.is_empty())).into_iter();
    let peers = peers.flat_map(|detail| &detail.peers).map(|peer| peer.endpoint.as_str());
    let used = paths.chain(peers).filter_map(|url| known.get(authority(url)).copied());
    let worst = |link: &&Arc<LinkRow>| badness(link.class);
    used.max_by_key(worst).or_else(|| links.iter().max_by_key(worst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::link::LinkChange;

    fn link(endpoint: &str, time_ms: u64, class: LinkClass) -> Arc<LinkRow> {
        let newest = Measurement { measured_at: time_ms, latency_ms: Some(time_ms as f64), ..Measurement::default() };
        Arc::new(LinkRow { endpoint: endpoint.into(), class, newest, ..LinkRow::default() })
    }

    fn times(view: &LinksView, endpoint: &str) -> Vec<u64> {
        view.samples(endpoint).map_or_else(Vec::new, |samples| samples.iter().map(|s| s.time_ms).collect())
    }

    #[test]
    fn samples_are_kept_once_in_their_order_and_within_a_bound() {
        let mut view = LinksView::default();
        for time in [5_000, 5_000, 6_000, 4_000, 6_000] {
            let links = vec![link("http://a:1", time, LinkClass::Mobile)];
            view.note(&Snapshot { links, ..Snapshot::default() });
        }
        assert_eq!(times(&view, "http://a:1"), [4_000, 5_000, 6_000]);
        for time in 0..3_000 {
            let links = vec![link("http://a:1", 10_000 + time, LinkClass::Mobile)];
            view.note(&Snapshot { links, ..Snapshot::default() });
        }
        let kept = times(&view, "http://a:1");
        assert_eq!((kept.len(), kept.last()), (SAMPLES, Some(&12_999)));
        view.note(&Snapshot { links: vec![link("http://b:1", 1, LinkClass::Fiber)], ..Snapshot::default() });
        assert_eq!(times(&view, "http://a:1"), [] as [u64; 0], "nobody watches it any more");
    }

    #[test]
    fn a_history_goes_before_what_was_seen_and_knows_its_classes() {
        let mut view = LinksView::default();
        let links = vec![link("http://a:1", 9_000, LinkClass::Satellite)];
        view.note(&Snapshot { links: links.clone(), ..Snapshot::default() });
        view.refresh(&links);
        assert_eq!(view.ask(&links).as_deref(), Some("http://a:1"));
        assert_eq!(view.ask(&links), None, "once is enough");
        let change = |time_ms, from, to| {
            let (endpoint, what) = ("http://a:1".to_owned(), String::new());
            LinkChange { time_ms, endpoint, from, to, what }
        };
        let history = LinkHistory {
            samples: [7_000, 8_000, 9_000].map(|at| link("", at, LinkClass::Fiber).newest).into(),
            changes: vec![change(7_500, LinkClass::Fiber, LinkClass::Satellite)],
        };
        view.take_history("http://a:1", &history);
        let classes: Vec<_> = view.samples("http://a:1").unwrap().iter().map(|s| s.class.unwrap()).collect();
        assert_eq!(classes, [LinkClass::Fiber, LinkClass::Satellite, LinkClass::Satellite]);
        assert_eq!(times(&view, "http://a:1"), [7_000, 8_000, 9_000]);
    }

    #[test]
    fn the_link_of_the_selected_transfer_matters_before_the_worst() {
        let links = [
            link("http://a:1", 1, LinkClass::Fiber),
            link("http://b:1", 1, LinkClass::Mobile),
            link("http://c:1", 1, LinkClass::Intermittent),
        ];
        let row = |dest: &str| TransferRow { dest: dest.into(), ..TransferRow::default() };
        let found = |row: Option<&TransferRow>| that_matters(&links, row, None).map(|link| link.endpoint.clone());
        assert_eq!(found(Some(&row("http://b:1/in/"))).as_deref(), Some("http://b:1"));
        assert_eq!(found(Some(&row("http://z:1/"))).as_deref(), Some("http://c:1"), "else the worst");
        assert_eq!(found(None).as_deref(), Some("http://c:1"));
        let path = |path: &str| skep_engine::control::PathRow { path: path.into(), ..Default::default() };
        let push = TransferRow { paths: vec![path("a:1 via eth0"), path("b:1")], ..row("http://a:1/") };
        assert_eq!(found(Some(&push)).as_deref(), Some("http://b:1"), "the worst of those that it uses");
        assert!(that_matters(&[], None, None).is_none());
    }
}
