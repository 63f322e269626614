//! Syncs and deltas: the form with its plan, the rows, and the map of a delta.

use std::path::PathBuf;
use std::sync::Arc;

use skep::console::effect::{Effect, PreviewKey};
use skep::console::event::Event;
use skep::console::model::Model;
use skep::console::model::overlay::Overlay;
use skep::console::reduce::reduce;
use skep_engine::content::Bitmap;
use skep_engine::control::sync::{Act, Item, Totals, Was};
use skep_engine::control::{
    Bits, Command, CommandError, CommandErrorKind, DeltaMap, DeltaPhase, DeltaRow, Direction, PathRow, PathState,
    Phase, PhaseRow, Snapshot, SyncPlan, SyncRequest, TransferDetail, TransferId, TransferKind, TransferRow,
    TransferState,
};

use super::fixture::{at, busy, console, press, pushing, text, type_text};
use super::keys::commands;

const SIZES: [(u16, u16); 3] = [(200, 60), (120, 40), (80, 24)];

/// A delta of 64 MiB amid its work: found but for some places, of which some were sent; the end is not known yet.
fn delta_map() -> DeltaMap {
    let cells = 1_024usize;
    let (mut matched, mut literal, mut sent) = (vec![255u8; cells], vec![0u8; cells], vec![0u8; cells]);
    for at in [90, 91, 92, 300, 301, 560, 561, 562, 563, 700] {
        (matched[at], literal[at]) = (0, 255);
    }
    (matched[410], literal[410]) = (190, 65);
    for at in [90, 91, 92, 300, 410] {
        sent[at] = literal[at];
    }
    for at in 880..cells {
        (matched[at], literal[at]) = (if at % 3 == 0 { 255 } else { 0 }, 0);
    }
    let bytes = |shares: &[u8]| shares.iter().map(|share| u64::from(*share) * (64 << 10) / 255).sum();
    DeltaMap {
        size: 64 << 20,
        cell: 64 << 10,
        matched_bytes: bytes(&matched),
        literal_bytes: bytes(&literal),
        sent_bytes: bytes(&sent),
        matched: Arc::new(matched),
        literal: Arc::new(literal),
        sent: Arc::new(sent),
    }
}

