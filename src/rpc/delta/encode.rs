//! The node's side: finds what changed since the last message of a subscription.

use std::collections::HashMap;
use std::sync::Arc;

use super::apply::empty_detail;
use super::{BitsPatch, BytesPatch, DetailDelta, LOG_LINES, LogDelta, MAX_ROWS, PeerChange, PeerOp, SnapshotDelta};
use crate::control::{Bits, Focus, LogLine, PeerRow, Snapshot, TransferDetail, TransferRow};

/// Characters of rows in one message, about.
const ROWS_BUDGET: usize = 1 << 20;

/// Characters of peers' bitmaps in one message, about: at 1,000,000 pieces and 1,000 peers all of
/// them would be 170 MB.
const PEER_BITS_BUDGET: usize = 1 << 20;

/// Knows what a viewer has, and what it lacks.
///
/// Comparing is cheap: what is shared by reference is compared by reference first, so that 1,000
/// idle transfers cost 1,000 comparisons of a pointer.
#[derive(Debug)]
pub struct Encoder {
    /// What the viewer has after the messages so far.
    sent: Snapshot,
    started: bool,
    behind: bool,
    rows_budget: usize,
    bits_budget: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::with_budgets(ROWS_BUDGET, PEER_BITS_BUDGET)
    }
}

impl Encoder {
    /// One that sends about so many characters of rows and of peers' bitmaps in a message.
    pub(super) fn with_budgets(rows_budget: usize, bits_budget: usize) -> Self {
        Self { sent: Snapshot::default(), started: false, behind: false, rows_budget, bits_budget }
    }

    /// The next message, after which the viewer has what `target` shows under `focus`; `None` if it
    /// has that already. If [`SnapshotDelta::more`] is set, call again with the same target.
    pub fn next(&mut self, target: &Snapshot, focus: Focus) -> Option<SnapshotDelta> {
        let mut delta = SnapshotDelta {
            full: !self.started,
            generation: target.generation,
            time_ms: target.time_ms,
            ..SnapshotDelta::default()
        };
        self.behind = false;
        let mut changed = !self.started;
        if !same(&self.sent.node, &target.node) {
            self.sent.node = Arc::clone(&target.node);
            delta.node = Some(Arc::clone(&target.node));
            changed = true;
        }
        if !same(&self.sent.bans, &target.bans) {
            self.sent.bans = Arc::clone(&target.bans);
            delta.bans = Some(Arc::clone(&target.bans));
            changed = true;
        }
        if self.sent.links != target.links {
            self.sent.links.clone_from(&target.links);
            delta.links = Some(target.links.clone());
            changed = true;
        }
        if self.sent.thresholds != target.thresholds {
            self.sent.thresholds = target.thresholds;
            delta.thresholds = Some(target.thresholds);
            changed = true;
        }
        if !same(&self.sent.queue, &target.queue) {
            delta.queue = Some(super::queue::change(&self.sent.queue, &target.queue));
            self.sent.queue = Arc::clone(&target.queue);
            changed = true;
        }
        if !same(&self.sent.pool, &target.pool) {
            delta.pool = Some(super::pool::change(&self.sent.pool, &target.pool));
            self.sent.pool = Arc::clone(&target.pool);
            changed = true;
        }
        delta.log = log_news(&self.sent.log, &target.log);
        self.sent.log = Arc::clone(&target.log);
        changed |= delta.log.is_some();
        changed |= self.rows(target, &mut delta);
        changed |= self.details(target, focus, &mut delta);
        self.started = true;
        changed.then_some(delta)
    }

