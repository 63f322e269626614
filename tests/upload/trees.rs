//! Trees: many files in few segments, with all that belongs to them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::{Value, json};

use super::common::{TestNode, noise};
use super::sender::*;

fn tree(extra: &[Value]) -> (Value, usize) {
    let mut files = vec![
        json!({"path": "a.bin", "size": 100_000, "mode": 0o644, "mtime": "2020-01-02T03:04:05.5Z"}),
        json!({"path": "empty", "size": 0, "mode": 0o600}),
        json!({"path": "hollow/", "size": 0, "mode": 0o700}),
        json!({"path": "sub/exec", "size": 3, "mode": 0o755}),
        json!({"path": "sub/link", "size": 0, "mode": 0o777, "symlink": "../a.bin"}),
        json!({"path": "sub/odd\\xff", "size": 50_000, "mode": 0o444}),
    ];
    files.extend_from_slice(extra);
    (Value::Array(files), 150_003)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_arrives_with_modes_times_links_and_odd_names() {
    let node = TestNode::start().await;
    let (files, size) = tree(&[]);
    let sender = Sender::of(&node, "tree", json!({"path": "deep/tree", "files": files}), noise(size, 1));
    assert_eq!(sender.segments(), 3);
    let published = sender.send().await;
    assert_eq!((&published["path"], &published["files"]), (&json!("deep/tree"), &json!(6)));
    let top = node.root().join("deep/tree");
    let odd = top.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"sub/odd\xff"));
    let mut all = fs::read(top.join("a.bin")).unwrap();
    all.extend(fs::read(top.join("sub/exec")).unwrap());
    all.extend(fs::read(&odd).unwrap());
    assert!(all == sender.bytes);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&odd), mode(&top.join("sub/exec")), mode(&top.join("hollow"))), (0o444, 0o755, 0o700));
    assert_eq!(top.join("a.bin").metadata().unwrap().mtime_nsec(), 500_000_000);
    assert_eq!(fs::read_link(top.join("sub/link")).unwrap().to_str(), Some("../a.bin"));
    assert_eq!(names(&node.root()), ["deep"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_replaces_a_tree_in_one_step_but_never_a_file() {
    let node = TestNode::start().await;
    fs::create_dir(node.root().join("t")).unwrap();
    fs::write(node.root().join("t/old"), "old").unwrap();
    let of = |id: &str, policy: &str| {
        let (files, size) = tree(&[]);
        Sender::of(&node, id, json!({"path": "t", "policy": policy, "files": files}), noise(size, 2))
    };
    assert_eq!(of("refuse", "refuse").open().await.0, 409);
    assert_eq!(of("both", "keep-both").send().await["path"], "t (2)");
    assert_eq!(names(&node.root().join("t")), ["old"]);
    of("over", "overwrite").send().await;
    assert_eq!(names(&node.root().join("t")), ["a.bin", "empty", "hollow", "sub"]);
    assert_eq!(names(&node.root()), ["t", "t (2)"], "what was replaced is gone");

    fs::remove_dir_all(node.root().join("t")).unwrap();
    fs::write(node.root().join("t"), "a file").unwrap();
    let sender = of("again", "overwrite");
    sender.open().await;
    sender.put_all().await;
    assert_eq!(sender.assemble().await.0, 409);
    assert_eq!(fs::read(node.root().join("t")).unwrap(), b"a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_small_files_are_a_handful_of_requests() {
    let node = TestNode::start().await;
    let files: Vec<Value> =
        (0..10_000).map(|n| json!({"path": format!("d{}/f{n:05}", n % 7), "size": n % 50, "mode": 0o644})).collect();
    let size = (0..10_000usize).map(|n| n % 50).sum();
    let sender = Sender::of(&node, "many", json!({"path": "many", "files": files}), noise(size, 3));
    assert!(sender.segments() < 5);
    sender.send().await;
    let mut at = 0;
    for n in 0..10_000 {
        let found = fs::read(node.root().join(format!("many/d{}/f{n:05}", n % 7))).unwrap();
        assert!(found == sender.bytes[at..at + n % 50], "{n}");
        at += n % 50;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_a_byte_arrives() {
    let node = TestNode::start().await;
    let sender = Sender::of(&node, "hollow", json!({"path": "x/hollow", "files": []}), Vec::new());
    sender.send().await;
    assert!(node.root().join("x/hollow").is_dir());
}
