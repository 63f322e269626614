//! What a link's state does to transfers over it: how hard they compress, how long their chunks are, how much is under way at
//! once, whether bytes are weighed above time, how often a watched tree is looked at, and what waits.
//!
//! A transfer asks again and again, so that a link that became another one counts from the next chunk on. As long as too little
//! is known of the link for a class, a transfer compresses and looks as the table says of such a link, and for the rest goes by what it
//! measures itself: chunks would keep their length for its whole life, and whether a delta pays can be measured.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::links::Links;
use super::services::Services;
use super::shared::Shared;
use crate::control::PriorityClass;
use crate::control::link::{LinkClass, LinkRow, LinkUse, SyncMode, SyncParams};
use crate::link::params::difference;
use crate::push::fit::{Fit, Guide};
use crate::push::pack::{Packer, Wish};

/// Chunks under way at once, where the line does not hold more: few enough for what follows from a change to be felt soon.
const UNDER_WAY: u64 = 8;
/// What fills a line: so many times what is on it at a time (connections that share it have windows of a part of it).
const FILLS: u64 = 3;
/// Requests that a path has under way at most, of which half shall fill the line.
const HALF: u64 = 16;
/// Chunks are multiples of this.
const GRAIN: u64 = 4 << 10;

/// Whether an operation starts when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Now,
    /// It goes into the queue: why.
    Queue(String),
}

/// The link of one transfer.
#[derive(Clone)]
pub(super) struct Adapt {
    links: Arc<Links>,
    /// None: it has none of its own.
    endpoint: Option<Arc<str>>,
}

impl Adapt {
    /// The link to where a push or a sync goes.
    pub(super) fn of(services: &Services, dest: &str) -> Self {
        Self { links: services.links.clone(), endpoint: Links::endpoint_of(dest).map(Into::into) }
    }

    /// As it is now, however little is known of it; none where nobody watches it.
    fn watched(&self) -> Option<Arc<LinkRow>> {
        self.links.row(self.endpoint.as_deref()?)
    }

    /// As it is now; none where too little is known of it.
    fn row(&self) -> Option<Arc<LinkRow>> {
        self.watched().filter(|row| row.class != LinkClass::Unknown)
    }

    /// What compresses the segments of a push. `asked`: the operator's word.
    pub(super) fn packer(&self, asked: Option<bool>) -> Arc<Packer> {
        let link = self.clone();
        Arc::new(Packer::new(Guide::new(move || fit(asked, link.watched().as_deref()))))
    }

    /// Bytes per chunk of what begins now.
    pub(super) fn chunk(&self) -> Option<u64> {
        self.row().map(|row| chunk(&row))
    }

    /// Whether a delta's literals are compressed, and the level; none: as the delta finds.
    pub(super) fn compress(&self, asked: Option<bool>) -> (Option<bool>, Option<i32>) {
        match (asked, self.watched()) {
            (Some(asked), _) => (Some(asked), None),
            // The delta knows the round trip, and whether compressing is worth it.
            (None, Some(row)) if row.class == LinkClass::Unknown => (None, row.params.compression),
            (None, Some(row)) => (Some(row.params.compression.is_some()), row.params.compression),
            (None, None) => (None, None),
        }
    }

    /// Bytes count, and time does not: only what changed is to go.
    pub(super) fn spares_bytes(&self) -> bool {
        self.row().is_some_and(|row| !matches!(row.params.mode, SyncMode::Full | SyncMode::FullCompressed))
    }

    /// Bytes per second that the link was measured to carry.
    pub(super) fn rate(&self) -> Option<u64> {
        rate(self.row()?.as_ref())
    }

    /// Transfers of single files at once; none where nobody watches the link.
    pub(super) fn at_once(&self) -> Option<usize> {
        self.watched().map(|row| at_once(&row))
    }

    /// The least time between two looks at a watched tree, and why.
    pub(super) fn interval(&self) -> Option<(Duration, LinkClass)> {
        let row = self.watched()?;
        Some((Duration::from_millis(row.params.interval_ms?), row.class))
    }

    /// Why what is of this class is told about, and not sent now; none: it is sent.
    pub(super) fn keeps_back(&self, class: PriorityClass) -> Option<&'static str> {
        let row = self.watched().filter(|_| class > PriorityClass::Critical)?;
        match (row.metered, row.params.summary_only) {
            (true, _) => Some("the link is metered"),
            (false, true) if row.class != LinkClass::Unknown => Some("only summaries go over the link now"),
            (false, _) => None,
        }
    }

    /// Operations are kept until the link is back.
    pub(super) fn stores(&self) -> Option<Arc<LinkRow>> {
        self.row().filter(|row| row.params.mode == SyncMode::StoreAndForward)
    }

    /// Whether an operation of this class starts now. A sync is a standing wish: over a link whose class queues operations it takes its
    /// turn among them. Who asks for a push wants it sent, unless there is no link, or its bytes cost.
    pub(super) fn turn(&self, class: PriorityClass, is_sync: bool) -> Turn {
        if let Some(row) = self.stores() {
            return Turn::Queue(format!("the link comes and goes ({}): kept in the queue until it is there", row.why));
        }
        let Some(row) = self.watched() else { return Turn::Now };
        match self.keeps_back(class) {
            Some(why) if is_sync || row.metered => Turn::Queue(format!(
                "{why}: kept in the queue until that is over; what is critical goes at once (--priority critical)"
            )),
            _ if is_sync && row.params.queued && row.class != LinkClass::Unknown && class > PriorityClass::Critical => {
                Turn::Queue(format!("the link is {}: operations take their turn in the queue", row.class.name()))
            }
            _ => Turn::Now,
        }
    }
}

