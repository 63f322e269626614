//! Pane 6, the dialog that places a key, and what the header says of the pool.

use std::sync::Arc;

use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::glyphs::GlyphChoice;
use skep::console::model::Model;
use skep::console::model::toast::ToastLevel;
use skep::console::panes::PaneId;
use skep::console::reduce::reduce;
use skep::console::theme::Depth;
use skep::console::view::layout::Layout;
use skep_engine::control::pool::{
    Balancer, Figures, Known, MoveRow, Placement, PoolNode, PoolNodeRow, PoolView, Score, Step,
};
use skep_engine::control::{Command, CommandError, CommandErrorKind, Snapshot, TransferId};

use super::fixture::{WALL_MS, at, busy, console, frame, press, text, type_text};
use super::keys::commands;

pub fn row(name: &str, known: Known, figures: (f64, f64, u64, f64)) -> PoolNodeRow {
    let (cpu_percent, memory_percent, active_connections, average_latency_ms) = figures;
    let score = Score {
        cpu: 0.3 * (100.0 - cpu_percent) / 100.0,
        memory: 0.3 * (100.0 - memory_percent) / 100.0,
        connections: 0.2 * (1.0 - active_connections as f64 / 10_000.0),
        latency: 0.2 * (1.0 - average_latency_ms / 1_000.0).max(0.0),
        total: 0.0,
    };
    let total = score.cpu + score.memory + score.connections + score.latency;
    PoolNodeRow {
        name: name.into(),
        endpoint: format!("http://{name}:7070"),
        known,
        weight: 1.0,
        available: true,
        figures: Some(Figures { cpu_percent, memory_percent, active_connections, average_latency_ms }),
        reported_ms: Some(WALL_MS - 3_000),
        latency_ms: average_latency_ms,
        score: Score { total, ..score },
        slow_start: 1.0,
        chance: 0.24,
        chosen: 0.22,
        ring_share: 0.14,
        holds: 12,
        held_bytes: 1_240_000_000,
        ..PoolNodeRow::default()
    }
}

/// A pool with a node in every state.
pub fn pool() -> PoolView {
    let nodes = vec![
        row("alder", Known::Own, (12.0, 40.0, 3, 0.4)),
        PoolNodeRow {
            excluded: Some("CPU at 97 %, above 90 %".into()),
            excluded_ms: Some(WALL_MS - 12_000),
            why: "CPU at 97 %, above 90 %".into(),
            chance: 0.0,
            ring_share: 0.171,
            ..row("birch", Known::Gossip, (97.0, 71.0, 212, 18.0))
        },
        PoolNodeRow {
            draining: true,
            why: "drained".into(),
            chance: 0.0,
            chosen: 0.0,
            ..row("cedar-of-lebanon", Known::Both, (3.0, 22.0, 0, 0.2))
        },
        PoolNodeRow {
            available: false,
            stale: true,
            figures: None,
            reported_ms: None,
            score: Score::default(),
            chance: 0.0,
            chosen: 0.0,
            ring_share: 0.0,
            holds: 0,
            held_bytes: 0,
            why: "no answer: connection refused".into(),
            ..row("fir", Known::Listed, (0.0, 0.0, 0, 0.0))
        },
        PoolNodeRow {
            slow_start: 0.45,
            why: "new here: 45 % of its score counts".into(),
            chance: 0.11,
            chosen: 0.02,
            holds: 1,
            ..row("hazel", Known::Gossip, (30.0, 55.0, 41, 4.1))
        },
        PoolNodeRow {
            stale: true,
            score: Score { total: 0.5, ..Score::default() },
            why: "no report of late: counts half".into(),
            reported_ms: Some(WALL_MS - 64_000),
            weight: 2.0,
            ring_share: 0.29,
            ..row("oak", Known::Listed, (64.0, 80.0, 1_340, 212.0))
        },
    ];
    PoolView { name: "default".into(), nodes: nodes.into_iter().map(Arc::new).collect(), ..PoolView::default() }
}

