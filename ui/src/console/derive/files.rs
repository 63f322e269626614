//! The files on screen, each with what is here of it on the scale of the map.

use std::ops::Range;
use std::sync::Arc;

use skep_engine::content::Bitmap;
use skep_engine::control::{Bits, PeerRow, TransferDetail};

use super::map::{self, LaneCell};
use crate::console::model::files;

/// A file on screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Index into the detail's files.
    pub at: usize,
    /// Pieces that hold any of it.
    pub pieces: Range<u32>,
    /// Bytes of it that are here.
    pub done: u64,
    /// What is here of its pieces.
    pub cells: Vec<LaneCell>,
}

/// Rows for `count` files from `top` on, over the pieces of `range` on `width` cells.
pub fn rows(detail: &TransferDetail, top: usize, count: usize, range: &Range<u32>, width: u16) -> Vec<FileRow> {
    let rows = (top..detail.files.len()).take(count).filter_map(|at| {
        let place = files::place(detail, at)?;
        let done = files::done(detail, &place);
        let mut here = Bitmap::empty(detail.have.len());
        for piece in place.pieces.clone().filter(|piece| detail.have.get(*piece)) {
            here.set(piece);
        }
        let in_flight = detail.in_flight.iter().copied().filter(|piece| place.pieces.contains(piece)).collect();
        let lane = PeerRow { have: Some(Bits(Arc::new(here))), in_flight, ..PeerRow::default() };
        let mut cells = Vec::new();
        map::lane(&lane, range.clone(), width, &mut cells);
        Some(FileRow { at, pieces: place.pieces, done, cells })
    });
    rows.collect()
}
