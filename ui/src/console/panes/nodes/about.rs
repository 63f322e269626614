//! What there is to say of the selected node: how it stands and why, its figures and what each adds to its score, its shares.

use ratatui::layout::Rect;
use skep_engine::control::pool::{Known, NodeState, PoolNodeRow, SLOW_MS};

use crate::console::derive::nodes::{TERMS, load, look, why};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::format::{Bytes, Count, Millis, Seconds};
use crate::console::widgets::{Align, Canvas, bar};

/// Lines that it takes in short.
pub const SHORT: u16 = 4;
/// Lines that it takes with bars.
pub const LONG: u16 = 9;

/// Columns of labels.
const LABEL: u16 = 13;
/// Columns of a figure.
const FIGURE: u16 = 8;
/// Columns of what a term adds: `0.30 of 0.30`.
const TERM: u16 = 12;
/// From this width on the shares stand beside the figures.
const WIDE: u16 = 100;
/// Widest bar.
const BAR: u16 = 40;

/// Draws as much of it as fits, the most important first.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &PoolNodeRow, context: Context<'_>) {
    if area.height > LONG {
        let area = Rect { y: area.y + 1, height: LONG, ..area };
        standing(canvas, area.x, area.y, area.width, row, context);
        place(canvas, area.x, area.y + 1, area.width, row, context);
        return long(canvas, Rect { y: area.y + 3, height: area.height - 3, ..area }, row, context);
    }
    for line in 0..area.height.min(SHORT) {
        let (x, y, width) = (area.x, area.y + line, area.width);
        match line {
            0 => standing(canvas, x, y, width, row, context),
            1 => terms(canvas, x, y, width, row),
            2 => shares(canvas, x, y, width, row, context),
            _ => place(canvas, x, y, width, row, context),
        }
    }
}

/// `excluded for 12s: CPU at 97 %, above 90 %`.
fn standing(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow, context: Context<'_>) {
    let look = look(row.state());
    canvas.glyph(x, y, (look.glyph)(canvas.glyphs), look.token);
    let (x, width) = (x + 2, width.saturating_sub(2));
    let mut used = canvas.text(x, y, width, look.word, look.token);
    if let Some(since) = row.excluded_ms.filter(|_| row.state() == NodeState::Excluded) {
        let time = Seconds(context.model.node_now().saturating_sub(since) / 1_000);
        used += canvas.left(x + used, y, width.saturating_sub(used), format_args!(" for {time}"), look.token);
    }
    let token = if row.state() == NodeState::Ok { Token::Muted } else { Token::Text };
    canvas.left(x + used, y, width.saturating_sub(used), format_args!(": {}", why(row)), token);
}

/// `http://10.0.0.7:7070 · told by gossip · weight 1 · said 3s ago how it is · holds 12 contents, 1.24 GB`.
fn place(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow, context: Context<'_>) {
    let dot = canvas.glyphs.dot;
    let known = match row.known {
        Known::Own => "this node",
        Known::Listed => "on the list",
        Known::Gossip => "told by gossip",
        Known::Both => "on the list, told by gossip",
    };
    let mut at = x;
    let end = x + width;
    let mut put = |canvas: &mut Canvas<'_>, value: std::fmt::Arguments<'_>, token| {
        at += canvas.left(at, y, end.saturating_sub(at), value, token);
    };
    put(canvas, format_args!("{}", row.endpoint), Token::Text);
    put(canvas, format_args!(" {dot} {known} {dot} weight {}", row.weight), Token::Muted);
    if let Some(at) = row.reported_ms {
        let ago = Seconds(context.model.node_now().saturating_sub(at) / 1_000);
        put(canvas, format_args!(" {dot} said {ago} ago how it is"), Token::Muted);
    }
    if row.holds > 0 {
        let s = if row.holds == 1 { "" } else { "s" };
        let (count, bytes) = (Count(row.holds), Bytes(row.held_bytes));
        put(canvas, format_args!(" {dot} holds {count} content{s}, {bytes}"), Token::Muted);
    }
}

