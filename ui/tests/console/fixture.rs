//! Nodes that exist on paper only: snapshots for frames and budgets.
#![allow(dead_code)]

use std::sync::Arc;

use fastrand::Rng;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use skep::console::derive::Derived;
use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::export;
use skep::console::glyphs::GlyphChoice;
use skep::console::keymap::{Keymap, parse_chord};
use skep::console::model::{Model, Moment, Settings};
use skep::console::reduce::reduce;
use skep::console::view;
use skep_engine::content::Bitmap;
use skep_engine::control::{
    BanRow, Bits, Direction, LogLevel, LogLine, NodeRow, PathChange, PathRow, PathState, PeerRow, PeerState, Snapshot,
    TrackerRow, TransferDetail, TransferId, TransferKind, TransferRow, TransferState,
};

/// 2026-03-14 12:03:44 UTC.
pub const WALL_MS: u64 = 1_773_489_824_000;

pub fn at(mono_ms: u64) -> Moment {
    Moment { mono_ms, wall_ms: WALL_MS + mono_ms }
}

/// A console with no snapshot yet.
pub fn empty(width: u16, height: u16) -> Model {
    let mut model = Model::new(Settings::default(), Keymap::default(), "slate", GlyphChoice::Block);
    reduce(&mut model, Event::Resize(width, height), at(0));
    model
}

/// A console that shows a snapshot.
pub fn console(width: u16, height: u16, snapshot: Snapshot) -> Model {
    let mut model = empty(width, height);
    reduce(&mut model, Event::Snapshot(Arc::new(snapshot)), at(0));
    model
}

/// Presses keys, as a key file writes them, and collects the effects.
pub fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let now = model.now;
    parse_chord_list(keys).into_iter().flat_map(|key| reduce(model, Event::Key(key), now)).collect()
}

fn parse_chord_list(keys: &str) -> Vec<skep::console::keymap::Key> {
    keys.split_whitespace().flat_map(|k| parse_chord(k).unwrap()).collect()
}

/// Types text, a key per character.
pub fn type_text(model: &mut Model, text: &str) -> Vec<Effect> {
    let now = model.now;
    let keys = text.chars().map(|c| match c {
        ' ' => "space".to_owned(),
        c => c.to_string(),
    });
    keys.flat_map(|k| reduce(model, Event::Key(k.parse().unwrap()), now)).collect()
}

pub fn frame(model: &Model) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view::draw(model, &mut Derived::default(), &mut buffer);
    buffer
}

pub fn text(model: &Model) -> String {
    export::text(&frame(model))
}

fn row(id: u64, name: &str, state: TransferState, size: u64, done: u64) -> TransferRow {
    TransferRow {
        id: TransferId(id),
        name: name.to_owned(),
        strategy: "transit-p2p-swarm".to_owned(),
        state,
        size,
        done,
        pieces: size.div_ceil(1 << 20) as u32,
        pieces_done: (done >> 20) as u32,
        path: format!("/srv/skep/{name}"),
        peers: 6,
        peers_known: 9,
        ..TransferRow::default()
    }
}

