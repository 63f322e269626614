//! The one place where the model changes: `(model, event, moment) → effects`. Pure: the same
//! events give the same model, whatever the terminal or the network do.

mod actions;
mod answer;
pub mod available;
mod dialogs;
mod forms;
mod keys;
mod links;
mod looks;
mod mouse;
mod movement;
mod nodes;
mod paths;
mod place;
mod probe;
mod queue;
mod rest;
mod snapshot;
mod targets;
mod transfers;
mod travel;
mod undo;

pub use keys::chord_ends_ms;

use std::path::PathBuf;

use super::effect::Effect;
use super::event::Event;
use super::model::links::LinksView;
use super::model::overlay::Overlay;
use super::model::toast::ToastLevel;
use super::model::{Model, Moment};
use super::panes::{self, PaneId};
use super::view::layout::Layout;
use super::widgets::format::Bytes;
use skep_engine::control::{Connection, Focus};

/// Takes an event into the model and says what has to be done outside it.
pub fn reduce(model: &mut Model, event: Event, at: Moment) -> Vec<Effect> {
    model.now = at;
    let looked_at = model.transfers.selected;
    let mut effects = Vec::new();
    match event {
        Event::Key(key) => keys::press(model, key, &mut effects),
        Event::Paste(text) => dialogs::paste(model, &text, &mut effects),
        Event::Mouse(event) => mouse::mouse(model, event, &mut effects),
        Event::Resize(width, height) => model.size = (width, height),
        Event::TerminalFocus(focused) => model.terminal_focused = focused,
        Event::Snapshot(snapshot) => snapshot::take(model, snapshot, &mut effects),
        Event::Connection(connection) => connected(model, connection),
        Event::Recorded { number, result } => travel::take(model, number, result, &mut effects),
        Event::Replay => travel::open(model, &mut effects),
        Event::Saved(result) => saved(model, result),
        Event::Switched { at, settings } => targets::switched(model, at, settings),
        Event::NotSwitched(why) => model.toasts.push(ToastLevel::Error, why, at.mono_ms),
        Event::Answer { told, ids, result } => answer::take(model, told, &ids, result),
        Event::Themes { themes, troubles } => looks::take_themes(model, themes, troubles),
        Event::Ground { light } => looks::take_ground(model, light),
        Event::Exported(result) => looks::exported(model, result),
        Event::Listing(dir, listing) => forms::listing(model, &dir, listing),
        Event::Preview(key, found) => forms::preview(model, &key, found),
        Event::Plan(key, found) => forms::plan(model, &key, found),
        Event::Moves(key, found) => nodes::would_follow(model, &key, &found),
        Event::Placed { number, answers } => place::take(model, number, answers),
        Event::Probed { number, result } => probe::probed(model, number, result),
        Event::LinkHistory { endpoint, history } => model.links.take_history(&endpoint, &history),
        Event::Cost(cost) => model.cost = cost,
        Event::Tick => {
            travel::tick(model, &mut effects);
            probe::tick(model, &mut effects);
        }
        Event::Trouble(text) => model.toasts.push(ToastLevel::Error, text, at.mono_ms),
    }
    undo::note(model, &effects);
    time_passes(model, &mut effects);
    keep_in_sight(model);
    ask_for_history(model, &mut effects);
    if model.transfers.selected != looked_at {
        effects.push(Effect::SetFocus(Focus { transfer: model.transfers.selected }));
        snapshot::refresh_peers(model);
        snapshot::refresh_paths(model);
        keep_in_sight(model);
    }
    effects
}

fn connected(model: &mut Model, connection: Connection) {
    let now = model.now.mono_ms;
    match (&model.connection, &connection) {
        // A node that was never there is not lost; the header says how it stands.
        _ if model.received.is_none() => {}
        (Connection::Live, Connection::Lost { error, .. }) => {
            let text = format!("the connection to {} is lost: {error}", model.settings.target);
            model.toasts.push(ToastLevel::Warn, text, now);
        }
        (Connection::Lost { .. }, Connection::Live) => {
            model.toasts.push(ToastLevel::Info, format!("connected to {} again", model.settings.target), now);
        }
        _ => {}
    }
    model.connection = connection;
}

/// The recording was copied to a file, or not.
fn saved(model: &mut Model, result: Result<(PathBuf, u64), String>) {
    let (level, text) = match result {
        Ok((path, bytes)) => {
            (ToastLevel::Info, format!("{} saved: skep attach --replay {}", Bytes(bytes), path.display()))
        }
        Err(why) => (ToastLevel::Error, format!("the recording is not saved: {why}")),
    };
    model.toasts.push(level, text, model.now.mono_ms);
}

/// What the monitor remembers of the selected link is asked for once, while it is on screen.
fn ask_for_history(model: &mut Model, effects: &mut Vec<Effect>) {
    // Recordings have no monitor, and the past has the samples of its moments.
    if model.settings.replay || model.travel.past.is_some() || Layout::of(model).area(PaneId::Link).is_none() {
        return;
    }
    let snapshot = std::sync::Arc::clone(&model.snapshot);
    if let Some(endpoint) = model.links.ask(&snapshot.links) {
        effects.push(Effect::LinkHistory { endpoint, window_s: LinksView::longest_ms() / 1_000 });
    }
}

/// Toasts go, chords end, wishes that nothing came of are admitted.
fn time_passes(model: &mut Model, effects: &mut Vec<Effect>) {
    let now = model.now.mono_ms;
    model.toasts.expire(now);
    keys::end_chord(model, effects);
    if model.live_wishes().expire(now) > 0 {
        model.toasts.push(ToastLevel::Warn, "the node has not done what was asked yet", now);
    }
}

/// Scrolls every list so that what is selected is on screen.
fn keep_in_sight(model: &mut Model) {
    let layout = Layout::of(model);
    for id in PaneId::ALL {
        let Some(area) = layout.area(id) else { continue };
        let page = panes::pane(id).page(area.height);
        match id {
            PaneId::Transfers => model.transfers.keep_in_sight(page),
            PaneId::Pieces => {
                let files = model.detail().map_or(0, |detail| detail.files.len());
                model.files.keep_in_sight(files, page);
                model.pieces.keep_in_sight(page);
            }
            PaneId::Paths => {
                let row = model.selected().cloned();
                model.paths.keep_in_sight(row.as_ref().map_or(&[], |row| &row.paths), page);
            }
            PaneId::Link => {
                let snapshot = std::sync::Arc::clone(&model.snapshot);
                model.links.keep_in_sight(&snapshot.links, page);
            }
            PaneId::Queue => {
                let snapshot = std::sync::Arc::clone(&model.snapshot);
                model.queue.keep_in_sight(&snapshot.queue, page);
            }
            PaneId::Nodes => {
                let pool = std::sync::Arc::clone(&model.snapshot.pool);
                model.nodes.keep_in_sight(&pool, page);
            }
            PaneId::Log => model.log.keep_in_sight(page),
        }
    }
    if let Some(Overlay::Bans(view)) = model.overlays.last_mut() {
        view.at = view.at.min(model.snapshot.bans.len().saturating_sub(1));
    }
    if let Some(Overlay::Targets(view)) = model.overlays.last_mut() {
        view.at = view.at.min(model.settings.targets.len().saturating_sub(1));
    }
}
