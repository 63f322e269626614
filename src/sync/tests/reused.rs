//! What need not be sent.

use std::fs::{self, FileTimes};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{Pair, delete, scanned, write};
use crate::sync::plan::Act;
use crate::sync::rules::Rules;
use crate::sync::scan::Side;

#[test]
fn what_is_there_under_another_name_is_not_sent() {
    let pair = Pair::new();
    for n in 0..20 {
        write(&pair.here, &format!("old/{n}"), format!("content {n}").as_bytes());
    }
    write(&pair.here, "kept", &vec![7; 100_000]);
    assert_eq!(pair.done(&delete(), Rules::default()).new, 21);
    fs::rename(pair.here.join("old"), pair.here.join("new")).unwrap();
    fs::rename(pair.here.join("new/3"), pair.here.join("elsewhere")).unwrap();
    fs::copy(pair.here.join("kept"), pair.here.join("copy")).unwrap();
    let swap = |a: &str, b: &str| {
        fs::rename(pair.here.join(a), pair.here.join("tmp")).unwrap();
        fs::rename(pair.here.join(b), pair.here.join(a)).unwrap();
        fs::rename(pair.here.join("tmp"), pair.here.join(b)).unwrap();
    };
    swap("new/5", "new/6");
    let totals = pair.done(&delete(), Rules::default());
    assert_eq!((totals.send_bytes, totals.moved, totals.copied), (0, 20, 1), "{totals:?}");
    assert!(totals.deleted == 1, "only the folder itself: {totals:?}");
    assert_eq!(fs::read(pair.there().join("new/5")).unwrap(), b"content 6");
    // Swapped in place: each is what the other was.
    swap("new/1", "new/2");
    let totals = pair.done(&delete(), Rules::default());
    assert_eq!((totals.send_bytes, totals.copied), (0, 2), "{totals:?}");
    assert_eq!(fs::read(pair.there().join("new/1")).unwrap(), b"content 2");
    // Touched only.
    let file = fs::File::options().write(true).open(pair.here.join("kept")).unwrap();
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
    let totals = pair.done(&delete(), Rules::default());
    assert_eq!((totals.send_bytes, totals.touched), (0, 1), "{totals:?}");
    assert_eq!(fs::metadata(pair.there().join("kept")).unwrap().mtime(), 0);
}

#[test]
fn a_file_like_a_new_one_is_named_as_its_basis() {
    let pair = Pair::new();
    write(&pair.here, "dist/app-1.2.tar", &vec![1; 50_000]);
    write(&pair.here, "dist/notes", &vec![2; 50_000]);
    write(&pair.here, "plan.doc", &vec![6; 50_000]);
    write(&pair.here, "a.jpg", &vec![7; 50_000]);
    pair.done(&delete(), Rules::default());
    fs::remove_file(pair.here.join("dist/app-1.2.tar")).unwrap();
    write(&pair.here, "dist/app-1.3.tar", &vec![3; 51_000]);
    write(&pair.here, "dist/notes", &vec![4; 50_001]);
    write(&pair.here, "unlike", &vec![5; 500_000]);
    // Renamed and edited.
    fs::remove_file(pair.here.join("plan.doc")).unwrap();
    write(&pair.here, "draft.doc", &vec![8; 50_100]);
    write(&pair.here, "b.jpg", &vec![9; 50_000]);
    // Moved and edited.
    write(&pair.here, "other/app-1.2.tar", &vec![9; 40_000]);
    let plan = pair.plan(&scanned(&pair.here, Side::Source, Rules::default()), &delete()).unwrap();
    let basis = |path: &str| {
        plan.items.iter().find_map(|item| match &item.act {
            Act::Send { basis, .. } if item.path == path => Some(basis.clone()),
            _ => None,
        })
    };
    assert_eq!(basis("dist/app-1.3.tar"), Some(Some("dist/app-1.2.tar".into())));
    assert_eq!(basis("dist/notes"), Some(Some("dist/notes".into())));
    assert_eq!(basis("unlike"), Some(None));
    assert_eq!(basis("draft.doc"), Some(Some("plan.doc".into())));
    assert_eq!(basis("b.jpg"), Some(Some("plan.doc".into())), "what goes anyway is worth a look");
    assert_eq!(basis("other/app-1.2.tar"), Some(Some("dist/app-1.2.tar".into())));
    // Pictures beside each other have nothing in common.
    pair.done(&delete(), Rules::default());
    write(&pair.here, "c.jpg", &vec![10; 50_000]);
    let plan = pair.plan(&scanned(&pair.here, Side::Source, Rules::default()), &delete()).unwrap();
    assert!(plan.items.iter().any(|item| item.act == Act::Send { size: 50_000, basis: None }), "{:?}", plan.items);
}

#[test]
fn of_a_thousand_files_alike_by_size_and_time_each_is_found_again() {
    let pair = Pair::new();
    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for n in 0..1_000 {
        write(&pair.here, &format!("old/{n:04}"), format!("content {n:06}").as_bytes());
        let file = fs::File::options().write(true).open(pair.here.join(format!("old/{n:04}"))).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    // Of the same size and time, and there to stay: none of them is what is looked for.
    for n in 0..300 {
        write(&pair.here, &format!("kept/{n:04}"), format!("another {n:06}").as_bytes());
        let file = fs::File::options().write(true).open(pair.here.join(format!("kept/{n:04}"))).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    pair.done(&delete(), Rules::default());
    fs::create_dir(pair.here.join("new")).unwrap();
    for n in 0..1_000 {
        fs::rename(pair.here.join(format!("old/{n:04}")), pair.here.join(format!("new/{:04}", (n * 7 + 13) % 1_000)))
            .unwrap();
    }
    fs::remove_dir(pair.here.join("old")).unwrap();
    let totals = pair.done(&delete(), Rules::default());
    assert_eq!((totals.moved, totals.new, totals.send_bytes, totals.deleted), (1_000, 0, 0, 1), "{totals:?}");
    assert_eq!(fs::read(pair.there().join("new/0013")).unwrap(), b"content 000000");
}

#[test]
fn of_many_that_may_be_one_new_file_some_are_hashed() {
    let pair = Pair::new();
    let set = |path: &str| {
        let file = fs::File::options().write(true).open(pair.here.join(path)).unwrap();
        file.set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
    };
    for n in 0..600 {
        write(&pair.here, &format!("f{n}"), format!("content {n:06}").as_bytes());
        set(&format!("f{n}"));
    }
    pair.done(&delete(), Rules::default());
    (0..600).for_each(|n| fs::remove_file(pair.here.join(format!("f{n}"))).unwrap());
    write(&pair.here, "new", b"content new000");
    set("new");
    let here = scanned(&pair.here, Side::Source, Rules::default());
    let there = pair.see(&here, false);
    let draft = crate::sync::plan::Draft::new(&here.tree, &there, delete()).unwrap();
    let questions = draft.questions();
    assert_eq!((questions.here.len(), questions.there.len()), (1, 260));
}
