//! Pieces and peers of the selected transfer, on one scale, so that columns line up.
//!
//! ```text
//! ╭ 2 Pieces ─ ubuntu.iso ────────────────────────────────────── all pieces ╮
//! │ 5,914 of 8,192 here · 2,278 missing · 8 in flight · rarest 1 peer × 12  │
//! │ PEER           0                   8,192  GIVES       DOWN  GETS     UP │
//! │ this node      ███▓▒░░··█████1██████████           184 MB/s    12 MB/s  │
//! │ sources        ▅▅▅▂▁▃▃▃▃     ▁                                          │
//! │ 10.0.0.7:7070  ▅▅▅▅▅▄▃▂▁▁▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅  open      96 MB/s open        │
//! ╰─────────────────────────────────────────────────────────────────────────╯
//! ```

mod delta;
mod facts;
mod files;
pub mod grid;
mod lanes;
mod peers;
mod segments;
mod sync;

use ratatui::layout::Rect;
use skep_engine::control::{DeltaMap, TransferDetail, TransferKind, TransferRow, TransferState};

use super::{Context, Pane, PaneId};
use crate::console::derive::delta::Part;
use crate::console::model::Model;
use crate::console::model::pieces::Zoom;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Count};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, frame};

/// A column of the table of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Its address.
    Peer,
    /// What it has.
    Map,
    /// Does it give to us?
    Gives,
    /// Rate from it.
    Down,
    /// Does it get from us?
    Gets,
    /// Rate to it.
    Up,
    /// Bytes from it.
    Got,
    /// Bytes to it.
    Sent,
    /// Sent over got.
    Ratio,
    /// Round trip.
    Rtt,
    /// Requests under way and how many may be.
    Requests,
}

const COLUMNS: [Column<Cell>; 11] = [
    Column::new(Cell::Peer, "PEER", 15, 24, 0, Align::Left),
    Column::new(Cell::Map, "", 12, u16::MAX, 0, Align::Left),
    Column::new(Cell::Gives, "GIVES", 6, 6, 2, Align::Left),
    Column::new(Cell::Down, "DOWN", 9, 9, 1, Align::Right),
    Column::new(Cell::Gets, "GETS", 6, 6, 4, Align::Left),
    Column::new(Cell::Up, "UP", 9, 9, 3, Align::Right),
    Column::new(Cell::Got, "GOT", 7, 7, 5, Align::Right),
    Column::new(Cell::Sent, "SENT", 7, 7, 7, Align::Right),
    Column::new(Cell::Ratio, "RATIO", 5, 5, 8, Align::Right),
    Column::new(Cell::Rtt, "RTT", 6, 6, 6, Align::Right),
    Column::new(Cell::Requests, "REQS", 5, 5, 9, Align::Right),
];

/// How the pane is divided at a size: also what is derived for it depends on this.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Inside the border.
    pub inner: Rect,
    /// Columns that fit.
    pub columns: Vec<Placed<Cell>>,
    /// First column of the map, on screen.
    pub map_x: u16,
    /// Cells of the map.
    pub map_width: u16,
    /// A line tells how many peers have what is missing.
    pub sources: bool,
    /// The last line tells more of the selected peer.
    pub note: bool,
    /// Lines for peers.
    pub peer_rows: usize,
}

impl Shape {
    /// The shape for what the model shows.
    pub fn shown(model: &Model, area: Rect) -> Self {
        let delta = !model.files.shown && model.detail().is_some_and(|detail| detail.delta.is_some());
        Self::with(area, model.pieces.zoom, delta)
    }

    /// The shape for an area, border included.
    pub fn of(area: Rect, zoom: Zoom) -> Self {
        Self::with(area, zoom, false)
    }

