//! Panes 4 and 5, the probe dialog, and what the header says of links.

use std::sync::Arc;

use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::glyphs::GlyphChoice;
use skep::console::model::Model;
use skep::console::model::toast::ToastLevel;
use skep::console::panes::PaneId;
use skep::console::reduce::reduce;
use skep::console::view::layout::Layout;
use skep_engine::control::link::{
    ClassChoice, LinkChangeRequest, LinkClass, LinkHistory, LinkRow, Measurement, PendingClass, ProbeReport,
    ProbeRequest, SyncMode, SyncParams,
};
use skep_engine::control::queue::{
    BehindRow, ClassTotals, PurgeRequest, QueueId, QueueMove, QueueRow, QueueState, QueueView,
};
use skep_engine::control::{Command, CommandError, CommandErrorKind, PriorityClass, Reply, Snapshot, TransferId};

use super::fixture::{WALL_MS, at, busy, console, empty, press, pushing, text, type_text};
use super::keys::commands;

const SKY: &str = "http://sat-7:7070";
const VAN: &str = "http://van-42:7070";

fn params(class: LinkClass) -> SyncParams {
    let (mode, compression, chunk, interval, concurrent) = match class {
        LinkClass::Fiber => (SyncMode::Full, None, 16 << 20, Some(1_000), 10),
        LinkClass::Broadband => (SyncMode::FullCompressed, Some(3), 4 << 20, Some(5_000), 5),
        LinkClass::Mobile => (SyncMode::DeltaOnly, Some(6), 256 << 10, Some(30_000), 2),
        LinkClass::Satellite => (SyncMode::DeltaCompressed, Some(12), 64 << 10, Some(60_000), 1),
        LinkClass::Intermittent => (SyncMode::StoreAndForward, Some(12), 32 << 10, None, 1),
        LinkClass::Unknown => (SyncMode::DeltaCompressed, Some(6), 128 << 10, Some(30_000), 2),
    };
    let slow = !matches!(class, LinkClass::Fiber | LinkClass::Broadband);
    SyncParams {
        mode,
        summary_only: class == LinkClass::Satellite,
        compression,
        chunk_bytes: chunk,
        interval_ms: interval,
        concurrent,
        queued: slow,
    }
}

fn link(endpoint: &str, class: LinkClass, figures: Option<(f64, f64, f64, f64)>, why: &str) -> LinkRow {
    let measured = |time_ms| Measurement {
        measured_at: time_ms,
        bandwidth_mbps: figures.map(|f| f.0),
        latency_ms: figures.map(|f| f.1),
        jitter_ms: figures.map(|f| f.2),
        loss_percent: figures.map(|f| f.3),
        probe_bytes: 65_536,
        failed: figures.is_none(),
        ..Measurement::default()
    };
    LinkRow {
        endpoint: endpoint.into(),
        class,
        why: why.into(),
        class_since_ms: WALL_MS - 192_000,
        median: measured(WALL_MS),
        newest: measured(WALL_MS),
        samples: 27,
        params: params(class),
        probe_bytes: 1_204_000,
        probe_budget: 31_250,
        probe_interval_ms: 5_000,
        ..LinkRow::default()
    }
}

/// The links of a node: by endpoint, as snapshots have them.
fn links() -> Vec<Arc<LinkRow>> {
    let mut links = vec![
        link(
            "http://hive:7070",
            LinkClass::Fiber,
            Some((487.0, 2.1, 0.1, 0.0)),
            "487 Mbit/s > 100 and latency 2.1 ms < 10",
        ),
        LinkRow {
            forced: true,
            ..link("http://203.0.113.6:7070", LinkClass::Broadband, Some((48.7, 21.0, 1.2, 0.0)), "latency 21 ms < 50")
        },
        LinkRow {
            pending: Some(PendingClass {
                class: LinkClass::Satellite,
                samples: 1,
                needed: 3,
                why: "latency 640 ms > 500".into(),
            }),
            metered: true,
            limit_up: Some(250_000),
            ..link(VAN, LinkClass::Mobile, Some((4.87, 82.0, 14.0, 1.0)), "latency 82 ms is not below 50")
        },
        LinkRow { stale: true, ..link(SKY, LinkClass::Intermittent, None, "nothing was heard for 3 intervals") },
    ];
    links.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
    links.into_iter().map(Arc::new).collect()
}

