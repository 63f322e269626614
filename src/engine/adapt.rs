//! What a link's state does to transfers over it: how hard they compress, how long their chunks are, how much is under way at
//! once, whether bytes are weighed above time, how often a watched tree is looked at, and what waits.
//!
//! A transfer asks again and again, so that a link that became another one counts from the next chunk on. As long as nothing
//! is known of the link, a transfer does as it would without: it goes by what it measures itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::links::Links;
use super::services::Services;
use super::shared::Shared;
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

    /// As it is now; none where too little is known of it.
    fn row(&self) -> Option<Arc<LinkRow>> {
        let row = self.links.row(self.endpoint.as_deref()?)?;
        (row.class != LinkClass::Unknown).then_some(row)
    }

    /// What compresses the segments of a push. `asked`: the operator's word.
    pub(super) fn packer(&self, asked: Option<bool>) -> Arc<Packer> {
        let link = self.clone();
        Arc::new(Packer::new(Guide::new(move || fit(asked, link.row().as_deref()))))
    }

    /// Bytes per chunk of what begins now.
    pub(super) fn chunk(&self) -> Option<u64> {
        self.row().map(|row| chunk(&row))
    }

    /// Whether a delta's literals are compressed, and the level; none: as the delta finds.
    pub(super) fn compress(&self, asked: Option<bool>) -> (Option<bool>, Option<i32>) {
        match (asked, self.row()) {
            (Some(asked), _) => (Some(asked), None),
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

    /// Transfers of single files at once, of `most`.
    pub(super) fn at_once(&self, most: usize) -> usize {
        self.row().map_or(most, |row| most.min(row.params.concurrent as usize).max(1))
    }

    /// The least time between two looks at a watched tree, and why.
    pub(super) fn interval(&self) -> Option<(Duration, LinkClass)> {
        let row = self.row()?;
        Some((Duration::from_millis(row.params.interval_ms?), row.class))
    }

    /// Every byte costs: what nobody waits for is told about, and not sent.
    pub(super) fn is_metered(&self) -> bool {
        self.endpoint.as_deref().and_then(|endpoint| self.links.row(endpoint)).is_some_and(|row| row.metered)
    }

    /// Operations are kept until the link is back.
    pub(super) fn stores(&self) -> Option<Arc<LinkRow>> {
        self.row().filter(|row| row.params.mode == SyncMode::StoreAndForward)
    }
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
    let under_way = (row.params.mode != SyncMode::Full)
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
        assert_eq!(chunk(&fiber), 16 << 20);
        let sky = row(LinkClass::Satellite, 0.8, 600.0);
        let wish = Wish { level: 9, always: false };
        assert_eq!(fit(None, Some(&sky)), Fit { pack: Some(wish), under_way: Some(512 << 10), rate: Some(100_000) });
        assert_eq!(chunk(&sky), 64 << 10);
        // Far away, and fast: chunks of 64 KiB would leave it idle.
        let far = row(LinkClass::Satellite, 100.0, 600.0);
        assert_eq!(chunk(&far), 1_409_024);
        assert_eq!(fit(None, Some(&far)).under_way, Some(22_500_000));
        assert_eq!(fit(None, None), Fit::default(), "nothing is known");
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
