//! Where no link is watched: what that would be, and how to begin.

use ratatui::layout::Rect;

use crate::console::action::Action;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

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
    let area = Rect { x: inner.x + 2, width: inner.width.saturating_sub(3), ..inner };
    canvas.paragraphs(area, lines);
}
