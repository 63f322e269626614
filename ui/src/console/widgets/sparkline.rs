//! A history as a row of columns, newest at the right edge.

use super::Canvas;
use crate::console::theme::Token;

/// Draws the last `width` samples. The scale is the largest sample shown rounded up to 1, 2 or 5
/// times a power of ten, so that it stays put while values move.
pub fn draw(
    canvas: &mut Canvas<'_>,
    x: u16,
    y: u16,
    width: u16,
    samples: impl DoubleEndedIterator<Item = u64> + Clone,
    token: Token,
) {
    let top = scale(samples.clone().rev().take(usize::from(width)).max().unwrap_or(0));
    for (back, sample) in samples.rev().take(usize::from(width)).enumerate() {
        let level = if sample == 0 { 0 } else { (u128::from(sample) * 8 / u128::from(top)).clamp(1, 8) as usize };
        canvas.glyph(x + width - 1 - back as u16, y, canvas.glyphs.spark[level], token);
    }
}

/// The next of 1, 2, 5 × 10ⁿ.
fn scale(value: u64) -> u64 {
    let mut step = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let Some(scale) = step.checked_mul(factor) else { return u64::MAX };
            if scale >= value {
                return scale;
            }
        }
        let Some(next) = step.checked_mul(10) else { return u64::MAX };
        step = next;
    }
}

#[cfg(test)]
mod tests {
    use super::scale;

    #[test]
    fn scales_do_not_wobble() {
        assert_eq!(scale(0), 1);
        assert_eq!(scale(1_000_001), 2_000_000);
        assert_eq!(scale(1_900_000), 2_000_000);
        assert_eq!(scale(2_000_001), 5_000_000);
        assert_eq!(scale(u64::MAX), u64::MAX);
    }
}
