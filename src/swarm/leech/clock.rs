//! What happens because time passes.

use std::time::{Duration, Instant};

use super::{Failure, Leech, RequestId};
use crate::swarm::window::InFlight;

/// While requests are under way, their progress is looked at this often.
pub(super) const TICK: Duration = Duration::from_millis(250);

impl Leech {
    /// When [`Leech::on_timeout`] wants to be called next (sooner does no harm); `None`: not before
    /// something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let patience = self.sparing_since.map(|since| since + self.config.patience);
        // Without requests the timer only stands for refusals.
        let timer = if self.requests.is_empty() { self.refused.front().map(|(at, ..)| *at) } else { self.timer };
        [timer, self.book.wake(), patience].into_iter().flatten().min()
    }

    /// Time passed. Answers requests that timed out, to be cancelled; ask for new ones afterwards.
    pub fn on_timeout(&mut self, now: Instant) -> Vec<RequestId> {
        self.book.wake_up(now);
        self.believe_again(now);
        if self.timer.is_none_or(|timer| timer > now) {
            return Vec::new();
        }
        self.timer = self.refused.front().map(|(at, ..)| *at);
        let late = self.late(now);
        for (id, failure) in &late {
            self.on_failed(*id, *failure, now);
        }
        self.flag_slow(now);
        self.limit = self.config.in_flight.limit(self.demand());
        if !self.requests.is_empty() {
            self.arm(now + TICK);
        }
        late.into_iter().map(|(id, _)| id).collect()
    }

    /// Requests that are given up: no byte for too long, or a piece that takes too long and that
    /// somebody else could give. A slow peer that is the only one keeps going: cancelling it would throw
    /// away what it sent and never end.
    fn late(&self, now: Instant) -> Vec<(RequestId, Failure)> {
        let mut late = Vec::new();
        for (id, o) in &self.requests {
            if now.saturating_duration_since(o.last_byte) >= self.config.stall_timeout {
                late.push((*id, Failure::Stall));
            } else if now.saturating_duration_since(o.last_piece) >= self.config.piece_timeout {
                let others = |piece: u32| {
                    let mut able = self.picker.holders(piece).and(self.book.able());
                    able.remove(o.peer.slot());
                    !able.is_empty()
                };
                if o.unsettled().next().is_none_or(others) {
                    late.push((*id, Failure::Timeout));
                }
            }
        }
        late
    }

    /// Requests that would fill the links of all peers (see [`crate::swarm::window`]).
    fn demand(&self) -> u32 {
        if self.config.in_flight != InFlight::Auto {
            return 0;
        }
        let piece = self.sizes.length;
        let of = |bdp: f64, request: u64| (2.0 * bdp / request.max(1) as f64).ceil().clamp(1.0, 1024.0) as u32;
        let able = self.book.able();
        let peers = self.book.iter().filter(|(key, _)| able.contains(key.slot()));
        peers.map(|(_, peer)| peer.window.bdp().map_or(1, |bdp| of(bdp, peer.request_bytes(piece)))).sum()
    }
}
