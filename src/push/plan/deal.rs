//! Dealing: the usable paths are judged, what is queued is pooled and given out by their shares.

use std::time::Instant;

use super::path::Path;
use super::{Change, PathId, Plan, REBALANCE, Standing, Why};
use crate::push::score::{score, shares};

impl Plan {
    /// The paths in the order in which to ask for something that everything waits for: healthy ones first,
    /// those that only help out (they may have collapsed) next, then dead ones, then disabled ones. The
    /// nearest of the healthy ones comes first; of the others the one that moves most.
    pub fn by_nearness(&self, now: Instant) -> Vec<PathId> {
        let rank = |path: &Path| match path.standing {
            _ if !path.enabled => 3,
            Standing::Healthy => 0,
            Standing::Degraded => 1,
            Standing::Dead { .. } | Standing::Probing => 2,
        };
        let mut order: Vec<PathId> = (0..self.paths.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.paths[*a], &self.paths[*b]);
            let better = match rank(a) {
                0 => a.latency_ms.total_cmp(&b.latency_ms),
                _ => b.rate(self.config.segment, now).total_cmp(&a.rate(self.config.segment, now)),
            };
            rank(a).cmp(&rank(b)).then(better)
        });
        order
    }

    /// Scores the usable paths; their ids, in order.
    fn judge(&mut self, now: Instant) -> Vec<PathId> {
        let usable: Vec<PathId> = (0..self.paths.len()).filter(|id| self.paths[*id].is_usable()).collect();
        let figures: Vec<_> = usable.iter().map(|id| self.paths[*id].figures(self.config.segment, now)).collect();
        let terms = score(&figures, self.config.weights);
        let best = terms.iter().map(|t| t.score).fold(f64::NEG_INFINITY, f64::max);
        // Beside a guess nobody's figure says much.
        let is_measured = usable.iter().all(|id| self.paths[*id].line.rate().is_some());
        for (id, terms) in usable.iter().zip(terms) {
            let path = &mut self.paths[*id];
            path.terms = terms;
            let was = path.standing == Standing::Degraded;
            let is_behind = path.damp.is_behind(was, (terms.score, best), is_measured, now);
            path.standing = if is_behind { Standing::Degraded } else { Standing::Healthy };
        }
        usable
    }

    /// Paths that fell behind hand their queues over.
    pub(super) fn hand_over(&mut self, now: Instant) {
        let usable = self.judge(now);
        let behind = |plan: &Self, id: &PathId| {
            plan.paths[*id].standing == Standing::Degraded && !plan.paths[*id].queue.is_empty()
        };
        if let Some(id) = usable.iter().find(|id| behind(self, id)).copied() {
            self.deal(now, Some(id), Why::Behind);
        }
    }

    /// Pools what is queued and deals it by shares. `about`: the path that is the reason, if one is.
    pub(super) fn deal(&mut self, now: Instant, about: Option<PathId>, why: Why) {
        self.next_deal = now + REBALANCE;
        let usable = self.judge(now);
        if usable.is_empty() {
            for path in &mut self.paths {
                path.share = 0.0;
                self.stranded.append(&mut path.queue);
            }
            self.changes.note(Change { at: now, path: about, why, moved: 0, from: Vec::new(), to: Vec::new() });
            return;
        }
        let scores: Vec<f64> = usable.iter().map(|id| self.paths[*id].terms.score).collect();
        let before: Vec<u32> = self.paths.iter().map(|path| path.queue.len()).collect();
        let weighed: Vec<f64> =
            usable.iter().zip(shares(&scores)).map(|(id, share)| share * self.paths[*id].weight).collect();
        let all_weights: f64 = weighed.iter().sum();
        for (id, share) in usable.iter().zip(weighed) {
            self.paths[*id].share = share / all_weights;
        }
        let mut pool = std::mem::take(&mut self.stranded);
        for path in &mut self.paths {
            pool.append(&mut path.queue);
        }
        pool.sort();
        // Degraded paths get no queue of their own: they take what they manage to send.
        let dealt: Vec<PathId> =
            usable.iter().copied().filter(|id| self.paths[*id].standing == Standing::Healthy).collect();
        let sum: f64 = dealt.iter().map(|id| self.paths[*id].share).sum();
        let all = pool.len();
        for id in &dealt {
            let count = (f64::from(all) * self.paths[*id].share / sum).round() as u32;
            self.paths[*id].queue = pool.take_front(count);
        }
        if let Some(last) = dealt.last() {
            self.paths[*last].queue.append(&mut pool);
        }
        self.stranded.append(&mut pool);
        let now_queued = self.paths.iter().map(|path| path.queue.len());
        let gains: Vec<i64> = now_queued.zip(before).map(|(is, was)| i64::from(is) - i64::from(was)).collect();
        let which =
            |sign: i64| gains.iter().enumerate().filter(|(_, n)| n.signum() == sign).map(|(id, _)| id).collect();
        let moved = gains.iter().map(|n| (*n).max(0)).sum::<i64>().try_into().unwrap_or(u32::MAX);
        self.changes.note(Change { at: now, path: about, why, moved, from: which(-1), to: which(1) });
    }
}
