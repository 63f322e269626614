//! A user's key file: a patch over the built-in table.
//!
//! ```toml
//! [transfers]
//! "ctrl-x" = "transfer.cancel"   # one more key
//! "x" = false                    # this key does nothing any more
//! [global]
//! "g p" = "palette"              # a chord
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Binding, Keymap, chord_name, parse_chord};
use crate::console::action::{Entry, Scope, TABLE};

/// What is wrong, or worth knowing, about a key file. None of it keeps the console from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyIssue {
    /// Not TOML, or not of a key file's shape; the whole file is left aside.
    #[error("the key file cannot be read: {0}")]
    Syntax(String),
    /// No such layer.
    #[error("there is no section [{0}] (sections: global, list, transfers, pieces, log, dialog, bans)")]
    NoSuchScope(String),
    /// No such key.
    #[error("[{scope}] {key:?}: {error}")]
    NoSuchKey {
        /// The section.
        scope: &'static str,
        /// As written.
        key: String,
        /// Why.
        error: String,
    },
    /// No such action.
    #[error("[{scope}] {key:?}: there is no action {action:?}; did you mean {nearest:?}?")]
    NoSuchAction {
        /// The section.
        scope: &'static str,
        /// As written.
        key: String,
        /// As written.
        action: String,
        /// The id that looks most like it.
        nearest: &'static str,
    },
    /// The action does not work in this section.
    #[error("[{scope}] {key:?}: {action:?} works in [{right}] only")]
    WrongScope {
        /// The section.
        scope: &'static str,
        /// As written.
        key: String,
        /// As written.
        action: String,
        /// Where it works.
        right: &'static str,
    },
    /// One chord hides another.
    #[error("[{scope}] {chord:?} can never be typed: {with:?} is bound already")]
    Conflict {
        /// The section.
        scope: &'static str,
        /// The chord that is hidden.
        chord: String,
        /// By this one.
        with: String,
    },
    /// An action that had keys has none left; the palette still knows it.
    #[error("{0:?} has no key left (the palette still finds it)")]
    Keyless(&'static str),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Action(String),
    Off(bool),
}

/// Applies a key file to the built-in keymap. What is wrong with it is listed and left out.
pub fn apply(text: &str) -> (Keymap, Vec<KeyIssue>) {
    let mut map = Keymap::default();
    let mut issues = Vec::new();
    let file: BTreeMap<String, BTreeMap<String, Value>> = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => return (map, vec![KeyIssue::Syntax(error.to_string())]),
    };
    for (section, lines) in file {
        let Some(scope) = Scope::ALL.into_iter().find(|s| s.name() == section) else {
            issues.push(KeyIssue::NoSuchScope(section));
            continue;
        };
        for (key, value) in lines {
            if let Err(issue) = bind(&mut map, scope, &key, &value) {
                issues.push(issue);
            }
        }
    }
    issues.extend(map.conflicts());
    for entry in TABLE.iter().filter(|e| !e.keys.is_empty()) {
        if map.chords(entry.action).next().is_none() {
            issues.push(KeyIssue::Keyless(entry.id));
        }
    }
    (map, issues)
}

fn bind(map: &mut Keymap, scope: Scope, key: &str, value: &Value) -> Result<(), KeyIssue> {
    let chord = parse_chord(key).map_err(|e| KeyIssue::NoSuchKey {
        scope: scope.name(),
        key: key.to_owned(),
        error: e.to_string(),
    })?;
    let action = match value {
        Value::Action(id) => {
            let entry = Entry::by_id(id).ok_or_else(|| KeyIssue::NoSuchAction {
                scope: scope.name(),
                key: key.to_owned(),
                action: id.clone(),
                nearest: nearest(id),
            })?;
            if entry.scope != scope {
                return Err(KeyIssue::WrongScope {
                    scope: scope.name(),
                    key: key.to_owned(),
                    action: id.clone(),
                    right: entry.scope.name(),
                });
            }
            Some(entry.action)
        }
        Value::Off(true) => {
            return Err(KeyIssue::NoSuchAction {
                scope: scope.name(),
                key: chord_name(&chord),
                action: "true".to_owned(),
                nearest: "false",
            });
        }
        Value::Off(false) => None,
    };
    map.bindings.retain(|b| b.scope != scope || b.chord != chord);
    if let Some(action) = action {
        map.bindings.push(Binding { scope, chord, action });
    }
    Ok(())
}

/// The action id at the smallest edit distance.
fn nearest(id: &str) -> &'static str {
    TABLE.iter().map(|e| e.id).min_by_key(|known| distance(id, known)).unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::action::Action;
    use crate::console::keymap::Lookup;
    use crate::console::panes::PaneId;

    #[test]
    fn a_patch_adds_moves_and_removes() {
        let (map, issues) =
            apply("[transfers]\n\"ctrl-x\"='transfer.cancel'\n\"x\"=false\n[global]\n\"g p\"='palette'");
        assert_eq!(issues, []);
        let layers = [Scope::Pane(PaneId::Transfers), Scope::Global];
        let look = |k: &str| map.lookup(&layers, &parse_chord(k).unwrap());
        assert_eq!(look("ctrl-x"), Lookup::Action(Action::Cancel));
        assert_eq!(look("x"), Lookup::None);
        assert_eq!(look("g p"), Lookup::Action(Action::Palette));
        assert_eq!(
            look("g"),
            Lookup::Prefix,
            "what begins a chord waits, and means something by itself when nothing follows"
        );
        assert_eq!(map.whole(&layers, &parse_chord("g").unwrap()), Some(Action::Probe));
        assert_eq!(look("p"), Lookup::Action(Action::PauseResume), "what is not named stays");
    }

    #[test]
    fn mistakes_are_named_and_left_out() {
        let cases: &[(&str, &str)] = &[
            ("nonsense", "cannot be read"),
            ("[transfer]\n\"x\"='quit'", "[transfer]"),
            ("[transfers]\n\"ctrl+x\"='transfer.cancel'", "ctrl+x"),
            ("[transfers]\n\"y\"='transfer.cancle'", "transfer.cancel\""),
            ("[log]\n\"y\"='transfer.cancel'", "[transfers] only"),
            ("[transfers]\n\"x\"=false", "no key left"),
        ];
        for (text, named) in cases {
            let (_, issues) = apply(text);
            let all = issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            assert!(all.contains(named), "{text}: {all}");
        }
    }
}
