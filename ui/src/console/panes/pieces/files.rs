//! The files of the content in place of its peers: how much of each is here, and where it lies.

use ratatui::layout::Rect;
use skep_engine::control::TransferDetail;

use super::{Cell, Shape, lanes};
use crate::console::panes::{Context, PaneId};
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Count, Percent};
use crate::console::widgets::text;

/// The heading of a column.
pub fn title(key: Cell) -> &'static str {
    match key {
        Cell::Peer => "FILE",
        Cell::Gives => "HERE",
        Cell::Down => "SIZE",
        _ => "",
    }
}

/// The files on screen.
pub fn rows(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, detail: &TransferDetail, context: Context<'_>) {
    let model = context.model;
    if detail.files.is_empty() && shape.peer_rows > 0 {
        let width = shape.inner.width.saturating_sub(3);
        canvas.text(shape.inner.x + 2, y, width, "its files are not known yet", Token::Muted);
    }
    for (line, row) in context.derived.files.iter().enumerate().take(shape.peer_rows) {
        let Some((path, size)) = detail.files.get(row.at) else { continue };
        let y = y + line as u16;
        lanes::peer(canvas, shape, y, &row.cells, false);
        for place in &shape.columns {
            let (x, width) = (shape.inner.x + 2 + place.x, place.width);
            match place.key {
                Cell::Peer => {
                    canvas.text(x, y, width, tail(path, width.into()), Token::Text);
                }
                Cell::Gives => {
                    let token = if row.done >= *size { Token::Done } else { Token::Text };
                    let percent = Percent { part: row.done.max(u64::from(*size == 0)), whole: (*size).max(1) };
                    canvas.right(x, y, width, format_args!("{percent}"), token);
                }
                Cell::Down => {
                    canvas.right(x, y, width, format_args!("{}", Bytes(*size)), Token::Muted);
                }
                _ => {}
            }
        }
        if model.files.at == row.at {
            canvas.glyph(shape.inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            let focused = model.focus == PaneId::Pieces && model.overlays.is_empty();
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(shape.inner.x + 1, y, shape.inner.width - 1, 1), token);
        }
    }
}

/// All there is to say of the selected file.
pub fn note(canvas: &mut Canvas<'_>, shape: &Shape, detail: &TransferDetail, context: Context<'_>) {
    let (x, y) = (shape.inner.x + 2, shape.inner.bottom() - 1);
    let room = shape.inner.width.saturating_sub(3);
    let files = &context.model.files;
    let Some((path, size)) = detail.files.get(files.at) else { return };
    let Some(row) = context.derived.files.iter().find(|row| row.at == files.at) else { return };
    let (done, size, of) = (Bytes(row.done), Bytes(*size), Count(detail.files.len() as u64));
    let number = Count(files.at as u64 + 1);
    let used = if row.pieces.is_empty() {
        canvas.right(x, y, room, format_args!("empty, file {number} of {of}"), Token::Muted)
    } else {
        let (first, last) = (Count(row.pieces.start.into()), Count(u64::from(row.pieces.end) - 1));
        canvas.right(
            x,
            y,
            room,
            format_args!("{done} of {size}, pieces {first}-{last}, file {number} of {of}"),
            Token::Muted,
        )
    };
    canvas.text(x, y, room.saturating_sub(used + 2), path, Token::Text);
}

/// The end of a path in whole parts, as much as fits: names differ there.
fn tail(path: &str, width: usize) -> &str {
    if text::width(path) <= width {
        return path;
    }
    let mut last = path;
    for (at, _) in path.char_indices().filter(|(_, c)| *c == '/') {
        last = &path[at + 1..];
        if text::width(last) <= width {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_end_of_a_path_is_what_tells_files_apart() {
        let cases = [
            ("a/b.txt", 20, "a/b.txt"),
            ("long-folder/sub/b.txt", 10, "sub/b.txt"),
            ("long-folder/a-name-that-is-longer.txt", 10, "a-name-that-is-longer.txt"),
            ("name-without-folder.txt", 5, "name-without-folder.txt"),
            ("日本/語.txt", 7, "語.txt"),
        ];
        for (path, width, expected) in cases {
            assert_eq!(tail(path, width), expected, "{path}");
        }
    }
}
