//! The choke point: every string reaches the screen through [`put`].
//!
//! Names, notes, errors and log lines come from peers, manifests and file systems. Whatever in
//! them moves a cursor, reorders or hides text (Unicode TR 36) becomes `\u{fffd}`, and what does
//! not fit is cut at a column, never inside a character.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Shown for what must not be shown.
const REPLACEMENT: &str = "\u{fffd}";
/// Bytes of one character with its marks; a longer pile of marks would climb over other rows.
const MAX_CLUSTER: usize = 16;

/// Characters that steer a terminal or hide: C0, C1, line separators, bidirectional and zero-width
/// controls, tags, soft hyphen.
pub fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// One user-perceived character made safe, and its columns (1 or 2).
///
/// Emoji built with joiners are shown by their first part: terminals disagree about the width of
/// the whole, and a disagreement shifts every column behind it.
fn safe(cluster: &str) -> (&str, u16) {
    let mut chars = cluster.char_indices();
    let Some((_, first)) = chars.next() else { return (REPLACEMENT, 1) };
    if is_steering(first) {
        return (REPLACEMENT, 1);
    }
    let joined = chars.clone().find(|(_, c)| *c == '\u{200d}' || *c == '\u{fe0f}');
    let kept = joined.map_or(cluster, |(at, _)| &cluster[..at]);
    if kept.len() > MAX_CLUSTER || kept.chars().any(is_steering) {
        return (REPLACEMENT, 1);
    }
    match kept.width() {
        1 => (kept, 1),
        2 => (kept, 2),
        _ => (REPLACEMENT, 1),
    }
}

/// Columns that `text` takes once it is made safe.
pub fn width(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    text.graphemes(true).map(|g| usize::from(safe(g).1)).sum()
}

/// Columns that formatted text takes, without keeping it.
pub fn width_of(value: std::fmt::Arguments<'_>) -> usize {
    struct Counter(usize);
    impl std::fmt::Write for Counter {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += width(text);
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail.
    let _ = std::fmt::write(&mut counter, value);
    counter.0
}

/// Cuts text into lines of at most `columns`, at blanks where there are any.
pub fn wrap(text: &str, columns: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_end();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut used, mut blank, mut end) = (0, None, rest.len());
        for (at, cluster) in rest.grapheme_indices(true) {
            used += usize::from(safe(cluster).1);
            // At least one character a line, or there would be no end.
            if used > columns.max(2) {
                end = at;
                break;
            }
            if cluster == " " {
                blank = Some(at);
            }
        }
        let behind = rest[end..].starts_with(' ');
        let cut = if end == rest.len() || behind { end } else { blank.filter(|at| *at > 0).unwrap_or(end) };
        let (line, tail) = rest.split_at(cut);
        rest = tail.trim_start();
        Some(line)
    })
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// Writes `text` at a position, at most `max` columns of it, and gives the columns used. What does
/// not fit is cut, with `ellipsis` in the last column. Positions outside the buffer are ignored.
pub fn put(buf: &mut Buffer, x: u16, y: u16, max: u16, text: &str, ellipsis: &str, style: Style) -> u16 {
    let area = *buf.area();
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
        return 0;
    }
    let max = max.min(area.right() - x);
    if is_plain(text) {
        put_plain(buf, x, y, max, text, ellipsis, style)
    } else {
        put_any(buf, x, y, max, text, ellipsis, style)
    }
}

/// Printable ASCII, which is nearly everything: a byte is a column.
fn put_plain(buf: &mut Buffer, x: u16, y: u16, max: u16, text: &str, ellipsis: &str, style: Style) -> u16 {
    let fits = text.len() <= usize::from(max);
    let shown = if fits { text.len() as u16 } else { max.saturating_sub(1) };
    for (at, byte) in text.bytes().take(usize::from(shown)).enumerate() {
        buf[(x + at as u16, y)].set_char(char::from(byte)).set_style(style);
    }
    if fits || max == 0 {
        return shown;
    }
    buf[(x + shown, y)].set_symbol(ellipsis).set_style(style);
    max
}

