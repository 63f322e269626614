//! A row per node: bars where there is room for them, columns that give way where there is not.

use ratatui::layout::Rect;
use skep_engine::control::pool::{PoolNodeRow, SLOW_MS};

use crate::console::derive::nodes::{TERMS, load, look};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Count, Millis};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, bar, text};

/// A column of the table of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Name,
    State,
    Score,
    Cpu,
    Memory,
    Connections,
    Latency,
    Ring,
    Chance,
    Chosen,
    Holds,
    Bytes,
    Known,
    Why,
}

/// Columns of a percentage before its bar.
const PERCENT: u16 = 4;
/// Fewest columns of a bar that say something.
const BAR: u16 = 3;
/// Columns that a bar has where the table is wide enough for bars, with the blank before it.
const LEAST_BAR: u16 = 6;
/// From this width on names have more room.
const WIDE: u16 = 100;
/// From this width on there are bars.
const WITH_BARS: u16 = 72;

const COLUMNS: &[Column<Cell>] = &[
    Column::new(Cell::Name, "NAME", 8, 24, 0, Align::Left),
    Column::new(Cell::State, "STATE", 10, 12, 0, Align::Left),
    Column::new(Cell::Score, "SCORE", 5, 17, 1, Align::Left),
    Column::new(Cell::Cpu, " CPU", 4, 13, 2, Align::Left),
    Column::new(Cell::Memory, " MEM", 4, 13, 3, Align::Left),
    Column::new(Cell::Connections, "CONN", 5, 6, 7, Align::Right),
    Column::new(Cell::Latency, "LATENCY", 7, 8, 4, Align::Right),
    Column::new(Cell::Ring, "RING", 5, 13, 5, Align::Left),
    Column::new(Cell::Chance, "CHANCE", 6, 14, 5, Align::Left),
    Column::new(Cell::Chosen, "CHOSEN", 6, 14, 8, Align::Left),
    Column::new(Cell::Holds, "HOLDS", 5, 6, 9, Align::Right),
    Column::new(Cell::Bytes, "BYTES", 7, 7, 10, Align::Right),
    Column::new(Cell::Known, "KNOWN", 6, 6, 11, Align::Left),
    Column::new(Cell::Why, "WHY", 18, 60, 6, Align::Left),
];

/// Draws headings and rows; gives the line below them.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, focused: bool, context: Context<'_>) -> u16 {
    let model = context.model;
    let (pool, view) = (&model.snapshot.pool, &model.nodes);
    if area.height == 0 {
        return area.y;
    }
    let shown = || view.rows.iter().filter_map(|at| pool.nodes.get(*at)).skip(view.top).take(area.height.into());
    let widest = |of: fn(&PoolNodeRow) -> &str, least, most| {
        shown().map(|row| text::width(of(row))).max().unwrap_or(0).clamp(least, most) as u16
    };
    let asked: Vec<Column<Cell>> = COLUMNS
        .iter()
        .map(|c| match c.key {
            Cell::Name => {
                let max = widest(|row| &row.name, 8, 24);
                // Whole, where that leaves room for the rest.
                Column { max, min: max.min(if area.width >= WIDE { 16 } else { 10 }), ..*c }
            }
            Cell::Why => Column { max: widest(|row| &row.why, 18, 60), ..*c },
            Cell::Score | Cell::Cpu | Cell::Memory if area.width >= WITH_BARS => {
                Column { min: c.min + LEAST_BAR, ..*c }
            }
            _ => *c,
        })
        .collect();
    let grow = [
        Cell::Name,
        Cell::Why,
        Cell::Why,
        Cell::State,
        Cell::Score,
        Cell::Cpu,
        Cell::Memory,
        Cell::Ring,
        Cell::Chance,
        Cell::Chosen,
        Cell::Latency,
        Cell::Holds,
        Cell::Connections,
    ];
    let columns = fit(&asked, area.width.saturating_sub(3), &grow);
    for place in &columns {
        let (x, title) = (area.x + 2 + place.x, format_args!("{}", place.title));
        canvas.print(x, area.y, place.width, place.align, title, Token::Heading);
    }
    let mut y = area.y + 1;
    for row in shown() {
        if y >= area.bottom() {
            break;
        }
        for place in &columns {
            cell(canvas, area.x + 2 + place.x, y, place, row, context);
        }
        if view.selected.as_ref() == Some(&row.name) {
            canvas.glyph(area.x, y, canvas.glyphs.cursor, Token::Cursor);
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(area.x + 1, y, area.width - 1, 1), token);
        }
        y += 1;
    }
    y
}

