//! The line on top: which node this is, how one stands to it, and what it moves. On a large screen what
//! it moves has charts of its own below.
//!
//! ```text
//! skep hive-1  EMBEDDED                                             12:03:44
//! ↓  192 MB/s   ▁▂▅▇▇▆▇▇  ↑ 54.4 MB/s         ▁▂▃
//! of 200 MB/s  ▃████████            ▂▃▁▁▂▃▅▆█████
//!  top 200 MB  █████████    top 100 MB  ██████████
//! ```

use ratatui::layout::Rect;
use skep_engine::control::Connection;

use super::Context;
use crate::console::derive::link::{class_look, mode_name};
use crate::console::model::Model;
use crate::console::model::links::authority;
use crate::console::theme::Token;
use crate::console::view::layout::TALL_HEADER;
use crate::console::widgets::clock::Clock;
use crate::console::widgets::format::{Limit, Rate, Seconds};
use crate::console::widgets::{Canvas, chart, text};

/// Columns of a sparkline.
const SPARK: u16 = 12;
/// Columns of the numbers beside a chart.
const LABEL: u16 = 15;

/// Draws the line.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let model = context.model;
    let y = area.y;
    let mut right = area.right().saturating_sub(1);
    if area.width >= 72 {
        right -= 8;
        // The past has its clock in its badge; two of them could be mixed up.
        if model.travel.past.is_none() {
            let clock = Clock::at(model.now.wall_ms, &model.settings.zone);
            canvas.left(right, y, 8, format_args!("{clock}"), Token::Muted);
            right -= 2;
        } else {
            right += 8;
        }
    }
    if area.height >= TALL_HEADER {
        charts(canvas, area, context);
    } else if shows_rates(model, area.width) {
        right = rates(canvas, area, right, context);
    }
    let mut x = area.x + 1;
    let room = |x: u16| right.saturating_sub(x + 1);
    x += past(canvas, x, y, room(x), context);
    x += canvas.text(x, y, room(x), "skep", Token::Brand) + 1;
    let known = model.settings.targets.get(model.settings.target_at).filter(|_| model.received.is_none());
    let name = known.map_or(&model.snapshot.node.name, |target| &target.name);
    if !name.is_empty() {
        // How one stands to the node matters more than its whole name.
        x += canvas.text(x, y, room(x).saturating_sub(12).min(24), name, Token::Strong) + 1;
    }
    badges(canvas, x, y, right, context);
}

/// Rates of a node that cannot be reached are no rates; on narrow screens which moment it is matters more.
fn shows_rates(model: &Model, width: u16) -> bool {
    match &model.travel.past {
        Some(_) => width >= if model.settings.replay { 96 } else { 60 },
        None => model.data_age_ms().is_none(),
    }
}

/// The moment on screen, where it is not now: before everything else, so that nobody takes it for now.
fn past(canvas: &mut Canvas<'_>, x: u16, y: u16, room: u16, context: Context<'_>) -> u16 {
    let model = context.model;
    let Some(past) = &model.travel.past else { return 0 };
    let clock = Clock::at(past.time_ms, &model.settings.zone);
    let used = if model.settings.replay {
        let player = &model.travel.player;
        let (state, speed) =
            if player.since.is_some() { ("PLAYING", player.speed()) } else { ("STOPPED", player.speed()) };
        let since = |ms: u64| Seconds(ms.saturating_sub(past.first_ms) / 1000);
        let (at, all) = (since(past.time_ms), since(past.last_ms));
        canvas.left(x, y, room, format_args!(" {state} {speed}x {clock}, {at} of {all} "), Token::BadgeLost)
    } else {
        let ago = Seconds(model.now.wall_ms.saturating_sub(past.time_ms) / 1000);
        canvas.left(x, y, room, format_args!(" PAST {clock}, {ago} ago "), Token::BadgeLost)
    };
    used + 1
}

fn badges(canvas: &mut Canvas<'_>, mut x: u16, y: u16, right: u16, context: Context<'_>) {
    let model = context.model;
    let room = |x: u16| right.saturating_sub(x + 1);
    if model.settings.replay {
        x += canvas.text(x, y, room(x), " READ-ONLY ", Token::BadgeReadOnly) + 1;
        canvas.text(x, y, room(x), &model.settings.target, Token::Text);
        return;
    }
    if let Some(age) = model.data_age_ms() {
        if model.received.is_none() {
            x += canvas.text(x, y, room(x), " NO DATA YET ", Token::BadgeLost) + 1;
        } else {
            let age = Seconds(age / 1000);
            x += canvas.left(x, y, room(x), format_args!(" LOST, data {age} old "), Token::BadgeLost) + 1;
        }
        if let Connection::Lost { error, attempts, retry_at_ms } = &model.connection {
            let wait = Seconds(retry_at_ms.saturating_sub(model.now.wall_ms).div_ceil(1000));
            if *attempts == 0 {
                canvas.left(x, y, room(x), format_args!("{} {error}", model.settings.target), Token::Warn);
            } else {
                let next = attempts + 1;
                canvas.left(x, y, room(x), format_args!("retrying in {wait} (attempt {next}): {error}"), Token::Warn);
            }
        }
        return;
    }
    if model.settings.read_only {
        x += canvas.text(x, y, room(x), " READ-ONLY ", Token::BadgeReadOnly) + 1;
    }
    if model.snapshot.node.draining {
        x += canvas.text(x, y, room(x), " DRAINING ", Token::BadgeReadOnly) + 1;
    }
    if model.settings.embedded {
        x += canvas.text(x, y, room(x), " EMBEDDED ", Token::BadgeEmbedded) + 1;
    } else {
        x += canvas.text(x, y, room(x), " REMOTE ", Token::BadgeRemote) + 1;
        let target = model.settings.target.split_once("://").map_or(&*model.settings.target, |(_, host)| host);
        // An operator with several nodes knows them by their names.
        if let Some(known) =
            model.settings.targets.get(model.settings.target_at).filter(|_| model.settings.target_at > 0)
        {
            x += canvas.text(x, y, room(x), &known.name, Token::Strong) + 1;
        }
        x += canvas.text(x, y, room(x), target, Token::Text) + 1;
    }
    link(canvas, x, y, right, context);
}

