//! Whatever happens on the node, the viewer ends with the same snapshot.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::content::Bitmap;
use crate::control::pool::{Balancer, Figures, MAX_NODES, PoolNodeRow};
use crate::control::queue::{BehindRow, MAX_QUEUE_ROWS, QueueId};
use crate::control::{Bits, Focus, LogLevel, PeerState, Snapshot, TransferDetail};

/// One thing that happens on a node.
#[derive(Debug, Clone)]
enum Event {
    Add {
        copies: u8,
    },
    Touch {
        pick: prop::sample::Index,
        done: u64,
    },
    Remove {
        pick: prop::sample::Index,
    },
    Log {
        lines: u8,
    },
    Ban,
    Node {
        rate: u64,
    },
    Have {
        pick: prop::sample::Index,
        piece: u32,
    },
    Full {
        pick: prop::sample::Index,
    },
    Availability {
        pick: prop::sample::Index,
        piece: usize,
        count: u8,
    },
    Peer {
        pick: prop::sample::Index,
        endpoint: u8,
        bitmap: Option<Vec<u8>>,
    },
    PeersReversed {
        pick: prop::sample::Index,
    },
    PeerGone {
        pick: prop::sample::Index,
    },
    Misc {
        pick: prop::sample::Index,
        piece: u32,
    },
    Focus {
        pick: Option<prop::sample::Index>,
    },
    /// Something is put into the queue.
    Queued {
        place: prop::sample::Index,
    },
    /// Something of the queue changes its place or its looks.
    QueueTurns {
        pick: prop::sample::Index,
        place: prop::sample::Index,
        bytes: u64,
    },
    /// Something leaves it.
    QueueLeft {
        pick: prop::sample::Index,
    },
    QueueHead {
        dropped: u64,
    },
    Link {
        endpoint: u8,
        samples: u32,
    },
    /// A node of the pool comes or turns.
    PoolNode {
        name: u8,
        cpu: u8,
    },
    PoolNodeLeft {
        pick: prop::sample::Index,
    },
    PoolHead {
        gossip: Option<u8>,
    },
    /// The log starts over, as after a restart behind a proxy.
    LogLost,
    Send,
}

const PIECES: u32 = 5_000;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pick = any::<prop::sample::Index>;
    let bitmap = prop::option::of(prop::collection::vec(any::<u8>(), Bitmap::byte_len(PIECES)));
    let event = prop_oneof![
        2 => (1u8..20).prop_map(|copies| Event::Add { copies }),
        2 => (pick(), any::<u64>()).prop_map(|(pick, done)| Event::Touch { pick, done }),
        1 => pick().prop_map(|pick| Event::Remove { pick }),
        2 => (1u8..40).prop_map(|lines| Event::Log { lines }),
        1 => Just(Event::Ban),
        1 => any::<u64>().prop_map(|rate| Event::Node { rate }),
        3 => (pick(), 0..PIECES).prop_map(|(pick, piece)| Event::Have { pick, piece }),
        1 => pick().prop_map(|pick| Event::Full { pick }),
        3 => (pick(), 0..PIECES as usize, any::<u8>())
            .prop_map(|(pick, piece, count)| Event::Availability { pick, piece, count }),
        4 => (pick(), 0u8..12, bitmap).prop_map(|(pick, endpoint, bitmap)| Event::Peer { pick, endpoint, bitmap }),
        1 => pick().prop_map(|pick| Event::PeersReversed { pick }),
        1 => pick().prop_map(|pick| Event::PeerGone { pick }),
        2 => (pick(), 0..PIECES).prop_map(|(pick, piece)| Event::Misc { pick, piece }),
        2 => prop::option::weighted(0.8, pick()).prop_map(|pick| Event::Focus { pick }),
        3 => pick().prop_map(|place| Event::Queued { place }),
        3 => (0u8..12, any::<u8>()).prop_map(|(name, cpu)| Event::PoolNode { name, cpu }),
        1 => pick().prop_map(|pick| Event::PoolNodeLeft { pick }),
        1 => prop::option::of(any::<u8>()).prop_map(|gossip| Event::PoolHead { gossip }),
        2 => (pick(), pick(), any::<u64>()).prop_map(|(pick, place, bytes)| Event::QueueTurns { pick, place, bytes }),
        1 => pick().prop_map(|pick| Event::QueueLeft { pick }),
        1 => any::<u64>().prop_map(|dropped| Event::QueueHead { dropped }),
        1 => (0u8..4, any::<u32>()).prop_map(|(endpoint, samples)| Event::Link { endpoint, samples }),
        1 => Just(Event::LogLost),
        8 => Just(Event::Send),
    ];
    prop::collection::vec(event, 1..80)
}

