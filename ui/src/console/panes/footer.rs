//! The line at the bottom: the keys that work here and now, or a message, and what the console
//! itself costs.

use ratatui::layout::Rect;

use super::Context;
use crate::console::action::{Scope, TABLE};
use crate::console::keymap::chord_name;
use crate::console::model::toast::ToastLevel;
use crate::console::reduce::available;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::Rate;

/// Draws the line.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let model = context.model;
    let mut end = area.right().saturating_sub(1);
    if area.width >= 72 {
        let cost = model.cost;
        let (whole, tenth) = (cost.fps_x10 / 10, cost.fps_x10 % 10);
        let rate = Rate(cost.bytes_per_s);
        let slow = if cost.slowdown > 1 {
            "slowed "
        } else if model.eco {
            "eco "
        } else {
            ""
        };
        if area.width >= 100 {
            let (whole, tenth) = (cost.cpu_permille / 10, cost.cpu_permille % 10);
            end -= 10;
            canvas.right(end, area.y, 10, format_args!("{whole}.{tenth}% cpu"), Token::Faint);
        }
        // As wide as it may get: the keys beside it must not come and go with the figures.
        let width = slow.len() as u16 + 19;
        end -= width;
        canvas.right(end, area.y, width, format_args!("{slow}{whole}.{tenth} fps {rate}"), Token::Faint);
        end -= 1;
    }
    let x = area.x + 1;
    if let Some((toast, more)) = model.toasts.shown() {
        let (glyph, token) = match toast.level {
            ToastLevel::Info => (canvas.glyphs.done, Token::Done),
            ToastLevel::Warn => (canvas.glyphs.stalled, Token::Warn),
            ToastLevel::Error => (canvas.glyphs.error, Token::Error),
        };
        canvas.glyph(x, area.y, glyph, token);
        let mut room = end.saturating_sub(x + 2);
        if more > 0 {
            let used = canvas.right(x + 2, area.y, room, format_args!("+{more} more"), Token::Muted);
            room = room.saturating_sub(used + 1);
        }
        canvas.text(x + 2, area.y, room, &toast.text, token);
    } else if !model.chord.0.is_empty() {
        chord(canvas, x, area.y, end, context);
    } else {
        keys(canvas, x, area.y, end, context);
    }
}

/// What may follow the keys pressed so far.
fn chord(canvas: &mut Canvas<'_>, mut x: u16, y: u16, end: u16, context: Context<'_>) {
    let model = context.model;
    let typed = &model.chord.0;
    x += canvas.left(x, y, end.saturating_sub(x), format_args!("{} …", chord_name(typed)), Token::Key) + 3;
    for binding in model.keymap.continuations(model.layers(), typed) {
        let Some(entry) = crate::console::action::Entry::of(binding.action) else { continue };
        let rest = chord_name(&binding.chord[typed.len()..]);
        x += canvas.text(x, y, end.saturating_sub(x), &rest, Token::Key) + 1;
        x += canvas.text(x, y, end.saturating_sub(x), entry.title, Token::Muted) + 3;
    }
}

/// Keys that do something here and now, most useful first, as many as fit.
fn keys(canvas: &mut Canvas<'_>, mut x: u16, y: u16, end: u16, context: Context<'_>) {
    let model = context.model;
    let layers = model.layers();
    if model.travel.past.is_some() && !model.settings.replay && model.overlays.is_empty() {
        x += canvas.text(x, y, end.saturating_sub(x), "Esc", Token::Key) + 1;
        x += canvas.text(x, y, end.saturating_sub(x), "now", Token::Muted) + 2;
    }
    let mut entries: Vec<_> = TABLE
        .iter()
        .filter(|e| e.footer > 0 && layers.contains(&e.scope) && available::is_available(model, e.action))
        .collect();
    entries.sort_by_key(|e| (e.footer, matches!(e.scope, Scope::Global)));
    // Help and quit always have their place: they are the way out.
    let keep = if model.overlays.is_empty() { 2 } else { 0 };
    let reserved: u16 = entries.iter().rev().take(keep).map(|e| e.title.len() as u16 + 5).sum();
    let first = entries.len().saturating_sub(keep);
    for (at, entry) in entries.iter().enumerate() {
        let Some(key) = model.keymap.short_label(entry.action) else { continue };
        let need = (key.chars().count() + 1 + entry.title.len()) as u16;
        let limit = if at < first { end.saturating_sub(reserved) } else { end };
        if x + need > limit {
            continue;
        }
        x += canvas.text(x, y, need, &key, Token::Key) + 1;
        x += canvas.text(x, y, need, entry.title, Token::Muted) + 2;
    }
}
