//! The picture: the node's own map, the sources of what is missing, and a lane per peer.

use super::Shape;
use crate::console::derive::map::{LaneCell, MapCell, Worst};
use crate::console::glyphs::dots;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The glyph and meaning of a map cell. A cell with pieces under way has the colour of that, whatever
/// is missing in it.
pub fn look(canvas: &Canvas<'_>, cell: &MapCell) -> (&'static str, Token) {
    match cell.worst {
        Worst::Failed => (canvas.glyphs.failed, Token::MapFailed),
        Worst::Rare(sources) => (DIGITS[usize::from(sources.min(9))], Token::MapRare),
        Worst::Missing(eighths) => {
            let token = if cell.flight { Token::MapFlight } else { Token::MapMissing };
            (missing(canvas, eighths, cell.halves), token)
        }
        Worst::InFlight => (canvas.glyphs.flight, Token::MapFlight),
        Worst::Have => (canvas.glyphs.have, Token::MapHave),
    }
}

/// The glyph of a cell of which so many eighths are missing.
fn missing(canvas: &Canvas<'_>, eighths: u8, halves: [u8; 2]) -> &'static str {
    match canvas.glyphs.dots {
        // What is lit is here, and the colour tells that something is not.
        Some(dots) if halves != [0, 0] => dots[dots::columns(halves[0], halves[1])],
        _ => {
            canvas.glyphs.missing[match eighths {
                0..=2 => 0,
                3..=5 => 1,
                6..=7 => 2,
                _ => 3,
            }]
        }
    }
}

/// The node's own map.
pub fn own(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, context: Context<'_>) {
    for (at, cell) in context.derived.map.cells.iter().enumerate().take(shape.map_width.into()) {
        let (glyph, token) = look(canvas, cell);
        canvas.glyph(shape.map_x + at as u16, y, glyph, token);
    }
}

/// How many peers have the rarest missing piece of each cell: bars, or digits where there is one
/// piece per column.
pub fn sources(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, context: Context<'_>) {
    let map = &context.derived.map;
    canvas.text(shape.inner.x + 2, y, shape.map_x.saturating_sub(shape.inner.x + 3), "sources", Token::Muted);
    let exact = map.range.len() <= usize::from(shape.map_width);
    let top = u16::from(map.most_sources.max(1));
    for (at, cell) in map.cells.iter().enumerate().take(shape.map_width.into()) {
        let Some(sources) = cell.sources else { continue };
        let rare = matches!(cell.worst, Worst::Rare(_));
        let token = if rare { Token::MapRare } else { Token::Muted };
        let glyph = if exact {
            DIGITS.get(usize::from(sources)).copied().unwrap_or("+")
        } else if sources == 0 {
            "0"
        } else {
            canvas.glyphs.spark[usize::from((u16::from(sources) * 8 / top).clamp(1, 8))]
        };
        canvas.glyph(shape.map_x + at as u16, y, glyph, token);
    }
}

/// What a peer has.
pub fn peer(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, cells: &[LaneCell], faded: bool) {
    lane(canvas, shape, y, cells, if faded { Token::Faint } else { Token::Lane });
}

/// How much of something lies in each cell.
pub fn lane(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, cells: &[LaneCell], some: Token) {
    for (at, cell) in cells.iter().enumerate().take(shape.map_width.into()) {
        let x = shape.map_x + at as u16;
        if cell.flight {
            canvas.glyph(x, y, canvas.glyphs.lane_flight, Token::MapFlight);
        } else {
            let token = if cell.level == 0 { Token::Faint } else { some };
            let glyph = match canvas.glyphs.dots {
                // Three dots high at most, so that lanes stay apart.
                Some(dots) if cell.level > 0 => {
                    let [left, right] = cell.halves.map(|quarters| [0, 1, 2, 2, 3][usize::from(quarters.min(4))]);
                    dots[dots::columns(left, right)]
                }
                _ => canvas.glyphs.lane[usize::from(cell.level.min(5))],
            };
            canvas.glyph(x, y, glyph, token);
        }
    }
}
