//! The mouse: click to focus and select, on a heading to sort by it, wheel to scroll.

use std::sync::Arc;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::actions::refresh_rows;
use super::movement;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::panes::pieces::Shape;
use crate::console::panes::{self, PaneId, transfers};
use crate::console::view::layout::Layout;

/// Lines per turn of the wheel.
const WHEEL: isize = 3;

/// Takes a mouse event. In dialogs only the wheel works.
pub fn mouse(model: &mut Model, event: MouseEvent, _effects: &mut Vec<Effect>) {
    let wheel = match event.kind {
        MouseEventKind::ScrollUp => Some(-WHEEL),
        MouseEventKind::ScrollDown => Some(WHEEL),
        _ => None,
    };
    if !model.overlays.is_empty() {
        if let Some(lines) = wheel {
            movement::by(model, lines);
        }
        return;
    }
    let layout = Layout::of(model);
    let at = Position::new(event.column, event.row);
    let Some((pane, area)) = layout.panes.iter().find(|(_, area)| area.contains(at)).copied() else { return };
    if let Some(lines) = wheel {
        let had = std::mem::replace(&mut model.focus, pane);
        movement::by(model, lines);
        model.focus = had;
        return;
    }
    if event.kind != MouseEventKind::Down(MouseButton::Left) {
        return;
    }
    model.focus = pane;
    let line = usize::from(event.row.saturating_sub(area.y + 1));
    match pane {
        PaneId::Transfers if line >= 1 => {
            let place = model.transfers.top + line - 1;
            if place < model.transfers.rows.len() {
                model.transfers.select(place);
            }
        }
        PaneId::Pieces => {
            let fixed = 3 + usize::from(Shape::shown(model, area).sources);
            if let Some(row) = line.checked_sub(fixed) {
                if model.files.shown {
                    model.files.at = model.files.top + row;
                    return;
                }
                let place = model.pieces.top + row;
                if place < model.pieces.order.len() {
                    model.pieces.select(place);
                }
            }
        }
        PaneId::Paths => {
            // Below the headings.
            let place = model.paths.top + line.saturating_sub(1);
            if let Some(row) = model.selected().filter(|row| line >= 1 && place < row.paths.len()).cloned() {
                model.paths.select(&row.paths, place);
            }
        }
        PaneId::Link => {
            let place = model.links.top + line.saturating_sub(1);
            let shown = line >= 1 && line <= panes::pane(pane).page(area.height);
            let snapshot = Arc::clone(&model.snapshot);
            if shown && place < snapshot.links.len() {
                model.links.select(&snapshot.links, place);
            }
        }
        PaneId::Queue => {
            let first = 1 + usize::from(panes::queue::above(area.height));
            if let Some(row) = line.checked_sub(first).filter(|row| *row < panes::pane(pane).page(area.height)) {
                let (snapshot, place) = (Arc::clone(&model.snapshot), model.queue.top + row);
                if place < model.queue.rows.len() {
                    model.queue.select(&snapshot.queue, place);
                }
            }
        }
        PaneId::Nodes => {
            let place = model.nodes.top + line.saturating_sub(1);
            let shown = line >= 1 && line <= panes::pane(pane).page(area.height);
            if shown && place < model.nodes.rows.len() {
                let pool = Arc::clone(&model.snapshot.pool);
                model.nodes.select(&pool, place);
            }
        }
        PaneId::Log => {
            let place = model.log.top + line;
            if place < model.log.shown.len() {
                model.log.select(place);
            }
        }
        PaneId::Transfers => {
            // The border says nothing of columns; the line below it does.
            let sort = transfers::sort_at(model, area, event.column).filter(|_| event.row == area.y + 1);
            let Some(sort) = sort else { return };
            let list = &mut model.transfers;
            // The same heading again turns the order round.
            list.reversed = list.sort == sort && !list.reversed;
            list.sort = sort;
            refresh_rows(model, true);
        }
    }
}
