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
            // A chord that leads nowhere: its last key may mean something by itself.
            model.chord.0.clear();
            press(model, key, effects);
        }
        Lookup::None => model.chord.0.clear(),
    }
}
