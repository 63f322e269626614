//! A row per operation, in the order in which they are tried; columns give way where the screen is narrow.

use ratatui::layout::Rect;
use skep_engine::control::PriorityClass;
use skep_engine::control::queue::QueueRow;

use crate::console::derive::queue::state;
use crate::console::model::links::authority;
use crate::console::model::queue::class_name;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Seconds};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, text};

/// A column of the table of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Class,
    State,
    What,
    Name,
    For,
    Size,
    Age,
    Tries,
    Why,
}

const COLUMNS: &[Column<Cell>] = &[
    Column::new(Cell::Class, "CLASS", 10, 16, 1, Align::Left),
    Column::new(Cell::State, "STATE", 10, 15, 0, Align::Left),
    Column::new(Cell::What, "", 4, 4, 7, Align::Left),
    Column::new(Cell::Name, "NAME", 10, 36, 0, Align::Left),
    Column::new(Cell::For, "FOR", 12, 30, 4, Align::Left),
    Column::new(Cell::Size, "SIZE", 7, 7, 2, Align::Right),
    Column::new(Cell::Age, "AGE", 6, 6, 3, Align::Right),
    Column::new(Cell::Tries, "TRIES", 5, 5, 6, Align::Right),
    Column::new(Cell::Why, "WHY", 12, 70, 5, Align::Left),
];

/// Draws headings and rows.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, focused: bool, context: Context<'_>) {
    let model = context.model;
    let (queue, list) = (&model.snapshot.queue, &model.queue);
    if area.height == 0 {
        return;
    }
    let shown = || list.rows.iter().filter_map(|at| queue.rows.get(*at)).skip(list.top).take(area.height.into());
    // As wide as the longest name, so that what follows stands close to it.
    let widest = |of: fn(&QueueRow) -> &str, least, most| {
        shown().map(|row| text::width(of(row))).max().unwrap_or(0).clamp(least, most) as u16
    };
    let asked: Vec<Column<Cell>> = COLUMNS
        .iter()
        .map(|c| match c.key {
            Cell::Name => Column { max: widest(|row| &row.name, 10, 36), ..*c },
            Cell::For => Column { max: widest(|row| authority(&row.target), 12, 30), ..*c },
            _ => *c,
        })
        .collect();
    let grow = [Cell::Name, Cell::State, Cell::For, Cell::Class, Cell::Why];
    let columns = fit(&asked, area.width.saturating_sub(3), &grow);
    for place in &columns {
        let (x, title) = (area.x + 2 + place.x, format_args!("{}", place.title));
        canvas.print(x, area.y, place.width, place.align, title, Token::Heading);
    }
    for (line, row) in shown().take(usize::from(area.height) - 1).enumerate() {
        let y = area.y + 1 + line as u16;
        for place in &columns {
            cell(canvas, area.x + 2 + place.x, y, place, row, context);
        }
        if list.selected == Some(row.id) {
            canvas.glyph(area.x, y, canvas.glyphs.cursor, Token::Cursor);
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(area.x + 1, y, area.width - 1, 1), token);
        }
    }
}

fn cell(canvas: &mut Canvas<'_>, x: u16, y: u16, place: &Placed<Cell>, row: &QueueRow, context: Context<'_>) {
    let (width, now) = (place.width, context.model.node_now());
    match place.key {
        Cell::Class => class(canvas, x, y, width, row, context),
        Cell::State => {
            let look = state(row.state);
            canvas.glyph(x, y, (look.glyph)(canvas.glyphs), look.token);
            let used = canvas.text(x + 2, y, width.saturating_sub(2), look.word, look.token) + 3;
            if let Some(at) = row.retry_at_ms.filter(|at| *at > now) {
                let wait = Seconds((at - now).div_ceil(1_000));
                canvas.right(x + used, y, width.saturating_sub(used), format_args!("{wait}"), Token::Muted);
            }
        }
        Cell::What => {
            canvas.text(x, y, width, &row.what, Token::Muted);
        }
        Cell::Name => {
            canvas.text(x, y, width, &row.name, Token::Text);
        }
        Cell::For => {
            canvas.text(x, y, width, authority(&row.target), Token::Text);
        }
        Cell::Size => {
            if row.bytes > 0 {
                canvas.right(x, y, width, format_args!("{}", Bytes(row.bytes)), Token::Text);
            }
        }
        Cell::Age => {
            let age = Seconds(now.saturating_sub(row.added_ms) / 1_000);
            canvas.right(x, y, width, format_args!("{age}"), Token::Muted);
        }
        Cell::Tries => {
            if row.attempts > 0 {
                canvas.right(x, y, width, format_args!("{}", row.attempts), Token::Muted);
            }
        }
        Cell::Why => {
            canvas.text(x, y, width, &row.why, Token::Muted);
        }
    }
}

/// The class, how far it rose by waiting, and what was asked for and is not a fact yet.
fn class(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &QueueRow, context: Context<'_>) {
    let asked = context.model.queue.class(row);
    let token = if asked == row.class { class_token(row.class) } else { Token::Wish };
    let used = canvas.text(x, y, width, class_name(asked), token);
    let (x, width) = (x + used, width.saturating_sub(used));
    if asked != row.class {
        canvas.left(x, y, width, format_args!(" {}", canvas.glyphs.wish), Token::Wish);
    } else if row.aged > 0 {
        canvas.left(x, y, width, format_args!(" {}{}", canvas.glyphs.arrows[1], row.aged), Token::Muted);
    }
}

const fn class_token(class: PriorityClass) -> Token {
    match class {
        PriorityClass::Critical => Token::Strong,
        PriorityClass::SchemaChange | PriorityClass::High | PriorityClass::Normal => Token::Text,
        PriorityClass::Analytics | PriorityClass::Background => Token::Muted,
    }
}
