//! Copies that were lost and that this node makes again.

use ratatui::layout::Rect;
use skep_engine::control::pool::MoveRow;

use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count, Seconds};

/// Draws them on a line: `makes again: survey.tar 1.24 GB, 2 of 3 there, in 12s; …`.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, moves: &[MoveRow]) {
    let (mut x, y, end) = (area.x, area.y, area.right());
    let mut put = |canvas: &mut Canvas<'_>, value: std::fmt::Arguments<'_>, token| {
        x += canvas.left(x, y, end.saturating_sub(x), value, token);
    };
    put(canvas, format_args!("{} makes again: ", canvas.glyphs.busy), Token::Waiting);
    for (at, row) in moves.iter().enumerate() {
        if at > 0 {
            put(canvas, format_args!("; "), Token::Muted);
        }
        let (bytes, live, replicas) = (Bytes(row.bytes), Count(row.live.into()), Count(row.replicas.into()));
        put(canvas, format_args!("{}", row.name), Token::Text);
        put(canvas, format_args!(" {bytes}, {live} of {replicas} there"), Token::Muted);
        match (row.from.is_empty(), row.waits_s, row.transfer) {
            (true, ..) => put(canvas, format_args!(", NOBODY HAS IT"), Token::Error),
            (false, Some(seconds), _) => put(canvas, format_args!(", in {}", Seconds(seconds)), Token::Muted),
            (false, None, Some(id)) => put(canvas, format_args!(", #{id}"), Token::Running),
            (false, None, None) => {}
        }
    }
}
