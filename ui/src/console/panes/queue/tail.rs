//! Below the operations: why the selected one waits, and what is kept for which endpoint.

use ratatui::layout::Rect;

use crate::console::model::links::authority;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count, Seconds};

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let (x, width) = (area.x + 2, area.width.saturating_sub(3));
    if area.height >= 1 {
        why(canvas, x, area.y, width, context);
    }
    if area.height >= 2 {
        kept(canvas, x, area.y + 1, width, context);
    }
}

fn why(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, context: Context<'_>) {
    let model = context.model;
    let Some(row) = model.queue.row(&model.snapshot.queue) else { return };
    let used = canvas.left(x, y, width, format_args!("{} to {}: ", row.what, row.dest), Token::Muted);
    let (x, width) = (x + used, width.saturating_sub(used));
    match (row.why.as_str(), row.transfer) {
        ("", Some(id)) => canvas.left(x, y, width, format_args!("transfer #{id} works on it"), Token::Text),
        ("", None) => canvas.text(x, y, width, "waits for its turn", Token::Text),
        (why, _) => canvas.text(x, y, width, why, Token::Text),
    };
}

/// Kept for whom; where nothing is, what others say is behind here; where nothing is that either, where in the list one is.
fn kept(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, context: Context<'_>) {
    let model = context.model;
    let (queue, outbox) = (&model.snapshot.queue, &context.derived.outbox.kept);
    let place = model.queue.place(queue).map_or(0, |at| at as u64 + 1);
    let right = canvas.right(
        x,
        y,
        width,
        format_args!("{} of {}", Count(place), Count(model.queue.rows.len() as u64)),
        Token::Faint,
    );
    let end = x + width.saturating_sub(right + 2);
    let mut at = x;
    if outbox.is_empty() {
        behind(canvas, x, y, end.saturating_sub(x), context);
        return;
    }
    at += canvas.text(at, y, end.saturating_sub(at), "kept for later: ", Token::Muted);
    for (place, kept) in outbox.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let (target, count, bytes) = (authority(&kept.target), Count(kept.count), Bytes(kept.bytes));
        let text = format_args!("{comma}{count} for {target} ({bytes})");
        at += canvas.left(at, y, end.saturating_sub(at), text, Token::Paused);
    }
}

/// The first tree here that another node says is behind.
pub fn behind(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, context: Context<'_>) {
    let behind = &context.model.snapshot.queue.behind;
    let Some(first) = behind.first() else { return };
    let (files, bytes) = (Count(first.files), Bytes(first.bytes));
    let s = if first.files == 1 { "" } else { "s" };
    let since = Seconds(context.model.node_now().saturating_sub(first.since_ms) / 1_000);
    let (path, from) = (&first.path, &first.from);
    let used = canvas.left(
        x,
        y,
        width,
        format_args!("behind here: {path} by {files} file{s}, {bytes}, for {since} (says {from})"),
        Token::Warn,
    );
    if behind.len() > 1 {
        let more = format_args!(" and {} more", behind.len() - 1);
        canvas.left(x + used, y, width.saturating_sub(used), more, Token::Muted);
    }
}
