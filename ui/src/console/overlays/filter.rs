//! A filter being typed, on the border of its pane.

use ratatui::layout::Rect;

use super::input;
use crate::console::model::Model;
use crate::console::model::overlay::FilterEdit;
use crate::console::panes::PaneId;
use crate::console::theme::Token;
use crate::console::view::layout::Layout;
use crate::console::widgets::{Canvas, text};

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, edit: &FilterEdit, layout: &Layout, model: &Model) {
    let Some(area) = layout.area(edit.pane) else { return };
    let y = area.bottom() - 1;
    let width = area.width.saturating_sub(4).min(60);
    canvas.clear(Rect::new(area.x + 2, y, width, 1), Token::Base);
    let error = match edit.pane {
        PaneId::Transfers => model.transfers.filter.error(),
        PaneId::Queue => model.queue.filter.error(),
        PaneId::Nodes => model.nodes.filter.error(),
        _ => model.log.filter.error(),
    };
    if let Some(error) = error {
        // Above the field, on the pane's last lines: what is typed stays where it is.
        let said = format!("at {}: {}", error.at, error.message);
        let width = area.width.saturating_sub(4);
        let lines: Vec<&str> = text::wrap(&said, width.into()).take(area.height.saturating_sub(2).into()).collect();
        let first = y - lines.len() as u16;
        for (at, line) in lines.iter().enumerate() {
            let row = Rect::new(area.x + 2, first + at as u16, width, 1);
            canvas.clear(row, Token::Base);
            canvas.text(row.x, row.y, width, line, Token::Error);
        }
    }
    let used = canvas.text(area.x + 2, y, width, " filter: ", Token::Key);
    input(canvas, area.x + 2 + used, y, width.saturating_sub(used), &edit.input, true);
}