/// `score 0.83 = CPU 0.26 + memory 0.18 + connections 0.20 + latency 0.19`.
fn terms(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow) {
    let score = &row.score;
    let mut at = x;
    let end = x + width;
    let mut put = |canvas: &mut Canvas<'_>, value: std::fmt::Arguments<'_>, token| {
        at += canvas.left(at, y, end.saturating_sub(at), value, token);
    };
    put(canvas, format_args!("score {:.2}", score.total), Token::Text);
    if row.stale {
        return put(canvas, format_args!(": neutral, without a report of late"), Token::Muted);
    }
    let parts = [score.cpu, score.memory, score.connections, score.latency];
    for (number, ((part, token), name)) in parts.into_iter().zip(TERMS).zip(NAMES).enumerate() {
        let sign = if number == 0 { '=' } else { '+' };
        put(canvas, format_args!(" {sign} {name} "), Token::Muted);
        put(canvas, format_args!("{part:.2}"), token);
    }
}

const NAMES: [&str; 4] = ["CPU", "memory", "connections", "latency"];

/// `ring 18.2% · chance 31.0% · chosen 29.4% of late`.
fn shares(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, row: &PoolNodeRow, context: Context<'_>) {
    let dot = canvas.glyphs.dot;
    let percent = |share: f64| share * 100.0;
    let (ring, chance, chosen) = (percent(row.ring_share), percent(row.chance), percent(row.chosen));
    let used = canvas.left(x, y, width, format_args!("ring {ring:.1}% {dot} chance {chance:.1}%"), Token::Text);
    if context.derived.nodes.some_chosen {
        let rest = format_args!(" {dot} chosen {chosen:.1}% of late");
        canvas.left(x + used, y, width.saturating_sub(used), rest, Token::Text);
    }
}

