//! What asking each node came to, for whoever chooses among nodes.

use std::sync::Arc;
use std::time::Duration;

use super::Running;
use crate::swarm::fetch::{FetchError, Source};
use crate::swarm::leech::RequestId;
use crate::swarm::peers::PeerKey;

/// A piece of wrong bytes counts as so many failures: no chance makes one.
pub(super) const WRONG: u32 = 2;

/// What asking a node came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerUse {
    /// Requests that brought a piece, whole and right.
    pub answered: u32,
    /// Time to the first byte of these, in all.
    pub latency: Duration,
    /// Requests that it failed. That it serves others first, or does not have a piece, is no failure.
    pub failed: u32,
}

impl Running {
    fn use_of(&mut self, peer: PeerKey) -> Option<&mut PeerUse> {
        let endpoint = self.endpoints.get(&peer).filter(|endpoint| matches!(endpoint.source, Source::Node(_)))?;
        Some(Arc::make_mut(&mut self.uses).entry(endpoint.name.clone()).or_default())
    }

    /// A piece came. Each request counts once, by its first one: the last of a download has no other end.
    pub(super) fn gave_us(&mut self, id: RequestId) {
        let Some((peer, latency)) = self.active.first_piece(id) else { return };
        if let Some(of) = self.use_of(peer) {
            of.answered = of.answered.saturating_add(1);
            of.latency = of.latency.saturating_add(latency);
        }
    }

    pub(super) fn failed_us(&mut self, peer: PeerKey, times: u32) {
        if let Some(of) = self.use_of(peer) {
            of.failed = of.failed.saturating_add(times);
        }
    }
}

/// Whether a request that ended so is the fault of who was asked.
pub(super) fn is_fault(error: &FetchError) -> bool {
    match error {
        FetchError::Status(status) => *status >= 500,
        FetchError::Length { .. } | FetchError::Stalled(_) | FetchError::Client(_) => true,
        // What is corrupt was counted when it came.
        FetchError::Choked(_)
        | FetchError::Elsewhere(_)
        | FetchError::Missing
        | FetchError::Disk(_)
        | FetchError::Corrupt
        | FetchError::Revoked => false,
    }
}
