//! Manifests that a hostile node serves.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};
use skep_engine::content::{ContentId, Manifest};

use super::common::Lab;
use super::says;

/// Answers every request for a manifest with these bytes, and all else with an error, until the test ends.
fn serve(manifest: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &manifest);
        }
    });
    address
}

fn answer(mut stream: TcpStream, manifest: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let (status, body): (_, &[u8]) =
        if head.starts_with(b"GET /swarm/manifest/") { ("200 OK", manifest) } else { ("404 Not Found", b"") };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}

fn file(path: &str) -> Value {
    json!({ "path": path, "size": 10, "mode": 420 })
}

fn link(path: &str, target: &str) -> Value {
    json!({ "path": path, "size": 0, "mode": 511, "symlink": target })
}

/// A manifest of these entries, sound in all else.
fn manifest(name: &str, files: Value) -> Vec<u8> {
    let size: u64 = files.as_array().unwrap().iter().map(|f| f["size"].as_u64().unwrap()).sum();
    let pieces = vec!["ab".repeat(32); size.div_ceil(1024) as usize];
    let whole = json!({ "version": 1, "name": name, "piece_length": 1024, "files": files, "pieces": pieces });
    whole.to_string().into_bytes()
}

/// Everything below the laboratory but its state.
fn found(lab: &Lab) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![lab.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true if entry.path() != lab.path("state") => folders.push(entry.path()),
                true => {}
                false => found.push(entry.path()),
            }
        }
    }
    found
}

#[test]
fn hostile_manifests_are_refused_in_a_word() {
    let outside = tempfile::tempdir().unwrap();
    let absolute = outside.path().join("evil").to_str().unwrap().to_owned();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("\"..\"", manifest("x", json!([file("../evil")]))),
        ("\"..\"", manifest("x", json!([file("a/../../evil")]))),
        ("\"..\"", manifest("..", json!([file("evil")]))),
        ("bad path", manifest("../evil", json!([file("../evil")]))),
        ("bad path", manifest("a/evil", json!([file("b")]))),
        ("absolute", manifest("x", json!([file(&absolute)]))),
        ("absolute", manifest(&absolute, json!([file("evil")]))),
        ("outside the tree", manifest("x", json!([link("l", outside.path().to_str().unwrap()), file("z")]))),
        ("outside the tree", manifest("x", json!([link("l", "../.."), file("z")]))),
        ("outside the tree", manifest("x", json!([link("d/l", "k/../../.."), file("z")]))),
        ("not a folder", manifest("x", json!([file("a"), link("l", "."), file("l/evil")]))),
        ("listed twice", manifest("x", json!([file("evil"), file("evil")]))),
        ("bad path", manifest("x", json!([file(&"d/".repeat(500))]))),
        ("bad path", manifest("x", json!([file(&format!("{}evil", "d/".repeat(500)))]))),
        ("bad path", manifest("x", json!([file(&"n".repeat(5000))]))),
        // 10^12 pieces: claimed, and asked for in one entry whose sum overflows.
        (
            "1000000000000 pieces",
            json!({ "version": 1, "name": "x", "piece_length": 1024, "pieces": [],
                    "files": [{ "path": "x", "size": 1_024_000_000_000_000_u64, "mode": 420 }] })
            .to_string()
            .into_bytes(),
        ),
        (
            "2^53",
            json!({ "version": 1, "name": "x", "piece_length": 1024, "pieces": [],
                    "files": [{ "path": "x", "size": u64::MAX, "mode": 420 }, { "path": "y", "size": 2, "mode": 420 }] })
            .to_string()
            .into_bytes(),
        ),
        ("manifest", "[".repeat(1 << 20).into_bytes()),
        ("manifest", br#"{"files":"#.repeat(1 << 16)),
        // Errors that quote what they are about.
        ("bad path", manifest("x", json!([file("\u{1b}[2J\u{7}\u{9b}1m/../evil")]))),
        ("bad path", manifest("\u{1b}]0;owned\u{7}\n\r..", json!([file("/\u{1b}[31m")]))),
        ("manifest", br#"{"version":1,"\u001b[2J\u001b]52;c;eA==\u0007":1}"#.to_vec()),
        ("manifest", b"\x1b[2J".to_vec()),
        ("manifest", format!("{{\"version\":1,\"{}\":1}}", "long".repeat(100_000)).into_bytes()),
    ];
    let lab = Lab::new();
    for (index, (word, bytes)) in cases.into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let address = serve(bytes);
        let id = format!("{index:064x}");
        for source in [format!("skep://{address}/{id}"), format!("http://{address}/swarm/manifest/{id}")] {
            let ended = lab.run(&["get", &source, "-o", "out"]);
            assert!([1, 4].contains(&ended.code()), "{ended:?} for {shown}");
            says(&ended, &[word, &address]);
            let text = ended.stderr();
            assert!(text.len() < 500, "{} bytes for {shown}", text.len());
        }
    }
    assert_eq!(found(&lab), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// A manifest that is sound, but not the one that was asked for.
#[test]
fn another_manifest_than_the_one_asked_for_is_refused() {
    let lab = Lab::new();
    let address = serve(manifest("x", json!([file("x")])));
    let ended = lab.run(&["get", &format!("skep://{address}/{}", "ab".repeat(32))]);
    assert!([1, 4].contains(&ended.code()), "{ended:?}");
    says(&ended, &["another content"]);
}

/// Names with control characters are names on Unix: such a content arrives, the terminal is spared.
#[test]
fn names_that_steer_terminals_never_reach_them() {
    const NAME: &str = "a\u{1b}[2J\u{1b}]0;owned\u{7}\r\nb\u{9b}31m";
    let from = Lab::new();
    from.data(NAME, 2000);
    let mut node = from.serve(&[]);
    let link = from.share(&from.path(NAME));
    let clean = |text: &str| assert!(!text.trim_end().chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let to = Lab::new();
    let ended = to.run(&["get", &link, "-o", "out"]);
    ended.expect(0);
    assert_eq!(ended.stdout().lines().count(), 1, "{ended:?}");
    clean(&ended.stdout());
    clean(&ended.stderr());
    assert!(fs::read(to.path("out").join(NAME)).unwrap() == fs::read(from.path(NAME)).unwrap());
    let ls = from.run(&["ls", "--all"]);
    clean(&ls.expect(0).stdout());
    // Taken by something else: an error that names it.
    fs::write(to.path("out").join(NAME), b"mine").unwrap();
    says(to.run(&["get", &link, "-o", "out"]).expect(1), &["exists", "--overwrite"]);
    // And logs.
    assert_eq!(node.stop(), 0);
    for entry in fs::read_dir(from.path("state")).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|e| e == "log") {
            clean(&fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// The id is right, the name hostile, and nobody has the pieces: no file, no raw name.
#[test]
fn a_sound_manifest_with_a_steering_name_and_no_data() {
    let bytes = manifest("\u{1b}[2Jx", json!([file("\u{1b}[2Jx")]));
    let id: ContentId = Manifest::from_json(&bytes).unwrap().id();
    let address = serve(bytes);
    let lab = Lab::new();
    let mut get = lab.spawn(&["--json", "get", &format!("skep://{address}/{id}"), "-o", "out"]);
    let waiting = super::until(&mut get, |event| event["reason"] != "");
    assert!(!waiting["name"].as_str().unwrap().contains('\u{1b}'), "{waiting}");
    assert!(!lab.path("out/\u{1b}[2Jx").exists());
}
