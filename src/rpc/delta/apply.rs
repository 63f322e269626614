//! The viewer's side: puts the snapshot together again.

use std::collections::HashSet;
use std::sync::Arc;

use super::{DetailDelta, LOG_LINES, LogDelta, MAX_ROWS, PeerOp, SnapshotDelta};
use crate::content::Bitmap;
use crate::control::link::MAX_LINKS;
use crate::control::{Bits, LogLine, PeerRow, Snapshot, TransferDetail, TransferId, TransferRow};

/// Peers that a detail may list.
const MAX_PEERS: usize = 100_000;

/// Details that a viewer keeps.
const MAX_DETAILS: usize = 64;

/// A message that does not fit what came before: the viewer starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node sent {0}")]
pub struct ApplyError(pub &'static str);

/// Carries a change out. The message comes from outside: whatever it says, memory stays bounded.
///
/// # Errors
/// [`ApplyError`] if it does not fit; the snapshot is of no use then.
pub fn apply(snapshot: &mut Snapshot, delta: SnapshotDelta) -> Result<(), ApplyError> {
    if delta.full {
        *snapshot = Snapshot::default();
    }
    snapshot.generation = delta.generation;
    snapshot.time_ms = delta.time_ms;
    if let Some(node) = delta.node {
        snapshot.node = node;
    }
    if let Some(bans) = delta.bans {
        snapshot.bans = bans;
    }
    if let Some(links) = delta.links {
        if links.len() > MAX_LINKS {
            return Err(ApplyError("more links than a node watches"));
        }
        snapshot.links = links;
    }
    if let Some(thresholds) = delta.thresholds {
        thresholds.check().map_err(|_| ApplyError("thresholds that cannot be"))?;
        snapshot.thresholds = thresholds;
    }
    if let Some(queue) = delta.queue {
        snapshot.queue = super::queue::apply(&snapshot.queue, queue)?;
    }
    if let Some(pool) = delta.pool {
        snapshot.pool = super::pool::apply(&snapshot.pool, pool)?;
    }
    if let Some(log) = delta.log {
        apply_log(&mut snapshot.log, log);
    }
    apply_rows(&mut snapshot.transfers, delta.changed, &delta.removed)?;
    for id in delta.closed {
        snapshot.details.remove(&id);
    }
    for change in delta.details {
        let id = change.id;
        let base = snapshot.details.remove(&id);
        let mut detail = base.map_or_else(|| empty_detail(id), Arc::unwrap_or_clone);
        apply_detail(&mut detail, change)?;
        snapshot.details.insert(id, Arc::new(detail));
        if snapshot.details.len() > MAX_DETAILS {
            return Err(ApplyError("details of more transfers than anybody looks at"));
        }
    }
    Ok(())
}

/// What the first change of a detail changes.
pub(super) fn empty_detail(id: TransferId) -> TransferDetail {
    TransferDetail {
        id,
        generation: 0,
        piece_length: 0,
        have: Bits(Arc::new(Bitmap::empty(0))),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::default(),
        delta: None,
    }
}

fn apply_rows(
    rows: &mut Vec<Arc<TransferRow>>,
    mut changed: Vec<Arc<TransferRow>>,
    removed: &[TransferId],
) -> Result<(), ApplyError> {
    if !removed.is_empty() {
        let removed: HashSet<_> = removed.iter().collect();
        rows.retain(|row| !removed.contains(&row.id));
    }
    if changed.is_empty() {
        return Ok(());
    }
    changed.sort_by_key(|row| row.id);
    changed.dedup_by_key(|row| row.id);
    let mut merged = Vec::with_capacity(rows.len() + changed.len());
    let mut old = std::mem::take(rows).into_iter().peekable();
    for row in changed {
        while let Some(before) = old.next_if(|old| old.id < row.id) {
            merged.push(before);
        }
        old.next_if(|old| old.id == row.id);
        merged.push(row);
    }
    merged.extend(old);
    *rows = merged;
    if rows.len() > MAX_ROWS { Err(ApplyError("more transfers than a node can have")) } else { Ok(()) }
}

fn apply_log(log: &mut Arc<Vec<Arc<LogLine>>>, news: LogDelta) {
    let kept = if news.reset { 0 } else { log.len() - log.partition_point(|line| line.seq < news.first) };
    let mut lines: Vec<Arc<LogLine>> = log[log.len() - kept..].to_vec();
    for line in news.lines {
        if lines.last().is_none_or(|last| last.seq < line.seq) {
            lines.push(line);
        }
    }
    lines.drain(..lines.len().saturating_sub(LOG_LINES));
    *log = Arc::new(lines);
}

fn apply_detail(detail: &mut TransferDetail, change: DetailDelta) -> Result<(), ApplyError> {
    detail.generation = change.generation;
    if let Some(piece_length) = change.piece_length {
        detail.piece_length = piece_length;
    }
    if let Some(patch) = change.have {
        detail.have = patch.apply(Some(&detail.have))?;
    }
    if let Some(in_flight) = change.in_flight {
        detail.in_flight = in_flight;
    }
    if let Some(failed) = change.failed {
        detail.failed = failed;
    }
    if let Some(patch) = change.availability {
        patch.apply(&mut detail.availability)?;
    }
    if let Some(ops) = change.peers {
        detail.peers = apply_peers(&detail.peers, ops)?;
    }
    if let Some(trackers) = change.trackers {
        detail.trackers = trackers;
    }
    if let Some(files) = change.files {
        detail.files = files;
    }
    if let Some(delta) = change.delta {
        if delta.as_ref().is_some_and(|map| !map.is_sound()) {
            return Err(ApplyError("a map of a delta that cannot be"));
        }
        detail.delta = delta;
    }
    Ok(())
}

fn apply_peers(old: &[PeerRow], ops: Vec<PeerOp>) -> Result<Vec<PeerRow>, ApplyError> {
    const OUTSIDE: ApplyError = ApplyError("a peer that refers to one that is not there");
    let mut peers = Vec::with_capacity(old.len().min(MAX_PEERS));
    for op in ops {
        match op {
            PeerOp::Keep(first, count) => {
                let range = first as usize..(first as usize).saturating_add(count as usize);
                let kept = old.get(range).ok_or(OUTSIDE)?;
                if peers.len() + kept.len() > MAX_PEERS {
                    return Err(ApplyError("more peers than a transfer can have"));
                }
                peers.extend_from_slice(kept);
            }
            PeerOp::Row(change) => {
                let was = match change.was {
                    Some(was) => Some(old.get(was as usize).ok_or(OUTSIDE)?),
                    None => None,
                };
                let before = was.and_then(|row| row.have.as_ref());
                let have = match change.have {
                    None => before.cloned(),
                    Some(None) => None,
                    Some(Some(patch)) => Some(patch.apply(before)?),
                };
                peers.push(PeerRow { have, ..change.row });
            }
        }
        if peers.len() > MAX_PEERS {
            return Err(ApplyError("more peers than a transfer can have"));
        }
    }
    Ok(peers)
}
