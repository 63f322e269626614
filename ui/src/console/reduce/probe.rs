//! The probe dialog: which endpoint, what came of it, and whether it is watched from now on.

use crossterm::event::KeyCode;
use skep_engine::control::link::{LinkRow, Measurement, ProbeReport, ProbeRequest};
use skep_engine::control::{Command, CommandError};

use super::actions::say;
use super::dialogs::edit;
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::keymap::Key;
use crate::console::model::Model;
use crate::console::model::links::authority;
use crate::console::model::overlay::Overlay;
use crate::console::model::probe::{ProbeView, Stage};
use crate::console::model::toast::ToastLevel;
use crate::console::panes::PaneId;

/// Pause after a repeated measurement that had no answer.
const AFTER_FAILURE_MS: u64 = 5_000;

/// Opens the dialog.
pub fn open(model: &mut Model) {
    let view = ProbeView::new(model);
    model.overlays.push(Overlay::Probe(Box::new(view)));
}

/// Takes a key in the dialog, which was taken off the stack; puts it back unless it is done.
pub fn typed(model: &mut Model, mut view: Box<ProbeView>, key: Key, action: Option<Action>, effects: &mut Vec<Effect>) {
    match &view.stage {
        Stage::Choosing => choosing(model, &mut view, key, action, effects),
        Stage::Running { .. } => {}
        Stage::Verdict(_) | Stage::Failed(_) => match (action, key.typed()) {
            (Some(Action::Accept), _) if matches!(view.stage, Stage::Verdict(_)) => {
                return watch(model, view.endpoint, effects);
            }
            (Some(Action::Accept), _) | (_, Some('r')) => start(model, &mut view, effects),
            (Some(Action::NextField), _) | (_, Some('e')) => {
                view.stage = Stage::Choosing;
                view.narrow();
            }
            (_, Some('q')) => return,
            _ => {}
        },
    }
    model.overlays.push(Overlay::Probe(view));
}

fn choosing(model: &mut Model, view: &mut ProbeView, key: Key, action: Option<Action>, effects: &mut Vec<Effect>) {
    match (action, key.code) {
        (Some(Action::Accept), _) => {
            view.take_chosen();
            match view.url() {
                Ok(url) => {
                    view.endpoint = url;
                    start(model, view, effects);
                }
                Err(_) => view.refused = true,
            }
        }
        (Some(Action::NextField), _) => {
            view.take_chosen();
            view.narrow();
        }
        (_, KeyCode::Up) => view.move_by(-1),
        (_, KeyCode::Down) => view.move_by(1),
        _ => {
            view.refused = false;
            edit(&mut view.input, key);
            view.narrow();
        }
    }
}

/// Pastes into the field.
pub fn paste(view: &mut ProbeView, text: &str) {
    if matches!(view.stage, Stage::Choosing) {
        view.input.insert(text.trim());
        view.narrow();
    }
}

fn start(model: &mut Model, view: &mut ProbeView, effects: &mut Vec<Effect>) {
    model.probes += 1;
    let (number, since_ms) = (model.probes, model.now.mono_ms);
    view.stage = Stage::Running { number, since_ms };
    (view.again_ms, view.repeated) = (None, None);
    view.started_ms = model.now.wall_ms;
    effects.push(Effect::Probe { number, request: ProbeRequest { url: view.endpoint.clone() } });
}

/// Watches the endpoint from now on, and shows it.
fn watch(model: &mut Model, endpoint: String, effects: &mut Vec<Effect>) {
    let watched =
        |link: &&std::sync::Arc<skep_engine::control::link::LinkRow>| authority(&link.endpoint) == authority(&endpoint);
    let known = model.snapshot.links.iter().find(watched).map(|link| link.endpoint.clone());
    model.focus = PaneId::Link;
    model.hidden.retain(|pane| *pane != PaneId::Link);
    if model.expanded.is_some() {
        model.expanded = Some(PaneId::Link);
    }
    if let Some(known) = known {
        model.links.selected = Some(known);
        return;
    }
    say(model, ToastLevel::Info, format!("watching {} from now on: d in pane 4 stops it", authority(&endpoint)));
    model.links.awaited = Some(authority(&endpoint).to_owned());
    effects.push(Effect::command(Command::StartMonitor { endpoint }, "watch the link"));
}

/// A probe is over.
pub fn probed(model: &mut Model, number: u64, result: Result<Box<ProbeReport>, CommandError>) {
    let now = model.now;
    let Some(Overlay::Probe(view)) = model.overlays.last_mut() else { return };
    let first = matches!(view.stage, Stage::Running { number: waited, .. } if waited == number);
    if !first && view.repeated != Some(number) {
        return;
    }
    view.repeated = None;
    match result {
        Ok(report) => {
            view.note(&report.measurement);
            view.again_ms = (report.again_ms > 0).then(|| now.mono_ms + report.again_ms);
            view.stage = Stage::Verdict(report);
        }
        Err(error) if first => view.stage = Stage::Failed(error.message),
        // The verdict stands; that there was no answer this time is a sample like others.
        Err(_) => {
            view.note(&Measurement { measured_at: now.wall_ms, failed: true, ..Measurement::default() });
            view.again_ms = Some(now.mono_ms + AFTER_FAILURE_MS);
        }
    }
}

/// While the dialog shows a verdict it is measured again, as often as that may be. Where a monitor watches the endpoint, its samples
/// are shown instead.
pub fn tick(model: &mut Model, effects: &mut Vec<Effect>) {
    let (number, now_ms) = (model.probes + 1, model.now.mono_ms);
    let Some(Overlay::Probe(view)) = model.overlays.last_mut() else { return };
    let is_due = matches!(view.stage, Stage::Verdict(_)) && view.again_ms.is_some_and(|at| at <= now_ms);
    let watched = |link: &std::sync::Arc<LinkRow>| authority(&link.endpoint) == authority(&view.endpoint);
    if !is_due || model.snapshot.links.iter().any(watched) {
        return;
    }
    (view.again_ms, view.repeated) = (None, Some(number));
    effects.push(Effect::Probe { number, request: ProbeRequest { url: view.endpoint.clone() } });
    model.probes = number;
}
