//! What each action does.

use std::sync::Arc;

use skep_engine::control::Command;

use super::{available, forms, links, looks, movement, nodes, paths, probe, queue, targets, transfers, travel, undo};
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::filter::{Filter, Subject};
use crate::console::model::form::Form;
use crate::console::model::input::Input;
use crate::console::model::overlay::{BansView, Confirm, FilterEdit, HelpView, Overlay, Palette};
use crate::console::model::toast::ToastLevel;
use crate::console::panes::PaneId;
use crate::console::view::layout::Layout;

/// Performs an action, or says why it cannot be.
pub fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if let Some(why) = available::why_not(model, action) {
        return say(model, ToastLevel::Warn, why);
    }
    match action {
        Action::Quit => quit(model, effects),
        Action::Help => {
            let view = HelpView { pane: model.focus, top: 0 };
            model.overlays.push(Overlay::Help(view));
        }
        Action::Palette => model.overlays.push(Overlay::Palette(Palette::default())),
        Action::Back => back(model),
        Action::FocusNext => focus_by(model, 1),
        Action::FocusPrevious => focus_by(model, -1),
        Action::Focus(pane) => focus(model, pane),
        Action::Expand => model.expanded = if model.expanded.is_some() { None } else { Some(model.focus) },
        Action::Filter => filter(model),
        Action::Theme => looks::open_themes(model),
        Action::Glyphs => {
            looks::next_glyphs(model);
            // A terminal that does not know the glyphs before may have drawn them wider or not at all.
            effects.push(Effect::Redraw);
        }
        Action::Eco => {
            model.eco = !model.eco;
            say(model, ToastLevel::Info, if model.eco { "eco mode: data once a second" } else { "eco mode off" });
        }
        Action::Export => effects.push(Effect::Export(looks::export_stem(model))),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Add => {
            let form = Form::add(model.settings.default_dir.as_deref(), forms::places(&model.settings));
            forms::open(model, form, effects);
        }
        Action::Share => {
            let form = Form::share(forms::places(&model.settings));
            forms::open(model, form, effects);
        }
        Action::Send => {
            let rows = model.snapshot.transfers.iter().map(AsRef::as_ref);
            let form = Form::send(forms::places(&model.settings), rows, &model.snapshot.pool);
            forms::open(model, form, effects);
            effects.push(Effect::command(Command::Interfaces, "list the interfaces"));
        }
        Action::Sync => {
            let rows = model.snapshot.transfers.iter().map(AsRef::as_ref);
            let form = Form::sync(forms::places(&model.settings), rows);
            forms::open(model, form, effects);
        }
        Action::TogglePath | Action::Heavier | Action::Lighter | Action::UsualWeight => {
            paths::perform(model, action, effects);
        }
        Action::Probe => probe::open(model),
        Action::LinkClass | Action::Metered | Action::StopMonitor | Action::ChartSpan => {
            links::perform(model, action, effects);
        }
        Action::QueueUp
        | Action::QueueDown
        | Action::ClassUp
        | Action::ClassDown
        | Action::RetryQueued
        | Action::Dequeue
        | Action::Purge => queue::perform(model, action, effects),
        Action::PlaceKey
        | Action::DrainNode
        | Action::AddNode
        | Action::RemoveNode
        | Action::Balancer
        | Action::SortNodes
        | Action::SortNodesReverse => nodes::perform(model, action, effects),
        Action::Bans => model.overlays.push(Overlay::Bans(BansView::default())),
        Action::Undo => undo::undo(model, effects),
        Action::HidePane => hide(model),
        Action::NextLayout => next_layout(model),
        Action::LiftBan => lift_ban(model, effects),
        Action::Drain => effects.push(Effect::command(Command::Drain { on: !model.snapshot.node.draining }, "drain")),
        Action::NodeLimit => {
            let node = &model.snapshot.node;
            let form = Form::limit(Vec::new(), "the node", node.limit_down, node.limit_up);
            forms::open(model, form, effects);
        }
        Action::Up => movement::by(model, -1),
        Action::Down => movement::by(model, 1),
        Action::PageUp => movement::page(model, -1),
        Action::PageDown => movement::page(model, 1),
        Action::Top => movement::end(model, false),
        Action::Bottom => movement::end(model, true),
        Action::Zoom => {
            model.pieces.zoom = model.pieces.zoom.next();
            model.pieces.start = 0;
        }
        Action::Files => model.files.shown = !model.files.shown,
        Action::JumpToFile => movement::jump_to_file(model),
        Action::BanPeer => ban_peer(model, effects),
        Action::PanLeft => movement::pan(model, false),
        Action::PanRight => movement::pan(model, true),
        Action::LogLevel => model.log.next_level(),
        Action::CopyLine => {
            if let Some(line) = model.log.line(model.log.place()) {
                effects.push(Effect::Copy(line.message.clone()));
            }
            say(model, ToastLevel::Info, "the line is on the clipboard");
        }
        Action::Earlier
        | Action::Later
        | Action::MuchEarlier
        | Action::MuchLater
        | Action::Play
        | Action::PlayFaster
        | Action::PlaySlower => travel::perform(model, action, effects),
        Action::SaveRecording => effects.push(Effect::SaveRecording),
        Action::Targets => targets::list(model),
        Action::Accept if matches!(model.overlays.last(), Some(Overlay::Classes(_))) => {
            links::choose_class(model, effects);
        }
        Action::Accept => targets::choose(model, effects),
        Action::DebugPanic => effects.push(Effect::Panic),
        // Fields and buttons of dialogs are served where the dialogs are.
        Action::NextField | Action::PreviousField | Action::HiddenFiles => {}
        _ => transfers::perform(model, action, effects),
    }
}

