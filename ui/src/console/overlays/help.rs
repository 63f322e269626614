//! Every key that works in a pane, from the table of actions.

use super::{centered, window};
use crate::console::action::{Action, Danger, Entry, Scope, TABLE};
use crate::console::model::overlay::HelpView;
use crate::console::panes::{Context, PaneId};
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// A line of help.
enum Line {
    Blank,
    Title(Scope),
    Entry(&'static Entry),
}

/// Lines for a pane: its own actions first.
fn lines(pane: PaneId, replay: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let replay = replay.then_some(Scope::Replay);
    for scope in replay.into_iter().chain([Scope::Pane(pane), Scope::Global, Scope::List]) {
        if !lines.is_empty() {
            lines.push(Line::Blank);
        }
        lines.push(Line::Title(scope));
        lines.extend(TABLE.iter().filter(|e| e.scope == scope && !e.is_hidden()).map(Line::Entry));
    }
    lines
}

/// Number of lines, for scrolling.
pub fn line_count(pane: PaneId, replay: bool) -> usize {
    lines(pane, replay).len()
}

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &HelpView, context: Context<'_>) {
    let lines = lines(view.pane, context.model.settings.replay);
    let height = lines.len().min(200) as u16 + 2;
    let area = centered(canvas, 116, height);
    let inner = window(canvas, area, "Help", "j k scroll, Esc closes");
    let top = view.top.min(lines.len().saturating_sub(inner.height.into()));
    for (row, line) in lines.iter().skip(top).take(inner.height.into()).enumerate() {
        let y = inner.y + row as u16;
        match line {
            Line::Blank => {}
            Line::Title(scope) => {
                canvas.text(inner.x, y, inner.width, scope.title(), Token::TitleFocus);
            }
            Line::Entry(entry) => {
                let keys = context.model.keymap.label(entry.action);
                canvas.text(inner.x, y, 14, &keys, Token::Key);
                canvas.text(inner.x + 15, y, 14, entry.title, Token::Text);
                let x = inner.x + 30;
                let room = inner.right().saturating_sub(x);
                let note = danger(entry).map_or(0, |note| canvas.text(x, y, room, note, Token::Warn) + 1);
                canvas.text(x + note, y, room.saturating_sub(note), entry.doc, Token::Muted);
            }
        }
    }
    canvas.wash(area, Token::Overlay);
}

fn danger(entry: &Entry) -> Option<&'static str> {
    match (entry.action, entry.danger) {
        (Action::Quit, _) | (_, Danger::View | Danger::Reversible) => None,
        (_, Danger::LosesProgress) => Some("Asks."),
        (_, Danger::LosesData) => Some("Asks."),
    }
}
