//! The border of a pane with its title: thin, calm, and bright only where the keys go.

use std::fmt;

use ratatui::layout::Rect;

use super::{Canvas, text};
use crate::console::theme::Token;

/// Draws a border with a title at the left and a remark at the right of its top line, and gives
/// the area inside.
///
/// ```text
/// ╭ 1 Transfers ─ 12 · 4 running ──────────────── sorted by rate ╮
/// ```
pub fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    title: &str,
    focused: bool,
    facts: fmt::Arguments<'_>,
    remark: fmt::Arguments<'_>,
) -> Rect {
    if area.width < 2 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    let (border, name) = if focused { (Token::BorderFocus, Token::TitleFocus) } else { (Token::Border, Token::Title) };
    outline(canvas, area, border);
    let right = area.right() - 1;
    let mut x = area.x + 2;
    x += canvas.left(x, area.y, right.saturating_sub(x), format_args!(" {title} "), name);
    let facts_at = x + 1;
    let used = canvas.left(facts_at, area.y, right.saturating_sub(facts_at + 1), format_args!("{facts}"), Token::Muted);
    if used > 0 {
        canvas.text(x, area.y, 1, " ", Token::Muted);
        canvas.text(facts_at + used, area.y, 1, " ", Token::Muted);
        x = facts_at + used + 1;
    }
    let room = right.saturating_sub(x + 3);
    let wanted = text::width_of(remark);
    if wanted > 0 && wanted + 2 <= usize::from(room) {
        let width = wanted as u16 + 2;
        canvas.left(right - 1 - width, area.y, width, format_args!(" {remark} "), Token::Muted);
    }
    Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
}

/// A border alone.
pub fn outline(canvas: &mut Canvas<'_>, area: Rect, token: Token) {
    if area.width < 2 || area.height < 2 {
        return;
    }
    let [top_left, top_right, bottom_left, bottom_right, _, vertical] = canvas.glyphs.border;
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    canvas.rule(area.x + 1, area.y, area.width - 2, token);
    canvas.rule(area.x + 1, bottom, area.width - 2, token);
    for y in area.y + 1..bottom {
        canvas.glyph(area.x, y, vertical, token);
        canvas.glyph(right, y, vertical, token);
    }
    canvas.glyph(area.x, area.y, top_left, token);
    canvas.glyph(right, area.y, top_right, token);
    canvas.glyph(area.x, bottom, bottom_left, token);
    canvas.glyph(right, bottom, bottom_right, token);
}
