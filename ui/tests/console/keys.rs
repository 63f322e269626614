//! Keys in, commands out.

use std::path::PathBuf;
use std::sync::Arc;

use skep::console::effect::Effect;
use skep::console::event::Event;
use skep::console::model::toast::ToastLevel;
use skep::console::panes::PaneId;
use skep::console::reduce::reduce;
use skep::console::view::layout::Layout;
use skep_engine::control::{
    AddTransfer, Command, CommandError, CommandErrorKind, Focus, PeerState, Reply, TransferId, TransferState,
};

use super::fixture::{advance, at, busy, console, press, receiving, text, type_text};

fn ids(list: &[u64]) -> Vec<TransferId> {
    list.iter().copied().map(TransferId).collect()
}

/// The first peer of the busy node.
fn peer() -> String {
    "http://10.0.0.7:7070".to_owned()
}

pub fn commands(effects: &[Effect]) -> Vec<Command> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Command { command, .. } => Some(command.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn keys_become_commands() {
    let cases: &[(&str, Vec<Command>)] = &[
        ("p", vec![Command::Pause { ids: ids(&[1]) }]),
        ("space", vec![Command::Pause { ids: ids(&[1]) }]),
        ("j j j j j p", vec![Command::Resume { ids: ids(&[6]) }]),
        ("G r", vec![Command::Resume { ids: ids(&[9]) }]),
        ("r", vec![]),
        ("v", vec![Command::Verify { ids: ids(&[1]) }]),
        ("x", vec![]),
        ("x enter", vec![Command::Cancel { ids: ids(&[1]) }]),
        ("x y", vec![Command::Cancel { ids: ids(&[1]) }]),
        ("x n", vec![]),
        ("x esc", vec![]),
        ("d enter", vec![Command::Remove { ids: ids(&[1]), data: false }]),
        ("d d e l e t e enter", vec![Command::Remove { ids: ids(&[1]), data: true }]),
        ("d d e l enter", vec![]),
        ("m m p", vec![Command::Pause { ids: ids(&[1, 2]) }]),
        ("M m g g x enter", vec![Command::Cancel { ids: ids(&[1, 2, 3, 4, 5, 6, 7, 9]) }]),
        ("P", vec![Command::Pause { ids: ids(&[1, 2, 3, 4, 5, 7]) }]),
        ("<", vec![Command::Limit { id: Some(TransferId(1)), up: None, down: Some(Some(100_000_000)) }]),
        ("j >", vec![Command::Limit { id: Some(TransferId(2)), up: None, down: Some(Some(20_000_000)) }]),
        ("j j j j j j <", vec![Command::Limit { id: Some(TransferId(7)), up: Some(Some(20_000_000)), down: None }]),
        ("+", vec![Command::Prioritise { ids: ids(&[1]), priority: 1 }]),
        ("m m minus", vec![Command::Prioritise { ids: ids(&[1, 2]), priority: -1 }]),
        ("K", vec![]),
        ("K j K", vec![Command::Move { id: TransferId(2), up: true }]),
        ("J J", vec![Command::Move { id: TransferId(1), up: false }]),
        ("D", vec![Command::Drain { on: true }]),
        ("2 B", vec![]),
        ("2 j B", vec![Command::Ban { peer: peer() }]),
        ("2 j B u", vec![Command::Ban { peer: peer() }, Command::Unban { peer: peer() }]),
        ("p u", vec![Command::Pause { ids: ids(&[1]) }, Command::Resume { ids: ids(&[1]) }]),
        (
            "j < u u",
            vec![
                Command::Limit { id: Some(TransferId(2)), up: None, down: Some(Some(5_000_000)) },
                Command::Limit { id: Some(TransferId(2)), up: None, down: Some(Some(10_000_000)) },
            ],
        ),
        (
            "m m <",
            vec![
                Command::Limit { id: Some(TransferId(1)), up: None, down: Some(Some(100_000_000)) },
                Command::Limit { id: Some(TransferId(2)), up: None, down: Some(Some(5_000_000)) },
            ],
        ),
        ("u", vec![]),
        ("b u", vec![Command::Unban { peer: "10.0.0.66:7070".into() }]),
        ("2 p", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = console(120, 40, busy());
        // "M m" marks all and then takes one away; the ended one cannot be cancelled anyway.
        let effects = press(&mut model, keys);
        if *keys == "M m g g x enter" {
            let all = commands(&effects);
            let [Command::Cancel { ids: got }] = all.as_slice() else { panic!("{all:?}") };
            assert!(!got.contains(&TransferId(1)) && !got.contains(&TransferId(8)) && got.len() == 7, "{got:?}");
            continue;
        }
        assert_eq!(commands(&effects), *expected, "{keys}");
    }
}

#[test]
fn a_wish_is_not_shown_as_a_fact() {
    let mut model = console(120, 40, busy());
    press(&mut model, "p");
    assert!(text(&model).contains("PAUSING"));
    let mut paused = advance(&busy(), 0);
    reduce(&mut model, Event::Snapshot(Arc::new(paused.clone())), at(250));
    assert!(text(&model).contains("PAUSING"), "the engine has not said so yet");
    Arc::make_mut(&mut paused.transfers[0]).state = TransferState::Paused;
    reduce(&mut model, Event::Snapshot(Arc::new(paused)), at(500));
    assert!(!text(&model).contains("PAUSING"));
    assert_eq!(commands(&press(&mut model, "p")), [Command::Resume { ids: ids(&[1]) }]);
}

#[test]
fn pressing_twice_takes_the_wish_back() {
    let mut model = console(120, 40, busy());
    assert_eq!(
        commands(&press(&mut model, "p p")),
        [Command::Pause { ids: ids(&[1]) }, Command::Resume { ids: ids(&[1]) }]
    );
}

#[test]
fn a_refused_wish_is_taken_back_and_said() {
    let mut model = console(120, 40, busy());
    press(&mut model, "p");
    let error = CommandError::new(CommandErrorKind::Conflict, "it has ended");
    reduce(&mut model, Event::Answer { told: "pause", ids: ids(&[1]), result: Err(error) }, at(100));
    let shown = text(&model);
    assert!(!shown.contains("PAUSING") && shown.contains("cannot pause: it has ended"), "{shown}");
}

#[test]
fn a_wish_that_nothing_comes_of_is_admitted() {
    let mut model = console(120, 40, busy());
    press(&mut model, "p");
    reduce(&mut model, Event::Tick, at(20_000));
    let shown = text(&model);
    assert!(!shown.contains("PAUSING") && shown.contains("has not done"), "{shown}");
}

#[test]
fn what_is_looked_at_is_told_to_the_engine() {
    let mut model = console(120, 40, busy());
    assert_eq!(press(&mut model, "j"), [Effect::SetFocus(Focus { transfer: Some(TransferId(2)) })]);
    assert_eq!(press(&mut model, "g g"), [Effect::SetFocus(Focus { transfer: Some(TransferId(1)) })]);
    assert_eq!(press(&mut model, "k"), []);
}

#[test]
fn adding_by_paste_and_form() {
    let link = format!("skep://10.0.0.2:7070/{}", "ab".repeat(32));
    let mut model = console(120, 40, busy());
    reduce(&mut model, Event::Paste(format!("{link}\n")), at(0));
    let effects = press(&mut model, "tab / s r v enter");
    let expected = AddTransfer { link, dir: Some(PathBuf::from("/srv")), seed: true, ..AddTransfer::default() };
    assert_eq!(effects.last(), Some(&Effect::Command { command: Command::Add(expected), told: "add" }));
    assert_eq!(commands(&effects).len(), 1);
    let reply = Reply::Added { ids: ids(&[10]), contents: Vec::new() };
    reduce(&mut model, Event::Answer { told: "add", ids: Vec::new(), result: Ok(reply) }, at(10));
    assert_eq!(model.transfers.selected, Some(TransferId(1)), "its row is not there yet");
    let mut snapshot = advance(&busy(), 0);
    let row = skep_engine::control::TransferRow { id: TransferId(10), ..Default::default() };
    snapshot.transfers.push(Arc::new(row));
    let effects = reduce(&mut model, Event::Snapshot(Arc::new(snapshot)), at(300));
    assert_eq!(effects, [Effect::SetFocus(Focus { transfer: Some(TransferId(10)) })]);
}

#[test]
fn sharing_waits_for_a_path_that_exists() {
    let mut model = console(120, 40, busy());
    let effects = type_text(&mut model, "S/srv/x");
    let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
    let missing = Err("cannot share it: there is no such file".to_owned());
    reduce(&mut model, Event::Preview(asks[0].key.clone(), missing), at(1));
    assert_eq!(press(&mut model, "enter"), []);
    assert!(text(&model).contains("there is no such file"));
    let effects = type_text(&mut model, "y");
    let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(asks[0].key.what, "/srv/xy", "the former wish holds no more");
    reduce(&mut model, Event::Preview(asks[0].key.clone(), Ok(Box::default())), at(2));
    let effects = press(&mut model, "enter");
    assert!(matches!(&commands(&effects)[..], [Command::Share(s)] if s.path.as_os_str() == "/srv/xy"));
}

#[test]
fn undo_says_what_it_takes_back_and_what_it_cannot() {
    let mut model = console(120, 40, busy());
    let said = |model: &skep::console::model::Model| model.toasts.all().last().map(|t| t.text.clone()).unwrap();
    press(&mut model, "p u");
    assert_eq!(said(&model), "undo: pausing ubuntu-26.04-desktop-amd64.iso is taken back");
    assert!(text(&model).contains("RESUMING"), "a wish, not a fact");
    press(&mut model, "x enter u");
    assert!(said(&model).contains("cannot be undone"), "{}", said(&model));
    press(&mut model, "u");
    assert_eq!(said(&model), "there is nothing to undo");
    // What was refused never was.
    press(&mut model, "p");
    let error = CommandError::new(CommandErrorKind::Conflict, "it has ended");
    reduce(&mut model, Event::Answer { told: "pause", ids: ids(&[1]), result: Err(error) }, at(100));
    assert_eq!(commands(&press(&mut model, "u")), []);
}

#[test]
fn panes_are_hidden_and_come_back() {
    let panes = |model: &skep::console::model::Model| {
        Layout::of(model).panes.into_iter().map(|(pane, _)| pane).collect::<Vec<_>>()
    };
    let mut model = console(120, 40, busy());
    press(&mut model, "2 H");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Paths, PaneId::Log]);
    assert_eq!(model.focus, PaneId::Paths);
    press(&mut model, "H H H H");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Log], "paths, link, queue and nodes are gone, too");
    assert_eq!(model.focus, PaneId::Log);
    press(&mut model, "H");
    assert_eq!(panes(&model), [PaneId::Transfers], "the last one stays");
    press(&mut model, "2");
    assert_eq!(panes(&model), [PaneId::Transfers, PaneId::Pieces]);
    let mut seen = Vec::new();
    for _ in 0..7 {
        press(&mut model, "w");
        seen.push(panes(&model).len());
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 2, 2, 2, 3, 3]);
}

