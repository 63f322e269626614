//! Every key that works in a pane, from the table of actions.

use super::{centered, window};
use crate::console::action::{Action, Danger, Entry, Scope, TABLE};
use crate::console::model::overlay::HelpView;
use crate::console::panes::{Context, PaneId};
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, text};

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

/// Columns of keys and titles, before what an entry says.
const BEFORE: u16 = 30;
/// Widest window.
const WIDEST: u16 = 116;
/// Border and margin of the window, both sides.
const AROUND: u16 = 4;

/// Rows that a line takes in a window with `width` columns inside.
fn rows(line: &Line, width: u16) -> Vec<&'static str> {
    match line {
        Line::Blank | Line::Title(_) => vec![""],
        Line::Entry(entry) => {
            let note = danger(entry).map_or(0, |note| note.len() as u16 + 1);
            text::wrap(entry.doc, width.saturating_sub(BEFORE + note).into()).collect()
        }
    }
}

/// Number of rows on a screen of `columns`, for scrolling.
pub fn row_count(pane: PaneId, replay: bool, columns: u16) -> usize {
    let width = columns.min(WIDEST).saturating_sub(AROUND);
    lines(pane, replay).iter().map(|line| rows(line, width).len()).sum()
}

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &HelpView, context: Context<'_>) {
    let replay = context.model.settings.replay;
    let count = row_count(view.pane, replay, canvas.area().width);
    let area = centered(canvas, WIDEST, count.min(200) as u16 + 2);
    let inner = window(canvas, area, "Help", "j k scroll, Esc closes");
    let top = view.top.min(count.saturating_sub(inner.height.into()));
    let shown = top..top + usize::from(inner.height);
    let mut row = 0;
    for line in lines(view.pane, replay) {
        for (at, part) in rows(&line, inner.width).into_iter().enumerate() {
            if shown.contains(&row) {
                let y = inner.y + (row - top) as u16;
                match &line {
                    Line::Blank => {}
                    Line::Title(scope) => {
                        canvas.text(inner.x, y, inner.width, scope.title(), Token::TitleFocus);
                    }
                    Line::Entry(entry) => draw_entry(canvas, (inner.x, y, inner.right()), entry, (at, part), context),
                }
            }
            row += 1;
        }
    }
    canvas.wash(area, Token::Overlay);
}

/// One row of an entry: its part `at` of what it says.
fn draw_entry(
    canvas: &mut Canvas<'_>,
    (x, y, end): (u16, u16, u16),
    entry: &Entry,
    (at, part): (usize, &str),
    context: Context<'_>,
) {
    let mut doc = x + BEFORE;
    let note = danger(entry);
    if at == 0 {
        let keys = context.model.keymap.label(entry.action);
        canvas.text(x, y, 14, &keys, Token::Key);
        canvas.text(x + 15, y, 14, entry.title, Token::Text);
        if let Some(note) = note {
            canvas.text(doc, y, end.saturating_sub(doc), note, Token::Warn);
        }
    }
    doc += note.map_or(0, |note| note.len() as u16 + 1);
    canvas.text(doc, y, end.saturating_sub(doc), part, Token::Muted);
}

fn danger(entry: &Entry) -> Option<&'static str> {
    match (entry.action, entry.danger) {
        (Action::Quit, _) | (_, Danger::View | Danger::Reversible) => None,
        (_, Danger::LosesProgress) => Some("Asks."),
        (_, Danger::LosesData) => Some("Asks."),
    }
}