#[derive(Default)]
struct Node {
    snapshot: Snapshot,
    focus: Focus,
    next_id: u64,
    next_line: u64,
}

impl Node {
    fn detail(&mut self, pick: prop::sample::Index) -> Option<&mut TransferDetail> {
        let rows = &self.snapshot.transfers;
        let id = (!rows.is_empty()).then(|| rows[pick.index(rows.len())].id)?;
        let detail = Arc::make_mut(self.snapshot.details.get_mut(&id)?);
        detail.generation += 1;
        Some(detail)
    }

    fn happens(&mut self, event: Event) {
        self.snapshot.generation += 1;
        self.snapshot.time_ms += 7;
        match event {
            Event::Add { copies } => (0..copies).for_each(|_| self.add()),
            Event::Touch { pick, done } => {
                let rows = &mut self.snapshot.transfers;
                if !rows.is_empty() {
                    let at = pick.index(rows.len());
                    Arc::make_mut(&mut rows[at]).done = done;
                }
            }
            Event::Remove { pick } => {
                let rows = &mut self.snapshot.transfers;
                if !rows.is_empty() {
                    let row = rows.remove(pick.index(rows.len()));
                    self.snapshot.details.remove(&row.id);
                }
            }
            Event::Log { lines } => {
                let mut log = self.snapshot.log.to_vec();
                for _ in 0..lines {
                    self.next_line += 1;
                    log.push(Arc::new(line(self.next_line)));
                }
                log.drain(..log.len().saturating_sub(100));
                self.snapshot.log = Arc::new(log);
            }
            Event::LogLost => {
                self.next_line = 0;
                self.snapshot.log = Arc::default();
            }
            Event::Queued { place } => {
                let id = QueueId(self.snapshot.generation);
                let rows = &mut Arc::make_mut(&mut self.snapshot.queue).rows;
                rows.insert(place.index(rows.len() + 1), Arc::new(QueueRow { id, ..QueueRow::default() }));
            }
            Event::QueueTurns { pick, place, bytes } => {
                let rows = &mut Arc::make_mut(&mut self.snapshot.queue).rows;
                if !rows.is_empty() {
                    let mut row = rows.remove(pick.index(rows.len()));
                    if bytes % 2 == 0 {
                        Arc::make_mut(&mut row).bytes = bytes;
                    }
                    rows.insert(place.index(rows.len() + 1), row);
                }
            }
            Event::QueueLeft { pick } => {
                let rows = &mut Arc::make_mut(&mut self.snapshot.queue).rows;
                if !rows.is_empty() {
                    rows.remove(pick.index(rows.len()));
                }
            }
            Event::QueueHead { dropped } => {
                let queue = Arc::make_mut(&mut self.snapshot.queue);
                queue.classes[5].dropped = dropped;
                queue.behind = vec![BehindRow { files: dropped, ..BehindRow::default() }];
            }
            Event::PoolNode { name, cpu } => {
                let nodes = &mut Arc::make_mut(&mut self.snapshot.pool).nodes;
                let figures = Some(Figures { cpu_percent: cpu.into(), ..Figures::default() });
                let row = PoolNodeRow { name: format!("node-{name:02}").into(), figures, ..PoolNodeRow::default() };
                match nodes.binary_search_by(|node| node.name.cmp(&row.name)) {
                    Ok(at) => nodes[at] = Arc::new(row),
                    Err(at) => nodes.insert(at, Arc::new(row)),
                }
            }
            Event::PoolNodeLeft { pick } => {
                let nodes = &mut Arc::make_mut(&mut self.snapshot.pool).nodes;
                if !nodes.is_empty() {
                    nodes.remove(pick.index(nodes.len()));
                }
            }
            Event::PoolHead { gossip } => {
                let pool = Arc::make_mut(&mut self.snapshot.pool);
                pool.gossip = gossip.map(|port| format!("127.0.0.1:{port}"));
                pool.balancer = if gossip.is_some() { Balancer::ResourceAware } else { Balancer::ConsistentHash };
            }
            Event::Link { endpoint, samples } => {
                let links = &mut self.snapshot.links;
                let endpoint = format!("http://link-{endpoint}");
                links.retain(|link| link.endpoint != endpoint);
                links.push(Arc::new(LinkRow { endpoint, samples, ..LinkRow::default() }));
            }
            Event::Ban => {
                let bans = Arc::make_mut(&mut self.snapshot.bans);
                bans.push(BanRow { peer: "a:1".into(), reason: "lied".into(), since_ms: 1, until_ms: 2 });
            }
            Event::Node { rate } => Arc::make_mut(&mut self.snapshot.node).rate_down = rate,
            Event::Focus { pick } => {
                let rows = &self.snapshot.transfers;
                let pick = pick.filter(|_| !rows.is_empty());
                self.focus.transfer = pick.map(|pick| rows[pick.index(rows.len())].id);
            }
            Event::Send => {}
            on_detail => self.on_detail(on_detail),
        }
    }

