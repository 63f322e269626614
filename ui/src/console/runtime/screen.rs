//! Two buffers, and a frame as the bytes between them.

use std::io::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::encode;

/// Terminals that know it show a frame at once; others ignore it.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// What is on the terminal, and what shall be.
#[derive(Debug)]
pub struct Screen {
    shown: Buffer,
    next: Buffer,
    /// The terminal's content is not known: everything has to be drawn.
    stale: bool,
    cursor: Option<(u16, u16)>,
    /// Sequences that go out with the next frame.
    extra: Vec<u8>,
}

impl Screen {
    /// A screen of this size, of which nothing is known.
    pub fn new(width: u16, height: u16) -> Self {
        let area = Rect::new(0, 0, width, height);
        Self { shown: Buffer::empty(area), next: Buffer::empty(area), stale: true, cursor: None, extra: Vec::new() }
    }

    /// Another size: everything is drawn anew.
    pub fn resize(&mut self, width: u16, height: u16) {
        let area = Rect::new(0, 0, width, height);
        if self.next.area != area {
            self.next.resize(area);
            self.shown.resize(area);
            self.forget();
        }
    }

    /// Somebody else wrote on the terminal: everything is drawn anew.
    pub fn forget(&mut self) {
        self.stale = true;
    }

    /// Sends a sequence along with the next frame.
    pub fn send(&mut self, bytes: &[u8]) {
        self.extra.extend_from_slice(bytes);
    }

    /// Puts text on the clipboard of the operator's terminal (OSC 52).
    pub fn copy(&mut self, text: &str) {
        let encoded = data_encoding::BASE64.encode(text.as_bytes());
        self.send(format!("\x1b]52;c;{encoded}\x07").as_bytes());
    }

    /// The buffer to draw the next frame on.
    pub fn buffer(&mut self) -> &mut Buffer {
        &mut self.next
    }

    /// Writes what differs into `out`; nothing at all if nothing does.
    pub fn frame(&mut self, cursor: Option<(u16, u16)>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(BEGIN);
        out.append(&mut self.extra);
        let body = out.len();
        let had_extra = body > start + BEGIN.len();
        if self.cursor.is_some() {
            out.extend_from_slice(b"\x1b[?25l");
        }
        if self.stale {
            out.extend_from_slice(b"\x1b[m\x1b[2J");
            self.shown.reset();
        }
        let before_cells = out.len();
        encode::cells(self.shown.diff_iter(&self.next), out);
        let unchanged = out.len() == before_cells && !self.stale && self.cursor == cursor && !had_extra;
        if unchanged {
            out.truncate(start);
            return;
        }
        if let Some((x, y)) = cursor {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "\x1b[{};{}H\x1b[?25h", y + 1, x + 1);
        }
        out.extend_from_slice(END);
        self.cursor = cursor;
        self.stale = false;
        std::mem::swap(&mut self.shown, &mut self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn nothing_changed_means_no_bytes() {
        let mut screen = Screen::new(20, 3);
        let mut bytes = Vec::new();
        screen.buffer().set_string(0, 0, "hello", Style::new());
        screen.frame(None, &mut bytes);
        assert!(bytes.starts_with(BEGIN) && bytes.ends_with(END));
        bytes.clear();
        screen.buffer().reset();
        screen.buffer().set_string(0, 0, "hello", Style::new());
        screen.frame(None, &mut bytes);
        assert!(bytes.is_empty(), "{:?}", String::from_utf8_lossy(&bytes));
        screen.frame(Some((1, 1)), &mut bytes);
        assert!(!bytes.is_empty(), "the cursor moved");
    }

    #[test]
    fn one_changed_cell_costs_a_few_bytes() {
        let mut screen = Screen::new(120, 40);
        let mut bytes = Vec::new();
        screen.frame(None, &mut bytes);
        bytes.clear();
        screen.buffer().reset();
        screen.buffer().set_string(50, 20, "x", Style::new());
        screen.frame(None, &mut bytes);
        assert!(bytes.len() <= 30, "{}", bytes.len());
    }

    #[test]
    fn a_forgotten_screen_is_drawn_whole() {
        let mut parser = vt100::Parser::new(3, 20, 0);
        let mut screen = Screen::new(20, 3);
        let mut bytes = Vec::new();
        screen.buffer().set_string(2, 1, "hello", Style::new());
        screen.frame(Some((3, 1)), &mut bytes);
        parser.process(&bytes);
        parser.process(b"\x1b[2J\x1b[HGARBAGE");
        bytes.clear();
        screen.forget();
        screen.buffer().reset();
        screen.buffer().set_string(2, 1, "hello", Style::new());
        screen.frame(None, &mut bytes);
        parser.process(&bytes);
        assert_eq!(parser.screen().contents().trim(), "hello");
        assert!(parser.screen().hide_cursor());
    }
}
