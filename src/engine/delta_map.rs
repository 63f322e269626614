//! What was found of a file and what is sent, as details show it.

use std::sync::Arc;

use crate::content::Bitmap;
use crate::control::{Bits, DeltaMap, TransferDetail, TransferId};
use crate::delta::coverage::{Coverage, What};

/// The map that viewers get.
pub(super) fn map_of(coverage: &Coverage) -> DeltaMap {
    let shares = |what| Arc::new(coverage.shares(what));
    DeltaMap {
        size: coverage.size(),
        cell: coverage.cell(),
        matched: shares(What::Matched),
        literal: shares(What::Literal),
        sent: shares(What::Sent),
        matched_bytes: coverage.bytes(What::Matched),
        literal_bytes: coverage.bytes(What::Literal),
        sent_bytes: coverage.bytes(What::Sent),
    }
}

/// Details of a delta: a piece is a cell of its map, and those that will not be sent, or were, are here.
pub(super) fn detail_of(id: TransferId, name: &str, coverage: &Coverage) -> TransferDetail {
    let map = map_of(coverage);
    let mut have = Bitmap::empty(map.len() as u32);
    for at in coverage.settled() {
        have.set(at as u32);
    }
    TransferDetail {
        id,
        generation: crate::clock::unix_ms(),
        piece_length: map.cell,
        have: Bits(Arc::new(have)),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::new(vec![(name.to_owned(), map.size)]),
        delta: Some(Arc::new(map)),
    }
}
