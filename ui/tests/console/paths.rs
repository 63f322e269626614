//! Keys of the Paths pane in, commands out.

use skep_engine::control::{Command, TransferId};

use super::fixture::{press, push_console, text};
use super::keys::commands;

#[test]
fn keys_of_paths_become_commands() {
    let set = |via: &str, enabled, weight| Command::SetPath {
        id: TransferId(10),
        path: format!("203.0.113.6:7070 via {via}"),
        enabled,
        weight,
    };
    let cases: &[(&str, Vec<Command>)] = &[
        ("3 space", vec![set("fibre", Some(false), None)]),
        ("3 p", vec![set("fibre", Some(false), None)]),
        ("3 j j space u", vec![set("sky", Some(false), None), set("sky", Some(true), None)]),
        ("3 +", vec![set("fibre", None, Some(2.0))]),
        ("3 minus u", vec![set("fibre", None, Some(0.5)), set("fibre", None, Some(1.0))]),
        ("3 j +", vec![set("dsl0", None, Some(1.0))]),
        ("3 j 0 u", vec![set("dsl0", None, Some(1.0)), set("dsl0", None, Some(0.5))]),
        ("3 0", vec![]),
        // Faster than snapshots come.
        ("3 + +", vec![set("fibre", None, Some(2.0)), set("fibre", None, Some(5.0))]),
        ("3 + + u", vec![set("fibre", None, Some(2.0)), set("fibre", None, Some(5.0)), set("fibre", None, Some(2.0))]),
        ("3 + 0", vec![set("fibre", None, Some(2.0)), set("fibre", None, Some(1.0))]),
        ("3 space space", vec![set("fibre", Some(false), None), set("fibre", Some(true), None)]),
        ("3 space u space", [false, true, false].map(|on| set("fibre", Some(on), None)).into()),
        ("3 G k k minus", vec![set("dsl0", None, Some(0.2))]),
        // The keys of a pane work in that pane.
        ("2 0", vec![]),
        ("1 g g 3 space", vec![]),
    ];
    for (keys, expected) in cases {
        let mut model = push_console(120, 40);
        assert_eq!(commands(&press(&mut model, keys)), *expected, "{keys}");
    }
    let mut model = push_console(120, 40);
    press(&mut model, "1 g g 3 space");
    assert!(text(&model).contains("only a push has paths"), "{}", text(&model));
}