/// Shows a short message.
pub fn say(model: &mut Model, level: ToastLevel, text: impl Into<String>) {
    model.toasts.push(level, text, model.now.mono_ms);
}

fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    let settings = &model.settings;
    // Also while the past is on screen it is now that ends.
    let snapshot = model.travel.past.as_ref().map_or(&model.snapshot, |past| &past.live.snapshot);
    let moving = snapshot.transfers.iter().filter(|t| !t.state.is_settled()).count();
    let away = !settings.embedded && settings.targets.iter().any(|target| target.embedded);
    let lines = if settings.embedded && moving > 0 {
        let s = if moving == 1 { " is" } else { "s are" };
        let what = format!("{moving} transfer{s} not complete. The node lives in this console:");
        let then = if settings.fleeting {
            "the demo ends with it and leaves nothing behind."
        } else {
            "they pause now and go on when skep is started again."
        };
        vec![what, then.to_owned()]
    } else if away {
        let then = if settings.fleeting {
            "the demo ends with it and leaves nothing behind."
        } else {
            "its transfers pause now and go on when skep is started again."
        };
        vec!["The node on screen goes on. Another one lives in this console:".to_owned(), then.to_owned()]
    } else {
        effects.push(Effect::Quit);
        return;
    };
    model.overlays.push(Overlay::Confirm(Confirm {
        awaits: None,
        title: "Quit".to_owned(),
        lines,
        yes: vec![Effect::Quit],
        ids: Vec::new(),
        typed: None,
    }));
}

/// One step back: to now, marks, filter, full screen.
fn back(model: &mut Model) {
    if !model.settings.replay && (model.travel.past.is_some() || model.travel.is_waiting()) {
        return travel::leave(model);
    }
    let list = &mut model.transfers;
    if !model.toasts.all().is_empty() {
        model.toasts.clear();
    } else if !list.marked.is_empty() {
        list.marked.clear();
    } else if model.focus == PaneId::Transfers && !list.filter.is_empty() {
        set_filter(model, PaneId::Transfers, "");
    } else if model.focus == PaneId::Log && !model.log.filter.is_empty() {
        set_filter(model, PaneId::Log, "");
    } else if model.focus == PaneId::Queue && !model.queue.filter.is_empty() {
        set_filter(model, PaneId::Queue, "");
    } else if model.focus == PaneId::Nodes && !model.nodes.filter.is_empty() {
        set_filter(model, PaneId::Nodes, "");
    } else if model.expanded.is_some() {
        model.expanded = None;
    } else if model.focus == PaneId::Pieces {
        model.pieces.selected = None;
    }
}

fn focus(model: &mut Model, pane: PaneId) {
    model.focus = pane;
    model.hidden.retain(|hidden| *hidden != pane);
    if model.expanded.is_some() {
        model.expanded = Some(pane);
    }
}