/// A node with a bit of everything.
pub fn busy() -> Snapshot {
    let gb = 1_000_000_000;
    let mut rows = vec![
        TransferRow {
            rate_down: 184_200_000,
            smooth_down: 171_000_000,
            rate_up: 12_400_000,
            smooth_up: 11_900_000,
            bytes_down: 4_420_000_000,
            bytes_up: 310_000_000,
            eta_s: Some(11),
            reason: "rarest first; 2 of 6 peers choke us".into(),
            peers: 6,
            ..row(1, "ubuntu-26.04-desktop-amd64.iso", TransferState::Running, 6 * gb, 4_420_000_000)
        },
        TransferRow {
            rate_down: 8_310_000,
            smooth_down: 7_900_000,
            limit_down: Some(10_000_000),
            eta_s: Some(5_230),
            peers: 3,
            peers_known: 3,
            ..row(2, "genome-reads/", TransferState::Running, 48 * gb, 6 * gb)
        },
        TransferRow {
            stalled_s: 41,
            peers: 0,
            peers_known: 2,
            reason: "no connected peer has the 3 pieces left; next announce in 12s".into(),
            ..row(3, "survey-2025-tiles.tar", TransferState::Running, 900_000_000, 899_000_000)
        },
        TransferRow { ..row(4, "weights-70b.safetensors", TransferState::Checking, 140 * gb, 61 * gb) },
        TransferRow {
            reason: "waits: 10 transfers run already".into(),
            ..row(5, "backup-monday.zst", TransferState::Queued, 12 * gb, 0)
        },
        TransferRow { ..row(6, "camera-raw/", TransferState::Paused, 75 * gb, 31 * gb) },
        TransferRow {
            direction: Direction::Up,
            rate_up: 42_000_000,
            smooth_up: 40_500_000,
            bytes_up: 19 * gb,
            link: Some("skep://10.0.0.2:7070/1f2e3d".into()),
            ..row(7, "fedora-server-44.iso", TransferState::Seeding, 3 * gb, 3 * gb)
        },
        TransferRow {
            verified: true,
            ..row(8, "naïve-Überblick-日本語.pdf", TransferState::Done, 2_300_000, 2_300_000)
        },
        TransferRow {
            error: Some("disk full: 18.2 GB needed, 3.10 GB free; make room, then r tries again".into()),
            ..row(9, "archive-2019.tar", TransferState::Failed, 21 * gb, 2 * gb)
        },
    ];
    for (n, row) in rows.iter_mut().enumerate() {
        row.added_ms = WALL_MS - 1_000_000 + n as u64;
    }
    let detail = detail(1, 5_723, 0.737, 9, &mut Rng::with_seed(7));
    Snapshot {
        generation: 1,
        time_ms: WALL_MS,
        node: Arc::new(NodeRow {
            name: "hive-1".into(),
            version: "0.1.0".into(),
            rate_down: 192_500_000,
            rate_up: 54_400_000,
            limit_down: Some(200_000_000),
            ..NodeRow::default()
        }),
        transfers: rows.into_iter().map(Arc::new).collect(),
        details: [(TransferId(1), Arc::new(detail))].into(),
        links: Vec::new(),
        thresholds: Default::default(),
        queue: Arc::default(),
        pool: Arc::default(),
        bans: Arc::new(vec![BanRow {
            peer: "10.0.0.66:7070".into(),
            reason: "piece 812 failed its digest".into(),
            since_ms: WALL_MS - 60_000,
            until_ms: WALL_MS + 3_540_000,
        }]),
        log: Arc::new(log()),
    }
}

/// The busy node, with a push over four ways as its last transfer.
pub fn pushing() -> Snapshot {
    let path = |via: &str, state, rate: u64, latency_ms, terms: (f64, f64, f64)| PathRow {
        path: format!("203.0.113.6:7070 via {via}"),
        via: Some(via.into()),
        state,
        rate,
        latency_ms,
        terms,
        score: 0.5 * terms.0 - 0.3 * terms.1 - 0.2 * terms.2,
        error_rate: terms.2,
        window: 6,
        ..PathRow::default()
    };
    let works = |path: PathRow, share, bytes: u64, queued, active| PathRow {
        share,
        bytes,
        queued,
        active,
        done: (bytes >> 21) as u32,
        assigned: bytes + (u64::from(queued + active) << 21),
        ..path
    };
    let paths = vec![
        works(path("fibre", PathState::Healthy, 24_900_000, 12.0, (1.0, 0.08, 0.0)), 0.66, 1_912_000_000, 412, 5),
        works(
            PathRow { weight: Some(0.5), ..path("dsl0", PathState::Healthy, 6_100_000, 31.0, (0.49, 0.2, 0.0)) },
            0.31,
            540_000_000,
            190,
            4,
        ),
        works(path("sky", PathState::Degraded, 1_400_000, 612.0, (0.11, 1.0, 0.02)), 0.03, 96_000_000, 0, 6),
        PathRow {
            probe_at_ms: Some(WALL_MS + 3_200),
            note: "nothing moved for 10 s".into(),
            bytes: 31_000_000,
            done: 14,
            ..path("wwan0", PathState::Dead, 0, 140.0, (0.02, 0.4, 0.6))
        },
    ];
    let change = |ago_s: u64, path, why: &str, moved, from: &[u32], to: &[u32]| PathChange {
        at_ms: WALL_MS - ago_s * 1_000,
        path,
        why: why.into(),
        moved,
        from: from.to_vec(),
        to: to.to_vec(),
    };
    let mut snapshot = busy();
    snapshot.transfers.push(Arc::new(TransferRow {
        id: TransferId(10),
        kind: TransferKind::Send,
        strategy: "transit-multipath-parallel".into(),
        strategy_reason: "4 of 4 paths answer".into(),
        direction: Direction::Up,
        rate_up: 32_400_000,
        smooth_up: 31_800_000,
        eta_s: Some(77),
        peers: 3,
        peers_known: 4,
        segment: 2 << 20,
        dest: "http://203.0.113.6:7070/in/".into(),
        reason: "203.0.113.6:7070 via wwan0 is dead: nothing moves on it".into(),
        added_ms: WALL_MS - 90_000,
        pieces: 2_385,
        pieces_done: 1_230,
        paths,
        path_changes: vec![
            change(4, Some(3), "is dead: nothing moves on it", 14, &[3], &[0, 1]),
            change(19, Some(2), "fell below half of the best score", 20, &[2], &[0, 1]),
            change(52, Some(1), "has the weight 0.5", 88, &[1], &[0]),
            change(3_700, Some(0), "was added", 0, &[], &[]),
        ],
        ..row(10, "survey-2026.tar", TransferState::Running, 5_000_000_000, 2_579_000_000)
    }));
    let mut detail = detail(10, 2_385, 0.5, 0, &mut Rng::with_seed(3));
    (detail.availability, detail.trackers) = (Arc::default(), Vec::new());
    snapshot.details.insert(TransferId(10), Arc::new(detail));
    snapshot
}

