//! The list of transfers.
//!
//! ```text
//! ╭ 1 Transfers ─ 12 · 4 running · 1 stalled ──────────────── sorted by added ╮
//! │  STATE       NAME            VIA    PROGRESS            NOW     ETA PEERS │
//! │▌ ▸ RUNNING   ubuntu.iso      swarm  ███████▌··· 72%  184 MB/s 12m05s 12/40│
//! │  why: rarest first, 4 of 12 peers choke us                                │
//! ╰───────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::layout::Rect;
use skep_engine::control::{Direction, TransferKind, TransferRow, TransferState};

use super::{Context, Pane, PaneId};
use crate::console::derive::over::over;
use crate::console::derive::phases::Phases;
use crate::console::derive::status;
use crate::console::derive::totals::Totals;
use crate::console::model::Model;
use crate::console::model::sort::SortKey;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Limit, Percent, Rate, Seconds};
use crate::console::widgets::table::{Column, Placed, fit};
use crate::console::widgets::{Align, Canvas, bar, frame};

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    State,
    Name,
    Via,
    Way,
    Bar,
    Percent,
    Now,
    Average,
    Eta,
    Priority,
    Peers,
    Size,
    Up,
    Why,
}

const COLUMNS: &[Column<Cell>] = &[
    Column::new(Cell::State, "STATE", 11, 11, 0, Align::Left),
    Column::new(Cell::Name, "NAME", 10, 44, 0, Align::Left),
    Column::new(Cell::Via, "VIA", 6, 9, 10, Align::Left),
    Column::new(Cell::Bar, "PROGRESS", 10, 20, 4, Align::Left),
    Column::new(Cell::Percent, "", 4, 4, 1, Align::Right),
    Column::new(Cell::Size, "SIZE", 7, 7, 11, Align::Right),
    Column::new(Cell::Way, "", 1, 1, 6, Align::Left),
    Column::new(Cell::Now, "NOW", 9, 9, 1, Align::Right),
    Column::new(Cell::Average, "AVERAGE", 9, 9, 8, Align::Right),
    Column::new(Cell::Up, "UP", 9, 9, 12, Align::Right),
    Column::new(Cell::Eta, "ETA", 6, 6, 3, Align::Right),
    Column::new(Cell::Priority, "PR", 2, 2, 7, Align::Right),
    Column::new(Cell::Peers, "PEERS", 7, 7, 5, Align::Right),
    Column::new(Cell::Why, "WHY", 18, 100, 9, Align::Left),
];

/// The pane.
#[derive(Debug)]
pub struct Transfers;

/// Lines that are not rows: two of border, headings, and what is said of the selected one.
const FIXED: u16 = 4;

impl Pane for Transfers {
    fn id(&self) -> PaneId {
        PaneId::Transfers
    }

    fn page(&self, height: u16) -> usize {
        usize::from(height.saturating_sub(FIXED))
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let list = &model.transfers;
        let focused = model.focus == PaneId::Transfers && model.overlays.is_empty();
        let totals = Facts(&context.derived.totals, canvas.glyphs.dot, list.marked.len());
        let turned = if list.reversed { ", reversed" } else { "" };
        let order = format_args!("by {}{turned}", list.sort.name());
        let inner = if list.filter.is_empty() {
            frame::draw(canvas, area, self.id().heading(), focused, format_args!("{totals}"), order)
        } else {
            let remark = format_args!("filter: {} ({})", list.filter.text(), list.rows.len());
            frame::draw(canvas, area, self.id().heading(), focused, format_args!("{totals}"), remark)
        };
        if inner.height < 2 {
            return;
        }
        let columns = columns(inner.width, model);
        for place in &columns {
            // The order shows in the headings: a click on one sorts by it.
            let token = if sort_of(place.key) == Some(list.sort) { Token::Strong } else { Token::Heading };
            let (x, title) = (inner.x + 2 + place.x, format_args!("{}", place.title));
            canvas.print(x, inner.y, place.width, place.align, title, token);
        }
        let page = self.page(area.height);
        if list.rows.is_empty() {
            empty(canvas, inner, context);
        }
        let rows = list.rows.iter().skip(list.top).take(page);
        for (line, row) in rows.enumerate() {
            let Some(transfer) = model.snapshot.transfers.get(row.at) else { continue };
            let y = inner.y + 1 + line as u16;
            let selected = list.selected == Some(row.id);
            if selected {
                canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            }
            if list.marked.contains(&row.id) {
                canvas.glyph(inner.x + 1, y, canvas.glyphs.mark, Token::Cursor);
            }
            for place in &columns {
                cell(canvas, inner.x + 2, y, place, transfer, context);
            }
            if selected {
                let token = if focused { Token::Selected } else { Token::SelectedDim };
                canvas.wash(Rect::new(inner.x + 1, y, inner.width - 1, 1), token);
            }
        }
        if let Some(row) = model.selected() {
            about(canvas, inner, row, page, list.rows.len(), list.top);
        }
    }
}