/// The next pane, whether it is on screen now or comes when it gets the focus; hidden ones are
/// passed over.
fn focus_by(model: &mut Model, step: isize) {
    let shown = |pane: &PaneId| *pane == model.focus || !model.hidden.contains(pane);
    let panes: Vec<PaneId> = PaneId::ALL.into_iter().filter(shown).collect();
    let at = panes.iter().position(|p| *p == model.focus).unwrap_or(0);
    focus(model, panes[(at + panes.len()).saturating_add_signed(step) % panes.len()]);
}

/// Hides the pane that has the keys; the next one gets them.
fn hide(model: &mut Model) {
    let pane = model.focus;
    model.expanded = None;
    focus_by(model, 1);
    model.hidden.push(pane);
    let text = format!("{} is hidden: {} brings it back", pane.title(), pane.number());
    say(model, ToastLevel::Info, text);
}

/// What is hidden in each layout, and its name.
const LAYOUTS: [(&[PaneId], &str); 7] = {
    use PaneId::{Link, Log, Nodes, Paths, Pieces, Queue};
    [
        (&[], "all panes"),
        (&[Paths, Link, Queue, Nodes, Log], "transfers and pieces"),
        (&[Pieces, Link, Queue, Nodes, Log], "transfers and paths"),
        (&[Pieces, Paths, Nodes, Log], "transfers, link and queue"),
        (&[Pieces, Paths, Link, Queue, Log], "transfers and nodes"),
        (&[Pieces, Paths, Link, Queue, Nodes], "transfers and log"),
        (&[Pieces, Paths, Link, Queue, Nodes, Log], "transfers alone"),
    ]
};

fn next_layout(model: &mut Model) {
    let at = LAYOUTS.iter().position(|(hidden, _)| model.hidden.as_slice() == *hidden);
    let (hidden, name) = LAYOUTS[at.map_or(0, |at| (at + 1) % LAYOUTS.len())];
    model.hidden = hidden.to_vec();
    model.expanded = None;
    if hidden.contains(&model.focus) {
        model.focus = PaneId::Transfers;
    }
    say(model, ToastLevel::Info, format!("layout: {name}"));
}

fn filter(model: &mut Model) {
    // The other panes have no filter of their own: the list that they belong to has.
    let pane = if matches!(model.focus, PaneId::Log | PaneId::Queue | PaneId::Nodes) {
        model.focus
    } else {
        PaneId::Transfers
    };
    if Layout::of(model).area(pane).is_none() {
        focus(model, pane);
    }
    let before = match pane {
        PaneId::Log => model.log.filter.text(),
        PaneId::Queue => model.queue.filter.text(),
        PaneId::Nodes => model.nodes.filter.text(),
        _ => model.transfers.filter.text(),
    }
    .to_owned();
    let input = Input::new(&before);
    model.overlays.push(Overlay::Filter(FilterEdit { pane, input, before }));
}

/// Narrows a pane to what matches.
pub fn set_filter(model: &mut Model, pane: PaneId, text: &str) {
    let lists_lines = matches!(pane, PaneId::Log | PaneId::Queue | PaneId::Nodes);
    let filter = Filter::parse(text, if lists_lines { Subject::Lines } else { Subject::Transfers });
    match pane {
        PaneId::Log => {
            model.log.filter = filter;
            model.log.refresh();
        }
        PaneId::Queue => {
            model.queue.filter = filter;
            let queue = Arc::clone(&model.snapshot.queue);
            model.queue.refresh(&queue);
        }
        PaneId::Nodes => {
            model.nodes.filter = filter;
            nodes::refresh(model, true);
        }
        _ => {
            model.transfers.filter = filter;
            refresh_rows(model, true);
        }
    }
}

/// Makes the rows of the list anew.
pub fn refresh_rows(model: &mut Model, resort: bool) {
    let snapshot = Arc::clone(&model.snapshot);
    model.transfers.refresh(&snapshot, &model.wishes, model.now.mono_ms, resort);
}

fn ban_peer(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(peer) = available::selected_peer(model).map(|peer| peer.endpoint.clone()) else { return };
    say(model, ToastLevel::Info, format!("banning {peer}: u takes it back"));
    effects.push(Effect::command(Command::Ban { peer }, "ban the peer"));
}

fn lift_ban(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Overlay::Bans(view)) = model.overlays.last() else { return };
    if let Some(ban) = model.snapshot.bans.get(view.at) {
        effects.push(Effect::command(Command::Unban { peer: ban.peer.clone() }, "lift the ban"));
    }
}