/// A console on [`pushing`], the push selected, after two minutes of it.
pub fn push_console(width: u16, height: u16) -> Model {
    let mut model = console(width, height, Snapshot { time_ms: WALL_MS - 120_000, ..pushing() });
    press(&mut model, "G");
    let rates: Vec<u64> = pushing().transfers.last().unwrap().paths.iter().map(|path| path.rate).collect();
    for second in 0..120u64 {
        let mut next = pushing();
        next.generation += second;
        next.time_ms = WALL_MS - (119 - second) * 1_000;
        let push = Arc::make_mut(next.transfers.last_mut().unwrap());
        for (path, full) in push.paths.iter_mut().zip(&rates) {
            // Slow at first, then it waves a little; the last one died four seconds ago.
            let full = if *full == 0 && second < 116 { 5_000_000 } else { *full };
            path.rate = full * (second + 1).min(20) / 20 * (94 + second * 7 % 13) / 100;
        }
        if second == 119 {
            push.paths = pushing().transfers.last().unwrap().paths.clone();
        }
        reduce(&mut model, Event::Snapshot(Arc::new(next)), at(0));
    }
    model
}

fn log() -> Vec<Arc<LogLine>> {
    let lines = [
        (LogLevel::Info, "swarm", "announced to http://10.0.0.2:7070: 9 peers", Some(1)),
        (LogLevel::Info, "swarm", "10.0.0.7:7070 unchoked us", Some(1)),
        (LogLevel::Debug, "swarm", "window of 10.0.0.7:7070 grows to 24", Some(1)),
        (LogLevel::Warn, "swarm", "piece 812 from 10.0.0.66:7070 failed its digest: peer banned for 1h", Some(1)),
        (LogLevel::Info, "store", "state synced in 4 ms", None),
        (LogLevel::Error, "engine", "archive-2019.tar: disk full", Some(9)),
        (LogLevel::Info, "node", "peer 10.0.0.11:7070 asks for \u{1b}[31mcontent\u{202e}", None),
        (LogLevel::Info, "swarm", "survey-2025-tiles.tar: no byte for 41s", Some(3)),
    ];
    let make = |(seq, (level, target, message, transfer)): (usize, (LogLevel, &str, &str, Option<u64>))| {
        Arc::new(LogLine {
            seq: seq as u64,
            time_ms: WALL_MS - 40_000 + seq as u64 * 4_700,
            level,
            target: target.into(),
            message: message.into(),
            transfer: transfer.map(TransferId),
        })
    };
    lines.into_iter().enumerate().map(make).collect()
}

