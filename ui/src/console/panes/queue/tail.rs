//! Below the operations: why the selected one waits, and what is kept for which endpoint.

use ratatui::layout::Rect;

use crate::console::model::links::authority;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Count, Seconds};
use crate::console::widgets::{Canvas, text};

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let (x, width) = (area.x + 2, area.width.saturating_sub(3));
    if area.height >= 1 {
        why(canvas, x, area.y, width, context);
    }
    if area.height >= 2 {
        kept(canvas, x, area.y + 1, width, area.height == 2, context);
    }
    if area.height >= 3 {
        behind(canvas, x, area.y + 2, width, context);
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

/// Kept for whom, and where in the list one is; where nothing is kept, and that has no line of its own (`is_last`), what others say is
/// behind here.
fn kept(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, is_last: bool, context: Context<'_>) {
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
        if is_last {
            behind(canvas, x, y, end.saturating_sub(x), context);
        }
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

/// Trees here that other nodes say are behind: as many as the line holds, and how many more there are.
pub fn behind(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, context: Context<'_>) {
    let behind = &context.model.snapshot.queue.behind;
    let end = x + width;
    let mut at = x;
    for (place, row) in behind.iter().enumerate() {
        let (files, bytes) = (Count(row.files), Bytes(row.bytes));
        let s = if row.files == 1 { "" } else { "s" };
        let since = Seconds(context.model.node_now().saturating_sub(row.since_ms) / 1_000);
        let (path, from) = (&row.path, &row.from);
        let words = match place {
            0 => format!("behind here: {path} by {files} file{s}, {bytes}, for {since} (says {from})"),
            // What there is room for.
            _ => format!("; {path} by {files} file{s}, {bytes}"),
        };
        let (left, others) = (end.saturating_sub(at), behind.len() - place);
        let more = format!(" and {others} more");
        // The last one needs no room for what there is beside it.
        let needed = text::width(&words) + if others > 1 { text::width(&more) } else { 0 };
        if place > 0 && needed > usize::from(left) {
            canvas.text(at, y, left, &more, Token::Muted);
            return;
        }
        at += canvas.text(at, y, left, &words, Token::Warn);
    }
}
