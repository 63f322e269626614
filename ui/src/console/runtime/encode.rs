//! Cells as the bytes that draw them: as few as it takes, since the line may be slow.

use std::io::Write as _;

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Writes cells, left to right and top to bottom. The terminal's style must be plain before, and is
/// plain again after.
pub fn cells<'a>(cells: impl Iterator<Item = (u16, u16, &'a Cell)>, out: &mut Vec<u8>) {
    let mut pen = Pen::default();
    // The column is not known behind a disputed symbol; the row is.
    let mut at: Option<(Option<u16>, u16)> = None;
    for (x, y, cell) in cells {
        match at {
            Some(here) if here == (Some(x), y) => {}
            // Writing to a Vec cannot fail.
            Some((Some(from), row)) if row == y && from < x => {
                let _ = match x - from {
                    1 => out.write_all(b"\x1b[C"),
                    n => write!(out, "\x1b[{n}C"),
                };
            }
            Some((None, row)) if row == y => {
                let _ = write!(out, "\x1b[{}G", x + 1);
            }
            _ => {
                let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
            }
        }
        pen.turn_to(cell, out);
        out.extend_from_slice(cell.symbol().as_bytes());
        let known = !is_disputed(cell.symbol());
        at = Some((known.then(|| x + cell.symbol().width().max(1) as u16), y));
    }
    if pen != Pen::default() {
        out.extend_from_slice(b"\x1b[m");
    }
}

/// True if terminals disagree about a symbol's columns: beyond the Basic Multilingual Plane there are
/// emoji and characters so new that some terminals leave them out. The next cell is placed anew then, so
/// that a disagreement spoils one cell and not the rest of the line.
fn is_disputed(symbol: &str) -> bool {
    symbol.bytes().any(|byte| byte >= 0xf0)
}

/// The style that the terminal writes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Default for Pen {
    fn default() -> Self {
        Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() }
    }
}

/// Modifiers and their SGR numbers. Each is switched off by a reset: the numbers that switch off
/// single ones differ between terminals for bold and dim.
const MODIFIERS: [(Modifier, u8); 6] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::REVERSED, 7),
    (Modifier::CROSSED_OUT, 9),
];

impl Pen {
    fn turn_to(&mut self, cell: &Cell, out: &mut Vec<u8>) {
        let wanted = Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier };
        if *self == wanted {
            return;
        }
        // The foreground and what is bold or italic do not show on a blank.
        let blank = cell.symbol() == " ";
        let shape = Modifier::UNDERLINED | Modifier::REVERSED | Modifier::CROSSED_OUT;
        if blank && self.bg == wanted.bg && ((self.modifier ^ wanted.modifier) & shape).is_empty() {
            let reversed = wanted.modifier.contains(Modifier::REVERSED);
            if !reversed || self.fg == wanted.fg {
                return;
            }
        }
        let mut sgr = Sgr { out, open: false };
        if !(self.modifier - wanted.modifier).is_empty() {
            sgr.number(0);
            *self = Self::default();
        }
        for (modifier, number) in MODIFIERS {
            if wanted.modifier.contains(modifier) && !self.modifier.contains(modifier) {
                sgr.number(number.into());
            }
        }
        if wanted.fg != self.fg {
            sgr.color(wanted.fg, false);
        }
        if wanted.bg != self.bg {
            sgr.color(wanted.bg, true);
        }
        sgr.close();
        *self = wanted;
    }
}

/// One sequence with several numbers.
struct Sgr<'a> {
    out: &'a mut Vec<u8>,
    open: bool,
}

impl Sgr<'_> {
    fn number(&mut self, number: u16) {
        self.out.extend_from_slice(if self.open { b";" } else { b"\x1b[" });
        self.open = true;
        let _ = write!(self.out, "{number}");
    }

    fn color(&mut self, color: Color, back: bool) {
        let base = if back { 10 } else { 0 };
        match color {
            Color::Reset => self.number(39 + base),
            Color::Indexed(index) => {
                self.number(38 + base);
                self.number(5);
                self.number(index.into());
            }
            Color::Rgb(r, g, b) => {
                self.number(38 + base);
                self.number(2);
                for part in [r, g, b] {
                    self.number(part.into());
                }
            }
            named => self.number(named_number(named) + base),
        }
    }

    fn close(&mut self) {
        if self.open {
            self.out.push(b'm');
        }
    }
}

