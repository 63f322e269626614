//! Back in time, playing a recording, and other nodes: keys in, moments out.

use std::sync::Arc;

use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::model::Model;
use skep::console::recording::{Recorded, Seek};
use skep::console::reduce::reduce;
use skep::console::targets::{Target, TargetSettings};
use skep_engine::control::{
    Command, CommandError, CommandErrorKind, Connection, LogLine, Snapshot, TransferId, TransferState,
};

use super::fixture::{WALL_MS, advance, at, busy, console, empty, press, text};

/// A console whose node is recorded.
fn recorded(width: u16, height: u16) -> Model {
    let mut model = console(width, height, busy());
    model.settings.recorded = true;
    model
}

/// The busy node `seconds` before the fixture's moment: the first transfer had less, and the last two
/// were not there yet; the log was shorter.
fn before(seconds: u64) -> Snapshot {
    let mut snapshot = busy();
    snapshot.generation = 1_000_000 - seconds;
    snapshot.time_ms = WALL_MS - seconds * 1_000;
    let row = Arc::make_mut(&mut snapshot.transfers[0]);
    (row.done, row.rate_down) = (1_000_000_000, 33_000_000);
    snapshot.transfers.truncate(7);
    Arc::make_mut(&mut snapshot.node).rate_down = 33_000_000;
    snapshot.log = Arc::new(snapshot.log[..3].to_vec());
    snapshot
}

fn moment(seconds: u64) -> Recorded {
    let time_ms = WALL_MS - seconds * 1_000;
    Recorded {
        time_ms,
        snapshot: Arc::new(before(seconds)),
        rates: (0..15).map(|n| (time_ms - (14 - n) * 1_000, 30_000_000 + n * 200_000, 1_000)).collect(),
        first_ms: WALL_MS - 600_000,
        last_ms: WALL_MS,
        before: false,
        beyond: false,
    }
}

#[track_caller]
fn asked(effects: &[Effect]) -> (u64, Seek) {
    match effects {
        [Effect::Seek { number, seek }] => (*number, *seek),
        other => panic!("{other:?}"),
    }
}

fn answer(model: &mut Model, number: u64, recorded: Recorded) -> Vec<Effect> {
    let now = model.now;
    reduce(model, Event::Recorded { number, result: Ok(recorded) }, now)
}

/// Goes back so many seconds.
fn go_back(model: &mut Model, seconds: u64) {
    let (number, _) = asked(&press(model, "["));
    assert_eq!(answer(model, number, moment(seconds)), []);
}

#[test]
fn keys_ask_for_moments() {
    let cases = [("[", 0, -1), ("{", -60_000, 0)];
    for (key, ms, moments) in cases {
        let mut model = recorded(120, 40);
        assert_eq!(asked(&press(&mut model, key)).1, Seek { from_ms: WALL_MS, ms, moments }, "{key}");
    }
    let cases = [("[", 0, -1), ("]", 0, 1), ("{", -60_000, 0), ("}", 60_000, 0)];
    for (key, ms, moments) in cases {
        let mut model = recorded(120, 40);
        go_back(&mut model, 100);
        assert_eq!(asked(&press(&mut model, key)).1, Seek { from_ms: WALL_MS - 100_000, ms, moments }, "{key}");
    }
    for (key, why) in [("]", "this is now already"), ("}", "this is now already")] {
        let mut model = recorded(120, 40);
        assert_eq!(press(&mut model, key), []);
        assert_eq!(model.toasts.shown().unwrap().0.text, why);
    }
    let mut unrecorded = console(120, 40, busy());
    assert_eq!(press(&mut unrecorded, "["), []);
    assert!(text(&unrecorded).contains("nothing is recorded"));
}

#[test]
fn steps_that_come_faster_than_answers_add_up() {
    let mut model = recorded(120, 40);
    let (number, _) = asked(&press(&mut model, "[ [ [ {"));
    let (next, seek) = asked(&answer(&mut model, number, moment(1)));
    assert_eq!(seek, Seek { from_ms: WALL_MS - 1_000, ms: -60_000, moments: -2 });
    assert_eq!(answer(&mut model, next, moment(63)), []);
    assert!(text(&model).contains("PAST 12:02:41, 1m03s ago"));
}