/// The link that matters: its class and what that means for syncs, and whose it is, as far as there is room.
fn link(canvas: &mut Canvas<'_>, x: u16, y: u16, right: u16, context: Context<'_>) {
    let x = pool(canvas, x, y, right, context);
    let Some(link) = &context.derived.link else { return };
    let room = right.saturating_sub(x + 2);
    let (class, mode) = (link.class.name(), mode_name(&link.params));
    let at = authority(&link.endpoint);
    let (short, long) = (class.len() as u16 + 2, (class.len() + mode.len()) as u16 + 4);
    if room < short {
        return;
    }
    let (glyph, token) = class_look(link.class);
    let mut x = x + 1;
    canvas.glyph(x, y, glyph(canvas.glyphs), token);
    x += 2;
    x += canvas.text(x, y, right.saturating_sub(x), class, token);
    if room < long {
        return;
    }
    x += canvas.left(x, y, right.saturating_sub(x), format_args!(", {mode}"), Token::Text);
    let left = right.saturating_sub(x + 1);
    if usize::from(left) >= text::width(at) + 4 {
        canvas.left(x, y, left, format_args!(" to {at}"), Token::Muted);
    }
}

/// Nodes of the pool that are there, of all: `pool 5/6`; gives the column behind it.
fn pool(canvas: &mut Canvas<'_>, x: u16, y: u16, right: u16, context: Context<'_>) -> u16 {
    let (there, all) = (context.derived.nodes.there, context.model.snapshot.pool.nodes.len());
    let width = 6 + 2 * all.max(1).ilog10() as u16 + 2;
    if all == 0 || right.saturating_sub(x + 2) < width {
        return x;
    }
    let token = if there < all { Token::Warn } else { Token::Text };
    x + 1 + canvas.left(x + 1, y, width, format_args!("pool {there}/{all}"), token) + 1
}

/// Totals, right-aligned; gives the column where they start.
fn rates(canvas: &mut Canvas<'_>, area: Rect, mut right: u16, context: Context<'_>) -> u16 {
    let y = area.y;
    let (sparks, limits) = (area.width >= 110, area.width >= 96);
    for way in [Way::up(context), Way::down(context)] {
        if way.up && area.width < 60 {
            continue;
        }
        if sparks {
            right -= SPARK;
            let area = Rect::new(right, y, SPARK, 1);
            way.chart(canvas, area, (Token::Muted, Token::Muted), context);
            right -= 1;
        }
        if way.limit.is_some() && limits {
            right -= 13;
            let limit = Limit(way.limit, canvas.glyphs.unlimited);
            canvas.left(right, y, 13, format_args!(" of {limit}"), Token::Muted);
        }
        right -= 11;
        canvas.glyph(right, y, canvas.glyphs.arrows[usize::from(way.up)], way.token);
        canvas.right(right + 2, y, 9, format_args!("{}", Rate(way.rate)), way.token);
        right -= 2;
    }
    right
}

/// Two charts side by side, each with its numbers at the left: the rate now, its limit, the scale.
fn charts(canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>) {
    let half = (area.width - 3) / 2;
    // Rates of a node that cannot be reached are no rates; what they were stays, faint.
    let lost = context.model.travel.past.is_none() && context.model.data_age_ms().is_some();
    for (way, x) in [(Way::down(context), area.x + 1), (Way::up(context), area.right() - 1 - half)] {
        let y = area.y + 1;
        let chart = Rect::new(x + LABEL, y, half - LABEL, area.height - 1);
        let tokens = if lost { (Token::Faint, Token::Faint) } else { (way.token, way.body) };
        let top = way.chart(canvas, chart, tokens, context);
        canvas.glyph(x, y, canvas.glyphs.arrows[usize::from(way.up)], tokens.0);
        if lost {
            canvas.right(x + 2, y, 11, format_args!("{}", canvas.glyphs.none), Token::Faint);
            continue;
        }
        canvas.right(x + 2, y, 11, format_args!("{}", Rate(way.rate)), way.token);
        if way.limit.is_some() {
            let limit = Limit(way.limit, canvas.glyphs.unlimited);
            canvas.right(x, y + 1, 13, format_args!("of {limit}"), Token::Muted);
        }
        canvas.right(x, y + 2, 13, format_args!("top {}", Rate(top)), Token::Faint);
    }
}

/// What the node moves in one direction.
struct Way {
    up: bool,
    rate: u64,
    limit: Option<u64>,
    token: Token,
    body: Token,
}

impl Way {
    fn down(context: Context<'_>) -> Self {
        let node = &context.model.snapshot.node;
        Self { up: false, rate: node.rate_down, limit: node.limit_down, token: Token::Down, body: Token::ChartDown }
    }

    fn up(context: Context<'_>) -> Self {
        let node = &context.model.snapshot.node;
        Self { up: true, rate: node.rate_up, limit: node.limit_up, token: Token::Up, body: Token::ChartUp }
    }

    /// Draws its history and gives the scale.
    fn chart(&self, canvas: &mut Canvas<'_>, area: Rect, tokens: (Token, Token), context: Context<'_>) -> u64 {
        let history = context.model.history();
        if self.up {
            chart::draw(canvas, area, history.up(), tokens)
        } else {
            chart::draw(canvas, area, history.down(), tokens)
        }
    }
}