fn queue() -> QueueView {
    let row = |id, class, state, name: &str, target: &str, bytes, age_s: u64, why: &str| QueueRow {
        id: QueueId(id),
        class,
        state,
        what: if name.ends_with('/') { "sync" } else { "send" }.into(),
        name: name.into(),
        target: target.into(),
        dest: format!("{target}/in/"),
        bytes,
        added_ms: WALL_MS - age_s * 1_000,
        why: why.into(),
        ..QueueRow::default()
    };
    use PriorityClass as C;
    use QueueState as S;
    let rows = vec![
        QueueRow {
            transfer: Some(TransferId(10)),
            attempts: 1,
            ..row(1, C::Critical, S::Running, "schema.sql", VAN, 12_100_000, 192, "")
        },
        row(2, C::High, S::Waiting, "orders-2026.db", VAN, 310_000_000, 71, "one at a time over a mobile link"),
        QueueRow {
            attempts: 2,
            retry_at_ms: Some(WALL_MS + 12_000),
            ..row(
                3,
                C::High,
                S::Retrying,
                "dashcam-0007.mp4",
                VAN,
                80_000_000,
                240,
                "the connection broke after 12.0 MB",
            )
        },
        QueueRow {
            aged: 1,
            ..row(4, C::Normal, S::Stored, "survey-tiles/", SKY, 820_000_000, 3_720, "sat-7:7070 is away since 11:02")
        },
        row(5, C::Normal, S::Stored, "field-notes/", SKY, 4_200_000, 1_200, "sat-7:7070 is away since 11:02"),
        row(
            6,
            C::Analytics,
            S::Summary,
            "metrics-0314.parquet",
            VAN,
            96_000_000,
            600,
            "told; the data waits for a better link",
        ),
        QueueRow {
            attempts: 5,
            ..row(
                7,
                C::Background,
                S::Parked,
                "old-footage.tar",
                VAN,
                7_000_000_000,
                90_000,
                "refused: the disk there is full",
            )
        },
    ];
    let mut classes = [ClassTotals::default(); 6];
    for row in &rows {
        let class = &mut classes[row.class.index()];
        (class.count, class.bytes) = (class.count + 1, class.bytes + row.bytes);
    }
    classes[C::Analytics.index()].dropped = 3;
    QueueView { rows: rows.into_iter().map(Arc::new).collect(), classes, capacity: 10_000, ..QueueView::default() }
}

/// A busy node that watches links and has a queue.
pub fn linked() -> Snapshot {
    Snapshot { links: links(), queue: Arc::new(queue()), ..pushing() }
}

/// A console on [`linked`] after two minutes: the van goes into a tunnel and comes out, and the satellite was there at first.
pub fn link_console(width: u16, height: u16) -> Model {
    let mut model = console(width, height, Snapshot { time_ms: WALL_MS - 121_000, ..linked() });
    for second in 0..=120u64 {
        let mut next = linked();
        next.generation += second;
        next.time_ms = WALL_MS - (120 - second) * 1_000;
        for link in &mut next.links {
            let link = Arc::make_mut(link);
            let wave = 0.9 + (second * 7 % 13) as f64 / 60.0;
            let newest = &mut link.newest;
            newest.measured_at = next.time_ms;
            // Bandwidth is measured every five seconds.
            newest.bandwidth_mbps = newest.bandwidth_mbps.map(|mbps| mbps * wave).filter(|_| second.is_multiple_of(5));
            newest.latency_ms = newest.latency_ms.map(|ms| ms * wave);
            if link.endpoint == VAN {
                match second {
                    0..40 => {
                        link.class = LinkClass::Broadband;
                        newest.bandwidth_mbps = newest.bandwidth_mbps.map(|_| 22.0 * wave);
                        (newest.latency_ms, newest.jitter_ms) = (Some(31.0 * wave), Some(3.0));
                    }
                    70..78 => (newest.failed, newest.latency_ms, newest.bandwidth_mbps) = (true, None, None),
                    117.. => (newest.latency_ms, newest.jitter_ms) = (Some(640.0), Some(90.0)),
                    _ => {}
                }
                newest.loss_percent = Some(if (64..84).contains(&second) { 30.0 } else { 1.0 });
            }
        }
        reduce(&mut model, Event::Snapshot(Arc::new(next)), at(second * 1_000));
    }
    model.toasts.clear();
    press(&mut model, "4 G");
    model
}