/// The columns that fit inside a border of this width. Priorities take room only where there are any.
fn columns(inner: u16, model: &Model) -> Vec<Placed<Cell>> {
    let priorities = model.snapshot.transfers.iter().any(|row| row.priority != 0);
    // Names are what rows are told apart by: they keep more where there is more.
    let width = inner.saturating_sub(3);
    let name = if width >= 70 { 20 } else { 10 };
    let asked: Vec<Column<Cell>> = COLUMNS
        .iter()
        .filter(|c| priorities || c.key != Cell::Priority)
        .map(|c| if c.key == Cell::Name { Column { min: name, ..*c } } else { *c })
        .collect();
    fit(&asked, width, &[Cell::Name, Cell::Why, Cell::Why, Cell::Bar])
}

/// The order that a column stands for.
fn sort_of(key: Cell) -> Option<SortKey> {
    match key {
        Cell::State => Some(SortKey::State),
        Cell::Name => Some(SortKey::Name),
        Cell::Bar | Cell::Percent => Some(SortKey::Progress),
        Cell::Size => Some(SortKey::Size),
        Cell::Now | Cell::Average => Some(SortKey::Rate),
        Cell::Eta => Some(SortKey::TimeLeft),
        Cell::Priority => Some(SortKey::Queue),
        Cell::Via | Cell::Way | Cell::Up | Cell::Peers | Cell::Why => None,
    }
}

/// The order whose heading stands at column `x` of the screen, for a pane in this area.
pub fn sort_at(model: &Model, area: Rect, x: u16) -> Option<SortKey> {
    let within = x.checked_sub(area.x + 3)?;
    let columns = columns(area.width.saturating_sub(2), model);
    columns.iter().find(|c| (c.x..c.x + c.width).contains(&within)).and_then(|c| sort_of(c.key))
}

/// Nothing to list: say why, and what to do.
fn empty(canvas: &mut Canvas<'_>, inner: Rect, context: Context<'_>) {
    let model = context.model;
    let text = if model.received.is_none() {
        "waiting for the node…"
    } else if model.snapshot.transfers.is_empty() {
        "nothing here yet: a adds a link, S shares a file or folder, s sends one, y syncs"
    } else {
        "no transfer matches the filter: Esc clears it"
    };
    canvas.text(inner.x + 2, inner.y + 1, inner.width.saturating_sub(3), text, Token::Muted);
}

