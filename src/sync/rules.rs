//! What of a tree is left out, in gitignore syntax (gitignore(5)). Pure.
//!
//! The command line's lines come before those of any `.skepignore`; of these, the one nearest to a file
//! decides. Among the lines of one place the last that matches decides; `!` turns a line round. What lies in a
//! folder that is left out is not looked at, so no line brings it back. What is left out is not sent, and what
//! bears such a name at the receiver is neither changed nor deleted there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

use crate::content::name;

/// A file with rules for its folder and what is below.
pub const FILE: &str = ".skepignore";
/// Lines that are taken in all.
pub const MAX_LINES: usize = 2_000;
/// Longest line, in bytes.
pub const MAX_LINE: usize = 1_024;

/// Lines, and the folder that they hold for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// From the command line: for the whole tree, before all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<String>,
    /// By folder (`""`: the top): the lines of its `.skepignore`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, Vec<String>>,
}

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Not gitignore syntax.
    #[error("the rule {line:?}: {error}")]
    Line {
        /// The line, made printable.
        line: String,
        /// What is wrong.
        error: String,
    },
    /// More than the cap.
    #[error("more than {MAX_LINES} lines of rules, or one longer than {MAX_LINE} bytes")]
    Many,
}

impl Rules {
    /// Those of the command line.
    pub fn first(lines: Vec<String>) -> Self {
        Self { first: lines, folders: BTreeMap::new() }
    }

    /// Refuses more than the caps.
    ///
    /// # Errors
    /// [`RulesError::Many`].
    pub fn check(&self) -> Result<(), RulesError> {
        let mut all = self.first.iter().chain(self.folders.values().flatten());
        let count = self.first.len() + self.folders.values().map(Vec::len).sum::<usize>();
        if count > MAX_LINES || all.any(|line| line.len() > MAX_LINE) { Err(RulesError::Many) } else { Ok(()) }
    }
}

/// The lines of one place, compiled.
#[derive(Debug)]
pub struct Compiled(Gitignore);

impl Compiled {
    /// Compiles lines; none if they say nothing.
    ///
    /// # Errors
    /// A line that is not gitignore syntax.
    pub fn new(lines: &[String]) -> Result<Option<Arc<Self>>, RulesError> {
        let mut builder = GitignoreBuilder::new("");
        for line in lines {
            let wrong = |error: ignore::Error| RulesError::Line {
                line: name::excerpt(line),
                error: name::excerpt(&error.to_string()),
            };
            builder.add_line(None, line).map_err(wrong)?;
        }
        let wrong =
            |error: ignore::Error| RulesError::Line { line: String::new(), error: name::excerpt(&error.to_string()) };
        let built = builder.build().map_err(wrong)?;
        Ok((!built.is_empty()).then(|| Arc::new(Self(built))))
    }
}

/// The rules that hold in one folder.
#[derive(Debug, Clone, Default)]
pub struct Level {
    first: Option<Arc<Compiled>>,
    nearest: Option<Arc<Near>>,
}

/// Rules of a folder, and of those above it.
#[derive(Debug)]
struct Near {
    rules: Arc<Compiled>,
    /// Length of the folder's path in the file system's spelling, a slash included unless it is the top.
    base: usize,
    above: Option<Arc<Near>>,
}

impl Level {
    /// At the top of the tree, with the command line's rules.
    pub fn top(first: Option<Arc<Compiled>>) -> Self {
        Self { first, nearest: None }
    }

    /// In a folder with rules of its own. `base`: length of its path in the file system's spelling, the slash
    /// behind it included.
    pub fn with(&self, rules: Arc<Compiled>, base: usize) -> Self {
        let near = Near { rules, base, above: self.nearest.clone() };
        Self { first: self.first.clone(), nearest: Some(Arc::new(near)) }
    }

    /// Is nothing left out here?
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.nearest.is_none()
    }

    /// Is this left out? `path`: from the top, in the file system's spelling.
    pub fn ignores(&self, path: &OsStr, is_folder: bool) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        if let Some(first) = &self.first {
            let found = first.0.matched(Path::new(path), is_folder);
            if !found.is_none() {
                return found.is_ignore();
            }
        }
        let mut at = self.nearest.as_ref();
        while let Some(near) = at {
            let below = OsStr::from_bytes(path.as_bytes().get(near.base..).unwrap_or_default());
            let found = near.rules.0.matched(Path::new(below), is_folder);
            if !found.is_none() {
                return found.is_ignore();
            }
            at = near.above.as_ref();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(lines: &[&str]) -> Arc<Compiled> {
        Compiled::new(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap().unwrap()
    }

    fn ignores(level: &Level, path: &str) -> bool {
        level.ignores(OsStr::new(path.trim_end_matches('/')), path.ends_with('/'))
    }

    #[test]
    fn the_command_line_then_the_nearest_file_then_the_last_line() {
        let level = Level::top(Some(compiled(&["*.o", "!keep.o", "/only-top", "sub/*.tmp"])));
        for (path, left_out) in [
            ("a.o", true),
            ("deep/er/a.o", true),
            ("deep/keep.o", false),
            ("only-top", true),
            ("deep/only-top", false),
            ("sub/a.tmp", true),
            ("deep/sub/a.tmp", false),
            ("a.c", false),
        ] {
            assert_eq!(ignores(&level, path), left_out, "{path}");
        }
        let inner = level.with(compiled(&["*.c", "build/"]), 0).with(compiled(&["!main.c", "!x.o", "/y"]), 4);
        for (path, left_out) in [
            ("sub/main.c", false),
            ("sub/other.c", true),
            ("sub/x.o", true),
            ("sub/y", true),
            ("sub/z/y", false),
            ("sub/build/", true),
            ("sub/build", false),
        ] {
            assert_eq!(ignores(&inner, path), left_out, "{path}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told_and_too_many_are_refused() {
        let wrong = Compiled::new(&["a{b".to_owned()]).unwrap_err();
        assert!(wrong.to_string().contains("a{b"), "{wrong}");
        assert!(Compiled::new(&["# words".to_owned(), String::new()]).unwrap().is_none());
        assert_eq!(Rules::first(vec!["x".into(); MAX_LINES + 1]).check(), Err(RulesError::Many));
        assert_eq!(Rules::first(vec!["x".repeat(MAX_LINE + 1)]).check(), Err(RulesError::Many));
        Rules::first(vec!["x".into()]).check().unwrap();
    }
}
