//! Actions on transfers: the marked ones, else the selected one.

use std::sync::Arc;

use skep_engine::control::{Command, Direction, TransferId, TransferKind, TransferRow, TransferState};

use super::actions::{refresh_rows, say};
use super::available::{can_pause, can_remove, can_resume};
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::form::Form;
use crate::console::model::input::Input;
use crate::console::model::overlay::{Confirm, Overlay, TypedAnswer};
use crate::console::model::sort::SortKey;
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

/// Priorities reach from minus this to this.
const HIGHEST: i8 = 9;

/// Performs an action that is about transfers.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::PauseResume => pause_resume(model, &own(model), effects),
        Action::PauseAll => {
            // A failed transfer is retried one by one, never in passing.
            let mine = |t: &&Arc<TransferRow>| t.state != TransferState::Failed && t.kind != TransferKind::Receive;
            let all = model.snapshot.transfers.iter().filter(mine);
            let all: Vec<TransferId> = all.map(|t| t.id).collect();
            pause_resume(model, &all, effects);
        }
        Action::Retry => {
            let ids = among(model, &model.transfers.targets(), |s| s == TransferState::Failed);
            wish(model, ids.clone(), WishKind::Resume, Command::Resume { ids }, "retry", effects);
        }
        Action::Verify => {
            let ids = own(model);
            wish(model, ids.clone(), WishKind::Verify, Command::Verify { ids }, "verify", effects);
        }
        Action::Cancel => cancel(model),
        Action::Remove => remove(model),
        Action::Slower => step_limit(model, false, effects),
        Action::Faster => step_limit(model, true, effects),
        Action::Limit => {
            let targets = own(model);
            if let Some(row) = targets.first().and_then(|id| row(model, *id)) {
                let (down, up) = (row.limit_down, row.limit_up);
                let form = Form::limit(targets.clone(), &called(model, &targets), down, up);
                super::forms::open(model, form, effects);
            }
        }
        Action::Raise => prioritise(model, 1, effects),
        Action::Lower => prioritise(model, -1, effects),
        Action::MoveUp => move_in_queue(model, true, effects),
        Action::MoveDown => move_in_queue(model, false, effects),
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

/// The transfers that an action is about, without what others push here: that is their senders'.
fn own(model: &Model) -> Vec<TransferId> {
    let mine = |id: &TransferId| row(model, *id).is_some_and(|row| row.kind != TransferKind::Receive);
    model.transfers.targets().into_iter().filter(mine).collect()
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
    let received = ids.iter().filter_map(|id| row(model, *id)).any(|r| r.kind == TransferKind::Receive);
    let what_goes = if received {
        format!("{} that came are dropped; whoever pushes it here is refused.", Bytes(partial))
    } else if partial > 0 {
        format!("{} that were fetched are dropped. p pauses and keeps them.", Bytes(partial))
    } else {
        "What is complete stays on disk; it only stops serving others.".to_owned()
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        awaits: None,
        title: "Cancel".to_owned(),
        lines: vec![called(model, &ids), what_goes],
        yes: vec![Effect::command(Command::Cancel { ids: ids.clone() }, "cancel")],
        ids,
        typed: None,
    }));
}

fn remove(model: &mut Model) {
    let can = |id: &TransferId| row(model, *id).is_some_and(|row| can_remove(row));
    let ids: Vec<TransferId> = model.transfers.targets().into_iter().filter(can).collect();
    let mine = own(model);
    let received: Vec<TransferId> = ids.iter().copied().filter(|id| !mine.contains(id)).collect();
    let command = |ids: &[TransferId], data| Effect::command(Command::Remove { ids: ids.into(), data }, "remove");
    // What others pushed here is theirs or the operator's to delete, file by file.
    let with_data = [(&mine, true), (&received, false)].into_iter().filter(|(ids, _)| !ids.is_empty());
    let typed = TypedAnswer {
        word: "delete",
        doc: "delete what was fetched too",
        answers: ["yes", "yes, data too"],
        input: Input::default(),
        effects: with_data.map(|(ids, data)| command(ids, data)).collect(),
    };
    let data = if mine.is_empty() {
        "What was received stays where it is."
    } else {
        "Its data stays on disk unless you type the word."
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        awaits: None,
        title: "Remove from the list".to_owned(),
        lines: vec![called(model, &ids), data.to_owned()],
        yes: vec![command(&ids, false)],
        typed: (!mine.is_empty()).then_some(typed),
        ids,
    }));
}

