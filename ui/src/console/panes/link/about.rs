//! What there is to say of the selected link: why it is of its class, how syncs behave, what watching it costs.

use ratatui::layout::Rect;
use skep_engine::control::link::LinkRow;

use crate::console::derive::link::Behaviour;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count, Rate, Seconds};

/// Lines that it takes.
pub const LINES: u16 = 3;

/// Draws as much of it as fits, the most important first.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, link: &LinkRow, context: Context<'_>) {
    for line in 0..area.height.min(LINES) {
        let (x, y, width) = (area.x, area.y + line, area.width);
        match line {
            0 => why(canvas, x, y, width, link, context),
            1 => {
                let behaviour = Behaviour(&link.params, canvas.glyphs.dot);
                canvas.left(x, y, width, format_args!("{behaviour}"), Token::Muted);
            }
            _ => cost(canvas, x, y, width, link),
        }
    }
}

fn why(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, link: &LinkRow, context: Context<'_>) {
    let (class, why) = (link.class.name(), &link.why);
    if let Some(pending) = &link.pending {
        let left = pending.needed.saturating_sub(pending.samples);
        let s = if left == 1 { "" } else { "s" };
        let (to, because) = (pending.class.name(), &pending.why);
        // Enough samples say so, and still it waits for something else.
        match left {
            0 => canvas.left(x, y, width, format_args!("{to} soon ({class} now): {because}"), Token::Wish),
            _ => {
                canvas.left(x, y, width, format_args!("{to} in {left} sample{s} ({class} now): {because}"), Token::Wish)
            }
        };
        return;
    }
    let since = Seconds(context.model.node_now().saturating_sub(link.class_since_ms) / 1_000);
    let by = if link.forced { ", set by you" } else { "" };
    let token = if link.stale { Token::Warn } else { Token::Text };
    let old = if link.stale { "nothing was measured of late; " } else { "" };
    // A link that was never judged has been what it is for no time.
    if link.class_since_ms == 0 {
        canvas.left(x, y, width, format_args!("{class}{by}: {old}{why}"), token);
    } else {
        canvas.left(x, y, width, format_args!("{class} for {since}{by}: {old}{why}"), token);
    }
}

fn cost(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, link: &LinkRow) {
    let every = Seconds(link.probe_interval_ms.div_ceil(1_000));
    let (budget, spent) = (Rate(link.probe_budget), Bytes(link.probe_bytes));
    let used = if link.probe_interval_ms == 0 {
        canvas.left(x, y, width, format_args!("probes so far {spent}, at most {budget}"), Token::Muted)
    } else {
        canvas.left(x, y, width, format_args!("a probe every {every}, {spent} so far, at most {budget}"), Token::Muted)
    };
    let (x, width) = (x + used, width.saturating_sub(used));
    let samples = Count(link.samples.into());
    let used = canvas.left(x, y, width, format_args!("; {samples} samples in the window"), Token::Muted);
    let (x, width) = (x + used, width.saturating_sub(used));
    let [down, up] = canvas.glyphs.arrows;
    match (link.limit_up, link.limit_down) {
        (None, None) => 0,
        (Some(rate), None) => canvas.left(x, y, width, format_args!("; limit {up} {}", Rate(rate)), Token::Text),
        (None, Some(rate)) => canvas.left(x, y, width, format_args!("; limit {down} {}", Rate(rate)), Token::Text),
        (Some(above), Some(below)) => {
            let limits = format_args!("; limits {up} {} {down} {}", Rate(above), Rate(below));
            canvas.left(x, y, width, limits, Token::Text)
        }
    };
}