pub fn pooled() -> Snapshot {
    Snapshot { pool: Arc::new(pool()), ..busy() }
}

/// A console whose Nodes pane has the keys, the second node selected.
pub fn node_console(width: u16, height: u16) -> Model {
    let mut model = console(width, height, pooled());
    press(&mut model, "6 j");
    model
}

#[test]
fn nodes_at_every_size() {
    for (width, height) in [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)] {
        insta::assert_snapshot!(format!("nodes_{width}x{height}"), text(&node_console(width, height)));
    }
    for (width, height) in [(200, 60), (120, 40), (80, 24)] {
        let mut model = node_console(width, height);
        press(&mut model, "z");
        insta::assert_snapshot!(format!("expanded_nodes_{width}x{height}"), text(&model));
    }
    let mut model = node_console(120, 40);
    press(&mut model, "z G");
    insta::assert_snapshot!("nodes_stale", text(&model));
    press(&mut model, "k k");
    insta::assert_snapshot!("nodes_gone", text(&model));
}

/// Without colours and without Unicode the same is said: every state has a word and a glyph of its own.
#[test]
fn sixteen_colours_and_ascii_say_the_same() {
    let mut model = node_console(120, 40);
    model.settings.depth = Depth::Ansi16;
    model.choose_theme(model.theme_choice.clone());
    let colourful = text(&node_console(120, 40));
    assert_eq!(text(&model), colourful, "colours carry nothing that is not said");
    model.glyph_choice = GlyphChoice::Ascii;
    press(&mut model, "z");
    let shown = text(&model);
    insta::assert_snapshot!("nodes_ascii", shown);
    let odd: Vec<char> = shown.chars().filter(|c| !c.is_ascii()).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn without_a_pool_it_is_said_what_that_is() {
    let mut model = console(80, 24, busy());
    press(&mut model, "6");
    insta::assert_snapshot!("no_nodes_80x24", text(&model));
    assert_eq!(press(&mut model, "f A space d"), []);
    assert!(model.overlays.is_empty());
}

#[test]
fn keys_of_nodes_become_commands() {
    let drain = |name: &str, on| Command::PoolDrain { name: name.into(), on };
    let balancer = |balancer| Command::SetBalancer { balancer };
    let add = |weight| {
        let (name, endpoint) = ("oak".to_owned(), "http://oak:7070".to_owned());
        Command::PoolAdd(PoolNode { name, endpoint, weight: Some(weight) })
    };
    let remove = |name: &str| Command::PoolRemove { name: name.into() };
    let back = |name: &str, endpoint: &str| {
        Command::PoolAdd(PoolNode { name: name.into(), endpoint: endpoint.into(), weight: Some(1.0) })
    };
    let cases: &[(&str, Vec<Command>)] = &[
        // What would be copied is shown first.
        ("space", vec![]),
        ("space n", vec![]),
        ("space y", vec![drain("birch", true)]),
        ("p enter u", vec![drain("birch", true), drain("birch", false)]),
        ("j space", vec![drain("cedar-of-lebanon", false)]),
        // Faster than snapshots come.
        ("space y space", vec![drain("birch", true), drain("birch", false)]),
        ("A", vec![balancer(Balancer::ResourceAware)]),
        ("A u", vec![balancer(Balancer::ResourceAware), balancer(Balancer::ConsistentHash)]),
        // By gossip it came, and goes when it stops: it is drained first.
        ("d", vec![]),
        ("d y u", vec![drain("birch", true), drain("birch", false)]),
        ("G d", vec![]),
        ("G d y", vec![remove("oak")]),
        ("G d n", vec![]),
        ("G d y u", vec![remove("oak"), add(2.0)]),
        (
            "j d enter u",
            vec![
                remove("cedar-of-lebanon"),
                back("cedar-of-lebanon", "http://cedar-of-lebanon:7070"),
                drain("cedar-of-lebanon", true),
            ],
        ),
        ("n o a k : 7 0 7 0 tab o a k tab 2 enter", vec![add(2.0)]),
        ("n x esc", vec![]),
        ("n enter", vec![]),
        ("f x esc", vec![]),
        ("o o O", vec![]),
        // The keys of a pane work in that pane.
        ("1 A", vec![]),
        ("4 n", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = node_console(120, 40);
        assert_eq!(commands(&press(&mut model, keys)), *expected, "{keys}");
    }
    let mut model = node_console(120, 40);
    model.settings.read_only = true;
    assert_eq!(commands(&press(&mut model, "space A d n G d y")), []);
    assert!(model.overlays.is_empty());
}

#[test]
fn a_wish_is_no_fact() {
    let mut model = node_console(120, 40);
    press(&mut model, "space");
    assert!(!text(&model).contains("» DRAINING"), "it is only asked: {}", text(&model));
    press(&mut model, "y");
    assert!(text(&model).contains("» DRAINING"), "{}", text(&model));
    let error = CommandError::new(CommandErrorKind::Conflict, "it is drained at oak: undrain it there");
    reduce(&mut model, Event::Answer { told: "drain the node", ids: vec![], result: Err(error) }, at(100));
    assert!(!text(&model).contains("DRAINING"), "{}", text(&model));
    assert!(model.toasts.all().last().unwrap().text.starts_with("cannot drain the node: it is drained at oak"));
    assert_eq!(commands(&press(&mut model, "u")), [], "what was refused never was");
    press(&mut model, "j space");
    assert!(text(&model).contains("» UNDRAIN"), "{}", text(&model));
    let mut next = pooled();
    Arc::make_mut(&mut Arc::make_mut(&mut next.pool).nodes[2]).draining = false;
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(1_000));
    assert!(!text(&model).contains("UNDRAIN"), "{}", text(&model));
}

fn placements(key: &str) -> [Result<Box<Placement>, CommandError>; 2] {
    let step = |point, node: &str, passed: Option<&str>| Step {
        point,
        node: node.into(),
        passed: passed.map(ToOwned::to_owned),
    };
    let ring = Placement {
        key: key.into(),
        hash: 0x7f3a_91c2,
        nodes: vec!["birch".into(), "alder".into()],
        way: vec![
            step(0x7f80_1122, "birch", None),
            step(0x7fc1_0341, "cedar-of-lebanon", Some("it is drained")),
            step(0x8052_ff10, "alder", None),
            step(0x8077_8a3c, "oak", None),
            step(0x8140_0001, "hazel", None),
        ],
        balancer: Balancer::ConsistentHash,
        why: "hash 7f3a91c2, next point 7f801122 is of birch".into(),
    };
    let resource = Placement {
        key: key.into(),
        hash: 0x7f3a_91c2,
        nodes: vec!["oak".into(), "alder".into()],
        balancer: Balancer::ResourceAware,
        why: "chosen by how the nodes are: oak scores 0.50".into(),
        ..Placement::default()
    };
    [Ok(Box::new(ring)), Ok(Box::new(resource))]
}

fn question(effects: &[Effect]) -> (u64, String, u32) {
    match effects.last() {
        Some(Effect::Place { number, key, replicas }) => (*number, key.clone(), *replicas),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_placed_by_both_balancers_while_it_is_typed() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = node_console(width, height);
        assert_eq!(press(&mut model, "f"), [], "there is no key yet");
        let (number, key, replicas) = question(&type_text(&mut model, "survey-2026.tar"));
        assert_eq!((key.as_str(), replicas), ("survey-2026.tar", 3));
        press(&mut model, "tab");
        let (newer, _, replicas) = question(&press(&mut model, "2"));
        assert_eq!(replicas, 2);
        // What was asked before has no answer any more.
        let late = [Err(CommandError::new(CommandErrorKind::Internal, "overtaken")), placements("x")[1].clone()];
        reduce(&mut model, Event::Placed { number, answers: late }, at(50));
        assert!(!text(&model).contains("overtaken"), "{}", text(&model));
        reduce(&mut model, Event::Placed { number: newer, answers: placements("survey-2026.tar") }, at(100));
        insta::assert_snapshot!(format!("place_{width}x{height}"), text(&model));
        // Enter draws again.
        assert_eq!(question(&press(&mut model, "enter")).1, "survey-2026.tar");
        press(&mut model, "0 0 0 0");
        if width >= 80 {
            assert!(text(&model).contains("1 to 4096 of them"), "{}", text(&model));
        }
        press(&mut model, "esc");
        assert!(model.overlays.is_empty());
    }
}

#[test]
fn the_dialog_follows_the_pool() {
    let mut model = node_console(120, 40);
    press(&mut model, "f");
    let (number, ..) = question(&type_text(&mut model, "k"));
    reduce(&mut model, Event::Placed { number, answers: placements("k") }, at(100));
    let mut next = pooled();
    Arc::make_mut(&mut Arc::make_mut(&mut next.pool).nodes[0]).chance = 0.01;
    assert_eq!(reduce(&mut model, Event::Snapshot(Arc::new(next.clone())), at(1_000)), [], "chances alone move no key");
    Arc::make_mut(&mut Arc::make_mut(&mut next.pool).nodes[0]).draining = true;
    let effects = reduce(&mut model, Event::Snapshot(Arc::new(next)), at(2_000));
    assert_ne!(question(&effects).0, number);
    let error = || Err(CommandError::new(CommandErrorKind::Conflict, "the pool has no nodes"));
    let number = question(&effects).0;
    reduce(&mut model, Event::Placed { number, answers: [error(), error()] }, at(2_100));
    assert!(text(&model).contains("the pool has no nodes"), "{}", text(&model));
}

#[test]
fn copies_that_are_made_again_have_a_line() {
    let copy = |name: &str, from: &[&str], waits_s| MoveRow {
        name: name.into(),
        bytes: 1_240_000_000,
        replicas: 3,
        live: from.len() as u32,
        from: from.iter().map(|name| (*name).into()).collect(),
        waits_s,
        transfer: waits_s.is_none().then_some(TransferId(7)),
        ..MoveRow::default()
    };
    let moves = vec![
        copy("survey.tar", &["alder", "oak"], None),
        copy("atlas.db", &["oak"], Some(12)),
        copy("gone.bin", &[], Some(12)),
    ];
    let snapshot = Snapshot { pool: Arc::new(PoolView { moves, ..pool() }), ..busy() };
    let mut model = console(160, 40, snapshot);
    press(&mut model, "6");
    let expected = "makes again: survey.tar 1.24 GB, 2 of 3 there, #7; atlas.db 1.24 GB, 1 of 3 there, in 12s; \
                    gone.bin 1.24 GB, 0 of 3 there, NOBODY HAS IT";
    assert!(text(&model).contains(expected), "{}", text(&model));
}

#[test]
fn nodes_are_sorted_and_narrowed() {
    let names = |model: &Model| -> Vec<String> {
        model.nodes.rows.iter().map(|at| model.snapshot.pool.nodes[*at].name.to_string()).collect()
    };
    let mut model = node_console(120, 40);
    press(&mut model, "o");
    assert_eq!(names(&model), ["fir", "birch", "cedar-of-lebanon", "oak", "hazel", "alder"], "what needs a look first");
    assert_eq!(model.nodes.selected.as_deref(), Some("birch"), "the selection follows its node");
    press(&mut model, "o O");
    assert_eq!(names(&model)[0], "fir", "the lowest score first");
    assert!(text(&model).contains("by score, reversed"), "{}", text(&model));
    press(&mut model, "/");
    type_text(&mut model, "gossip -excluded");
    press(&mut model, "enter");
    assert_eq!(names(&model), ["hazel"]);
    assert!(text(&model).contains("filter: gossip -excluded (1)"), "{}", text(&model));
    press(&mut model, "esc");
    assert_eq!(names(&model).len(), 6);
}

#[test]
fn who_leaves_and_comes_back_is_told() {
    let mut model = console(120, 40, pooled());
    let mut next = pooled();
    let nodes = &mut Arc::make_mut(&mut next.pool).nodes;
    let alder = Arc::make_mut(&mut nodes[4]);
    (alder.available, alder.why) = (false, "gossip does not hear of it any more".into());
    Arc::make_mut(&mut nodes[3]).available = true;
    nodes.remove(5);
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(250));
    let told: Vec<_> = model.toasts.all().iter().map(|toast| (toast.level, toast.text.clone())).collect();
    let expected = [
        (ToastLevel::Info, "fir is back in the pool".to_owned()),
        (ToastLevel::Warn, "hazel has left the pool: gossip does not hear of it any more".to_owned()),
        (ToastLevel::Warn, "oak has left the pool".to_owned()),
    ];
    for one in expected {
        assert!(told.contains(&one), "{one:?} in {told:?}");
    }
}

