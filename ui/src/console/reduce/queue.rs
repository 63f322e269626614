//! What is done to the operations that wait.

use skep_engine::control::Command;
use skep_engine::control::queue::{PurgeRequest, QueueMove, QueueState};

use super::actions::say;
use super::forms;
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::form::Form;
use crate::console::model::overlay::{Confirm, Overlay};
use crate::console::model::queue::{class_name, next_class};
use crate::console::model::toast::ToastLevel;

/// Performs an action of the Queue pane.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::Purge {
        let form = Form::purge(model.snapshot.queue.clone(), model.node_now());
        return forms::open(model, form, effects);
    }
    let Some(row) = model.queue.row(&model.snapshot.queue).cloned() else { return };
    match action {
        Action::QueueUp | Action::QueueDown => {
            let to = if action == Action::QueueUp { QueueMove::Up } else { QueueMove::Down };
            effects.push(Effect::command(Command::MoveQueued { id: row.id, to }, "move it in the queue"));
        }
        Action::ClassUp | Action::ClassDown => {
            let Some(class) = next_class(model.queue.class(&row), action == Action::ClassUp) else { return };
            model.queue.ask(row.id, class, model.now.mono_ms);
            say(model, ToastLevel::Info, format!("{} as {}: u takes it back", row.name, class_name(class)));
            effects.push(Effect::command(Command::SetClass { ids: vec![row.id], class }, "change its class"));
        }
        Action::RetryQueued => {
            effects.push(Effect::command(Command::RetryQueued { ids: vec![row.id] }, "try it now"));
        }
        Action::Dequeue => {
            let request = PurgeRequest { ids: vec![row.id], ..PurgeRequest::default() };
            let then = match row.state {
                QueueState::Running => "Its transfer is cancelled.",
                _ => "It will not be done. The source stays as it is.",
            };
            model.overlays.push(Overlay::Confirm(Confirm {
                awaits: None,
                title: "Remove from the queue".to_owned(),
                lines: vec![format!("{} {} to {}", row.what, row.name, row.dest), then.to_owned()],
                yes: vec![Effect::command(Command::PurgeQueue(request), "remove it from the queue")],
                ids: Vec::new(),
                typed: None,
            }));
        }
        _ => {}
    }
}