/// A node that others push to: one that comes, one whose sender is away, one being verified, one that is here,
/// one that the operator did not want, and one by tus.
pub fn receiving() -> Snapshot {
    let from = |id, name: &str, state, size, done| TransferRow {
        kind: TransferKind::Receive,
        strategy: "upload".into(),
        from: "10.0.0.7:7070".into(),
        peers: 1,
        peers_known: 1,
        ..row(id, name, state, size, done)
    };
    let until = "kept until 2026-03-21 12:03 UTC";
    let rows = vec![
        TransferRow {
            rate_down: 5_200_000,
            smooth_down: 4_900_000,
            eta_s: Some(21),
            ..from(21, "survey-tiles-03.tar", TransferState::Running, 240_000_000, 137_000_000)
        },
        TransferRow {
            reason: format!("the sender paused: nothing came for 40 s; {until}"),
            peers: 0,
            ..from(22, "dashcam-0007.mp4", TransferState::Paused, 80_000_000, 12_000_000)
        },
        TransferRow {
            reason: "verifying what came; then it gets its name".into(),
            ..from(23, "genome-reads", TransferState::Checking, 4_000_000_000, 4_000_000_000)
        },
        TransferRow {
            reason: "complete; listed until 2026-03-14 13:03 UTC".into(),
            verified: true,
            ..from(24, "nightly-backup.tar", TransferState::Done, 64_000_000, 64_000_000)
        },
        TransferRow {
            reason: "cancelled here; its sender is refused until 2026-03-14 13:03 UTC".into(),
            ..from(25, "unwanted.iso", TransferState::Cancelled, 700_000_000, 0)
        },
        TransferRow {
            reason: format!("nothing came for 10 s; {until}"),
            strategy: "tus".into(),
            stalled_s: 10,
            ..from(26, "upload-form.zip", TransferState::Running, 9_000_000, 4_194_304)
        },
    ];
    Snapshot { transfers: rows.into_iter().map(Arc::new).collect(), details: Default::default(), ..busy() }
}

/// Details of a transfer: pieces here at random around `share`, peers that differ.
pub fn detail(id: u64, pieces: u32, share: f64, peers: usize, rng: &mut Rng) -> TransferDetail {
    let mut have = Bitmap::empty(pieces);
    for piece in 0..pieces {
        // What is here clusters, as it does when peers have parts.
        let wave = (f64::from(piece) / f64::from(pieces.max(1)) * 9.0).sin() * 0.35;
        if rng.f64() < share + wave {
            have.set(piece);
        }
    }
    for piece in 0..pieces / 4 {
        have.set(piece);
    }
    let missing: Vec<u32> = have.zeros().collect();
    let in_flight: Vec<u32> = missing.iter().copied().skip(missing.len() / 3).step_by(7).take(8).collect();
    let failed: Vec<u32> = missing.last().copied().into_iter().collect();
    let mut rows = Vec::new();
    let mut availability = vec![0u8; pieces as usize];
    // Of many peers some have the same: making a bitmap for each would take longer than the test.
    let mut made: Vec<Arc<Bitmap>> = Vec::new();
    for n in 0..peers {
        let kind = n % 5;
        if made.len() < 25 {
            let mut bits = Bitmap::empty(pieces);
            for piece in 0..pieces {
                let has = match kind {
                    0 => true,
                    1 => piece < pieces / 2,
                    2 => piece % 3 != 0,
                    3 => rng.f64() < 0.3,
                    _ => piece > pieces / 3,
                };
                if has && piece != pieces.saturating_sub(3) {
                    bits.set(piece);
                }
            }
            made.push(Arc::new(bits));
        }
        let bits = &made[n % 25];
        let state = match n {
            5 => PeerState::Failing,
            6 => PeerState::Banned,
            8 => PeerState::Known,
            _ => PeerState::Connected,
        };
        let connected = state == PeerState::Connected;
        if connected && n < 25 {
            for piece in bits.ones() {
                availability[piece as usize] = availability[piece as usize].saturating_add(1);
            }
        }
        let busy = connected && kind != 3;
        rows.push(PeerRow {
            endpoint: format!("http://10.0.{}.{}:7070", n / 200, 7 + n % 200),
            mirror: n == 4,
            state,
            chokes_us: connected && kind == 3,
            choked_by_us: connected && kind == 2,
            optimistic: n == 1,
            interested: connected && kind != 0,
            rate_down: if busy { 96_000_000 / (n as u64 + 1) } else { 0 },
            rate_up: if connected && kind == 1 { 12_400_000 } else { 0 },
            bytes_down: 1_900_000_000 / (n as u64 + 1),
            bytes_up: if kind == 1 { 310_000_000 } else { 0 },
            rtt_ms: connected.then_some(0.4 + n as f64 * 13.7),
            active: if busy { 4 } else { 0 },
            window: if connected { 8 + n as u32 } else { 0 },
            have: (connected || state == PeerState::Banned).then(|| Bits(Arc::clone(bits))),
            in_flight: if busy { in_flight.iter().copied().skip(n).step_by(6).collect() } else { Vec::new() },
            note: match state {
                PeerState::Failing => "connection refused; tried again in 9s".into(),
                PeerState::Banned => "piece 812 failed its digest; banned for 59m".into(),
                _ => format!("window {} of bandwidth × delay", 8 + n),
            },
        });
    }
    TransferDetail {
        id: TransferId(id),
        generation: 1,
        piece_length: 1 << 20,
        have: Bits(Arc::new(have)),
        in_flight,
        failed,
        availability: Arc::new(availability),
        peers: rows,
        trackers: vec![
            TrackerRow { url: "http://10.0.0.2:7070".into(), peers: 9, error: None, next_ms: WALL_MS + 12_000 },
            TrackerRow { url: "http://10.0.0.3:7070".into(), peers: 0, error: Some("timed out".into()), next_ms: 0 },
        ],
        files: Arc::default(),
        delta: None,
    }
}

