//! Details of transfers that do not run.
//!
//! An engine reports details while a transfer runs; what it said last stays in the snapshot when the
//! transfer stops. Peers that were connected then are not any more, and shown as they were they
//! would be a lie that stays on screen.

use std::sync::Arc;

use skep_engine::control::{PeerState, Snapshot, TransferDetail, TransferState};

/// The snapshot with the details of transfers at rest as they are now: nothing under way, nobody
/// connected, and of what was cancelled nothing at all. What was settled for `before` is used again,
/// so that what is derived from it holds.
pub fn settle(snapshot: Arc<Snapshot>, before: &Snapshot) -> Arc<Snapshot> {
    use TransferState as S;
    let state =
        |detail: &TransferDetail| snapshot.transfers.iter().find(|row| row.id == detail.id).map(|row| row.state);
    let resting = |state| matches!(state, Some(S::Queued | S::Paused | S::Done | S::Failed | S::Cancelled));
    if !snapshot.details.values().any(|detail| resting(state(detail))) {
        return snapshot;
    }
    let mut settled = Snapshot::clone(&snapshot);
    settled.details.retain(|_, detail| state(detail) != Some(S::Cancelled));
    for (id, detail) in settled.details.iter_mut().filter(|(_, detail)| resting(state(detail))) {
        let old = before.details.get(id).filter(|old| old.generation == detail.generation && is_at_rest(old));
        *detail = old.cloned().unwrap_or_else(|| Arc::new(at_rest(detail)));
    }
    Arc::new(settled)
}

fn is_at_rest(detail: &TransferDetail) -> bool {
    detail.in_flight.is_empty()
        && detail.availability.is_empty()
        && detail.peers.iter().all(|peer| peer.state != PeerState::Connected)
}

fn at_rest(detail: &TransferDetail) -> TransferDetail {
    let mut detail = TransferDetail { in_flight: Vec::new(), availability: Arc::default(), ..detail.clone() };
    for peer in &mut detail.peers {
        if peer.state == PeerState::Connected {
            peer.state = PeerState::Known;
        }
        (peer.rate_down, peer.rate_up, peer.active, peer.window) = (0, 0, 0, 0);
        (peer.choked_by_us, peer.optimistic, peer.interested) = (false, false, false);
        peer.rtt_ms = None;
        peer.in_flight.clear();
        peer.note.clear();
    }
    detail
}
