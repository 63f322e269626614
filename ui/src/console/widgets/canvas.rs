//! A buffer with a theme and glyphs: the only thing panes draw on.

use std::fmt::{self, Write as _};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text;
use crate::console::glyphs::Glyphs;
use crate::console::theme::{Theme, Token};

/// On which side of its columns a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Draws by meaning. Clips at the buffer's edge; never panics on odd areas.
pub struct Canvas<'a> {
    buf: &'a mut Buffer,
    /// How tokens look.
    pub theme: &'a Theme,
    /// The shapes in use.
    pub glyphs: &'static Glyphs,
    /// Where formatted numbers are put together, so that drawing allocates nothing.
    scratch: String,
    cursor: Option<(u16, u16)>,
}

impl fmt::Debug for Canvas<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").field("area", self.buf.area()).finish_non_exhaustive()
    }
}

impl<'a> Canvas<'a> {
    /// A canvas over a buffer, which is cleared to the theme's ground.
    pub fn new(buf: &'a mut Buffer, theme: &'a Theme, glyphs: &'static Glyphs) -> Self {
        let ground = theme.ground();
        for cell in &mut buf.content {
            cell.reset();
            cell.set_style(ground);
        }
        Self { buf, theme, glyphs, scratch: String::with_capacity(128), cursor: None }
    }

    /// Everything that can be drawn on.
    pub fn area(&self) -> Rect {
        *self.buf.area()
    }

    /// Where the terminal's cursor shall stand, if anywhere.
    pub fn cursor(&self) -> Option<(u16, u16)> {
        self.cursor
    }

    /// Puts the terminal's cursor here.
    pub fn set_cursor(&mut self, x: u16, y: u16) {
        self.cursor = Some((x, y));
    }

    /// Text from the left; gives the columns used.
    pub fn text(&mut self, x: u16, y: u16, max: u16, value: &str, token: Token) -> u16 {
        let style = self.theme.style(token);
        text::put(self.buf, x, y, max, value, self.glyphs.ellipsis, style)
    }

    /// Lines wrapped into an area, as many as fit; gives the row below them.
    pub fn paragraphs<T: AsRef<str>>(&mut self, area: Rect, lines: impl IntoIterator<Item = (T, Token)>) -> u16 {
        let mut y = area.y;
        for (line, token) in lines {
            for part in text::wrap(line.as_ref(), area.width.into()) {
                if y >= area.bottom() {
                    return y;
                }
                self.text(area.x, y, area.width, part, token);
                y += 1;
            }
        }
        y
    }

    /// Formatted text within `width` columns.
    pub fn print(&mut self, x: u16, y: u16, width: u16, align: Align, value: fmt::Arguments<'_>, token: Token) -> u16 {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        // Writing to a String cannot fail.
        let _ = scratch.write_fmt(value);
        let columns = text::width(&scratch).min(usize::from(width)) as u16;
        let start = if align == Align::Right { x + (width - columns) } else { x };
        let used = self.text(start, y, width, &scratch, token);
        self.scratch = scratch;
        used
    }

    /// Formatted text from the left; gives the columns used.
    pub fn left(&mut self, x: u16, y: u16, width: u16, value: fmt::Arguments<'_>, token: Token) -> u16 {
        self.print(x, y, width, Align::Left, value, token)
    }

    /// Formatted text that ends at `x + width`.
    pub fn right(&mut self, x: u16, y: u16, width: u16, value: fmt::Arguments<'_>, token: Token) -> u16 {
        self.print(x, y, width, Align::Right, value, token)
    }

    /// One glyph of a set.
    pub fn glyph(&mut self, x: u16, y: u16, glyph: &'static str, token: Token) {
        let style = self.theme.style(token);
        if let Some(cell) = self.buf.cell_mut((x, y)) {
            cell.set_symbol(glyph).set_style(style);
        }
    }

    /// One glyph on a ground of another token's ink: a line through something that is filled.
    pub fn glyph_on(&mut self, x: u16, y: u16, glyph: &'static str, ink: Token, ground: Token) {
        let (ink, ground) = (self.theme.style(ink), self.theme.style(ground));
        let style = ground.fg.map_or(ink, |color| ink.bg(color));
        if let Some(cell) = self.buf.cell_mut((x, y)) {
            cell.set_symbol(glyph).set_style(style);
        }
    }

    /// One glyph as another theme shows it.
    pub fn sample(&mut self, x: u16, y: u16, glyph: &'static str, theme: &Theme, token: Token) {
        let style = theme.ground().patch(theme.style(token));
        if let Some(cell) = self.buf.cell_mut((x, y)) {
            cell.set_symbol(glyph).set_style(style);
        }
    }

    /// Lays a token's background and modifiers over what is drawn there already.
    pub fn wash(&mut self, area: Rect, token: Token) {
        let style = self.theme.style(token);
        let style = Style { fg: None, ..style };
        self.buf.set_style(area, style);
    }

    /// Empties an area to a token's ground.
    pub fn clear(&mut self, area: Rect, token: Token) {
        let style = self.theme.ground().patch(self.theme.style(token));
        for y in area.intersection(*self.buf.area()).rows() {
            for at in y.positions() {
                let cell = &mut self.buf[at];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// A horizontal rule.
    pub fn rule(&mut self, x: u16, y: u16, width: u16, token: Token) {
        for at in x..x.saturating_add(width) {
            self.glyph(at, y, self.glyphs.border[4], token);
        }
    }
}
