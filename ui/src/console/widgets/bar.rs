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
