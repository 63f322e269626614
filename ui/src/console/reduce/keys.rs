//! A key press: text where a field takes text, else whatever the keymap says here.

use crossterm::event::KeyCode;

use super::{actions, dialogs};
use crate::console::effect::Effect;
use crate::console::keymap::{Key, Lookup};
use crate::console::model::Model;

/// Takes a key press.
pub fn press(model: &mut Model, key: Key, effects: &mut Vec<Effect>) {
    if !model.overlays.is_empty() {
        // The way out works everywhere, whatever the keys are bound to.
        if key.ctrl && key.code == KeyCode::Char('c') {
            model.chord.0.clear();
            return dialogs::ctrl_c(model, effects);
        }
        if key.code == KeyCode::Esc {
            model.chord.0.clear();
            return dialogs::close(model);
        }
        if dialogs::typed(model, key, effects) {
            model.chord.0.clear();
            return;
        }
    }
    model.chord.0.push(key);
    model.chord.1 = model.now.mono_ms;
    match model.keymap.lookup(model.layers(), &model.chord.0) {
        Lookup::Prefix => {}
        Lookup::Action(action) => {
            model.chord.0.clear();
            actions::perform(model, action, effects);
        }
        Lookup::None if model.chord.0.len() > 1 => {
            // A chord that leads nowhere: what it began with may mean something by itself, and so may its last key.
            model.chord.0.pop();
            let begun = std::mem::take(&mut model.chord.0);
            if let Some(action) = model.keymap.whole(model.layers(), &begun) {
                actions::perform(model, action, effects);
            }
            press(model, key, effects);
        }
        Lookup::None => model.chord.0.clear(),
    }
}

/// How long the keys of a chord may lie apart.
const CHORD_MS: u64 = 1_500;
/// The same where the keys so far mean something by themselves: whoever wants that does not want to wait.
const WHOLE_MS: u64 = 350;

/// When the chord that was begun ends by itself, ms since the console started.
pub fn chord_ends_ms(model: &Model) -> Option<u64> {
    let (keys, since) = &model.chord;
    let patience = match model.keymap.whole(model.layers(), keys) {
        Some(_) => WHOLE_MS,
        None => CHORD_MS,
    };
    (!keys.is_empty()).then(|| since.saturating_add(patience))
}

/// Ends a chord that nobody goes on with: what its keys mean by themselves is done.
pub fn end_chord(model: &mut Model, effects: &mut Vec<Effect>) {
    if chord_ends_ms(model).is_none_or(|end| model.now.mono_ms < end) {
        return;
    }
    let keys = std::mem::take(&mut model.chord.0);
    if let Some(action) = model.keymap.whole(model.layers(), &keys) {
        actions::perform(model, action, effects);
    }
}
