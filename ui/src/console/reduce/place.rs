//! The dialog that says where a key belongs.

use crossterm::event::KeyCode;
use skep_engine::control::pool::Placement;
use skep_engine::control::{CommandError, Snapshot};

use super::dialogs::edit;
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::keymap::Key;
use crate::console::model::Model;
use crate::console::model::overlay::Overlay;
use crate::console::model::place::{PlaceView, Placed};

/// Opens it.
pub fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    let mut view = Box::new(PlaceView::new(model));
    ask(&mut model.placed, &mut view, effects);
    model.overlays.push(Overlay::Place(view));
}

/// Takes a key in the dialog, which was taken off the stack, and puts it back.
pub fn typed(model: &mut Model, mut view: Box<PlaceView>, key: Key, action: Option<Action>, effects: &mut Vec<Effect>) {
    match (action, key.code) {
        // Another draw: that of the ring stays the same.
        (Some(Action::Accept), _) => ask(&mut model.placed, &mut view, effects),
        (Some(Action::NextField | Action::PreviousField), _) | (_, KeyCode::Up | KeyCode::Down) => {
            view.at_replicas = !view.at_replicas;
        }
        _ => {
            let before = view.question();
            edit(view.field_mut(), key);
            if view.question() != before {
                ask(&mut model.placed, &mut view, effects);
            }
        }
    }
    model.overlays.push(Overlay::Place(view));
}

/// Pastes into the field that takes keys; gives what is to be asked then.
pub fn paste(model: &mut Model, text: &str, effects: &mut Vec<Effect>) {
    let Some(Overlay::Place(view)) = model.overlays.last_mut() else { return };
    view.field_mut().insert(text.trim());
    ask(&mut model.placed, view, effects);
}

fn ask(number: &mut u64, view: &mut PlaceView, effects: &mut Vec<Effect>) {
    // An answer to what was asked before is none any more.
    *number += 1;
    view.number = *number;
    match view.question() {
        Ok(Some((key, replicas))) => {
            view.open = true;
            effects.push(Effect::Place { number: *number, key, replicas });
        }
        _ => (view.ring, view.resource, view.open) = (Placed::Nothing, Placed::Nothing, false),
    }
}

/// The answers came, that of the ring first.
pub fn take(model: &mut Model, number: u64, answers: [Result<Box<Placement>, CommandError>; 2]) {
    let Some(Overlay::Place(view)) = model.overlays.last_mut() else { return };
    if view.number != number {
        return;
    }
    let answer = |answer| match answer {
        Ok(placement) => Placed::There(placement),
        Err(CommandError { message, .. }) => Placed::Failed(message),
    };
    let [ring, resource] = answers;
    (view.ring, view.resource, view.open) = (answer(ring), answer(resource), false);
}

/// A newer snapshot: where the pool is another one, the ring may have another answer.
pub fn watch(model: &mut Model, now: &Snapshot, effects: &mut Vec<Effect>) {
    let Some(Overlay::Place(view)) = model.overlays.last_mut() else { return };
    if view.watch(&now.pool) {
        ask(&mut model.placed, view, effects);
    }
}
