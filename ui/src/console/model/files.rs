//! The files of the selected content, in place of its peers.

use std::ops::Range;

use skep_engine::control::TransferDetail;

use super::transfers::scroll;
use crate::console::derive::map::count_ones;

/// Where the operator is among the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilesView {
    /// Files are shown instead of peers.
    pub shown: bool,
    /// The selected file.
    pub at: usize,
    /// First file on screen.
    pub top: usize,
}

impl FilesView {
    /// Moves the selection by some rows among `files`.
    pub fn move_by(&mut self, rows: isize, files: usize) {
        self.at = self.at.saturating_add_signed(rows).min(files.saturating_sub(1));
    }

    /// Scrolls so that the selected file is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, files: usize, page: usize) {
        self.at = self.at.min(files.saturating_sub(1));
        self.top = scroll(self.top, self.at, files, page);
    }
}

/// A file within the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its bytes, counted from the start of the content.
    pub bytes: Range<u64>,
    /// Pieces that hold any of them; empty for an empty file.
    pub pieces: Range<u32>,
}

/// Where file `at` lies: files follow one another without gaps.
pub fn place(detail: &TransferDetail, at: usize) -> Option<Place> {
    let size = detail.files.get(at)?.1;
    let start: u64 = detail.files[..at].iter().map(|(_, size)| size).sum();
    let length = detail.piece_length.max(1);
    let count = u64::from(detail.have.len());
    let first = (start / length).min(count) as u32;
    let end = if size == 0 { first } else { (start + size).div_ceil(length).min(count) as u32 };
    Some(Place { bytes: start..start + size, pieces: first..end.max(first) })
}

/// Bytes of a file that are here.
pub fn done(detail: &TransferDetail, place: &Place) -> u64 {
    let Place { bytes, pieces } = place;
    if pieces.is_empty() {
        return 0;
    }
    let length = detail.piece_length.max(1);
    let within = |piece: u32| {
        let start = u64::from(piece) * length;
        bytes.end.min(start + length).saturating_sub(bytes.start.max(start))
    };
    let have = |piece: u32| u64::from(detail.have.get(piece));
    let (first, last) = (pieces.start, pieces.end - 1);
    if first == last {
        return have(first) * within(first);
    }
    let middle = u64::from(count_ones(detail.have.as_bytes(), first + 1..last)) * length;
    have(first) * within(first) + middle + have(last) * within(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::content::Bitmap;
    use skep_engine::control::{Bits, TransferId};
    use std::sync::Arc;

    fn detail(files: &[u64], have: &[u32]) -> TransferDetail {
        let size: u64 = files.iter().sum();
        let mut bits = Bitmap::empty(size.div_ceil(10) as u32);
        for piece in have {
            bits.set(*piece);
        }
        TransferDetail {
            id: TransferId(1),
            generation: 1,
            piece_length: 10,
            have: Bits(Arc::new(bits)),
            in_flight: Vec::new(),
            failed: Vec::new(),
            availability: Arc::default(),
            peers: Vec::new(),
            trackers: Vec::new(),
            files: Arc::new(files.iter().map(|size| (String::new(), *size)).collect()),
            delta: None,
        }
    }

    #[test]
    fn files_share_the_pieces_at_their_ends() {
        // Bytes 0..25, nothing, 25..32, 32..72: pieces 0..3, 2..4 and 3..8.
        let detail = detail(&[25, 0, 7, 40], &[0, 2, 5]);
        let found = |at| {
            let place = place(&detail, at).unwrap();
            (place.pieces.clone(), done(&detail, &place))
        };
        assert_eq!(found(0), (0..3, 10 + 5));
        assert_eq!(found(1), (2..2, 0));
        assert_eq!(found(2), (2..4, 5));
        assert_eq!(found(3), (3..8, 10));
        assert_eq!(place(&detail, 4), None);
    }

    #[test]
    fn a_file_in_one_piece() {
        let detail = detail(&[3, 4, 30], &[0]);
        let place = place(&detail, 1).unwrap();
        assert_eq!((place.pieces.clone(), done(&detail, &place)), (0..1, 4));
    }

    #[test]
    fn the_selection_stays_among_the_files() {
        let mut view = FilesView::default();
        view.move_by(50, 3);
        assert_eq!(view.at, 2);
        view.keep_in_sight(2, 1);
        assert_eq!((view.at, view.top), (1, 1));
        view.move_by(-9, 0);
        assert_eq!(view.at, 0);
    }
}
