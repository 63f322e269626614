//! Where nothing waits: what the queue is for, and what became of what was in it.

use ratatui::layout::Rect;
use skep_engine::control::queue::QueueView;

use super::tail;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, queue: &QueueView, context: Context<'_>) {
    let lines = [
        ("Nothing waits.", Token::Text),
        (
            "Pushes and syncs that are queued wait here for their turn, by class: critical first, background last, and who \
             waits long rises. What cannot go because its link is away is kept on disk, and goes by itself when the \
             link is back.",
            Token::Muted,
        ),
        ("On the command line: skep send FILE http://HOST:7070/ --queue, skep queue", Token::Muted),
    ];
    let some_behind = u16::from(!queue.behind.is_empty());
    let height = inner.height.saturating_sub(some_behind);
    let area = Rect { x: inner.x + 2, width: inner.width.saturating_sub(3), height, ..inner };
    canvas.paragraphs(area, lines);
    if some_behind > 0 {
        tail::behind(canvas, area.x, area.bottom(), area.width, context);
    }
}