#[test]
fn every_pane_shows_that_moment() {
    let mut model = recorded(120, 40);
    assert!(text(&model).contains("disk full"));
    go_back(&mut model, 90);
    let shown = text(&model);
    let header = shown.lines().next().unwrap();
    assert!(header.starts_with("  PAST 12:02:14, 1m30s ago "), "{header}");
    assert!(!header.contains("12:03:44"), "one clock is enough: {header}");
    assert_eq!(shown.matches("33.0 MB/s").count(), 3, "node, row, pieces: {shown}");
    assert!(!shown.contains("archive-2019"), "it was not there yet");
    assert!(!shown.contains("disk full"), "nor was this line said");
    assert!(shown.contains("unchoked us"));
    assert!(shown.lines().last().unwrap().contains("Esc now"), "{shown}");
    press(&mut model, "esc");
    let shown = text(&model);
    assert!(!shown.contains("PAST") && shown.contains("disk full") && shown.contains("archive-2019"));
    go_back(&mut model, 90);
    press(&mut model, "p esc");
    assert!(!text(&model).contains("you look at the past"), "said of a moment that is left");
}

#[test]
fn now_goes_on_behind_the_past() {
    let mut model = recorded(120, 40);
    go_back(&mut model, 90);
    let past = text(&model);
    let mut next = advance(&busy(), 3);
    Arc::make_mut(&mut next.transfers[3]).state = TransferState::Failed;
    let mut log = Vec::clone(&next.log);
    let line = LogLine { seq: log.len() as u64, message: "news of now".into(), ..LogLine::clone(&log[0]) };
    log.push(Arc::new(line));
    next.log = Arc::new(log);
    assert_eq!(reduce(&mut model, Event::Snapshot(Arc::new(next.clone())), at(0)), []);
    let said = model.toasts.shown().unwrap().0.text.clone();
    assert!(said.contains("weights-70b.safetensors failed"), "{said}");
    model.toasts.clear();
    assert_eq!(text(&model), past, "the past does not move");
    press(&mut model, "esc");
    assert_eq!(*model.snapshot, next);
    assert!(text(&model).contains("news of now"));
}

#[test]
fn the_selection_does_not_jump() {
    let mut model = recorded(120, 40);
    press(&mut model, "m G");
    assert_eq!(model.transfers.selected, Some(TransferId(9)));
    let (number, _) = asked(&press(&mut model, "["));
    assert_eq!(answer(&mut model, number, moment(90)), [], "nor is the engine told of another focus");
    assert_eq!(model.transfers.selected, Some(TransferId(9)), "though it was not there then");
    assert!(text(&model).contains("select a transfer"));
    press(&mut model, "esc");
    assert_eq!(model.transfers.selected, Some(TransferId(9)));
    assert!(model.transfers.marked.contains(&TransferId(1)));
    press(&mut model, "[");
    press(&mut model, "esc");
    assert!(model.travel.past.is_none(), "an answer that comes too late takes nobody back");
    answer(&mut model, number + 1, moment(90));
    assert!(model.travel.past.is_none());
}

#[test]
fn the_past_takes_no_commands() {
    for keys in ["p", "x", "d", "v", "<", "L", "a", "S", "P", "N", "b u"] {
        let mut model = recorded(120, 40);
        go_back(&mut model, 90);
        let effects = press(&mut model, keys);
        assert!(!effects.iter().any(|e| matches!(e, Effect::Command { .. })), "{keys}: {effects:?}");
        assert!(text(&model).contains("you look at the past; Esc returns to now"), "{keys}");
    }
    let mut model = recorded(120, 40);
    go_back(&mut model, 90);
    let link = format!("skep://10.0.0.2:7070/{}", "ab".repeat(32));
    assert_eq!(reduce(&mut model, Event::Paste(link), at(0)), []);
    assert!(model.overlays.is_empty());
}

