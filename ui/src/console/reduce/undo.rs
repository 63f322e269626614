//! Taking back what was done.

use skep_engine::control::Command;

use super::actions::say;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::toast::ToastLevel;
use crate::console::model::wish::WishKind;

/// The word of commands that take something back: they are not taken back themselves.
const UNDO: &str = "undo";

/// Notes the commands among the effects of an event.
pub fn note(model: &mut Model, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Command { command, told } = effect
            && *told != UNDO
        {
            model.undo.note(command, told, &model.snapshot);
        }
    }
}

/// Takes back the newest step, or says that it cannot be.
pub fn undo(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(step) = model.undo.take() else { return };
    if step.back.is_empty() {
        return say(model, ToastLevel::Warn, format!("{} cannot be undone; u goes on to what was before", step.what));
    }
    for command in step.back {
        if let Command::SetPath { id, path, enabled, weight } = &command {
            let row = model.snapshot.transfers.iter().find(|row| row.id == *id).cloned();
            if let Some(row) = row.as_ref().and_then(|row| row.paths.iter().find(|row| row.path == *path)) {
                model.paths.ask((*id, row), *enabled, *weight, model.now.mono_ms);
            }
        }
        let wish = match &command {
            Command::Pause { ids } => Some((ids.clone(), WishKind::Pause)),
            Command::Resume { ids } => Some((ids.clone(), WishKind::Resume)),
            _ => None,
        };
        if let Some((ids, kind)) = wish {
            model.wishes.add(&ids, kind, model.now.mono_ms);
        }
        effects.push(Effect::command(command, UNDO));
    }
    say(model, ToastLevel::Info, format!("undo: {} is taken back", step.what));
}
