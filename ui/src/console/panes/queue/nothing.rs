//! Where nothing waits: what the queue is for, and what became of what was in it.

use ratatui::layout::Rect;
use skep_engine::control::queue::QueueView;

use super::tail;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, text};

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
    let (x, width) = (inner.x + 2, inner.width.saturating_sub(3));
    let mut y = inner.y;
    let some_behind = u16::from(!queue.behind.is_empty());
    let end = inner.bottom().saturating_sub(some_behind);
    for (line, token) in lines {
        for part in text::wrap(line, width.into()) {
            if y < end {
                canvas.text(x, y, width, part, token);
                y += 1;
            }
        }
    }
    if some_behind > 0 {
        tail::behind(canvas, x, end, width, context);
    }
}
