//! A figure over time on a scale that stays put, with lines at the values that matter and their names beside.
//!
//! ```text
//!  >500 satellite ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
//!                                      ░▂░  ▃▅▇    the figure, and above it how far it wavers
//!   <50 broadband ╌╌╌╌╌╌╌╌╌╌╌╌▁▂▂▃▂▂▂▃▃███▅▅███
//!       <10 fiber ─────────────────────────────    through what is filled, too
//! ```

use ratatui::layout::Rect;

use super::Canvas;
use crate::console::glyphs::dots;
use crate::console::theme::Token;

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// By their logarithm, from the first to the second.
    Log(f32, f32),
    /// In proportion, from zero.
    Linear(f32),
}

impl Scale {
    /// The height of a value among `steps`; something is never nothing.
    pub fn height(self, value: f32, steps: u32) -> u32 {
        let part = match self {
            Self::Log(low, high) => (value.max(low) / low).ln() / (high / low).ln(),
            Self::Linear(high) => value / high,
        };
        // What is no number at all becomes zero here.
        let height = (part.clamp(0.0, 1.0) * steps as f32).round() as u32;
        if value > 0.0 { height.clamp(1, steps.max(1)) } else { 0 }
    }
}

/// A value that matters.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Where.
    pub value: f32,
    /// What it is called.
    pub name: &'a str,
    /// How its name looks.
    pub token: Token,
}

/// A column of the chart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// The figure; none: not known.
    pub value: Option<f32>,
    /// How far it wavers.
    pub band: f32,
    /// There was no answer.
    pub failed: bool,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Plot<'a> {
    /// Heights.
    pub scale: Scale,
    /// What is drawn through; where two fall on one row, the first is named.
    pub lines: &'a [Line<'a>],
    /// Columns at the left for their names.
    pub gutter: u16,
    /// Of the newest column, and of what was before.
    pub tokens: (Token, Token),
}

/// Draws points, oldest first; the newest stands at the right edge.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, plot: &Plot<'_>, points: impl DoubleEndedIterator<Item = Point>) {
    if area.height == 0 || area.width <= plot.gutter {
        return;
    }
    let chart = Rect { x: area.x + plot.gutter, width: area.width - plot.gutter, ..area };
    let per_row = if canvas.glyphs.dots.is_some() { 4 } else { 8 };
    let steps = u32::from(area.height) * per_row;
    let row_of = |value: f32| (plot.scale.height(value, steps).max(1) - 1) / per_row;
    let mut named = None;
    let mut lines = [false; 64];
    for line in plot.lines {
        let row = row_of(line.value).min(lines.len() as u32 - 1);
        let y = area.bottom() - 1 - row as u16;
        if !lines[row as usize] && named != Some(row) {
            canvas.right(area.x, y, plot.gutter.saturating_sub(1), format_args!("{}", line.name), line.token);
        }
        named = Some(row);
        lines[row as usize] = true;
        for x in chart.left()..chart.right() {
            canvas.glyph(x, y, canvas.glyphs.threshold, Token::Faint);
        }
    }
    let mut newest_first = points.rev();
    for x in (chart.left()..chart.right()).rev() {
        let Some(point) = newest_first.next() else { return };
        let token = if x + 1 == chart.right() { plot.tokens.0 } else { plot.tokens.1 };
        column(canvas, (x, chart), plot, &point, &lines, token);
    }
}

