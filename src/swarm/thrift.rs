//! A seeder's thrift: in a crowd, it gives each piece once and leaves the rest to those who got it.
//!
//! Rarest first spares a seeder only as fast as news travels: on a fast link, five leechers can each
//! take the same pieces in the moment before they hear of one another. So a seeder that serves a
//! crowd answers "elsewhere" to a peer that asks for a piece which another peer got a moment ago.
//! (BEP 16's super-seeding has the same aim; it hides pieces, this tells where they went.)
//!
//! Nobody starves: the same peer that asks for the same piece again is served, and a receiver that
//! was not heard of lately does not count.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many peers asked lately: a crowd.
const CROWD: usize = 8;
/// A peer that asked for something within this time is around.
const AROUND: Duration = Duration::from_secs(20);
/// Peers that are remembered, and refusals.
const MAX_PEERS: usize = 2_000;
const MAX_REFUSED: usize = 1 << 16;

/// A peer by the order of its coming.
type Number = u32;

/// Whom which piece was given to.
#[derive(Debug, Default)]
pub struct Thrift {
    numbers: HashMap<Arc<str>, Number>,
    seen: Vec<Instant>,
    /// Per piece the peer that got it last, plus one; empty until there is a crowd.
    given: Vec<Number>,
    refused: HashSet<(Number, u32)>,
}

impl Thrift {
    /// A peer is around: it asked for something, or waits for news. Also who is choked counts.
    pub fn see(&mut self, peer: &Arc<str>, now: Instant) {
        self.number(peer, now);
    }

    /// How many of `count` pieces from `first` on, of `pieces` in all, `peer` is given now; 0: it
    /// shall ask elsewhere.
    pub fn grant(&mut self, peer: &Arc<str>, first: u32, count: u32, pieces: u32, now: Instant) -> u32 {
        let number = self.number(peer, now);
        let crowd = self.seen.iter().filter(|seen| now.saturating_duration_since(**seen) < AROUND).count();
        if crowd < CROWD {
            return count;
        }
        self.given.resize(pieces as usize, 0);
        let mut granted = 0;
        for piece in first..first.saturating_add(count).min(pieces) {
            if self.is_elsewhere(number, piece, now) {
                break;
            }
            granted += 1;
        }
        if granted == 0 {
            if self.refused.len() >= MAX_REFUSED {
                self.refused.clear();
            }
            self.refused.insert((number, first));
        }
        for piece in first..first + granted {
            self.given[piece as usize] = number + 1;
        }
        granted
    }

    fn is_elsewhere(&self, number: Number, piece: u32, now: Instant) -> bool {
        let Some(holder) = self.given[piece as usize].checked_sub(1) else { return false };
        let is_around = |seen: &Instant| now.saturating_duration_since(*seen) < AROUND;
        holder != number
            && self.seen.get(holder as usize).is_some_and(is_around)
            && !self.refused.contains(&(number, piece))
    }

    fn number(&mut self, peer: &Arc<str>, now: Instant) -> Number {
        if let Some(number) = self.numbers.get(peer) {
            self.seen[*number as usize] = now;
            return *number;
        }
        if self.seen.len() >= MAX_PEERS {
            // A flood of names: what was known of all of them is worth less than the memory.
            *self = Self::default();
        }
        let number = self.seen.len() as Number;
        self.numbers.insert(peer.clone(), number);
        self.seen.push(now);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|i| format!("10.0.0.{i}:1").into()).collect()
    }

    fn crowd(thrift: &mut Thrift, peers: &[Arc<str>], now: Instant) {
        for (piece, peer) in peers.iter().enumerate() {
            thrift.grant(peer, 90 + piece as u32, 1, 200, now);
        }
    }

    #[test]
    fn a_few_peers_get_whatever_they_ask_for() {
        let (mut thrift, now, peers) = (Thrift::default(), Instant::now(), peers(4));
        for peer in &peers {
            assert_eq!(thrift.grant(peer, 0, 10, 200, now), 10);
        }
    }

    #[test]
    fn in_a_crowd_each_piece_is_given_once_and_nobody_starves() {
        let (mut thrift, now, peers) = (Thrift::default(), Instant::now(), peers(10));
        crowd(&mut thrift, &peers, now);
        assert_eq!(thrift.grant(&peers[0], 0, 4, 200, now), 4);
        assert_eq!(thrift.grant(&peers[0], 0, 4, 200, now), 4, "who got it may have it again");
        assert_eq!(thrift.grant(&peers[1], 2, 4, 200, now), 0, "elsewhere");
        assert_eq!(thrift.grant(&peers[1], 4, 4, 200, now), 4);
        assert_eq!(thrift.grant(&peers[2], 8, 4, 200, now), 4);
        assert_eq!(thrift.grant(&peers[3], 10, 4, 200, now), 0);
        assert_eq!(thrift.grant(&peers[3], 12, 4, 200, now), 4, "a run ends where others have it");
        assert_eq!(thrift.grant(&peers[1], 2, 4, 200, now), 1, "asked again, it is served");
    }

    #[test]
    fn a_holder_that_is_gone_does_not_count() {
        let (mut thrift, now, peers) = (Thrift::default(), Instant::now(), peers(10));
        crowd(&mut thrift, &peers, now);
        assert_eq!(thrift.grant(&peers[0], 0, 1, 200, now), 1);
        let later = now + AROUND;
        crowd(&mut thrift, &peers[1..], later);
        assert_eq!(thrift.grant(&peers[1], 0, 1, 200, later), 1);
    }

    #[test]
    fn a_flood_of_names_stays_bounded() {
        let (mut thrift, now) = (Thrift::default(), Instant::now());
        for peer in peers(MAX_PEERS * 2 + 5) {
            thrift.grant(&peer, 0, 1, 200, now);
        }
        assert!(thrift.seen.len() <= MAX_PEERS && thrift.numbers.len() <= MAX_PEERS);
    }
}
