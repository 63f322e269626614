//! The links that are watched: what kind each is, what that means for syncs, and what was measured.
//!
//! ```text
//! ╭ 4 Link ─ 3 watched · 1 changes ──────────────────────────────────── the last 2m00s ╮
//! │  ENDPOINT       CLASS        MODE          BANDWIDTH LATENCY JITTER LOSS  NOTE       │
//! │▌ van-42:7070    ▄ mobile     delta only  4.87 Mbit/s    82ms   14ms   1%  sat… 1/3   │
//! │  hive:7070      █ fiber      full         487 Mbit/s   2.1ms  0.1ms   0%             │
//! │  satellite in 2 samples (mobile now): latency 640 ms > 500                           │
//! │  delta only · zstd 6 · chunks of 256 KiB · a look every 30s · 2 at a time            │
//! │  a probe every 5s, at most 31.2 kB/s of them; 1.20 MB since it began                 │
//! │  bandwidth 4.87 Mbit/s                   latency 82ms, wavers by 14ms                │
//! │   >100 fiber ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  >500 satellite ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌                 │
//! │  ...                                                                                 │
//! ╰──────────────────────────────────────────────────────────────────────────────────────╯
//! ```

mod about;
mod charts;
mod nothing;
mod rows;

use std::fmt;
use std::sync::Arc;

use ratatui::layout::Rect;
use skep_engine::control::link::LinkRow;

use super::{Context, Pane, PaneId};
use crate::console::model::Model;
use crate::console::widgets::format::Seconds;
use crate::console::widgets::{Canvas, frame};

/// The pane.
#[derive(Debug)]
pub struct Link;

/// Lines that are not links: two of border, headings.
const FIXED: u16 = 3;
/// Below this height the list has it all but a line or two.
const SMALL: u16 = 12;
/// Most rows of the list where there are charts.
const MOST_ROWS: u16 = 8;

impl Pane for Link {
    fn id(&self) -> PaneId {
        PaneId::Link
    }

    fn page(&self, height: u16) -> usize {
        let room = height.saturating_sub(FIXED);
        let rows = if height < SMALL { room.saturating_sub(2).max(1) } else { (room / 3).min(MOST_ROWS) };
        usize::from(rows)
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let focused = model.focus == PaneId::Link && model.overlays.is_empty();
        let heading = self.id().heading();
        let links = &model.snapshot.links;
        if links.is_empty() {
            let inner = frame::draw(canvas, area, heading, focused, format_args!(""), format_args!(""));
            return nothing::draw(canvas, inner, context);
        }
        let facts = Facts(links, canvas.glyphs.dot);
        let span = Seconds(model.links.span_ms() / 1_000);
        let charted = chart_columns(model, area) > 0;
        let inner = if charted {
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), format_args!("the last {span}"))
        } else {
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), format_args!(""))
        };
        if inner.height < 2 {
            return;
        }
        let below = rows::draw(canvas, inner, self.page(area.height), focused, context);
        let rest = Rect::new(inner.x + 2, below, inner.width.saturating_sub(3), inner.bottom().saturating_sub(below));
        if let Some(link) = model.link() {
            let (told, charts) = divide(rest);
            about::draw(canvas, told, link, context);
            charts::draw(canvas, charts, link, context);
        }
    }
}

/// What is said of the selected link, and its charts below: none where there is little room.
fn divide(rest: Rect) -> (Rect, Rect) {
    // A line of what is said is worth more than charts, charts are worth more than the others.
    let told = match rest.height.checked_sub(charts::LEAST) {
        Some(left @ 1..) => left.min(about::LINES),
        _ => rest.height,
    };
    // A blank line keeps them apart where nothing else needs it.
    let apart = u16::from(rest.height > about::LINES + charts::LEAST + 3);
    let charts = (rest.height - told).saturating_sub(apart);
    (Rect { height: told, ..rest }, Rect { y: rest.bottom() - charts, height: charts, ..rest })
}

/// Columns of time that the charts show in a pane of this area; 0: it has none.
pub fn chart_columns(model: &Model, area: Rect) -> u16 {
    let rows = model.snapshot.links.len().min(Link.page(area.height)) as u16;
    let rest = Rect::new(0, 0, area.width.saturating_sub(5), area.height.saturating_sub(FIXED + rows));
    let (_, charts) = divide(rest);
    if rows == 0 || charts.height == 0 { 0 } else { charts::columns(charts.width) }
}

/// `3 watched · 1 changes · 1 stale`.
struct Facts<'a>(&'a [Arc<LinkRow>], &'static str);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(links, dot) = self;
        let count = |test: fn(&LinkRow) -> bool| links.iter().filter(|link| test(link)).count();
        write!(f, "{} watched", links.len())?;
        let parts = [
            (count(|link| link.pending.is_some()), "about to change"),
            (count(|link| link.stale), "stale"),
            (count(|link| link.forced), "set by you"),
            (count(|link| link.metered), "metered"),
        ];
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, " {dot} {count} {word}")?;
        }
        Ok(())
    }
}
