//! A frame: the model drawn on a buffer.
//!
//! ```text
//! skep hive-1  EMBEDDED            ↓ 184 MB/s ▂▃▅▆  ↑ 12.4 MB/s ▁▁▂   12:03:44   header
//! ╭ 1 Transfers ─ 12 · 4 running ────────────────────────── sorted by added ╮
//! │ ▸ RUNNING  ubuntu.iso   ███████▌···  72%  184 MB/s  12m05s  12/40       │
//! ╭ 2 Pieces ─ ubuntu.iso ──────────────────────────────────────────────────╮
//! │ this node      ███▓▒░░··███████████████  184 MB/s                       │
//! │ 10.0.0.7:7070  ▅▅▅▅▅▄▃▂▁▁▅▅▅▅▅▅▅▅▅▅▅▅▅▅  open    96 MB/s                │
//! ╭ 7 Log ──────────────────────────────────────────────────────────────────╮
//! a add  p pause/resume  x cancel  / filter  ? help  q quit    4.0 fps 3 kB/s   footer
//! ```

pub mod layout;

use ratatui::buffer::Buffer;

use super::derive::Derived;
use super::model::Model;
use super::overlays;
use super::panes::{self, Context, footer, header, tiny};
use super::widgets::Canvas;
use layout::Layout;

/// Brings what is derived up to date and draws the whole screen. Gives the place of the terminal's
/// cursor, if a field takes text.
pub fn draw(model: &Model, derived: &mut Derived, buf: &mut Buffer) -> Option<(u16, u16)> {
    let layout = Layout::of(model);
    derived.update(model, &layout);
    paint(model, derived, &layout, buf)
}

/// Draws from what is derived already.
pub fn paint(model: &Model, derived: &Derived, layout: &Layout, buf: &mut Buffer) -> Option<(u16, u16)> {
    let mut canvas = Canvas::new(buf, &model.theme, model.glyphs());
    let context = Context { model, derived };
    if layout.tiny {
        tiny::draw(&mut canvas, context);
        return None;
    }
    header::draw(&mut canvas, layout.header, context);
    for (id, area) in &layout.panes {
        panes::pane(*id).draw(&mut canvas, *area, context);
    }
    footer::draw(&mut canvas, layout.footer, context);
    for overlay in &model.overlays {
        overlays::draw(&mut canvas, overlay, layout, context);
    }
    canvas.cursor()
}