/// Wishes are of now: the past does not show them, and an answer that comes meanwhile counts.
#[test]
fn wishes_wait_for_now() {
    let mut model = recorded(120, 40);
    press(&mut model, "p j p");
    go_back(&mut model, 90);
    assert!(!text(&model).contains("PAUSING"));
    let error = CommandError::new(CommandErrorKind::Conflict, "it has ended");
    reduce(&mut model, Event::Answer { told: "pause", ids: vec![TransferId(1)], result: Err(error) }, at(10));
    press(&mut model, "esc");
    let shown = text(&model);
    assert_eq!(shown.matches("PAUSING").count(), 1, "{shown}");
}

#[test]
fn both_ends_of_the_recording() {
    let mut model = recorded(120, 40);
    let (number, _) = asked(&press(&mut model, "{"));
    answer(&mut model, number, Recorded { before: true, ..moment(600) });
    assert!(text(&model).contains("the recording begins here"));
    let (number, _) = asked(&press(&mut model, "}"));
    answer(&mut model, number, Recorded { beyond: true, ..moment(0) });
    assert!(model.travel.past.is_none(), "behind the last moment is now");
    let (number, _) = asked(&press(&mut model, "["));
    let now = model.now;
    reduce(&mut model, Event::Recorded { number, result: Err("the disk is gone".into()) }, now);
    assert!(text(&model).contains("cannot go there: the disk is gone") && model.travel.past.is_none());
}

#[test]
fn quitting_in_the_past_asks_for_now() {
    let mut model = recorded(120, 40);
    go_back(&mut model, 90);
    assert_eq!(press(&mut model, "q"), []);
    assert!(text(&model).contains("7 transfers are not complete") || text(&model).contains("not complete"));
    assert_eq!(press(&mut model, "enter"), [Effect::Quit]);
}

#[test]
fn a_lost_connection_shows_in_the_past_too() {
    let mut model = recorded(120, 40);
    go_back(&mut model, 90);
    let lost = Connection::Lost { error: "refused".into(), attempts: 1, retry_at_ms: WALL_MS + 4_000 };
    reduce(&mut model, Event::Connection(lost), at(0));
    let header = text(&model).lines().next().unwrap().to_owned();
    assert!(header.contains("PAST") && header.contains("LOST"), "{header}");
    assert!(text(&model).lines().nth(1).unwrap().contains("33.0 MB/s"), "rates of that moment are facts");
}

#[test]
fn frames_of_the_past() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = recorded(width, height);
        go_back(&mut model, 754);
        insta::assert_snapshot!(format!("past_{width}x{height}"), text(&model));
    }
}

/// A recording that is played, at its first moment.
fn replay(width: u16, height: u16) -> Model {
    let mut model = empty(width, height);
    model.settings.replay = true;
    model.settings.recorded = true;
    model.settings.read_only = true;
    model.settings.embedded = false;
    model.settings.target = "monday.skeprec".into();
    let (number, seek) = asked(&reduce(&mut model, Event::Replay, at(0)));
    assert_eq!(seek, Seek::default());
    answer(&mut model, number, Recorded { before: true, ..moment(600) });
    model
}

#[test]
fn a_recording_plays_at_any_speed_and_stops() {
    let mut model = replay(120, 40);
    let now = |model: &Model| text(model).lines().next().unwrap().to_owned();
    assert!(now(&model).starts_with("  STOPPED 1x 11:53:44, 0s of 10m00s "), "{}", now(&model));
    assert!(model.toasts.shown().is_none());
    assert_eq!(reduce(&mut model, Event::Tick, at(5_000)), [], "it stands");
    press(&mut model, "space");
    assert!(now(&model).contains("PLAYING 1x"));
    let (number, seek) = asked(&reduce(&mut model, Event::Tick, at(7_000)));
    assert_eq!(seek, Seek { from_ms: WALL_MS - 600_000, ms: 2_000, moments: 0 });
    assert_eq!(reduce(&mut model, Event::Tick, at(7_250)), [], "one question at a time");
    answer(&mut model, number, moment(598));
    press(&mut model, "+ +");
    assert!(now(&model).contains("PLAYING 4x 11:53:46, 2s of 10m00s"), "{}", now(&model));
    let (number, seek) = asked(&reduce(&mut model, Event::Tick, at(8_250)));
    assert_eq!((seek.from_ms, seek.ms), (WALL_MS - 598_000, 4_000));
    answer(&mut model, number, Recorded { beyond: true, ..moment(0) });
    assert!(now(&model).contains("STOPPED 4x 12:03:44, 10m00s of 10m00s"), "{}", now(&model));
    assert!(text(&model).contains("the recording ends here"));
    let (_, seek) = asked(&press(&mut model, "space"));
    assert_eq!(seek.from_ms, WALL_MS - 600_000, "from the end it begins anew");
    press(&mut model, "space - - - - -");
    assert!(text(&model).contains("it does not go slower"));
}