/// Figures with bars, what each adds to the score, and the shares beside them or below.
fn long(canvas: &mut Canvas<'_>, area: Rect, row: &PoolNodeRow, context: Context<'_>) {
    let wide = area.width >= WIDE;
    let left = if wide { area.width * 3 / 5 } else { area.width };
    let bars = left.saturating_sub(LABEL + FIGURE + TERM + 6) / 2;
    let bars = bars.min(BAR);
    let (figure_x, bar_x) = (area.x + LABEL, area.x + LABEL + FIGURE + 1);
    let (term_x, part_x) = (bar_x + bars + 2, bar_x + bars + 2 + TERM + 1);
    canvas.right(figure_x, area.y, FIGURE, format_args!("NOW"), Token::Heading);
    canvas.right(term_x, area.y, TERM, format_args!("ADDS"), Token::Heading);
    let limits = &context.model.snapshot.pool.limits;
    let figures = row.figures.filter(|_| row.available);
    let score = &row.score;
    let parts = [score.cpu, score.memory, score.connections, score.latency];
    for (line, name) in NAMES.into_iter().enumerate() {
        let y = area.y + 1 + line as u16;
        canvas.text(area.x, y, LABEL, name, Token::Muted);
        let Some(now) = figures else {
            canvas.right(figure_x, y, FIGURE, format_args!("{}", canvas.glyphs.none), Token::Faint);
            continue;
        };
        let (part, limit) = match line {
            0 => (now.cpu_percent / 100.0, limits.cpu_percent / 100.0),
            1 => (now.memory_percent / 100.0, limits.memory_percent / 100.0),
            2 => (now.active_connections as f64 / limits.connections.max(1) as f64, 1.0),
            _ => (row.latency_ms / SLOW_MS, limits.latency_ms / SLOW_MS),
        };
        let fill = if row.stale { Token::Faint } else { load(part, limit) };
        let token = if fill == Token::BarFill { Token::Text } else { fill };
        let at = (figure_x, y, FIGURE);
        let put = |canvas: &mut Canvas<'_>, value| canvas.print(at.0, at.1, at.2, Align::Right, value, token);
        match line {
            0 => put(canvas, format_args!("{:.0}%", now.cpu_percent)),
            1 => put(canvas, format_args!("{:.0}%", now.memory_percent)),
            2 => put(canvas, format_args!("{}", Count(now.active_connections))),
            _ => put(canvas, format_args!("{}", Millis(row.latency_ms))),
        };
        bar::share(canvas, bar_x, y, bars, part, fill);
        // Where the limit is, within the bar.
        if limit < 1.0 && bars > 4 {
            let tick = (f64::from(bars) * limit) as u16;
            let over = part >= limit;
            canvas.glyph(
                bar_x + tick.min(bars - 1),
                y,
                canvas.glyphs.tick,
                if over { Token::Error } else { Token::Warn },
            );
        }
        let (most, token) = (limits.weights[line], TERMS[line]);
        if row.stale {
            canvas.right(term_x, y, TERM, format_args!("{}", canvas.glyphs.none), Token::Faint);
            continue;
        }
        canvas.right(term_x, y, TERM, format_args!("{:.2} of {most:.2}", parts[line]), Token::Text);
        bar::share(canvas, part_x, y, bars, if most > 0.0 { parts[line] / most } else { 0.0 }, token);
    }
    let y = area.y + 5;
    canvas.text(area.x, y, LABEL, "score", Token::Muted);
    let counts = match (row.stale, row.slow_start) {
        (true, _) => "neutral",
        (false, part) if part < 1.0 => "as it is new",
        _ => "of 1.00",
    };
    canvas.right(figure_x, y, FIGURE, format_args!("{:.2}", score.total * row.slow_start), Token::Strong);
    let [cpu, memory, connections, latency] = TERMS;
    let new = row.slow_start.clamp(0.0, 1.0);
    if row.stale || !row.available {
        bar::share(canvas, bar_x, y, bars, score.total * new, Token::Faint);
    } else {
        let stacked = [
            (score.cpu * new, cpu),
            (score.memory * new, memory),
            (score.connections * new, connections),
            (score.latency * new, latency),
        ];
        bar::stacked(canvas, bar_x, y, bars, &stacked);
    }
    canvas.right(term_x, y, TERM, format_args!("{counts}"), Token::Muted);
    if wide {
        let right = Rect { x: area.x + left + 2, width: area.width - left - 2, ..area };
        share_bars(canvas, right, row, context);
    } else if part_x < area.right() {
        shares(canvas, part_x, y, area.right() - part_x, row, context);
    }
}

/// What part of the ring it has, beside its chance and how often it was chosen.
fn share_bars(canvas: &mut Canvas<'_>, area: Rect, row: &PoolNodeRow, context: Context<'_>) {
    let whole = &context.derived.nodes;
    canvas.text(area.x, area.y, area.width, "SHARE", Token::Heading);
    let lines = [
        ("of the ring", row.ring_share, Token::Lane),
        ("chance", row.chance, Token::BarFill),
        ("chosen", row.chosen, Token::BarFill),
    ];
    let bars = area.width.saturating_sub(LABEL + FIGURE + 1).min(BAR);
    for (line, (name, share, token)) in lines.into_iter().enumerate() {
        let y = area.y + 1 + line as u16;
        canvas.text(area.x, y, LABEL, name, Token::Muted);
        let x = area.x + LABEL;
        if name == "chosen" && !whole.some_chosen {
            canvas.right(x, y, FIGURE, format_args!("{}", canvas.glyphs.none), Token::Faint);
            canvas.text(x + FIGURE + 1, y, bars, "nobody was, of late", Token::Faint);
            continue;
        }
        canvas.right(x, y, FIGURE, format_args!("{:.1}%", share * 100.0), Token::Text);
        let part = if whole.top_share > 0.0 { share / whole.top_share } else { 0.0 };
        bar::share(canvas, x + FIGURE + 1, y, bars, part, token);
    }
}