    fn add(&mut self) {
        self.next_id += 1;
        let id = TransferId(self.next_id);
        let row = TransferRow { id, name: format!("file {id}"), ..TransferRow::default() };
        self.snapshot.transfers.push(Arc::new(row));
        let mut detail = super::apply::empty_detail(id);
        detail.piece_length = 1 << 18;
        detail.have = Bits(Arc::new(Bitmap::empty(PIECES)));
        detail.availability = Arc::new(vec![0; PIECES as usize]);
        detail.files = Arc::new(vec![("a/b".into(), 7)]);
        self.snapshot.details.insert(id, Arc::new(detail));
    }

    fn on_detail(&mut self, event: Event) {
        match event {
            Event::Have { pick, piece } => {
                let Some(detail) = self.detail(pick) else { return };
                Arc::make_mut(&mut detail.have.0).set(piece);
            }
            Event::Full { pick } => {
                let Some(detail) = self.detail(pick) else { return };
                detail.have = Bits(Arc::new(Bitmap::full(PIECES)));
                detail.availability = Arc::default();
            }
            Event::Availability { pick, piece, count } => {
                let Some(detail) = self.detail(pick) else { return };
                if let Some(slot) = Arc::make_mut(&mut detail.availability).get_mut(piece) {
                    *slot = count;
                }
            }
            Event::Peer { pick, endpoint, bitmap } => {
                let Some(detail) = self.detail(pick) else { return };
                let have = bitmap.map(|bytes| Bits(Arc::new(Bitmap::from_bytes(bytes, PIECES).unwrap())));
                let endpoint = format!("http://peer-{endpoint}");
                match detail.peers.iter_mut().find(|peer| peer.endpoint == endpoint) {
                    Some(peer) => (peer.have, peer.bytes_down) = (have, peer.bytes_down + 1),
                    None => detail.peers.push(PeerRow { endpoint, have, ..PeerRow::default() }),
                }
            }
            Event::PeersReversed { pick } => {
                let Some(detail) = self.detail(pick) else { return };
                detail.peers.reverse();
            }
            Event::PeerGone { pick } => {
                let Some(detail) = self.detail(pick) else { return };
                if !detail.peers.is_empty() {
                    let at = pick.index(detail.peers.len());
                    detail.peers.remove(at);
                }
            }
            Event::Misc { pick, piece } => {
                let Some(detail) = self.detail(pick) else { return };
                detail.in_flight.push(piece);
                detail.failed = vec![piece];
                detail.trackers.push(TrackerRow { url: "http://t".into(), ..TrackerRow::default() });
                if let Some(peer) = detail.peers.first_mut() {
                    peer.state = PeerState::Connected;
                    peer.in_flight.push(piece);
                }
            }
            _ => {}
        }
    }

    /// What a viewer with this focus shall see.
    fn seen(&self) -> Snapshot {
        let mut seen = self.snapshot.clone();
        seen.details.retain(|id, _| Some(*id) == self.focus.transfer);
        seen
    }
}

fn line(seq: u64) -> LogLine {
    let message = format!("line {seq}");
    LogLine { seq, time_ms: seq, level: LogLevel::Info, target: "swarm".into(), message, transfer: None }
}

