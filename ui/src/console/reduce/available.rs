//! Whether an action would do anything here and now: for the footer and the palette, and asked
//! again before it is performed.

use skep_engine::control::TransferState as S;

use crate::console::action::{Action, Danger, Entry};
use crate::console::model::Model;
use crate::console::model::overlay::Overlay;
use crate::console::model::pieces::Zoom;

/// Would it do anything?
pub fn is_available(model: &Model, action: Action) -> bool {
    why_not(model, action).is_none()
}

/// Why an action cannot be performed, in words; none if it can.
pub fn why_not(model: &Model, action: Action) -> Option<&'static str> {
    let entry = Entry::of(action)?;
    if model.settings.read_only && entry.danger > Danger::View {
        return Some("read-only: nothing can be changed from here");
    }
    let states = || {
        model
            .transfers
            .targets()
            .into_iter()
            .filter_map(|id| model.snapshot.transfers.iter().find(|t| t.id == id).map(|t| t.state))
    };
    let any = |test: fn(S) -> bool, why: &'static str| if states().any(test) { None } else { Some(why) };
    match action {
        Action::PauseResume => any(|s| can_pause(s) || can_resume(s), "nothing to pause or resume here"),
        Action::Cancel => any(|s| !matches!(s, S::Cancelled | S::Done), "it has ended already"),
        Action::Remove => any(|_| true, "no transfer is selected"),
        Action::Retry => any(|s| s == S::Failed, "only a failed transfer can be retried"),
        Action::Verify => any(|s| !matches!(s, S::Checking | S::Starting | S::Cancelled), "it cannot be verified now"),
        Action::Slower | Action::Faster | Action::Limit => {
            any(|s| !matches!(s, S::Done | S::Cancelled), "it moves no bytes any more")
        }
        Action::Mark => any(|_| true, "no transfer is selected"),
        Action::CopyLink => {
            if model.selected().is_some_and(|r| r.link.is_some()) {
                None
            } else {
                Some("it has no link yet")
            }
        }
        Action::PauseAll => {
            let some = model.snapshot.transfers.iter().any(|t| can_pause(t.state) || can_resume(t.state));
            if some { None } else { Some("nothing to pause or resume") }
        }
        Action::PanLeft | Action::PanRight if model.pieces.zoom == Zoom::Whole => Some("Z zooms the map first"),
        Action::LiftBan if model.snapshot.bans.is_empty() => Some("no peer is banned"),
        Action::LiftBan if !matches!(model.overlays.last(), Some(Overlay::Bans(_))) => Some("b lists the bans"),
        Action::NextField | Action::PreviousField if !matches!(model.overlays.last(), Some(Overlay::Form(_))) => {
            Some("there is one field only")
        }
        Action::Accept if matches!(model.overlays.last(), Some(Overlay::Bans(_) | Overlay::Help(_))) => {
            Some("nothing to confirm")
        }
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
