//! What is done to the nodes of the pool, and to the pool.

use std::sync::Arc;

use skep_engine::control::pool::Moves;
use skep_engine::control::{Command, CommandError};

use super::actions::say;
use super::forms;
use crate::console::action::Action;
use crate::console::derive::nodes::moves;
use crate::console::effect::{Effect, PreviewAsk, PreviewFrom, PreviewKey};
use crate::console::model::Model;
use crate::console::model::form::Form;
use crate::console::model::overlay::{Confirm, Overlay};
use crate::console::model::toast::ToastLevel;

/// Performs an action of the Nodes pane.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::PlaceKey => return super::place::open(model, effects),
        Action::AddNode => {
            let form = Form::node(&model.snapshot);
            return forms::open(model, form, effects);
        }
        Action::Balancer => {
            let balancer = model.snapshot.pool.balancer.other();
            say(model, ToastLevel::Info, format!("{} shall answer: u takes it back", balancer.word()));
            return effects.push(Effect::command(Command::SetBalancer { balancer }, "change the balancer"));
        }
        Action::SortNodes | Action::SortNodesReverse => {
            let view = &mut model.nodes;
            if action == Action::SortNodes {
                (view.sort, view.reversed) = (view.sort.next(), false);
            } else {
                view.reversed = !view.reversed;
            }
            return refresh(model, true);
        }
        _ => {}
    }
    let Some(row) = model.nodes.row(&model.snapshot.pool).cloned() else { return };
    match action {
        Action::DrainNode => {
            let on = !model.nodes.wish(&row).unwrap_or(row.draining);
            model.nodes.ask(&row.name, on, model.now.mono_ms);
            let text = match on {
                true => format!("draining {}: u takes it back", row.name),
                false => format!("{} into use again: u takes it back", row.name),
            };
            say(model, ToastLevel::Info, text);
            let command = Command::PoolDrain { name: row.name.to_string(), on };
            effects.push(Effect::command(command, if on { "drain the node" } else { "take the node into use" }));
        }
        Action::RemoveNode => {
            let name = row.name.to_string();
            let key = PreviewKey { what: name.clone(), dir: String::new() };
            let from = PreviewFrom::Command(Command::PreviewPool { name: name.clone(), weight: None });
            effects.push(Effect::Preview(vec![PreviewAsk { key: key.clone(), from }]));
            model.overlays.push(Overlay::Confirm(Confirm {
                title: "Take a node off the list".to_owned(),
                lines: vec![
                    format!("{name} at {}", row.endpoint),
                    "It runs on, but is not chosen any more: its keys get other nodes.".to_owned(),
                    "asking what would move…".to_owned(),
                ],
                yes: vec![Effect::command(Command::PoolRemove { name }, "take the node off the list")],
                ids: Vec::new(),
                typed: None,
                awaits: Some(key),
            }));
        }
        _ => {}
    }
}

/// Makes the rows anew from the snapshot on screen.
pub fn refresh(model: &mut Model, resort: bool) {
    let pool = Arc::clone(&model.snapshot.pool);
    model.nodes.refresh(&pool, model.now.mono_ms, resort);
}

/// What would move is known, or why it cannot be told.
pub fn would_move(model: &mut Model, key: &PreviewKey, found: &Result<Moves, CommandError>) {
    for overlay in &mut model.overlays {
        match overlay {
            Overlay::Form(form) => form.take_moves(key, found),
            Overlay::Confirm(confirm) if confirm.awaits.as_ref() == Some(key) => {
                confirm.awaits = None;
                let text = match found {
                    Ok(found) => moves(found),
                    Err(error) => format!("what would move is not known: {}", error.message),
                };
                // It stands where it was said that it is asked for.
                if let Some(last) = confirm.lines.last_mut() {
                    *last = text;
                }
            }
            _ => {}
        }
    }
}
