//! A sync has no pieces of its own: what it does, and what its plan comes to.

use ratatui::layout::Rect;
use skep_engine::control::TransferRow;

use crate::console::derive::phases::Phases;
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, text};
use crate::output::totals_line;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, row: &TransferRow) {
    let phases = Phases(row, canvas.glyphs.dot).to_string();
    let totals = row.sync.as_ref().map_or_else(|| "its plan is made".to_owned(), totals_line);
    let about = "Folders are compared by digests; what differs is sent in batches, files one behind the other. What is there \
                 already under another name is not sent.";
    let lines = [(phases.as_str(), Token::Strong), (totals.as_str(), Token::Text), (about, Token::Muted)];
    let (x, width) = (inner.x + 2, inner.width.saturating_sub(3));
    let mut y = inner.y;
    for (line, token) in lines {
        for part in text::wrap(line, width.into()) {
            if y >= inner.bottom() {
                return;
            }
            canvas.text(x, y, width, part, token);
            y += 1;
        }
    }
}
