use super::*;
use crate::content::testing::Tree;
use rustix::fs::{CWD, mknodat};
use std::os::unix::net::UnixListener;

fn paths(scan: &Scan) -> Vec<&str> {
    scan.files.iter().map(|f| f.path.as_str()).collect()
}

#[test]
fn odd_names_modes_and_times_survive() {
    let tree = Tree::new();
    tree.file("b c", "x").file("new\nline", "").file("日本é", "xyz").file("back\\slash", "").mode("b c", 0o755);
    tree.file(OsStr::from_bytes(b"\xff\xfe"), "ab").file("a.d/x", "").file("a/x", "");
    let found = scan(&tree.root()).unwrap();
    assert_eq!(found.name, "tree");
    assert_eq!(
        paths(&found),
        ["\\xff\\xfe", "a.d/x", "a/x", "b c", "back\\\\slash", "new\nline", "日本é"],
        "ascending by the bytes of the manifest's spelling"
    );
    let exec = &found.files[3];
    assert_eq!((exec.mode, exec.size), (0o755, 1));
    assert_eq!(exec.mtime.unwrap().to_string(), "2001-09-09T01:46:40.123456789Z");
    assert_eq!(found.stamps[3].mtime_ns, 1_000_000_000_123_456_789);
    assert_eq!(found.stamps[3].size, 1);
    assert_eq!(found.files.len(), found.stamps.len());
    assert!(found.skipped.is_empty());
}

#[test]
fn folders_are_listed_where_nothing_else_tells_of_them() {
    let tree = Tree::new();
    tree.file("plain/x", "").file("private/x", "").mode("private", 0o700).folder("empty/deep");
    assert_eq!(paths(&scan(&tree.root()).unwrap()), ["empty/deep/", "plain/x", "private/", "private/x"]);
    let none = Tree::new();
    assert_eq!(paths(&scan(&none.root()).unwrap()), [""; 0]);
}

#[test]
fn links_are_recorded_and_never_followed() {
    let tree = Tree::new();
    std::fs::write(tree.outside().join("secret"), "s").unwrap();
    tree.file("d/x", "").link("d/up", "../f").file("f", "").link("dangling", "nowhere").link("to-folder", "d");
    tree.link("abs", "/etc").link("out", "../secret").folder("only-a-bad-link").link("only-a-bad-link/l", "../../x");
    let found = scan(&tree.root()).unwrap();
    let expected = ["d/up", "d/x", "dangling", "f", "only-a-bad-link/", "to-folder"];
    assert_eq!(paths(&found), expected, "a folder does not vanish because its only child was left out");
    assert_eq!(found.files[0].symlink.as_deref(), Some("../f"));
    assert_eq!(found.files[0].mode, SYMLINK_MODE);
    let skipped: Vec<_> = found.skipped.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(skipped, ["abs", "only-a-bad-link/l", "out"]);
    assert!(found.skipped.iter().all(|s| matches!(s.why, SkipReason::LeadsOutside { .. })));
}

