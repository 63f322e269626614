//! Another node on screen.

use super::actions::say;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::overlay::{Overlay, TargetsView};
use crate::console::model::toast::ToastLevel;
use crate::console::targets::TargetSettings;
use skep_engine::control::Connection;

/// Lists the nodes to choose from.
pub fn list(model: &mut Model) {
    let at = model.settings.target_at;
    model.overlays.push(Overlay::Targets(TargetsView { at }));
}

/// The chosen one is asked for; what is on screen stays until it is there.
pub fn choose(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Overlay::Targets(view)) = model.overlays.last() else { return };
    let at = view.at;
    model.overlays.pop();
    if at != model.settings.target_at && at < model.settings.targets.len() {
        effects.push(Effect::Switch(at));
    }
}

/// Another node is shown from now on.
pub fn switched(model: &mut Model, at: usize, settings: TargetSettings) {
    let name = model.settings.targets.get(at).map_or_else(String::new, |target| target.name.clone());
    let TargetSettings { target, embedded, read_only } = settings;
    (model.settings.target, model.settings.embedded, model.settings.read_only) = (target, embedded, read_only);
    model.settings.target_at = at;
    model.change_node();
    // Until its view says otherwise.
    model.connection = Connection::Live;
    model.overlays.clear();
    say(model, ToastLevel::Info, format!("this is {name} now"));
}
