//! Frames, symbols only: a change of colours breaks none of them.

use std::sync::Arc;

use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::glyphs::GlyphChoice;
use skep::console::model::form::{Entry, Listing};
use skep::console::reduce::reduce;
use skep::console::view::layout::Layout;
use skep_engine::control::{Command, Connection, InterfaceRow, PathPreview, Preview, Reply, Snapshot};

use super::fixture::{at, busy, console, empty, press, push_console, pushing, receiving, text, type_text};

#[test]
fn dashboard_at_four_sizes() {
    for (width, height) in [(200, 60), (120, 40), (80, 24), (40, 10), (30, 5)] {
        insta::assert_snapshot!(format!("dashboard_{width}x{height}"), text(&console(width, height, busy())));
    }
}

#[test]
fn what_others_push_here() {
    for (width, height) in [(200, 60), (120, 40), (80, 24)] {
        let mut model = console(width, height, receiving());
        press(&mut model, "j");
        insta::assert_snapshot!(format!("receiving_{width}x{height}"), text(&model));
    }
    let mut model = console(120, 40, receiving());
    press(&mut model, "x");
    insta::assert_snapshot!("receiving_cancel", text(&model));
    press(&mut model, "esc j j j d");
    insta::assert_snapshot!("receiving_remove", text(&model));
}

#[test]
fn files_in_place_of_peers() {
    let files = [
        ("ubuntu/casper/filesystem.squashfs", 5_000_000_000),
        ("ubuntu/md5sum.txt", 0),
        ("ubuntu/casper/vmlinuz", 15_000_000),
    ];
    let mut snapshot = busy();
    let detail = snapshot.details.values_mut().next().unwrap();
    Arc::make_mut(detail).files = Arc::new(files.map(|(path, size)| (path.to_owned(), size)).into());
    for (width, height) in [(120, 40), (80, 24), (60, 20)] {
        let mut model = console(width, height, snapshot.clone());
        press(&mut model, "2 F j j space");
        insta::assert_snapshot!(format!("files_{width}x{height}"), text(&model));
        press(&mut model, "space");
        assert!(text(&model).contains("all pieces"), "the same again goes back");
    }
}

/// At every size an operator may have: no pane over another, none empty, none off the screen, and
/// the keys that work are on the last line.
#[test]
fn seven_sizes() {
    for (width, height) in [(200, 60), (120, 40), (100, 30), (80, 24), (60, 20), (40, 10), (39, 9)] {
        for keys in ["", "2", "3", "7", "w", "w w", "w w w", "2 z", "3 z", "G", "G 2", "G 3", "G w", "G w w", "G 7"] {
            let mut model = console(width, height, pushing());
            press(&mut model, keys);
            model.toasts.clear();
            let layout = Layout::of(&model);
            let shown = text(&model);
            let lines: Vec<&str> = shown.lines().collect();
            if layout.tiny {
                assert_eq!(lines.iter().filter(|line| !line.trim().is_empty()).count(), 1, "{shown}");
                continue;
            }
            assert_eq!(
                layout.panes.iter().map(|(_, area)| area.height).sum::<u16>(),
                height - 1 - layout.header.height
            );
            for (pane, area) in &layout.panes {
                let inside = lines[usize::from(area.y) + 1..usize::from(area.bottom()) - 1].iter();
                let said = inside.filter(|line| line.chars().any(char::is_alphanumeric)).count();
                assert!(said >= 1, "{pane:?} says nothing at {width}x{height} after {keys:?}:\n{shown}");
            }
            assert!(lines.last().unwrap().contains("quit"), "{shown}");
        }
    }
}

#[test]
fn panes_expanded() {
    for (key, name) in [("1", "transfers"), ("2", "pieces"), ("7", "log")] {
        for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
            let mut model = console(columns, rows, busy());
            press(&mut model, &format!("{key} z"));
            insta::assert_snapshot!(format!("expanded_{name}_{columns}x{rows}"), text(&model));
        }
    }
}

#[test]
fn paths_of_a_push() {
    for (columns, rows) in [(200, 60), (120, 40), (80, 24), (60, 20), (40, 10)] {
        let mut model = push_console(columns, rows);
        press(&mut model, "3");
        insta::assert_snapshot!(format!("paths_{columns}x{rows}"), text(&model));
    }
    let mut model = push_console(120, 40);
    press(&mut model, "3 z j j j");
    insta::assert_snapshot!("expanded_paths_120x40", text(&model));
    press(&mut model, "z esc 1");
    insta::assert_snapshot!("push_120x40", text(&model));
}

#[test]
fn without_paths_it_is_said_what_they_are() {
    for (columns, rows) in [(120, 40), (80, 24), (60, 20)] {
        let mut model = console(columns, rows, busy());
        press(&mut model, "3");
        insta::assert_snapshot!(format!("no_paths_{columns}x{rows}"), text(&model));
    }
    let mut model = empty(80, 24);
    press(&mut model, "3");
    assert!(text(&model).contains("No transfer is selected."), "{}", text(&model));
}

