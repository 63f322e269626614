use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn scanned(dir: &Path, side: Side, rules: Rules) -> Result<Scanned, ScanError> {
    scan(fs::File::open(dir).unwrap(), rules, side, &AtomicBool::new(false))
}

fn write(dir: &Path, path: &str, text: &str) {
    fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
    fs::write(dir.join(path), text).unwrap();
}

#[test]
fn everything_is_found_and_what_cannot_be_sent_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    write(dir.path(), "a/b/file", "12345");
    fs::create_dir(at("empty")).unwrap();
    fs::hard_link(at("a/b/file"), at("z")).unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"not\xffutf8\\")), "x").unwrap();
    symlink("b/file", at("a/link")).unwrap();
    symlink("/etc/passwd", at("out")).unwrap();
    write(dir.path(), ".skep-x.part", "ours");
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::from_raw_mode(0o644)).unwrap();
    let sparse = fs::File::create(at("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    let tree = scanned(dir.path(), Side::Source, Rules::default()).unwrap().tree;
    let names: Vec<String> =
        tree.folders.iter().flat_map(|(p, f)| f.entries.iter().map(|e| join(p, &e.name))).collect();
    assert_eq!(names, ["a", "empty", "not\\xffutf8\\\\", "sparse", "z", "a/b", "a/link", "a/b/file"]);
    assert_eq!(tree.get("z").unwrap().what, What::File { size: 5, leader: Some("a/b/file".into()) });
    assert_eq!(tree.get("a/link").unwrap().what, What::Symlink("b/file".into()));
    assert!(tree.get("sparse").unwrap().sparse && !tree.get("z").unwrap().sparse);
    let skipped: Vec<&str> = tree.skipped.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(skipped, [".skep-x.part", "out", "pipe"]);
    assert_eq!((tree.count(), tree.bytes()), (8, 5 + 1 + (1 << 20)));
}

#[test]
fn rules_of_files_and_of_a_request_mean_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["keep", "a.o", "sub/a.o", "sub/b.log", "sub/deep/b.log", "target/x", "sub/target/x"] {
        write(dir.path(), path, path);
    }
    write(dir.path(), ".skepignore", "# words\n/target/\n*.log\n");
    write(dir.path(), "sub/.skepignore", "!deep/*.log\n");
    let here = scanned(dir.path(), Side::Source, Rules::first(vec!["*.o".into()])).unwrap();
    let names = |tree: &Tree| {
        tree.folders.iter().flat_map(|(p, f)| f.entries.iter().map(|e| join(p, &e.name))).collect::<Vec<_>>()
    };
    let found = names(&here.tree);
    assert_eq!(
        found,
        [".skepignore", "keep", "sub", "sub/.skepignore", "sub/deep", "sub/target", "sub/deep/b.log", "sub/target/x"]
    );
    assert_eq!(here.tree.folders["sub"].hidden, 2);
    let there = scanned(dir.path(), Side::Receiver, here.rules.clone()).unwrap();
    assert_eq!(there.tree.digest(), here.tree.digest());
    // A receiver does not obey what lies in its tree.
    let bare = scanned(dir.path(), Side::Receiver, Rules::default()).unwrap();
    assert!(names(&bare.tree).contains(&"target/x".to_owned()));
    write(dir.path(), "sub/.skepignore", "a{b\n");
    let error = scanned(dir.path(), Side::Source, Rules::default()).unwrap_err();
    assert!(error.to_string().contains("sub/.skepignore: "), "{error}");
}

#[test]
fn a_scan_stops_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = scan(fs::File::open(dir.path()).unwrap(), Rules::default(), Side::Source, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(ScanError::Stopped)));
}