#[test]
fn a_filter_that_is_wrong_says_where() {
    let mut model = console(120, 40, busy());
    type_text(&mut model, "/rate>10M");
    assert_eq!(model.transfers.rows.len(), 2);
    type_text(&mut model, " sise>1");
    let shown = text(&model);
    assert!(shown.contains("at 10: there is no sise; there are name, state"), "{shown}");
    assert_eq!(model.transfers.rows.len(), 2, "the rest of it works on");
}

#[test]
fn read_only_changes_nothing() {
    let mut model = console(120, 40, busy());
    model.settings.read_only = true;
    for keys in ["p", "x", "d", "v", "<", "L", "a", "S", "s", "P", "+", "K", "b u", "esc N"] {
        let effects = press(&mut model, keys);
        assert_eq!(commands(&effects), [], "{keys}");
        let (toast, _) = model.toasts.shown().unwrap();
        assert_eq!(toast.level, ToastLevel::Warn, "{keys}");
    }
    assert!(model.overlays.is_empty());
}

#[test]
fn quitting_asks_only_where_something_would_stop() {
    let mut embedded = console(120, 40, busy());
    assert_eq!(press(&mut embedded, "q"), []);
    assert_eq!(press(&mut embedded, "enter"), [Effect::Quit]);
    let mut twice = console(120, 40, busy());
    assert_eq!(press(&mut twice, "ctrl-c ctrl-c"), [Effect::Quit]);
    let mut remote = console(120, 40, busy());
    remote.settings.embedded = false;
    assert_eq!(press(&mut remote, "q"), [Effect::Quit]);
    let mut idle = console(120, 40, skep_engine::control::Snapshot::default());
    assert_eq!(press(&mut idle, "q"), [Effect::Quit]);
}

