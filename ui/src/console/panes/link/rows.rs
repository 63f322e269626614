//! A row per link: its columns give way where the screen is narrow.

use ratatui::layout::Rect;
use skep_engine::control::link::LinkRow;

use crate::console::derive::link::{class_look, mode_name};
use crate::console::model::links::authority;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bandwidth, Millis};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, text};

/// A column of the table of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Endpoint,
    Class,
    Mode,
    Bandwidth,
    Latency,
    Jitter,
    Loss,
    Note,
}

const COLUMNS: &[Column<Cell>] = &[
    Column::new(Cell::Endpoint, "ENDPOINT", 12, 36, 0, Align::Left),
    Column::new(Cell::Class, "CLASS", 14, 14, 0, Align::Left),
    Column::new(Cell::Mode, "MODE", 17, 17, 4, Align::Left),
    Column::new(Cell::Bandwidth, "BANDWIDTH", 11, 11, 2, Align::Right),
    Column::new(Cell::Latency, "LATENCY", 7, 8, 1, Align::Right),
    Column::new(Cell::Jitter, "JITTER", 6, 7, 6, Align::Right),
    Column::new(Cell::Loss, "LOSS", 4, 4, 5, Align::Right),
    Column::new(Cell::Note, "NOTE", 13, 44, 3, Align::Left),
];

/// Draws headings and rows; gives the line below them.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, page: usize, focused: bool, context: Context<'_>) -> u16 {
    let model = context.model;
    let links = &model.snapshot.links;
    // As wide as the longest name, so that the figures stand close to it.
    let widest = links.iter().map(|link| text::width(authority(&link.endpoint))).max().unwrap_or(0);
    let widest = widest.clamp(12, 36) as u16;
    let asked: Vec<Column<Cell>> =
        COLUMNS.iter().map(|c| if c.key == Cell::Endpoint { Column { max: widest, ..*c } } else { *c }).collect();
    let columns =
        fit(&asked, inner.width.saturating_sub(3), &[Cell::Endpoint, Cell::Latency, Cell::Jitter, Cell::Note]);
    for place in &columns {
        let (x, title) = (inner.x + 2 + place.x, format_args!("{}", place.title));
        canvas.print(x, inner.y, place.width, place.align, title, Token::Heading);
    }
    let selected = model.links.place(links);
    let mut y = inner.y + 1;
    for (at, link) in links.iter().enumerate().skip(model.links.top).take(page) {
        if y >= inner.bottom() {
            break;
        }
        for place in &columns {
            cell(canvas, inner.x + 2 + place.x, y, place, link);
        }
        if selected == Some(at) {
            canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(inner.x + 1, y, inner.width - 1, 1), token);
        }
        y += 1;
    }
    y
}

fn cell(canvas: &mut Canvas<'_>, x: u16, y: u16, place: &Placed<Cell>, link: &LinkRow) {
    let width = place.width;
    // What is old is there, but faint.
    let (text, figures) = if link.stale { (Token::Muted, Token::Faint) } else { (Token::Text, Token::Text) };
    let median = &link.median;
    match place.key {
        Cell::Endpoint => {
            canvas.text(x, y, width, authority(&link.endpoint), text);
        }
        Cell::Class => class(canvas, x, y, width, link),
        Cell::Mode => {
            canvas.text(x, y, width, mode_name(&link.params), Token::Muted);
        }
        Cell::Bandwidth => match median.bandwidth_mbps {
            Some(mbps) => {
                canvas.right(x, y, width, format_args!("{}", Bandwidth(mbps)), figures);
            }
            None => unknown(canvas, x, y, width),
        },
        Cell::Latency => match median.latency_ms {
            Some(ms) => {
                canvas.right(x, y, width, format_args!("{}", Millis(ms)), figures);
            }
            None => unknown(canvas, x, y, width),
        },
        Cell::Jitter => match median.jitter_ms {
            Some(ms) => {
                canvas.right(x, y, width, format_args!("{}", Millis(ms)), Token::Muted);
            }
            None => unknown(canvas, x, y, width),
        },
        Cell::Loss => match median.loss_percent {
            Some(loss) => {
                let token = if loss >= 1.0 { Token::Warn } else { Token::Muted };
                canvas.right(x, y, width, format_args!("{:.0}%", loss.clamp(0.0, 100.0)), token);
            }
            None => unknown(canvas, x, y, width),
        },
        Cell::Note => note(canvas, x, y, width, link),
    }
}

fn unknown(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16) {
    canvas.right(x, y, width, format_args!("{}", canvas.glyphs.none), Token::Faint);
}

fn class(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, link: &LinkRow) {
    let (glyph, token) = class_look(link.class);
    canvas.glyph(x, y, glyph(canvas.glyphs), token);
    canvas.text(x + 2, y, width.saturating_sub(2), link.class.name(), token);
}

/// What is special about a link, the most pressing first.
fn note(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, link: &LinkRow) {
    let end = x + width;
    let mut at = x;
    let mut put = |canvas: &mut Canvas<'_>, value: std::fmt::Arguments<'_>, token| {
        if at > x && at < end {
            at += canvas.text(at, y, end - at, ", ", Token::Faint);
        }
        if at < end {
            at += canvas.left(at, y, end - at, value, token);
        }
    };
    if let Some(pending) = &link.pending {
        let (name, samples, needed) = (pending.class.name(), pending.samples, pending.needed);
        put(canvas, format_args!("{} {name} {samples}/{needed}", canvas.glyphs.wish), Token::Wish);
    }
    if link.stale {
        put(canvas, format_args!("STALE"), Token::Warn);
    }
    if let Some(error) = &link.error {
        put(canvas, format_args!("{error}"), Token::Warn);
    }
    if link.forced {
        put(canvas, format_args!("set by you"), Token::Text);
    }
    if link.metered {
        put(canvas, format_args!("metered"), Token::Text);
    }
}
