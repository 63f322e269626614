//! What a sync or a delta is about, and where in a file it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A kind of work; several go on at once where they overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looks at the tree here.
    #[default]
    Scanning,
    /// Looks for what differs there.
    Comparing,
    /// Signatures of the old file come.
    Signatures,
    /// The new file is searched for what the old one has.
    Matching,
    /// Bytes go over the wire.
    Sending,
    /// The new file is put together.
    Patching,
    /// Names, modes and times are put in order.
    Settling,
}

impl Phase {
    /// Its name as it is on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scanning => "scanning",
            Self::Comparing => "comparing",
            Self::Signatures => "signatures",
            Self::Matching => "matching",
            Self::Sending => "sending",
            Self::Patching => "patching",
            Self::Settling => "settling",
        }
    }

    /// What it counts is entries of a tree, not bytes.
    pub fn counts_entries(self) -> bool {
        matches!(self, Self::Scanning | Self::Comparing | Self::Settling)
    }
}

/// How far one kind of work is: bytes, or entries of a tree ([`Phase::counts_entries`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseRow {
    /// Which.
    pub phase: Phase,
    /// It goes on now.
    pub active: bool,
    /// So far.
    pub done: u64,
    /// In all; 0: not known.
    pub total: u64,
    /// Per second, smoothed; of what is over, its mean. 0: not measured.
    pub rate: u64,
}

impl PhaseRow {
    /// One that goes on.
    pub fn at(phase: Phase, done: u64, total: u64) -> Self {
        Self { phase, active: true, done, total, rate: 0 }
    }

    /// Puts it among others, which stay in the order of their work; takes the place of an older one of its kind.
    pub fn put(self, rows: &mut Vec<Self>) {
        match rows.binary_search_by_key(&self.phase, |row| row.phase) {
            Ok(at) => rows[at] = self,
            Err(at) => rows.insert(at, self),
        }
    }

    /// Nothing of it goes on any more.
    pub fn rest(rows: &mut [Self]) {
        rows.iter_mut().for_each(|row| row.active = false);
    }
}

/// Most cells of a [`DeltaMap`].
pub const MAX_CELLS: usize = 1_024;

/// Where in a new file what the old one has was found, and what is sent: a cell stands for a stretch of the file. Each cell says
/// three times how much of it: 0 is nothing, 255 is all, and what lies between is never told as either. What was neither found nor
/// is to be sent is not known yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaMap {
    /// Bytes of the new file.
    pub size: u64,
    /// Bytes per cell; the last may have fewer.
    pub cell: u64,
    /// Found in the old file. In base64, as the others.
    #[serde(with = "super::detail::base64_bytes")]
    pub matched: Arc<Vec<u8>>,
    /// To be sent, or sent.
    #[serde(with = "super::detail::base64_bytes")]
    pub literal: Arc<Vec<u8>>,
    /// Sent.
    #[serde(with = "super::detail::base64_bytes")]
    pub sent: Arc<Vec<u8>>,
    /// Bytes found.
    pub matched_bytes: u64,
    /// Bytes to be sent, or sent.
    pub literal_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

impl DeltaMap {
    /// Cells.
    pub fn len(&self) -> usize {
        self.matched.len()
    }

    /// True for an empty file.
    pub fn is_empty(&self) -> bool {
        self.matched.is_empty()
    }

    /// Bytes of which nothing is known yet.
    pub fn unknown_bytes(&self) -> u64 {
        self.size.saturating_sub(self.matched_bytes).saturating_sub(self.literal_bytes)
    }

    /// True if it is one that a node could have made: what comes from outside is looked at first.
    pub fn is_sound(&self) -> bool {
        let cells = self.len();
        let fits = u128::from(self.cell) * cells as u128 >= u128::from(self.size);
        cells <= MAX_CELLS && self.literal.len() == cells && self.sent.len() == cells && fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_stay_in_order_and_are_told_once() {
        let mut rows = Vec::new();
        for (phase, done) in [(Phase::Sending, 1), (Phase::Signatures, 2), (Phase::Sending, 3), (Phase::Patching, 4)] {
            PhaseRow::at(phase, done, 9).put(&mut rows);
        }
        let told: Vec<_> = rows.iter().map(|row| (row.phase.name(), row.done)).collect();
        assert_eq!(told, [("signatures", 2), ("sending", 3), ("patching", 4)]);
        PhaseRow::rest(&mut rows);
        assert!(rows.iter().all(|row| !row.active));
    }

    #[test]
    fn a_map_from_outside_is_looked_at_first() {
        let bytes = |n| Arc::new(vec![0; n]);
        let map = |matched, literal, sent, cell| DeltaMap {
            size: 100,
            cell,
            matched: bytes(matched),
            literal: bytes(literal),
            sent: bytes(sent),
            ..DeltaMap::default()
        };
        assert!(map(10, 10, 10, 10).is_sound() && DeltaMap::default().is_sound());
        assert!(!map(10, 9, 10, 10).is_sound() && !map(10, 10, 0, 10).is_sound() && !map(9, 9, 9, 10).is_sound());
        assert!(!map(MAX_CELLS + 1, MAX_CELLS + 1, MAX_CELLS + 1, 10).is_sound());
    }
}
