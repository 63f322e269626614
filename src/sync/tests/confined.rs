//! What must not be done.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::atomic::AtomicBool;

use super::{KEY, Pair, write};
use crate::content::Digest;
use crate::sync::receive::SyncError;
use crate::sync::rules::Rules;
use crate::sync::wire::{Apply, Compare, List, Op, VERSION};
use crate::upload::staged;

#[test]
fn nothing_leads_out_of_the_root_or_through_a_link() {
    let pair = Pair::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "theirs").unwrap();
    fs::create_dir(pair.there()).unwrap();
    symlink(outside.path(), pair.there().join("out")).unwrap();
    symlink(outside.path().join("f"), pair.there().join("link")).unwrap();
    write(&pair.root, &format!("{}/f", staged(KEY)), b"new");
    let request = |path: &str, ops: Vec<Op>| {
        pair.trees.apply(&Apply { version: VERSION, path: path.into(), sync: KEY.into(), ops, over: vec![] })
    };
    let take =
        |path: &str| Op::Take { upload: Some(KEY.into()), from: "f".into(), path: path.into(), over_folder: true };
    let meta = |path: &str| Op::Meta { path: path.into(), mode: Some(0o777), mtime: crate::sync::entry::Mtime(1, 1) };
    // What words alone show is refused before anything is done.
    for path in ["../x", "/etc/x", "a/../../x", "a//b", ".skep-x", "a/.skep-y", "x\0", "\\x61"] {
        for op in [
            take(path),
            Op::Folder { path: path.into(), over_file: true },
            meta(path),
            Op::Delete { path: path.into(), folder: false },
        ] {
            let refused = request("in/tree", vec![Op::Folder { path: "first".into(), over_file: false }, op.clone()]);
            assert!(matches!(refused, Err(SyncError::Bad(_))), "{op:?}");
        }
        assert!(matches!(request(path, vec![]), Err(SyncError::Bad(_))), "{path}");
        let link = Op::Link { path: "l".into(), leader: path.into(), over_folder: false };
        assert!(matches!(request("in/tree", vec![link]), Err(SyncError::Bad(_))));
    }
    for target in ["/etc/passwd", "../../x", "a/../../.."] {
        let op = Op::Symlink { path: "s".into(), target: target.into(), mtime: Default::default(), over_folder: false };
        assert!(matches!(request("in/tree", vec![op]), Err(SyncError::Bad(_))), "{target}");
    }
    for op in [
        Op::Delete { path: String::new(), folder: true },
        Op::Meta { path: "a".into(), mode: Some(0o4755), mtime: Default::default() },
    ] {
        assert!(matches!(request("in/tree", vec![op]), Err(SyncError::Bad(_))));
    }
    assert!(!pair.there().join("first").exists());
    // What only the disk shows is told.
    let stash = |path: &str| Op::Stash { path: path.into(), size: 6, mtime: Default::default(), slot: 0, copy: true };
    let ops = vec![
        take("out/f"),
        Op::Folder { path: "out/new".into(), over_file: true },
        Op::Delete { path: "out/f".into(), folder: false },
        meta("out/f"),
        meta("out"),
        meta("link"),
        stash("out/f"),
        stash("link"),
        Op::Link { path: "l".into(), leader: "link".into(), over_folder: false },
        Op::Link { path: "l".into(), leader: "out/f".into(), over_folder: false },
        Op::Unlock { path: "out".into() },
        Op::Delete { path: "out".into(), folder: true },
    ];
    let (count, before) = (ops.len(), fs::metadata(outside.path().join("f")).unwrap());
    let applied = request("in/tree", ops).unwrap();
    let failed: Vec<u32> = applied.failed.iter().map(|(n, _)| *n).collect();
    assert_eq!(failed, (0..count as u32).collect::<Vec<_>>(), "{applied:?}");
    let after = fs::metadata(outside.path().join("f")).unwrap();
    assert_eq!((before.mode(), before.mtime(), before.nlink()), (after.mode(), after.mtime(), after.nlink()));
    assert_eq!(
        (fs::read_dir(outside.path()).unwrap().count(), fs::read(outside.path().join("f")).unwrap()),
        (1, b"theirs".to_vec())
    );
    // A planted link on the way to the tree itself.
    symlink(outside.path(), pair.root.join("away")).unwrap();
    let compared = pair.trees.compare(
        Compare { version: VERSION, path: "away/x".into(), rules: Rules::default(), digest: Digest([0; 32]) },
        &AtomicBool::new(false),
    );
    assert!(matches!(compared, Err(SyncError::InTheWay(_))), "{compared:?}");
    // A link under the name itself gives way, what it leads to does not.
    assert!(request("in/tree", vec![take("link")]).unwrap().failed.is_empty());
    assert_eq!(fs::read(pair.there().join("link")).unwrap(), b"new");
    assert_eq!(fs::read(outside.path().join("f")).unwrap(), b"theirs");
}

#[test]
fn an_answer_is_no_larger_than_the_tree() {
    let pair = Pair::new();
    write(&pair.there(), "a", b"1");
    let stop = AtomicBool::new(false);
    let asked = Compare { version: VERSION, path: "in/tree".into(), rules: Rules::default(), digest: Digest([0; 32]) };
    let compared = pair.trees.compare(asked.clone(), &stop).unwrap();
    let list = |folders: &[&str]| {
        let folders = folders.iter().map(|&folder| folder.into()).collect();
        pair.trees.list(&List { snapshot: compared.snapshot.clone(), folders })
    };
    assert_eq!(list(&["", "none"]).unwrap().folders.len(), 2);
    assert!(matches!(list(&["", ""]), Err(SyncError::Bad(_))));
    // Whatever is changed, what was seen before counts no more.
    let nothing = Apply { version: VERSION, path: "in/tree".into(), sync: KEY.into(), ops: vec![], over: vec![] };
    pair.trees.apply(&nothing).unwrap();
    assert!(matches!(list(&[""]), Err(SyncError::Stale)));
}
