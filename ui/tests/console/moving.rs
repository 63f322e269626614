//! What follows when a node of the pool comes or goes: told before it is done, in pane 6.

use std::sync::Arc;

use skep::console::effect::{Effect, PreviewFrom, PreviewKey};
use skep::console::event::Event;
use skep::console::reduce::reduce;
use skep_engine::control::pool::{Known, Moves, PoolNode, PoolView};
use skep_engine::control::{Command, CommandError, CommandErrorKind, Reply, Snapshot};

use super::fixture::{at, console, press, text, type_text};
use super::keys::commands;
use super::linking::linked;
use super::nodes::{node_console, pool, pooled, row};

#[test]
fn what_follows_is_told_before_a_node_goes() {
    let mut model = node_console(120, 40);
    let effects = press(&mut model, "G d");
    let key = PreviewKey { what: "oak".into(), dir: String::new() };
    let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(asks[0].key, key);
    assert!(text(&model).contains("asking what would be copied"), "{}", text(&model));
    let moves = Moves { ring_share: 0.2913, partial: true, ..Moves::default() };
    // Of another node: nobody asked.
    let other = PreviewKey { what: "fir".into(), dir: String::new() };
    reduce(&mut model, Event::Moves(other, Ok(Moves::default())), at(100));
    reduce(&mut model, Event::Moves(key.clone(), Ok(moves)), at(200));
    insta::assert_snapshot!("nodes_remove", text(&model));
    press(&mut model, "esc d");
    let error = CommandError::new(CommandErrorKind::Unavailable, "the connection is lost");
    reduce(&mut model, Event::Moves(key, Err(error)), at(300));
    assert!(text(&model).contains("what would be copied is not known: the connection is lost"), "{}", text(&model));
}

#[test]
fn what_is_copied_is_told_before_a_node_is_drained() {
    let moves = Moves {
        ring_share: 0.171,
        keys: 1_204,
        bytes: 84_200_000_000,
        short: 2,
        alone: 1,
        holds: 1_500,
        ..Moves::default()
    };
    for (keys, name) in [("space", "nodes_drain"), ("d", "nodes_stop")] {
        let mut model = node_console(120, 40);
        let effects = press(&mut model, keys);
        let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
        let command = Command::PreviewPool { name: "birch".into(), weight: None, drain: true };
        assert_eq!(asks[0].from, PreviewFrom::Command(command));
        reduce(&mut model, Event::Moves(asks[0].key.clone(), Ok(moves)), at(100));
        insta::assert_snapshot!(name, text(&model));
    }
    // One that is drained already can be stopped once its copies are made: there is nothing to do from here.
    let mut model = node_console(120, 40);
    let pool = Arc::make_mut(&mut model.snapshot).pool.clone();
    let mut pool = PoolView::clone(&pool);
    Arc::make_mut(&mut pool.nodes[1]).draining = true;
    reduce(&mut model, Event::Snapshot(Arc::new(Snapshot { pool: Arc::new(pool), ..pooled() })), at(50));
    press(&mut model, "d");
    assert!(text(&model).contains("It is drained: stop it once"), "{}", text(&model));
    assert_eq!(commands(&press(&mut model, "enter")), []);
    assert!(model.overlays.is_empty());
}

#[test]
fn a_node_is_listed_with_what_would_be_its() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut model = console(width, height, Snapshot { pool: Arc::new(pool()), ..linked() });
        press(&mut model, "6 n");
        type_text(&mut model, "willow:7070");
        assert!(
            text(&model).contains("with its name given it is told here what would belong to it"),
            "{}",
            text(&model)
        );
        press(&mut model, "tab");
        let effects = type_text(&mut model, "willow");
        let Some(Effect::Preview(asks)) = effects.last() else { panic!("{effects:?}") };
        let moves = Moves { ring_share: 0.125, keys: 48, ..Moves::default() };
        reduce(&mut model, Event::Moves(asks[0].key.clone(), Ok(moves)), at(100));
        insta::assert_snapshot!(format!("nodes_add_{width}x{height}"), text(&model));
        let effects = commands(&press(&mut model, "enter"));
        let endpoint = "http://willow:7070".to_owned();
        assert_eq!(effects, [Command::PoolAdd(PoolNode { name: "willow".into(), endpoint, weight: Some(1.0) })]);
        assert!(model.overlays.is_empty());
        // It is selected as soon as it is there.
        let reply = Ok(Reply::Listed { name: "willow".into() });
        reduce(&mut model, Event::Answer { told: "list the node", ids: vec![], result: reply }, at(200));
        let mut next = pooled();
        Arc::make_mut(&mut next.pool).nodes.push(Arc::new(row("willow", Known::Listed, (1.0, 1.0, 1, 1.0))));
        reduce(&mut model, Event::Snapshot(Arc::new(next)), at(1_000));
        assert_eq!(model.nodes.selected.as_deref(), Some("willow"));
        assert_eq!(commands(&press(&mut model, "u")), [Command::PoolRemove { name: "willow".into() }]);
    }
    // One that says its name itself can be taken back, too.
    let mut model = node_console(120, 40);
    press(&mut model, "n");
    type_text(&mut model, "willow:7070");
    assert_eq!(commands(&press(&mut model, "enter")).len(), 1);
    let reply = Ok(Reply::Listed { name: "willow-2".into() });
    reduce(&mut model, Event::Answer { told: "list the node", ids: vec![], result: reply }, at(200));
    assert_eq!(commands(&press(&mut model, "u")), [Command::PoolRemove { name: "willow-2".into() }]);
}
