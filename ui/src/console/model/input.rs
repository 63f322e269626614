//! A line of text being edited.

use unicode_segmentation::UnicodeSegmentation;

use crate::console::widgets::text::is_steering;

/// Longest line taken, in bytes: some hundred links.
pub const MAX_LEN: usize = 64 << 10;

/// Text and a cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    /// Byte offset of the cursor, always between two characters.
    cursor: usize,
    /// The text is a proposal: what is typed takes its place.
    proposed: bool,
}

impl Input {
    /// A line that starts with this text, the cursor behind it.
    pub fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    /// A line with a proposal that the first thing typed replaces; moving the cursor accepts it.
    pub fn proposing(text: &str) -> Self {
        Self { proposed: !text.is_empty(), ..Self::new(text) }
    }

    /// True while the text is a proposal.
    pub fn is_proposed(&self) -> bool {
        self.proposed
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Types or pastes text. Line breaks become blanks, other steering characters are dropped.
    pub fn insert(&mut self, text: &str) {
        self.drop_proposal();
        for c in text.trim_end_matches(['\n', '\r']).chars() {
            let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
            if !is_steering(c) && self.text.len() + c.len_utf8() <= MAX_LEN {
                self.text.insert(self.cursor, c);
                self.cursor += c.len_utf8();
            }
        }
    }

    /// Deletes the character before the cursor, or the proposal.
    pub fn backspace(&mut self) {
        if self.drop_proposal() {
            return;
        }
        let start = self.previous();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Deletes the character behind the cursor.
    pub fn delete(&mut self) {
        if self.drop_proposal() {
            return;
        }
        let end = self.next();
        self.text.replace_range(self.cursor..end, "");
    }

    /// Deletes the word before the cursor.
    pub fn delete_word(&mut self) {
        if self.drop_proposal() {
            return;
        }
        let kept = self.before_cursor().trim_end().rfind([' ', '/', ':']).map_or(0, |at| at + 1);
        let kept = if kept == self.cursor { self.previous() } else { kept };
        self.text.replace_range(kept..self.cursor, "");
        self.cursor = kept;
    }

    /// Deletes everything before the cursor.
    pub fn delete_to_start(&mut self) {
        self.proposed = false;
        self.text.replace_range(..self.cursor, "");
        self.cursor = 0;
    }

    /// Moves the cursor one character to the left.
    pub fn left(&mut self) {
        self.proposed = false;
        self.cursor = self.previous();
    }

    /// Moves the cursor one character to the right.
    pub fn right(&mut self) {
        self.proposed = false;
        self.cursor = self.next();
    }

    /// Moves the cursor to the start.
    pub fn home(&mut self) {
        self.proposed = false;
        self.cursor = 0;
    }

    /// Moves the cursor to the end.
    pub fn end(&mut self) {
        self.proposed = false;
        self.cursor = self.text.len();
    }

    /// True if there was one.
    fn drop_proposal(&mut self) -> bool {
        if std::mem::take(&mut self.proposed) {
            self.text.clear();
            self.cursor = 0;
            return true;
        }
        false
    }

    fn previous(&self) -> usize {
        self.before_cursor().grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        let rest = &self.text[self.cursor..];
        self.cursor + rest.graphemes(true).next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_as_a_shell_does() {
        let mut input = Input::new("skep://host/abc");
        input.delete_word();
        assert_eq!(input.text(), "skep://host/");
        input.home();
        input.insert("x ");
        input.delete();
        assert_eq!((input.text(), input.before_cursor()), ("x kep://host/", "x "));
        input.delete_to_start();
        assert_eq!(input.text(), "kep://host/");
        input.end();
        input.left();
        input.backspace();
        assert_eq!(input.text(), "kep://hos/");
    }

    #[test]
    fn a_proposal_gives_way_to_what_is_typed_and_stays_once_the_cursor_moves() {
        type Edit = fn(&mut Input);
        let edits: [(Edit, &str); 6] = [
            (|i| i.insert("5M"), "5M"),
            (Input::backspace, ""),
            (Input::delete_word, ""),
            (Input::delete, ""),
            (Input::end, "unlimited"),
            (Input::left, "unlimited"),
        ];
        for (edit, of_proposal) in edits {
            let mut input = Input::proposing("unlimited");
            edit(&mut input);
            assert_eq!((input.text(), input.is_proposed()), (of_proposal, false));
        }
        let mut input = Input::proposing("10");
        input.end();
        input.insert("0k");
        assert_eq!(input.text(), "100k");
    }

    #[test]
    fn a_paste_cannot_steer() {
        assert_eq!(Input::new("a\x1b[31mb\nc\r\n").text(), "a[31mb c");
    }

    proptest! {
        #[test]
        fn any_edits_keep_the_cursor_between_characters(start in "\\PC{0,12}", edits in prop::collection::vec(0u8..9, 0..40)) {
            let mut input = Input::new(&start);
            for edit in edits {
                match edit {
                    0 => input.backspace(),
                    1 => input.delete(),
                    2 => input.delete_word(),
                    3 => input.left(),
                    4 => input.right(),
                    5 => input.home(),
                    6 => input.end(),
                    7 => input.insert("é👩‍👩‍👧"),
                    _ => input.delete_to_start(),
                }
                prop_assert!(input.text().is_char_boundary(input.before_cursor().len()));
            }
        }
    }
}
