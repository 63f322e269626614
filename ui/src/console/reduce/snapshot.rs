//! A newer snapshot.

use std::sync::Arc;

use skep_engine::control::link::LinkClass;
use skep_engine::control::{Direction, Snapshot, TransferKind, TransferState};

use super::actions::{refresh_rows, say};
use super::{nodes, place, rest};
use crate::console::derive::link::class_change;
use crate::console::effect::Effect;
use crate::console::model::Model;
use crate::console::model::overlay::Overlay;
use crate::console::model::toast::ToastLevel;

/// Takes a snapshot into the model.
pub fn take(model: &mut Model, snapshot: Arc<Snapshot>, effects: &mut Vec<Effect>) {
    if model.settings.replay {
        return;
    }
    // While the past is on screen, now goes on behind it.
    let shown = match &mut model.travel.past {
        Some(past) => &mut past.live.snapshot,
        None => &mut model.snapshot,
    };
    let now = rest::settle(snapshot, shown);
    let before = std::mem::replace(shown, Arc::clone(&now));
    if model.received.is_some() {
        announce(model, &before, &now);
        announce_links(model, &before, &now);
        announce_drops(model, &before, &now);
        announce_nodes(model, &before, &now);
    }
    model.received = Some(model.now);
    model.live_wishes().settle(&now);
    model.note_rates(now.time_ms, now.node.rate_down, now.node.rate_up);
    model.paths.note(&now);
    model.paths.settle(&now, model.now.mono_ms);
    model.links.note(&now);
    model.queue.settle(&now.queue, model.now.mono_ms);
    model.nodes.settle(&now.pool, model.now.mono_ms);
    place::watch(model, &now, effects);
    if let Some(Overlay::Probe(view)) = model.overlays.last_mut() {
        view.watch(&now);
    }
    if model.travel.past.is_some() {
        return;
    }
    model.log.merge(&now.log);
    refresh_rows(model, false);
    refresh_peers(model);
    refresh_paths(model);
    refresh_lists(model);
}

/// Brings the selections among links, in the queue and among nodes up to date with the snapshot on screen.
pub fn refresh_lists(model: &mut Model) {
    let snapshot = Arc::clone(&model.snapshot);
    model.links.refresh(&snapshot.links);
    model.queue.refresh(&snapshot.queue);
    nodes::refresh(model, false);
}

/// Brings the selection among paths up to date with the selected transfer.
pub fn refresh_paths(model: &mut Model) {
    let row = model.selected().cloned();
    model.paths.refresh(row.as_deref());
}

/// Brings the order of peers up to date with the selected transfer.
pub fn refresh_peers(model: &mut Model) {
    match model.detail().cloned() {
        Some(detail) => model.pieces.refresh(detail.id, &detail.peers, model.now.mono_ms),
        None => model.pieces.clear(),
    }
}

/// Tells which links became other ones, and what that changes; a link that was not known before is no news.
fn announce_links(model: &mut Model, before: &Snapshot, now: &Snapshot) {
    for (at, link) in now.links.iter().enumerate() {
        let same = before.links.get(at).filter(|old| old.endpoint == link.endpoint);
        let old = same.or_else(|| before.links.iter().find(|old| old.endpoint == link.endpoint));
        let Some(old) = old.filter(|old| !Arc::ptr_eq(old, link) && old.class != LinkClass::Unknown) else { continue };
        if let Some((text, worse)) = class_change(old, link) {
            say(model, if worse { ToastLevel::Warn } else { ToastLevel::Info }, text);
        }
    }
}

/// Tells which nodes left the pool, and which are back.
fn announce_nodes(model: &mut Model, before: &Snapshot, now: &Snapshot) {
    if Arc::ptr_eq(&before.pool, &now.pool) {
        return;
    }
    for row in &now.pool.nodes {
        let place = before.pool.nodes.binary_search_by(|old| old.name.cmp(&row.name));
        let is_other = place.is_ok_and(|at| before.pool.nodes[at].available != row.available);
        match row.available {
            _ if !is_other => {}
            true => say(model, ToastLevel::Info, format!("{} is back in the pool", row.name)),
            false => say(model, ToastLevel::Warn, format!("{} has left the pool: {}", row.name, row.why)),
        }
    }
    for old in &before.pool.nodes {
        let is_there = now.pool.nodes.binary_search_by(|row| row.name.cmp(&old.name)).is_ok();
        if old.available && !is_there {
            say(model, ToastLevel::Warn, format!("{} has left the pool", old.name));
        }
    }
}

/// Tells what does not fit into the queue any more.
fn announce_drops(model: &mut Model, before: &Snapshot, now: &Snapshot) {
    let new = now.queue.dropped().saturating_sub(before.queue.dropped());
    if new > 0 && !Arc::ptr_eq(&before.queue, &now.queue) {
        let s = if new == 1 { "" } else { "s" };
        say(model, ToastLevel::Error, format!("the queue is full: {new} operation{s} dropped"));
    }
}

/// Tells what failed or was completed since the last snapshot. Rows that did not change are the
/// same allocation, so this looks only at those that did.
fn announce(model: &mut Model, before: &Snapshot, now: &Snapshot) {
    for (at, row) in now.transfers.iter().enumerate() {
        // Nearly always a row stands where it stood; ids ascend, so it is found quickly if not.
        let same = before.transfers.get(at).filter(|old| old.id == row.id);
        let found = same.or_else(|| {
            let place = before.transfers.binary_search_by_key(&row.id, |old| old.id).ok()?;
            before.transfers.get(place)
        });
        let Some(old) = found.filter(|old| !Arc::ptr_eq(old, row)) else { continue };
        let entered = |state: TransferState| row.state == state && old.state != state;
        if entered(TransferState::Failed) {
            let why = row.error.as_deref().unwrap_or("no reason was given");
            say(model, ToastLevel::Error, format!("{} failed: {why}", row.name));
        } else if row.kind == TransferKind::Receive {
            if entered(TransferState::Done) {
                say(model, ToastLevel::Info, format!("{} was received and verified", row.name));
            }
        } else if old.done < old.size
            && row.verified
            && (entered(TransferState::Done) || entered(TransferState::Seeding))
        {
            say(model, ToastLevel::Info, format!("{} is complete and verified", row.name));
        } else if old.link.is_none() && row.link.is_some() && row.direction == Direction::Up {
            say(model, ToastLevel::Info, format!("{} can be fetched: c copies its link", row.name));
        }
    }
}
