//! Going back in time, and playing a recording.

use std::sync::Arc;

use super::actions::{refresh_rows, say};
use super::{rest, snapshot};
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::history::History;
use crate::console::model::toast::ToastLevel;
use crate::console::model::travel::{Live, Past};
use crate::console::recording::{Recorded, Seek};

/// Why nothing can be done to the past.
pub const PAST: &str = "you look at the past; Esc returns to now";
/// A large step.
const LARGE_MS: i64 = 60_000;

/// Performs an action that is about time.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Earlier => step(model, 0, -1, effects),
        Action::Later => step(model, 0, 1, effects),
        Action::MuchEarlier => step(model, -LARGE_MS, 0, effects),
        Action::MuchLater => step(model, LARGE_MS, 0, effects),
        Action::Play => play(model, effects),
        Action::PlayFaster => change_speed(model, true),
        Action::PlaySlower => change_speed(model, false),
        _ => {}
    }
}

fn step(model: &mut Model, ms: i64, moments: i64, effects: &mut Vec<Effect>) {
    // A hand on the tape stops it.
    model.travel.player.since = None;
    let from_ms = model.moment_ms();
    ask(model, Seek { from_ms, ms, moments }, effects);
}

fn ask(model: &mut Model, seek: Seek, effects: &mut Vec<Effect>) {
    if let Some((number, seek)) = model.travel.ask(seek) {
        effects.push(Effect::Seek { number, seek });
    }
}

/// Asks for the first moment of a recording that is opened.
pub fn open(model: &mut Model, effects: &mut Vec<Effect>) {
    ask(model, Seek::default(), effects);
}

/// Takes a moment of the recording into the model.
pub fn take(model: &mut Model, number: u64, result: Result<Recorded, String>, effects: &mut Vec<Effect>) {
    let Some(more) = model.travel.answered(number) else { return };
    let recorded = match result {
        Ok(recorded) => recorded,
        Err(why) => {
            model.travel.player.since = None;
            return say(model, ToastLevel::Warn, format!("cannot go there: {why}"));
        }
    };
    let (before, beyond) = (recorded.before, recorded.beyond);
    let replay = model.settings.replay;
    if beyond && !replay && more.ms >= 0 && more.moments >= 0 {
        return leave(model);
    }
    show(model, recorded);
    if before && !replay {
        say(model, ToastLevel::Info, "the recording begins here");
    } else if beyond && model.travel.player.since.take().is_some() {
        say(model, ToastLevel::Info, "the recording ends here");
    }
    if more != Seek::default() {
        let from_ms = model.moment_ms();
        ask(model, Seek { from_ms, ..more }, effects);
    }
}

fn show(model: &mut Model, recorded: Recorded) {
    let mut history = History::default();
    for (time_ms, down, up) in recorded.rates {
        history.note(time_ms, down, up);
    }
    let live = match model.travel.past.take() {
        Some(past) => past.live,
        None => Live { snapshot: Arc::clone(&model.snapshot), wishes: std::mem::take(&mut model.wishes) },
    };
    let Recorded { time_ms, first_ms, last_ms, .. } = recorded;
    model.snapshot = rest::settle(recorded.snapshot, &model.snapshot);
    model.travel.past = Some(Past { time_ms, first_ms, last_ms, history, live });
    // What is selected and marked is so now: a moment at which it was not there yet takes nothing away.
    model.transfers.hold = !model.settings.replay;
    if model.settings.replay {
        // Nothing else tells what the paths carried.
        let shown = Arc::clone(&model.snapshot);
        model.paths.note_past(&shown);
    }
    // The charts have the moments that were gone to.
    let shown = Arc::clone(&model.snapshot);
    model.links.note_past(&shown);
    refresh(model);
}

/// Back to now.
pub fn leave(model: &mut Model) {
    model.travel.forget();
    let Some(past) = model.travel.past.take() else { return };
    model.snapshot = past.live.snapshot;
    model.wishes = past.live.wishes;
    model.transfers.hold = false;
    model.toasts.take_back(PAST);
    refresh(model);
}

fn refresh(model: &mut Model) {
    let log = Arc::clone(&model.snapshot.log);
    model.log.show(&log);
    refresh_rows(model, false);
    snapshot::refresh_peers(model);
    snapshot::refresh_lists(model);
}

fn play(model: &mut Model, effects: &mut Vec<Effect>) {
    let at_ms = model.moment_ms();
    let at_end = model.travel.past.as_ref().is_some_and(|past| past.time_ms >= past.last_ms);
    let (player, now) = (&mut model.travel.player, model.now.mono_ms);
    if player.since.take().is_some() {
        return;
    }
    if at_end {
        // From the start again.
        let first_ms = model.travel.past.as_ref().map_or(0, |past| past.first_ms);
        player.since = Some((first_ms, now));
        model.travel.forget();
        ask(model, Seek { from_ms: first_ms, ..Seek::default() }, effects);
    } else {
        player.since = Some((at_ms, now));
    }
}

fn change_speed(model: &mut Model, up: bool) {
    let (at_ms, now) = (model.moment_ms(), model.now.mono_ms);
    if !model.travel.player.change_speed(up, at_ms, now) {
        say(model, ToastLevel::Info, if up { "it does not go faster" } else { "it does not go slower" });
    }
}

/// Time passed: the moment that is due is asked for.
pub fn tick(model: &mut Model, effects: &mut Vec<Effect>) {
    let (Some(past), Some(due_ms)) = (&model.travel.past, model.travel.player.due_ms(model.now.mono_ms)) else {
        return;
    };
    // Less than this ahead there is no other moment.
    if due_ms <= past.time_ms || model.travel.is_waiting() {
        return;
    }
    let ms = i64::try_from(due_ms - past.time_ms).unwrap_or(i64::MAX);
    let seek = Seek { from_ms: past.time_ms, ms, moments: 0 };
    ask(model, seek, effects);
}
