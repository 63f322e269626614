//! The file that a delta makes: what of it was found in the old one, what is sent, and what is not known yet.
//!
//! ```text
//! │ 61.2 of 64.0 MB found there (95%) · 2.80 MB sent · 4 rounds · 95.4% saved │
//! │ PART           0                  64 MB  SHARE     BYTES                  │
//! │ new file       ████▂████████▅██▸▸▒▒····         64.0 MB                   │
//! │ signatures 100% · matching 62% 310 MB/s                                   │
//! │ in the old one ▅▅▅▅▄▅▅▅▅▅▅▅▅ ▅▅             95%  61.2 MB                   │
//! │ sent               ▁        ▅                4%  2.80 MB                  │
//! ```

use ratatui::layout::Rect;
use skep_engine::control::{DeltaMap, TransferDetail, TransferRow};

use super::facts::Line;
use super::{Cell, Shape, grid, lanes};
use crate::console::derive::delta::{Mark, Part};
use crate::console::derive::phases::Share;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Binary, Bytes, Count, Percent};

/// The heading of a column.
pub fn title(key: Cell) -> &'static str {
    match key {
        Cell::Peer => "PART",
        Cell::Gives => "SHARE",
        Cell::Down => "BYTES",
        _ => "",
    }
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Matched => "found there",
        Part::Sent => "sent",
        Part::ToSend => "to be sent",
        Part::Unknown => "not known yet",
    }
}

/// The exact numbers.
pub fn facts(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &TransferRow, map: &DeltaMap) {
    let mut line = Line::new(canvas, x, y, width);
    let percent = Percent { part: map.matched_bytes, whole: map.size };
    line.fact(
        format_args!("{} of {} found there ({percent})", Bytes(map.matched_bytes), Bytes(map.size)),
        Token::Strong,
    );
    if map.sent_bytes > 0 {
        line.fact(format_args!("{} sent", Bytes(map.sent_bytes)), Token::Up);
    }
    let unsent = Part::ToSend.bytes(map);
    if unsent > 0 {
        line.fact(format_args!("{} to be sent", Bytes(unsent)), Token::MapFlight);
    }
    if map.unknown_bytes() > 0 {
        line.fact(format_args!("{} not known yet", Bytes(map.unknown_bytes())), Token::Text);
    }
    if let Some(delta) = &row.delta {
        if let Some(saved) = delta.savings_percent {
            line.fact(format_args!("{saved:.1}% saved"), Token::Done);
        }
        if delta.rounds > 0 {
            let s = if delta.rounds == 1 { "" } else { "s" };
            line.fact(format_args!("{} round{s} of signatures", delta.rounds), Token::Muted);
        }
    }
    line.fact(format_args!("{} per stretch", Binary(map.cell)), Token::Muted);
}

/// Glyph and meaning of a cell.
fn look(canvas: &Canvas<'_>, mark: Mark) -> (&'static str, Token) {
    match mark {
        Mark::Matched => (canvas.glyphs.have, Token::MapHave),
        Mark::Sent(level) => (canvas.glyphs.lane[usize::from(level.clamp(1, 5))], Token::Up),
        Mark::ToSend => (canvas.glyphs.flight, Token::MapFlight),
        Mark::Unknown(eighths) => {
            let density = match eighths {
                0..=2 => 0,
                3..=5 => 1,
                6..=7 => 2,
                _ => 3,
            };
            (canvas.glyphs.missing[density], Token::MapMissing)
        }
    }
}

/// The file as a whole, and what is done to it.
pub fn own(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, map: &DeltaMap, context: Context<'_>) {
    for place in &shape.columns {
        let (x, width) = (shape.inner.x + 2 + place.x, place.width);
        match place.key {
            Cell::Peer => {
                canvas.text(x, y, width, "new file", Token::Strong);
            }
            Cell::Down => {
                canvas.right(x, y, width, format_args!("{}", Bytes(map.size)), Token::Text);
            }
            _ => {}
        }
    }
    for (at, mark) in context.derived.delta.marks.iter().enumerate().take(shape.map_width.into()) {
        let (glyph, token) = look(canvas, *mark);
        canvas.glyph(shape.map_x + at as u16, y, glyph, token);
    }
}

