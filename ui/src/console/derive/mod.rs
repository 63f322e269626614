//! What frames are made of, computed outside drawing and kept as long as its inputs stand: by the
//! detail's generation, the width and the zoom.

pub mod delta;
pub mod files;
pub mod link;
pub mod map;
pub mod nodes;
pub mod over;
pub mod phases;
pub mod queue;
pub mod status;
pub mod totals;

use std::ops::Range;
use std::sync::Arc;

use skep_engine::control::link::LinkRow;
use skep_engine::control::{TransferDetail, TransferId};

use super::model::Model;
use super::model::links::that_matters;
use super::panes::PaneId;
use super::panes::{link as pane_link, pieces};
use super::view::layout::Layout;

/// Everything derived for one frame.
#[derive(Debug, Default)]
pub struct Derived {
    /// The map of the selected transfer.
    pub map: map::Map,
    /// The same of all pieces, for many rows; empty where there is no room.
    pub grid: map::Map,
    /// Lanes of the peers on screen, by their place in the detail.
    pub lanes: Vec<(usize, Vec<map::LaneCell>)>,
    /// Files on screen, where they are shown in place of peers.
    pub files: Vec<files::FileRow>,
    /// The map of a delta, and its lanes; empty for what is none.
    pub delta: delta::DeltaCells,
    /// The same of all of it, for many rows.
    pub delta_grid: delta::DeltaCells,
    /// The link that matters most.
    pub link: Option<Arc<LinkRow>>,
    /// The charts of the selected link.
    pub charts: link::Charts,
    /// What is kept for which endpoint.
    pub outbox: queue::Outbox,
    /// Of the whole pool.
    pub nodes: nodes::Whole,
    /// Sums over all transfers.
    pub totals: totals::Totals,
    map_key: Option<MapKey>,
    grid_key: Option<MapKey>,
    /// Of which detail, builds of the map, and cells of the grid.
    delta_key: Option<(usize, u64, u16)>,
    lanes_key: Option<LanesKey>,
    /// Builds of the map, first file and number of files that the rows above hold for.
    files_key: Option<(u64, usize, usize)>,
    totals_of: Option<(u64, u64)>,
    /// Of which snapshot and transfer the link that matters is.
    link_of: Option<(u64, u64, Option<TransferId>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct MapKey {
    id: TransferId,
    generation: u64,
    start: u32,
    end: u32,
    width: u16,
    detail: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct LanesKey {
    map_builds: u64,
    top: usize,
    rows: usize,
    order: Vec<usize>,
}

impl MapKey {
    fn of(detail: &Arc<TransferDetail>, range: Range<u32>, width: u16) -> Self {
        Self {
            id: detail.id,
            generation: detail.generation,
            start: range.start,
            end: range.end,
            width,
            detail: Arc::as_ptr(detail) as usize,
        }
    }
}

impl Derived {
    /// Brings everything up to date for a frame of this layout; what still holds is kept.
    pub fn update(&mut self, model: &Model, layout: &Layout) {
        let of = (model.snapshot.generation, model.snapshot.time_ms);
        if self.totals_of != Some(of) {
            self.totals = totals::Totals::of(&model.snapshot);
            self.totals_of = Some(of);
        }
        let of = (of.0, of.1, model.transfers.selected);
        if self.link_of != Some(of) {
            let (row, detail) = (model.selected().map(AsRef::as_ref), model.detail().map(AsRef::as_ref));
            self.link = that_matters(&model.snapshot.links, row, detail).cloned();
            self.link_of = Some(of);
        }
        let chart = layout.area(PaneId::Link).map_or(0, |area| pane_link::chart_columns(model, area));
        self.charts.update(model, chart);
        self.outbox.update(&model.snapshot.queue);
        self.nodes.update(&model.snapshot.pool);
        match (model.detail(), layout.area(PaneId::Pieces)) {
            (Some(detail), Some(area)) => {
                let shape = pieces::Shape::shown(model, area);
                self.update_map(model, detail, &shape);
                self.update_grid(model, detail, &shape);
                self.update_delta(detail, &shape);
                self.update_lanes(model, detail, &shape);
                self.update_files(model, detail, &shape);
            }
            _ => {
                self.map = map::Map::default();
                self.grid = map::Map::default();
                (self.delta, self.delta_grid, self.delta_key) = Default::default();
                (self.map_key, self.grid_key) = (None, None);
                self.lanes.clear();
                self.lanes_key = None;
                self.files.clear();
                self.files_key = None;
            }
        }
    }

    fn update_map(&mut self, model: &Model, detail: &Arc<TransferDetail>, shape: &pieces::Shape) {
        let range = model.pieces.range(detail.have.len(), shape.map_width);
        let key = MapKey::of(detail, range.clone(), shape.map_width);
        if self.map_key.as_ref() != Some(&key) {
            let builds = self.map.builds + 1;
            self.map = map::Map::build(detail, range, shape.map_width);
            self.map.builds = builds;
            self.map_key = Some(key);
        }
    }

    fn update_grid(&mut self, model: &Model, detail: &Arc<TransferDetail>, shape: &pieces::Shape) {
        let pieces = detail.have.len();
        let lanes = model.selected().map_or(0, |row| pieces::lanes_below(row, detail));
        let area = pieces::grid::area(shape, lanes, pieces);
        let cells = area.map_or(0, |area| pieces::grid::cells(area, pieces));
        let key = MapKey::of(detail, 0..pieces, cells);
        if self.grid_key.as_ref() != Some(&key) {
            self.grid = if cells == 0 { map::Map::default() } else { map::Map::build(detail, 0..pieces, cells) };
            self.grid_key = Some(key);
        }
    }

    fn update_delta(&mut self, detail: &Arc<TransferDetail>, shape: &pieces::Shape) {
        let Some(map) = &detail.delta else {
            if self.delta_key.is_some() {
                (self.delta, self.delta_grid, self.delta_key) = Default::default();
            }
            return;
        };
        let cells = self.grid.cells.len() as u16;
        let key = (Arc::as_ptr(detail) as usize, self.map.builds, cells);
        if self.delta_key != Some(key) {
            self.delta = delta::DeltaCells::build(map, &self.map.range, shape.map_width);
            self.delta_grid = delta::DeltaCells::build(map, &(0..detail.have.len()), cells);
            self.delta_key = Some(key);
        }
    }

    fn update_files(&mut self, model: &Model, detail: &TransferDetail, shape: &pieces::Shape) {
        if !model.files.shown {
            self.files.clear();
            self.files_key = None;
            return;
        }
        let key = (self.map.builds, model.files.top, shape.peer_rows);
        if self.files_key != Some(key) {
            self.files = files::rows(detail, model.files.top, shape.peer_rows, &self.map.range, shape.map_width);
            self.files_key = Some(key);
        }
    }

    fn update_lanes(&mut self, model: &Model, detail: &TransferDetail, shape: &pieces::Shape) {
        let on_screen = model.pieces.order.iter().skip(model.pieces.top).take(shape.peer_rows);
        let key = LanesKey {
            map_builds: self.map.builds,
            top: model.pieces.top,
            rows: shape.peer_rows,
            order: on_screen.copied().collect(),
        };
        if self.lanes_key.as_ref() == Some(&key) {
            return;
        }
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.truncate(key.order.len());
        for (row, at) in key.order.iter().enumerate() {
            let Some(peer) = detail.peers.get(*at) else { continue };
            if lanes.len() <= row {
                lanes.push((*at, Vec::new()));
            }
            lanes[row].0 = *at;
            map::lane(peer, self.map.range.clone(), shape.map_width, &mut lanes[row].1);
        }
        self.lanes = lanes;
        self.lanes_key = Some(key);
    }
}
