//! Charts of bandwidth and latency side by side, with the values at which a link is of another class drawn in;
//! below them the class as it was, and the loss, on the same columns.

use ratatui::layout::Rect;
use skep_engine::control::link::{LinkClass, LinkRow};

use crate::console::derive::link::{Column, Edge, class_look};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bandwidth, Millis, Seconds};
use crate::console::widgets::plot::{self, Line, Plot, Point, Scale};

/// Fewest lines that say something: figures, three of chart, one below it.
pub const LEAST: u16 = 5;
/// From this height on what is below the charts has three lines.
const TALL: u16 = 12;
/// Columns between the two.
const BETWEEN: u16 = 2;
/// Below this width there is one chart.
const NARROW: u16 = 60;
/// From this width of a chart on the lines have their whole names.
const NAMED: u16 = 48;

/// Width of a chart, and of the names beside it.
fn widths(width: u16) -> (u16, u16) {
    let chart = if width < NARROW { width } else { (width - BETWEEN) / 2 };
    (chart, if chart >= NAMED { 15 } else { 11 })
}

/// Columns of time for charts in this width.
pub fn columns(width: u16) -> u16 {
    let (chart, gutter) = widths(width);
    chart.saturating_sub(gutter)
}

/// Draws them.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, link: &LinkRow, context: Context<'_>) {
    if area.height < LEAST {
        return;
    }
    let (width, gutter) = widths(area.width);
    let left = Rect { width, ..area };
    let below = if area.height >= TALL { 3 } else { 1 };
    let chart = |of: Rect| Rect { y: of.y + 1, height: of.height - 1 - below, ..of };
    let strip = |of: Rect| Rect { y: of.bottom() - below, height: below, ..of };
    bandwidth(canvas, left, chart(left), gutter, link, context);
    classes(canvas, strip(left), gutter, context);
    if area.width < NARROW {
        return;
    }
    let right = Rect { x: area.right() - width, width, ..area };
    latency(canvas, right, chart(right), gutter, link, context);
    loss(canvas, strip(right), gutter, link, context);
}

/// The lines of a scale; the ones that a change of class on its way is about stand out.
fn lines<'a, const N: usize>(edges: &'a [Edge; N], gutter: u16, link: &LinkRow) -> [Line<'a>; N] {
    let pending = link.pending.as_ref().map(|pending| pending.class);
    edges.each_ref().map(|edge| {
        let name = if gutter >= 15 { &edge.long } else { &edge.short };
        let token = if pending == Some(edge.class) { Token::Wish } else { Token::Faint };
        Line { value: edge.value, name, token }
    })
}

fn bandwidth(canvas: &mut Canvas<'_>, area: Rect, chart: Rect, gutter: u16, link: &LinkRow, context: Context<'_>) {
    let charts = &context.derived.charts;
    let used = canvas.text(area.x, area.y, area.width, "bandwidth ", Token::Heading);
    let figure = link.newest.bandwidth_mbps.or(link.median.bandwidth_mbps);
    value(canvas, (area.x + used, area.y, area.width - used), figure.map(Bandwidth));
    let high = if charts.top_bandwidth > 1_000.0 { 10_000.0 } else { 1_000.0 };
    let lines = lines(&charts.edges.bandwidth, gutter, link);
    let tokens = (Token::Down, Token::ChartDown);
    let plot = Plot { scale: Scale::Log(0.1, high), lines: &lines, gutter, tokens };
    let point = |c: &Column| Point { value: c.bandwidth, band: 0.0, failed: c.failed };
    plot::draw(canvas, chart, &plot, charts.columns.iter().map(point));
}

