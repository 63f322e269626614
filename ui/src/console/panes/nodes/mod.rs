//! The nodes of the pool: how they are, what that makes of each, why it is chosen or is not, and where keys belong.
//!
//! ```text
//! ╭ 6 Nodes ─ default · 5 of 6 there · 1 excluded · by consistent-hash ──────────────────── by name ╮
//! │  NAME    STATE      SCORE            CPU           MEMORY        CONN LATENCY CHANCE  RING WHY  │
//! │▌ alder   ✓ ok       0.83 ━━━━━━━━──  12% ━───────  40% ━━━─────    3   0.4ms  31.0% 18.2%      │
//! │  birch   ! excluded 0.57 ━━━━━─────  97% ━━━━━━━━  41% ━━━─────   12   1.2ms      – 17.1% CPU… │
//! │  excluded for 12s: CPU at 97 %, above 90 %                                                      │
//! │  http://10.0.0.7:7070 · by gossip · weight 1 · said 3s ago · holds 12 contents, 1.24 GB         │
//! │                                                                                                 │
//! │              NOW                       ADDS TO THE SCORE                SHARES                  │
//! │  CPU         97%  ━━━━━━━━━━━━━━━╷━    0.01 of 0.3  ──────────────      of the ring  17.1%  ━━  │
//! │  ...                                                                                            │
//! ╰─────────────────────────────────────────────────────────────────────────────────────────────────╯
//! ```

mod about;
mod again;
mod nothing;
mod rows;

use std::fmt;

use ratatui::layout::Rect;
use skep_engine::control::pool::{NodeState, PoolView};

use super::{Context, Pane, PaneId};
use crate::console::widgets::{Canvas, frame};

/// The pane.
#[derive(Debug)]
pub struct Nodes;

/// Lines that are not nodes: two of border, headings.
const FIXED: u16 = 3;

/// Lines about the selected node in a pane of this height.
fn below(height: u16) -> u16 {
    match height {
        0..7 => 0,
        7..10 => 1,
        10..17 => about::SHORT,
        _ => about::LONG + 1,
    }
}

impl Pane for Nodes {
    fn id(&self) -> PaneId {
        PaneId::Nodes
    }

    fn page(&self, height: u16) -> usize {
        usize::from(height.saturating_sub(FIXED + below(height)).max(1))
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let (pool, view) = (&model.snapshot.pool, &model.nodes);
        let focused = model.focus == PaneId::Nodes && model.overlays.is_empty();
        let heading = self.id().heading();
        if pool.nodes.is_empty() {
            let inner = frame::draw(canvas, area, heading, focused, format_args!(""), format_args!(""));
            return nothing::draw(canvas, inner, context);
        }
        let facts = Facts(pool, context.derived.nodes.there, canvas.glyphs.dot);
        let inner = if view.filter.is_empty() {
            let turned = if view.reversed { ", reversed" } else { "" };
            let remark = format_args!("by {}{turned}", view.sort.name());
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), remark)
        } else {
            let remark = format_args!("filter: {} ({})", view.filter.text(), view.rows.len());
            // What it is narrowed to has the room of the rest.
            let there = format_args!("{} of {} there", context.derived.nodes.there, pool.nodes.len());
            frame::draw(canvas, area, heading, focused, there, remark)
        };
        if inner.height < 2 {
            return;
        }
        // What is made again has the last line.
        let (x, width) = (inner.x + 2, inner.width.saturating_sub(3));
        let tail = u16::from(!pool.moves.is_empty() && inner.height > 3);
        if tail > 0 {
            again::draw(canvas, Rect::new(x, inner.bottom() - 1, width, 1), &pool.moves);
        }
        let inner = Rect { height: inner.height - tail, ..inner };
        let page = self.page(area.height) as u16;
        let under = rows::draw(canvas, Rect { height: (page + 1).min(inner.height), ..inner }, focused, context);
        let rest = Rect::new(x, under, width, inner.bottom().saturating_sub(under));
        if let Some(row) = view.row(pool) {
            about::draw(canvas, rest, row, context);
        }
    }
}

/// `default · 5 of 6 there · 1 excluded · by consistent-hash`.
struct Facts<'a>(&'a PoolView, usize, &'static str);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(pool, there, dot) = self;
        write!(f, "{} {dot} {there} of {} there", pool.name, pool.nodes.len())?;
        let count = |state| pool.nodes.iter().filter(|row| row.state() == state).count();
        for state in [NodeState::Excluded, NodeState::Drained, NodeState::Stale] {
            match count(state) {
                0 => {}
                count => write!(f, " {dot} {count} {}", state.name())?,
            }
        }
        write!(f, " {dot} by {}", pool.balancer.word())
    }
}