    /// True if the viewer lacks something that did not fit the last message.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    fn rows(&mut self, target: &Snapshot, delta: &mut SnapshotDelta) -> bool {
        let mut rows = &target.transfers[target.transfers.len().saturating_sub(MAX_ROWS)..];
        let sorted;
        if !rows.is_sorted_by(|a, b| a.id < b.id) {
            let mut copy = rows.to_vec();
            copy.sort_by_key(|row| row.id);
            copy.dedup_by_key(|row| row.id);
            sorted = copy;
            rows = &sorted;
        }
        let mut room = self.rows_budget;
        let mut kept = Vec::with_capacity(rows.len());
        let mut old = std::mem::take(&mut self.sent.transfers).into_iter().peekable();
        for row in rows {
            while let Some(gone) = old.next_if(|old| old.id < row.id) {
                delta.removed.push(gone.id);
            }
            let before = old.next_if(|old| old.id == row.id);
            if let Some(before) = &before
                && same(before, row)
            {
                // The target's reference, so that the next comparison is one of pointers.
                kept.push(Arc::clone(row));
                continue;
            }
            if room == 0 {
                delta.more = true;
                kept.extend(before);
                continue;
            }
            room = room.saturating_sub(row_cost(row));
            delta.changed.push(Arc::clone(row));
            kept.push(Arc::clone(row));
        }
        delta.removed.extend(old.map(|gone| gone.id));
        self.sent.transfers = kept;
        self.behind |= delta.more;
        !delta.changed.is_empty() || !delta.removed.is_empty()
    }

    fn details(&mut self, target: &Snapshot, focus: Focus, delta: &mut SnapshotDelta) -> bool {
        let wanted = focus.transfer.and_then(|id| target.details.get(&id));
        let shown = wanted.map(|detail| detail.id);
        delta.closed = self.sent.details.keys().copied().filter(|id| Some(*id) != shown).collect();
        self.sent.details.retain(|id, _| Some(*id) == shown);
        if let Some(detail) = wanted {
            let before = self.sent.details.get(&detail.id);
            if before.is_none_or(|before| !Arc::ptr_eq(before, detail)) {
                let new = before.is_none();
                let empty = empty_detail(detail.id);
                let (change, lacking) = detail_change(before.map_or(&empty, Arc::as_ref), detail, self.bits_budget);
                // Its generation alone is no news.
                let bare = DetailDelta { id: change.id, generation: change.generation, ..DetailDelta::default() };
                if new || change != bare {
                    delta.details.push(change);
                }
                let has = match lacking {
                    None => Arc::clone(detail),
                    Some(peers) => {
                        self.behind = true;
                        Arc::new(TransferDetail { peers, ..TransferDetail::clone(detail) })
                    }
                };
                self.sent.details.insert(detail.id, has);
            }
        }
        !delta.closed.is_empty() || !delta.details.is_empty()
    }
}

fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// About how many characters a row takes.
fn row_cost(row: &TransferRow) -> usize {
    let texts = row.name.len() + row.path.len() + row.reason.len() + row.link.as_ref().map_or(0, String::len);
    let paths: usize = row.paths.iter().map(|path| path.path.len() + path.note.len() + 350).sum();
    let changes: usize = row.path_changes.iter().map(|change| change.why.len() + 120).sum();
    let texts =
        texts + paths + changes + row.strategy_reason.len() + row.dest.len() + row.from.len() + row.phases.len() * 90;
    let peers: usize = row.bytes_per_peer.iter().map(|(endpoint, _)| endpoint.len() + 20).sum();
    800 + texts + peers
}

fn log_news(old: &Arc<Vec<Arc<LogLine>>>, new: &Arc<Vec<Arc<LogLine>>>) -> Option<LogDelta> {
    if Arc::ptr_eq(old, new) {
        return None;
    }
    let (old, new) = (log_tail(old), log_tail(new));
    let first = new.first().map_or(0, |line| line.seq);
    let grown = match (old, new) {
        ([], []) => return None,
        ([old_first, ..], [.., new_last]) => {
            first >= old_first.seq && old.last().is_none_or(|old_last| new_last.seq >= old_last.seq)
        }
        _ => false,
    };
    if !grown {
        return Some(LogDelta { reset: true, first, lines: new.to_vec() });
    }
    let known = old.last().map_or(0, |line| line.seq);
    let lines = new[new.partition_point(|line| line.seq <= known)..].to_vec();
    let trimmed = old.first().is_some_and(|line| line.seq < first);
    (trimmed || !lines.is_empty()).then_some(LogDelta { reset: false, first, lines })
}

