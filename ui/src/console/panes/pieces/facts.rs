//! The exact numbers above the picture.

use std::fmt;

use skep_engine::control::TransferDetail;

use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Binary, Count, Percent};
use crate::console::widgets::text;

/// Writes facts one after another with dots between them, as long as there is room.
pub struct Line<'a, 'b> {
    canvas: &'a mut Canvas<'b>,
    x: u16,
    y: u16,
    end: u16,
    first: bool,
}

impl<'a, 'b> Line<'a, 'b> {
    /// An empty one.
    pub fn new(canvas: &'a mut Canvas<'b>, x: u16, y: u16, width: u16) -> Self {
        Self { canvas, x, y, end: x + width, first: true }
    }

    /// Writes another one behind those before.
    pub fn fact(&mut self, value: fmt::Arguments<'_>, token: Token) {
        // A fact that does not fit whole is left out: half a number is worse than none.
        let lead = if self.first { 0 } else { 3 };
        if text::width_of(value) + lead > usize::from(self.end.saturating_sub(self.x)) {
            return;
        }
        if !self.first {
            let dot = self.canvas.glyphs.dot;
            self.canvas.glyph(self.x + 1, self.y, dot, Token::Faint);
            self.x += 3;
        }
        self.first = false;
        self.x += self.canvas.left(self.x, self.y, self.end - self.x, value, token);
    }
}

/// Draws the line of facts.
pub fn draw(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, detail: &TransferDetail, context: Context<'_>) {
    let map = &context.derived.map;
    let mut line = Line::new(canvas, x, y, width);
    let (have, pieces) = (u64::from(map.have), u64::from(map.pieces));
    let percent = Percent { part: have, whole: pieces };
    line.fact(format_args!("{} of {} here ({percent})", Count(have), Count(pieces)), Token::Strong);
    if map.missing > 0 {
        line.fact(format_args!("{} missing", Count(map.missing.into())), Token::Text);
    }
    if map.failed > 0 {
        line.fact(format_args!("{} FAILED", Count(map.failed.into())), Token::MapFailed);
    }
    if map.in_flight > 0 {
        line.fact(format_args!("{} in flight", Count(map.in_flight.into())), Token::MapFlight);
    }
    match map.rarest {
        Some((0, count)) => {
            line.fact(format_args!("{} that NO peer has", Count(count.into())), Token::MapRare);
        }
        Some((sources, count)) => {
            let s = if sources == 1 { "" } else { "s" };
            line.fact(format_args!("rarest {} at {sources} peer{s}", Count(count.into())), Token::Text);
        }
        None => {}
    }
    let dead = detail.trackers.iter().filter(|t| t.error.is_some()).count();
    match detail.trackers.len() {
        0 => {}
        all if dead > 0 => line.fact(format_args!("{dead} of {all} trackers FAIL"), Token::Warn),
        1 => line.fact(format_args!("1 tracker"), Token::Muted),
        all => line.fact(format_args!("{all} trackers"), Token::Muted),
    }
    line.fact(format_args!("{} each", Binary(detail.piece_length)), Token::Muted);
}