/// A node that sends a delta and keeps a tree equal, and to which another sends a delta.
fn syncing() -> Snapshot {
    let phase = |phase, done, total, rate, active| PhaseRow { phase, done, total, rate, active };
    let map = delta_map();
    let delta = TransferRow {
        id: TransferId(31),
        kind: TransferKind::Send,
        name: "warehouse.db".into(),
        strategy: "transit-delta-differential".into(),
        strategy_reason: "asked for".into(),
        direction: Direction::Up,
        state: TransferState::Running,
        reason: "sends what is not there".into(),
        size: map.size,
        done: map.matched_bytes + map.sent_bytes,
        pieces: 1,
        files: 1,
        rate_up: 612_000,
        smooth_up: 598_000,
        eta_s: Some(2),
        peers: 1,
        peers_known: 1,
        dest: "http://203.0.113.6:7070/".into(),
        delta: Some(DeltaRow {
            phase: DeltaPhase::Sending,
            rounds: 3,
            matched: map.matched_bytes,
            literal: map.literal_bytes,
            sent: map.sent_bytes,
            savings_percent: None,
        }),
        phases: vec![
            phase(Phase::Signatures, 67_108_864, 67_108_864, 402_000_000, false),
            phase(Phase::Matching, 62_000_000, 67_108_864, 310_000_000, true),
            phase(Phase::Sending, map.sent_bytes, map.literal_bytes, 598_000, true),
            phase(Phase::Patching, 57_000_000, 67_108_864, 95_000_000, true),
        ],
        paths: vec![PathRow {
            path: "http://203.0.113.6:7070".into(),
            state: PathState::Healthy,
            latency_ms: 81.0,
            rate: 612_000,
            share: 1.0,
            ..PathRow::default()
        }],
        path: "/srv/warehouse.db".into(),
        ..TransferRow::default()
    };
    let done = TransferRow {
        id: TransferId(32),
        name: "warehouse-yesterday.db".into(),
        state: TransferState::Done,
        reason: String::new(),
        done: map.size,
        wire_bytes: 1_310_000,
        verified: true,
        rate_up: 0,
        eta_s: None,
        delta: Some(DeltaRow {
            matched: 66_000_000,
            literal: 1_108_864,
            sent: 1_108_864,
            savings_percent: Some(98.05),
            ..DeltaRow::default()
        }),
        phases: vec![phase(Phase::Sending, 1_108_864, 1_108_864, 598_000, false)],
        ..delta.clone()
    };
    let sync = TransferRow {
        id: TransferId(33),
        kind: TransferKind::Sync,
        name: "photos".into(),
        strategy: "transit-tree-sync".into(),
        strategy_reason: "digests of folders tell what differs".into(),
        direction: Direction::Up,
        state: TransferState::Running,
        size: 840_000_000,
        done: 361_000_000,
        files: 31_204,
        rate_up: 12_400_000,
        smooth_up: 12_100_000,
        eta_s: Some(39),
        dest: "http://203.0.113.6:7070/backup/".into(),
        sync: Some(Totals {
            entries: 31_204,
            bytes: 96_000_000_000,
            new: 210,
            changed: 14,
            moved: 33,
            folders: 3,
            touched: 9,
            deleted: 5,
            send_bytes: 840_000_000,
            reused_bytes: 2_100_000_000,
            ..Totals::default()
        }),
        phases: vec![
            phase(Phase::Scanning, 31_204, 31_204, 0, false),
            phase(Phase::Comparing, 31_204, 31_204, 0, false),
            phase(Phase::Sending, 361_000_000, 840_000_000, 12_100_000, true),
        ],
        path: "/srv/photos".into(),
        ..TransferRow::default()
    };
    let received = TransferRow {
        id: TransferId(34),
        kind: TransferKind::Receive,
        name: "ledger.sqlite".into(),
        from: "10.0.0.7:7070".into(),
        direction: Direction::Down,
        reason: "a delta is applied: the old file stays until the new one is whole".into(),
        rate_up: 0,
        smooth_up: 0,
        rate_down: 480_000,
        smooth_down: 470_000,
        dest: String::new(),
        phases: vec![phase(Phase::Patching, map.matched_bytes + map.sent_bytes, map.size, 95_000_000, true)],
        paths: Vec::new(),
        ..delta.clone()
    };
    let detail = |id| TransferDetail {
        id: TransferId(id),
        generation: 1,
        piece_length: map.cell,
        have: Bits(Arc::new(Bitmap::empty(map.len() as u32))),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::new(vec![("warehouse.db".into(), map.size)]),
        delta: Some(Arc::new(map.clone())),
    };
    let mut snapshot = busy();
    snapshot.transfers = [delta, done, sync, received].into_iter().map(Arc::new).collect();
    snapshot.details = [31, 34].into_iter().map(|id| (TransferId(id), Arc::new(detail(id)))).collect();
    snapshot
}

#[test]
fn a_delta_is_shown_where_it_is() {
    for (width, height) in SIZES {
        let mut model = console(width, height, syncing());
        insta::assert_snapshot!(format!("delta_{width}x{height}"), text(&model));
        press(&mut model, "2 z");
        insta::assert_snapshot!(format!("delta_expanded_{width}x{height}"), text(&model));
    }
    let mut model = console(120, 40, syncing());
    press(&mut model, "2 Z Z");
    let shown = text(&model);
    assert!(shown.contains("exact") && shown.contains("not known yet"), "{shown}");
    for size in [(60, 20), (40, 10)] {
        let mut model = console(size.0, size.1, syncing());
        press(&mut model, "2");
        assert!(text(&model).contains("found there"), "{}", text(&model));
    }
}

#[test]
fn syncs_are_rows_and_say_what_they_do() {
    for (width, height) in SIZES {
        let mut model = console(width, height, syncing());
        press(&mut model, "j j");
        insta::assert_snapshot!(format!("syncs_{width}x{height}"), text(&model));
    }
    let mut model = console(120, 40, syncing());
    press(&mut model, "j");
    assert!(text(&model).contains("98.0% saved: 1.31 MB on the wire"), "{}", text(&model));
}

#[test]
fn the_pieces_of_a_push_are_what_its_receiver_holds() {
    for (width, height) in SIZES {
        let mut model = console(width, height, pushing());
        press(&mut model, "G 2");
        insta::assert_snapshot!(format!("segments_{width}x{height}"), text(&model));
    }
    // At rest its peers are gone, what came by which path is not.
    let mut resting = pushing();
    let push = Arc::make_mut(resting.transfers.last_mut().unwrap());
    push.state = TransferState::Paused;
    push.paths.iter_mut().for_each(PathRow::rest);
    Arc::make_mut(resting.details.get_mut(&TransferId(10)).unwrap()).peers.clear();
    let mut model = console(120, 40, resting);
    press(&mut model, "G 2 j");
    let shown = text(&model);
    assert!(shown.contains("segments held by the receiver") && shown.contains("fibre"), "{shown}");
    assert!(!shown.contains("no peer is known"), "{shown}");
    assert_eq!(commands(&press(&mut model, "B")), [], "a path is no peer");
}