#[test]
fn what_has_no_bytes_is_left_out() {
    let tree = Tree::new();
    mknodat(CWD, tree.path("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let _socket = UnixListener::bind(tree.path("socket")).unwrap();
    let found = scan(&tree.root()).unwrap();
    assert!(found.files.is_empty());
    let why: Vec<_> = found.skipped.iter().map(|s| (s.path.as_str(), s.why.clone())).collect();
    assert_eq!(why, [("pipe", SkipReason::Special("named pipe")), ("socket", SkipReason::Special("socket"))]);
    assert!(matches!(scan(&tree.path("pipe")), Err(ScanError::Read { .. })), "nor can it be shared by itself");
}

#[test]
fn what_may_not_be_read_is_left_out() {
    let tree = Tree::new();
    tree.file("f", "x").mode("f", 0).file("d/x", "").mode("d", 0);
    let found = scan(&tree.root()).unwrap();
    tree.mode("d", 0o755);
    if rustix::process::geteuid().is_root() {
        assert_eq!(paths(&found), ["d/", "d/x", "f"], "root may read everything");
    } else {
        assert_eq!(found.skipped.iter().map(|s| s.path.as_str()).collect::<Vec<_>>(), ["d", "f"]);
        assert!(found.files.is_empty());
    }
}

#[test]
fn too_deep_is_left_out() {
    let tree = Tree::new();
    let deep = |levels: usize| vec!["d"; levels].join("/");
    tree.file(deep(name::MAX_DEPTH - 1) + "/ok", "").file(deep(name::MAX_DEPTH) + "/lost", "");
    let found = scan(&tree.root()).unwrap();
    assert_eq!(found.files.len(), 2, "the file, and the folder that lost its own: {:?}", paths(&found));
    assert_eq!(found.skipped.len(), 1);
    assert_eq!(found.skipped[0].why, SkipReason::Name(NameError::Deep));
    for entry in &found.files {
        entry.os_path().unwrap();
    }
}

#[test]
fn every_way_to_say_it_gives_a_name() {
    let tree = Tree::new();
    tree.file("sub/x", "");
    for way in ["tree", "tree/", "tree/.", "tree/sub/.."] {
        assert_eq!(scan(&tree.outside().join(way)).unwrap().name, "tree", "{way}");
    }
    std::os::unix::fs::symlink("tree", tree.outside().join("alias")).unwrap();
    let alias = scan(&tree.outside().join("alias")).unwrap();
    assert_eq!((alias.name.as_str(), paths(&alias)), ("alias", vec!["sub/x"]), "the path itself may be a link");
    for root in ["/", "/..", "/."] {
        assert!(matches!(scan(Path::new(root)), Err(ScanError::Root)), "{root}");
    }
    let gone = scan(&tree.path("gone")).unwrap_err();
    assert!(gone.to_string().contains("gone"), "{gone}");
}

#[test]
fn one_file_and_a_tree_that_looks_like_one() {
    let tree = Tree::new();
    tree.file("tree", "abc");
    let single = scan(&tree.path("tree")).unwrap();
    assert_eq!((single.name.as_str(), paths(&single), single.tree), ("tree", vec!["tree"], false));
    let folder = scan(&tree.root()).unwrap();
    assert_eq!((folder.name.as_str(), paths(&folder), folder.tree), ("tree", vec!["tree"], true));
    tree.folder("other");
    assert!(!scan(&tree.root()).unwrap().tree);
}

#[test]
fn more_bytes_than_can_be_described_are_refused() {
    let tree = Tree::new();
    tree.file("f", "");
    let mut walk = Walk::new(|_, _| ());
    // What a sparse file may claim; not every file system lets a test make one.
    let mut stat = rustix::fs::statat(CWD, tree.path("f"), AtFlags::empty()).unwrap();
    stat.st_size = MAX_SIZE as i64;
    assert!(walk.file("f".into(), &stat).is_ok());
    stat.st_size = 1;
    assert!(matches!(walk.file("g".into(), &stat), Err(Stop::TooLarge)));
}

proptest::proptest! {
    /// Entries and stamps stay together, whatever order they were found in.
    #[test]
    fn sorted_by_path(names in proptest::collection::hash_set("[a-c/.]{1,4}", 0..40)) {
        let entry = |path: &String| FileEntry { mode: 0, mtime: None, path: path.clone(), size: 0, symlink: None };
        let mut files: Vec<FileEntry> = names.iter().map(entry).collect();
        let number = |path: &str| path.bytes().fold(0u64, |sum, byte| sum * 256 + u64::from(byte));
        let stamp = |file: &FileEntry| FileStamp { size: 0, mtime_ns: 0, inode: number(&file.path), device: 0 };
        let mut stamps: Vec<FileStamp> = files.iter().map(stamp).collect();
        sort(&mut files, &mut stamps);
        proptest::prop_assert!(files.is_sorted_by(|a, b| a.path < b.path));
        proptest::prop_assert!(files.iter().zip(&stamps).all(|(file, stamp)| stamp.inode == number(&file.path)));
        proptest::prop_assert_eq!(files.len(), names.len());
    }
}
