//! The folder behind a path that is being typed.

use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use crate::console::model::form::{Browser, Listing};
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::clock::Day;
use crate::console::widgets::format::{Bytes, Count};

/// Columns of a size and of a date, with what keeps them apart.
const SIZE: u16 = 9;
const DATE: u16 = 12;

/// Draws it; gives the line of the chosen entry.
pub fn draw(canvas: &mut Canvas<'_>, browser: &Browser, area: Rect, zone: &TimeZone) -> Option<Rect> {
    if area.height == 0 {
        return None;
    }
    let text = area.x + 2;
    let width = area.width.saturating_sub(2);
    let of = browser.entries().len();
    let counted = match &browser.listing {
        Listing::Read { omitted: 0, .. } => canvas.right(
            text,
            area.y,
            width,
            format_args!("{} of {}", browser.shown.len(), Count(of as u64)),
            Token::Muted,
        ),
        Listing::Read { omitted, .. } => canvas.right(
            text,
            area.y,
            width,
            format_args!("{} of {}, {omitted} not listed", browser.shown.len(), Count(of as u64)),
            Token::Muted,
        ),
        _ => 0,
    };
    canvas.text(text, area.y, width.saturating_sub(counted + 2), &browser.dir, Token::Heading);
    let rows = usize::from(area.height - 1);
    if rows == 0 {
        return None;
    }
    match &browser.listing {
        Listing::Reading => {
            canvas.text(text, area.y + 1, width, "reading…", Token::Muted);
            return None;
        }
        Listing::Failed(why) => {
            canvas.text(text, area.y + 1, width, why, Token::Warn);
            return None;
        }
        Listing::Read { .. } if browser.shown.is_empty() => {
            let word = if of == 0 { "it is empty" } else { "nothing here matches (ctrl-t shows hidden names)" };
            canvas.text(text, area.y + 1, width, word, Token::Muted);
            return None;
        }
        Listing::Read { .. } => {}
    }
    let top = browser.at.map_or(0, |at| (at + 1).saturating_sub(rows));
    let mut chosen = None;
    for (line, at) in browser.shown.iter().skip(top).take(rows).enumerate() {
        let Some(entry) = browser.entries().get(*at) else { continue };
        let y = area.y + 1 + line as u16;
        let (size, date) = (width >= 24 + SIZE, width >= 24 + SIZE + DATE);
        let mut end = area.right();
        if date {
            end -= DATE;
            if entry.modified_ms > 0 {
                canvas.right(end, y, DATE, format_args!("{}", Day::at(entry.modified_ms, zone)), Token::Muted);
            }
        }
        if size {
            end -= SIZE;
            if entry.folder {
                canvas.right(end, y, SIZE, format_args!("folder"), Token::Muted);
            } else {
                canvas.right(end, y, SIZE, format_args!("{}", Bytes(entry.size)), Token::Text);
            }
        }
        let room = end.saturating_sub(text + 1);
        if entry.folder {
            let used = canvas.text(text, y, room.saturating_sub(1), &entry.name, Token::Strong);
            canvas.text(text + used, y, 1, "/", Token::Strong);
        } else {
            canvas.text(text, y, room, &entry.name, Token::Text);
        }
        if browser.at == Some(top + line) {
            canvas.glyph(area.x, y, canvas.glyphs.cursor, Token::Cursor);
            chosen = Some(Rect::new(area.x, y, area.width, 1));
        }
    }
    chosen
}