#[test]
fn a_hand_on_the_tape_stops_it() {
    let mut model = replay(120, 40);
    press(&mut model, "space");
    asked(&press(&mut model, "}"));
    assert!(model.travel.player.since.is_none());
}

#[test]
fn a_recording_takes_no_commands_and_esc_does_not_leave_it() {
    for keys in ["p", "x", "a", "2 p", "W", "@"] {
        let mut model = replay(120, 40);
        let effects = press(&mut model, keys);
        assert_eq!(effects, [], "{keys}");
        assert!(model.overlays.is_empty(), "{keys}");
    }
    let mut model = replay(120, 40);
    press(&mut model, "esc");
    assert!(model.travel.past.is_some());
    assert_eq!(press(&mut model, "q"), [Effect::Quit]);
    reduce(&mut model, Event::Snapshot(Arc::default()), at(1));
    assert!(text(&model).contains("ubuntu"), "nothing comes between");
}

#[test]
fn frames_of_a_replay() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        insta::assert_snapshot!(format!("replay_{width}x{height}"), text(&replay(width, height)));
    }
}

fn target(name: &str, address: &str, embedded: bool, read_only: bool) -> Target {
    Target { name: name.into(), address: address.into(), embedded, read_only }
}

fn with_targets(width: u16, height: u16) -> Model {
    let mut model = recorded(width, height);
    model.settings.targets = vec![
        target("this node", "embedded", true, false),
        target("attic", "http://10.0.0.5:7070", false, false),
        target("lab", "http://lab.example.org:7070", false, true),
    ];
    model
}

fn switch(model: &mut Model, at_place: usize) {
    let target = model.settings.targets[at_place].clone();
    let settings = TargetSettings { target: target.address, embedded: target.embedded, read_only: target.read_only };
    let now = model.now;
    reduce(model, Event::Switched { at: at_place, settings }, now);
}

#[test]
fn another_node_is_chosen_from_the_list() {
    let cases: &[(&str, &[Effect])] = &[
        ("@ enter", &[]),
        ("@ j enter", &[Effect::Switch(1)]),
        ("@ j j j j enter", &[Effect::Switch(2)]),
        ("@ j esc", &[]),
        ("@ G g g j enter", &[Effect::Switch(1)]),
        ("@ j @", &[]),
    ];
    for (keys, effects) in cases {
        let mut model = with_targets(120, 40);
        assert_eq!(press(&mut model, keys), *effects, "{keys}");
        assert!(model.overlays.is_empty(), "{keys}");
    }
}

