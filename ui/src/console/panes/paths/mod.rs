//! The paths of the selected push: what each carries, what it is worth and why, and what the scheduler did
//! lately.
//!
//! ```text
//! ╭ 3 Paths ─ backup.tar · 2 of 3 work ─────────────────────── multipath: 3 of 3 paths answer ╮
//! │  PATH                   STATE       NOW               SHARE SCORE  T     L     E       RTT │
//! │▌ 10.0.0.6:7070 via eth0 ▸ healthy   25.0 MB/s ▃▅▆▇▇▇▇   63% +0.47 +0.50 -0.03 -0.00   12ms │
//! │  10.0.0.6:7070 via wwan ✗ dead 4s            ▂▂▁        0% -0.11 +0.05 -0.11 -0.05  140ms │
//! │   12s  wwan is dead: it failed three times in a row; 14 segments to eth0, wlan0            │
//! ╰────────────────────────────────────────────────────────────────────────────────────────────╯
//! ```

mod changes;
mod nothing;
mod rows;

use std::fmt;

use ratatui::layout::Rect;
use skep_engine::control::{PathState, TransferRow};

use super::{Context, Pane, PaneId};
use crate::console::derive::over::over;
use crate::console::model::paths::short_names;
use crate::console::widgets::{Canvas, frame};

/// The pane.
#[derive(Debug)]
pub struct Paths;

/// Lines that are not paths: two of border, headings, the last change.
const FIXED: u16 = 4;

impl Pane for Paths {
    fn id(&self) -> PaneId {
        PaneId::Paths
    }

    fn page(&self, height: u16) -> usize {
        usize::from(height.saturating_sub(FIXED))
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let focused = model.focus == PaneId::Paths && model.overlays.is_empty();
        let heading = self.id().heading();
        let Some(row) = model.selected().filter(|row| !row.paths.is_empty()) else {
            let name = model.selected().map_or("", |row| &row.name);
            let inner = frame::draw(canvas, area, heading, focused, format_args!("{name}"), format_args!(""));
            return nothing::draw(canvas, inner, context);
        };
        let facts = Facts(row, canvas.glyphs.dot);
        let why = Why(row);
        let inner = frame::draw(canvas, area, heading, focused, format_args!("{facts}"), format_args!("{why}"));
        if inner.height < 2 {
            return;
        }
        let short = short_names(&row.paths);
        let below = rows::draw(canvas, inner, row, &short, self.page(area.height), focused, context);
        let rest = Rect::new(inner.x, below, inner.width, inner.bottom().saturating_sub(below));
        changes::draw(canvas, rest, row, &short, context);
    }
}

/// `backup.tar · 2 of 3 work`.
struct Facts<'a>(&'a TransferRow, &'static str);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(row, dot) = self;
        let count = |state| row.paths.iter().filter(|path| path.state == state).count();
        let (all, idle) = (row.paths.len(), count(PathState::Idle));
        let working = count(PathState::Healthy) + count(PathState::Degraded);
        write!(f, "{} {dot} ", row.name)?;
        match (all, idle) {
            (1, 1..) => write!(f, "1 path"),
            (_, 1..) => write!(f, "{all} paths"),
            _ => write!(f, "{working} of {all} work"),
        }?;
        match count(PathState::Disabled) {
            0 => {}
            off => write!(f, " {dot} {off} disabled")?,
        }
        match over(row, dot) {
            Some(over) => write!(f, " {dot} over {over}"),
            None => Ok(()),
        }
    }
}

/// `multipath: 3 of 3 paths answer`.
struct Why<'a>(&'a TransferRow);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.0;
        match (row.strategy.as_str(), row.strategy_reason.as_str()) {
            ("", _) => Ok(()),
            (_, "") => f.write_str(row.via()),
            (_, why) => write!(f, "{}: {why}", row.via()),
        }
    }
}