/// The line below the rows: why the selected one is as it is, in full width.
fn about(canvas: &mut Canvas<'_>, inner: Rect, row: &TransferRow, page: usize, rows: usize, top: usize) {
    let y = inner.bottom() - 1;
    let mut room = inner.width.saturating_sub(3);
    if rows > page {
        let last = (top + page).min(rows);
        let used = canvas.right(inner.x + 2, y, room, format_args!("{}-{last} of {rows}", top + 1), Token::Muted);
        room = room.saturating_sub(used + 2);
    }
    let mut x = inner.x + 2;
    let tells = row.error.is_none() && phases_tell(row);
    if tells {
        // It comes first: where to is told besides, if there is room.
        let used = canvas.left(x, y, room, format_args!("{}", Phases(row, canvas.glyphs.dot)), Token::Text) + 2;
        (x, room) = (x + used, room.saturating_sub(used));
        if room < 24 {
            return;
        }
    }
    if let Some((word, who)) = other_side(row) {
        let part = if tells { room } else { room / 2 };
        let used = canvas.left(x, y, part, format_args!("{word}: {who}  "), Token::Muted);
        (x, room) = (x + used, room - used);
    }
    if tells {
        return;
    }
    if let Some(error) = &row.error {
        let used = canvas.text(x, y, room, "error: ", Token::Error);
        canvas.text(x + used, y, room - used, error, Token::Text);
    } else if !row.reason.is_empty() {
        let used = canvas.text(x, y, room, "why: ", Token::Muted);
        canvas.text(x + used, y, room - used, &row.reason, Token::Text);
    } else if let Some(over) = over(row, canvas.glyphs.dot) {
        let used = canvas.text(x, y, room, "over: ", Token::Muted);
        canvas.left(x + used, y, room - used, format_args!("{over}"), Token::Text);
    } else if !row.path.is_empty() {
        let used = canvas.text(x, y, room, "at: ", Token::Muted);
        canvas.text(x + used, y, room - used, &row.path, Token::Text);
    }
}

/// True if what it does, or what that came to, tells more than the reason.
fn phases_tell(row: &TransferRow) -> bool {
    match row.state {
        TransferState::Done => row.delta.is_some() || row.sync.is_some() && row.reason.is_empty(),
        state if state.is_settled() => false,
        _ => row.phases.iter().any(|phase| phase.active),
    }
}

/// The other side of a push, and the word for it.
fn other_side(row: &TransferRow) -> Option<(&'static str, &str)> {
    match row.kind {
        TransferKind::Send | TransferKind::Sync if !row.dest.is_empty() => Some(("to", &row.dest)),
        TransferKind::Receive if !row.from.is_empty() => Some(("from", &row.from)),
        _ => None,
    }
}

