//! Colours: parsing, contrast, and what becomes of them on terminals that know fewer.

use ratatui::style::Color;

/// A colour as red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// How many colours a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// None: bold, dim, underline and reverse only (`NO_COLOR`, dumb terminals).
    None,
    /// The sixteen that the user's terminal theme defines.
    Ansi16,
    /// The xterm palette.
    Ansi256,
    /// 24 bits.
    #[default]
    True,
}

/// Levels of the 6×6×6 cube of the xterm palette.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
/// The first sixteen of xterm's default palette (XTerm-col.ad).
const SIXTEEN: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

impl Rgb {
    /// Parses `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#').filter(|h| h.len() == 6 && h.is_ascii())?;
        let part = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        Some(Self(part(0)?, part(2)?, part(4)?))
    }

    /// The nearest of the 240 fixed colours of the xterm palette (6×6×6 cube and 24 greys).
    pub fn to_256(self) -> u8 {
        let nearest = |v: u8| (0..6).min_by_key(|i| STEPS[*i].abs_diff(v)).unwrap_or(0);
        let (r, g, b) = (nearest(self.0), nearest(self.1), nearest(self.2));
        let cube = Self(STEPS[r], STEPS[g], STEPS[b]);
        let mean = (u16::from(self.0) + u16::from(self.1) + u16::from(self.2)) / 3;
        let grey_at = (mean.saturating_sub(3) / 10).min(23) as u8;
        let level = 8 + grey_at * 10;
        if self.distance(Self(level, level, level)) < self.distance(cube) {
            232 + grey_at
        } else {
            (16 + 36 * r + 6 * g + b) as u8
        }
    }

    /// Any colour but the terminal's own: indexed ones as xterm shows them, the sixteen as its default
    /// palette has them.
    pub fn of(color: Color) -> Option<Self> {
        let index = match color {
            Color::Reset => return None,
            Color::Rgb(r, g, b) => return Some(Self(r, g, b)),
            Color::Indexed(n @ 232..) => {
                let level = 8 + (n - 232) * 10;
                return Some(Self(level, level, level));
            }
            Color::Indexed(n @ 16..) => {
                let n = usize::from(n - 16);
                return Some(Self(STEPS[n / 36], STEPS[n / 6 % 6], STEPS[n % 6]));
            }
            Color::Indexed(n) => n,
            Color::Black => 0,
            Color::Red => 1,
            Color::Green => 2,
            Color::Yellow => 3,
            Color::Blue => 4,
            Color::Magenta => 5,
            Color::Cyan => 6,
            Color::Gray => 7,
            Color::DarkGray => 8,
            Color::LightRed => 9,
            Color::LightGreen => 10,
            Color::LightYellow => 11,
            Color::LightBlue => 12,
            Color::LightMagenta => 13,
            Color::LightCyan => 14,
            Color::White => 15,
        };
        let (r, g, b) = SIXTEEN[usize::from(index)];
        Some(Self(r, g, b))
    }

    fn distance(self, other: Self) -> u32 {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(self.0, other.0) * 3 + square(self.1, other.1) * 4 + square(self.2, other.2) * 2
    }

    /// Relative luminance, 0 to 1 (WCAG 2.2).
    pub fn luminance(self) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// A ground on which dark text reads better than light.
    pub fn is_light(self) -> bool {
        // Where the contrast to black and to white is the same (WCAG 2.2).
        self.luminance() > 0.179
    }

    /// Contrast between two colours, 1 to 21 (WCAG 2.2).
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }
}

/// The colour for a depth: the RGB itself, its nearest index, or the named one of sixteen.
pub(super) fn at_depth(rgb: Option<Rgb>, ansi: Option<Color>, depth: Depth) -> Option<Color> {
    match depth {
        Depth::None => None,
        Depth::Ansi16 => ansi,
        Depth::Ansi256 => rgb.map(|c| Color::Indexed(c.to_256())),
        Depth::True => rgb.map(|c| Color::Rgb(c.0, c.1, c.2)),
    }
}

/// One of the sixteen by name (`blue`, `bright-black`), or `default`.
pub(super) fn ansi(name: &str) -> Option<Color> {
    Some(match name {
        "default" => Color::Reset,
        "black" => Color::Black,
        "red" => Color::Red,
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "blue" => Color::Blue,
        "magenta" => Color::Magenta,
        "cyan" => Color::Cyan,
        "white" => Color::Gray,
        "bright-black" => Color::DarkGray,
        "bright-red" => Color::LightRed,
        "bright-green" => Color::LightGreen,
        "bright-yellow" => Color::LightYellow,
        "bright-blue" => Color::LightBlue,
        "bright-magenta" => Color::LightMagenta,
        "bright-cyan" => Color::LightCyan,
        "bright-white" => Color::White,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_six_digits() {
        assert_eq!(Rgb::parse("#0a10ff"), Some(Rgb(10, 16, 255)));
        for wrong in ["0a10ff", "#0a10f", "#0a10fg", "#é0a1f", ""] {
            assert_eq!(Rgb::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nearest_of_the_xterm_palette() {
        assert_eq!(Rgb(0, 0, 0).to_256(), 16);
        assert_eq!(Rgb(255, 255, 255).to_256(), 231);
        assert_eq!(Rgb(255, 0, 0).to_256(), 196);
        assert_eq!(Rgb(18, 18, 18).to_256(), 233);
        assert_eq!(Rgb(128, 128, 128).to_256(), 244);
        for index in 16..=255 {
            let shown = Rgb::of(Color::Indexed(index)).unwrap();
            assert_eq!(Rgb::of(Color::Indexed(shown.to_256())), Some(shown), "{index}");
        }
    }

    #[test]
    fn contrast_as_wcag_counts_it() {
        assert!((Rgb(0, 0, 0).contrast(Rgb(255, 255, 255)) - 21.0).abs() < 1e-9);
        assert!((Rgb(119, 119, 119).contrast(Rgb(255, 255, 255)) - 4.48).abs() < 0.01);
    }
}
