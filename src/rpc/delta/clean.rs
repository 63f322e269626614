//! Text from a node that may be hostile: no control characters reach the viewer's terminal.

use std::sync::Arc;

use super::{PeerOp, QueueOp, SnapshotDelta};
use crate::content::name::printable;
use crate::control::{PeerRow, TransferRow};

/// Makes every text of a message printable. What a well-meaning node sends is printable already
/// and stays as it is.
pub fn clean(delta: &mut SnapshotDelta) {
    if let Some(node) = delta.node.as_mut().and_then(Arc::get_mut) {
        [&mut node.name, &mut node.version, &mut node.endpoint, &mut node.root].into_iter().for_each(text);
    }
    delta.changed.iter_mut().filter_map(Arc::get_mut).for_each(row);
    for ban in delta.bans.as_mut().and_then(Arc::get_mut).into_iter().flatten() {
        text(&mut ban.peer);
        text(&mut ban.reason);
    }
    for link in delta.links.iter_mut().flatten().filter_map(Arc::get_mut) {
        text(&mut link.endpoint);
        text(&mut link.why);
        if let Some(pending) = &mut link.pending {
            text(&mut pending.why);
        }
    }
    if let Some(queue) = &mut delta.queue {
        let listed = queue.rows.iter_mut().flatten().filter_map(|op| match op {
            QueueOp::Row(row) => Some(row),
            QueueOp::Keep(..) => None,
        });
        for row in listed.chain(&mut queue.head.rows).filter_map(Arc::get_mut) {
            [&mut row.what, &mut row.name, &mut row.target, &mut row.dest, &mut row.why].into_iter().for_each(text);
        }
        queue.head.behind.iter_mut().flat_map(|row| [&mut row.path, &mut row.from]).for_each(text);
    }
    if let Some(pool) = &mut delta.pool {
        text(&mut pool.head.name);
        pool.head.gossip.as_mut().map(text);
        for node in pool.changed.iter_mut().chain(&mut pool.head.nodes).filter_map(Arc::get_mut) {
            let name = printable(&node.name);
            if name != *node.name {
                node.name = name.into();
            }
            [&mut node.endpoint, &mut node.why].into_iter().for_each(text);
            node.excluded.as_mut().map(text);
        }
        for name in &mut pool.removed {
            let shown = printable(name);
            if shown != **name {
                *name = shown.into();
            }
        }
    }
    for line in delta.log.iter_mut().flat_map(|log| &mut log.lines).filter_map(Arc::get_mut) {
        text(&mut line.target);
        text(&mut line.message);
    }
    for detail in &mut delta.details {
        for op in detail.peers.iter_mut().flatten() {
            if let PeerOp::Row(change) = op {
                peer(&mut change.row);
            }
        }
        for tracker in detail.trackers.iter_mut().flatten() {
            text(&mut tracker.url);
            tracker.error.as_mut().map(text);
        }
        for (path, _) in detail.files.as_mut().and_then(Arc::get_mut).into_iter().flatten() {
            text(path);
        }
    }
}

fn row(row: &mut TransferRow) {
    [
        &mut row.name,
        &mut row.strategy,
        &mut row.from,
        &mut row.dest,
        &mut row.reason,
        &mut row.path,
        &mut row.strategy_reason,
    ]
    .into_iter()
    .for_each(text);
    row.error.as_mut().map(text);
    row.link.as_mut().map(text);
    row.bytes_per_peer.iter_mut().for_each(|(endpoint, _)| text(endpoint));
    for path in &mut row.paths {
        text(&mut path.path);
        text(&mut path.note);
        path.via.as_mut().map(text);
    }
    row.path_changes.iter_mut().for_each(|change| text(&mut change.why));
}

fn peer(peer: &mut PeerRow) {
    text(&mut peer.endpoint);
    text(&mut peer.note);
}

fn text(text: &mut String) {
    // Nearly all of it is plain ASCII, which needs no copy to be sure.
    if !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        *text = printable(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::queue::{BehindRow, QueueRow, QueueView};
    use crate::control::{BanRow, LogLevel, LogLine, NodeRow, PathChange, PathRow, TrackerRow};
    use crate::rpc::delta::{DetailDelta, LogDelta, PeerChange, QueueDelta};

    /// Every string of a message, hostile: none gets through.
    #[test]
    fn nothing_gets_through() {
        let evil = || "\x1b]0;owned\x07".to_owned();
        let peer = PeerRow { endpoint: evil(), note: evil(), ..PeerRow::default() };
        let line =
            LogLine { seq: 1, time_ms: 1, level: LogLevel::Info, target: evil(), message: evil(), transfer: None };
        let queued = || {
            let (what, name, target, dest, why) = (evil(), evil(), evil(), evil(), evil());
            Arc::new(QueueRow { what, name, target, dest, why, ..QueueRow::default() })
        };
        let behind = vec![BehindRow { path: evil(), from: evil(), ..BehindRow::default() }];
        let mut delta = SnapshotDelta {
            queue: Some(QueueDelta {
                head: Box::new(QueueView { rows: vec![queued()], behind, ..QueueView::default() }),
                rows: Some(vec![QueueOp::Row(queued())]),
            }),
            node: Some(Arc::new(NodeRow {
                name: evil(),
                version: evil(),
                endpoint: evil(),
                root: evil(),
                ..NodeRow::default()
            })),
            changed: vec![Arc::new(TransferRow {
                name: evil(),
                strategy: evil(),
                from: evil(),
                reason: evil(),
                path: evil(),
                error: Some(evil()),
                link: Some(evil()),
                bytes_per_peer: vec![(evil(), 1)],
                strategy_reason: evil(),
                paths: vec![PathRow { path: evil(), note: evil(), via: Some(evil()), ..PathRow::default() }],
                path_changes: vec![PathChange { why: evil(), ..PathChange::default() }],
                dest: evil(),
                ..TransferRow::default()
            })],
            bans: Some(Arc::new(vec![BanRow { peer: evil(), reason: evil(), since_ms: 0, until_ms: 0 }])),
            log: Some(LogDelta { lines: vec![Arc::new(line)], ..LogDelta::default() }),
            details: vec![DetailDelta {
                peers: Some(vec![PeerOp::Row(Box::new(PeerChange { row: peer, ..PeerChange::default() }))]),
                trackers: Some(vec![TrackerRow { url: evil(), error: Some(evil()), ..TrackerRow::default() }]),
                files: Some(Arc::new(vec![(evil(), 1)])),
                ..DetailDelta::default()
            }],
            ..SnapshotDelta::default()
        };
        assert!(serde_json::to_string(&delta).unwrap().contains("\\u001b"));
        clean(&mut delta);
        let json = serde_json::to_string(&delta).unwrap();
        assert!(!json.contains("\\u001b") && !json.contains("\\u0007"), "{json}");
    }
}
