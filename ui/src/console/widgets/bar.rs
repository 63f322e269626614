//! A progress bar of eighths of a column.

use super::Canvas;
use crate::console::theme::Token;

/// Draws `part` of `whole` over `width` columns. Never looks empty when there is something, nor
/// full when something is missing.
pub fn draw(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, part: u64, whole: u64, token: Token) {
    let steps = canvas.glyphs.bar.len() as u64 - 1;
    let all = u64::from(width) * steps;
    let lit = lit(part, whole, all);
    for column in 0..width {
        let here = lit.saturating_sub(u64::from(column) * steps).min(steps);
        let glyph = canvas.glyphs.bar[here as usize];
        canvas.glyph(x + column, y, glyph, if here == 0 { Token::Border } else { token });
    }
}

/// Parts from 0 to 1 of a whole as a bar: nothing that is no number is drawn.
pub fn share(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, part: f64, token: Token) {
    draw(canvas, x, y, width, (part.clamp(0.0, 1.0) * WHOLE) as u64, WHOLE as u64, token);
}

/// One whole, in steps.
const WHOLE: f64 = 1e6;

/// Parts from 0 to 1 of a whole one behind the other, each in its own token: a cell has that of the part that most of it is.
pub fn stacked(canvas: &mut Canvas<'_>, x: u16, y: u16, width: u16, parts: &[(f64, Token)]) {
    let all: f64 = parts.iter().map(|(part, _)| part.clamp(0.0, 1.0)).sum();
    share(canvas, x, y, width, all, Token::BarFill);
    let steps = canvas.glyphs.bar.len() as u64 - 1;
    let lit = lit((all.min(1.0) * WHOLE) as u64, WHOLE as u64, u64::from(width) * steps);
    let mut end = 0.0;
    let mut ends = parts.iter().map(|(part, token)| {
        end += part.clamp(0.0, 1.0);
        (end * f64::from(width), *token)
    });
    let mut part = ends.next();
    for column in 0..width {
        let here = lit.saturating_sub(u64::from(column) * steps).min(steps);
        while let Some((edge, _)) = part
            && edge <= f64::from(column) + 0.5
        {
            let Some(next) = ends.next() else { break };
            part = Some(next);
        }
        if here > 0
            && let Some((_, token)) = part
        {
            canvas.glyph(x + column, y, canvas.glyphs.bar[here as usize], token);
        }
    }
}

fn lit(part: u64, whole: u64, all: u64) -> u64 {
    if whole == 0 || part == 0 || all == 0 {
        return 0;
    }
    if part >= whole {
        return all;
    }
    let exact = u128::from(part) * u128::from(all) / u128::from(whole);
    (exact as u64).clamp(1, all - 1)
}

#[cfg(test)]
mod tests {
    use super::lit;

    #[test]
    fn neither_end_lies() {
        assert_eq!(lit(0, 100, 80), 0);
        assert_eq!(lit(1, u64::MAX, 80), 1);
        assert_eq!(lit(u64::MAX - 1, u64::MAX, 80), 79);
        assert_eq!(lit(5, 5, 80), 80);
        assert_eq!(lit(50, 100, 80), 40);
        assert_eq!(lit(0, 0, 80), 0);
    }
}
