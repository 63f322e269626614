//! Whether an action would do anything here and now: for the footer and the palette, and asked
//! again before it is performed.

use skep_engine::control::queue::{QueueRow, QueueState};
use skep_engine::control::{PathRow, PeerRow, PeerState, TransferKind, TransferRow, TransferState as S};

use super::travel::PAST;
use crate::console::action::{Action, Danger, Entry, Scope};
use crate::console::model::Model;
use crate::console::model::overlay::Overlay;
use crate::console::model::paths::next_weight;
use crate::console::model::pieces::Zoom;
use crate::console::model::queue::next_class;
use crate::console::panes::PaneId;

/// Would it do anything?
pub fn is_available(model: &Model, action: Action) -> bool {
    why_not(model, action).is_none()
}

/// True if a row can be taken off the list: what others push here only once it is over.
pub fn can_remove(row: &TransferRow) -> bool {
    row.kind != TransferKind::Receive || matches!(row.state, S::Done | S::Cancelled | S::Failed)
}

/// The peer whose row is selected.
pub fn selected_peer(model: &Model) -> Option<&PeerRow> {
    let name = model.pieces.selected.as_deref()?;
    model.detail()?.peers.iter().find(|peer| peer.endpoint == name)
}

/// The operation whose row is selected.
fn queued(model: &Model) -> Option<&QueueRow> {
    model.queue.row(&model.snapshot.queue).map(AsRef::as_ref)
}

/// The path whose row is selected, and its push.
pub fn selected_path(model: &Model) -> Option<(&TransferRow, &PathRow)> {
    let row = model.selected()?;
    Some((row, row.paths.get(model.paths.place(&row.paths)?)?))
}

fn no_path(model: &Model) -> Option<&'static str> {
    match selected_path(model) {
        None => Some("only a push has paths: s sends something"),
        Some((row, _)) if matches!(row.state, S::Done | S::Cancelled) => Some("it has ended: its paths are not used"),
        Some(_) => None,
    }
}

