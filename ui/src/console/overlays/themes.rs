//! The themes, each with a sample of itself; the screen behind shows the one under the cursor.
//!
//! ```text
//! ╭ Themes ────────────────── Enter keeps, Esc goes back ╮
//! │ ▌ slate          █▸▓1!  ✓ ▪ ✗  dark                  │
//! ```

use ratatui::layout::Rect;

use super::window;
use crate::console::model::looks::ThemesView;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Columns of the list.
const WIDTH: u16 = 54;

/// Draws it at the right, so that the panes show what a theme does to them.
pub fn draw(canvas: &mut Canvas<'_>, view: &ThemesView) {
    let screen = canvas.area();
    let height = (view.rows.len() as u16 + 2).min(screen.height.saturating_sub(2));
    let width = WIDTH.min(screen.width);
    let area =
        Rect::new(screen.width.saturating_sub(width + 2), screen.height.saturating_sub(height + 1), width, height);
    let inner = window(canvas, area, "Themes", "Enter keeps, Esc goes back");
    let rows = usize::from(inner.height);
    let top = (view.at + 1).saturating_sub(rows);
    canvas.wash(area, Token::Overlay);
    let glyphs = canvas.glyphs;
    let sample = [
        (glyphs.have, Token::MapHave),
        (glyphs.have, Token::MapHave),
        (glyphs.flight, Token::MapFlight),
        (glyphs.missing[0], Token::MapMissing),
        (glyphs.missing[2], Token::MapMissing),
        ("1", Token::MapRare),
        (glyphs.failed, Token::MapFailed),
        (" ", Token::Text),
        (glyphs.arrows[0], Token::Down),
        (glyphs.arrows[1], Token::Up),
        (" ", Token::Text),
        (glyphs.done, Token::Done),
        (glyphs.stalled, Token::Warn),
        (glyphs.error, Token::Error),
    ];
    for (line, (choice, theme)) in view.rows.iter().skip(top).take(rows).enumerate() {
        let y = inner.y + line as u16;
        if top + line == view.at {
            canvas.glyph(inner.x, y, glyphs.cursor, Token::Cursor);
            canvas.wash(Rect::new(inner.x + 1, y, inner.width.saturating_sub(1), 1), Token::Selected);
        }
        let x = inner.x + 2;
        canvas.text(x, y, 15, choice.name(), Token::Text);
        let mut at = x + 16;
        canvas.sample(at, y, " ", theme, Token::Text);
        for (glyph, token) in sample {
            at += 1;
            canvas.sample(at, y, glyph, theme, token);
        }
        canvas.sample(at + 1, y, " ", theme, Token::Text);
        let kind = if theme.light { "light" } else { "dark" };
        canvas.text(at + 4, y, inner.right().saturating_sub(at + 4), kind, Token::Muted);
    }
}