/// SGR foreground number of one of the sixteen.
fn named_number(color: Color) -> u16 {
    match color {
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
        Color::Reset | Color::Rgb(..) | Color::Indexed(_) => 39,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn a_symbol_that_terminals_dispute_shifts_nothing_behind_it() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        buffer.set_string(0, 0, "a\u{1cd00}bc\u{1cd01}", Style::new());
        buffer.set_string(10, 0, "end", Style::new());
        let mut bytes = Vec::new();
        cells((0..13).map(|x| (x, 0, &buffer[(x, 0)])), &mut bytes);
        let sent = String::from_utf8(bytes).unwrap();
        // A terminal that leaves out what it does not know.
        let mut parser = vt100::Parser::new(1, 20, 0);
        parser.process(sent.replace(|c| c >= '\u{1cd00}', "").as_bytes());
        assert_eq!(parser.screen().contents(), "a bc      end");
    }

    /// What a real terminal emulator makes of the bytes.
    fn shown(parser: &vt100::Parser, x: u16, y: u16) -> (String, bool, bool, vt100::Color, vt100::Color) {
        let cell = parser.screen().cell(y, x).unwrap();
        let text = if cell.has_contents() { cell.contents().to_owned() } else { " ".to_owned() };
        (text, cell.bold(), cell.inverse(), cell.fgcolor(), cell.bgcolor())
    }

    fn style(seed: u8) -> Style {
        let colors = [Color::Reset, Color::Red, Color::LightCyan, Color::Indexed(99), Color::Rgb(1, 2, 3)];
        let mut style = Style::new().fg(colors[usize::from(seed) % 5]).bg(colors[usize::from(seed / 5) % 5]);
        if seed & 64 != 0 {
            style = style.add_modifier(Modifier::BOLD);
        }
        if seed & 128 != 0 {
            style = style.add_modifier(Modifier::REVERSED);
        }
        style
    }

    fn same(cell: &Cell, shown: (String, bool, bool, vt100::Color, vt100::Color)) -> bool {
        let color = |c: Color| match c {
            Color::Reset => vt100::Color::Default,
            Color::Red => vt100::Color::Idx(1),
            Color::LightCyan => vt100::Color::Idx(14),
            Color::Indexed(n) => vt100::Color::Idx(n),
            Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
            _ => unreachable!(),
        };
        let (text, bold, inverse, fg, bg) = shown;
        let blank = text == " ";
        let reversed = cell.modifier.contains(Modifier::REVERSED);
        text == cell.symbol()
            && inverse == reversed
            && bg == color(cell.bg)
            && (blank && !reversed || fg == color(cell.fg))
            && (blank || bold == cell.modifier.contains(Modifier::BOLD))
    }

    proptest! {
        #[test]
        fn a_terminal_shows_exactly_the_buffer(frames in prop::collection::vec(prop::collection::vec((0u16..12, 0u16..4, "[a-c ]{1,5}", any::<u8>()), 1..8), 1..5)) {
            let area = Rect::new(0, 0, 12, 4);
            let mut parser = vt100::Parser::new(4, 12, 0);
            let mut before = Buffer::empty(area);
            for writes in frames {
                let mut after = before.clone();
                for (x, y, text, seed) in writes {
                    after.set_string(x, y, text, style(seed));
                }
                let mut bytes = Vec::new();
                cells(before.diff_iter(&after), &mut bytes);
                parser.process(&bytes);
                for y in 0..4 {
                    for x in 0..12 {
                        prop_assert!(same(&after[(x, y)], shown(&parser, x, y)), "{x},{y}: {:?} {:?}", after[(x, y)], shown(&parser, x, y));
                    }
                }
                before = after;
            }
        }
    }
}
