//! Every action by its name.

use super::{centered, input, window};
use crate::console::model::overlay::Palette;
use crate::console::panes::Context;
use crate::console::reduce::available;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, palette: &Palette, context: Context<'_>) {
    let matches = palette.matches();
    let area = centered(canvas, 92, 18);
    let inner = window(canvas, area, "Commands", "Enter runs, Esc closes");
    if inner.height < 2 {
        return;
    }
    canvas.text(inner.x, inner.y, 2, ":", Token::Key);
    let rows = usize::from(inner.height - 2);
    let top = (palette.at + 1).saturating_sub(rows);
    if matches.is_empty() {
        canvas.text(inner.x + 2, inner.y + 2, inner.width - 2, "no action is called that", Token::Muted);
    }
    for (row, entry) in matches.iter().enumerate().skip(top).take(rows) {
        let y = inner.y + 2 + (row - top) as u16;
        let works = available::is_available(context.model, entry.action);
        let (title, doc) = if works { (Token::Text, Token::Muted) } else { (Token::Faint, Token::Faint) };
        canvas.text(inner.x + 2, y, 14, entry.title, title);
        canvas.text(inner.x + 17, y, 12, &context.model.keymap.label(entry.action), Token::Key);
        let x = inner.x + 30;
        canvas.text(x, y, inner.right().saturating_sub(x), entry.doc, doc);
    }
    canvas.wash(area, Token::Overlay);
    input(canvas, inner.x + 2, inner.y, inner.width.saturating_sub(2), &palette.input, true);
    if let Some(line) = palette.at.checked_sub(top).filter(|_| !matches.is_empty()) {
        let y = inner.y + 2 + line as u16;
        canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        canvas.wash(Rect::new(inner.x, y, inner.width, 1), Token::Selected);
    }
}