/// Everything but the counters that are no news by themselves.
fn content(snapshot: &Snapshot) -> Snapshot {
    let mut content = Snapshot { generation: 0, time_ms: 0, ..snapshot.clone() };
    let details = std::mem::take(&mut content.details);
    content.details = details
        .into_iter()
        .map(|(id, detail)| (id, Arc::new(TransferDetail { generation: 0, ..TransferDetail::clone(&detail) })))
        .collect::<BTreeMap<_, _>>();
    content
}

/// Over the wire and back.
fn travel(delta: &SnapshotDelta) -> SnapshotDelta {
    let json = serde_json::to_string(delta).unwrap();
    let back: SnapshotDelta = serde_json::from_str(&json).unwrap();
    assert_eq!(&back, delta, "{json}");
    back
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_viewer_has_what_the_node_has(events in events(), rows in 1usize..20_000, bits in 1usize..4_000) {
        let mut node = Node::default();
        let mut encoder = Encoder::with_budgets(rows, bits);
        let mut viewer = Snapshot::default();
        for event in events.into_iter().chain([Event::Send]) {
            let send = matches!(event, Event::Send);
            node.happens(event);
            if !send {
                continue;
            }
            // Without bitmaps that are behind, one round is enough; with them, some more.
            for _ in 0..1_000 {
                match encoder.next(&node.snapshot, node.focus) {
                    Some(delta) => apply(&mut viewer, travel(&delta)).unwrap(),
                    None => break,
                }
            }
            prop_assert!(!encoder.is_behind());
            prop_assert_eq!(content(&viewer), content(&node.seen()));
            prop_assert!(encoder.next(&node.snapshot, node.focus).is_none(), "nothing new, nothing sent");
        }
    }

    /// Messages may be dropped by nobody, but the newest snapshot may be several events ahead: no
    /// order of sending changes the end.
    #[test]
    fn bitmaps_that_lag_arrive_in_the_end(events in events()) {
        let mut node = Node::default();
        let mut encoder = Encoder::with_budgets(usize::MAX, 900);
        let mut viewer = Snapshot::default();
        for event in events {
            node.happens(event);
            if let Some(delta) = encoder.next(&node.snapshot, node.focus) {
                apply(&mut viewer, travel(&delta)).unwrap();
            }
        }
        while encoder.is_behind() {
            let delta = encoder.next(&node.snapshot, node.focus).unwrap();
            apply(&mut viewer, travel(&delta)).unwrap();
        }
        if let Some(delta) = encoder.next(&node.snapshot, node.focus) {
            apply(&mut viewer, delta).unwrap();
        }
        prop_assert_eq!(content(&viewer), content(&node.seen()));
    }

    #[test]
    fn patches_make_the_new_from_the_old(
        old in prop::collection::vec(any::<u8>(), 0..400),
        edits in prop::collection::vec((0usize..400, any::<u8>()), 0..30),
    ) {
        let mut new = old.clone();
        for (at, value) in edits {
            if let Some(slot) = new.get_mut(at) {
                *slot = value;
            }
        }
        let (old, new) = (Arc::new(old), Arc::new(new));
        let mut made = Arc::clone(&old);
        match BytesPatch::between(&old, &new) {
            Some(patch) => patch.apply(&mut made).unwrap(),
            None => prop_assert_eq!(&old, &new),
        }
        prop_assert_eq!(made, new);
    }

    /// A hostile node: anything that parses is carried out or refused, and never panics.
    #[test]
    fn hostile_messages_are_refused(first in 0u32..9, count in any::<u32>(), was in any::<u32>(), offset in any::<u32>()) {
        let id = TransferId(1);
        let bits = BitsPatch { whole: None, runs: vec![Run { offset, bytes: vec![255; 3] }] };
        let changes = [
            DetailDelta { id, peers: Some(vec![PeerOp::Keep(first + 1, count)]), ..DetailDelta::default() },
            DetailDelta {
                id,
                peers: Some(vec![PeerOp::Row(Box::new(PeerChange { was: Some(was), ..PeerChange::default() }))]),
                ..DetailDelta::default()
            },
            DetailDelta { id, have: Some(bits.clone()), ..DetailDelta::default() },
            DetailDelta {
                id,
                availability: Some(BytesPatch { whole: None, runs: bits.runs }),
                ..DetailDelta::default()
            },
        ];
        for change in changes {
            let delta = SnapshotDelta { details: vec![change], ..SnapshotDelta::default() };
            prop_assert!(apply(&mut Snapshot::default(), delta).is_err());
        }
        let many = (0..=MAX_NODES).map(|n| Arc::new(PoolNodeRow { name: n.to_string().into(), ..PoolNodeRow::default() }));
        let pool = Some(PoolDelta { changed: many.collect(), ..PoolDelta::default() });
        let delta = SnapshotDelta { pool, ..SnapshotDelta::default() };
        prop_assert!(apply(&mut Snapshot::default(), delta).is_err());
        let many = (0..=MAX_QUEUE_ROWS).map(|_| QueueOp::Row(Arc::default())).collect();
        for rows in [vec![QueueOp::Keep(first + 1, count.max(1))], many] {
            let queue = Some(QueueDelta { rows: Some(rows), ..QueueDelta::default() });
            let delta = SnapshotDelta { queue, ..SnapshotDelta::default() };
            prop_assert!(apply(&mut Snapshot::default(), delta).is_err());
        }
    }
}

