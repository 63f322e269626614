//! Stderr as the bars draw on it.

use std::io::{self, Write as _};

use indicatif::TermLike;

/// Columns left free at the right edge: what the terminal itself echoes for Ctrl-C (`^C`) stays on the
/// bar's line, so that clearing the line takes both away.
const FREE: u16 = 3;
/// Where the terminal does not say how large it is.
const USUAL: (u16, u16) = (80, 24);

/// Stderr, a little narrower than it is.
#[derive(Debug)]
pub(super) struct Stderr;

fn size() -> (u16, u16) {
    crossterm::terminal::size().ok().filter(|(columns, rows)| *columns > FREE && *rows > 0).unwrap_or(USUAL)
}

/// Writes an escape sequence that takes a count, nothing for none.
fn step(count: usize, letter: char) -> io::Result<()> {
    if count == 0 { Ok(()) } else { write!(io::stderr(), "\x1b[{count}{letter}") }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        size().0 - FREE
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        step(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{line}")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        write!(io::stderr(), "{text}")
    }

    fn clear_line(&self) -> io::Result<()> {
        io::stderr().write_all(b"\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
