//! The order of the list of transfers.

use std::cmp::Ordering;

use skep_engine::control::{Direction, TransferRow, TransferState};

/// By what the list is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortKey {
    /// When it was added, oldest first.
    #[default]
    Added,
    /// When its turn comes: priority, then place in the queue.
    Queue,
    /// Name.
    Name,
    /// State: what needs a look first.
    State,
    /// Share done.
    Progress,
    /// Smoothed rate, fastest first.
    Rate,
    /// Time left, soonest first.
    TimeLeft,
    /// Size, largest first.
    Size,
}

impl SortKey {
    const ALL: [Self; 8] =
        [Self::Added, Self::Queue, Self::Name, Self::State, Self::Progress, Self::Rate, Self::TimeLeft, Self::Size];

    /// The next criterion.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|k| *k == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Its word on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Queue => "queue",
            Self::Name => "name",
            Self::State => "state",
            Self::Progress => "progress",
            Self::Rate => "rate",
            Self::TimeLeft => "time left",
            Self::Size => "size",
        }
    }

    /// True if it changes with every sample: such an order is refreshed only now and then, so that
    /// rows do not jump under the operator's eyes.
    pub const fn is_volatile(self) -> bool {
        matches!(self, Self::State | Self::Progress | Self::Rate | Self::TimeLeft)
    }

    /// Compares two rows; equal ones keep the order in which they were added.
    pub fn compare(self, a: &TransferRow, b: &TransferRow) -> Ordering {
        let by = match self {
            Self::Added => Ordering::Equal,
            Self::Queue => b.priority.cmp(&a.priority).then(a.rank.cmp(&b.rank)),
            Self::Name => a.name.cmp(&b.name),
            Self::State => urgency(a.state).cmp(&urgency(b.state)),
            Self::Progress => share(a).cmp(&share(b)),
            Self::Rate => smooth(b).cmp(&smooth(a)),
            Self::TimeLeft => a.eta_s.unwrap_or(u64::MAX).cmp(&b.eta_s.unwrap_or(u64::MAX)),
            Self::Size => b.size.cmp(&a.size),
        };
        by.then(a.id.cmp(&b.id))
    }
}

fn share(row: &TransferRow) -> u64 {
    if row.size == 0 { 0 } else { (u128::from(row.done) * 1_000_000 / u128::from(row.size)) as u64 }
}

fn smooth(row: &TransferRow) -> u64 {
    match row.direction {
        Direction::Down => row.smooth_down.saturating_add(row.smooth_up),
        Direction::Up => row.smooth_up,
    }
}

fn urgency(state: TransferState) -> u8 {
    match state {
        TransferState::Failed => 0,
        TransferState::Running => 1,
        TransferState::Starting | TransferState::Checking => 2,
        TransferState::Queued => 3,
        TransferState::Pausing | TransferState::Paused => 4,
        TransferState::Seeding => 5,
        TransferState::Done => 6,
        TransferState::Cancelled => 7,
    }
}
