//! Characters of 2 × 4 dots: octants (solid) and Braille patterns (points).
//!
//! A pattern is a byte: bit 0 the upper left dot, bit 1 the upper right, bits 2 and 3 the row below, and
//! so on down to bits 6 and 7, as Unicode numbers octants.

/// A character for each pattern.
pub type Dots = [&'static str; 256];

/// The characters of one set.
static OCTANT_BYTES: [([u8; 4], usize); 256] = each(true);
static BRAILLE_BYTES: [([u8; 4], usize); 256] = each(false);

/// Octants: U+1CD00 to U+1CDE5 (Unicode 16.0, Symbols for Legacy Computing Supplement), and the older
/// characters that have the remaining 26 shapes.
pub static OCTANTS: Dots = texts(&OCTANT_BYTES);
/// Braille patterns, U+2800 to U+28FF; nothing is a blank.
pub static BRAILLE: Dots = texts(&BRAILLE_BYTES);

/// The pattern of two columns of dots, filled from below: 0 to 4 dots each.
pub const fn columns(left: u8, right: u8) -> usize {
    // Rows filled from below, as bits of the left column.
    const FILL: [usize; 5] = [0, 0b0100_0000, 0b0101_0000, 0b0101_0100, 0b0101_0101];
    let (left, right) = (if left > 4 { 4 } else { left }, if right > 4 { 4 } else { right });
    FILL[left as usize] | FILL[right as usize] << 1
}

/// Octant patterns that had a character before there were octants.
const fn older(pattern: u32) -> u32 {
    match pattern {
        0x00 => 0x20,
        0x01 => 0x1cea8,
        0x02 => 0x1ceab,
        0x03 => 0x1fb82,
        0x05 => 0x2598,
        0x0a => 0x259d,
        0x0f => 0x2580,
        0x14 => 0x1fbe6,
        0x28 => 0x1fbe7,
        0x3f => 0x1fb85,
        0x40 => 0x1cea3,
        0x50 => 0x2596,
        0x55 => 0x258c,
        0x5a => 0x259e,
        0x5f => 0x259b,
        0x80 => 0x1cea0,
        0xa0 => 0x2597,
        0xa5 => 0x259a,
        0xaa => 0x2590,
        0xaf => 0x259c,
        0xc0 => 0x2582,
        0xf0 => 0x2584,
        0xf5 => 0x2599,
        0xfa => 0x259f,
        0xfc => 0x2586,
        0xff => 0x2588,
        _ => 0,
    }
}

/// A Braille pattern: its bits run down the left side, then down the right, the lowest row last.
const fn braille(pattern: u32) -> u32 {
    const BITS: [u32; 8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
    if pattern == 0 {
        return 0x20;
    }
    let (mut bits, mut at) = (0, 0);
    while at < 8 {
        if pattern >> at & 1 == 1 {
            bits |= BITS[at];
        }
        at += 1;
    }
    0x2800 + bits
}

const fn each(octant: bool) -> [([u8; 4], usize); 256] {
    let mut all = [([0; 4], 0); 256];
    let mut next = 0x1cd00;
    let mut pattern = 0;
    while pattern < 256 {
        let mut code = if octant { older(pattern) } else { braille(pattern) };
        if code == 0 {
            code = next;
            next += 1;
        }
        all[pattern as usize] = utf8(code);
        pattern += 1;
    }
    all
}

const fn utf8(code: u32) -> ([u8; 4], usize) {
    let low = (0x80 | code & 0x3f) as u8;
    let mid = (0x80 | code >> 6 & 0x3f) as u8;
    let high = (0x80 | code >> 12 & 0x3f) as u8;
    match code {
        0..0x80 => ([code as u8, 0, 0, 0], 1),
        0x80..0x800 => ([(0xc0 | code >> 6) as u8, low, 0, 0], 2),
        0x800..0x1_0000 => ([(0xe0 | code >> 12) as u8, mid, low, 0], 3),
        _ => ([(0xf0 | code >> 18) as u8, high, mid, low], 4),
    }
}

const fn texts(bytes: &'static [([u8; 4], usize); 256]) -> Dots {
    let mut all = [" "; 256];
    let mut at = 0;
    while at < 256 {
        let (symbol, _) = (&bytes[at].0 as &'static [u8]).split_at(bytes[at].1);
        if let Ok(text) = std::str::from_utf8(symbol) {
            all[at] = text;
        }
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn every_pattern_has_its_character() {
        for (pattern, text) in OCTANTS.iter().enumerate() {
            // An independent table of the same.
            assert_eq!(text.parse(), Ok(ratatui::symbols::pixel::OCTANTS[pattern]), "{pattern:#04x}");
            assert_eq!(text.width(), 1, "{pattern:#04x}");
            assert_eq!(BRAILLE[pattern].width(), 1, "{pattern:#04x}");
        }
        for set in [&OCTANTS, &BRAILLE] {
            let unique: std::collections::HashSet<_> = set.iter().collect();
            assert_eq!(unique.len(), 256);
        }
        assert_eq!((OCTANTS[0x04], OCTANTS[0xfe]), ("\u{1cd00}", "\u{1cde5}"), "first and last");
    }

    #[test]
    fn braille_has_its_dots_where_the_pattern_has() {
        assert_eq!((BRAILLE[0b01], BRAILLE[0b10]), ("⠁", "⠈"));
        assert_eq!((BRAILLE[0b0100_0000], BRAILLE[0b1000_0000]), ("⡀", "⢀"));
        assert_eq!(BRAILLE[columns(4, 1)], "⣇");
    }

    #[test]
    fn columns_fill_from_below() {
        assert_eq!(OCTANTS[columns(0, 0)], " ");
        assert_eq!(OCTANTS[columns(1, 1)], "▂");
        assert_eq!(OCTANTS[columns(2, 2)], "▄");
        assert_eq!(OCTANTS[columns(4, 0)], "▌");
        assert_eq!(OCTANTS[columns(2, 4)], "▟");
        assert_eq!(OCTANTS[columns(9, 9)], "█");
    }
}