/// A node under stress: many transfers, and peers and pieces in the selected one.
pub fn stress(transfers: u64, peers: usize, pieces: u32) -> Snapshot {
    let mut rng = Rng::with_seed(11);
    let states = [TransferState::Running, TransferState::Seeding, TransferState::Queued, TransferState::Paused];
    let rows = (1..=transfers).map(|id| {
        let size = rng.u64(1_000_000..90_000_000_000);
        let rate = rng.u64(0..90_000_000);
        Arc::new(TransferRow {
            rate_down: rate,
            smooth_down: rate,
            eta_s: Some(rng.u64(1..90_000)),
            reason: "rarest first".into(),
            ..row(id, &format!("item-{id:04}.bin"), states[id as usize % 4], size, rng.u64(0..=size))
        })
    });
    Snapshot {
        generation: 1,
        time_ms: WALL_MS,
        transfers: rows.collect(),
        details: [(TransferId(1), Arc::new(detail(1, pieces, 0.6, peers, &mut rng)))].into(),
        log: Arc::new(log()),
        ..Snapshot::default()
    }
}

/// The snapshot a quarter of a second later: rates move, pieces arrive.
pub fn advance(snapshot: &Snapshot, step: u64) -> Snapshot {
    let mut next = snapshot.clone();
    next.generation += 1;
    next.time_ms += 250;
    for row in &mut next.transfers {
        if row.state == TransferState::Running {
            let row = Arc::make_mut(row);
            row.rate_down = (row.rate_down * 9 + (row.id.0 * 7_919 * (step + 1)) % 90_000_000) / 10;
            row.done = (row.done + row.rate_down / 4).min(row.size);
        }
    }
    if let Some(detail) = next.details.get_mut(&TransferId(1)) {
        let detail = Arc::make_mut(detail);
        detail.generation += 1;
        let have = Arc::make_mut(&mut detail.have.0);
        for piece in detail.in_flight.drain(..) {
            have.set(piece);
        }
        let missing: Vec<u32> = have.zeros().skip(step as usize % 97).step_by(31).take(8).collect();
        detail.in_flight = missing;
        for peer in detail.peers.iter_mut().filter(|p| p.rate_down > 0) {
            peer.rate_down = peer.rate_down * 97 / 100 + 1_000 * (step % 7);
            peer.bytes_down += peer.rate_down / 4;
        }
    }
    next
}
