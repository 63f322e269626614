//! The line on top: which node this is, how one stands to it, and what it moves.

use ratatui::layout::Rect;
use skep_engine::control::Connection;

use super::Context;
use crate::console::theme::Token;
use crate::console::widgets::clock::Clock;
use crate::console::widgets::format::{Limit, Rate, Seconds};
use crate::console::widgets::{Canvas, sparkline};

/// Columns of a sparkline.
const SPARK: u16 = 12;

/// Draws the line.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let model = context.model;
    let y = area.y;
    let mut right = area.right().saturating_sub(1);
    if area.width >= 72 {
        right -= 8;
        canvas.left(right, y, 8, format_args!("{}", Clock::at(model.now.wall_ms, &model.settings.zone)), Token::Muted);
        right -= 2;
    }
    // Rates of a node that cannot be reached are no rates: the room is for what went wrong.
    if model.data_age_ms().is_none() {
        right = rates(canvas, area, right, context);
    }
    let mut x = area.x + 1;
    let room = |x: u16| right.saturating_sub(x + 1);
    x += canvas.text(x, y, room(x), "skep", Token::Brand) + 1;
    let name = &model.snapshot.node.name;
    if !name.is_empty() {
        // How one stands to the node matters more than its whole name.
        x += canvas.text(x, y, room(x).saturating_sub(12).min(24), name, Token::Strong) + 1;
    }
    badges(canvas, x, y, right, context);
}

fn badges(canvas: &mut Canvas<'_>, mut x: u16, y: u16, right: u16, context: Context<'_>) {
    let model = context.model;
    let room = |x: u16| right.saturating_sub(x + 1);
    if let Some(age) = model.data_age_ms() {
        let age = Seconds(age / 1000);
        x += canvas.left(x, y, room(x), format_args!(" LOST, data {age} old "), Token::BadgeLost) + 1;
        if let Connection::Lost { error, attempts, retry_at_ms } = &model.connection {
            let wait = Seconds(retry_at_ms.saturating_sub(model.now.wall_ms).div_ceil(1000));
            canvas.left(x, y, room(x), format_args!("try {} in {wait}: {error}", attempts + 1), Token::Warn);
        }
        return;
    }
    if model.settings.read_only {
        x += canvas.text(x, y, room(x), " READ-ONLY ", Token::BadgeReadOnly) + 1;
    }
    if model.settings.embedded {
        canvas.text(x, y, room(x), " EMBEDDED ", Token::BadgeEmbedded);
    } else {
        x += canvas.text(x, y, room(x), " REMOTE ", Token::BadgeRemote) + 1;
        let target = model.settings.target.split_once("://").map_or(&*model.settings.target, |(_, host)| host);
        canvas.text(x, y, room(x), target, Token::Text);
    }
}

/// Totals, right-aligned; gives the column where they start.
fn rates(canvas: &mut Canvas<'_>, area: Rect, mut right: u16, context: Context<'_>) -> u16 {
    let (node, history, y) = (&context.model.snapshot.node, &context.model.history, area.y);
    let (sparks, limits) = (area.width >= 110, area.width >= 96);
    for up in [true, false] {
        if up && area.width < 60 {
            continue;
        }
        let (rate, limit, token) =
            if up { (node.rate_up, node.limit_up, Token::Up) } else { (node.rate_down, node.limit_down, Token::Down) };
        if sparks {
            right -= SPARK;
            if up {
                sparkline::draw(canvas, right, y, SPARK, history.up(), Token::Muted);
            } else {
                sparkline::draw(canvas, right, y, SPARK, history.down(), Token::Muted);
            }
            right -= 1;
        }
        if let (Some(_), true) = (limit, limits) {
            right -= 13;
            let limit = Limit(limit, canvas.glyphs.unlimited);
            canvas.left(right, y, 13, format_args!(" of {limit}"), Token::Muted);
        }
        right -= 11;
        canvas.glyph(right, y, canvas.glyphs.arrows[usize::from(up)], token);
        canvas.right(right + 2, y, 9, format_args!("{}", Rate(rate)), token);
        right -= 2;
    }
    right
}
