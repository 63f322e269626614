//! What is done to the selected path of a push.

use skep_engine::control::Command;

use super::actions::say;
use super::available::selected_path;
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::paths::next_weight;
use crate::console::model::toast::ToastLevel;

/// Performs an action of the Paths pane.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let Some((row, path)) = selected_path(model) else { return };
    let (id, path) = (row.id, path.clone());
    let name = path.path.clone();
    let (mut enabled, mut weight) = (None, None);
    let before = model.paths.set(id, &path);
    match action {
        Action::TogglePath => enabled = Some(!before.enabled),
        Action::Heavier => weight = next_weight(before.weight, true),
        Action::Lighter => weight = next_weight(before.weight, false),
        _ => weight = Some(1.0),
    }
    let (told, text) = match (enabled, weight) {
        (Some(false), _) => ("disable the path", format!("disabling {name}: u takes it back")),
        (Some(true), _) => ("enable the path", format!("enabling {name}")),
        (_, Some(weight)) => ("weigh the path", format!("weight {weight} for {name}: u takes it back")),
        (None, None) => return,
    };
    model.paths.ask((id, &path), enabled, weight, model.now.mono_ms);
    let command = Command::SetPath { id, path: name, enabled, weight };
    model.undo.note_path(&command, told, before);
    effects.push(Effect::command(command, told));
    say(model, ToastLevel::Info, text);
}
