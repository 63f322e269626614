//! A terminal too small for panes: one clear line.

use super::Context;
use crate::console::theme::Token;
use crate::console::view::layout::MIN_SIZE;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::Rate;

/// Draws what matters most on one line.
pub fn draw(canvas: &mut Canvas<'_>, context: Context<'_>) {
    let area = canvas.area();
    if area.is_empty() {
        return;
    }
    let (model, totals) = (context.model, &context.derived.totals);
    let (mut x, y) = (area.x, area.y + area.height / 2);
    let room = |x: u16| area.right().saturating_sub(x);
    if model.travel.past.is_some() {
        x += canvas.text(x, y, room(x), "PAST ", Token::BadgeLost);
    }
    if model.data_age_ms().is_some() {
        x += canvas.text(x, y, room(x), "LOST ", Token::BadgeLost);
    }
    if totals.failed + totals.stalled > 0 {
        let trouble = totals.failed + totals.stalled;
        x += canvas.left(x, y, room(x), format_args!("{}{trouble} ", canvas.glyphs.error), Token::Error);
    }
    x += canvas.left(x, y, room(x), format_args!("{}{} ", canvas.glyphs.running, totals.running), Token::Running);
    let [down, up] = canvas.glyphs.arrows;
    let node = &model.snapshot.node;
    x += canvas.left(x, y, room(x), format_args!("{down}{} ", Rate(node.rate_down)), Token::Down);
    x += canvas.left(x, y, room(x), format_args!("{up}{} ", Rate(node.rate_up)), Token::Up);
    let (columns, rows) = MIN_SIZE;
    canvas.left(x, y, room(x), format_args!("(needs {columns}x{rows})"), Token::Muted);
}
