//! How much is told how often, so that what gossip costs a node stays within bounds however many there are. Pure.
//!
//! Each exchange begins with a digest: some tens of bytes for each node, packed about twenty. Up to a hundred nodes or so every
//! exchange takes place; beyond, so large a part of them, picked by chance, that a node sends about [`RATE`]. News then take
//! longer to arrive, so silence is told later and reports come less often.

use std::time::Duration;

use crate::control::pool::Figures;

/// Time between two rounds.
pub const ROUND: Duration = Duration::from_millis(400);
/// Bytes a second that a node may spend on the digests of exchanges.
pub const RATE: f64 = 32_000.0;
/// Exchanges that a round begins, by the crate.
const PEERS: f64 = 3.0;
/// Digests that a node sends for each exchange it begins: that one, and on the average one that answers another's.
const DIGESTS: f64 = 2.0;

/// Nodes up to which everything is as quick as it gets.
const FEW: usize = 100;
/// Silence that means gone, ms, among few nodes. With the time between two looks and the time that news takes that is within
/// five seconds.
pub const SILENT_MS: u64 = 3_000;
/// What each further node adds to it, ms.
const SILENT_EACH_MS: u64 = 12;

/// Time between two reports among few nodes.
const REPORT: Duration = Duration::from_secs(5);
/// The longest time between two, and that for reports without news: less than half of the time after which one is stale.
const REPORT_AGAIN: Duration = Duration::from_secs(14);

/// The part of all exchanges that takes place where a digest has so many bytes on the wire: above 0, at most 1.
pub fn part(digest: usize) -> f64 {
    let offered = PEERS / ROUND.as_secs_f64() * DIGESTS * digest.max(1) as f64;
    (RATE / offered).min(1.0)
}

/// How long a node of a pool of so many is silent before it is gone, ms.
pub fn silent_ms(nodes: usize) -> u64 {
    SILENT_MS + SILENT_EACH_MS * nodes.saturating_sub(FEW) as u64
}

/// Time between two looks at how this node is, in a pool of so many: each may become a report.
pub fn report_after(nodes: usize) -> Duration {
    REPORT.mul_f64((nodes as f64 / FEW as f64).max(1.0)).min(REPORT_AGAIN)
}

/// Whether to tell how this node is `now`, where it told `before` so long ago.
pub fn is_due(before: &Figures, now: &Figures, age: Duration) -> bool {
    age >= REPORT_AGAIN || is_news(before, now)
}

/// Changes that change a choice: some points of a hundred, or a tenth of what was.
fn is_news(before: &Figures, now: &Figures) -> bool {
    // What is no number is news too.
    let differ = |before: f64, now: f64, step: f64| (before - now).is_nan() || (before - now).abs() > step;
    let points = |before: f64, now: f64| differ(before, now, 3.0);
    let off = |before: f64, now: f64, step: f64| differ(before, now, step + before.abs() / 10.0);
    points(before.cpu_percent, now.cpu_percent)
        || points(before.memory_percent, now.memory_percent)
        || off(before.active_connections as f64, now.active_connections as f64, 10.0)
        || off(before.average_latency_ms, now.average_latency_ms, 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_nodes_have_every_exchange_and_many_cost_no_more() {
        assert_eq!(part(20 * 41), 1.0);
        assert_eq!(part(0), 1.0);
        // A thousand nodes, twenty bytes each: what is left costs what is allowed.
        let digest = 20_000;
        let sent = part(digest) * 3.0 * 2.5 * 2.0 * digest as f64;
        assert!((sent - RATE).abs() < 1.0 && part(digest) > 0.1, "{sent}");
    }

    #[test]
    fn patience_grows_with_the_pool() {
        assert_eq!([0, 20, 100].map(silent_ms), [3_000; 3]);
        assert!(silent_ms(1_000) > 10_000 && silent_ms(1_500) < 20_000);
        assert_eq!([1, 100, 200, 4_096].map(|nodes| report_after(nodes).as_secs()), [5, 5, 10, 14]);
    }

    #[test]
    fn what_changes_no_choice_is_told_now_and_then_only() {
        let told =
            Figures { cpu_percent: 40.0, memory_percent: 50.0, active_connections: 100, average_latency_ms: 20.0 };
        let due = |now: &Figures, age| is_due(&told, now, Duration::from_secs(age));
        assert!(!due(&told, 13) && due(&told, 14));
        for news in [
            Figures { cpu_percent: 44.0, ..told },
            Figures { memory_percent: 46.0, ..told },
            Figures { active_connections: 130, ..told },
            Figures { average_latency_ms: 40.0, ..told },
            Figures { average_latency_ms: f64::NAN, ..told },
        ] {
            assert!(due(&news, 5), "{news:?}");
        }
        let same = Figures { cpu_percent: 42.0, active_connections: 115, average_latency_ms: 24.0, ..told };
        assert!(!due(&same, 5));
    }
}