#[test]
fn chords_end_with_time() {
    let mut model = console(120, 40, busy());
    press(&mut model, "G g");
    assert!(text(&model).contains("top"), "the footer shows what may follow");
    reduce(&mut model, Event::Tick, at(5_000));
    assert!(model.chord.0.is_empty());
    press(&mut model, "esc");
    assert!(model.overlays.is_empty(), "a g alone asks for an endpoint to probe");
    press(&mut model, "g j");
    assert!(text(&model).contains("Endpoint  j"), "what follows goes where the g led: {}", text(&model));
}

#[test]
fn panes_are_reached_and_left() {
    let mut model = console(120, 40, busy());
    press(&mut model, "tab");
    assert_eq!(model.focus, PaneId::Pieces);
    press(&mut model, "shift-tab shift-tab");
    assert_eq!(model.focus, PaneId::Log);
    press(&mut model, "2 z");
    assert_eq!(model.expanded, Some(PaneId::Pieces));
    press(&mut model, "7");
    assert_eq!(model.expanded, Some(PaneId::Log), "the full screen follows the focus");
    press(&mut model, "esc");
    assert_eq!(model.expanded, None);
}

#[test]
fn filters_work_while_typed_and_esc_takes_them_back() {
    let mut model = console(120, 40, busy());
    type_text(&mut model, "/state:st");
    assert_eq!(model.transfers.rows.len(), 1);
    assert_eq!(model.transfers.selected, Some(TransferId(3)), "the stalled one");
    press(&mut model, "esc");
    assert_eq!(model.transfers.rows.len(), 9);
    type_text(&mut model, "/iso");
    press(&mut model, "enter");
    assert_eq!(model.transfers.rows.len(), 2);
    press(&mut model, "esc");
    assert_eq!(model.transfers.rows.len(), 9);
}

