//! Where no link is watched: what that would be, and how to begin.

use ratatui::layout::Rect;

use crate::console::action::Action;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, text};

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, context: Context<'_>) {
    let probe = context.model.keymap.short_label(Action::Probe).unwrap_or_default();
    let lines = [
        ("No link is watched.".to_owned(), Token::Text),
        (
            "A link is the network between this node and an endpoint. Where it is watched, syncs and pushes fit \
             themselves to it: all of a tree on fibre, what changed on mobile, summaries by satellite, and what cannot \
             go now is kept until it can."
                .to_owned(),
            Token::Muted,
        ),
        (
            format!(
                "{probe} measures the link to an endpoint and watches it. On the command line: skep probe http://HOST:7070/"
            ),
            Token::Muted,
        ),
    ];
    let (x, width) = (inner.x + 2, inner.width.saturating_sub(3));
    let mut y = inner.y;
    for (line, token) in &lines {
        for part in text::wrap(line, width.into()) {
            if y >= inner.bottom() {
                return;
            }
            canvas.text(x, y, width, part, *token);
            y += 1;
        }
    }
}
