//! A download and its pool: whom it asks, and what that says about these nodes.
//!
//! What is told of a node is the time to the first byte of an answer with a piece that was right. A node's own figure
//! (`average_latency_ms`) is that of all its answers, from the head of the request to the first byte; the way there is all that comes
//! on top, so the two can be compared. The time of a whole piece could not: it tells of its size and of the link.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::pooling::Pool;
use crate::content::ContentId;
use crate::control::pool::SLOW_MS;
use crate::swarm::{DownloadReport, Held, PeerUse};

/// Failures of one node between two reports that count: many requests may break with one connection.
const COUNTED: u32 = 2;

/// What a download has to do with its pool.
pub(super) struct Sources {
    pool: Arc<Pool>,
    content: ContentId,
    /// What the pool was told.
    told: BTreeMap<Arc<str>, PeerUse>,
}

impl Sources {
    pub(super) fn new(pool: Arc<Pool>, content: ContentId) -> Self {
        Self { pool, content, told: BTreeMap::new() }
    }

    /// Whom to ask at first, with those of the pool that have it, and whom not to.
    pub(super) fn first(&self, mut peers: Vec<String>) -> (Vec<String>, Vec<String>) {
        // The pool may have it, on other nodes than when this was asked for.
        peers.extend(self.pool.holders_of(&self.content));
        (peers, self.pool.spared(&self.content))
    }

    /// Who has it meanwhile, or is better now; and who is to be spared.
    pub(super) fn look(&self, held: &Held) {
        held.spare_peers(self.pool.spared(&self.content));
        let holders = self.pool.holders_of(&self.content);
        if !holders.is_empty() {
            held.tell_peers(holders);
        }
    }

    /// Tells the pool what asking its nodes came to since the last report.
    pub(super) fn on_report(&mut self, report: &DownloadReport) {
        for (endpoint, now) in report.uses.iter() {
            let before = self.told.get(endpoint).copied().unwrap_or_default();
            if before == *now {
                continue;
            }
            self.told.insert(endpoint.clone(), *now);
            let Some(node) = self.pool.named(endpoint) else { continue };
            let answered = now.answered.saturating_sub(before.answered);
            if answered > 0 {
                let latency = now.latency.saturating_sub(before.latency) / answered;
                // Slow answers cost a node its part for latency; only failures exclude it: the link here may be what is slow.
                self.pool.used(&node, Some(latency.min(Duration::from_millis(SLOW_MS as u64))));
            }
            if before.answered == 0 && answered > 0 {
                self.pool.chose(&node);
            }
            for _ in 0..now.failed.saturating_sub(before.failed).min(COUNTED) {
                self.pool.used(&node, None);
            }
        }
    }

    /// The same at its end, with those who never answered.
    pub(super) fn at_end(mut self, report: &DownloadReport) {
        self.on_report(report);
        let silent: Vec<Arc<str>> = report.silent.iter().filter_map(|url| self.pool.named(url)).collect();
        silent.iter().for_each(|node| self.pool.used(node, None));
    }
}
