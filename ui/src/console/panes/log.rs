//! The end of the node's log.
//!
//! ```text
//! ╭ 7 Log ─ following ──────────────────────────────────────── info and up ╮
//! │ 12:03:44 INFO  swarm    peer 10.0.0.7:7070 unchoked us                 │
//! ╰────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::layout::Rect;
use skep_engine::control::{LogLevel, LogLine};

use super::{Context, Pane, PaneId};
use crate::console::model::log::level_name;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::clock::Clock;
use crate::console::widgets::format::Count;
use crate::console::widgets::frame;

/// The pane.
#[derive(Debug)]
pub struct Log;

impl Pane for Log {
    fn id(&self) -> PaneId {
        PaneId::Log
    }

    fn page(&self, height: u16) -> usize {
        usize::from(height.saturating_sub(2))
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
        let model = context.model;
        let log = &model.log;
        let focused = model.focus == PaneId::Log && model.overlays.is_empty();
        let facts = if log.at.is_some() { "held here, G follows the end" } else { "" };
        let level = level_name(log.level);
        let heading = self.id().heading();
        let inner = if !log.filter.is_empty() {
            let remark = format_args!("filter: {} ({})", log.filter.text(), log.shown.len());
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), remark)
        } else if log.missed > 0 {
            let remark = format_args!("{level} and up, {} lines missed", Count(log.missed));
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), remark)
        } else {
            frame::draw(canvas, area, heading, focused, format_args!("{facts}"), format_args!("{level} and up"))
        };
        let page = self.page(area.height);
        if log.shown.is_empty() {
            canvas.text(
                inner.x + 2,
                inner.y,
                inner.width.saturating_sub(3),
                "nothing was said at this level",
                Token::Muted,
            );
        }
        let selected = log.place();
        for row in 0..page {
            let place = log.top + row;
            let Some(line) = log.line(place) else { break };
            let y = inner.y + row as u16;
            draw_line(canvas, inner, y, line, context);
            if focused && place == selected {
                canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
                canvas.wash(Rect::new(inner.x + 1, y, inner.width - 1, 1), Token::Selected);
            }
        }
    }
}

fn draw_line(canvas: &mut Canvas<'_>, inner: Rect, y: u16, line: &LogLine, context: Context<'_>) {
    let (mut x, end) = (inner.x + 2, inner.right() - 1);
    let clock = Clock::at(line.time_ms, &context.model.settings.zone);
    let token = match line.level {
        LogLevel::Error => Token::Error,
        LogLevel::Warn => Token::Warn,
        LogLevel::Info => Token::Text,
        LogLevel::Debug | LogLevel::Trace => Token::Muted,
    };
    if inner.width >= 60 {
        x += canvas.left(x, y, 8, format_args!("{clock}"), Token::Faint) + 1;
    }
    canvas.text(x, y, 5, level_name(line.level), if line.level == LogLevel::Info { Token::Muted } else { token });
    x += 6;
    if inner.width >= 76 {
        canvas.text(x, y, 10, &line.target, Token::Muted);
        x += 11;
    }
    if let Some(id) = line.transfer {
        x += canvas.left(x, y, end.saturating_sub(x), format_args!("#{id} "), Token::Muted);
    }
    canvas.text(x, y, end.saturating_sub(x), &line.message, token);
}