/// What was asked last.
fn asked(effects: &[Effect]) -> PreviewKey {
    let asks = effects.iter().rev().find_map(|effect| match effect {
        Effect::Preview(asks) => asks.last(),
        _ => None,
    });
    asks.unwrap_or_else(|| panic!("nothing is asked: {effects:?}")).key.clone()
}

/// A form for a folder and where to, and what was asked.
fn form(model: &mut Model) -> PreviewKey {
    model.settings.home = Some("/home/op".into());
    type_text(model, "y/srv/photos");
    press(model, "tab");
    asked(&type_text(model, "203.0.113.6:7070/backup/"))
}

fn plan(deleted: u64) -> SyncPlan {
    let item = |path: &str, act, was| Item { path: path.into(), act, was };
    let send = |size| Act::Send { size, basis: None };
    let mut items = vec![
        item("", Act::Touch, Was::Folder),
        item("2026/03/IMG_0412.jpg", send(4_310_000), Was::Nothing),
        item("2026/03/IMG_0413.jpg", send(3_990_000), Was::Nothing),
        item("catalogue.db", send(812_000_000), Was::File),
        item("2026/02/a-very-long-folder-name-for-the-trip/panorama-of-the-bay.tif", send(204_000_000), Was::Nothing),
        item("best/bay.tif", Act::Reuse { from: "2025/bay.tif".into(), size: 98_000_000, copy: false }, Was::Nothing),
        item("2026/03", Act::Folder, Was::Nothing),
        item("latest", Act::Symlink { target: "2026/03".into() }, Was::Nothing),
        item("thumbs", Act::Leave { why: "a folder stands there".into() }, Was::Folder),
    ];
    for n in 0..deleted {
        items.push(item(&format!("trash/{n:03}.jpg"), Act::Delete { size: 1_200_000 }, Was::File));
    }
    SyncPlan {
        to: "backup/photos".into(),
        totals: Totals {
            entries: 31_204,
            bytes: 96_000_000_000,
            new: 3,
            changed: 1,
            moved: 1,
            folders: 1,
            symlinks: 1,
            touched: 1,
            left: 1,
            deleted,
            send_bytes: 1_024_300_000,
            reused_bytes: 98_000_000,
            extra: if deleted > 0 { 0 } else { 7 },
            ..Totals::default()
        },
        items,
        more: 0,
        skipped: vec![("run.sock".into(), "a socket".into())],
        wire_bytes: 4_210,
    }
}

#[test]
fn the_form_shows_what_would_be_done() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = console(width, height, syncing());
        type_text(&mut model, "y");
        insta::assert_snapshot!(format!("sync_empty_{width}x{height}"), text(&model));
        press(&mut model, "esc");
        let key = form(&mut model);
        insta::assert_snapshot!(format!("sync_asked_{width}x{height}"), text(&model));
        reduce(&mut model, Event::Plan(key, Ok(Box::new(plan(0)))), at(1));
        press(&mut model, "tab");
        insta::assert_snapshot!(format!("sync_plan_{width}x{height}"), text(&model));
        let key = asked(&press(&mut model, "space"));
        reduce(&mut model, Event::Plan(key, Ok(Box::new(plan(60)))), at(2));
        insta::assert_snapshot!(format!("sync_deletes_{width}x{height}"), text(&model));
        let before = text(&model);
        press(&mut model, "pgdn");
        if height > 10 {
            assert!(text(&model) != before, "it scrolls");
            press(&mut model, "pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn pgdn");
            assert!(text(&model).contains("touched"), "to its end: {}", text(&model));
            press(&mut model, "pgup pgup pgup pgup pgup pgup pgup pgup pgup pgup pgup pgup pgup pgup");
            assert_eq!(text(&model), before);
        }
        assert_eq!(press(&mut model, "enter"), []);
        insta::assert_snapshot!(format!("sync_confirm_{width}x{height}"), text(&model));
    }
}

