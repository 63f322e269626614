//! A question before something that cannot be undone.

use super::{centered, input, window};
use crate::console::model::overlay::Confirm;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, confirm: &Confirm, _context: Context<'_>) {
    let extra = if confirm.typed.is_some() { 3 } else { 0 };
    let height = confirm.lines.len() as u16 + 4 + extra;
    let area = centered(canvas, 70, height);
    let inner = window(canvas, area, &confirm.title, "");
    let mut y = inner.y;
    for line in &confirm.lines {
        if y >= inner.bottom() {
            break;
        }
        canvas.text(inner.x, y, inner.width, line, Token::Text);
        y += 1;
    }
    y += 1;
    if let Some(typed) = &confirm.typed {
        let used =
            canvas.left(inner.x, y, inner.width, format_args!("Type {} to {}: ", typed.word, typed.doc), Token::Warn);
        let room = inner.width.saturating_sub(used);
        let field = (inner.x + used, y, room.min(12));
        y += 2;
        let given = typed.is_given();
        let answer = typed.answers[usize::from(given)];
        buttons(canvas, inner.x, y.min(inner.bottom().saturating_sub(1)), answer, given);
        canvas.wash(area, Token::Overlay);
        input(canvas, field.0, field.1, field.2, &typed.input, true);
        return;
    }
    // Where there is nothing to do it only tells.
    let yes = if confirm.yes.is_empty() { "ok" } else { "yes" };
    buttons(canvas, inner.x, y.min(inner.bottom().saturating_sub(1)), yes, false);
    canvas.wash(area, Token::Overlay);
}

fn buttons(canvas: &mut Canvas<'_>, mut x: u16, y: u16, answer: &str, strong: bool) {
    x += canvas.text(x, y, 5, "Enter", Token::Key) + 1;
    let token = if strong { Token::Error } else { Token::Text };
    x += canvas.text(x, y, 24, answer, token) + 3;
    x += canvas.text(x, y, 3, "Esc", Token::Key) + 1;
    canvas.text(x, y, 10, "no", Token::Text);
}
