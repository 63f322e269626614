//! What waits for its turn, or for its link.
//!
//! ```text
//! ╭ 5 Queue ─ 37 of 10,000 · 1.24 GB · 3 dropped ──────────────────────────────────────╮
//! │  critical     schema change  high           normal         analytics    background  │
//! │  1 · 12.1 MB  –              5 · 300 MB     21 · 820 MB    10 · 3 DROPPED  –        │
//! │  CLASS         STATE       NAME             FOR             SIZE     AGE  WHY       │
//! │▌ critical      ▸ running   schema.sql       van-42:7070  12.1 MB   3m12s            │
//! │  normal ↑1     ▪ stored    survey-tiles/    sat-7:7070    800 MB   1h02m  the link… │
//! │  why: the link to sat-7:7070 is away since 12:03                                    │
//! │  kept for later: sat-7:7070 12 (1.20 GB), van-42:7070 3 (12.0 MB)                   │
//! │  behind here: backup/photos by 12 files, 7.34 MB, for 3m (says laptop)              │
//! ╰─────────────────────────────────────────────────────────────────────────────────────╯
//! ```

mod classes;
mod nothing;
mod rows;
mod tail;

use std::fmt;

use ratatui::layout::Rect;
use skep_engine::control::queue::QueueView;

use super::{Context, Pane, PaneId};
use crate::console::widgets::format::{Bytes, Count};
use crate::console::widgets::{Canvas, frame};

/// The pane.
#[derive(Debug)]
pub struct Queue;

/// Lines that are not operations: two of border, headings.
const FIXED: u16 = 3;

/// Lines of the classes, and below the operations, in a pane of this height.
fn around(height: u16) -> (u16, u16) {
    match height {
        0..7 => (0, 0),
        7..10 => (0, 1),
        10..13 => (1, 2),
        13..16 => (2, 2),
        // What is behind here has a line of its own.
        _ => (2, 3),
    }
}

/// Lines of the classes in a pane of this height.
pub fn above(height: u16) -> u16 {
    around(height).0
}

impl Pane for Queue {
    fn id(&self) -> PaneId {
        PaneId::Queue
    }

    fn page(&self, height: u16) -> usize {
        let (above, below) = around(height);
        usize::from(height.saturating_sub(FIXED + above + below).max(1))
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let (queue, list) = (&model.snapshot.queue, &model.queue);
        let focused = model.focus == PaneId::Queue && model.overlays.is_empty();
        let facts = Facts(queue, canvas.glyphs.dot);
        let heading = self.id().heading();
        let inner = if list.filter.is_empty() {
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), format_args!(""))
        } else {
            let remark = format_args!("filter: {} ({})", list.filter.text(), list.rows.len());
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), remark)
        };
        if inner.height < 2 {
            return;
        }
        if queue.rows.is_empty() {
            return nothing::draw(canvas, inner, queue, context);
        }
        let (above, below) = around(area.height);
        classes::draw(canvas, Rect { height: above, ..inner }, queue);
        let table = Rect { y: inner.y + above, height: inner.height.saturating_sub(above + below), ..inner };
        rows::draw(canvas, table, focused, context);
        tail::draw(canvas, Rect { y: inner.bottom() - below, height: below, ..inner }, context);
    }
}

/// `37 of 10,000 · 1.24 GB · 3 dropped`.
struct Facts<'a>(&'a QueueView, &'static str);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(queue, dot) = self;
        let count = queue.count();
        if queue.capacity > 0 {
            write!(f, "{} of {}", Count(count), Count(queue.capacity))?;
        } else {
            write!(f, "{}", Count(count))?;
        }
        if count > 0 {
            write!(f, " {dot} {}", Bytes(queue.bytes()))?;
        }
        let parts = [(queue.dropped(), "DROPPED"), (queue.expired, "expired"), (queue.corrupt, "UNREADABLE")];
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, " {dot} {} {word}", Count(count))?;
        }
        Ok(())
    }
}
