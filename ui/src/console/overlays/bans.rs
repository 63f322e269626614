//! Banned peers, with a way to lift a ban.

use ratatui::layout::Rect;

use super::{centered, window};
use crate::console::model::overlay::BansView;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::Seconds;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &BansView, context: Context<'_>) {
    let model = context.model;
    let bans = &model.snapshot.bans;
    let height = bans.len().clamp(1, 20) as u16 + 3;
    let area = centered(canvas, 96, height);
    let inner = window(canvas, area, "Banned peers", "u lifts a ban, Esc closes");
    if bans.is_empty() {
        canvas.text(inner.x, inner.y, inner.width, "no peer is banned", Token::Muted);
    } else {
        canvas.text(inner.x + 2, inner.y, 22, "PEER", Token::Heading);
        canvas.text(inner.x + 26, inner.y, 7, "LEFT", Token::Heading);
        canvas.text(inner.x + 34, inner.y, inner.width.saturating_sub(34), "WHY", Token::Heading);
    }
    let rows = usize::from(inner.height.saturating_sub(1));
    let at = view.at.min(bans.len().saturating_sub(1));
    let top = (at + 1).saturating_sub(rows);
    for (row, ban) in bans.iter().enumerate().skip(top).take(rows) {
        let y = inner.y + 1 + (row - top) as u16;
        canvas.text(inner.x + 2, y, 23, &ban.peer, Token::Text);
        let left = ban.until_ms.saturating_sub(model.moment_ms()) / 1000;
        canvas.left(inner.x + 26, y, 7, format_args!("{}", Seconds(left)), Token::Muted);
        let x = inner.x + 34;
        canvas.text(x, y, inner.right().saturating_sub(x), &ban.reason, Token::Text);
    }
    canvas.wash(area, Token::Overlay);
    if !bans.is_empty() {
        let y = inner.y + 1 + (at - top) as u16;
        canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        canvas.wash(Rect::new(inner.x, y, inner.width, 1), Token::Selected);
    }
}
