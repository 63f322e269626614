//! Where a key belongs: the way around the ring, and who would be chosen by how the nodes are.
//!
//! ```text
//! ╭ Place a key ────────────────────────────────────────── Enter draws again, Esc closes ╮
//! │   Key       survey-2026.tar                                                          │
//! │   Replicas  2                                                                        │
//! │                                                                                      │
//! │ By the ring (answers here)              By how the nodes are                         │
//! │ hash 7f3a91c2 belongs to cedar, fir     one draw: alder, cedar                       │
//! │ ●────1──x─────2────╷─╷────────╷         NODE    SCORE  CHANCE                        │
//! │ 80a11223  cedar   replica 1             alder    0.83  31.0% ━━━━━━━━━ replica 1     │
//! │ 81aa0341  birch   it is drained         cedar    0.81  28.4% ━━━━━━━━  replica 2     │
//! │ 8e02ff10  fir     replica 2             fir      0.80  27.9% ━━━━━━━━                │
//! │ 90118a3c  oak     next                  oak      0.44  12.7% ━━━                     │
//! ╰──────────────────────────────────────────────────────────────────────────────────────╯
//! ```

use std::sync::Arc;

use ratatui::layout::Rect;
use skep_engine::control::pool::{Balancer, NodeState, Placement, PoolNodeRow};

use super::{centered, input, window};
use crate::console::derive::nodes::look;
use crate::console::model::place::{PlaceView, Placed};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::{Canvas, bar, text};

/// Columns of the labels.
const LABEL: u16 = 10;
/// Lines of the window.
const HEIGHT: u16 = 22;
/// From this width on the answers stand side by side.
const WIDE: u16 = 84;
/// Columns of a point of the ring, in hex.
const POINT: u16 = 8;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &PlaceView, context: Context<'_>) {
    let area = centered(canvas, 108, HEIGHT);
    let remark =
        if view.at_replicas { "Tab the key, Esc closes" } else { "Enter draws again, Tab replicas, Esc closes" };
    let inner = window(canvas, area, "Place a key", remark);
    if inner.height < 3 {
        return;
    }
    for (line, label) in ["Key", "Replicas"].into_iter().enumerate() {
        let (y, active) = (inner.y + line as u16, view.at_replicas == (line == 1));
        if active {
            canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        }
        canvas.text(inner.x + 2, y, LABEL - 1, label, if active { Token::Strong } else { Token::Muted });
    }
    let (x, width) = (inner.x + 2 + LABEL, inner.width.saturating_sub(2 + LABEL));
    let rest = Rect::new(inner.x, inner.y + 3, inner.width, inner.height.saturating_sub(3));
    match view.question() {
        Err(why) => {
            canvas.glyph(x + 6, inner.y + 1, canvas.glyphs.error, Token::Warn);
            canvas.text(x + 8, inner.y + 1, width.saturating_sub(8), why, Token::Warn);
        }
        Ok(None) => {
            let what = "A key is anything: a content's id, a name. It is hashed to a place on the ring, and belongs to the \
                        nodes that are met first clockwise from there.";
            canvas.paragraphs(rest, [(what, Token::Muted)]);
        }
        Ok(Some(_)) if rest.width >= WIDE => {
            let half = rest.width / 2;
            ring(canvas, Rect { width: half - 2, ..rest }, view, context);
            resource(canvas, Rect { x: rest.x + half + 1, width: rest.width - half - 1, ..rest }, view, context);
        }
        Ok(Some(_)) => {
            let above = (rest.height * 3 / 5).max(3).min(rest.height);
            ring(canvas, Rect { height: above, ..rest }, view, context);
            let below = Rect { y: rest.y + above, height: rest.height - above, ..rest };
            resource(canvas, below, view, context);
        }
    }
    canvas.wash(area, Token::Overlay);
    input(canvas, x, inner.y, width, &view.key, !view.at_replicas);
    input(canvas, x, inner.y + 1, width.min(5), &view.replicas, view.at_replicas);
}

/// Who is asked where nobody says which.
fn title(canvas: &mut Canvas<'_>, area: Rect, name: &str, balancer: Balancer, context: Context<'_>) {
    let used = canvas.text(area.x, area.y, area.width, name, Token::Heading);
    if context.model.snapshot.pool.balancer == balancer {
        canvas.text(
            area.x + used + 1,
            area.y,
            area.width.saturating_sub(used + 1),
            "(answers in this pool)",
            Token::Muted,
        );
    }
}

fn failed(canvas: &mut Canvas<'_>, area: Rect, why: &str) {
    for (line, part) in text::wrap(why, area.width.saturating_sub(2).into()).take(area.height.into()).enumerate() {
        if line == 0 {
            canvas.glyph(area.x, area.y, canvas.glyphs.error, Token::Error);
        }
        canvas.text(area.x + 2, area.y + line as u16, area.width.saturating_sub(2), part, Token::Error);
    }
}

/// What is said of a node that serves as so manieth replica.
fn replica(nodes: &[Arc<str>], node: &str) -> Option<usize> {
    nodes.iter().position(|one| **one == *node).map(|at| at + 1)
}

fn names(canvas: &mut Canvas<'_>, mut x: u16, y: u16, end: u16, nodes: &[Arc<str>], token: Token) {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            x += canvas.text(x, y, end.saturating_sub(x), ", ", Token::Muted);
        }
        x += canvas.text(x, y, end.saturating_sub(x), node, token);
    }
}

