//! A form: fields, what is to be said of the one that takes keys, the folder behind its path, and
//! what Enter will do.
//!
//! ```text
//! ╭ Share a file or folder ──────────────── Enter shares it ╮
//! │▌ Path     ~/data/                                       │
//! │           on the node's disk; it stays where it is      │
//! │  /home/op/data/                       3 of 12 entries   │
//! │▌ 2026-run/                      folder  2026-03-14      │
//! │  notes.txt                      1.2 kB  2026-03-11      │
//! │ ────────────────────────────────────────────────────    │
//! │  shares data: 4.10 GB in 312 files                      │
//! │  via swarm: whoever fetches it serves the others too    │
//! ╰─────────────────────────────────────────────────────────╯
//! ```

use super::{centered, folder, input, plan, window};
use crate::console::model::form::{Form, Proposals, Purpose, Tone, Value, accept_word, summary};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, text};
use ratatui::layout::Rect;

/// Columns of the labels.
const LABEL: u16 = 8;
/// Lines of the summary where there is room.
const SUMMARY: u16 = 6;
/// Lines of the folder, its heading included, where there is room.
const FOLDER: u16 = 12;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, form: &Form, context: Context<'_>) {
    let count = form.fields.len() as u16;
    let area = centered(canvas, 100, height(form));
    let inner = window(canvas, area, &form.title, accept_word(form));
    let x = inner.x + LABEL + 2;
    let width = inner.right().saturating_sub(x);
    // The remark stands below the field that it is about.
    // Where not all fields have room, those at the top give way to the one that takes keys.
    let first = (form.at + 2).saturating_sub(inner.height.into());
    let line = |at: usize| inner.y + at.saturating_sub(first) as u16 + u16::from(at > form.at);
    for (at, field) in form.fields.iter().enumerate().skip(first) {
        let (y, active) = (line(at), at == form.at);
        if y >= inner.bottom() {
            break;
        }
        if active {
            canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            if y + 1 < inner.bottom() {
                remark(canvas, form, at, x, y + 1, width);
            }
        }
        canvas.text(inner.x + 2, y, LABEL, field.label, if active { Token::Strong } else { Token::Muted });
    }
    let top = inner.y + (count + 1).min(inner.height);
    let rest = Rect::new(inner.x, top, inner.width, inner.bottom().saturating_sub(top));
    let chosen = below(canvas, form, rest, context);
    canvas.wash(area, Token::Overlay);
    if let Some(line) = chosen {
        canvas.wash(line, Token::Selected);
    }
    for (at, field) in form.fields.iter().enumerate().skip(first) {
        let (y, active) = (line(at), at == form.at);
        if y >= inner.bottom() {
            break;
        }
        match &field.value {
            Value::Text(value) => input(canvas, x, y, width, value, active),
            Value::Choice(words, chosen) => choice(canvas, x, y, width, words, *chosen, active),
        }
    }
}

/// Lines of a form, its border included. They depend on its purpose alone: nothing jumps while one types.
fn height(form: &Form) -> u16 {
    let extra = match form.purpose {
        Purpose::Limit => 0,
        Purpose::Purge | Purpose::Node => 1 + SUMMARY + FOLDER / 2,
        _ => 1 + SUMMARY + FOLDER,
    };
    form.fields.len() as u16 + 1 + extra + 2
}

/// Lines of a plan's list on a screen, for a form of so many fields.
pub fn plan_rows(screen: (u16, u16), fields: usize) -> usize {
    let whole = (fields as u16 + 1 + 1 + SUMMARY + FOLDER + 2).min(screen.1.saturating_sub(2));
    let area = whole.saturating_sub(2).saturating_sub(fields as u16 + 1);
    usize::from(area.saturating_sub(below_plan(area) + 1).saturating_sub(1))
}

/// Lines of the summary below a plan.
fn below_plan(area: u16) -> u16 {
    (area / 3).min(SUMMARY)
}