fn latency(canvas: &mut Canvas<'_>, area: Rect, chart: Rect, gutter: u16, link: &LinkRow, context: Context<'_>) {
    let charts = &context.derived.charts;
    let mut used = canvas.text(area.x, area.y, area.width, "latency ", Token::Heading);
    let figure = link.newest.latency_ms.or(link.median.latency_ms);
    used += value(canvas, (area.x + used, area.y, area.width - used), figure.map(Millis));
    if let Some(jitter) = link.newest.jitter_ms.or(link.median.jitter_ms) {
        let text = format_args!(", {} wavers by {}", canvas.glyphs.missing[2], Millis(jitter));
        canvas.left(area.x + used, area.y, area.width - used, text, Token::Muted);
    }
    let high = if charts.top_latency > 1_000.0 { 10_000.0 } else { 1_000.0 };
    let lines = lines(&charts.edges.latency, gutter, link);
    let tokens = (Token::Up, Token::ChartUp);
    let plot = Plot { scale: Scale::Log(1.0, high), lines: &lines, gutter, tokens };
    let point = |c: &Column| Point { value: c.latency, band: c.jitter, failed: c.failed };
    plot::draw(canvas, chart, &plot, charts.columns.iter().map(point));
}

/// A figure or the sign for none; gives the columns used.
fn value(canvas: &mut Canvas<'_>, (x, y, width): (u16, u16, u16), figure: Option<impl std::fmt::Display>) -> u16 {
    match figure {
        Some(figure) => canvas.left(x, y, width, format_args!("{figure}"), Token::Strong),
        None => canvas.text(x, y, width, canvas.glyphs.none, Token::Faint),
    }
}

fn loss(canvas: &mut Canvas<'_>, area: Rect, gutter: u16, link: &LinkRow, context: Context<'_>) {
    let charts = &context.derived.charts;
    let high = if charts.top_loss > 40.0 { 100.0 } else { 40.0 };
    let figure = link.newest.loss_percent.or(link.median.loss_percent);
    let lines = lines(&charts.edges.loss, gutter, link);
    // On a single line there is no place for a line.
    let shown = if area.height > 1 { &lines[..] } else { &[] };
    let plot = Plot { scale: Scale::Linear(high), lines: shown, gutter, tokens: (Token::Warn, Token::ChartUp) };
    let point = |c: &Column| Point { value: c.loss, band: 0.0, failed: false };
    plot::draw(canvas, area, &plot, charts.columns.iter().map(point));
    let width = gutter.saturating_sub(1);
    match figure {
        Some(percent) => canvas.right(area.x, area.y, width, format_args!("loss {percent:.0}%"), Token::Heading),
        None => canvas.right(area.x, area.y, width, format_args!("loss {}", canvas.glyphs.none), Token::Heading),
    };
}

/// The class as it was, a letter a column, and below it when that was.
fn classes(canvas: &mut Canvas<'_>, area: Rect, gutter: u16, context: Context<'_>) {
    canvas.right(area.x, area.y, gutter.saturating_sub(1), format_args!("class"), Token::Heading);
    let columns = &context.derived.charts.columns;
    let start = area.right().saturating_sub(columns.len() as u16);
    for (x, column) in (start..area.right()).zip(columns) {
        let Some(class) = column.class else { continue };
        canvas.glyph(x, area.y, letter(class), class_look(class).1);
    }
    if area.height < 3 {
        return;
    }
    let (x, y) = (area.x + gutter, area.y + 1);
    let ago = Seconds(context.model.links.span_ms() / 1_000);
    canvas.left(x, y, area.right().saturating_sub(x), format_args!("{ago} ago"), Token::Faint);
    let now = if context.model.travel.past.is_some() { "then" } else { "now" };
    canvas.right(x, y, area.right().saturating_sub(x), format_args!("{now}"), Token::Faint);
}

const fn letter(class: LinkClass) -> &'static str {
    match class {
        LinkClass::Fiber => "F",
        LinkClass::Broadband => "B",
        LinkClass::Mobile => "M",
        LinkClass::Satellite => "S",
        LinkClass::Intermittent => "I",
        LinkClass::Unknown => "?",
    }
}