#[test]
fn links_at_every_size() {
    for (width, height) in [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)] {
        let model = link_console(width, height);
        assert_eq!(model.link().unwrap().endpoint, VAN);
        insta::assert_snapshot!(format!("link_{width}x{height}"), text(&model));
    }
    for (width, height) in [(120, 40), (80, 24)] {
        let mut model = link_console(width, height);
        press(&mut model, "z k k");
        insta::assert_snapshot!(format!("expanded_link_{width}x{height}"), text(&model));
    }
    let mut model = link_console(120, 40);
    model.glyph_choice = GlyphChoice::Braille;
    press(&mut model, "z");
    insta::assert_snapshot!("link_braille", text(&model));
    model.glyph_choice = GlyphChoice::Ascii;
    let shown = text(&model);
    insta::assert_snapshot!("link_ascii", shown);
    let odd: Vec<char> = shown.chars().filter(|c| !c.is_ascii()).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn queue_at_every_size() {
    for (width, height) in [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)] {
        let mut model = console(width, height, linked());
        press(&mut model, "5 j j j");
        insta::assert_snapshot!(format!("queue_{width}x{height}"), text(&model));
    }
    let mut model = link_console(120, 40);
    press(&mut model, "1 w w w esc");
    insta::assert_snapshot!("link_and_queue_120x40", text(&model));
}

#[test]
fn without_links_and_operations_it_is_said_what_they_are() {
    let mut model = console(80, 24, busy());
    press(&mut model, "4");
    insta::assert_snapshot!("no_links_80x24", text(&model));
    press(&mut model, "5");
    insta::assert_snapshot!("no_queue_80x24", text(&model));
    let row = BehindRow {
        path: "survey".into(),
        from: "van-42".into(),
        files: 12,
        bytes: 3_000_000,
        since_ms: WALL_MS - 61_000,
        told_ms: WALL_MS,
    };
    let queue = Arc::new(QueueView { behind: vec![row], ..QueueView::default() });
    let mut model = console(120, 40, Snapshot { queue, ..busy() });
    press(&mut model, "5");
    let shown = text(&model);
    assert!(shown.contains("behind here: survey by 12 files, 3.00 MB, for 1m01s (says van-42)"), "{shown}");
    // Where operations wait, too, and something is stored: on a line of its own, all that it holds.
    let behind = |path: &str, files| BehindRow {
        path: path.into(),
        from: "van-42".into(),
        files,
        bytes: 1_000,
        since_ms: WALL_MS - 61_000,
        told_ms: WALL_MS,
    };
    let behind = vec![behind("survey", 1), behind("tiles", 2), behind("photos", 3), behind("logs", 4)];
    let waiting = Arc::new(QueueView { behind, ..self::queue() });
    let mut model = console(120, 40, Snapshot { queue: waiting, ..busy() });
    press(&mut model, "5 z");
    let shown = text(&model);
    assert!(shown.contains("kept for later: "), "{shown}");
    let line = "behind here: survey by 1 file, 1.00 kB, for 1m01s (says van-42); tiles by 2 files, 1.00 kB";
    assert!(shown.contains(line) && shown.contains("1.00 kB and 2 more"), "{shown}");
}

/// Why nobody answers stands in the row, and below it.
#[test]
fn what_is_wrong_with_a_link_is_said() {
    let error = "a login page of the network, perhaps";
    let why = format!("nothing was heard for 3 intervals ({error})");
    let gone = LinkRow { stale: true, error: Some(error.into()), ..link(SKY, LinkClass::Intermittent, None, &why) };
    let mut model = console(160, 40, Snapshot { links: vec![Arc::new(gone)], ..busy() });
    press(&mut model, "4 z");
    let shown = text(&model);
    assert_eq!(shown.matches("a login page of the ne").count(), 2, "{shown}");
}

fn set(endpoint: &str, class: Option<ClassChoice>, metered: Option<bool>) -> Command {
    Command::SetLink(LinkChangeRequest { endpoint: endpoint.into(), class, metered })
}