    /// A delta has few numbers: its map has their room.
    fn with(area: Rect, zoom: Zoom, delta: bool) -> Self {
        let inner = Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height.saturating_sub(2));
        // The map is what the pane is for: it keeps a third of the width, and more of it where a column is
        // one piece.
        let mut asked = COLUMNS;
        let tenths = if zoom == Zoom::Exact { 6 } else { 3 };
        asked[1].min = (inner.width.min(400) * tenths / 10).clamp(12, 240);
        let width = inner.width.saturating_sub(3);
        let few = [Cell::Peer, Cell::Map, Cell::Gives, Cell::Down];
        let asked: Vec<Column<Cell>> = asked.into_iter().filter(|column| !delta || few.contains(&column.key)).collect();
        let columns = fit(&asked, width, &[Cell::Map, Cell::Peer]);
        let map = columns.iter().find(|c| c.key == Cell::Map);
        let (map_x, map_width) = map.map_or((0, 0), |c| (inner.x + 2 + c.x, c.width - 1));
        let sources = inner.height >= 8;
        let note = inner.height >= 9;
        let fixed = 3 + u16::from(sources) + u16::from(note);
        Self { inner, columns, map_x, map_width, sources, note, peer_rows: inner.height.saturating_sub(fixed).into() }
    }

    /// The line of the first peer.
    pub fn peers_y(&self) -> u16 {
        self.inner.y + 3 + u16::from(self.sources)
    }
}

/// The pane.
#[derive(Debug)]
pub struct Pieces;

impl Pane for Pieces {
    fn id(&self) -> PaneId {
        PaneId::Pieces
    }

    fn page(&self, height: u16) -> usize {
        Shape::of(Rect::new(0, 0, 80, height), Zoom::Whole).peer_rows
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let focused = model.focus == PaneId::Pieces && model.overlays.is_empty();
        let heading = self.id().heading();
        let (Some(row), Some(detail)) = (model.selected(), model.detail()) else {
            let name = model.selected().map_or("", |row| &row.name);
            let inner = frame::draw(canvas, area, heading, focused, format_args!("{name}"), format_args!(""));
            if let Some(row) = model.selected().filter(|row| row.kind == TransferKind::Sync) {
                return sync::draw(canvas, inner, row);
            }
            let text = match model.selected() {
                None => "select a transfer to see its pieces and peers",
                Some(row) if row.state == TransferState::Cancelled => "cancelled: no piece and no peer any more",
                Some(_) if model.travel.past.is_some() => "not recorded: another transfer was looked at then",
                Some(_) => "waiting for its details…",
            };
            canvas.text(inner.x + 2, inner.y, inner.width.saturating_sub(3), text, Token::Muted);
            return;
        };
        let zoom = model.pieces.zoom.name();
        frame::draw(canvas, area, heading, focused, format_args!("{}", row.name), format_args!("{zoom}"));
        let shape = Shape::shown(model, area);
        if shape.inner.height < 3 {
            return;
        }
        let (x, mut y) = (shape.inner.x + 2, shape.inner.y);
        let mode = Mode::of(row, detail, model.files.shown);
        let width = shape.inner.width.saturating_sub(3);
        match mode {
            Mode::Delta(map) => delta::facts(canvas, x, y, width, row, map),
            Mode::Segments => segments::facts(canvas, x, y, width, row, context),
            Mode::Peers | Mode::Files => facts::draw(canvas, x, y, width, detail, context),
        }
        y += 1;
        for place in shape.columns.iter().filter(|c| c.key != Cell::Map) {
            let title = match mode {
                Mode::Delta(_) => delta::title(place.key),
                Mode::Segments => segments::title(place.key),
                Mode::Files => files::title(place.key),
                Mode::Peers => place.title,
            };
            canvas.print(x + place.x, y, place.width, place.align, format_args!("{title}"), Token::Heading);
        }
        if let Mode::Delta(map) = mode {
            ruler(canvas, &shape, y, |cell| Bytes((u64::from(cell) * map.cell).min(map.size)), context);
            delta::own(canvas, &shape, y + 1, map, context);
            y += 2;
            if shape.sources {
                delta::phases(canvas, &shape, y, row);
                y += 1;
            }
            delta::rows(canvas, &shape, y, map, context);
            delta::grid(canvas, &shape, detail, map, context);
            if shape.note {
                delta::legend(canvas, &shape);
            }
            return;
        }
        ruler(canvas, &shape, y, |piece| Count(piece.into()), context);
        y += 1;
        lanes::own(canvas, &shape, y, context);
        match mode {
            Mode::Segments => segments::own(canvas, &shape, y, row),
            Mode::Peers => peers::own(canvas, &shape, y, row),
            Mode::Files | Mode::Delta(_) => {}
        }
        y += 1;
        if matches!(mode, Mode::Segments) {
            // How many have what is missing is no question: one receiver has it all in the end.
            segments::rows(canvas, &shape, y, row, context);
            grid::draw(canvas, &shape, lanes_below(row, detail), context);
            if shape.note {
                segments::note(canvas, &shape, row, context);
            }
            return;
        }
        if shape.sources {
            lanes::sources(canvas, &shape, y, context);
            y += 1;
        }
        if model.files.shown {
            files::rows(canvas, &shape, y, detail, context);
            // The grid was laid out below the peers: more files than that need its room.
            let lanes = lanes_below(row, detail);
            if detail.files.len() <= lanes {
                grid::draw(canvas, &shape, lanes, context);
            }
            if shape.note {
                files::note(canvas, &shape, detail, context);
            }
            return;
        }
        peers::rows(canvas, &shape, y, detail, context);
        grid::draw(canvas, &shape, detail.peers.len(), context);
        if shape.note {
            peers::note(canvas, &shape, detail, context);
        }
    }
}

