//! A row per path: its columns give way where the screen is narrow.

use ratatui::layout::Rect;
use skep_engine::control::{PathRow, PathState, TransferRow};
use skep_engine::push::score::Weights;

use crate::console::model::paths::rate;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Count, Percent, Rate, Seconds};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, chart, text};

/// A column of the table of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Path,
    State,
    Now,
    Chart,
    Share,
    Weight,
    Score,
    Terms,
    Rtt,
    Errors,
    Flight,
    Queued,
    Sent,
}

const COLUMNS: &[Column<Cell>] = &[
    Column::new(Cell::Path, "PATH", 10, 34, 0, Align::Left),
    Column::new(Cell::State, "STATE", 10, 12, 0, Align::Left),
    Column::new(Cell::Now, "NOW", 9, 9, 0, Align::Right),
    Column::new(Cell::Chart, "", 6, 40, 4, Align::Left),
    Column::new(Cell::Share, "SHARE", 5, 5, 1, Align::Right),
    Column::new(Cell::Weight, "WT", 4, 4, 2, Align::Right),
    Column::new(Cell::Score, "SCORE", 5, 5, 3, Align::Right),
    Column::new(Cell::Terms, "T     L     E", 17, 17, 7, Align::Left),
    Column::new(Cell::Rtt, "RTT", 6, 6, 5, Align::Right),
    Column::new(Cell::Errors, "ERR", 4, 4, 8, Align::Right),
    Column::new(Cell::Flight, "BUSY", 5, 5, 9, Align::Right),
    Column::new(Cell::Queued, "NEXT", 6, 6, 10, Align::Right),
    Column::new(Cell::Sent, "SENT", 7, 7, 6, Align::Right),
];

