//! A history as columns, newest at the right edge: one line of it or several.

use ratatui::layout::Rect;

use super::Canvas;
use crate::console::glyphs::dots;
use crate::console::theme::Token;

/// Draws as many of the newest samples as fit: two per column where the glyphs have dots, else one. The
/// scale, which is given back, is the largest sample shown rounded up to one of a few steps, so that it
/// stays put while values move. The column of the newest sample has the first token, what was before it the
/// second.
pub fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    samples: impl DoubleEndedIterator<Item = u64> + Clone,
    tokens: (Token, Token),
) -> u64 {
    let per_column = if canvas.glyphs.dots.is_some() { 2 } else { 1 };
    let top = top(samples.clone().rev().take(usize::from(area.width) * per_column));
    draw_to(canvas, area, samples, tokens, top);
    top
}

/// The scale for these samples: the largest, rounded up.
pub fn top(samples: impl Iterator<Item = u64>) -> u64 {
    scale(samples.max().unwrap_or(0))
}

/// Draws on a scale that is given: charts that are compared share theirs.
pub fn draw_to(
    canvas: &mut Canvas<'_>,
    area: Rect,
    samples: impl DoubleEndedIterator<Item = u64>,
    tokens: (Token, Token),
    top: u64,
) {
    let fine = canvas.glyphs.dots;
    let (per_column, per_row) = if fine.is_some() { (2, 4) } else { (1, 8) };
    let count = usize::from(area.width) * per_column;
    let all = u64::from(area.height) * per_row;
    let height = |sample: u64| match sample {
        0 => 0,
        n => (u128::from(n) * u128::from(all) / u128::from(top.max(1))).clamp(1, all.into()) as u64,
    };
    let mut newest_first = samples.rev().take(count).map(height);
    for x in (area.left()..area.right()).rev() {
        let Some(right) = newest_first.next() else { break };
        let left = if per_column == 2 { newest_first.next().unwrap_or(0) } else { right };
        for (row, y) in (area.top()..area.bottom()).rev().enumerate() {
            let within = |height: u64| height.saturating_sub(row as u64 * per_row).min(per_row) as u8;
            let (left, right) = (within(left), within(right));
            if left == 0 && right == 0 {
                break;
            }
            let glyph = match fine {
                Some(dots) => dots[dots::columns(left, right)],
                None => canvas.glyphs.spark[usize::from(right)],
            };
            canvas.glyph(x, y, glyph, if x + 1 == area.right() { tokens.0 } else { tokens.1 });
        }
    }
}

/// The next of 1, 1.5, 2, 3, 4, 6, 8 × 10ⁿ.
fn scale(value: u64) -> u64 {
    const TENTHS: [u64; 7] = [10, 15, 20, 30, 40, 60, 80];
    let mut step = 1u64;
    loop {
        for tenths in TENTHS {
            let Some(scale) = step.checked_mul(tenths) else { return u64::MAX };
            // Tenths of one byte there are none.
            if scale.div_ceil(10) >= value {
                return scale.div_ceil(10);
            }
        }
        let Some(next) = step.checked_mul(10) else { return u64::MAX };
        step = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::glyphs::{Charset, GlyphChoice};
    use crate::console::theme::{Depth, Theme, builtin};
    use ratatui::buffer::Buffer;

    fn drawn(glyphs: GlyphChoice, width: u16, height: u16, samples: &[u64]) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let theme = Theme::resolve(&builtin("slate").unwrap(), Depth::True);
        let area = buffer.area;
        let mut canvas = Canvas::new(&mut buffer, &theme, glyphs.set(Charset::Unicode));
        draw(&mut canvas, area, samples.iter().copied(), (Token::Down, Token::ChartDown));
        area.rows().map(|row| row.positions().map(|at| buffer[at].symbol()).collect()).collect()
    }

    #[test]
    fn the_newest_stands_at_the_right_edge() {
        assert_eq!(drawn(GlyphChoice::Block, 4, 1, &[7, 1, 0, 10]), ["▅▁ █"]);
        assert_eq!(drawn(GlyphChoice::Block, 3, 2, &[5, 10]), ["  █", " ██"]);
        assert_eq!(drawn(GlyphChoice::Octant, 2, 1, &[10, 5, 10]), ["▐▟"]);
        assert_eq!(drawn(GlyphChoice::Braille, 1, 2, &[5, 10]), ["⢸", "⣿"]);
        assert_eq!(drawn(GlyphChoice::Ascii, 3, 1, &[]), ["   "]);
    }

    #[test]
    fn something_is_never_nothing() {
        assert_eq!(drawn(GlyphChoice::Block, 2, 3, &[1, 1_000_000])[2], "▁█");
    }

    #[test]
    fn scales_do_not_wobble() {
        assert_eq!(scale(0), 1);
        assert_eq!(scale(1_000_001), 1_500_000);
        assert_eq!(scale(1_900_000), 2_000_000);
        assert_eq!(scale(2_000_001), 3_000_000);
        assert_eq!(scale(176_000_000), 200_000_000);
        assert_eq!(scale(u64::MAX), u64::MAX);
    }
}