/// Its phases, in one line.
pub fn phases(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, row: &TransferRow) {
    let (x, width) = (shape.inner.x + 2, shape.inner.width.saturating_sub(3));
    let mut line = Line::new(canvas, x, y, width);
    for phase in &row.phases {
        let token = if phase.active { Token::Running } else { Token::Muted };
        line.fact(format_args!("{}", Share(phase)), token);
    }
}

/// A share to a tenth of a percent: what is sent is little. Never 0 or 100 for what lies between.
struct Tenths(u64, u64);

impl std::fmt::Display for Tenths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(part, whole) = *self;
        match part as f64 * 100.0 / whole.max(1) as f64 {
            _ if part == 0 => f.write_str("0%"),
            _ if part >= whole => f.write_str("100%"),
            percent => write!(f, "{:.1}%", percent.clamp(0.1, 99.9)),
        }
    }
}

/// A lane for each part.
pub fn rows(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, map: &DeltaMap, context: Context<'_>) {
    for (line, part) in Part::ALL.into_iter().enumerate().take(shape.peer_rows) {
        let (y, bytes) = (y + line as u16, part.bytes(map));
        let token = if bytes > 0 { Token::Text } else { Token::Faint };
        if let Some(cells) = context.derived.delta.lanes.get(line) {
            // As in the file above.
            let some = match part {
                Part::Matched => Token::Lane,
                Part::Sent => Token::Up,
                Part::ToSend => Token::MapFlight,
                Part::Unknown => Token::MapMissing,
            };
            lanes::lane(canvas, shape, y, cells, some);
        }
        for place in &shape.columns {
            let (x, width) = (shape.inner.x + 2 + place.x, place.width);
            match place.key {
                Cell::Peer => {
                    canvas.text(x, y, width, name(part), token);
                }
                Cell::Gives => {
                    canvas.right(x, y, width, format_args!("{}", Tenths(bytes, map.size)), token);
                }
                Cell::Down => {
                    canvas.right(x, y, width, format_args!("{}", Bytes(bytes)), token);
                }
                _ => {}
            }
        }
    }
}

/// Where there is room: every stretch in reading order.
pub fn grid(canvas: &mut Canvas<'_>, shape: &Shape, detail: &TransferDetail, map: &DeltaMap, context: Context<'_>) {
    let marks = &context.derived.delta_grid.marks;
    let Some(area) = grid::area(shape, Part::ALL.len(), detail.have.len()) else { return };
    let (y, cells) = (area.y - 1, map.len() as u64);
    let per = cells.div_ceil((marks.len() as u64).max(1));
    let used = if per > 1 {
        let text = format_args!("{} stretches, up to {per} per cell: the worst shows ", Count(cells));
        canvas.left(area.x, y, area.width, text, Token::Muted)
    } else {
        let text = format_args!("{} stretches of {}, one per cell ", Count(cells), Binary(map.cell));
        canvas.left(area.x, y, area.width, text, Token::Muted)
    };
    canvas.rule(area.x + used, y, area.width - used, Token::Border);
    for (at, mark) in marks.iter().enumerate() {
        let (row, column) = (at / usize::from(area.width), at % usize::from(area.width));
        if row >= usize::from(area.height) {
            return;
        }
        let (glyph, token) = match look(canvas, *mark) {
            // So much of what is well would be loud.
            (glyph, Token::MapHave) => (glyph, Token::Lane),
            other => other,
        };
        canvas.glyph(area.x + column as u16, area.y + row as u16, glyph, token);
    }
}

/// What the glyphs mean.
pub fn legend(canvas: &mut Canvas<'_>, shape: &Shape) {
    let (x, y) = (shape.inner.x + 2, shape.inner.bottom() - 1);
    let end = Rect::new(x, y, shape.inner.width.saturating_sub(3), 1).right();
    let glyphs = canvas.glyphs;
    let [_, some, .., all] = glyphs.lane;
    let entries: [(&[&'static str], &str, Token); 4] = [
        (&[glyphs.have], "found in the old file", Token::MapHave),
        (&[some, all], "some to all sent", Token::Up),
        (&[glyphs.flight], "to be sent", Token::MapFlight),
        (&glyphs.missing, "some to all not known yet", Token::MapMissing),
    ];
    super::legend(canvas, x, y, end, &entries);
}