fn at_once(row: &LinkRow) -> usize {
    (row.params.concurrent as usize).max(1)
}

fn rate(row: &LinkRow) -> Option<u64> {
    row.median.bandwidth_mbps.filter(|mbps| mbps.is_finite() && *mbps > 0.0).map(|mbps| (mbps * 125e3) as u64)
}

/// Bytes on the line at a time.
fn on_the_line(row: &LinkRow) -> u64 {
    let latency = row.median.latency_ms.filter(|ms| ms.is_finite()).unwrap_or(0.0).clamp(0.0, 10_000.0);
    (rate(row).unwrap_or(0) as f64 * latency / 1e3) as u64
}

/// The table's chunk; longer on a line that holds so much that chunks of that length would not fill it.
fn chunk(row: &LinkRow) -> u64 {
    let fills = on_the_line(row) * FILLS / HALF;
    row.params.chunk_bytes.max(fills.next_multiple_of(GRAIN)).clamp(GRAIN, 64 << 20)
}

fn fit(asked: Option<bool>, row: Option<&LinkRow>) -> Fit {
    let pack = match (asked, row) {
        (Some(false), _) => None,
        (Some(true), _) => Some(Wish::ASKED),
        (None, row) => row.and_then(|row| row.params.compression).map(|level| Wish { level, always: false }),
    };
    let Some(row) = row else { return Fit { pack, ..Fit::default() } };
    let is_known = row.class != LinkClass::Unknown;
    // Chunks are as long as the push finds fit then.
    let under_way = (is_known && row.params.mode != SyncMode::Full)
        .then(|| (chunk(row) * UNDER_WAY).max(on_the_line(row).saturating_mul(FILLS)));
    Fit { pack, under_way, rate: rate(row) }
}

/// Shows on a transfer's row what its link has it do, and tells when that becomes other.
pub(super) struct Following {
    adapt: Adapt,
    /// What held when it was looked at last.
    known: Mutex<Option<(LinkClass, SyncParams)>>,
}

impl Following {
    pub(super) fn new(adapt: Adapt) -> Self {
        Self { adapt, known: Mutex::default() }
    }

    /// What the link asks for.
    pub(super) fn adapt(&self) -> &Adapt {
        &self.adapt
    }

    /// The level at which literals of a delta go over this link.
    pub(super) fn literals(&self) -> Option<i32> {
        self.adapt.row()?.params.compression
    }

    /// What the row shows now. `level`: of zstd, as data goes; none: as it is.
    pub(super) fn now(&self, shared: &Shared, level: Option<i32>) -> Option<LinkUse> {
        let row = self.adapt.row();
        let now = row.as_ref().map(|row| (row.class, row.params));
        let before = std::mem::replace(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner), now);
        if let (Some((was, before)), Some((is, params))) = (before, now)
            && was != is
        {
            let what = difference(&before, &params);
            tracing::info!(
                target: "link", transfer = shared.id.0,
                "the link is {} now, it was {}: from the next chunk on {what}", is.name(), was.name()
            );
        }
        now.map(|(class, params)| LinkUse { class, mode: params.mode, compression: level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::link::Measurement;
    use crate::link::params::table;

    fn row(class: LinkClass, mbps: f64, latency_ms: f64) -> LinkRow {
        let median = Measurement { bandwidth_mbps: Some(mbps), latency_ms: Some(latency_ms), ..Measurement::default() };
        LinkRow { class, params: table(class), median, ..LinkRow::default() }
    }

    #[test]
    fn what_a_link_wants_follows_its_class_and_what_was_measured() {
        let fiber = row(LinkClass::Fiber, 900.0, 2.0);
        assert_eq!(fit(None, Some(&fiber)), Fit { pack: None, under_way: None, rate: Some(112_500_000) });
        assert_eq!((chunk(&fiber), at_once(&fiber)), (16 << 20, 10));
        let sky = row(LinkClass::Satellite, 0.8, 600.0);
        let wish = Wish { level: 9, always: false };
        assert_eq!(fit(None, Some(&sky)), Fit { pack: Some(wish), under_way: Some(512 << 10), rate: Some(100_000) });
        assert_eq!(chunk(&sky), 64 << 10);
        // Far away, and fast: chunks of 64 KiB would leave it idle.
        let far = row(LinkClass::Satellite, 100.0, 600.0);
        assert_eq!(chunk(&far), 1_409_024);
        assert_eq!(fit(None, Some(&far)).under_way, Some(22_500_000));
        assert_eq!(fit(None, None), Fit::default(), "nobody watches it");
        // Too little is known of it: compressed where that pays, in chunks and as many as the push finds fit.
        let new = LinkRow { median: Measurement::default(), ..row(LinkClass::Unknown, 1.0, 1.0) };
        let wish = Wish { level: 3, always: false };
        assert_eq!(fit(None, Some(&new)), Fit { pack: Some(wish), ..Fit::default() });
    }

    #[test]
    fn the_operators_word_on_compression_counts() {
        let sky = row(LinkClass::Satellite, 0.8, 600.0);
        assert_eq!(fit(Some(false), Some(&sky)).pack, None);
        assert_eq!(fit(Some(true), None).pack, Some(Wish::ASKED));
        let broken = row(LinkClass::Mobile, f64::NAN, f64::INFINITY);
        assert_eq!((rate(&broken), chunk(&broken)), (None, 256 << 10));
    }
}
