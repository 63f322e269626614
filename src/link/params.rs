//! Class and bandwidth → how syncs and pushes behave. Pure.
//!
//! The table is the specification's. Its chunks and numbers of transfers hold at the upper end of a class's range of bandwidth;
//! below that they fall linearly to those of the class underneath, so that nothing leaps where two classes meet. A class
//! whose range has no meaning (intermittent, unknown) has what the table says.

use super::classify::{Thresholds, digits};
use crate::control::link::{LinkClass, SyncMode, SyncParams};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Chunks are multiples of this.
const GRAIN: u64 = 4 * KIB;
/// A fiber's range has no upper end; this many times its lower one stands for it.
const FIBER_SPAN: f64 = 10.0;

/// What a profile sets of a class's parameters; what is none stays as the table has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patch {
    /// The mode.
    pub mode: Option<SyncMode>,
    /// Only summaries of what is not critical.
    pub summary_only: Option<bool>,
    /// Level of zstd; inner none: not compressed.
    pub compression: Option<Option<i32>>,
    /// Bytes per chunk, whatever the bandwidth.
    pub chunk_bytes: Option<u64>,
    /// Time between two looks, ms; inner none: when the link allows.
    pub interval_ms: Option<Option<u64>>,
    /// Transfers at a time, whatever the bandwidth.
    pub concurrent: Option<u32>,
    /// Operations wait in the priority queue.
    pub queued: Option<bool>,
}

/// The specification's table.
pub fn table(class: LinkClass) -> SyncParams {
    let (mode, compression, chunk_bytes, interval_s, concurrent, queued) = match class {
        LinkClass::Fiber => (SyncMode::Full, None, 16 * MIB, Some(1), 10, false),
        LinkClass::Broadband => (SyncMode::FullCompressed, Some(1), 4 * MIB, Some(5), 5, false),
        LinkClass::Mobile => (SyncMode::DeltaOnly, Some(3), 256 * KIB, Some(30), 2, true),
        LinkClass::Satellite => (SyncMode::DeltaCompressed, Some(9), 64 * KIB, Some(60), 1, true),
        LinkClass::Intermittent => (SyncMode::StoreAndForward, Some(9), 32 * KIB, None, 1, true),
        LinkClass::Unknown => (SyncMode::DeltaCompressed, Some(3), 128 * KIB, Some(30), 2, true),
    };
    SyncParams {
        mode,
        summary_only: class == LinkClass::Satellite,
        compression,
        chunk_bytes,
        interval_ms: interval_s.map(|s| s * 1_000),
        concurrent,
        queued,
    }
}

/// The range of bandwidth of a class, and the class underneath.
fn range(class: LinkClass, t: &Thresholds) -> Option<(f64, f64, LinkClass)> {
    match class {
        LinkClass::Fiber => Some((t.fiber_bandwidth, t.fiber_bandwidth * FIBER_SPAN, LinkClass::Broadband)),
        LinkClass::Broadband => Some((t.broadband_bandwidth, t.fiber_bandwidth, LinkClass::Mobile)),
        LinkClass::Mobile => Some((t.satellite_bandwidth, t.broadband_bandwidth, LinkClass::Satellite)),
        LinkClass::Satellite => Some((0.0, t.satellite_bandwidth, LinkClass::Intermittent)),
        LinkClass::Intermittent | LinkClass::Unknown => None,
    }
}

/// What syncs over such a link do. `patch`: the profile's; `metered`: every byte costs.
pub fn params(
    class: LinkClass,
    bandwidth_mbps: Option<f64>,
    t: &Thresholds,
    patch: Option<&Patch>,
    metered: bool,
) -> SyncParams {
    let mut params = table(class);
    if let (Some((low, high, under)), Some(bandwidth)) = (range(class, t), bandwidth_mbps) {
        let part = ((bandwidth - low) / (high - low)).clamp(0.0, 1.0);
        let below = table(under);
        let between = |low: f64, high: f64| low + (high - low) * part;
        let chunk = between(below.chunk_bytes as f64, params.chunk_bytes as f64) as u64;
        params.chunk_bytes = (chunk / GRAIN * GRAIN).max(GRAIN);
        params.concurrent = between(f64::from(below.concurrent), f64::from(params.concurrent)).round() as u32;
    }
    if let Some(patch) = patch {
        params = SyncParams {
            mode: patch.mode.unwrap_or(params.mode),
            summary_only: patch.summary_only.unwrap_or(params.summary_only),
            compression: patch.compression.unwrap_or(params.compression),
            chunk_bytes: patch.chunk_bytes.unwrap_or(params.chunk_bytes),
            interval_ms: patch.interval_ms.unwrap_or(params.interval_ms),
            concurrent: patch.concurrent.unwrap_or(params.concurrent),
            queued: patch.queued.unwrap_or(params.queued),
        };
    }
    if metered {
        // What is not critical is told about and sent when bytes cost nothing again.
        params.summary_only = true;
        params.queued = true;
        params.compression = params.compression.max(Some(3));
        if matches!(params.mode, SyncMode::Full | SyncMode::FullCompressed) {
            params.mode = SyncMode::DeltaOnly;
        }
    }
    params
}

/// What a mode means, in words.
pub fn meaning(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Full => "everything as it is",
        SyncMode::FullCompressed => "everything, compressed where that pays",
        SyncMode::DeltaOnly => "only what changed, compressed",
        SyncMode::DeltaCompressed => "only what changed, compressed hard",
        SyncMode::StoreAndForward => "kept here until the link is back",
    }
}