#[test]
fn links_go_to_the_clipboard() {
    let mut model = console(120, 40, busy());
    assert_eq!(press(&mut model, "c"), [], "no link yet");
    press(&mut model, "j j j j j j");
    assert_eq!(press(&mut model, "c"), [Effect::Copy("skep://10.0.0.2:7070/1f2e3d".into())]);
}

#[test]
fn failures_and_completions_are_told() {
    let mut model = console(120, 40, busy());
    let mut next = advance(&busy(), 0);
    let row = Arc::make_mut(&mut next.transfers[0]);
    (row.state, row.error) = (TransferState::Failed, Some("the peer lied".into()));
    let row = Arc::make_mut(&mut next.transfers[1]);
    (row.state, row.done, row.verified) = (TransferState::Seeding, row.size, true);
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(250));
    let said: Vec<&str> = model.toasts.all().iter().map(|t| t.text.as_str()).collect();
    assert!(said[0].contains("failed: the peer lied") && said[1].contains("complete and verified"), "{said:?}");
}

/// What others push here ends by the operator's will, and does nothing else by it.
#[test]
fn what_is_received_is_cancelled_and_removed_only() {
    let mut model = console(120, 40, receiving());
    for (key, why) in
        [("p", "its sender decides"), ("v", "its sender decides"), ("+", "its sender"), ("d", "x cancels")]
    {
        assert_eq!(press(&mut model, key), [], "{key}");
        assert!(model.toasts.all().last().unwrap().text.contains(why), "{key}: {:?}", model.toasts.all().last());
        assert!(model.overlays.is_empty(), "{key}");
    }
    assert_eq!(press(&mut model, "P"), [], "all that is the node's own: nothing");
    press(&mut model, "x");
    let cancel = Command::Cancel { ids: vec![TransferId(21)] };
    assert_eq!(press(&mut model, "y"), [Effect::command(cancel, "cancel")]);
    // Of a mark over all of them only what is over goes, and no data with it.
    press(&mut model, "M d");
    let remove = Command::Remove { ids: vec![TransferId(24), TransferId(25)], data: false };
    assert_eq!(press(&mut model, "y"), [Effect::command(remove, "remove")]);
    let mut next = receiving();
    Arc::make_mut(&mut next.transfers[2]).state = TransferState::Done;
    reduce(&mut model, Event::Snapshot(Arc::new(next)), at(250));
    assert!(model.toasts.all().last().unwrap().text.contains("genome-reads was received"));
}

