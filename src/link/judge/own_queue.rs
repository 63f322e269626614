//! What transfers of ours do to a link is not the link.

use std::time::Duration;

use super::Judge;
use crate::control::link::Method;
use crate::link::sample::{PassiveSample, Sample};

/// The part of a link from which on transfers count as making a queue.
const LOADS: f64 = 0.3;

impl Judge {
    /// Transfers that make a queue of their own: they fill the link, or use a good part of it, as they may in bursts.
    pub(super) fn loading(&self, now: Duration) -> Option<PassiveSample> {
        self.transfers(now).filter(|sample| self.loads(sample))
    }

    pub(super) fn loads(&self, sample: &PassiveSample) -> bool {
        let known = self.window.figures().bandwidth_mbps;
        let part = sample.delivery_mbps.zip(known).map(|(rate, known)| rate / known);
        sample.alive && (sample.fills() || part.is_some_and(|part| part >= LOADS))
    }

    /// Transfers were at work already when samples began to be late: that was their queue.
    pub(super) fn forget_own_queue(&mut self) {
        let Some(since) = self.suspected.filter(|_| !self.silent).map(|suspicion| suspicion.since) else { return };
        self.window.forget_latencies(since, self.window.figures_before(since).latency_ms);
        let says_nothing = |s: &Sample| s.latency_ms.is_none() && s.bandwidth_mbps.is_none() && s.echoed == s.echoes;
        if self.window.since(since).all(says_nothing) {
            (self.suspected, self.pending) = (None, None);
        }
    }

    /// What our own transfers do to the link is not the link.
    pub(super) fn see_through_queue(&self, now: Duration, sample: &mut Sample) {
        let transfers = self.loading(now);
        sample.busy |= transfers.is_some();
        if !sample.busy || sample.method == Method::Passive {
            return;
        }
        let known = self.window.figures();
        let better = |new: Option<f64>, old: Option<f64>| new.filter(|new| old.is_none_or(|old| *new <= old));
        sample.behind_ms = sample.behind_ms.or(sample.latency_ms);
        sample.latency_ms = better(sample.latency_ms, known.latency_ms);
        sample.jitter_ms = better(sample.jitter_ms, self.median().jitter_ms);
        sample.hint_mbps = None;
        // A share is a lower bound.
        let least = transfers.and_then(|t| t.delivery_mbps).into_iter().chain(known.bandwidth_mbps).fold(0.0, f64::max);
        sample.bandwidth_mbps = sample.bandwidth_mbps.filter(|bandwidth| *bandwidth > least);
        let resent = transfers.and_then(|t| t.retransmit_percent).unwrap_or(0.0);
        if sample.loss_percent().is_some_and(|loss| loss > resent) {
            sample.echoes = 0;
            sample.echoed = 0;
        }
    }
}
