//! Where everything stands: a pure function of the model, so that `reduce` can ask it too (how many
//! rows make a page, what was clicked).

use ratatui::layout::Rect;

use crate::console::model::Model;
use crate::console::panes::PaneId;

/// Smallest screen with panes on it.
pub const MIN_SIZE: (u16, u16) = (40, 10);

/// Lines of a header with charts.
pub const TALL_HEADER: u16 = 4;

/// Areas of a frame. Panes touch but never overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The line on top, with charts below it on a large screen.
    pub header: Rect,
    /// Panes on screen, from top to bottom.
    pub panes: Vec<(PaneId, Rect)>,
    /// The line at the bottom.
    pub footer: Rect,
    /// Too small for panes: one line says so.
    pub tiny: bool,
}

impl Layout {
    /// The layout of a model.
    pub fn of(model: &Model) -> Self {
        let (width, height) = model.size;
        if width < MIN_SIZE.0 || height < MIN_SIZE.1 {
            let nothing = Rect::new(0, 0, 0, 0);
            return Self { header: nothing, panes: Vec::new(), footer: nothing, tiny: true };
        }
        // Charts of what the node moves, where nothing else needs the room.
        let header = if width >= 100 && height >= 40 { TALL_HEADER } else { 1 };
        let body = Rect::new(0, header, width, height - header - 1);
        let heights = match model.expanded {
            Some(pane) => vec![(pane, body.height)],
            None => {
                share(body.height, model.transfers.rows.len(), model.pieces.order.len(), model.focus, &model.hidden)
            }
        };
        let mut y = body.y;
        let mut panes = Vec::with_capacity(heights.len());
        for (id, height) in heights {
            panes.push((id, Rect::new(0, y, width, height)));
            y += height;
        }
        Self { header: Rect::new(0, 0, width, header), panes, footer: Rect::new(0, height - 1, width, 1), tiny: false }
    }

    /// The area of a pane, if it is on screen.
    pub fn area(&self, id: PaneId) -> Option<Rect> {
        self.panes.iter().find(|(pane, _)| *pane == id).map(|(_, area)| *area)
    }
}

/// Heights of the panes for so many transfers and peers. With little room the log goes first, then all
/// but the focused pane.
fn share(height: u16, transfers: usize, peers: usize, focus: PaneId, hidden: &[PaneId]) -> Vec<(PaneId, u16)> {
    use PaneId::{Log, Pieces, Transfers};
    let shown = |pane: PaneId| pane == focus || !hidden.contains(&pane);
    if height < 14 {
        return vec![(focus, height)];
    }
    let log = (height / 5).clamp(5, 14);
    match (shown(Transfers), shown(Pieces), shown(Log)) {
        (true, true, true) => {}
        (true, false, true) => return vec![(Transfers, height - log.max(height / 3)), (Log, log.max(height / 3))],
        (false, true, true) => return vec![(Pieces, height - log), (Log, log)],
        (true, true, false) => {
            let list = wanted(transfers).min(height / 2);
            return vec![(Transfers, list), (Pieces, height - list)];
        }
        (true, false, false) => return vec![(Transfers, height)],
        (false, true, false) => return vec![(Pieces, height)],
        (false, false, _) => return vec![(Log, height)],
    }
    let wanted = wanted(transfers);
    if height < 20 {
        let list = wanted.min(height / 2);
        // The log shares the lower half's place with the pieces: whichever has the focus.
        let lower = if focus == Log { Log } else { Pieces };
        return vec![(Transfers, list), (lower, height - list)];
    }
    let list = wanted.min((height - log) / 2);
    // So are the pieces, in steps of four peers, and a grid of all pieces below; the log has the rest.
    let pieces = (peers.clamp(4, 400) as u16).div_ceil(4) * 4 + 7 + 8;
    let pieces = pieces.min(height - log - list);
    vec![(Transfers, list), (Pieces, pieces), (Log, height - list - pieces)]
}

/// The list is as high as it needs in steps of three rows, so that it does not jump with every
/// transfer.
fn wanted(transfers: usize) -> u16 {
    (transfers.min(100) as u16).div_ceil(3).max(1) * 3 + 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn panes_fill_the_body_and_none_is_empty(height in 8u16..300, transfers in 0usize..2000, peers in 0usize..5000, focus in 0usize..3, hidden in proptest::collection::vec(0usize..3, 0..3)) {
            let focus = PaneId::ALL[focus];
            let hidden: Vec<PaneId> = hidden.into_iter().map(|at| PaneId::ALL[at]).collect();
            let panes = share(height, transfers, peers, focus, &hidden);
            prop_assert_eq!(panes.iter().map(|p| p.1).sum::<u16>(), height);
            prop_assert!(panes.iter().all(|p| p.1 >= 5));
            prop_assert!(panes.iter().all(|p| p.0 == focus || !hidden.contains(&p.0)));
            prop_assert!(panes.iter().any(|p| p.0 == focus), "the pane with the keys is on screen");
        }
    }
}