/// What an engine said last of a transfer that has stopped since is not shown as if it went on.
#[test]
fn a_transfer_at_rest_has_nothing_under_way() {
    let stopped = |state| {
        let mut snapshot = busy();
        let row = Arc::make_mut(snapshot.transfers.iter_mut().find(|row| row.id == TransferId(1)).unwrap());
        row.state = state;
        (row.rate_down, row.rate_up) = (0, 0);
        console(120, 40, snapshot)
    };
    assert!(!stopped(TransferState::Running).detail().unwrap().in_flight.is_empty());
    let mut paused = stopped(TransferState::Paused);
    let detail = paused.detail().unwrap().clone();
    assert!(detail.in_flight.is_empty() && detail.availability.is_empty() && !detail.peers.is_empty());
    for peer in &detail.peers {
        assert!(peer.state != PeerState::Connected && peer.rate_down + peer.rate_up == 0, "{peer:?}");
        assert!(peer.in_flight.is_empty());
    }
    assert!(text(&paused).contains(" here ("));
    // The next snapshot says the same: nothing has to be derived anew.
    let mut snapshot = busy();
    Arc::make_mut(&mut snapshot.transfers[0]).state = TransferState::Paused;
    snapshot.generation += 1;
    reduce(&mut paused, Event::Snapshot(Arc::new(snapshot)), at(2_000));
    assert!(Arc::ptr_eq(paused.detail().unwrap(), &detail));
    let cancelled = stopped(TransferState::Cancelled);
    assert!(cancelled.detail().is_none());
    assert!(text(&cancelled).contains("1 cancelled") && text(&cancelled).contains("no piece and no peer"));
}

#[test]
fn a_click_focuses_selects_and_sorts() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    use skep::console::model::sort::SortKey;
    let mut model = console(120, 40, busy());
    let screen = text(&model);
    let place = |what: &str| {
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(what)).unwrap();
        let before = &line[..line.find(what).unwrap()];
        (before.chars().count() as u16, row as u16)
    };
    let click = |model: &mut skep::console::model::Model, (column, row): (u16, u16)| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        reduce(model, Event::Mouse(event), at(50));
    };
    click(&mut model, place("genome-reads/"));
    assert_eq!(model.selected().unwrap().name, "genome-reads/");
    click(&mut model, place("AVERAGE"));
    assert_eq!((model.transfers.sort, model.transfers.reversed), (SortKey::Rate, false));
    click(&mut model, place("AVERAGE"));
    assert_eq!((model.transfers.sort, model.transfers.reversed), (SortKey::Rate, true));
    click(&mut model, place("NAME"));
    assert_eq!((model.transfers.sort, model.transfers.reversed), (SortKey::Name, false));
    click(&mut model, place("PEERS"));
    assert_eq!(model.transfers.sort, SortKey::Name, "no order stands for it");
    click(&mut model, place("Transfers"));
    assert_eq!(model.transfers.sort, SortKey::Name, "the border is no heading");
    click(&mut model, place("7 Log"));
    assert_eq!(model.focus, skep::console::panes::PaneId::Log);
}