/// Draws headings and rows; gives the line below them.
pub fn draw(
    canvas: &mut Canvas<'_>,
    inner: Rect,
    row: &TransferRow,
    short: &[&str],
    page: usize,
    focused: bool,
    context: Context<'_>,
) -> u16 {
    let view = &context.model.paths;
    let columns = columns(inner.width, row);
    for place in &columns {
        let (x, title) = (inner.x + 2 + place.x, format_args!("{}", place.title));
        canvas.print(x, inner.y, place.width, place.align, title, Token::Heading);
    }
    let chart = columns.iter().find(|place| place.key == Cell::Chart).map_or(0, |place| place.width);
    let top = top_rate(row, chart, context);
    let selected = view.place(&row.paths);
    let mut y = inner.y + 1;
    for (at, path) in row.paths.iter().enumerate().skip(view.top).take(page) {
        for place in &columns {
            let short = short.get(at).copied().unwrap_or_default();
            cell(canvas, (inner.x + 2, y), place, (row, path, short), top, context);
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

/// The columns that fit. Weights take room only where there are any.
fn columns(inner: u16, row: &TransferRow) -> Vec<Placed<Cell>> {
    let weighed = row.paths.iter().any(|path| path.weight.is_some());
    // As wide as the longest name, so that the numbers stand close to it.
    let widest = row.paths.iter().map(|path| text::width(&path.path)).max().unwrap_or(0).clamp(10, 34) as u16;
    let asked: Vec<Column<Cell>> = COLUMNS
        .iter()
        .filter(|c| weighed || c.key != Cell::Weight)
        .map(|c| if c.key == Cell::Path { Column { max: widest, ..*c } } else { *c })
        .collect();
    fit(&asked, inner.saturating_sub(3), &[Cell::Path, Cell::State, Cell::Path, Cell::Chart])
}

/// One scale for the charts of all paths: they are there to be compared.
fn top_rate(row: &TransferRow, width: u16, context: Context<'_>) -> u64 {
    let (view, now) = (&context.model.paths, context.model.snapshot.time_ms);
    let tops = row.paths.iter().filter_map(|path| view.history(row.id, &path.path));
    // Two samples a column where the glyphs are fine.
    let shown = usize::from(width) * 2;
    tops.map(|history| chart::top(history.up_until(now).rev().take(shown))).max().unwrap_or(1)
}

fn cell(
    canvas: &mut Canvas<'_>,
    (x, y): (u16, u16),
    place: &Placed<Cell>,
    (row, path, short): (&TransferRow, &PathRow, &str),
    top: u64,
    context: Context<'_>,
) {
    let (x, width) = (x + place.x, place.width);
    let works = matches!(path.state, PathState::Healthy | PathState::Degraded);
    let faded = if works { Token::Text } else { Token::Muted };
    let numbers = if works { Token::Text } else { Token::Faint };
    // Nothing is known of a path that was never asked.
    let known = path.state != PathState::Idle || path.done > 0 || path.latency_ms > 0.0;
    match place.key {
        Cell::Path => {
            let name = if text::width(&path.path) <= usize::from(width) { &path.path } else { short };
            canvas.text(x, y, width, name, faded);
        }
        Cell::State => state(canvas, x, y, width, path, context),
        Cell::Now => {
            let rate = rate(path);
            if rate > 0 {
                canvas.right(x, y, width, format_args!("{}", Rate(rate)), Token::Up);
            } else {
                canvas.right(x, y, width, format_args!("{}", canvas.glyphs.none), Token::Faint);
            }
        }
        Cell::Chart => {
            let now = context.model.snapshot.time_ms;
            if let Some(history) = context.model.paths.history(row.id, &path.path) {
                let area = Rect::new(x, y, width, 1);
                chart::draw_to(canvas, area, history.up_until(now), (Token::Up, Token::ChartUp), top);
            }
        }
        Cell::Share => {
            if works {
                canvas.right(x, y, width, format_args!("{}", share(path.share)), Token::Text);
            }
        }
        Cell::Weight => {
            let weight = path.weight.unwrap_or(1.0);
            let token = if path.weight.is_some() { Token::Strong } else { Token::Faint };
            canvas.right(x, y, width, format_args!("x{weight}"), token);
        }
        Cell::Score if known => {
            canvas.right(x, y, width, format_args!("{:+.2}", path.score), numbers);
        }
        Cell::Terms if known => {
            let [t, l, e] = weighted(path);
            canvas.left(x, y, width, format_args!("{t:+.2} {l:+.2} {e:+.2}"), Token::Muted);
        }
        Cell::Rtt if known => {
            let digits = usize::from(path.latency_ms < 9.95);
            let rtt = path.latency_ms.clamp(0.0, 9_999.0);
            canvas.right(x, y, width, format_args!("{rtt:.digits$}ms"), Token::Muted);
        }
        Cell::Errors if known => {
            let token = if path.error_rate > 0.05 { Token::Warn } else { Token::Muted };
            canvas.right(x, y, width, format_args!("{}", share(path.error_rate)), token);
        }
        Cell::Flight => {
            if path.window > 0 && works {
                canvas.right(x, y, width, format_args!("{}/{}", path.active, path.window), Token::Muted);
            }
        }
        Cell::Queued => {
            if works {
                canvas.right(x, y, width, format_args!("{}", Count(path.queued.into())), Token::Muted);
            }
        }
        Cell::Sent => {
            if path.bytes > 0 {
                canvas.right(x, y, width, format_args!("{}", Bytes(path.bytes)), Token::Muted);
            }
        }
        Cell::Score | Cell::Terms | Cell::Rtt | Cell::Errors => {}
    }
}

fn state(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, path: &PathRow, context: Context<'_>) {
    let glyphs = canvas.glyphs;
    let (glyph, word, token) = match path.state {
        PathState::Healthy => (glyphs.running, "healthy", Token::Running),
        PathState::Degraded => (glyphs.stalled, "degraded", Token::Warn),
        PathState::Dead => (glyphs.error, "dead", Token::Error),
        PathState::Probing => (glyphs.busy, "probing", Token::Waiting),
        PathState::Disabled => (glyphs.paused, "disabled", Token::Paused),
        PathState::Idle => (glyphs.queued, "idle", Token::Muted),
    };
    canvas.glyph(x, y, glyph, token);
    let used = canvas.text(x + 2, y, width.saturating_sub(2), word, token);
    if let Some(at) = path.probe_at_ms {
        let wait = Seconds(at.saturating_sub(context.model.node_now()).div_ceil(1_000));
        canvas.right(x + 3 + used, y, width.saturating_sub(3 + used), format_args!("{wait}"), Token::Muted);
    }
}

/// T, L and E with their weights and signs: they add up to the score.
pub fn weighted(path: &PathRow) -> [f64; 3] {
    let weights = Weights::default();
    let (t, l, e) = path.terms;
    [weights.throughput * t, -weights.latency * l, -weights.errors * e]
}

fn share(share: f64) -> Percent {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    Percent { part: (share * 1_000.0).round() as u64, whole: 1_000 }
}