/// Whether syncs behave otherwise than before. Chunks and transfers at a time follow every waver of the bandwidth, and are no news.
pub fn is_other(from: &SyncParams, to: &SyncParams) -> bool {
    let steady = |params: &SyncParams| SyncParams { chunk_bytes: 0, concurrent: 0, ..*params };
    steady(from) != steady(to)
}

/// What is different from `from` to `to`, in words; empty if nothing is.
pub fn difference(from: &SyncParams, to: &SyncParams) -> String {
    let mut changes = Vec::new();
    if from.mode != to.mode {
        changes.push(format!("{} ({})", to.mode.name(), meaning(to.mode)));
    }
    if from.summary_only != to.summary_only {
        let on = "of what is not critical only summaries";
        changes.push(if to.summary_only { on.to_owned() } else { "also what is not critical".to_owned() });
    }
    if from.compression != to.compression {
        changes.push(to.compression.map_or_else(|| "not compressed".into(), |level| format!("zstd level {level}")));
    }
    if from.chunk_bytes != to.chunk_bytes {
        changes.push(format!("chunks of {}", bytes(to.chunk_bytes)));
    }
    if from.concurrent != to.concurrent {
        changes.push(match to.concurrent {
            1 => "one transfer at a time".into(),
            count => format!("{count} transfers at a time"),
        });
    }
    if from.interval_ms != to.interval_ms {
        let when = |ms: u64| format!("every {} s", digits(ms as f64 / 1e3));
        changes.push(to.interval_ms.map_or_else(|| "when the link allows".into(), when));
    }
    if from.queued != to.queued {
        changes.push(if to.queued {
            "operations queue by priority".into()
        } else {
            "nothing waits in the queue".into()
        });
    }
    changes.join(", ")
}

fn bytes(count: u64) -> String {
    match count {
        MIB.. => format!("{} MiB", digits(count as f64 / MIB as f64)),
        _ => format!("{} KiB", digits(count as f64 / KIB as f64)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(class: LinkClass, bandwidth: f64) -> SyncParams {
        params(class, Some(bandwidth), &Thresholds::default(), None, false)
    }

    #[test]
    fn a_class_ends_with_what_the_table_says_and_begins_with_the_one_under_it() {
        assert_eq!(at(LinkClass::Fiber, 1000.0), table(LinkClass::Fiber));
        assert_eq!(at(LinkClass::Fiber, 9000.0), table(LinkClass::Fiber));
        assert_eq!((at(LinkClass::Fiber, 100.0).chunk_bytes, at(LinkClass::Fiber, 100.0).concurrent), (4 * MIB, 5));
        assert_eq!(
            (at(LinkClass::Broadband, 100.0).chunk_bytes, at(LinkClass::Broadband, 100.0).concurrent),
            (4 * MIB, 5)
        );
        assert_eq!(
            (at(LinkClass::Broadband, 55.0).chunk_bytes, at(LinkClass::Broadband, 55.0).concurrent),
            (2176 * KIB, 4)
        );
        assert_eq!(at(LinkClass::Mobile, 10.0).chunk_bytes, 256 * KIB);
        assert_eq!(at(LinkClass::Satellite, 1.0).chunk_bytes, 64 * KIB);
        assert_eq!(at(LinkClass::Intermittent, 5.0), table(LinkClass::Intermittent));
        assert_eq!(params(LinkClass::Fiber, None, &Thresholds::default(), None, false), table(LinkClass::Fiber));
    }

    #[test]
    fn a_profile_wins_and_every_byte_that_costs_is_kept_back() {
        let t = Thresholds::default();
        let patch = Patch { chunk_bytes: Some(MIB), compression: Some(None), ..Patch::default() };
        let set = params(LinkClass::Mobile, Some(3.0), &t, Some(&patch), false);
        assert_eq!((set.chunk_bytes, set.compression, set.mode), (MIB, None, SyncMode::DeltaOnly));
        let metered = params(LinkClass::Fiber, Some(900.0), &t, None, true);
        assert_eq!((metered.mode, metered.summary_only, metered.queued), (SyncMode::DeltaOnly, true, true));
    }

    #[test]
    fn a_change_is_told_by_what_it_changes() {
        let (fiber, mobile) = (table(LinkClass::Fiber), table(LinkClass::Mobile));
        assert_eq!(
            difference(&fiber, &mobile),
            "delta_only (only what changed, compressed), zstd level 3, chunks of 256 KiB, 2 transfers at a time, \
             every 30 s, operations queue by priority"
        );
        assert_eq!(difference(&fiber, &fiber), "");
    }

    proptest! {
        /// More bandwidth is never smaller chunks or fewer transfers, within a class and across two that meet.
        #[test]
        fn chunks_and_transfers_grow_with_bandwidth(a in 0.05f64..1500.0, b in 0.05f64..1500.0) {
            let class = |bandwidth: f64| match bandwidth {
                b if b < 1.0 => LinkClass::Satellite,
                b if b < 10.0 => LinkClass::Mobile,
                b if b <= 100.0 => LinkClass::Broadband,
                _ => LinkClass::Fiber,
            };
            let (low, high) = (a.min(b), a.max(b));
            let (low, high) = (at(class(low), low), at(class(high), high));
            prop_assert!(low.chunk_bytes <= high.chunk_bytes && low.concurrent <= high.concurrent);
        }
    }
}
