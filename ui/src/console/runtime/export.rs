//! The screen as files: text, ANSI and SVG, side by side.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ratatui::buffer::Buffer;

use crate::console::export;
use crate::console::theme::Theme;

/// Writes `STEM.txt`, `STEM.ans` and `STEM.svg` into a folder; nothing that exists is written over. Gives
/// the first one's path.
///
/// # Errors
/// In words: one of the files exists, or cannot be written.
pub fn save(folder: &Path, stem: &str, frame: &Buffer, theme: &Theme) -> Result<PathBuf, String> {
    let write = |extension: &str, bytes: &[u8]| {
        let path = folder.join(format!("{stem}.{extension}"));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
        written.map(|()| path.clone()).map_err(|e| format!("{}: {e}", path.display()))
    };
    let first = write("txt", export::text(frame).as_bytes())?;
    write("ans", &export::ansi(frame))?;
    write("svg", export::svg::render(frame, theme).as_bytes())?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::{Depth, builtin};
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn three_files_and_none_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let theme = Theme::resolve(&builtin("slate").unwrap(), Depth::True);
        let mut frame = Buffer::empty(Rect::new(0, 0, 10, 1));
        frame.set_string(0, 0, "hello", Style::new());
        let path = save(dir.path(), "shot", &frame, &theme).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n");
        assert!(std::fs::read_to_string(path.with_extension("svg")).unwrap().contains(">hello<"));
        assert!(std::fs::read_to_string(path.with_extension("ans")).unwrap().contains("hello"));
        let again = save(dir.path(), "shot", &frame, &theme).unwrap_err();
        assert!(again.contains("shot.txt"), "{again}");
    }
}