fn cell(canvas: &mut Canvas<'_>, x: u16, y: u16, place: &Placed<Cell>, row: &PoolNodeRow, context: Context<'_>) {
    let (width, limits) = (place.width, &context.model.snapshot.pool.limits);
    let gone = !row.available;
    let text = if gone { Token::Muted } else { Token::Text };
    // Of who is gone nothing is known, and what is old is there, but faint.
    let figures = row.figures.filter(|_| !gone);
    let figure = if row.stale { Token::Faint } else { Token::Text };
    match (place.key, figures) {
        (Cell::Name, _) => {
            canvas.text(x, y, width, &row.name, text);
        }
        (Cell::State, _) => state(canvas, x, y, width, row, context),
        (Cell::Score, _) if gone => unknown(canvas, x, y, 4),
        (Cell::Score, _) => score(canvas, x, y, width, row),
        (Cell::Cpu, Some(now)) => percent(canvas, x, y, width, now.cpu_percent, limits.cpu_percent, row.stale),
        (Cell::Memory, Some(now)) => percent(canvas, x, y, width, now.memory_percent, limits.memory_percent, row.stale),
        (Cell::Cpu | Cell::Memory, None) => unknown(canvas, x, y, PERCENT),
        (Cell::Connections, Some(now)) => {
            let over = now.active_connections > limits.connections;
            let token = if over { Token::Error } else { figure };
            canvas.right(x, y, width, format_args!("{}", Count(now.active_connections)), token);
        }
        (Cell::Latency, Some(_)) => {
            let token = if row.latency_ms >= SLOW_MS { Token::Warn } else { figure };
            canvas.right(x, y, width, format_args!("{}", Millis(row.latency_ms)), token);
        }
        (Cell::Connections | Cell::Latency, None) => unknown(canvas, x, y, width),
        (Cell::Ring, _) => share(canvas, (x, y, width), row.ring_share, Token::Lane, context),
        (Cell::Chance, _) => share(canvas, (x, y, width), row.chance, Token::BarFill, context),
        (Cell::Chosen, _) => share(canvas, (x, y, width), row.chosen, Token::BarFill, context),
        (Cell::Holds, _) => {
            if row.holds > 0 {
                canvas.right(x, y, width, format_args!("{}", Count(row.holds)), text);
            }
        }
        (Cell::Bytes, _) => {
            if row.held_bytes > 0 {
                canvas.right(x, y, width, format_args!("{}", Bytes(row.held_bytes)), text);
            }
        }
        (Cell::Known, _) => {
            canvas.text(x, y, width, row.known.name(), Token::Muted);
        }
        (Cell::Why, _) => {
            canvas.text(x, y, width, &row.why, Token::Muted);
        }
    }
}

fn unknown(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16) {
    canvas.right(x, y, width, format_args!("{}", canvas.glyphs.none), Token::Faint);
}

/// How it stands, or what was asked of it and is not a fact yet.
fn state(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow, context: Context<'_>) {
    let (glyph, word, token) = match context.model.nodes.wish(row) {
        Some(true) => (canvas.glyphs.wish, "DRAINING", Token::Wish),
        Some(false) => (canvas.glyphs.wish, "UNDRAIN", Token::Wish),
        None => {
            let look = look(row.state());
            ((look.glyph)(canvas.glyphs), look.word, look.token)
        }
    };
    canvas.glyph(x, y, glyph, token);
    canvas.text(x + 2, y, width.saturating_sub(2), word, token);
}

/// The score, and as a bar what each term adds to it.
fn score(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow) {
    let score = &row.score;
    let token = if row.stale { Token::Faint } else { Token::Text };
    canvas.left(x, y, width, format_args!("{:.2}", score.total), token);
    let room = width.saturating_sub(5);
    if room < BAR {
        return;
    }
    let [cpu, memory, connections, latency] = TERMS;
    if row.stale {
        return bar::share(canvas, x + 5, y, room, score.total, Token::Faint);
    }
    let parts = [(score.cpu, cpu), (score.memory, memory), (score.connections, connections), (score.latency, latency)];
    bar::stacked(canvas, x + 5, y, room, &parts);
}

fn percent(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, figure: f64, limit: f64, stale: bool) {
    let fill = if stale { Token::Faint } else { load(figure, limit) };
    let token = match fill {
        Token::BarFill => Token::Text,
        other => other,
    };
    canvas.right(x, y, PERCENT, format_args!("{figure:.0}%"), token);
    let room = width.saturating_sub(PERCENT + 1);
    if room >= BAR {
        bar::share(canvas, x + PERCENT + 1, y, room, figure / 100.0, fill);
    }
}

/// A share of the pool: its bar is beside the largest share of anybody.
fn share(canvas: &mut Canvas<'_>, (x, y, width): (u16, u16, u16), share: f64, token: Token, context: Context<'_>) {
    let figures = width.min(6);
    let figures = if width < 6 { 5 } else { figures };
    if share > 0.0 {
        canvas.right(x, y, figures, format_args!("{:.1}%", share * 100.0), Token::Text);
    } else {
        unknown(canvas, x, y, figures);
    }
    let room = width.saturating_sub(figures + 1);
    if room >= BAR {
        let top = context.derived.nodes.top_share;
        bar::share(canvas, x + figures + 1, y, room, if top > 0.0 { share / top } else { 0.0 }, token);
    }
}
