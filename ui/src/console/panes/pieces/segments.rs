//! The segments of a push: what the receiver holds, and by which path it came.
//!
//! ```text
//! │ 1,230 of 2,385 segments held by the receiver (51%) · 18 on their way      │
//! │ PATH             0                   2,385  STATE  SEGMENTS SHARE       UP│
//! │ receiver         ███████████████▸▸▒▒······            1,230       32.4 MB/s│
//! │ eth0             ▅▅▅▅▅▅▅▅▅▅▅                works       912   66% 24.9 MB/s│
//! ```

use ratatui::layout::Rect;
use skep_engine::control::{PathRow, PathState, TransferRow};

use super::facts::Line;
use super::{Cell, Shape};
use crate::console::model::paths::short_names;
use crate::console::panes::{Context, PaneId};
use crate::console::theme::Token;
use crate::console::widgets::format::{Binary, Bytes, Count, Percent, Rate};
use crate::console::widgets::{Canvas, text};

/// The heading of a column.
pub fn title(key: Cell) -> &'static str {
    match key {
        Cell::Peer => "PATH",
        Cell::Gives => "STATE",
        Cell::Down => "SEGMENTS",
        Cell::Gets => "SHARE",
        Cell::Up => "UP",
        Cell::Sent => "SENT",
        Cell::Rtt => "RTT",
        Cell::Requests => "BUSY",
        _ => "",
    }
}

/// The exact numbers.
pub fn facts(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &TransferRow, context: Context<'_>) {
    let map = &context.derived.map;
    let mut line = Line::new(canvas, x, y, width);
    let (have, pieces) = (u64::from(map.have), u64::from(map.pieces));
    let percent = Percent { part: have, whole: pieces };
    line.fact(
        format_args!("{} of {} segments held by the receiver ({percent})", Count(have), Count(pieces)),
        Token::Strong,
    );
    if map.in_flight > 0 {
        line.fact(format_args!("{} on their way", Count(map.in_flight.into())), Token::MapFlight);
    }
    let queued: u64 = row.paths.iter().map(|path| u64::from(path.queued)).sum();
    if queued > 0 {
        line.fact(format_args!("{} planned", Count(queued)), Token::Text);
    }
    if row.segment > 0 {
        line.fact(format_args!("{} each", Binary(row.segment)), Token::Muted);
    }
}

/// The numbers of the receiver: sums over all paths.
pub fn own(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, row: &TransferRow) {
    for place in &shape.columns {
        let (x, width) = (shape.inner.x + 2 + place.x, place.width);
        match place.key {
            Cell::Peer => {
                canvas.text(x, y, width, "the receiver", Token::Strong);
            }
            Cell::Down => {
                canvas.right(x, y, width, format_args!("{}", Count(row.pieces_done.into())), Token::Text);
            }
            Cell::Up if row.rate_up > 0 => {
                canvas.right(x, y, width, format_args!("{}", Rate(row.rate_up)), Token::Up);
            }
            Cell::Sent if row.bytes_up > 0 => {
                canvas.right(x, y, width, format_args!("{}", Bytes(row.bytes_up)), Token::Text);
            }
            _ => {}
        }
    }
}

/// The paths on screen, each with a bar on the map's scale: its part of what the receiver holds.
pub fn rows(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, row: &TransferRow, context: Context<'_>) {
    let model = context.model;
    // The line for sources is free here.
    let lines = shape.peer_rows + usize::from(shape.sources);
    if row.paths.is_empty() && lines > 0 {
        let width = shape.inner.width.saturating_sub(3);
        canvas.text(shape.inner.x + 2, y, width, "which paths answer is not known yet", Token::Muted);
    }
    let short = short_names(&row.paths);
    let pieces = u64::from(context.derived.map.pieces).max(1);
    for (line, (at, path)) in row.paths.iter().enumerate().skip(model.pieces.top).take(lines).enumerate() {
        let y = y + line as u16;
        let cells = (u64::from(path.done) * u64::from(shape.map_width)).div_ceil(pieces) as u16;
        for at in 0..cells.min(shape.map_width) {
            canvas.glyph(shape.map_x + at, y, canvas.glyphs.lane[5], Token::Lane);
        }
        let name = short.get(at).copied().unwrap_or_default();
        columns(canvas, shape, y, path, name, u64::from(row.pieces_done));
        if model.pieces.selected.as_deref() == Some(&path.path) {
            canvas.glyph(shape.inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            let focused = model.focus == PaneId::Pieces && model.overlays.is_empty();
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(shape.inner.x + 1, y, shape.inner.width - 1, 1), token);
        }
    }
}

