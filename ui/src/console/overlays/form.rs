//! Fields with what is wrong or well about each below it.

use super::{centered, input, window};
use crate::console::model::form::{Form, Value};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Columns of the labels.
const LABEL: u16 = 12;

/// Draws it: two lines per field where there is room, one where there is not.
pub fn draw(canvas: &mut Canvas<'_>, form: &Form, _context: Context<'_>) {
    let count = form.fields.len() as u16;
    let area = centered(canvas, 100, count * 3 + 3);
    let roomy = area.height >= count * 3 + 3;
    let inner = window(canvas, area, &form.title, "Tab next field, Enter does it, Esc leaves");
    let step = if roomy { 3 } else { 1 };
    let x = inner.x + LABEL.min(inner.width / 3);
    let width = inner.right().saturating_sub(x);
    for (at, field) in form.fields.iter().enumerate() {
        let y = inner.y + at as u16 * step;
        if y >= inner.bottom() {
            break;
        }
        let active = at == form.at;
        if active {
            canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        }
        canvas.text(inner.x + 2, y, LABEL - 3, field.label, if active { Token::Strong } else { Token::Muted });
        if roomy && y + 1 < inner.bottom() {
            remark(canvas, form, at, x, y + 1, width);
        }
    }
    canvas.wash(area, Token::Overlay);
    for (at, field) in form.fields.iter().enumerate() {
        let (y, active) = (inner.y + at as u16 * step, at == form.at);
        if y >= inner.bottom() {
            break;
        }
        match &field.value {
            Value::Text(value) => input(canvas, x, y, width, value, active),
            Value::Choice(words, chosen) => choice(canvas, x, y, width, words, *chosen, active),
        }
    }
}

fn remark(canvas: &mut Canvas<'_>, form: &Form, at: usize, x: u16, y: u16, width: u16) {
    match form.remark(form.fields[at].key) {
        Ok(text) => {
            canvas.text(x, y, width, &text, Token::Muted);
        }
        Err(text) if form.is_untouched(form.fields[at].key) => {
            canvas.text(x, y, width, &text, Token::Muted);
        }
        Err(text) => {
            let token = if form.refused && at == form.at { Token::Error } else { Token::Warn };
            canvas.glyph(x, y, canvas.glyphs.error, token);
            canvas.text(x + 2, y, width.saturating_sub(2), &text, token);
        }
    }
}

fn choice(
    canvas: &mut Canvas<'_>,
    mut x: u16,
    y: u16,
    width: u16,
    words: &[&'static str],
    chosen: usize,
    active: bool,
) {
    let end = x + width;
    for (at, word) in words.iter().enumerate() {
        let room = end.saturating_sub(x);
        let token = match (at == chosen, active) {
            (true, true) => Token::Key,
            (true, false) => Token::Strong,
            _ => Token::Muted,
        };
        let used = if at == chosen {
            canvas.left(x, y, room, format_args!("[{word}]"), token)
        } else {
            canvas.left(x, y, room, format_args!(" {word} "), token)
        };
        x += used + 1;
    }
    if active {
        canvas.text(x + 1, y, end.saturating_sub(x + 1), "space changes it", Token::Muted);
    }
}
