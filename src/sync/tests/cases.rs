//! Rules, guards, digests, snapshots.

use std::fs::{self, FileTimes};
use std::sync::atomic::AtomicBool;

use super::{Pair, contents, delete, scanned, write};
use crate::sync::entry::What;
use crate::sync::plan::{Options, PlanError};
use crate::sync::receive::SyncError;
use crate::sync::rules::Rules;
use crate::sync::scan::Side;
use crate::sync::wire::{Compare, List, Op, VERSION};

#[test]
fn what_rules_ignore_is_neither_sent_nor_deleted() {
    let pair = Pair::new();
    for path in ["a.c", "a.o", "sub/b.o", "sub/b.c"] {
        write(&pair.here, path, b"ours");
    }
    for path in ["x.o", "old/y.o", "old/z.c", "gone/z.c", "a.o"] {
        write(&pair.there(), path, b"theirs");
    }
    let totals = pair.done(&delete(), Rules::first(vec!["*.o".into()]));
    let left: Vec<String> = {
        let tree = scanned(&pair.there(), Side::Receiver, Rules::default()).tree;
        contents(&pair.there(), &tree).into_keys().collect()
    };
    assert_eq!(left, ["a.c", "a.o", "old/y.o", "sub/b.c", "x.o"]);
    assert_eq!(fs::read(pair.there().join("a.o")).unwrap(), b"theirs");
    assert_eq!((totals.deleted, totals.left), (3, 1), "{totals:?}");
    // What cannot be sent is not deleted either.
    rustix::fs::mkfifoat(rustix::fs::CWD, pair.here.join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    write(&pair.there(), "pipe", b"theirs");
    pair.done(&delete(), Rules::default());
    assert!(pair.there().join("pipe").exists() && !pair.there().join("x.o").exists());
}

#[test]
fn guards_against_deleting_too_much() {
    let pair = Pair::new();
    for n in 0..5 {
        write(&pair.there(), &n.to_string(), b"theirs");
    }
    assert_eq!(pair.sync(&delete(), Rules::default(), usize::MAX), Err(PlanError::EmptySource(5)));
    write(&pair.here, "0", b"ours");
    let few = Options { max_delete: Some(3), ..delete() };
    let refused = pair.sync(&few, Rules::default(), usize::MAX);
    assert_eq!(refused, Err(PlanError::MaxDelete { got: 4, allowed: 3 }));
    let one = PlanError::MaxDelete { got: 1, allowed: 0 }.to_string();
    assert!(one.starts_with("1 entry would be deleted, more than the 0 that"), "{one}");
    assert_eq!(fs::read_dir(pair.there()).unwrap().count(), 5);
    pair.done(&Options { max_delete: Some(4), ..delete() }, Rules::default());
    assert_eq!(fs::read_dir(pair.there()).unwrap().count(), 1);
    fs::remove_dir_all(pair.there()).unwrap();
    fs::write(pair.there(), "a file").unwrap();
    assert_eq!(pair.sync(&delete(), Rules::default(), usize::MAX), Err(PlanError::NoFolder));
}

#[test]
fn digests_find_what_size_and_time_hide() {
    let pair = Pair::new();
    write(&pair.here, "f", b"right");
    pair.done(&delete(), Rules::default());
    let time = fs::metadata(pair.here.join("f")).unwrap().modified().unwrap();
    write(&pair.there(), "f", b"wrong");
    let file = fs::File::options().write(true).open(pair.there().join("f")).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    let top = fs::metadata(&pair.here).unwrap().modified().unwrap();
    fs::File::open(pair.there()).unwrap().set_times(FileTimes::new().set_modified(top)).unwrap();
    assert!(pair.done(&delete(), Rules::default()).is_nothing());
    let totals = pair.done(&Options { checksum: true, ..delete() }, Rules::default());
    assert_eq!(totals.changed, 1);
    assert_eq!(fs::read(pair.there().join("f")).unwrap(), b"right");
}

#[test]
fn what_was_seen_counts_until_something_changes() {
    let pair = Pair::new();
    write(&pair.here, "f", b"1");
    write(&pair.there(), "f", b"22");
    let scanned = scanned(&pair.here, Side::Source, Rules::default());
    let request =
        Compare { version: VERSION, path: "in/tree".into(), rules: Rules::default(), digest: scanned.tree.digest() };
    let compared = pair.trees.compare(request, &AtomicBool::new(false)).unwrap();
    let list = List { snapshot: compared.snapshot, folders: vec![String::new(), "no".into()] };
    let listed = pair.trees.list(&list).unwrap();
    assert!(listed.folders[0].is_some() && listed.folders[1].is_none());
    pair.apply(&[Op::Delete { path: "f".into(), folder: false }], &mut usize::MAX.clone());
    assert!(matches!(pair.trees.list(&list), Err(SyncError::Stale)));
    let tree = super::scanned(&pair.there(), Side::Receiver, Rules::default()).tree;
    assert!(tree.get("f").is_none() && matches!(scanned.tree.get("f").unwrap().what, What::File { .. }));
}
