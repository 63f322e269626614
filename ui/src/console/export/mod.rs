//! A frame as text, as ANSI, or as SVG, and many as a recording: how the pictures in the documentation are made.

pub mod cast;
mod shapes;
pub mod svg;

use ratatui::buffer::Buffer;

use super::runtime::encode;

/// The symbols alone, a line per row, blanks at the end of lines left out.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in buffer.area.rows() {
        let mut line = String::new();
        let mut covered = 0;
        for at in row.positions() {
            let symbol = buffer[at].symbol();
            if covered > 0 {
                covered -= 1;
                continue;
            }
            line.push_str(symbol);
            covered = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Lines with their colours, for `cat` on a terminal.
pub fn ansi(buffer: &Buffer) -> Vec<u8> {
    let mut out = Vec::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        // Each line starts where the cursor is; within it cells follow one another.
        let cells = (buffer.area.left()..buffer.area.right()).filter_map(|x| {
            let covered = x > 0 && unicode_width::UnicodeWidthStr::width(buffer[(x - 1, y)].symbol()) == 2;
            (!covered).then(|| (x, y, &buffer[(x, y)]))
        });
        let mut line = Vec::new();
        encode::cells(cells, &mut line);
        // The first thing an encoder does is to go to the line's start: here that is a line feed.
        let start = line.iter().position(|b| *b == b'H').map_or(0, |at| at + 1);
        out.extend_from_slice(&line[start..]);
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};

    #[test]
    fn ansi_shows_the_same_as_the_buffer() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 2));
        buffer.set_string(0, 0, "ab日c", Style::new().fg(Color::Red));
        buffer.set_string(3, 1, "x", Style::new().bg(Color::Rgb(1, 2, 3)));
        let mut parser = vt100::Parser::new(3, 10, 0);
        parser.process(String::from_utf8(ansi(&buffer)).unwrap().replace('\n', "\r\n").as_bytes());
        let shown: Vec<String> = parser.screen().rows(0, 10).map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(shown[..2].join("\n"), text(&buffer).trim_end());
        assert_eq!(parser.screen().cell(0, 0).unwrap().fgcolor(), vt100::Color::Idx(1));
    }
}
