//! What a sync would do, item by item.

use ratatui::layout::Rect;

use crate::console::model::form::Form;
use crate::console::model::form::plan::{Kind, PlanView};
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count};

/// Columns of a sign and its word, and of a size.
const WORD: u16 = 10;
const SIZE: u16 = 9;

/// Draws as many of its lines as there is room for, below a heading.
pub fn draw(canvas: &mut Canvas<'_>, form: &Form, view: &PlanView, area: Rect) {
    let Some(rows) = area.height.checked_sub(1) else { return };
    let (x, width) = (area.x + 2, area.width.saturating_sub(2));
    let (rows, all) = (usize::from(rows), view.len());
    let more = view.plan.more;
    let top = form.top.min(all.saturating_sub(rows));
    let last = (top + rows).min(all);
    let used = match (all > rows, more) {
        (false, 0) => 0,
        (_, 0) => {
            let range = format_args!("{}-{} of {}  PgDn PgUp", top + 1, last, Count(all as u64));
            canvas.right(x, area.y, width, range, Token::Muted)
        }
        // What is not listed is counted.
        _ => {
            let range = format_args!("{}-{} of {}, {} more not listed", top + 1, last, Count(all as u64), Count(more));
            canvas.right(x, area.y, width, range, Token::Muted)
        }
    };
    canvas.text(x, area.y, width.saturating_sub(used + 2), "what would be done there", Token::Heading);
    for (line, at) in (top..last).enumerate() {
        let Some(item) = view.line(at) else { continue };
        let y = area.y + 1 + line as u16;
        let (sign, word) = item.kind.word();
        let token = match item.kind {
            Kind::Delete => Token::Error,
            Kind::Left | Kind::Skipped => Token::Warn,
            Kind::Changed | Kind::New => Token::Text,
            _ => Token::Muted,
        };
        canvas.glyph(x, y, sign, token);
        canvas.text(x + 2, y, WORD - 2, word, token);
        let mut room = width.saturating_sub(WORD);
        if width >= 30 + SIZE {
            room -= SIZE;
            if let Some(size) = item.size {
                canvas.right(x + WORD + room, y, SIZE, format_args!("{}", Bytes(size)), Token::Muted);
            }
        }
        let path = if item.path.is_empty() { "." } else { item.path };
        let text = if item.kind == Kind::Delete { Token::Error } else { Token::Text };
        let mut at = canvas.text(x + WORD, y, room, path, text);
        if !item.note.1.is_empty() && at + 3 < room {
            at += 2;
            if !item.note.0.is_empty() {
                at += canvas.left(x + WORD + at, y, room - at, format_args!("{} ", item.note.0), Token::Faint);
            }
            canvas.text(x + WORD + at, y, room.saturating_sub(at), item.note.1, Token::Muted);
        }
    }
}
