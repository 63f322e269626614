//! What is done to the selected link.

use skep_engine::control::Command;
use skep_engine::control::link::{ClassChoice, LinkChangeRequest};

use super::actions::say;
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::links::authority;
use crate::console::model::overlay::{ClassesView, Overlay};
use crate::console::model::toast::ToastLevel;

/// Performs an action of the Link pane.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::ChartSpan {
        return model.links.next_span();
    }
    let Some(link) = model.link().cloned() else { return };
    let (endpoint, name) = (link.endpoint.clone(), authority(&link.endpoint));
    match action {
        Action::LinkClass => {
            let at = if link.forced { ClassesView::place(link.class) } else { 0 };
            model.overlays.push(Overlay::Classes(ClassesView { endpoint, at }));
        }
        Action::Metered => {
            let metered = !link.metered;
            let text = if metered {
                format!("{name} as metered: u takes it back")
            } else {
                format!("{name} as not metered: u takes it back")
            };
            say(model, ToastLevel::Info, text);
            let change = LinkChangeRequest { endpoint, metered: Some(metered), class: None };
            effects.push(Effect::command(Command::SetLink(change), "change the link"));
        }
        Action::StopMonitor => {
            say(model, ToastLevel::Info, format!("no longer watching {name}: u takes it back"));
            effects.push(Effect::command(Command::StopMonitor { endpoint }, "stop watching the link"));
        }
        _ => {}
    }
}

/// The class under the cursor of the dialog is asked for.
pub fn choose_class(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Overlay::Classes(view)) = model.overlays.last() else { return };
    let (choice, endpoint) = (view.choice(), view.endpoint.clone());
    model.overlays.pop();
    let name = authority(&endpoint);
    let text = match choice {
        ClassChoice::Auto => format!("the class of {name} as it is measured"),
        ClassChoice::Fixed(class) => format!("{name} as {}: u takes it back", class.name()),
    };
    say(model, ToastLevel::Info, text);
    let change = LinkChangeRequest { endpoint, class: Some(choice), metered: None };
    effects.push(Effect::command(Command::SetLink(change), "change the link"));
}