/// The folder and the summary: with little room the folder has it all but a line while it is used.
/// Gives the line of the chosen entry.
fn below(canvas: &mut Canvas<'_>, form: &Form, area: Rect, context: Context<'_>) -> Option<Rect> {
    let said = summary(form, &context.model.snapshot.node);
    let width = area.width.saturating_sub(2);
    let lines: Vec<(Option<Tone>, &str)> = said
        .iter()
        .flat_map(|(tone, line)| {
            text::wrap(line, width.into()).enumerate().map(|(at, part)| ((at == 0).then_some(*tone), part))
        })
        .collect();
    let lists = form.browser.is_some() || !form.proposals.shown.is_empty();
    let plan = form.plan().filter(|view| !lists && !view.is_empty());
    let least = if lists { 4.min(area.height) } else { 0 };
    let room = match plan {
        Some(_) => below_plan(area.height),
        None => area.height.saturating_sub(least + 1).min(SUMMARY),
    };
    let shown = lines.len().min(room.into()) as u16;
    let y = area.bottom() - shown;
    let mut token = Token::Text;
    for (at, (tone, line)) in lines.iter().take(shown.into()).enumerate() {
        let y = y + at as u16;
        if let Some(tone) = tone {
            let glyph;
            (glyph, token) = match tone {
                Tone::Fact => (canvas.glyphs.dot, Token::Text),
                Tone::Open => (canvas.glyphs.busy, Token::Muted),
                Tone::Warning => (canvas.glyphs.stalled, Token::Warn),
            };
            canvas.glyph(area.x, y, glyph, token);
        }
        canvas.text(area.x + 2, y, width, line, token);
    }
    let used = if shown > 0 {
        if y > area.y {
            canvas.rule(area.x, y - 1, area.width, Token::Faint);
        }
        shown + 1
    } else {
        0
    };
    if !form.proposals.shown.is_empty() {
        return proposals(
            canvas,
            &form.proposals,
            Rect::new(area.x, area.y, area.width, area.height.saturating_sub(used)),
        );
    }
    if let Some(view) = plan {
        // As many lines as keys scroll by, however many the summary leaves free.
        let list = area.height.saturating_sub(room + 1);
        plan::draw(canvas, form, view, Rect::new(area.x, area.y, area.width, list));
        return None;
    }
    let browser = form.browser.as_ref()?;
    let list = Rect::new(area.x, area.y, area.width, area.height.saturating_sub(used));
    folder::draw(canvas, browser, list, &context.model.settings.zone)
}

/// What could stand in the field; gives the line of the chosen one.
fn proposals(canvas: &mut Canvas<'_>, list: &Proposals, area: Rect) -> Option<Rect> {
    let rows = usize::from(area.height.saturating_sub(1));
    if rows == 0 {
        return None;
    }
    let (x, width) = (area.x + 2, area.width.saturating_sub(2));
    canvas.text(x, area.y, width, list.heading, Token::Heading);
    let top = list.at.map_or(0, |at| (at + 1).saturating_sub(rows));
    let mut chosen = None;
    for (line, proposal) in list.shown.iter().skip(top).take(rows).enumerate() {
        let y = area.y + 1 + line as u16;
        let used = canvas.text(x, y, width, &proposal.text, Token::Text) + 2;
        canvas.right(x + used, y, width.saturating_sub(used), format_args!("{}", proposal.note), Token::Muted);
        if list.at == Some(top + line) {
            canvas.glyph(area.x, y, canvas.glyphs.cursor, Token::Cursor);
            chosen = Some(Rect::new(area.x, y, area.width, 1));
        }
    }
    chosen
}

fn remark(canvas: &mut Canvas<'_>, form: &Form, at: usize, x: u16, y: u16, width: u16) {
    match form.remark(form.fields[at].key) {
        Ok(text) => {
            canvas.text(x, y, width, &text, Token::Muted);
        }
        Err(text) if form.is_untouched(form.fields[at].key) => {
            canvas.text(x, y, width, &text, Token::Muted);
        }
        Err(text) => {
            let token = if form.refused && at == form.at { Token::Error } else { Token::Warn };
            canvas.glyph(x, y, canvas.glyphs.error, token);
            canvas.text(x + 2, y, width.saturating_sub(2), &text, token);
        }
    }
}

fn choice(
    canvas: &mut Canvas<'_>,
    mut x: u16,
    y: u16,
    width: u16,
    words: &[&'static str],
    chosen: usize,
    active: bool,
) {
    let end = x + width;
    for (at, word) in words.iter().enumerate() {
        let room = end.saturating_sub(x);
        let token = match (at == chosen, active) {
            (true, true) => Token::Key,
            (true, false) => Token::Strong,
            _ => Token::Muted,
        };
        let used = if at == chosen {
            canvas.left(x, y, room, format_args!("[{word}]"), token)
        } else {
            canvas.left(x, y, room, format_args!(" {word} "), token)
        };
        x += used + 1;
    }
    if active {
        canvas.text(x + 1, y, end.saturating_sub(x + 1), "space changes it", Token::Muted);
    }
}