/// Moves the limit of the way that matters by a step: down while it fetches, up while it serves.
fn step_limit(model: &mut Model, faster: bool, effects: &mut Vec<Effect>) {
    let targets = own(model);
    let mut said = None;
    for row in targets.iter().filter_map(|id| row(model, *id)) {
        let up = row.direction == Direction::Up || row.state == TransferState::Seeding;
        let (limit, now) = if up { (row.limit_up, row.smooth_up) } else { (row.limit_down, row.smooth_down) };
        let next = stepped(limit, now, faster);
        if next == limit {
            continue;
        }
        let way = if up { "up" } else { "down" };
        said = Some(format!("{}: {way} {}", row.name, Limit(next, "unlimited")));
        let id = Some(row.id);
        let command = if up {
            Command::Limit { id, up: Some(next), down: None }
        } else {
            Command::Limit { id, up: None, down: Some(next) }
        };
        effects.push(Effect::command(command, "limit"));
    }
    match said {
        Some(_) if targets.len() > 1 => {
            let word = if faster { "higher" } else { "lower" };
            say(model, ToastLevel::Info, format!("{}: limits a step {word}", called(model, &targets)));
        }
        Some(text) => say(model, ToastLevel::Info, text),
        None => {}
    }
}

/// The next limit; `now` is what moves without one.
fn stepped(limit: Option<u64>, now: u64, faster: bool) -> Option<u64> {
    if faster {
        return limit.and_then(|l| STEPS.into_iter().find(|s| *s > l));
    }
    // Without a limit the first step down is below what it moves now.
    let from = limit.unwrap_or(if now > 0 { now } else { u64::MAX });
    Some(STEPS.into_iter().rev().find(|s| *s < from).unwrap_or(STEPS[0]))
}

/// Raises or lowers priorities by one, each from what it is.
fn prioritise(model: &mut Model, by: i8, effects: &mut Vec<Effect>) {
    let targets = own(model);
    let mut groups: std::collections::BTreeMap<i8, Vec<TransferId>> = std::collections::BTreeMap::new();
    for row in targets.iter().filter_map(|id| row(model, *id)) {
        let next = row.priority.saturating_add(by).clamp(-HIGHEST, HIGHEST);
        if next != row.priority {
            groups.entry(next).or_default().push(row.id);
        }
    }
    let text = match (groups.first_key_value(), groups.len()) {
        (None, _) => format!("{}: that is as far as priorities go", called(model, &targets)),
        (Some((next, ids)), 1) => format!("{}: priority {next:+}", called(model, ids)),
        _ => format!("{}: priorities {by:+}", called(model, &targets)),
    };
    say(model, ToastLevel::Info, text);
    for (priority, ids) in groups {
        effects.push(Effect::command(Command::Prioritise { ids, priority }, "prioritise"));
    }
}

/// Moves the selected transfer in the queue. In another order nothing would be seen of it, so the
/// first press only brings the list into the order of the queue.
fn move_in_queue(model: &mut Model, up: bool, effects: &mut Vec<Effect>) {
    let Some(id) = model.transfers.selected else { return };
    if model.transfers.sort != SortKey::Queue || model.transfers.reversed {
        model.transfers.sort = SortKey::Queue;
        model.transfers.reversed = false;
        refresh_rows(model, true);
        return say(model, ToastLevel::Info, "sorted by queue: J and K move it now");
    }
    effects.push(Effect::command(Command::Move { id, up }, "move"));
}