fn log_tail(log: &[Arc<LogLine>]) -> &[Arc<LogLine>] {
    &log[log.len().saturating_sub(LOG_LINES)..]
}

/// What changed, and the peers as the viewer has them where their bitmaps did not all fit.
fn detail_change(old: &TransferDetail, new: &TransferDetail, room: usize) -> (DetailDelta, Option<Vec<PeerRow>>) {
    let (peers, lacking) = peer_ops(&old.peers, &new.peers, room);
    let change = DetailDelta {
        id: new.id,
        generation: new.generation,
        piece_length: (old.piece_length != new.piece_length).then_some(new.piece_length),
        have: BitsPatch::between(Some(&old.have), &new.have),
        in_flight: (old.in_flight != new.in_flight).then(|| new.in_flight.clone()),
        failed: (old.failed != new.failed).then(|| new.failed.clone()),
        availability: BytesPatch::between(&old.availability, &new.availability),
        peers,
        trackers: (old.trackers != new.trackers).then(|| new.trackers.clone()),
        files: (!same(&old.files, &new.files)).then(|| Arc::clone(&new.files)),
        delta: (old.delta != new.delta).then(|| new.delta.clone()),
    };
    (change, lacking)
}

fn peer_ops(old: &[PeerRow], new: &[PeerRow], room: usize) -> (Option<Vec<PeerOp>>, Option<Vec<PeerRow>>) {
    if old == new {
        return (None, None);
    }
    let mut spent = 0;
    let places: HashMap<&str, usize> = old.iter().enumerate().map(|(at, row)| (row.endpoint.as_str(), at)).collect();
    let mut ops: Vec<PeerOp> = Vec::new();
    // Where the viewer keeps an old bitmap because the new one did not fit.
    let mut outdated: Vec<(usize, Option<Bits>)> = Vec::new();
    for (at, row) in new.iter().enumerate() {
        let stayed = old.get(at).is_some_and(|old| old.endpoint == row.endpoint);
        let was = if stayed { Some(at) } else { places.get(row.endpoint.as_str()).copied() };
        let before = was.and_then(|was| old.get(was));
        let had = before.and_then(|before| before.have.as_ref());
        let mut late = false;
        let mut have = match (&row.have, had) {
            (None, None) => None,
            (None, Some(_)) => Some(None),
            (Some(bits), had) => BitsPatch::between(had, bits).map(Some),
        };
        if let Some(Some(patch)) = &have {
            let cost = patch.cost();
            // One always fits, so that the viewer catches up.
            if spent > 0 && spent + cost > room {
                outdated.push((at, had.cloned()));
                late = true;
                have = None;
            } else {
                spent += cost;
            }
        }
        if have.is_none()
            && let (Some(was), Some(before)) = (was, before)
            && if late { equal_but_for_bitmap(before, row) } else { before == row }
        {
            match ops.last_mut() {
                Some(PeerOp::Keep(first, count)) if (*first + *count) as usize == was => *count += 1,
                _ => ops.push(PeerOp::Keep(was as u32, 1)),
            }
            continue;
        }
        let row = PeerRow { have: None, ..row.clone() };
        ops.push(PeerOp::Row(Box::new(PeerChange { was: was.map(|was| was as u32), row, have })));
    }
    let lacking = (!outdated.is_empty()).then(|| {
        let mut peers = new.to_vec();
        for (at, have) in outdated {
            peers[at].have = have;
        }
        peers
    });
    let unchanged = ops == [PeerOp::Keep(0, old.len() as u32)];
    ((!unchanged).then_some(ops), lacking)
}

fn equal_but_for_bitmap(a: &PeerRow, b: &PeerRow) -> bool {
    let bare = |row: &PeerRow| PeerRow { have: None, ..row.clone() };
    bare(a) == bare(b)
}