fn ring(canvas: &mut Canvas<'_>, area: Rect, view: &PlaceView, context: Context<'_>) {
    if area.height == 0 {
        return;
    }
    title(canvas, area, "By the ring", Balancer::ConsistentHash, context);
    let rest = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if rest.height == 0 {
        return;
    }
    let placement = match &view.ring {
        Placed::Nothing => return,
        Placed::Failed(why) => return failed(canvas, rest, why),
        Placed::There(placement) => placement,
    };
    // What was asked before stays, faint, until there is the answer.
    let token = if view.open { Token::Faint } else { Token::Text };
    let (x, mut y, end) = (rest.x, rest.y, rest.right());
    let used = canvas.left(x, y, rest.width, format_args!("hash {:08x} belongs to ", placement.hash), Token::Muted);
    let name = if view.open { Token::Faint } else { Token::Strong };
    names(canvas, x + used, y, end, &placement.nodes, name);
    y += 1;
    if rest.height > 4 {
        strip(canvas, Rect::new(x, y, rest.width, 1), placement, token);
        y += 1;
    }
    let width = placement.way.iter().map(|step| text::width(&step.node)).max().unwrap_or(0).clamp(6, 20) as u16;
    for step in &placement.way {
        if y >= rest.bottom() {
            break;
        }
        canvas.left(x, y, POINT, format_args!("{:08x}", step.point), Token::Muted);
        let chosen = replica(&placement.nodes, &step.node).filter(|_| step.passed.is_none());
        let name = if chosen.is_some() { name } else { Token::Muted };
        canvas.text(x + POINT + 2, y, width, &step.node, name);
        let at = x + POINT + 2 + width + 2;
        let room = end.saturating_sub(at);
        match (&step.passed, chosen) {
            (Some(why), _) => canvas.left(at, y, room, format_args!("passed by: {why}"), Token::Warn),
            (None, Some(number)) => canvas.left(at, y, room, format_args!("replica {number}"), token),
            (None, None) => canvas.text(at, y, room, "next", Token::Faint),
        };
        y += 1;
    }
}

/// The part of the ring from the key to the last point met: replicas by their numbers, `x` for who was passed by.
fn strip(canvas: &mut Canvas<'_>, area: Rect, placement: &Placement, token: Token) {
    let from = placement.hash;
    let span = placement.way.iter().map(|step| step.point.wrapping_sub(from)).max().unwrap_or(0);
    canvas.rule(area.x, area.y, area.width, Token::Faint);
    let last = u64::from(area.width.saturating_sub(1));
    for step in placement.way.iter().rev() {
        let away = u64::from(step.point.wrapping_sub(from));
        let x = area.x + 1.max((away * last).checked_div(u64::from(span)).unwrap_or(0)) as u16;
        if x >= area.right() {
            continue;
        }
        match (&step.passed, replica(&placement.nodes, &step.node)) {
            (Some(_), _) => canvas.glyph(x, area.y, "x", Token::Warn),
            (None, Some(number @ 1..=9)) => {
                canvas.left(
                    x,
                    area.y,
                    1,
                    format_args!("{number}"),
                    if token == Token::Faint { token } else { Token::Strong },
                );
            }
            (None, _) => canvas.glyph(x, area.y, canvas.glyphs.tick, Token::Muted),
        }
    }
    canvas.glyph(area.x, area.y, canvas.glyphs.mark, Token::Cursor);
}

fn resource(canvas: &mut Canvas<'_>, area: Rect, view: &PlaceView, context: Context<'_>) {
    if area.height == 0 {
        return;
    }
    title(canvas, area, "By how the nodes are", Balancer::ResourceAware, context);
    let rest = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if rest.height == 0 {
        return;
    }
    let drawn: &[Arc<str>] = match &view.resource {
        Placed::Nothing => return,
        Placed::Failed(why) => return failed(canvas, rest, why),
        Placed::There(placement) => &placement.nodes,
    };
    let (x, mut y) = (rest.x, rest.y);
    let used = canvas.text(x, y, rest.width, "one draw of these chances: ", Token::Muted);
    names(canvas, x + used, y, rest.right(), drawn, if view.open { Token::Faint } else { Token::Strong });
    y += 1;
    if rest.height > 4 {
        y += 1;
    }
    let mut rows: Vec<&Arc<PoolNodeRow>> = context.model.snapshot.pool.nodes.iter().collect();
    rows.sort_by(|a, b| b.chance.total_cmp(&a.chance).then_with(|| a.name.cmp(&b.name)));
    let width = rows.iter().map(|row| text::width(&row.name)).max().unwrap_or(0).clamp(6, 20) as u16;
    let top = rows.first().map_or(0.0, |row| row.chance);
    // Name, chance, bar, what it is here.
    let bars = rest.width.saturating_sub(width + 2 + 6 + 1 + 13).min(20);
    for row in rows {
        if y >= rest.bottom() {
            break;
        }
        let number = replica(drawn, &row.name);
        canvas.text(x, y, width, &row.name, if number.is_some() { Token::Text } else { Token::Muted });
        let mut at = x + width + 1;
        if row.chance > 0.0 {
            canvas.right(at, y, 6, format_args!("{:.1}%", row.chance * 100.0), Token::Text);
        } else {
            canvas.right(at, y, 6, format_args!("{}", canvas.glyphs.none), Token::Faint);
        }
        at += 7;
        bar::share(canvas, at, y, bars, if top > 0.0 { row.chance / top } else { 0.0 }, Token::BarFill);
        at += bars + 2;
        let room = rest.right().saturating_sub(at);
        let look = look(row.state());
        match number {
            Some(number) => canvas.left(at, y, room, format_args!("replica {number}"), Token::Text),
            None if row.state() == NodeState::Ok => 0,
            None => canvas.text(at, y, room, look.word, look.token),
        };
        y += 1;
    }
}