#[test]
fn an_idle_fleet_costs_nothing() {
    let mut node = Node::default();
    (0..1_000).for_each(|_| node.add());
    let mut encoder = Encoder::default();
    while encoder.next(&node.snapshot, Focus::default()).is_some_and(|delta| delta.more) {}
    node.snapshot.generation += 1;
    node.snapshot.time_ms += 250;
    assert!(encoder.next(&node.snapshot, Focus::default()).is_none());
    Arc::make_mut(&mut node.snapshot.transfers[500]).done = 1;
    let delta = encoder.next(&node.snapshot, Focus::default()).unwrap();
    assert_eq!(delta.changed.len(), 1);
    let json = serde_json::to_string(&delta).unwrap();
    assert!(json.len() < 1_500, "one row, not a thousand: {}", json.len());
}

#[test]
fn one_that_leaves_a_long_queue_costs_a_few_bytes() {
    let mut node = Node::default();
    let rows = (0..1_000).map(|id| Arc::new(QueueRow { id: QueueId(id), name: "x".repeat(50), ..QueueRow::default() }));
    Arc::make_mut(&mut node.snapshot.queue).rows = rows.collect();
    let mut encoder = Encoder::default();
    encoder.next(&node.snapshot, Focus::default()).unwrap();
    Arc::make_mut(&mut node.snapshot.queue).rows.remove(0);
    let json = serde_json::to_string(&encoder.next(&node.snapshot, Focus::default()).unwrap()).unwrap();
    assert!(json.len() < 1_000, "{}", json.len());
}

#[test]
fn one_piece_of_a_million_costs_a_few_bytes() {
    let mut node = Node::default();
    node.add();
    let focus = Focus { transfer: Some(TransferId(1)) };
    let detail = Arc::make_mut(node.snapshot.details.get_mut(&TransferId(1)).unwrap());
    detail.have = Bits(Arc::new(Bitmap::empty(1_000_000)));
    detail.availability = Arc::new(vec![3; 1_000_000]);
    detail.peers = vec![PeerRow { have: Some(Bits(Arc::new(Bitmap::full(1_000_000)))), ..PeerRow::default() }];
    let mut encoder = Encoder::default();
    encoder.next(&node.snapshot, focus).unwrap();
    let detail = Arc::make_mut(node.snapshot.details.get_mut(&TransferId(1)).unwrap());
    Arc::make_mut(&mut detail.have.0).set(777_777);
    Arc::make_mut(&mut detail.availability)[777_777] = 4;
    let json = serde_json::to_string(&encoder.next(&node.snapshot, focus).unwrap()).unwrap();
    assert!(json.len() < 300, "{json}");
}

#[test]
fn log_lines_are_sent_once_and_only_the_newest_are_kept() {
    let mut node = Node::default();
    let mut encoder = Encoder::default();
    let mut viewer = Snapshot::default();
    node.happens(Event::Log { lines: 3 });
    apply(&mut viewer, encoder.next(&node.snapshot, Focus::default()).unwrap()).unwrap();
    node.happens(Event::Log { lines: 2 });
    let delta = encoder.next(&node.snapshot, Focus::default()).unwrap();
    let lines = &delta.log.as_ref().unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [4, 5]);
    let many = (1..5_000).map(|seq| Arc::new(line(seq))).collect();
    let flood = SnapshotDelta { log: Some(LogDelta { reset: false, first: 0, lines: many }), ..delta };
    apply(&mut viewer, flood).unwrap();
    assert_eq!(viewer.log.len(), LOG_LINES);
}