#[test]
fn a_theme_is_shown_while_it_is_chosen_and_esc_goes_back() {
    use skep::console::model::looks::ThemeChoice;
    let mut model = console(120, 40, busy());
    press(&mut model, "t");
    assert_eq!(model.theme.name, "slate");
    press(&mut model, "j");
    assert_eq!(model.theme.name, "paper", "what the cursor is on is shown");
    press(&mut model, "esc");
    assert_eq!((model.theme.name.as_str(), model.overlays.len()), ("slate", 0));
    press(&mut model, "t t t enter");
    assert_eq!(model.theme_choice, ThemeChoice::Named("high-contrast".into()));
    assert!(text(&model).contains("theme = \"high-contrast\""), "how to keep it is said");
    press(&mut model, "t G t");
    assert_eq!(model.theme_choice, ThemeChoice::Auto, "round and round");
    press(&mut model, "q");
    assert_eq!((model.theme.name.as_str(), model.overlays.len()), ("high-contrast", 0));
}

#[test]
fn auto_follows_the_ground_and_a_choice_does_not() {
    use skep::console::model::looks::ThemeChoice;
    let mut model = console(120, 40, busy());
    reduce(&mut model, Event::Ground { light: true }, at(1));
    assert_eq!(model.theme.name, "slate", "it was chosen");
    model.choose_theme(ThemeChoice::Auto);
    assert_eq!(model.theme.name, "paper");
    reduce(&mut model, Event::Ground { light: false }, at(2));
    assert_eq!(model.theme.name, "slate");
}

#[test]
fn themes_that_change_show_at_once_and_one_that_is_gone_stays() {
    use skep::console::model::looks::ThemeChoice;
    use skep::console::theme::{builtin, parse};
    let mut model = console(120, 40, busy());
    let mut themes = model.settings.themes.clone();
    themes.push(parse("name='mine'\nbase='paper'").unwrap());
    reduce(&mut model, Event::Themes { themes: themes.clone(), troubles: vec![] }, at(1));
    model.choose_theme(ThemeChoice::Named("mine".into()));
    assert!(model.theme.light);
    *themes.last_mut().unwrap() = parse("name='mine'\nbase='nord'").unwrap();
    reduce(&mut model, Event::Themes { themes: themes.clone(), troubles: vec!["x.toml: line 3: no".into()] }, at(2));
    assert!(!model.theme.light, "read anew");
    assert!(text(&model).contains("x.toml: line 3: no"));
    let shown = model.theme.clone();
    let rest = vec![builtin("slate").unwrap(), builtin("paper").unwrap()];
    reduce(&mut model, Event::Themes { themes: rest, troubles: vec![] }, at(3));
    assert_eq!(model.theme, shown);
}

#[test]
fn the_screen_is_written_under_the_time_of_day_and_where_is_told() {
    let mut model = console(120, 40, busy());
    assert_eq!(press(&mut model, "E"), [Effect::Export("skep-20260314-120344".into())]);
    reduce(&mut model, Event::Exported(Ok("/home/op/skep-20260314-120344.txt".into())), at(60));
    assert!(text(&model).contains("/home/op/skep-20260314-120344.txt, .ans and .svg"));
    reduce(&mut model, Event::Exported(Err("no space".into())), at(70));
    assert!(text(&model).contains("was not written: no space"));
}
