//! Where there is no pool: what that would be, and how to begin.

use ratatui::layout::Rect;

use crate::console::action::Action;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, context: Context<'_>) {
    let add = context.model.keymap.short_label(Action::AddNode).unwrap_or_default();
    let lines = [
        ("This node is in no pool.".to_owned(), Token::Text),
        (
            "In a pool several nodes stand for one another. Each tells how it is; who is chosen to read from is the better \
             the more often, and where a content belongs is told by its key."
                .to_owned(),
            Token::Muted,
        ),
        (
            format!(
                "{add} lists a node. On the command line: skep serve --join HOST:7070 joins those that gossip, \
                 skep nodes add http://HOST:7070 lists one"
            ),
            Token::Muted,
        ),
    ];
    let area = Rect { x: inner.x + 2, width: inner.width.saturating_sub(3), ..inner };
    canvas.paragraphs(area, lines);
}