#[test]
fn keys_of_links_become_commands() {
    let (fixed, auto) = (|class| Some(ClassChoice::Fixed(class)), Some(ClassChoice::Auto));
    let stop = Command::StopMonitor { endpoint: VAN.into() };
    let start = Command::StartMonitor { endpoint: VAN.into() };
    let cases: &[(&str, Vec<Command>)] = &[
        ("$", vec![set(VAN, None, Some(false))]),
        ("$ u", vec![set(VAN, None, Some(false)), set(VAN, None, Some(true))]),
        ("c enter", vec![set(VAN, auto, None)]),
        ("c j j j enter", vec![set(VAN, fixed(LinkClass::Mobile), None)]),
        ("c G enter u", vec![set(VAN, fixed(LinkClass::Intermittent), None), set(VAN, auto, None)]),
        ("c esc", vec![]),
        ("c c", vec![]),
        ("d", vec![stop.clone()]),
        // What was said of it comes back with it.
        ("d u", vec![stop, start, set(VAN, None, Some(true))]),
        ("Z", vec![]),
        // The keys of a pane work in that pane.
        ("1 $", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = link_console(120, 40);
        assert_eq!(commands(&press(&mut model, keys)), *expected, "{keys}");
    }
    let mut model = link_console(120, 40);
    press(&mut model, "g g");
    assert!(model.overlays.is_empty(), "g g goes to the top");
    assert_eq!(model.link().unwrap().endpoint, "http://203.0.113.6:7070");
    // A class that was set stands in the dialog, and goes back to what it was.
    press(&mut model, "c");
    insta::assert_snapshot!("link_class", text(&model));
    let effects = press(&mut model, "k enter u");
    let endpoint = "http://203.0.113.6:7070";
    let back = [set(endpoint, fixed(LinkClass::Fiber), None), set(endpoint, fixed(LinkClass::Broadband), None)];
    assert_eq!(commands(&effects), back);
    let back = commands(&press(&mut model, "d u"));
    assert_eq!(back.last(), Some(&set(endpoint, fixed(LinkClass::Broadband), None)));
    let mut model = link_console(120, 40);
    model.settings.read_only = true;
    assert_eq!(commands(&press(&mut model, "$ c d g x")), []);
}

#[test]
fn keys_of_the_queue_become_commands() {
    let id = |id| QueueId(id);
    let class = |number, class| Command::SetClass { ids: vec![id(number)], class };
    let moved = |number, to| Command::MoveQueued { id: id(number), to };
    let gone = |number| Command::PurgeQueue(PurgeRequest { ids: vec![id(number)], ..PurgeRequest::default() });
    let all = Command::PurgeQueue(PurgeRequest { all: true, ..PurgeRequest::default() });
    let cases: &[(&str, Vec<Command>)] = &[
        ("j K", vec![moved(2, QueueMove::Up)]),
        ("j J u", vec![moved(2, QueueMove::Down), moved(2, QueueMove::Up)]),
        ("J", vec![]),
        ("j +", vec![class(2, PriorityClass::SchemaChange)]),
        ("j + u", vec![class(2, PriorityClass::SchemaChange), class(2, PriorityClass::High)]),
        // Faster than snapshots come.
        ("j + +", vec![class(2, PriorityClass::SchemaChange), class(2, PriorityClass::Critical)]),
        ("+", vec![]),
        ("G minus", vec![]),
        ("G r", vec![Command::RetryQueued { ids: vec![id(7)] }]),
        ("j r", vec![]),
        ("j d y", vec![gone(2)]),
        ("j d n", vec![]),
        ("X enter", vec![]),
        ("X enter enter", vec![]),
        ("X enter p u r g e enter", vec![all]),
        ("X enter p u r enter", vec![]),
        ("1 X", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = console(120, 40, linked());
        press(&mut model, "5");
        assert_eq!(commands(&press(&mut model, keys)), *expected, "{keys}");
    }
    let mut model = console(120, 40, linked());
    press(&mut model, "5 j +");
    assert!(text(&model).contains("schema change »"), "a wish is no fact: {}", text(&model));
}

#[test]
fn a_purge_says_what_goes_and_asks() {
    let mut model = console(120, 40, linked());
    press(&mut model, "5 X tab down");
    insta::assert_snapshot!("purge_form", text(&model));
    press(&mut model, "enter");
    assert!(text(&model).contains("takes out 2 of 7 operations, 824 MB"), "{}", text(&model));
    press(&mut model, "enter");
    insta::assert_snapshot!("purge_question", text(&model));
    type_text(&mut model, "purge");
    let expected = PurgeRequest { target: Some(SKY.into()), ..PurgeRequest::default() };
    assert_eq!(commands(&press(&mut model, "enter")), [Command::PurgeQueue(expected)]);
    assert!(model.overlays.is_empty());
    let purged = Ok(Reply::Purged { count: 2 });
    reduce(&mut model, Event::Answer { told: "purge the queue", ids: vec![], result: purged }, at(500));
    assert!(text(&model).contains("2 operations were taken out of the queue"), "{}", text(&model));
}

#[test]
fn the_queue_is_narrowed_by_words() {
    let mut model = console(120, 40, linked());
    press(&mut model, "5 /");
    type_text(&mut model, "stored sat-7");
    assert_eq!(model.queue.rows, [3, 4]);
    press(&mut model, "enter");
    assert!(text(&model).contains("filter: stored sat-7 (2)"), "{}", text(&model));
    press(&mut model, "esc");
    assert_eq!(model.queue.rows.len(), 7);
}

/// Of a chord that means something by itself, too, nothing is lost: neither `g g`, nor `g` alone, nor what is typed after it.
#[test]
fn a_g_alone_probes_when_nothing_follows() {
    let mut model = console(120, 40, linked());
    press(&mut model, "G g");
    assert!(model.overlays.is_empty() && text(&model).contains("top"), "{}", text(&model));
    reduce(&mut model, Event::Tick, at(200));
    assert!(model.overlays.is_empty());
    reduce(&mut model, Event::Tick, at(500));
    assert!(text(&model).contains("Probe a link"), "{}", text(&model));
    press(&mut model, "esc");
    press(&mut model, "g h i v e");
    assert!(text(&model).contains("Endpoint  hive"), "{}", text(&model));
}

fn report(class: LinkClass) -> Box<ProbeReport> {
    let link = link("http://new:7070", class, Some((4.87, 82.0, 14.0, 1.0)), "latency 82 ms is not below 50");
    Box::new(ProbeReport {
        endpoint: link.endpoint.clone(),
        measurement: Measurement { measured_at: WALL_MS + 2_500, probe_bytes: 212_000, ..link.newest },
        class,
        why: link.why.clone(),
        params: link.params,
        samples: 24,
        notes: vec!["the loss is not known: UDP does not come back".into()],
        again_ms: 0,
    })
}

fn probe_of(effects: &[Effect]) -> (u64, String) {
    match effects {
        [Effect::Probe { number, request: ProbeRequest { url, .. } }] => (*number, url.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_probe_is_typed_measured_and_watched() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = console(width, height, linked());
        press(&mut model, "g");
        reduce(&mut model, Event::Tick, at(400));
        press(&mut model, "ctrl-u down down");
        insta::assert_snapshot!(format!("probe_{width}x{height}"), text(&model));
        press(&mut model, "up up");
        type_text(&mut model, "new:70700");
        assert_eq!(press(&mut model, "enter"), []);
        assert!(text(&model).contains("the port is no number"), "{}", text(&model));
        press(&mut model, "backspace");
        let (number, url) = probe_of(&press(&mut model, "enter"));
        assert_eq!(url, "http://new:7070");
        reduce(&mut model, Event::Tick, at(2_500));
        assert!(text(&model).contains("measuring, 2.1s of 5s"), "{}", text(&model));
        // The answer of one that was left before does not count.
        reduce(&mut model, Event::Probed { number: number + 1, result: Ok(report(LinkClass::Fiber)) }, at(2_600));
        assert!(text(&model).contains("measuring"));
        reduce(&mut model, Event::Probed { number, result: Ok(report(LinkClass::Mobile)) }, at(2_700));
        insta::assert_snapshot!(format!("probe_verdict_{width}x{height}"), text(&model));
        assert!(text(&model).contains("mobile"), "{}", text(&model));
        let effects = press(&mut model, "enter");
        assert_eq!(commands(&effects), [Command::StartMonitor { endpoint: "http://new:7070".into() }]);
        assert!(model.overlays.is_empty() && model.focus == PaneId::Link);
        // Its row is selected as soon as it comes.
        let mut next = linked();
        next.links.push(Arc::new(link("http://new:7070/", LinkClass::Unknown, None, "1 of 3 samples")));
        reduce(&mut model, Event::Snapshot(Arc::new(next)), at(3_000));
        assert_eq!(model.link().unwrap().endpoint, "http://new:7070/");
    }
}

#[test]
fn while_the_verdict_is_looked_at_it_is_measured_again_unless_a_monitor_does() {
    let mut model = console(120, 40, linked());
    press(&mut model, "g");
    reduce(&mut model, Event::Tick, at(400));
    press(&mut model, "ctrl-u");
    type_text(&mut model, "new:7070");
    let (number, _) = probe_of(&press(&mut model, "enter"));
    let told = |class, s: u64| {
        let mut report = report(class);
        (report.again_ms, report.measurement.measured_at) = (10_000, WALL_MS + s * 1_000);
        Ok(report)
    };
    reduce(&mut model, Event::Probed { number, result: told(LinkClass::Mobile, 2) }, at(2_000));
    assert!(text(&model).contains("again in 10s"), "{}", text(&model));
    assert_eq!(reduce(&mut model, Event::Tick, at(11_900)), [], "that would cost the link too much");
    let (again, url) = probe_of(&reduce(&mut model, Event::Tick, at(12_000)));
    assert_eq!(url, "http://new:7070");
    assert_eq!(reduce(&mut model, Event::Tick, at(13_000)), [], "one at a time");
    reduce(&mut model, Event::Probed { number: again, result: told(LinkClass::Satellite, 13) }, at(13_000));
    assert!(text(&model).contains("satellite") && text(&model).contains("again in 10s"), "{}", text(&model));
    let (third, _) = probe_of(&reduce(&mut model, Event::Tick, at(23_000)));
    let error = CommandError::new(CommandErrorKind::Unavailable, "no answer");
    reduce(&mut model, Event::Probed { number: third, result: Err(error) }, at(24_000));
    assert!(text(&model).contains("satellite") && text(&model).contains("no answer"), "{}", text(&model));
    let mut next = linked();
    next.links.push(Arc::new(link("http://new:7070", LinkClass::Mobile, None, "")));
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(25_000));
    assert_eq!(reduce(&mut model, Event::Tick, at(90_000)), [], "its monitor measures");
}

#[test]
fn a_probe_that_fails_says_why_and_can_be_tried_again() {
    let mut model = console(120, 40, linked());
    press(&mut model, "4 g");
    reduce(&mut model, Event::Tick, at(400));
    assert!(text(&model).contains("http://203.0.113.6:7070"), "the link that is looked at: {}", text(&model));
    let (number, _) = probe_of(&press(&mut model, "enter"));
    let error =
        CommandError::new(CommandErrorKind::Unavailable, "203.0.113.6:7070 does not answer: connection refused");
    reduce(&mut model, Event::Probed { number, result: Err(error) }, at(900));
    assert!(text(&model).contains("does not answer: connection refused"), "{}", text(&model));
    let (again, _) = probe_of(&press(&mut model, "r"));
    assert_ne!(again, number);
    // What the monitor measures meanwhile is shown.
    let mut next = linked();
    Arc::make_mut(&mut next.links[0]).newest.measured_at = WALL_MS + 1_500;
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(1_600));
    assert!(text(&model).contains("BANDWIDTH") && text(&model).contains("48.7 Mbit/s"), "{}", text(&model));
    press(&mut model, "esc");
    assert!(model.overlays.is_empty());
    reduce(&mut model, Event::Probed { number: again, result: Ok(report(LinkClass::Fiber)) }, at(2_000));
    assert!(model.overlays.is_empty(), "nobody waits for it any more");
}

#[test]
fn a_change_of_class_is_told_with_what_it_changes() {
    let mut model = console(160, 40, linked());
    let mut next = linked();
    let van = Arc::make_mut(next.links.iter_mut().find(|link| link.endpoint == VAN).unwrap());
    (van.class, van.params, van.pending) = (LinkClass::Satellite, params(LinkClass::Satellite), None);
    reduce(&mut model, Event::Snapshot(Arc::new(next.clone())), at(250));
    let toast = model.toasts.all().last().unwrap().clone();
    assert_eq!(toast.level, ToastLevel::Warn);
    let expected = "van-42:7070 is satellite now, was mobile; from now on delta_compressed (only what changed, compressed hard), of what is \
                    not critical only summaries, zstd level 12, chunks of 64 KiB, one transfer at a time, every 60 s";
    assert_eq!(toast.text, expected);
    // The way back is good news; a link that nobody knew before is none.
    let mut back = linked();
    back.links.push(Arc::new(link("http://zzz:1", LinkClass::Mobile, None, "")));
    reduce(&mut model, Event::Snapshot(Arc::new(back)), at(500));
    let toast = model.toasts.all().last().unwrap();
    assert!(toast.level == ToastLevel::Info && toast.text.starts_with("van-42:7070 is mobile now"), "{toast:?}");
    let mut full = linked();
    Arc::make_mut(&mut full.queue).classes[4].dropped += 2;
    reduce(&mut model, Event::Snapshot(Arc::new(full)), at(750));
    assert!(model.toasts.all().last().unwrap().text.contains("the queue is full: 2 operations dropped"));
}

#[test]
fn the_header_shows_the_link_that_matters() {
    let header = |model: &Model| text(model).lines().next().unwrap().to_owned();
    let mut model = console(120, 40, linked());
    assert!(header(&model).contains("✗ intermittent, store and forward to sat-7:7070"), "{}", header(&model));
    press(&mut model, "G");
    assert!(header(&model).contains("▆ broadband, full, compressed to 203.0.113.6:7070"), "{}", header(&model));
    let narrow = console(80, 24, linked());
    assert!(header(&narrow).contains("✗ intermittent"), "{}", header(&narrow));
    assert!(header(&narrow).contains("12:03:44"), "{}", header(&narrow));
    let none = console(120, 40, busy());
    assert!(!header(&none).contains("intermittent"));
}

#[test]
fn what_a_monitor_remembers_is_asked_for_once_and_drawn() {
    let mut model = console(120, 40, linked());
    let asked = |effects: &[Effect]| effects.iter().filter(|e| matches!(e, Effect::LinkHistory { .. })).count();
    let effects = press(&mut model, "4 G");
    assert_eq!(asked(&effects), 2, "the first and the last: {effects:?}");
    assert_eq!(asked(&press(&mut model, "k j")), 1, "the one between");
    let samples = (0..100u64).map(|second| Measurement {
        measured_at: WALL_MS - second * 1_000,
        latency_ms: Some(30.0),
        bandwidth_mbps: Some(12.0),
        ..Measurement::default()
    });
    let history = LinkHistory { samples: samples.collect(), changes: Vec::new() };
    let before = text(&model);
    reduce(&mut model, Event::LinkHistory { endpoint: VAN.into(), history }, at(100));
    assert_ne!(before, text(&model));
    // A recording has no monitor.
    let mut replayed = empty(120, 40);
    replayed.settings.replay = true;
    replayed.snapshot = Arc::new(linked());
    assert_eq!(asked(&press(&mut replayed, "4 j")), 0);
}

#[test]
fn panes_of_links_and_queue_come_and_go() {
    let panes = |model: &Model| Layout::of(model).panes.into_iter().map(|(pane, _)| pane).collect::<Vec<_>>();
    let mut model = console(80, 24, linked());
    press(&mut model, "4");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Link], "the log gives way");
    press(&mut model, "5");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Queue]);
    press(&mut model, "H");
    assert!(!panes(&model).contains(&PaneId::Queue));
    press(&mut model, "5");
    assert!(panes(&model).contains(&PaneId::Queue));
    let tall = console(200, 60, linked());
    assert_eq!(panes(&tall), [PaneId::Transfers, PaneId::Pieces, PaneId::Link, PaneId::Queue, PaneId::Log]);
    let bare = console(200, 60, busy());
    assert_eq!(panes(&bare), [PaneId::Transfers, PaneId::Pieces, PaneId::Log], "nothing to show of them");
}

