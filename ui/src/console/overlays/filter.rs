//! A filter being typed, on the border of its pane.

use ratatui::layout::Rect;

use super::input;
use crate::console::model::Model;
use crate::console::model::overlay::FilterEdit;
use crate::console::panes::PaneId;
use crate::console::theme::Token;
use crate::console::view::layout::Layout;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, edit: &FilterEdit, layout: &Layout, model: &Model) {
    let Some(area) = layout.area(edit.pane) else { return };
    let y = area.bottom() - 1;
    let width = area.width.saturating_sub(4).min(60);
    canvas.clear(Rect::new(area.x + 2, y, width, 1), Token::Base);
    let error = match edit.pane {
        PaneId::Transfers => model.transfers.filter.error(),
        _ => model.log.filter.error(),
    };
    if let Some(error) = error {
        // Above the field, on the pane's last line: what is typed stays where it is.
        let line = Rect::new(area.x + 2, y - 1, area.width.saturating_sub(4), 1);
        canvas.clear(line, Token::Base);
        let x = line.x + canvas.left(line.x, line.y, line.width, format_args!("at {}: ", error.at), Token::Error);
        canvas.text(x, line.y, line.right().saturating_sub(x), &error.message, Token::Text);
    }
    let used = canvas.text(area.x + 2, y, width, " filter: ", Token::Key);
    input(canvas, area.x + 2 + used, y, width.saturating_sub(used), &edit.input, true);
}