#[test]
fn switching_keeps_the_operators_view_and_nothing_of_the_node() {
    let mut model = with_targets(120, 40);
    press(&mut model, "t j enter o o p 7 z");
    go_back(&mut model, 90);
    let (theme, sort) = (Arc::clone(&model.theme), model.transfers.sort);
    switch(&mut model, 2);
    assert!(Arc::ptr_eq(&model.theme, &theme));
    assert_eq!(model.transfers.sort, sort);
    assert!(model.expanded.is_some() && model.travel.past.is_none());
    assert_eq!((model.snapshot.transfers.len(), model.transfers.selected), (0, None));
    let shown = text(&model);
    assert!(!shown.contains("ubuntu") && !shown.contains("unchoked"), "{shown}");
    let lost = Connection::Lost { error: "connecting".into(), attempts: 0, retry_at_ms: 0 };
    reduce(&mut model, Event::Connection(lost), at(10));
    let header = |model: &Model| text(model).lines().next().unwrap().to_owned();
    assert!(header(&model).contains("skep lab  NO DATA YET"), "{}", header(&model));
    assert!(model.toasts.all().iter().all(|toast| !toast.text.contains("lost")), "it was never there");
    let lost = Connection::Lost { error: "connection refused".into(), attempts: 2, retry_at_ms: WALL_MS + 4_000 };
    reduce(&mut model, Event::Connection(lost), at(20));
    assert!(header(&model).contains("retrying in 4s (attempt 3): connection refused"), "{}", header(&model));
    reduce(&mut model, Event::Connection(Connection::Live), at(30));
    reduce(&mut model, Event::Snapshot(Arc::new(busy())), at(40));
    assert!(header(&model).contains("READ-ONLY   REMOTE  lab"), "{}", header(&model));
    assert_eq!(press(&mut model, "1 p"), [], "nothing can be changed there");
}

/// An answer that was asked of the node before must not be taken for one of this.
#[test]
fn answers_of_the_former_node_are_not_taken() {
    let mut model = with_targets(120, 40);
    let (number, _) = asked(&press(&mut model, "["));
    switch(&mut model, 1);
    let (next, _) = asked(&press(&mut model, "["));
    assert_ne!(number, next);
    answer(&mut model, number, moment(90));
    assert!(model.travel.past.is_none());
}

#[test]
fn a_node_that_cannot_be_opened_leaves_everything_as_it_is() {
    let mut model = with_targets(120, 40);
    reduce(&mut model, Event::NotSwitched("cannot show attic: no token".into()), at(1));
    let shown = text(&model);
    assert!(shown.contains("cannot show attic: no token") && shown.contains("ubuntu"));
    assert_eq!(model.settings.target_at, 0);
}

#[test]
fn quitting_names_what_would_end() {
    let mut model = with_targets(120, 40);
    switch(&mut model, 1);
    assert_eq!(press(&mut model, "q"), [], "the node of this console is out of sight, not out of mind");
    assert!(text(&model).contains("Another one lives in this console"), "{}", text(&model));
    assert_eq!(press(&mut model, "enter"), [Effect::Quit]);
    let mut attached = with_targets(120, 40);
    attached.settings.targets.remove(0);
    attached.settings.embedded = false;
    assert_eq!(press(&mut attached, "q"), [Effect::Quit]);
    let mut demo = recorded(120, 40);
    demo.settings.fleeting = true;
    press(&mut demo, "q");
    let shown = text(&demo);
    assert!(shown.contains("leaves nothing behind") && !shown.contains("go on when skep"), "{shown}");
}

#[test]
fn frames_of_the_list_of_nodes() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = with_targets(width, height);
        press(&mut model, "@ j");
        insta::assert_snapshot!(format!("nodes_{width}x{height}"), text(&model));
    }
    let mut alone = recorded(80, 24);
    alone.settings.targets = vec![target("this node", "embedded", true, false)];
    press(&mut alone, "@");
    assert!(text(&alone).contains("targets = [\"NAME=URL\"]"), "{}", text(&alone));
}

#[test]
fn saving_is_asked_for_and_told() {
    let mut model = recorded(120, 40);
    assert_eq!(press(&mut model, "W"), [Effect::SaveRecording]);
    let path = std::path::PathBuf::from("/tmp/skep-hive-20260314-120344.skeprec");
    reduce(&mut model, Event::Saved(Ok((path, 12_000_000))), at(1));
    assert!(text(&model).contains("12.0 MB saved: skep attach --replay /tmp/skep-hive"), "{}", text(&model));
    reduce(&mut model, Event::Saved(Err("no room".into())), at(2));
    assert!(text(&model).contains("the recording is not saved: no room"));
    let commands = |e: &Effect| matches!(e, Effect::Command { command: Command::Pause { .. }, .. });
    assert!(!press(&mut model, "W").iter().any(commands));
}
