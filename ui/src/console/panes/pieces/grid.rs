//! Where the peers leave room: every piece of the content in reading order, many rows of them.
//!
//! ```text
//! ── 5,723 pieces, up to 13 per cell: the worst shows ─────────────────────────
//! ██████████████████████████████▒███████████████████████████████████▓█████████
//! ███████████████████▸▸▸▸▸▸··················································
//! ```

use ratatui::layout::Rect;

use super::{Shape, lanes};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::Count;

/// Peers that room is kept for come in steps, so that the grid does not move with every one.
const STEP: usize = 2;
/// Fewer rows of cells are not worth their heading.
const MIN_ROWS: usize = 2;

/// Where the cells go, if there is room for them beside so many peers. Above them a line is free for
/// the heading, and blank ones above that and below.
pub fn area(shape: &Shape, peers: usize, pieces: u32) -> Option<Rect> {
    let used = peers.max(1).div_ceil(STEP) * STEP;
    let rows = shape.peer_rows.checked_sub(used + 3)?;
    let width = shape.inner.width.saturating_sub(3);
    if rows < MIN_ROWS || width == 0 || pieces == 0 {
        return None;
    }
    let rows = rows.min(pieces.div_ceil(width.into()) as usize) as u16;
    Some(Rect::new(shape.inner.x + 2, shape.peers_y() + used as u16 + 2, width, rows))
}

/// How many cells there are: one per piece, or as many as fit.
pub fn cells(area: Rect, pieces: u32) -> u16 {
    pieces.min(u32::from(area.width) * u32::from(area.height)).min(u16::MAX.into()) as u16
}

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, shape: &Shape, peers: usize, context: Context<'_>) {
    let grid = &context.derived.grid;
    let Some(area) = area(shape, peers, grid.pieces) else { return };
    let most = grid.pieces.div_ceil((grid.cells.len() as u32).max(1));
    let (y, pieces) = (area.y - 1, Count(grid.pieces.into()));
    let used = if most > 1 {
        let text = format_args!("{pieces} pieces, up to {most} per cell: the worst shows ");
        canvas.left(area.x, y, area.width, text, Token::Muted)
    } else {
        canvas.left(area.x, y, area.width, format_args!("{pieces} pieces, one per cell "), Token::Muted)
    };
    canvas.rule(area.x + used, y, area.width - used, Token::Border);
    for (at, cell) in grid.cells.iter().enumerate() {
        let (row, column) = (at / usize::from(area.width), at % usize::from(area.width));
        if row >= usize::from(area.height) {
            return;
        }
        let (glyph, token) = match lanes::look(canvas, cell) {
            // So much of what is well would be loud.
            (glyph, Token::MapHave) => (glyph, Token::Lane),
            other => other,
        };
        canvas.glyph(area.x + column as u16, area.y + row as u16, glyph, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::model::pieces::Zoom;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_grid_stays_between_the_peers_and_the_note(
            width in 0u16..300, height in 0u16..100, peers in 0usize..60, pieces in 0u32..200_000
        ) {
            let shape = Shape::of(Rect::new(3, 5, width, height), Zoom::Whole);
            if let Some(grid) = area(&shape, peers, pieces) {
                prop_assert!(usize::from(grid.y) >= usize::from(shape.peers_y()) + peers + 2);
                prop_assert!(grid.bottom() <= shape.inner.bottom() - u16::from(shape.note));
                prop_assert!(grid.right() <= shape.inner.right());
                let cells = u32::from(cells(grid, pieces));
                prop_assert!(cells <= pieces && cells <= u32::from(grid.width) * u32::from(grid.height));
                prop_assert!(cells > u32::from(grid.width) * u32::from(grid.height - 1), "no row is empty");
            }
        }
    }
}
