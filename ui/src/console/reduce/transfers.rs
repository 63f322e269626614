//! Actions on transfers: the marked ones, else the selected one.

use std::sync::Arc;

use skep_engine::control::{Command, Direction, TransferId, TransferRow, TransferState};

use super::actions::{refresh_rows, say};
use super::available::{can_pause, can_resume};
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::form::Form;
use crate::console::model::input::Input;
use crate::console::model::overlay::{Confirm, Overlay, TypedAnswer};
use crate::console::model::toast::ToastLevel;
use crate::console::model::wish::WishKind;
use crate::console::widgets::format::{Bytes, Limit};

/// Steps of the rate limit, in bytes per second; beyond the last there is none.
const STEPS: [u64; 15] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
];

/// Performs an action that is about transfers.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::PauseResume => pause_resume(model, &model.transfers.targets(), effects),
        Action::PauseAll => {
            // A failed transfer is retried one by one, never in passing.
            let all = model.snapshot.transfers.iter().filter(|t| t.state != TransferState::Failed);
            let all: Vec<TransferId> = all.map(|t| t.id).collect();
            pause_resume(model, &all, effects);
        }
        Action::Retry => {
            let ids = among(model, &model.transfers.targets(), |s| s == TransferState::Failed);
            wish(model, ids.clone(), WishKind::Resume, Command::Resume { ids }, "retry", effects);
        }
        Action::Verify => {
            let ids = model.transfers.targets();
            wish(model, ids.clone(), WishKind::Verify, Command::Verify { ids }, "verify", effects);
        }
        Action::Cancel => cancel(model),
        Action::Remove => remove(model),
        Action::Slower => step_limit(model, false, effects),
        Action::Faster => step_limit(model, true, effects),
        Action::Limit => {
            if let Some(row) = model.selected() {
                let form = Form::limit(Some(row.id), &row.name, row.limit_down, row.limit_up);
                model.overlays.push(Overlay::Form(Box::new(form)));
            }
        }
        Action::Mark => {
            if let Some(id) = model.transfers.selected {
                if !model.transfers.marked.remove(&id) {
                    model.transfers.marked.insert(id);
                }
                model.transfers.move_by(1);
            }
        }
        Action::MarkAll => {
            let list = &mut model.transfers;
            if list.marked.is_empty() {
                list.marked = list.rows.iter().map(|r| r.id).collect();
            } else {
                list.marked.clear();
            }
        }
        Action::Sort => {
            model.transfers.sort = model.transfers.sort.next();
            refresh_rows(model, true);
        }
        Action::SortReverse => {
            model.transfers.reversed = !model.transfers.reversed;
            refresh_rows(model, true);
        }
        Action::CopyLink => {
            if let Some(link) = model.selected().and_then(|r| r.link.clone()) {
                effects.push(Effect::Copy(link));
                say(model, ToastLevel::Info, "the link is on the clipboard");
            }
        }
        _ => {}
    }
}

fn row(model: &Model, id: TransferId) -> Option<&Arc<TransferRow>> {
    model.snapshot.transfers.iter().find(|t| t.id == id)
}

fn among(model: &Model, ids: &[TransferId], test: impl Fn(TransferState) -> bool) -> Vec<TransferId> {
    ids.iter().copied().filter(|id| row(model, *id).is_some_and(|r| test(r.state))).collect()
}

/// Sends a command and shows it as a wish until it is a fact.
fn wish(
    model: &mut Model,
    ids: Vec<TransferId>,
    kind: WishKind,
    command: Command,
    told: &'static str,
    effects: &mut Vec<Effect>,
) {
    if !ids.is_empty() {
        model.wishes.add(&ids, kind, model.now.mono_ms);
        effects.push(Effect::command(command, told));
    }
}

/// Pauses what runs; if nothing of it runs, resumes what is paused. What was wished a moment ago
/// counts as what it will be, so that pressing twice undoes it.
fn pause_resume(model: &mut Model, targets: &[TransferId], effects: &mut Vec<Effect>) {
    let wished = |id: TransferId| model.wishes.of(id);
    let runs: Vec<TransferId> =
        among(model, targets, can_pause).into_iter().filter(|id| wished(*id) != Some(WishKind::Pause)).collect();
    if !runs.is_empty() {
        return wish(model, runs.clone(), WishKind::Pause, Command::Pause { ids: runs }, "pause", effects);
    }
    let rests: Vec<TransferId> = targets
        .iter()
        .copied()
        .filter(|id| match wished(*id) {
            Some(WishKind::Pause) => true,
            Some(_) => false,
            None => row(model, *id).is_some_and(|r| can_resume(r.state) || r.state == TransferState::Pausing),
        })
        .collect();
    wish(model, rests.clone(), WishKind::Resume, Command::Resume { ids: rests }, "resume", effects);
}

/// `name`, or `3 transfers`.
fn called(model: &Model, ids: &[TransferId]) -> String {
    match ids {
        [one] => row(model, *one).map_or_else(|| format!("#{one}"), |r| r.name.clone()),
        many => format!("{} transfers", many.len()),
    }
}

fn cancel(model: &mut Model) {
    let ids =
        among(model, &model.transfers.targets(), |s| !matches!(s, TransferState::Cancelled | TransferState::Done));
    let partial: u64 = ids.iter().filter_map(|id| row(model, *id)).filter(|r| r.done < r.size).map(|r| r.done).sum();
    let what_goes = if partial > 0 {
        format!("{} that were fetched are dropped. p pauses and keeps them.", Bytes(partial))
    } else {
        "What is complete stays on disk; it only stops serving others.".to_owned()
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "Cancel".to_owned(),
        lines: vec![called(model, &ids), what_goes],
        yes: vec![Effect::command(Command::Cancel { ids: ids.clone() }, "cancel")],
        ids,
        typed: None,
    }));
}

fn remove(model: &mut Model) {
    let ids = model.transfers.targets();
    let command = |data| Effect::command(Command::Remove { ids: ids.clone(), data }, "remove");
    model.overlays.push(Overlay::Confirm(Confirm {
        title: "Remove from the list".to_owned(),
        lines: vec![called(model, &ids), "Its data stays on disk unless you type the word.".to_owned()],
        yes: vec![command(false)],
        typed: Some(TypedAnswer {
            word: "delete",
            doc: "delete what was fetched too",
            input: Input::default(),
            effects: vec![command(true)],
        }),
        ids,
    }));
}

/// Moves the limit of the way that matters by a step: down while it fetches, up while it serves.
fn step_limit(model: &mut Model, faster: bool, effects: &mut Vec<Effect>) {
    let Some(row) = model.selected() else { return };
    let up = row.direction == Direction::Up || row.state == TransferState::Seeding;
    let (limit, now) = if up { (row.limit_up, row.smooth_up) } else { (row.limit_down, row.smooth_down) };
    let next = if faster {
        limit.and_then(|l| STEPS.into_iter().find(|s| *s > l))
    } else {
        // Without a limit the first step down is below what it moves now.
        let from = limit.unwrap_or(if now > 0 { now } else { u64::MAX });
        Some(STEPS.into_iter().rev().find(|s| *s < from).unwrap_or(STEPS[0]))
    };
    if next == limit {
        return;
    }
    let way = if up { "up" } else { "down" };
    let text = format!("{}: {way} {}", row.name, Limit(next, "unlimited"));
    let id = Some(row.id);
    let command = if up {
        Command::Limit { id, up: Some(next), down: None }
    } else {
        Command::Limit { id, up: None, down: Some(next) }
    };
    effects.push(Effect::command(command, "limit"));
    say(model, ToastLevel::Info, text);
}
