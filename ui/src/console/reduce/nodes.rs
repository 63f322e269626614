//! What is done to the nodes of the pool, and to the pool.

use std::sync::Arc;

use skep_engine::control::pool::{Known, Moves, PoolNodeRow};
use skep_engine::control::{Command, CommandError};

use super::actions::say;
use super::forms;
use crate::console::action::Action;
use crate::console::effect::{Effect, PreviewAsk, PreviewFrom, PreviewKey};
use crate::console::model::Model;
use crate::console::model::form::Form;
use crate::console::model::overlay::{Confirm, Overlay};
use crate::console::model::toast::ToastLevel;
use crate::output::moves::going;

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
        Action::DrainNode if model.nodes.wish(&row).unwrap_or(row.draining) => {
            model.nodes.ask(&row.name, false, model.now.mono_ms);
            say(model, ToastLevel::Info, format!("{} into use again: u takes it back", row.name));
            let command = Command::PoolDrain { name: row.name.to_string(), on: false };
            effects.push(Effect::command(command, "take the node into use"));
        }
        Action::DrainNode => ask_drain(model, &row, effects),
        Action::RemoveNode if row.is_listed() => ask_remove(model, &row, effects),
        Action::RemoveNode => ask_stop(model, &row, effects),
        _ => {}
    }
}

/// Asks whether a node shall be drained, with what would be copied.
fn ask_drain(model: &mut Model, row: &PoolNodeRow, effects: &mut Vec<Effect>) {
    let lines = vec![
        format!("{} at {}", row.name, row.endpoint),
        "It is chosen only where there is no other, and goes on serving.".to_owned(),
    ];
    ask(model, row, ("Drain a node", lines, drain(row)), true, effects);
}

/// Who came by gossip goes by stopping: it is drained first, so that nothing is short of copies meanwhile.
fn ask_stop(model: &mut Model, row: &PoolNodeRow, effects: &mut Vec<Effect>) {
    let who = if row.known == Known::Own { "It is this very node" } else { "It came by gossip" };
    let mut lines = vec![format!("{} at {}", row.name, row.endpoint), format!("{who}: it is gone when it is stopped.")];
    let yes = if row.draining {
        lines.push("It is drained: stop it once its copies are made elsewhere.".to_owned());
        Vec::new()
    } else {
        lines.push("Drain it now, and stop it once its copies are made elsewhere.".to_owned());
        drain(row)
    };
    ask(model, row, ("Drain it, then stop it", lines, yes), true, effects);
}

/// Asks whether a node shall be taken off the list, with what follows.
fn ask_remove(model: &mut Model, row: &PoolNodeRow, effects: &mut Vec<Effect>) {
    let mut lines = vec![format!("{} at {}", row.name, row.endpoint)];
    if row.known == Known::Listed {
        lines.push("It runs on, but is not chosen any more: its keys get other nodes.".to_owned());
    }
    let yes = vec![Effect::command(Command::PoolRemove { name: row.name.to_string() }, "take the node off the list")];
    ask(model, row, ("Take a node off the list", lines, yes), false, effects);
}

fn drain(row: &PoolNodeRow) -> Vec<Effect> {
    vec![Effect::command(Command::PoolDrain { name: row.name.to_string(), on: true }, "drain the node")]
}

/// A question, and what to do on yes; what would follow is asked for, and stands in the last lines once it is known.
fn ask(
    model: &mut Model,
    row: &PoolNodeRow,
    (title, mut lines, yes): (&str, Vec<String>, Vec<Effect>),
    drain: bool,
    effects: &mut Vec<Effect>,
) {
    let name = row.name.to_string();
    let dir = if drain { "drain" } else { "" };
    let key = PreviewKey { what: name.clone(), dir: dir.to_owned() };
    let from = PreviewFrom::Command(Command::PreviewPool { name, weight: None, drain });
    effects.push(Effect::Preview(vec![PreviewAsk { key: key.clone(), from }]));
    lines.push("asking what would be copied…".to_owned());
    let title = title.to_owned();
    let confirm = Confirm { title, lines, yes, ids: Vec::new(), typed: None, awaits: Some(key) };
    model.overlays.push(Overlay::Confirm(confirm));
}

/// The operator said yes to a drain: until it is a fact its row says that it is asked for.
pub fn drained(model: &mut Model, name: &str) {
    model.nodes.ask(&name.into(), true, model.now.mono_ms);
    say(model, ToastLevel::Info, format!("draining {name}: u takes it back"));
}

/// Makes the rows anew from the snapshot on screen.
pub fn refresh(model: &mut Model, resort: bool) {
    let pool = Arc::clone(&model.snapshot.pool);
    model.nodes.refresh(&pool, model.now.mono_ms, resort);
}

/// What would follow is known, or why it cannot be told.
pub fn would_follow(model: &mut Model, key: &PreviewKey, found: &Result<Moves, CommandError>) {
    for overlay in &mut model.overlays {
        match overlay {
            Overlay::Form(form) => form.take_moves(key, found),
            Overlay::Confirm(confirm) if confirm.awaits.as_ref() == Some(key) => {
                confirm.awaits = None;
                // It stands where it was said that it is asked for.
                confirm.lines.pop();
                match found {
                    Ok(found) => confirm.lines.extend(going(found)),
                    Err(error) => confirm.lines.push(format!("what would be copied is not known: {}", error.message)),
                }
            }
            _ => {}
        }
    }
}
