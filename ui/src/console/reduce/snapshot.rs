//! A newer snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use skep_engine::control::{Snapshot, TransferId, TransferRow, TransferState};

use super::actions::{refresh_rows, say};
use crate::console::model::Model;
use crate::console::model::toast::ToastLevel;

/// Takes a snapshot into the model.
pub fn take(model: &mut Model, snapshot: Arc<Snapshot>) {
    let before = std::mem::replace(&mut model.snapshot, snapshot);
    let now = Arc::clone(&model.snapshot);
    if model.received.is_some() {
        announce(model, &before, &now);
    }
    model.received = Some(model.now);
    model.wishes.settle(&now);
    model.log.merge(&now.log);
    model.history.note(now.time_ms, now.node.rate_down, now.node.rate_up);
    refresh_rows(model, false);
    refresh_peers(model);
}

/// Brings the order of peers up to date with the selected transfer.
pub fn refresh_peers(model: &mut Model) {
    match model.detail().cloned() {
        Some(detail) => model.pieces.refresh(detail.id, &detail.peers, model.now.mono_ms),
        None => model.pieces.clear(),
    }
}

/// Tells what failed or was completed since the last snapshot. Rows that did not change are the
/// same allocation, so this looks only at those that did.
fn announce(model: &mut Model, before: &Snapshot, now: &Snapshot) {
    let changed = now
        .transfers
        .iter()
        .enumerate()
        .filter(|(at, row)| before.transfers.get(*at).is_none_or(|old| !Arc::ptr_eq(old, row)));
    let changed: Vec<&Arc<TransferRow>> = changed.map(|(_, row)| row).collect();
    if changed.is_empty() {
        return;
    }
    let old: HashMap<TransferId, &Arc<TransferRow>> = before.transfers.iter().map(|t| (t.id, t)).collect();
    for row in changed {
        let Some(old) = old.get(&row.id) else { continue };
        let entered = |state: TransferState| row.state == state && old.state != state;
        if entered(TransferState::Failed) {
            let why = row.error.as_deref().unwrap_or("no reason was given");
            say(model, ToastLevel::Error, format!("{} failed: {why}", row.name));
        } else if old.done < old.size
            && row.verified
            && (entered(TransferState::Done) || entered(TransferState::Seeding))
        {
            say(model, ToastLevel::Info, format!("{} is complete and verified", row.name));
        } else if old.link.is_none() && row.link.is_some() && row.direction == skep_engine::control::Direction::Up {
            say(model, ToastLevel::Info, format!("{} can be fetched: c copies its link", row.name));
        }
    }
}
