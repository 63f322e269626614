//! Moving in whatever list has the keys.

use std::sync::Arc;

use super::looks;
use crate::console::model::Model;
use crate::console::model::files;
use crate::console::model::overlay::{ClassesView, Overlay};
use crate::console::model::pieces::Zoom;
use crate::console::overlays::help_rows;
use crate::console::panes::{self, PaneId};
use crate::console::view::layout::Layout;

/// Moves by lines.
pub fn by(model: &mut Model, lines: isize) {
    let bans = model.snapshot.bans.len();
    let replay = model.settings.replay;
    let screen = usize::from(model.size.1);
    match model.overlays.last_mut() {
        Some(Overlay::Help(view)) => {
            let last = (help_rows(view.pane, replay, model.size.0) + 4).saturating_sub(screen);
            view.top = view.top.saturating_add_signed(lines).min(last);
        }
        Some(Overlay::Themes(_)) => looks::preview(model, lines),
        Some(Overlay::Bans(view)) => view.at = view.at.saturating_add_signed(lines).min(bans.saturating_sub(1)),
        Some(Overlay::Targets(view)) => {
            let last = model.settings.targets.len().saturating_sub(1);
            view.at = view.at.saturating_add_signed(lines).min(last);
        }
        Some(Overlay::Classes(view)) => view.at = view.at.saturating_add_signed(lines).min(ClassesView::COUNT - 1),
        _ => match model.focus {
            PaneId::Transfers => model.transfers.move_by(lines),
            PaneId::Pieces if model.files.shown => {
                let files = model.detail().map_or(0, |detail| detail.files.len());
                model.files.move_by(lines, files);
            }
            PaneId::Pieces => model.pieces.move_by(lines),
            PaneId::Paths => {
                if let Some(row) = model.selected().cloned() {
                    model.paths.move_by(&row.paths, lines);
                }
            }
            PaneId::Link => {
                let snapshot = Arc::clone(&model.snapshot);
                model.links.move_by(&snapshot.links, lines);
            }
            PaneId::Queue => {
                let snapshot = Arc::clone(&model.snapshot);
                model.queue.move_by(&snapshot.queue, lines);
            }
            PaneId::Nodes => {
                let pool = Arc::clone(&model.snapshot.pool);
                model.nodes.move_by(&pool, lines);
            }
            PaneId::Log => model.log.move_by(lines),
        },
    }
}

/// Moves by pages.
pub fn page(model: &mut Model, pages: isize) {
    let rows = if model.overlays.is_empty() {
        let area = Layout::of(model).area(model.focus);
        area.map_or(1, |a| panes::pane(model.focus).page(a.height))
    } else {
        usize::from(model.size.1).saturating_sub(4)
    };
    by(model, pages * rows.max(1) as isize);
}

/// Goes to the first or last line.
pub fn end(model: &mut Model, last: bool) {
    if !model.overlays.is_empty() || model.focus != PaneId::Log || !last {
        return by(model, if last { 1_000_000_000 } else { -1_000_000_000 });
    }
    // The end of the log is followed from now on.
    model.log.at = None;
}

/// Lets the map show the selected file alone, or everything if it does already.
pub fn jump_to_file(model: &mut Model) {
    let Some(place) = model.detail().and_then(|detail| files::place(detail, model.files.at)) else { return };
    let pieces = &mut model.pieces;
    if pieces.zoom == Zoom::File && pieces.file == place.pieces {
        pieces.zoom = Zoom::Whole;
    } else if !place.pieces.is_empty() {
        pieces.zoom = Zoom::File;
        pieces.file = place.pieces;
    }
}

/// Moves a zoomed map by half of what it shows.
pub fn pan(model: &mut Model, right: bool) {
    let layout = Layout::of(model);
    let (Some(area), Some(detail)) = (layout.area(PaneId::Pieces), model.detail()) else { return };
    let width = panes::pieces::Shape::shown(model, area).map_width;
    let range = model.pieces.range(detail.have.len(), width);
    let step = (range.len() as u32 / 2).max(1);
    let last = detail.have.len().saturating_sub(range.len() as u32);
    model.pieces.start =
        if right { range.start.saturating_add(step).min(last) } else { range.start.saturating_sub(step) };
}
