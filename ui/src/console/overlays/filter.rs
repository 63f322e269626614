//! A filter being typed, on the border of its pane.

use ratatui::layout::Rect;

use super::input;
use crate::console::model::overlay::FilterEdit;
use crate::console::theme::Token;
use crate::console::view::layout::Layout;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, edit: &FilterEdit, layout: &Layout) {
    let Some(area) = layout.area(edit.pane) else { return };
    let y = area.bottom() - 1;
    let width = area.width.saturating_sub(4).min(60);
    canvas.clear(Rect::new(area.x + 2, y, width, 1), Token::Base);
    let used = canvas.text(area.x + 2, y, width, " filter: ", Token::Key);
    input(canvas, area.x + 2 + used, y, width.saturating_sub(used), &edit.input, true);
}
