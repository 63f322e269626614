//! Why a download waits, is slow, or goes as it goes: one line from the facts at hand.
//!
//! Only what is known is said. The first cause that explains what is seen wins: nothing at all moves,
//! then the disk, then a limit that somebody set, then the peers.

use std::fmt::Write as _;
use std::time::Duration;

use crate::control::PieceOrder;
use crate::swarm::leech::Reason;

/// A sync that takes longer holds the transfer up sooner or later.
const SLOW_SYNC: Duration = Duration::from_secs(2);
/// Seconds without a byte that are no longer a matter of chance.
const SILENT_S: u64 = 5;

/// What is known of a download. Rates in bytes per second.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts<'a> {
    /// Why nothing is under way, if nothing is.
    pub waiting: Option<Reason>,
    /// Seconds since the last byte.
    pub silent_s: u64,
    /// How long the sync under way has taken.
    pub syncing: Option<Duration>,
    /// Rate now.
    pub rate: u64,
    /// The transfer's own limit.
    pub own_limit: Option<u64>,
    /// The node's.
    pub node_limit: Option<u64>,
    /// Peers that answer, mirrors included.
    pub connected: u32,
    /// Names of those that choke us, as many as are of use.
    pub choking: Vec<&'a str>,
    /// Names of those that give.
    pub giving: Vec<&'a str>,
    /// Requests under way.
    pub requests: u32,
    /// Missing pieces that no connected peer has.
    pub nowhere: u32,
    /// Order of pieces.
    pub order: PieceOrder,
}

/// The line; never empty.
pub(super) fn explain(facts: &Facts<'_>) -> String {
    let Facts { connected, requests, .. } = *facts;
    if let Some(reason) = &facts.waiting {
        return match (reason, facts.choking.as_slice()) {
            (Reason::AllChoke { next }, [one]) if connected == 1 => {
                format!("waiting: {one} chokes us, next try in {:.0} s", next.as_secs_f64().ceil())
            }
            _ => format!("waiting: {reason}"),
        };
    }
    if facts.silent_s >= SILENT_S && requests > 0 {
        let s = facts.silent_s;
        return format!("slow: {} asked, no byte for {s} s", many(requests, "request"));
    }
    if let Some(took) = facts.syncing.filter(|took| *took >= SLOW_SYNC) {
        return format!("slow: your disk, {:.0} s in this sync so far", took.as_secs_f64());
    }
    // A bucket lets a little more or less through.
    let at = |limit: u64| facts.rate >= limit / 10 * 9;
    match (facts.own_limit, facts.node_limit) {
        (Some(own), Some(node)) if node < own && at(node) => return format!("limited to {} by the node", rate(node)),
        (Some(own), _) if at(own) => return format!("limited to {}", rate(own)),
        (None, Some(node)) if at(node) => return format!("limited to {} by the node", rate(node)),
        _ => {}
    }
    let mut said = match (facts.choking.as_slice(), facts.giving.as_slice()) {
        ([one], [_, ..]) if connected <= 3 => format!("slow: peer {one} chokes us"),
        (choking, _) if !choking.is_empty() && choking.len() as u32 * 2 >= connected => {
            format!("slow: {} of {} choke us", choking.len(), many(connected, "peer"))
        }
        (_, [one]) if connected <= 1 => format!("from one peer only: {one}"),
        (choking, giving) => {
            let order = match facts.order {
                PieceOrder::Rarest => "rarest first",
                PieceOrder::Sequential => "in order",
                PieceOrder::Random => "in any order",
            };
            let mut said = format!("{order} from {}", many(giving.len() as u32, "peer"));
            if !choking.is_empty() {
                let _ = write!(said, ", {} choke us", choking.len());
            }
            said
        }
    };
    if facts.nowhere > 0 {
        let _ = write!(said, "; no peer has {} yet", many(facts.nowhere, "piece"));
    }
    said
}

fn many(count: u32, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `5 MB/s`, `1.5 MB/s`, `800 kB/s`.
fn rate(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1_000 => (bytes as f64, "B/s"),
        1_000..1_000_000 => (bytes as f64 / 1e3, "kB/s"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB/s"),
        _ => (bytes as f64 / 1e9, "GB/s"),
    };
    let text = format!("{value:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_that_explains_it() {
        let secs = Duration::from_secs;
        let base = || Facts { connected: 6, giving: vec!["a", "b", "c", "d"], requests: 8, ..Facts::default() };
        let cases = [
            (Facts { waiting: Some(Reason::NoPeers), ..base() }, "waiting: no peers yet"),
            (
                Facts { waiting: Some(Reason::NobodyHas { pieces: 3 }), ..base() },
                "waiting: no peer has the 3 pieces left",
            ),
            (
                Facts {
                    waiting: Some(Reason::AllChoke { next: secs(4) }),
                    connected: 1,
                    choking: vec!["10.0.0.7:7070"],
                    ..base()
                },
                "waiting: 10.0.0.7:7070 chokes us, next try in 4 s",
            ),
            (
                Facts { waiting: Some(Reason::AllChoke { next: secs(4) }), choking: vec!["a", "b"], ..base() },
                "waiting: all peers choke us, next try in 4 s",
            ),
            (Facts { silent_s: 41, ..base() }, "slow: 8 requests asked, no byte for 41 s"),
            (Facts { silent_s: 4, ..base() }, "rarest first from 4 peers"),
            (Facts { syncing: Some(secs(7)), ..base() }, "slow: your disk, 7 s in this sync so far"),
            (Facts { syncing: Some(secs(1)), ..base() }, "rarest first from 4 peers"),
            (Facts { rate: 4_800_000, own_limit: Some(5_000_000), ..base() }, "limited to 5 MB/s"),
            (Facts { rate: 4_000_000, own_limit: Some(5_000_000), ..base() }, "rarest first from 4 peers"),
            (Facts { rate: 1_500_000, node_limit: Some(1_500_000), ..base() }, "limited to 1.5 MB/s by the node"),
            (
                Facts { rate: 800_000, own_limit: Some(5_000_000), node_limit: Some(800_000), ..base() },
                "limited to 800 kB/s by the node",
            ),
            (
                Facts { connected: 2, choking: vec!["10.0.0.7:7070"], giving: vec!["b"], ..base() },
                "slow: peer 10.0.0.7:7070 chokes us",
            ),
            (Facts { choking: vec!["x"; 4], giving: vec!["b", "c"], ..base() }, "slow: 4 of 6 peers choke us"),
            (Facts { choking: vec!["x"], ..base() }, "rarest first from 4 peers, 1 choke us"),
            (Facts { connected: 1, giving: vec!["10.0.0.7:7070"], ..base() }, "from one peer only: 10.0.0.7:7070"),
            (
                Facts { nowhere: 1, order: PieceOrder::Sequential, ..base() },
                "in order from 4 peers; no peer has 1 piece yet",
            ),
        ];
        for (facts, expected) in cases {
            assert_eq!(explain(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn rates_are_short() {
        for (bytes, text) in [(5, "5 B/s"), (800_000, "800 kB/s"), (1_234_567, "1.2 MB/s"), (2_000_000_000, "2 GB/s")] {
            assert_eq!(rate(bytes), text);
        }
    }
}
