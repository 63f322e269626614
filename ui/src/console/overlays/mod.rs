//! Dialogs, drawn over the panes.

mod bans;
mod classes;
mod confirm;
mod filter;
mod folder;
mod form;
mod help;
mod palette;
mod place;
mod plan;
mod probe;
mod targets;
mod themes;

use ratatui::layout::Rect;

use super::model::input::Input;
use super::model::overlay::Overlay;
use super::panes::Context;
use super::theme::Token;
use super::view::layout::Layout;
use super::widgets::{Canvas, frame, text};

pub use form::plan_rows;
pub use help::row_count as help_rows;

/// Draws one dialog.
pub fn draw(canvas: &mut Canvas<'_>, overlay: &Overlay, layout: &Layout, context: Context<'_>) {
    match overlay {
        Overlay::Help(view) => help::draw(canvas, view, context),
        Overlay::Palette(palette) => palette::draw(canvas, palette, context),
        Overlay::Confirm(confirm) => confirm::draw(canvas, confirm, context),
        Overlay::Form(form) => form::draw(canvas, form, context),
        Overlay::Filter(edit) => filter::draw(canvas, edit, layout, context.model),
        Overlay::Bans(view) => bans::draw(canvas, view, context),
        Overlay::Targets(view) => targets::draw(canvas, view, context),
        Overlay::Classes(view) => classes::draw(canvas, view, context),
        Overlay::Place(view) => place::draw(canvas, view, context),
        Overlay::Probe(view) => probe::draw(canvas, view, context),
        Overlay::Themes(view) => themes::draw(canvas, view),
    }
}

/// An area of at most this size in the middle of the screen, header and footer left free.
pub fn centered(canvas: &Canvas<'_>, width: u16, height: u16) -> Rect {
    let screen = canvas.area();
    let (width, height) = (width.min(screen.width), height.min(screen.height.saturating_sub(2)));
    let x = (screen.width - width) / 2;
    let y = 1 + screen.height.saturating_sub(2).saturating_sub(height) / 3;
    Rect::new(x, y, width, height)
}

/// An empty box with a border and a title; gives the area inside, a column free at both sides.
fn window(canvas: &mut Canvas<'_>, area: Rect, title: &str, remark: &str) -> Rect {
    canvas.clear(area, Token::Overlay);
    let inner = frame::draw(canvas, area, title, true, format_args!(""), format_args!("{remark}"));
    canvas.wash(area, Token::Overlay);
    Rect::new(inner.x + 1, inner.y, inner.width.saturating_sub(2), inner.height)
}

/// A line of text being edited, with the terminal's cursor in it. What does not fit scrolls.
fn input(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, value: &Input, active: bool) {
    let area = Rect::new(x, y, width, 1);
    canvas.clear(area, Token::Input);
    let room = usize::from(width.saturating_sub(1));
    let mut start = 0;
    if active {
        // The cursor stays on screen: drop characters from the left until it does.
        for (at, c) in value.before_cursor().char_indices() {
            if text::width(&value.before_cursor()[start..]) <= room {
                break;
            }
            start = at + c.len_utf8();
        }
    }
    canvas.text(x, y, width, &value.text()[start..], Token::Text);
    canvas.wash(area, Token::Input);
    if active && value.is_proposed() {
        // As marked text looks everywhere: the next key replaces it.
        let shown = text::width(value.text()).min(room) as u16;
        canvas.wash(Rect::new(x, y, shown, 1), Token::Selected);
    }
    if active {
        canvas.set_cursor(x + text::width(&value.before_cursor()[start..]).min(room) as u16, y);
    }
}