fn only(effects: Vec<Effect>) -> SyncRequest {
    match <[Effect; 1]>::try_from(effects) {
        Ok([Effect::Command { command: Command::Sync(request), told: "sync" }]) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_deleted_unless_the_word_is_typed() {
    let expected = SyncRequest {
        path: PathBuf::from("/srv/photos"),
        dest: "http://203.0.113.6:7070/backup/".into(),
        ..SyncRequest::default()
    };
    // Without deletions there is no question.
    let mut model = console(120, 40, syncing());
    let key = form(&mut model);
    reduce(&mut model, Event::Plan(key, Ok(Box::new(plan(0)))), at(1));
    assert_eq!(only(press(&mut model, "enter")), expected);
    assert!(model.overlays.is_empty());
    // With them Enter asks, Esc goes back to the form, Enter alone keeps what is there, the word deletes it, and no more than was
    // shown.
    for (keys, delete, max_delete) in [
        ("enter enter", false, None),
        ("enter d e l e t e enter", true, Some(60)),
        ("enter esc enter enter", false, None),
    ] {
        let mut model = console(120, 40, syncing());
        form(&mut model);
        let key = asked(&press(&mut model, "tab space"));
        reduce(&mut model, Event::Plan(key, Ok(Box::new(plan(60)))), at(1));
        let request = only(press(&mut model, keys));
        assert_eq!(request, SyncRequest { delete, max_delete, ..expected.clone() }, "{keys}");
        assert!(model.overlays.is_empty(), "{keys}");
    }
    // Half a word does nothing.
    let mut model = console(120, 40, syncing());
    form(&mut model);
    press(&mut model, "tab space");
    assert_eq!(press(&mut model, "enter d e l enter"), []);
    // What is not known yet is asked about as well.
    let mut model = console(120, 40, syncing());
    form(&mut model);
    press(&mut model, "tab space");
    assert_eq!(press(&mut model, "enter"), []);
    assert!(text(&model).contains("is not known yet"), "{}", text(&model));
}

#[test]
fn what_is_typed_becomes_the_request() {
    let mut model = console(120, 40, syncing());
    form(&mut model);
    press(&mut model, "tab tab");
    type_text(&mut model, "*.tmp /cache");
    press(&mut model, "tab space tab space tab");
    type_text(&mut model, "5M");
    let request = only(press(&mut model, "enter"));
    let expected = SyncRequest {
        path: PathBuf::from("/srv/photos"),
        dest: "http://203.0.113.6:7070/backup/".into(),
        checksum: true,
        rules: vec!["*.tmp".into(), "/cache".into()],
        watch: true,
        up: Some(5_000_000),
        ..SyncRequest::default()
    };
    assert_eq!(request, expected);
}

#[test]
fn what_cannot_be_synced_is_said_before_enter() {
    let error = |kind, words: &str| Err(CommandError::new(kind, words));
    let mut model = console(120, 40, syncing());
    let key = form(&mut model);
    reduce(
        &mut model,
        Event::Plan(key.clone(), error(CommandErrorKind::NotFound, "cannot sync it: no such folder")),
        at(1),
    );
    assert_eq!(commands(&press(&mut model, "enter")), []);
    assert!(text(&model).contains("no such folder"), "{}", text(&model));
    // A receiver that is away may come back: that does not stop anybody.
    reduce(&mut model, Event::Plan(key, error(CommandErrorKind::Unavailable, "connection refused")), at(2));
    assert!(text(&model).contains("connection refused; Enter syncs all the same"), "{}", text(&model));
    assert_eq!(commands(&press(&mut model, "enter")).len(), 1);
    // A rule that is none.
    let mut model = console(120, 40, syncing());
    form(&mut model);
    press(&mut model, "tab tab");
    type_text(&mut model, "[z-a]");
    assert_eq!(commands(&press(&mut model, "enter")), []);
    assert!(matches!(model.overlays.last(), Some(Overlay::Form(_))));
    // An answer to what was typed before is none to what stands there now.
    let mut model = console(120, 40, syncing());
    let key = form(&mut model);
    type_text(&mut model, "x");
    reduce(&mut model, Event::Plan(key, Ok(Box::new(plan(3)))), at(3));
    assert!(!text(&model).contains("what would be done there"));
}

#[test]
fn a_filter_with_an_unknown_key_stays_until_it_is_right() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut model = console(width, height, busy());
        type_text(&mut model, "/sise>1G");
        press(&mut model, "enter");
        assert!(matches!(model.overlays.last(), Some(Overlay::Filter(_))));
        let shown = text(&model);
        assert!(shown.contains("there is no sise") && shown.contains("priority"), "every key is named: {shown}");
        for _ in 0.."sise>1G".len() {
            press(&mut model, "backspace");
        }
        type_text(&mut model, "size>1G");
        press(&mut model, "enter");
        assert!(model.overlays.is_empty());
        assert!(model.transfers.rows.len() < 9);
    }
}