/// Why an action cannot be performed, in words; none if it can.
pub fn why_not(model: &Model, action: Action) -> Option<&'static str> {
    let entry = Entry::of(action)?;
    if model.settings.replay && entry.danger > Danger::View {
        return Some("this is a recording: nothing can be changed");
    }
    if model.travel.past.is_some() && entry.danger > Danger::View {
        return Some(PAST);
    }
    if entry.scope == Scope::Replay && !model.settings.replay {
        return Some("no recording is played");
    }
    if model.settings.read_only && entry.danger > Danger::View {
        return Some("read-only: nothing can be changed from here");
    }
    let rows = || {
        let targets = model.transfers.targets().into_iter();
        targets.filter_map(|id| model.snapshot.transfers.iter().find(|t| t.id == id))
    };
    let any = |test: fn(S) -> bool, why: &'static str| if rows().any(|row| test(row.state)) { None } else { Some(why) };
    // What others push here only ends by the operator's will.
    let own = |test: fn(S) -> bool, why: &'static str| {
        let received = |row: &&std::sync::Arc<TransferRow>| row.kind == TransferKind::Receive;
        match rows().filter(|row| !received(row)).any(|row| test(row.state)) {
            true => None,
            false if rows().any(|row| received(&row)) => Some("its sender decides; x cancels it"),
            false => Some(why),
        }
    };
    match action {
        Action::PauseResume => own(|s| can_pause(s) || can_resume(s), "nothing to pause or resume here"),
        Action::Cancel => any(|s| !matches!(s, S::Cancelled | S::Done), "it has ended already"),
        Action::Remove if rows().next().is_none() => Some("no transfer is selected"),
        Action::Remove if !rows().any(|row| can_remove(row)) => Some("it is being received: x cancels it first"),
        Action::Remove => None,
        Action::Retry => any(|s| s == S::Failed, "only a failed transfer can be retried"),
        Action::Verify => own(|s| !matches!(s, S::Checking | S::Starting | S::Cancelled), "it cannot be verified now"),
        Action::Slower | Action::Faster | Action::Limit => {
            own(|s| !matches!(s, S::Done | S::Cancelled), "it moves no bytes any more")
        }
        Action::Raise | Action::Lower | Action::MoveUp | Action::MoveDown => {
            own(|s| !matches!(s, S::Done | S::Cancelled | S::Seeding), "it waits for nothing any more")
        }
        Action::Undo if model.undo.is_empty() => Some("there is nothing to undo"),
        Action::HidePane if model.hidden.len() + 1 >= PaneId::ALL.len() => Some("it is the only pane left"),
        Action::Mark => any(|_| true, "no transfer is selected"),
        Action::CopyLink => {
            if model.selected().is_some_and(|r| r.link.is_some()) {
                None
            } else {
                Some("it has no link yet")
            }
        }
        Action::PauseAll => {
            let mine = |t: &TransferRow| t.kind != TransferKind::Receive;
            let mut rows = model.snapshot.transfers.iter();
            let some = rows.any(|t| mine(t) && (can_pause(t.state) || can_resume(t.state)));
            if some { None } else { Some("nothing to pause or resume") }
        }
        Action::PanLeft | Action::PanRight if matches!(model.pieces.zoom, Zoom::Whole | Zoom::File) => {
            Some("Z zooms the map first")
        }
        Action::JumpToFile if !model.files.shown => Some("F lists the files first"),
        Action::BanPeer if model.files.shown => Some("F lists the peers first"),
        Action::BanPeer
            if model.selected().is_some_and(|row| matches!(row.kind, TransferKind::Send | TransferKind::Sync)) =>
        {
            Some("these are the paths of a push: space in pane 3 takes one out")
        }
        Action::BanPeer => match selected_peer(model) {
            None => Some("select a peer first (j, k)"),
            Some(peer) if peer.state == PeerState::Banned => Some("it is banned already; b lifts bans"),
            Some(_) => None,
        },
        Action::TogglePath => no_path(model),
        Action::Heavier | Action::Lighter | Action::UsualWeight => no_path(model).or_else(|| {
            let (row, path) = selected_path(model)?;
            let weight = model.paths.set(row.id, path).weight;
            let end = |up| next_weight(weight, up).is_none();
            match action {
                Action::Heavier if end(true) => Some("it has the greatest weight already"),
                Action::Lighter if end(false) => Some("it has the least weight already"),
                Action::UsualWeight if weight == 1.0 => Some("it has the usual weight already"),
                _ => None,
            }
        }),
        Action::LinkClass | Action::Metered | Action::StopMonitor if model.link().is_none() => {
            Some("no link is watched: g measures one, and watches it if you like")
        }
        Action::ChartSpan if model.snapshot.links.is_empty() => Some("no link is watched"),
        Action::QueueUp | Action::QueueDown | Action::Dequeue if queued(model).is_none() => Some("nothing is selected"),
        Action::QueueUp | Action::QueueDown if queued(model).is_some_and(|row| row.state == QueueState::Running) => {
            Some("its turn has come: it runs")
        }
        Action::ClassUp | Action::ClassDown => match queued(model) {
            None => Some("nothing is selected"),
            Some(row) => match next_class(model.queue.class(row), action == Action::ClassUp) {
                Some(_) => None,
                None if action == Action::ClassUp => Some("it is critical already: there is no class above"),
                None => Some("it is in the background already: there is no class below"),
            },
        },
        Action::RetryQueued => match queued(model).map(|row| row.state) {
            None => Some("nothing is selected"),
            Some(QueueState::Retrying | QueueState::Parked | QueueState::Stored) => None,
            Some(_) => Some("only what failed or is kept for later can be tried again"),
        },
        Action::Purge if model.snapshot.queue.count() == 0 => Some("nothing waits"),
        Action::DrainNode | Action::RemoveNode if model.nodes.row(&model.snapshot.pool).is_none() => {
            Some("no node is selected")
        }
        Action::Balancer | Action::SortNodes | Action::SortNodesReverse if model.snapshot.pool.nodes.is_empty() => {
            Some("there are no nodes: n lists one")
        }
        Action::PlaceKey if model.settings.replay => Some("this is a recording: no node answers"),
        Action::PlaceKey if model.travel.past.is_some() => Some(PAST),
        Action::PlaceKey if model.snapshot.pool.nodes.is_empty() => Some("there are no nodes: n lists one"),
        Action::LiftBan if model.snapshot.bans.is_empty() => Some("no peer is banned"),
        Action::LiftBan if !matches!(model.overlays.last(), Some(Overlay::Bans(_))) => Some("b lists the bans"),
        Action::NextField | Action::PreviousField
            if !matches!(model.overlays.last(), Some(Overlay::Form(_) | Overlay::Place(_))) =>
        {
            Some("there is one field only")
        }
        Action::HiddenFiles => match model.overlays.last() {
            Some(Overlay::Form(form)) if form.browser.is_some() => None,
            _ => Some("no folder is listed"),
        },
        Action::Accept if matches!(model.overlays.last(), Some(Overlay::Bans(_) | Overlay::Help(_))) => {
            Some("nothing to confirm")
        }
        Action::Earlier | Action::MuchEarlier if !model.settings.recorded => {
            Some("nothing is recorded (the setting console.recording)")
        }
        Action::Later | Action::MuchLater if model.travel.past.is_none() => Some("this is now already"),
        Action::SaveRecording if model.settings.replay => Some("it is a file already"),
        Action::SaveRecording if !model.settings.recorded => {
            Some("nothing is recorded (the setting console.recording)")
        }
        Action::Targets if model.settings.replay => Some("a recording is played, no node"),
        Action::CopyLine if model.log.shown.is_empty() => Some("there is no line"),
        _ => None,
    }
}

/// Can a transfer in this state be paused?
pub fn can_pause(state: S) -> bool {
    matches!(state, S::Queued | S::Starting | S::Checking | S::Running | S::Seeding)
}

/// Can a transfer in this state go on?
pub fn can_resume(state: S) -> bool {
    matches!(state, S::Paused | S::Failed)
}
