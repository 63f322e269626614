//! Names as they stand in a manifest: UTF-8 text with a lossless escape, and the rules that keep
//! a hostile one inside the root.
//!
//! The escape: a backslash is written `\\`, and every byte that is not part of valid UTF-8 is
//! written `\xHH` (lowercase hex). Everything else, newlines and spaces included, stands for
//! itself. So each byte string has exactly one spelling, and ordinary names look as they are.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Longest path in a manifest, in bytes of the file system's spelling (Linux: PATH_MAX).
pub const MAX_PATH_BYTES: usize = 4096;
/// Longest single name in a path (Linux: NAME_MAX).
pub const MAX_NAME_BYTES: usize = 255;
/// Deepest nesting that is accepted.
pub const MAX_DEPTH: usize = 128;

/// Why a name or path from outside is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all, or `a//b`.
    #[error("an empty name in it")]
    Empty,
    /// Starts with a slash.
    #[error("it is absolute")]
    Absolute,
    /// `.` or `..` as a component.
    #[error("a component \".\" or \"..\"")]
    Dots,
    /// A zero byte.
    #[error("a NUL byte in it")]
    Nul,
    /// A backslash that does not start `\\` or `\xHH`, or an escape that hides plain text.
    #[error("a broken escape (only \\\\ and \\xHH of bytes that are not UTF-8 are allowed)")]
    Escape,
    /// Longer than the file system could hold.
    #[error("longer than {MAX_PATH_BYTES} bytes, or a name in it longer than {MAX_NAME_BYTES}")]
    Long,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} folders")]
    Deep,
}

/// Spells a byte string from the file system for a manifest.
pub fn escape(raw: &OsStr) -> String {
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The byte string that a manifest's spelling stands for.
///
/// # Errors
/// [`NameError::Escape`] if the spelling is not the one that [`escape`] gives, so that one file
/// never has two names.
pub fn unescape(text: &str) -> Result<OsString, NameError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'\\' {
            out.push(first);
            rest = tail;
        } else if let Some(tail) = tail.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = tail;
        } else if let Some([hi, lo, tail @ ..]) = tail.strip_prefix(b"x") {
            let digit = |b: u8| (b as char).to_digit(16).ok_or(NameError::Escape);
            out.push((digit(*hi)? * 16 + digit(*lo)?) as u8);
            rest = tail;
        } else {
            return Err(NameError::Escape);
        }
    }
    let raw = OsString::from_vec(out);
    if escape(&raw) == text { Ok(raw) } else { Err(NameError::Escape) }
}

/// Checks a relative path from a manifest and gives the file system's spelling of it. A folder's
/// trailing slash must have been removed before.
///
/// # Errors
/// Whatever could lead outside the root or that no file system could hold.
pub fn checked_path(text: &str) -> Result<OsString, NameError> {
    let raw = unescape(text)?;
    let bytes = raw.as_bytes();
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes[0] == b'/' {
        return Err(NameError::Absolute);
    }
    if bytes.contains(&0) {
        return Err(NameError::Nul);
    }
    if bytes.len() > MAX_PATH_BYTES {
        return Err(NameError::Long);
    }
    let mut depth = 0;
    for name in bytes.split(|b| *b == b'/') {
        depth += 1;
        match name {
            b"" => return Err(NameError::Empty),
            b"." | b".." => return Err(NameError::Dots),
            name if name.len() > MAX_NAME_BYTES => return Err(NameError::Long),
            _ => {}
        }
    }
    if depth > MAX_DEPTH { Err(NameError::Deep) } else { Ok(raw) }
}

/// Text from outside made fit for a screen or a log line: control characters, bidirectional
/// overrides and other invisible steering characters become `\u{fffd}`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect()
}

/// The beginning of a text from outside, made [`printable`]: what a message quotes must not be as long
/// as its sender likes.
pub fn excerpt(text: &str) -> String {
    const SHOWN: usize = 120;
    let mut out = printable(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        out.push('\u{2026}');
    }
    out
}

/// Characters that move the cursor, reorder text or hide: C0, C1, and the bidirectional and
/// zero-width controls that Unicode TR 36 warns of.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{61c}' | '\u{fff9}'..='\u{fffb}')
}

/// `1 entry`, `2 entries`: for messages.
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_excerpt_is_short_and_steers_nothing() {
        assert_eq!(excerpt("a\u{1b}b"), "a\u{fffd}b");
        assert_eq!(excerpt(&"é".repeat(120)), "é".repeat(120));
        assert_eq!(excerpt(&"é".repeat(5_000)), format!("{}\u{2026}", "é".repeat(120)));
    }

    #[test]
    fn ordinary_names_stand_for_themselves() {
        for name in ["a b", "naïve\nname", "日本", "x.tar.gz"] {
            assert_eq!(escape(OsStr::new(name)), name);
        }
        assert_eq!(escape(OsStr::new("a\\b")), "a\\\\b");
        assert_eq!(escape(OsStr::from_bytes(b"\xff\xfeok")), "\\xff\\xfeok");
    }

    #[test]
    fn only_one_spelling_is_accepted() {
        assert_eq!(unescape("\\x61"), Err(NameError::Escape), "an escape must not hide an 'a'");
        assert_eq!(unescape("\\x2f"), Err(NameError::Escape), "nor a slash");
        assert_eq!(unescape("\\xFF"), Err(NameError::Escape));
        assert_eq!(unescape("\\"), Err(NameError::Escape));
        assert_eq!(unescape("\\xf"), Err(NameError::Escape));
    }

    #[test]
    fn escapes_from_the_root_are_refused() {
        let cases = [
            ("", NameError::Empty),
            ("/etc/passwd", NameError::Absolute),
            ("a/../../b", NameError::Dots),
            ("./a", NameError::Dots),
            ("a//b", NameError::Empty),
            ("a/", NameError::Empty),
            ("a\0b", NameError::Nul),
        ];
        for (path, error) in cases {
            assert_eq!(checked_path(path), Err(error), "{path:?}");
        }
        assert_eq!(checked_path(&vec!["d"; 200].join("/")), Err(NameError::Deep));
        assert_eq!(checked_path(&"n".repeat(256)), Err(NameError::Long));
        assert!(checked_path("a/...b/..c").is_ok());
    }

    #[test]
    fn steering_characters_never_reach_the_screen() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }

    proptest! {
        #[test]
        fn every_byte_string_survives(raw in prop::collection::vec(any::<u8>(), 0..60)) {
            let raw = OsString::from_vec(raw);
            prop_assert_eq!(unescape(&escape(&raw)).unwrap(), raw);
        }
    }
}
