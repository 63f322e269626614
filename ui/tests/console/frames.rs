//! Frames, symbols only: a change of colours breaks none of them.

use std::sync::Arc;

use skep::console::event::Event;
use skep::console::glyphs::GlyphChoice;
use skep::console::reduce::reduce;
use skep_engine::control::{Connection, Snapshot};

use super::fixture::{at, busy, console, empty, press, text, type_text};

#[test]
fn dashboard_at_four_sizes() {
    for (width, height) in [(200, 60), (120, 40), (80, 24), (40, 10), (30, 5)] {
        insta::assert_snapshot!(format!("dashboard_{width}x{height}"), text(&console(width, height, busy())));
    }
}

#[test]
fn panes_expanded() {
    for (key, name) in [("1", "transfers"), ("2", "pieces"), ("7", "log")] {
        let mut model = console(100, 30, busy());
        press(&mut model, &format!("{key} z"));
        insta::assert_snapshot!(format!("expanded_{name}"), text(&model));
    }
}

#[test]
fn pieces_in_three_zooms() {
    let mut model = console(120, 40, busy());
    press(&mut model, "2 Z");
    insta::assert_snapshot!("pieces_tenth", text(&model));
    press(&mut model, "Z l l l l j j j j j j j");
    insta::assert_snapshot!("pieces_exact", text(&model));
}

#[test]
fn before_anything_is_there() {
    insta::assert_snapshot!("no_snapshot_yet", text(&empty(80, 24)));
    insta::assert_snapshot!("empty_node", text(&console(80, 24, Snapshot { generation: 1, ..Snapshot::default() })));
}

#[test]
fn dialogs() {
    let mut model = console(120, 40, busy());
    press(&mut model, "?");
    insta::assert_snapshot!("help", text(&model));
    press(&mut model, "esc :");
    type_text(&mut model, "pause");
    insta::assert_snapshot!("palette", text(&model));
    press(&mut model, "esc a");
    type_text(&mut model, "skep://10.0.0.2:7070/12ab");
    insta::assert_snapshot!("add", text(&model));
    press(&mut model, "esc b");
    insta::assert_snapshot!("bans", text(&model));
    press(&mut model, "esc d");
    insta::assert_snapshot!("remove", text(&model));
    press(&mut model, "esc q");
    insta::assert_snapshot!("quit", text(&model));
    press(&mut model, "esc L");
    insta::assert_snapshot!("limits", text(&model));
    press(&mut model, "esc /");
    type_text(&mut model, "state:run");
    insta::assert_snapshot!("filter", text(&model));
}

#[test]
fn ascii_uses_nothing_else() {
    let mut model = console(120, 40, busy());
    model.glyph_choice = GlyphChoice::Ascii;
    press(&mut model, "2");
    let shown = text(&model);
    insta::assert_snapshot!("ascii", shown);
    // Names keep their letters; everything the console draws itself is ASCII.
    let odd: Vec<char> = shown.chars().filter(|c| !c.is_ascii() && !c.is_alphabetic() && *c != '\u{fffd}').collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn a_lost_connection_is_unmistakable() {
    let mut model = console(120, 40, busy());
    model.settings.embedded = false;
    model.settings.target = "http://10.0.0.2:7070".into();
    let lost = Connection::Lost {
        error: "connection refused".into(),
        attempts: 2,
        retry_at_ms: super::fixture::WALL_MS + 15_000,
    };
    reduce(&mut model, Event::Connection(lost), at(12_000));
    let shown = text(&model);
    assert!(shown.lines().next().unwrap().contains("LOST, data 12s old"), "{shown}");
    assert!(shown.lines().next().unwrap().contains("try 3 in 3s: connection refused"), "{shown}");
    assert!(shown.lines().take(4).all(|line| !line.contains("B/s")), "no rates of a node out of reach: {shown}");
    reduce(&mut model, Event::Connection(Connection::Live), at(13_000));
    model.settings.read_only = true;
    let header = text(&model);
    let header = header.lines().next().unwrap();
    assert!(header.contains("READ-ONLY   REMOTE  10.0.0.2"), "{header}");
}

#[test]
fn hostile_text_never_reaches_the_screen_as_it_is() {
    let mut snapshot = busy();
    let evil = "\x1b]0;pwned\x07\u{202e}gpj.\r\nfake\u{200b}\x1b[2J";
    for row in &mut snapshot.transfers {
        let row = Arc::make_mut(row);
        row.name = evil.into();
        row.reason = evil.into();
        row.strategy = evil.into();
        row.error = row.error.as_ref().map(|_| evil.into());
    }
    Arc::make_mut(&mut snapshot.node).name = evil.into();
    let detail = snapshot.details.values_mut().next().unwrap();
    for peer in &mut Arc::make_mut(detail).peers {
        peer.endpoint = format!("http://{evil}{}", peer.endpoint);
        peer.note = evil.into();
    }
    let mut log = Vec::clone(&snapshot.log);
    for line in &mut log {
        let line = Arc::make_mut(line);
        line.message = evil.into();
        line.target = evil.into();
    }
    snapshot.log = Arc::new(log);
    let mut bans = Vec::clone(&snapshot.bans);
    bans[0].peer = evil.into();
    bans[0].reason = evil.into();
    snapshot.bans = Arc::new(bans);
    let mut model = console(120, 40, snapshot);
    for keys in ["2 j", "b", "esc 1 x", "esc d", "esc L", "esc a", "esc /"] {
        press(&mut model, keys);
        for cell in super::fixture::frame(&model).content() {
            let bad = cell.symbol().chars().find(|c| skep::console::widgets::text::is_steering(*c));
            assert_eq!(bad, None, "after {keys}");
        }
    }
}