fn cell(canvas: &mut Canvas<'_>, x: u16, y: u16, place: &Placed<Cell>, row: &TransferRow, context: Context<'_>) {
    let (x, width) = (x + place.x, place.width);
    let status = status::of(row, context.model.wishes.of(row.id));
    let moving = row.state == TransferState::Running;
    let uploads = row.direction == Direction::Up || row.state == TransferState::Seeding;
    let (now, average) = if uploads { (row.rate_up, row.smooth_up) } else { (row.rate_down, row.smooth_down) };
    let way = if uploads { Token::Up } else { Token::Down };
    match place.key {
        Cell::State => {
            canvas.glyph(x, y, (status.glyph)(canvas.glyphs), status.token);
            canvas.text(x + 2, y, width - 2, status.word, status.token);
        }
        Cell::Name => {
            let name = if row.name.is_empty() { "(name not known yet)" } else { &row.name };
            canvas.text(x, y, width, name, if row.name.is_empty() { Token::Muted } else { Token::Text });
        }
        Cell::Via => {
            canvas.text(x, y, width, row.via(), Token::Muted);
        }
        Cell::Way => {
            if now > 0 {
                canvas.glyph(x, y, canvas.glyphs.arrows[usize::from(uploads)], way);
            }
        }
        Cell::Bar => bar::draw(canvas, x, y, width, row.done, row.size, bar_token(row)),
        Cell::Percent => {
            canvas.right(x, y, width, format_args!("{}", Percent { part: row.done, whole: row.size }), Token::Text);
        }
        Cell::Size => {
            if row.size > 0 {
                canvas.right(x, y, width, format_args!("{}", Bytes(row.size)), Token::Muted);
            }
        }
        Cell::Now => rate(canvas, x, y, width, now, moving, way),
        Cell::Average => rate(canvas, x, y, width, average, false, Token::Muted),
        Cell::Up => rate(canvas, x, y, width, if uploads { 0 } else { row.rate_up }, false, Token::Up),
        Cell::Eta => match row.eta_s.filter(|_| moving) {
            Some(eta) => {
                canvas.right(x, y, width, format_args!("{}", Seconds(eta)), Token::Text);
            }
            None if moving => {
                canvas.right(x, y, width, format_args!("{}", canvas.glyphs.none), Token::Faint);
            }
            None => {}
        },
        Cell::Priority => {
            if row.priority != 0 {
                let token = if row.priority > 0 { Token::Strong } else { Token::Muted };
                canvas.right(x, y, width, format_args!("{:+}", row.priority), token);
            }
        }
        Cell::Peers => {
            let active = moving || matches!(row.state, TransferState::Starting | TransferState::Seeding);
            if active && row.peers_known.max(row.peers) > 0 {
                let token = if row.peers == 0 && moving { Token::Warn } else { Token::Muted };
                canvas.right(x, y, width, format_args!("{}/{}", row.peers, row.peers_known), token);
            }
        }
        Cell::Why => {
            let limit = if uploads { row.limit_up } else { row.limit_down };
            if let Some(error) = &row.error {
                canvas.text(x, y, width, error, Token::Error);
            } else if phases_tell(row) {
                canvas.left(x, y, width, format_args!("{}", Phases(row, canvas.glyphs.dot)), Token::Muted);
            } else if row.reason.is_empty() && limit.is_some() && !matches!(row.state, TransferState::Done) {
                let limit = Limit(limit, canvas.glyphs.unlimited);
                canvas.left(x, y, width, format_args!("limited to {limit}"), Token::Muted);
            } else if let (true, true, Some(over)) = (row.reason.is_empty(), moving, over(row, canvas.glyphs.dot)) {
                canvas.left(x, y, width, format_args!("over {over}"), Token::Muted);
            } else if let (true, Some((word, who))) = (row.reason.is_empty(), other_side(row)) {
                canvas.left(x, y, width, format_args!("{word} {who}"), Token::Muted);
            } else {
                canvas.text(x, y, width, &row.reason, Token::Muted);
            }
        }
    }
}

fn rate(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, rate: u64, zero_matters: bool, token: Token) {
    if rate > 0 {
        canvas.right(x, y, width, format_args!("{}", Rate(rate)), token);
    } else if zero_matters {
        canvas.right(x, y, width, format_args!("{}", Rate(0)), Token::Warn);
    }
}

fn bar_token(row: &TransferRow) -> Token {
    match row.state {
        TransferState::Seeding | TransferState::Done => Token::Done,
        TransferState::Failed => Token::Error,
        TransferState::Paused | TransferState::Pausing => Token::Paused,
        TransferState::Cancelled | TransferState::Queued => Token::Muted,
        _ if status::is_stalled(row) => Token::Warn,
        _ => Token::BarFill,
    }
}

/// Counts for the border: `12 · 4 running · 1 stalled`.
struct Facts<'a>(&'a Totals, &'static str, usize);

impl std::fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(totals, dot, marked) = self;
        write!(f, "{}", totals.all)?;
        let parts = [
            (totals.running, "running"),
            (totals.stalled, "STALLED"),
            (totals.failed, "FAILED"),
            (totals.waiting, "waiting"),
            (totals.paused, "paused"),
            (totals.seeding, "seeding"),
            (totals.done, "done"),
            (totals.cancelled, "cancelled"),
            (*marked, "marked"),
        ];
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, " {dot} {count} {word}")?;
        }
        if totals.left > 0 {
            write!(f, " {dot} {} to go", Bytes(totals.left))?;
        }
        Ok(())
    }
}
