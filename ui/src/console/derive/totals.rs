//! Sums over all transfers, for the heading of the list and for terminals too small for it.

use skep_engine::control::{Snapshot, TransferState};

use super::status::is_stalled;

/// Counts and sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transfers in all.
    pub all: usize,
    /// Running, stalled ones not counted.
    pub running: usize,
    /// Running without a byte.
    pub stalled: usize,
    /// Waiting, starting or checking.
    pub waiting: usize,
    /// Paused or about to be.
    pub paused: usize,
    /// Serving others.
    pub seeding: usize,
    /// Complete and no longer serving.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped for good.
    pub cancelled: usize,
    /// Bytes still to come of those that run or wait.
    pub left: u64,
    /// Bytes of those that run or wait.
    pub size: u64,
}

impl Totals {
    /// Sums of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        use TransferState as S;
        let mut totals = Self { all: snapshot.transfers.len(), ..Self::default() };
        for row in &snapshot.transfers {
            let count = match row.state {
                S::Running if is_stalled(row) => &mut totals.stalled,
                S::Running => &mut totals.running,
                S::Queued | S::Starting | S::Checking => &mut totals.waiting,
                S::Pausing | S::Paused => &mut totals.paused,
                S::Seeding => &mut totals.seeding,
                S::Done => &mut totals.done,
                S::Cancelled => &mut totals.cancelled,
                S::Failed => &mut totals.failed,
            };
            *count += 1;
            if matches!(row.state, S::Running | S::Queued | S::Starting) {
                totals.size = totals.size.saturating_add(row.size);
                totals.left = totals.left.saturating_add(row.size.saturating_sub(row.done));
            }
        }
        totals
    }

    /// Transfers that move or are about to move bytes.
    pub fn active(&self) -> usize {
        self.running + self.stalled + self.waiting
    }
}
