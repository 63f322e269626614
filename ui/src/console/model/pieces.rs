//! Where the operator is in the map of pieces and the list of peers.

use std::ops::Range;

use skep_engine::control::{PeerRow, TransferId};

use super::transfers::scroll;

/// How long the order of peers stands before it is made anew.
const RESORT_MS: u64 = 5_000;

/// How much of the content the map shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zoom {
    /// All pieces.
    #[default]
    Whole,
    /// A tenth of them.
    Tenth,
    /// One piece per column.
    Exact,
    /// The pieces of one file.
    File,
}

impl Zoom {
    /// The next closer one, then all again.
    pub const fn next(self) -> Self {
        match self {
            Self::Whole => Self::Tenth,
            Self::Tenth => Self::Exact,
            Self::Exact | Self::File => Self::Whole,
        }
    }

    /// Its word on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "all pieces",
            Self::Tenth => "a tenth",
            Self::Exact => "exact",
            Self::File => "one file",
        }
    }
}

/// The Pieces pane's view of the selected transfer.
#[derive(Debug, Clone, Default)]
pub struct PiecesView {
    /// Zoom of the map.
    pub zoom: Zoom,
    /// First piece of a zoomed map.
    pub start: u32,
    /// Pieces of the file that the map shows.
    pub file: Range<u32>,
    /// Of which transfer the order below is.
    of: Option<TransferId>,
    /// Indices into the detail's peers, in the order shown.
    pub order: Vec<usize>,
    /// Endpoints in the order shown.
    names: Vec<String>,
    /// The selected peer.
    pub selected: Option<String>,
    /// First peer on screen.
    pub top: usize,
    sorted_ms: u64,
}

impl PiecesView {
    /// The pieces that the map shows, of `pieces` in all, on `width` columns.
    pub fn range(&self, pieces: u32, width: u16) -> Range<u32> {
        let span = match self.zoom {
            Zoom::Whole => return 0..pieces,
            Zoom::File => {
                let end = self.file.end.clamp(1.min(pieces), pieces);
                return self.file.start.min(end.saturating_sub(1))..end;
            }
            Zoom::Tenth => (pieces / 10).max(u32::from(width)),
            Zoom::Exact => u32::from(width),
        }
        .clamp(1, pieces.max(1));
        let start = self.start.min(pieces - span.min(pieces));
        start..(start + span).min(pieces)
    }

    /// Takes the peers of a snapshot: the engine's order (best first) is taken over now and then
    /// only, so that rows do not jump.
    pub fn refresh(&mut self, id: TransferId, peers: &[PeerRow], now_ms: u64) {
        let same = self.of == Some(id);
        if !same {
            self.of = Some(id);
            self.selected = None;
            self.top = 0;
            self.start = 0;
            if self.zoom == Zoom::File {
                self.zoom = Zoom::Whole;
            }
        }
        let kept = same && now_ms.saturating_sub(self.sorted_ms) < RESORT_MS;
        if kept && self.holds(peers) {
            return;
        }
        if kept {
            let known: std::collections::HashMap<&str, usize> =
                self.names.iter().enumerate().map(|(n, name)| (name.as_str(), n)).collect();
            let mut order: Vec<usize> = (0..peers.len()).collect();
            order.sort_by_key(|at| known.get(peers[*at].endpoint.as_str()).copied().unwrap_or(usize::MAX));
            self.order = order;
        } else {
            self.sorted_ms = now_ms;
            self.order = (0..peers.len()).collect();
        }
        if !self.holds(peers) {
            self.names = self.order.iter().map(|at| peers[*at].endpoint.clone()).collect();
        }
    }

    /// True if every peer is still where the order says.
    fn holds(&self, peers: &[PeerRow]) -> bool {
        let is = |(at, name): (&usize, &String)| peers.get(*at).is_some_and(|p| p.endpoint == *name);
        self.names.len() == peers.len() && self.order.len() == peers.len() && self.order.iter().zip(&self.names).all(is)
    }

    /// Forgets the peers, because no transfer is selected or its details are not there yet.
    pub fn clear(&mut self) {
        self.of = None;
        self.order.clear();
        self.names.clear();
    }

    /// Place of the selected peer.
    pub fn place(&self) -> Option<usize> {
        let name = self.selected.as_deref()?;
        self.names.iter().position(|n| n == name)
    }

    /// Selects the peer at a place, or the last.
    pub fn select(&mut self, place: usize) {
        self.selected = self.names.get(place.min(self.names.len().saturating_sub(1))).cloned();
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, rows: isize) {
        match self.place() {
            Some(place) => self.select(place.saturating_add_signed(rows)),
            None => self.select(0),
        }
    }

    /// Scrolls so that the selected peer is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, page: usize) {
        self.top = scroll(self.top, self.place().unwrap_or(0), self.order.len(), page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peers(names: &[&str]) -> Vec<PeerRow> {
        names.iter().map(|n| PeerRow { endpoint: (*n).to_owned(), ..PeerRow::default() }).collect()
    }

    #[test]
    fn peers_do_not_jump() {
        let mut view = PiecesView::default();
        view.refresh(TransferId(1), &peers(&["a", "b", "c"]), 0);
        view.select(1);
        view.refresh(TransferId(1), &peers(&["c", "d", "b"]), 1_000);
        assert_eq!(view.names, ["b", "c", "d"]);
        assert_eq!(view.place(), Some(0));
        view.refresh(TransferId(1), &peers(&["c", "d", "b"]), 6_000);
        assert_eq!(view.names, ["c", "d", "b"]);
        assert_eq!(view.selected.as_deref(), Some("b"));
    }

    proptest! {
        #[test]
        fn a_range_is_never_empty_nor_outside(pieces in 0u32..2_000_000, width in 0u16..400, start in any::<u32>(), end in any::<u32>(), zoom in 0..4) {
            let zoom = [Zoom::Whole, Zoom::Tenth, Zoom::Exact, Zoom::File][zoom as usize];
            let range = PiecesView { zoom, start, file: start..end, ..PiecesView::default() }.range(pieces, width);
            prop_assert!(range.end <= pieces && (pieces == 0 || range.start < range.end));
        }
    }
}
