//! Second copies: the endgame (BEP 3) and slow requests.
//!
//! When nothing is left to ask for, idle peers fetch a second copy of what will take longest; the first
//! copy to arrive wins and the loser is cancelled. The same goes for a request that is much slower than
//! the others. A copy takes the *last* half of the pieces that the first request still has to bring, so
//! that the two work towards one another instead of moving the same bytes, and only if it is expected to
//! win. No piece is ever under way more than twice.

use std::time::{Duration, Instant};

use super::{Leech, Outstanding, Request, RequestId, Why};

/// A request is slow if it needs so many times longer than the median of all.
const SLOW_FACTOR: f64 = 4.0;
/// Nothing is called slow before this age.
const SLOW_AGE: Duration = Duration::from_millis(500);
/// What a request of which nothing is known is expected to take at least.
const UNKNOWN: Duration = Duration::from_millis(250);

impl Leech {
    pub(super) fn second_copy(&mut self, now: Instant) -> Option<Request> {
        // What no connected peer has cannot be asked for: it does not keep the endgame from starting.
        let endgame = self.picker.wanted() == self.picker.nowhere();
        if self.book.ready().is_empty() || !(endgame || self.slow > 0) {
            return None;
        }
        let open = self.requests.iter().filter(|(_, o)| !o.duplicate && (endgame || o.slow));
        let mut slowest: Vec<(Duration, RequestId)> = open.map(|(id, o)| (self.expected(o, now), *id)).collect();
        slowest.sort_unstable_by(|a, b| b.cmp(a));
        slowest.into_iter().find_map(|(left, of)| self.copy_of(of, left, endgame, now))
    }

    fn copy_of(&mut self, of: RequestId, left: Duration, endgame: bool, now: Instant) -> Option<Request> {
        let original = self.requests.get(&of)?;
        let single = |piece: &u32| self.copies.get(piece).is_some_and(|copies| copies.1.is_none());
        let missing = original.unsettled().count();
        let tail: Vec<u32> = original.unsettled().rev().take(missing.div_ceil(2)).take_while(single).collect();
        let last = *tail.first()?;
        let mut among = self.picker.holders(last).and(self.book.ready());
        among.remove(original.peer.slot());
        if self.sparing() && !self.picker.holders(last).minus(self.book.sources()).is_empty() {
            among = among.minus(self.book.sources());
        }
        let slot = self.book.best(&among, &mut self.rng)?;
        let joined = tail.iter().enumerate();
        let count = joined.take_while(|(n, p)| **p == last - *n as u32 && self.picker.has(slot, **p)).count() as u32;
        let first = last + 1 - count;
        let peer = self.book.at(slot)?;
        let needs = peer.estimate(self.sizes.run(first, count), peer.active + 1);
        if needs.is_some_and(|needs| needs >= left) {
            return None;
        }
        let why = if endgame { Why::Endgame { of } } else { Why::Slow { of } };
        self.register(slot, first, count, why, Some(of), now)
    }

    /// How long the request will take from now on.
    pub(super) fn expected(&self, o: &Outstanding, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(o.sent);
        let left = self.sizes.run(o.first, o.count).saturating_sub(o.bytes);
        if o.bytes > 0 {
            let rate = o.bytes as f64 / elapsed.as_secs_f64().max(1e-3);
            let silent = now.saturating_duration_since(o.last_byte);
            return Duration::from_secs_f64((left as f64 / rate).min(1e6)) + silent;
        }
        let estimate = self.book.get(o.peer).and_then(|peer| peer.estimate(left, peer.active));
        // Overdue or unknown: it has taken so long, it will take as long again.
        estimate.and_then(|all| all.checked_sub(elapsed)).unwrap_or(elapsed.max(UNKNOWN))
    }

    /// Flags requests that are much slower than the others.
    pub(super) fn flag_slow(&mut self, now: Instant) {
        let mut totals: Vec<(f64, RequestId)> = Vec::with_capacity(self.requests.len());
        for (id, o) in &self.requests {
            let left = self.expected(o, now);
            totals.push(((left + now.saturating_duration_since(o.sent)).as_secs_f64(), *id));
        }
        totals.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let Some((median, _)) = totals.get(totals.len().saturating_sub(1) / 2).copied() else { return };
        for (total, id) in totals {
            if let Some(o) = self.requests.get_mut(&id) {
                let old = now.saturating_duration_since(o.sent) >= SLOW_AGE;
                let slow = old && total > SLOW_FACTOR * median;
                match (o.slow, slow) {
                    (false, true) => self.slow += 1,
                    (true, false) => self.slow -= 1,
                    _ => {}
                }
                o.slow = slow;
            }
        }
    }
}
