//! The nodes that the console can be switched to.
//!
//! ```text
//! ╭ Nodes ─────────────────────── Enter shows it, Esc closes ╮
//! │ ▸ this node   embedded                        on screen  │
//! │   attic       10.0.0.5:7070                   read-only  │
//! ╰──────────────────────────────────────────────────────────╯
//! ```

use ratatui::layout::Rect;

use super::{centered, window};
use crate::console::model::overlay::TargetsView;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Columns at the right for how one stands to a node.
const REMARK: u16 = 22;
/// Columns of a name.
const NAME: u16 = 16;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &TargetsView, context: Context<'_>) {
    let settings = &context.model.settings;
    let targets = &settings.targets;
    let hint = u16::from(targets.len() < 2) * 2;
    let height = targets.len().clamp(1, 20) as u16 + 2 + hint;
    let area = centered(canvas, 84, height);
    let inner = window(canvas, area, "Nodes", "Enter shows it, Esc closes");
    let rows = usize::from(inner.height.saturating_sub(hint)).max(1);
    let at = view.at.min(targets.len().saturating_sub(1));
    let top = (at + 1).saturating_sub(rows);
    for (place, target) in targets.iter().enumerate().skip(top).take(rows) {
        let y = inner.y + (place - top) as u16;
        let token = if place == settings.target_at { Token::Strong } else { Token::Text };
        canvas.text(inner.x + 2, y, NAME - 1, &target.name, token);
        let (x, end) = (inner.x + 2 + NAME, inner.right().saturating_sub(REMARK));
        canvas.text(x, y, end.saturating_sub(x + 1), &target.address, Token::Muted);
        let shown = if place == settings.target_at { "on screen" } else { "" };
        let (read_only, comma) = match (target.read_only, shown) {
            (true, "") => ("read-only", ""),
            (true, _) => ("read-only", ", "),
            _ => ("", ""),
        };
        canvas.right(end, y, REMARK, format_args!("{read_only}{comma}{shown}"), Token::Muted);
    }
    if hint > 0 && inner.height > hint {
        let words = "name others in the configuration: [console] targets = [\"NAME=URL\"]";
        canvas.text(inner.x + 2, inner.bottom() - 1, inner.width.saturating_sub(2), words, Token::Muted);
    }
    canvas.wash(area, Token::Overlay);
    if !targets.is_empty() && inner.height > 0 {
        let y = inner.y + (at - top) as u16;
        canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        canvas.wash(Rect::new(inner.x, y, inner.width, 1), Token::Selected);
    }
}