fn columns(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, path: &PathRow, short: &str, held: u64) {
    for place in &shape.columns {
        let (x, width) = (shape.inner.x + 2 + place.x, place.width);
        match place.key {
            Cell::Peer => {
                let bare = path.path.split_once("://").map_or(path.path.as_str(), |(_, rest)| rest);
                let name = if text::width(bare) <= usize::from(width) { bare } else { short };
                canvas.text(x, y, width, name, Token::Text);
            }
            Cell::Gives => {
                let (word, token) = match path.state {
                    PathState::Healthy => ("works", Token::Running),
                    PathState::Degraded => ("slow", Token::Warn),
                    PathState::Dead => ("dead", Token::Error),
                    PathState::Probing => ("probed", Token::Waiting),
                    PathState::Disabled => ("off", Token::Paused),
                    PathState::Idle => ("idle", Token::Muted),
                };
                canvas.text(x, y, width, word, token);
            }
            Cell::Down => {
                canvas.right(x, y, width, format_args!("{}", Count(path.done.into())), Token::Text);
            }
            Cell::Gets => {
                let percent = Percent { part: path.done.into(), whole: held.max(path.done.into()) };
                canvas.right(x, y, width.min(5), format_args!("{percent}"), Token::Muted);
            }
            Cell::Up if path.rate > 0 => {
                canvas.right(x, y, width, format_args!("{}", Rate(path.rate)), Token::Up);
            }
            Cell::Sent if path.bytes > 0 => {
                canvas.right(x, y, width, format_args!("{}", Bytes(path.bytes)), Token::Muted);
            }
            Cell::Rtt if path.latency_ms > 0.0 => {
                let digits = usize::from(path.latency_ms < 9.95);
                canvas.right(x, y, width, format_args!("{:.digits$}ms", path.latency_ms.min(9_999.0)), Token::Muted);
            }
            Cell::Requests if path.window > 0 => {
                canvas.right(x, y, width, format_args!("{}/{}", path.active, path.window), Token::Muted);
            }
            _ => {}
        }
    }
}

/// What more there is to say of the selected path, or what the glyphs mean.
pub fn note(canvas: &mut Canvas<'_>, shape: &Shape, row: &TransferRow, context: Context<'_>) {
    let (x, y) = (shape.inner.x + 2, shape.inner.bottom() - 1);
    let room = shape.inner.width.saturating_sub(3);
    let selected = context.model.pieces.selected.as_deref();
    let path = selected.and_then(|name| row.paths.iter().find(|path| path.path == name));
    if let Some(path) = path.filter(|path| !path.note.is_empty()) {
        let used = canvas.left(x, y, room, format_args!("{}: ", path.path), Token::Muted);
        canvas.text(x + used, y, room.saturating_sub(used), &path.note, Token::Text);
        return;
    }
    let glyphs = canvas.glyphs;
    let entries: [(&[&'static str], &str, Token); 4] = [
        (&[glyphs.have], "held by the receiver", Token::MapHave),
        (&[glyphs.flight], "on their way", Token::MapFlight),
        (&glyphs.missing, "some to all to be sent", Token::MapMissing),
        (&[glyphs.lane[5]], "a path's part of what is held", Token::Lane),
    ];
    super::legend(canvas, x, y, x + room, &entries);
}
