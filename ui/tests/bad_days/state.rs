//! State that is damaged, stale, or wanted by two.

use std::fs;

use serde_json::json;

use super::common::Lab;
use super::{MB, says};

#[test]
fn a_damaged_state_file_is_named_and_left_alone() {
    let lab = Lab::new();
    let node = lab.serve(&[]);
    let path = lab.data("data.bin", MB);
    lab.share(&path);
    drop(node);
    let file = lab.path("state/state.redb");
    let sound = fs::read(&file).unwrap();
    let mut head = sound.clone();
    head[..64].fill(0xa5);
    let damages = [
        ("garbage", b"not a database at all".to_vec()),
        ("zeros", vec![0; 8192]),
        ("its head is gone", head),
        ("half of it", sound[..sound.len() / 2].to_vec()),
        ("a few bytes of it", sound[..100].to_vec()),
    ];
    for (what, bytes) in damages {
        fs::write(&file, &bytes).unwrap();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["share", "data.bin", "--serve"]] {
            let ended = lab.run(command);
            says(ended.expect(1), &["state.redb", "damaged", "move it away"]);
            assert!(fs::read(&file).unwrap() == bytes, "{what}: it was touched by {command:?}");
        }
    }
    // As the message says.
    fs::rename(&file, lab.path("aside")).unwrap();
    assert_eq!(lab.serve(&[]).stop(), 0);
}

#[test]
fn a_stale_note_of_a_node_is_no_obstacle() {
    // A process that is surely gone, and a port on which nobody listens.
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let note = |pid: u32, url: &str| json!({ "url": url, "pid": pid, "token_file": "token" }).to_string();
    let notes = [
        note(gone.id(), &url),
        // The number was given to somebody else meanwhile.
        note(std::process::id(), &url),
        note(0, &url),
        note(u32::MAX, "nonsense\u{1b}[2J"),
        "{".into(),
        String::new(),
    ];
    let lab = Lab::new();
    fs::create_dir_all(lab.path("state")).unwrap();
    fs::write(lab.path("state/token"), "a".repeat(64)).unwrap();
    fs::write(lab.path("token"), "a".repeat(64)).unwrap();
    for note in notes {
        fs::write(lab.path("state/node.json"), &note).unwrap();
        let none = lab.run(&["ls"]);
        says(none.expect(1), &["no node runs"]);
        let mut node = lab.serve(&[]);
        lab.run(&["ls"]).expect(0);
        assert_eq!(node.stop(), 0, "{note}");
    }
}

#[test]
fn of_many_nodes_that_start_at_once_one_wins() {
    let lab = Lab::new();
    let mut nodes: Vec<_> = (0..5).map(|_| lab.spawn(&["serve", "--listen", "127.0.0.1:0"])).collect();
    // Losers end by themselves; the winner says where it listens.
    let lines: Vec<String> = nodes.iter_mut().map(|node| node.line()).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("listening on ")).count(), 1, "{lines:?}");
    for (node, line) in nodes.iter_mut().zip(&lines) {
        if line.is_empty() {
            assert_eq!(node.wait().0, 1);
            let said = node.stderr();
            assert!(said.contains("state") && said.lines().count() == 1, "{said:?}");
        } else {
            lab.run(&["ls"]).expect(0);
            assert_eq!(node.stop(), 0);
        }
    }
}
