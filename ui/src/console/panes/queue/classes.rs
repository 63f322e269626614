//! The classes side by side: operations, bytes, and what did not fit.

use ratatui::layout::Rect;
use skep_engine::control::PriorityClass;
use skep_engine::control::queue::QueueView;

use crate::console::model::queue::class_name;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count};

/// Draws names and figures on two lines, or those that are not empty on one.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, queue: &QueueView) {
    match area.height {
        0 => {}
        1 => one_line(canvas, area, queue),
        _ => table(canvas, area, queue),
    }
}

fn table(canvas: &mut Canvas<'_>, area: Rect, queue: &QueueView) {
    let each = area.width.saturating_sub(3) / PriorityClass::ALL.len() as u16;
    let dot = canvas.glyphs.dot;
    for (at, (class, totals)) in PriorityClass::ALL.into_iter().zip(&queue.classes).enumerate() {
        let x = area.x + 2 + at as u16 * each;
        let width = each.saturating_sub(1);
        canvas.text(x, area.y, width, class_name(class), Token::Heading);
        let y = area.y + 1;
        let mut used = 0;
        if totals.count > 0 {
            used = canvas.left(x, y, width, format_args!("{}", Count(totals.count)), Token::Strong);
            if each >= 17 || totals.dropped == 0 {
                let bytes = format_args!(" {dot} {}", Bytes(totals.bytes));
                used += canvas.left(x + used, y, width.saturating_sub(used), bytes, Token::Muted);
            }
        } else if totals.dropped == 0 {
            canvas.text(x, y, width, canvas.glyphs.none, Token::Faint);
        }
        if totals.dropped > 0 {
            let gap = u16::from(used > 0);
            let (x, width) = (x + used + gap, width.saturating_sub(used + gap));
            canvas.left(x, y, width, format_args!("-{}", Count(totals.dropped)), Token::Warn);
        }
    }
}

fn one_line(canvas: &mut Canvas<'_>, area: Rect, queue: &QueueView) {
    let (mut x, end) = (area.x + 2, area.right().saturating_sub(1));
    for (class, totals) in PriorityClass::ALL.into_iter().zip(&queue.classes) {
        if totals.count + totals.dropped == 0 || x >= end {
            continue;
        }
        x += canvas.left(x, area.y, end - x, format_args!("{} ", class_name(class)), Token::Muted);
        x += canvas.left(x, area.y, end.saturating_sub(x), format_args!("{}", Count(totals.count)), Token::Strong);
        if totals.dropped > 0 {
            let dropped = format_args!(" -{}", Count(totals.dropped));
            x += canvas.left(x, area.y, end.saturating_sub(x), dropped, Token::Warn);
        }
        x += 2;
    }
}
