//! Which keys do what: layers of chords, made from the table of actions and a user's patch.

pub mod key;
mod patch;

pub use key::{Key, ParseKeyError, chord_name, parse_chord};
pub use patch::{KeyIssue, apply};

use super::action::{Action, Scope, TABLE};

/// A chord bound to an action in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The layer.
    pub scope: Scope,
    /// The keys, one after another.
    pub chord: Vec<Key>,
    /// What they do.
    pub action: Action,
}

/// What a sequence of keys means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// This.
    Action(Action),
    /// More keys may follow.
    Prefix,
    /// Nothing.
    None,
}

/// All bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Default for Keymap {
    fn default() -> Self {
        let mut bindings = Vec::new();
        for entry in TABLE {
            for chord in entry.keys.iter().filter_map(|k| parse_chord(k).ok()) {
                bindings.push(Binding { scope: entry.scope, chord, action: entry.action });
            }
        }
        Self { bindings }
    }
}

impl Keymap {
    /// What the keys pressed so far mean in these layers; the first layer that knows them decides. Where more may follow
    /// it is waited for, though they mean something by themselves, too: see [`Self::whole`].
    pub fn lookup(&self, layers: &[Scope], keys: &[Key]) -> Lookup {
        for layer in layers {
            let mut known = Lookup::None;
            for binding in self.bindings.iter().filter(|b| b.scope == *layer && b.chord.starts_with(keys)) {
                if binding.chord.len() > keys.len() {
                    return Lookup::Prefix;
                }
                if known == Lookup::None {
                    known = Lookup::Action(binding.action);
                }
            }
            if known != Lookup::None {
                return known;
            }
        }
        Lookup::None
    }

    /// What keys mean by themselves, whatever may follow them.
    pub fn whole(&self, layers: &[Scope], keys: &[Key]) -> Option<Action> {
        let found = |layer: &Scope| self.bindings.iter().find(|b| b.scope == *layer && b.chord == keys);
        layers.iter().find_map(found).map(|binding| binding.action)
    }

    /// The chords of an action.
    pub fn chords(&self, action: Action) -> impl Iterator<Item = &[Key]> {
        self.bindings.iter().filter(move |b| b.action == action).map(|b| b.chord.as_slice())
    }

    /// The chords of an action for people: `p space`, or nothing.
    pub fn label(&self, action: Action) -> String {
        self.chords(action).map(chord_name).collect::<Vec<_>>().join(", ")
    }

    /// Its first chord for people.
    pub fn short_label(&self, action: Action) -> Option<String> {
        self.chords(action).next().map(chord_name)
    }

    /// Every binding.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Bindings that continue the keys pressed so far, for the hint in the footer.
    pub fn continuations(&self, layers: &[Scope], keys: &[Key]) -> impl Iterator<Item = &Binding> {
        let (layers, keys) = (layers.to_vec(), keys.to_vec());
        self.bindings
            .iter()
            .filter(move |b| layers.contains(&b.scope) && b.chord.len() > keys.len() && b.chord.starts_with(&keys))
    }

    /// Keys that cannot work as bound: two actions on one chord of a layer.
    pub fn conflicts(&self) -> Vec<KeyIssue> {
        let mut found = Vec::new();
        for (at, a) in self.bindings.iter().enumerate() {
            for b in self.bindings.iter().skip(at + 1).filter(|b| b.scope == a.scope) {
                if a.chord == b.chord {
                    found.push(KeyIssue::Conflict {
                        scope: a.scope.name(),
                        chord: chord_name(&b.chord),
                        with: chord_name(&a.chord),
                    });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::panes::PaneId;

    fn keys(text: &str) -> Vec<Key> {
        parse_chord(text).unwrap()
    }

    #[test]
    fn the_builtin_table_has_no_conflict() {
        assert_eq!(Keymap::default().conflicts(), []);
        let bound: usize = TABLE.iter().map(|e| e.keys.len()).sum();
        assert_eq!(Keymap::default().bindings().len(), bound, "every default key parses");
    }

    #[test]
    fn no_pane_hides_a_global_key() {
        let map = Keymap::default();
        for global in map.bindings().iter().filter(|b| b.scope == Scope::Global || b.scope == Scope::List) {
            for pane in PaneId::ALL {
                let layers = [Scope::Pane(pane), Scope::List, Scope::Global];
                let (name, pane) = (chord_name(&global.chord), pane.name());
                assert_eq!(map.whole(&layers, &global.chord), Some(global.action), "{name} in {pane}");
                // One that waits for more of a chord is done when nothing follows.
                let waits = if name == "g" { Lookup::Prefix } else { Lookup::Action(global.action) };
                assert_eq!(map.lookup(&layers, &global.chord), waits, "{name} in {pane}");
            }
        }
    }

    #[test]
    fn inner_layers_win_and_chords_wait() {
        let map = Keymap::default();
        let transfers = [Scope::Pane(PaneId::Transfers), Scope::List, Scope::Global];
        let log = [Scope::Pane(PaneId::Log), Scope::List, Scope::Global];
        assert_eq!(map.lookup(&transfers, &keys("c")), Lookup::Action(Action::CopyLink));
        assert_eq!(map.lookup(&log, &keys("c")), Lookup::Action(Action::CopyLine));
        assert_eq!(map.lookup(&log, &keys("x")), Lookup::None);
        assert_eq!(map.lookup(&log, &keys("g")), Lookup::Prefix);
        assert_eq!(map.lookup(&log, &keys("g g")), Lookup::Action(Action::Top));
        assert_eq!(map.lookup(&log, &keys("g x")), Lookup::None);
        assert_eq!(map.continuations(&log, &keys("g")).count(), 1);
    }
}