/// Lines that stand below the map where there is room: the grid keeps clear of them.
pub fn lanes_below(row: &TransferRow, detail: &TransferDetail) -> usize {
    match Mode::of(row, detail, false) {
        Mode::Delta(_) => Part::ALL.len(),
        Mode::Segments => row.paths.len(),
        Mode::Peers | Mode::Files => detail.peers.len(),
    }
}

/// What stands below the map.
enum Mode<'a> {
    /// Who gives and gets.
    Peers,
    /// The files of the content.
    Files,
    /// The segments of a push, and its paths.
    Segments,
    /// What a delta found and sends.
    Delta(&'a DeltaMap),
}

impl<'a> Mode<'a> {
    fn of(row: &TransferRow, detail: &'a TransferDetail, files: bool) -> Self {
        match &detail.delta {
            _ if files => Self::Files,
            Some(map) => Self::Delta(map),
            None if matches!(row.kind, TransferKind::Send | TransferKind::Sync) => Self::Segments,
            None => Self::Peers,
        }
    }
}

/// What glyphs mean, as far as there is room up to column `end`.
fn legend(canvas: &mut Canvas<'_>, x: u16, y: u16, end: u16, entries: &[(&[&'static str], &str, Token)]) {
    let mut at = x;
    for (signs, word, token) in entries {
        let need = signs.len() as u16 + 1 + word.len() as u16;
        if at + need > end {
            return;
        }
        for sign in *signs {
            canvas.glyph(at, y, sign, *token);
            at += 1;
        }
        at += 1 + canvas.text(at + 1, y, need, word, Token::Faint) + 3;
    }
}

/// Where the first piece shown begins and where the last ends, over the map's ends.
fn ruler<T: std::fmt::Display>(
    canvas: &mut Canvas<'_>,
    shape: &Shape,
    y: u16,
    shown: impl Fn(u32) -> T,
    context: Context<'_>,
) {
    let range = &context.derived.map.range;
    let (x, width) = (shape.map_x, shape.map_width);
    for tick in 1..4 {
        canvas.glyph(x + (u32::from(width) * tick / 4) as u16, y, canvas.glyphs.tick, Token::Faint);
    }
    let start = canvas.left(x, y, width, format_args!("{}", shown(range.start)), Token::Heading);
    let rest = width.saturating_sub(start + 1);
    canvas.right(x + width - rest, y, rest, format_args!("{}", shown(range.end)), Token::Heading);
}
