//! A sync has no pieces of its own: what it does, and what its plan comes to.

use ratatui::layout::Rect;
use skep_engine::control::TransferRow;

use crate::console::derive::phases::Phases;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::output::totals_line;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, row: &TransferRow) {
    let phases = Phases(row, canvas.glyphs.dot).to_string();
    let totals = row.sync.as_ref().map_or_else(|| "its plan is made".to_owned(), totals_line);
    let about = "Folders are compared by digests; what differs is sent in batches, files one behind the other. What is there \
                 already under another name is not sent.";
    let lines = [(phases.as_str(), Token::Strong), (totals.as_str(), Token::Text), (about, Token::Muted)];
    let area = Rect { x: inner.x + 2, width: inner.width.saturating_sub(3), ..inner };
    canvas.paragraphs(area, lines);
}