#[test]
fn hostile_text_of_links_and_queue_never_reaches_the_screen_as_it_is() {
    let mut snapshot = linked();
    let evil = "\x1b]0;pwned\x07\u{202e}gpj.\r\nfake\u{200b}\x1b[2J";
    for link in &mut snapshot.links {
        let link = Arc::make_mut(link);
        (link.endpoint, link.why) = (format!("http://{evil}{}", link.endpoint), evil.into());
        if let Some(pending) = &mut link.pending {
            pending.why = evil.into();
        }
    }
    let queue = Arc::make_mut(&mut snapshot.queue);
    for row in &mut queue.rows {
        let row = Arc::make_mut(row);
        for text in [&mut row.name, &mut row.target, &mut row.dest, &mut row.why, &mut row.what] {
            *text = format!("{evil}{text}");
        }
    }
    let mut model = console(120, 40, snapshot);
    for keys in ["4", "4 z", "z c", "esc d", "5 j", "z", "z d", "esc X tab down enter enter", "esc esc 4 g x"] {
        press(&mut model, keys);
        for cell in super::fixture::frame(&model).content() {
            let bad = cell.symbol().chars().find(|c| skep::console::widgets::text::is_steering(*c));
            assert_eq!(bad, None, "after {keys}");
        }
    }
}