#[test]
fn the_header_counts_the_pool() {
    let header = |model: &Model| text(model).lines().next().unwrap().to_owned();
    assert!(header(&console(120, 40, pooled())).contains("pool 5/6"));
    assert!(header(&console(80, 24, pooled())).contains("pool 5/6"), "{}", header(&console(80, 24, pooled())));
    assert!(!header(&console(120, 40, busy())).contains("pool"));
}

#[test]
fn the_pane_of_nodes_comes_and_goes() {
    let panes = |model: &Model| Layout::of(model).panes.into_iter().map(|(pane, _)| pane).collect::<Vec<_>>();
    let mut model = console(80, 24, pooled());
    press(&mut model, "6");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Nodes], "the log gives way");
    press(&mut model, "H");
    assert!(!panes(&model).contains(&PaneId::Nodes));
    press(&mut model, "1 w w w w w");
    let named: Vec<_> = model.toasts.all().iter().map(|toast| toast.text.clone()).collect();
    assert!(named.contains(&"layout: transfers and nodes".to_owned()), "{named:?}");
    let tall = console(200, 60, pooled());
    assert_eq!(panes(&tall), [PaneId::Transfers, PaneId::Pieces, PaneId::Nodes, PaneId::Log]);
}

#[test]
fn hostile_text_of_nodes_never_reaches_the_screen_as_it_is() {
    let mut snapshot = pooled();
    let evil = "\x1b]0;pwned\x07\u{202e}gpj.\r\nfake\u{200b}\x1b[2J";
    let pool = Arc::make_mut(&mut snapshot.pool);
    pool.name = evil.into();
    for row in &mut pool.nodes {
        let row = Arc::make_mut(row);
        (row.name, row.endpoint, row.why) = (format!("{evil}{}", row.name).into(), evil.into(), evil.into());
        row.excluded = row.excluded.as_ref().map(|_| evil.into());
    }
    let mut model = console(120, 40, snapshot);
    for keys in ["6", "6 j", "z", "f x", "esc G d", "esc n", "esc space"] {
        press(&mut model, keys);
        if keys == "f x" {
            let mut answers = placements(evil);
            if let Ok(placement) = &mut answers[0] {
                (placement.nodes[0], placement.way[0].node) = (evil.into(), evil.into());
                placement.way[1].passed = Some(evil.into());
            }
            let number = model.placed;
            reduce(&mut model, Event::Placed { number, answers }, at(100));
        }
        for cell in frame(&model).content() {
            let bad = cell.symbol().chars().find(|c| skep::console::widgets::text::is_steering(*c));
            assert_eq!(bad, None, "after {keys}");
        }
    }
}