#[test]
fn sending() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = console(width, height, pushing());
        model.settings.home = Some("/home/op".into());
        let effects = type_text(&mut model, "s");
        assert!(effects.contains(&Effect::command(Command::Interfaces, "list the interfaces")), "{effects:?}");
        insta::assert_snapshot!(format!("send_empty_{width}x{height}"), text(&model));
        type_text(&mut model, "/srv/survey-2026");
        press(&mut model, "tab down");
        insta::assert_snapshot!(format!("send_dest_{width}x{height}"), text(&model));
        let taken = press(&mut model, "enter");
        assert!(taken.iter().any(|effect| matches!(effect, Effect::Preview(_))), "{taken:?}");
        let interface = |name: &str, address: &str| InterfaceRow { name: name.into(), addresses: vec![address.into()] };
        let interfaces =
            vec![interface("fibre", "198.51.100.2"), interface("wwan0", "100.64.7.9"), interface("lo", "127.0.0.1")];
        let reply = Ok(Reply::Interfaces { interfaces });
        reduce(&mut model, Event::Answer { told: "list the interfaces", ids: vec![], result: reply }, at(1));
        press(&mut model, "tab tab down enter");
        insta::assert_snapshot!(format!("send_via_{width}x{height}"), text(&model));
        let effects = press(&mut model, "down enter");
        let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
        let path = |via: &str, latency_us: Option<u64>, error: &str| PathPreview {
            path: format!("203.0.113.6:7070 via {via}"),
            via: Some(via.into()),
            latency_us,
            error: error.into(),
        };
        let preview = Preview {
            name: "survey-2026".into(),
            contents: 1,
            size: 4_100_000_000,
            files: 312,
            strategy: "transit-multipath-parallel".into(),
            why: "1 of 2 paths answers".into(),
            path: "in/survey-2026".into(),
            segment: 2 << 20,
            disk_free: Some(812_000_000_000),
            rate: Some(31_000_000),
            paths: vec![path("fibre", Some(12_400), ""), path("wwan0", None, "no route to host")],
            ..Preview::default()
        };
        reduce(&mut model, Event::Preview(asks[0].key.clone(), Ok(Box::new(preview))), at(2));
        press(&mut model, "tab");
        insta::assert_snapshot!(format!("send_{width}x{height}"), text(&model));
        let effects = press(&mut model, "enter");
        let [Effect::Command { command: Command::Send(request), told: "send" }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(
            (request.dest.as_str(), &request.via[..]),
            ("http://203.0.113.6:7070/in/", &["fibre".to_owned(), "wwan0".into()][..])
        );
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
fn sharing_with_a_list_and_a_summary() {
    for (width, height) in [(120, 40), (80, 24), (40, 10)] {
        let mut model = console(width, height, busy());
        model.settings.home = Some("/home/op".into());
        let effects = type_text(&mut model, "S~/runs/2");
        let names = [
            ("2026-01-run", true, 0),
            ("2026-02-run", true, 0),
            ("2026-notes.txt", false, 12_300),
            ("old.tar", false, 9),
        ];
        let entries = names.map(|(name, folder, size)| Entry {
            name: name.into(),
            folder,
            size,
            modified_ms: super::fixture::WALL_MS,
        });
        let listing = Listing::Read { entries: Arc::new(entries.into()), omitted: 0 };
        reduce(&mut model, Event::Listing("/home/op/runs/".into(), listing), at(1));
        let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
        let preview = Preview {
            name: "2".into(),
            contents: 1,
            size: 4_100_000_000,
            files: 312,
            strategy: "transit-p2p-swarm".into(),
            why: "whoever fetches it serves the others too".into(),
            ..Preview::default()
        };
        reduce(&mut model, Event::Preview(asks[0].key.clone(), Ok(Box::new(preview))), at(2));
        press(&mut model, "down down");
        insta::assert_snapshot!(format!("share_{width}x{height}"), text(&model));
    }
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
    assert!(shown.lines().next().unwrap().contains("retrying in 3s (attempt 3): connection refused"), "{shown}");
    assert!(shown.lines().take(4).all(|line| !line.contains("B/s")), "no rates of a node out of reach: {shown}");
    reduce(&mut model, Event::Connection(Connection::Live), at(13_000));
    model.settings.read_only = true;
    let header = text(&model);
    let header = header.lines().next().unwrap();
    assert!(header.contains("READ-ONLY   REMOTE  10.0.0.2"), "{header}");
}

#[test]
fn hostile_text_never_reaches_the_screen_as_it_is() {
    let mut snapshot = pushing();
    let evil = "\x1b]0;pwned\x07\u{202e}gpj.\r\nfake\u{200b}\x1b[2J";
    for row in &mut snapshot.transfers {
        let row = Arc::make_mut(row);
        row.name = evil.into();
        row.reason = evil.into();
        row.strategy = evil.into();
        row.error = row.error.as_ref().map(|_| evil.into());
    }
    Arc::make_mut(&mut snapshot.node).name = evil.into();
    let push = Arc::make_mut(snapshot.transfers.last_mut().unwrap());
    for path in &mut push.paths {
        (path.path, path.via, path.note) = (format!("{evil}{}", path.path), Some(evil.into()), evil.into());
    }
    push.path_changes.iter_mut().for_each(|change| change.why = evil.into());
    push.dest = evil.into();
    push.strategy_reason = evil.into();
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
    for keys in ["2 j", "b", "esc 1 x", "esc d", "esc L", "esc a", "esc /", "esc 1 G 3", "s tab down", "esc 3 z j"] {
        press(&mut model, keys);
        for cell in super::fixture::frame(&model).content() {
            let bad = cell.symbol().chars().find(|c| skep::console::widgets::text::is_steering(*c));
            assert_eq!(bad, None, "after {keys}");
        }
    }
}