fn column(
    canvas: &mut Canvas<'_>,
    (x, chart): (u16, Rect),
    plot: &Plot<'_>,
    point: &Point,
    lines: &[bool],
    token: Token,
) {
    let fine = canvas.glyphs.dots;
    let per_row = if fine.is_some() { 4 } else { 8 };
    let steps = u32::from(chart.height) * per_row;
    let Some(value) = point.value else {
        if point.failed {
            canvas.glyph(x, chart.bottom() - 1, canvas.glyphs.error, Token::Error);
        }
        return;
    };
    let filled = plot.scale.height(value, steps);
    let wavers = plot.scale.height(value + point.band.max(0.0), steps);
    for (row, y) in (chart.top()..chart.bottom()).rev().enumerate() {
        let row = row as u32;
        let within = filled.saturating_sub(row * per_row).min(per_row);
        if within == 0 {
            // Half a cell of it at least: less would look as if it were more.
            if wavers >= row * per_row + per_row / 2 && wavers > filled {
                canvas.glyph(x, y, canvas.glyphs.missing[2], token);
                continue;
            }
            break;
        }
        if within == per_row && lines.get(row as usize).copied().unwrap_or(false) {
            canvas.glyph_on(x, y, canvas.glyphs.border[4], Token::Base, token);
            continue;
        }
        let glyph = match fine {
            Some(dots) => dots[dots::columns(within as u8, within as u8)],
            None => canvas.glyphs.spark[within as usize],
        };
        canvas.glyph(x, y, glyph, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::glyphs::{Charset, GlyphChoice};
    use crate::console::theme::{Depth, Theme, builtin};
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;

    const LATENCY: Scale = Scale::Log(1.0, 1_000.0);

    fn drawn(glyphs: GlyphChoice, (width, height): (u16, u16), gutter: u16, points: &[Point]) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let theme = Theme::resolve(&builtin("slate").unwrap(), Depth::True);
        let area = buffer.area;
        let mut canvas = Canvas::new(&mut buffer, &theme, glyphs.set(Charset::Unicode));
        let line = |value, name| Line { value, name, token: Token::Muted };
        let lines = [line(500.0, ">500 far"), line(10.0, "<10 near")];
        let plot = Plot { scale: LATENCY, lines: &lines, gutter, tokens: (Token::Down, Token::ChartDown) };
        draw(&mut canvas, area, &plot, points.iter().copied());
        area.rows().map(|row| row.positions().map(|at| buffer[at].symbol()).collect()).collect()
    }

    fn point(value: f32, band: f32) -> Point {
        Point { value: Some(value), band, failed: false }
    }

    #[test]
    fn lines_are_named_and_seen_through_what_is_filled() {
        let points =
            [point(1_000.0, 0.0), Point::default(), point(40.0, 60.0), Point { failed: true, ..Point::default() }];
        let shown = drawn(GlyphChoice::Block, (16, 3), 10, &points);
        assert_eq!(shown[1].chars().nth(12), Some('█'), "{shown:#?}");
        assert!(shown[0].starts_with(" >500 far ╌╌") && shown[2].starts_with(" <10 near ╌╌─╌"), "{shown:#?}");
        assert_eq!(shown[2].chars().last(), Some('✗'), "no answer is seen: {shown:#?}");
        // 40 ms are a bit more than half of three decades.
        assert_eq!(shown[1].chars().nth(14), Some('▅'), "{shown:#?}");
        assert!(!shown[1].contains('░'), "less than half a cell: {shown:#?}");
        let wide = drawn(GlyphChoice::Block, (12, 6), 10, &[point(40.0, 400.0), point(40.0, 0.0)]);
        assert!(wide.iter().any(|row| row.contains('░')), "how far it wavers: {wide:#?}");
    }

    #[test]
    fn something_is_never_nothing_and_nothing_is() {
        for scale in [LATENCY, Scale::Linear(40.0)] {
            assert_eq!((scale.height(0.0, 24), scale.height(0.001, 24), scale.height(1e9, 24)), (0, 1, 24));
            assert_eq!(scale.height(f32::NAN, 24), 0);
        }
        assert_eq!(LATENCY.height(31.62, 30), 15, "halfway by the logarithm");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_area(width in 0u16..40, height in 0u16..12, gutter in 0u16..20, value in any::<f32>(), band in any::<f32>()) {
            for glyphs in [GlyphChoice::Block, GlyphChoice::Braille, GlyphChoice::Ascii] {
                let points = [Point { value: Some(value), band, failed: false }; 50];
                let shown = drawn(glyphs, (width, height), gutter, &points);
                prop_assert_eq!(shown.len(), usize::from(height));
            }
        }
    }
}