fn put_any(buf: &mut Buffer, x: u16, y: u16, max: u16, text: &str, ellipsis: &str, style: Style) -> u16 {
    let mut used = 0;
    let mut clusters = text.graphemes(true).peekable();
    while let Some(cluster) = clusters.next() {
        let (symbol, columns) = safe(cluster);
        let room = max - used;
        // Either this is the end, or a column must be left for the ellipsis.
        let last = clusters.peek().is_none();
        if columns > room || (!last && columns >= room) {
            if room > 0 {
                buf[(x + used, y)].set_symbol(ellipsis).set_style(style);
                used += 1;
                // A wide character that does not fit may leave a second column: blank it.
                if room > 1 {
                    buf[(x + used, y)].set_symbol(" ").set_style(style);
                }
            }
            return used;
        }
        buf[(x + used, y)].set_symbol(symbol).set_style(style);
        if columns == 2 {
            let cell = &mut buf[(x + used + 1, y)];
            cell.reset();
            cell.set_style(style);
        }
        used += columns;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::layout::Rect;

    fn drawn(text: &str, max: u16) -> (String, u16) {
        let mut buf = Buffer::empty(Rect::new(0, 0, 40, 1));
        let used = put(&mut buf, 0, 0, max, text, "…", Style::new());
        (buf.content().iter().map(|c| c.symbol()).collect::<String>().trim_end().to_owned(), used)
    }

    #[test]
    fn wraps_at_blanks() {
        let lines = |text, columns| wrap(text, columns).collect::<Vec<_>>();
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(lines("one two three", 6), ["one", "two", "three"]);
        assert_eq!(lines("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(lines("漢字漢字", 4), ["漢字", "漢字"]);
        assert_eq!(lines("漢字", 0), ["漢", "字"]);
        assert!(lines("  ", 4).is_empty());
    }

    #[test]
    fn steering_never_reaches_the_screen() {
        let hostile =
            ["\x1b]0;pwned\x07", "a\u{202e}gpj.exe", "\u{9b}2J", "x\r\nfake row", "zero\u{200b}width", "\u{feff}"];
        for text in hostile {
            let (shown, _) = drawn(text, 40);
            assert!(!shown.chars().any(is_steering), "{shown:?}");
            assert!(shown.contains('\u{fffd}'), "{shown:?}");
        }
    }

    #[test]
    fn cuts_at_columns() {
        assert_eq!(drawn("hello", 5), ("hello".into(), 5));
        assert_eq!(drawn("hello", 4), ("hel…".into(), 4));
        assert_eq!(drawn("hello", 1), ("…".into(), 1));
        assert_eq!(drawn("hello", 0), (String::new(), 0));
        assert_eq!(drawn("naïve", 4), ("naï…".into(), 4));
        assert_eq!(drawn("日本", 4), ("日 本".into(), 4));
        assert_eq!(drawn("日本語", 4), ("日 …".into(), 3));
    }

    #[test]
    fn piles_of_marks_and_joined_emoji_stay_in_their_cell() {
        let zalgo = format!("a{}", "\u{301}".repeat(50));
        assert_eq!(drawn(&zalgo, 10), ("\u{fffd}".into(), 1));
        assert_eq!(drawn("👩‍👩‍👧x", 10).0, "👩 x");
    }

    proptest! {
        #[test]
        fn any_text_stays_inside_its_columns(text in "\\PC*|.*", x in 0u16..50, max in 0u16..50) {
            let mut buf = Buffer::empty(Rect::new(0, 0, 40, 2));
            buf.set_string(0, 1, "#".repeat(40), Style::new());
            let used = put(&mut buf, x, 0, max, &text, "…", Style::new());
            prop_assert!(used <= max);
            for (at, cell) in buf.content().iter().take(40).enumerate() {
                prop_assert!(!cell.symbol().chars().any(is_steering));
                if at < usize::from(x) || at >= usize::from(x) + usize::from(max) {
                    prop_assert_eq!(cell.symbol(), " ");
                }
            }
            prop_assert!(buf.content()[40..].iter().all(|c| c.symbol() == "#"));
        }

        #[test]
        fn width_is_what_is_drawn(text in "\\PC{0,20}") {
            let mut buf = Buffer::empty(Rect::new(0, 0, 200, 1));
            let used = put(&mut buf, 0, 0, 200, &text, "…", Style::new());
            prop_assert_eq!(usize::from(used), width(&text));
        }
    }
}
