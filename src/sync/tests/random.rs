//! Random trees.

use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{End, Pair, contents, scanned};
use crate::sync::plan::Options;
use crate::sync::rules::Rules;
use crate::sync::scan::Side;

/// One thing in a random tree: where, and what.
#[derive(Debug, Clone)]
struct Made {
    path: Vec<usize>,
    kind: Kind,
    mode: usize,
    time: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    File(u8),
    Folder,
    Symlink(usize),
    Link(usize),
}

const NAMES: [&str; 4] = ["a", "b", "c", "a-b"];

fn made() -> impl Strategy<Value = Vec<Made>> {
    let kind = prop_oneof![
        4 => (0u8..4).prop_map(Kind::File),
        1 => Just(Kind::Folder),
        1 => (0usize..4).prop_map(Kind::Symlink),
        1 => (0usize..8).prop_map(Kind::Link),
    ];
    let one = (prop::collection::vec(0usize..4, 1..4), kind, 0usize..3, 0u64..2);
    prop::collection::vec(one.prop_map(|(path, kind, mode, time)| Made { path, kind, mode, time }), 0..12)
}

/// Different contents never have the same size and time.
fn content(n: u8) -> Vec<u8> {
    vec![b'0' + n; if n == 3 { 70_000 } else { 10 }]
}

fn build(dir: &Path, all: &[Made]) {
    fs::create_dir_all(dir).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut modes = Vec::new();
    for made in all {
        let path = made.path.iter().fold(dir.to_owned(), |path, n| path.join(NAMES[*n]));
        if path.symlink_metadata().is_ok() || fs::create_dir_all(path.parent().unwrap()).is_err() {
            continue;
        }
        let real = path.parent().unwrap().canonicalize().unwrap();
        if real != path.parent().unwrap().components().collect::<PathBuf>()
            && !real.ends_with(path.parent().unwrap().strip_prefix(dir).unwrap())
        {
            continue;
        }
        match &made.kind {
            Kind::File(n) => {
                fs::write(&path, content(*n)).unwrap();
                let time = UNIX_EPOCH + Duration::new(1_000 + u64::from(*n) * 10 + made.time, 123_456_789);
                fs::File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_times(FileTimes::new().set_modified(time))
                    .unwrap();
                fs::set_permissions(&path, Permissions::from_mode([0o644, 0o600, 0o755][made.mode])).unwrap();
                files.push(path);
            }
            Kind::Folder => {
                fs::create_dir(&path).unwrap();
                modes.push((path, [0o755, 0o700, 0o555][made.mode]));
            }
            Kind::Symlink(n) => symlink(NAMES[*n], &path).unwrap(),
            Kind::Link(n) if !files.is_empty() => fs::hard_link(&files[n % files.len()], &path).unwrap(),
            Kind::Link(_) => {}
        }
    }
    for (path, mode) in modes {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_sync_makes_the_other_tree_this_one(here in made(), there in made(), checksum: bool) {
        let pair = Pair::new();
        build(&pair.here, &here);
        build(&pair.there(), &there);
        let options = Options { delete: true, force: true, checksum, ..Options::default() };
        let end = pair.sync(&options, Rules::default(), usize::MAX).unwrap();
        prop_assert!(matches!(&end, End::Done(done) if done.failed.is_empty()), "{:?}", end);
        let (ours, theirs) = (
            scanned(&pair.here, Side::Source, Rules::default()).tree,
            scanned(&pair.there(), Side::Receiver, Rules::default()).tree,
        );
        prop_assert_eq!(&contents(&pair.here, &ours), &contents(&pair.there(), &theirs));
        prop_assert_eq!(ours.digest(), theirs.digest(), "{:#?}\n{:#?}", ours, theirs);
        let again = pair.done(&options, Rules::default());
        prop_assert!(again.is_nothing(), "{:?}", again);
    }

    #[test]
    fn cut_off_anywhere_each_file_is_the_old_or_the_new_one_and_the_next_run_ends_it(
        here in made(), there in made(), cut in 0usize..24,
    ) {
        let pair = Pair::new();
        build(&pair.here, &here);
        build(&pair.there(), &there);
        let old = contents(&pair.there(), &scanned(&pair.there(), Side::Receiver, Rules::default()).tree);
        let new_tree = scanned(&pair.here, Side::Source, Rules::default()).tree;
        let new = contents(&pair.here, &new_tree);
        let options = Options { delete: true, force: true, ..Options::default() };
        pair.sync(&options, Rules::default(), cut).unwrap();
        let now = contents(&pair.there(), &scanned(&pair.there(), Side::Receiver, Rules::default()).tree);
        for (path, before) in &old {
            if let Some(after) = new.get(path) {
                let found = now.get(path);
                prop_assert!(found == Some(before) || found == Some(after), "{} is neither", path);
            }
        }
        pair.done(&options, Rules::default());
        let theirs = scanned(&pair.there(), Side::Receiver, Rules::default()).tree;
        prop_assert_eq!(new_tree.digest(), theirs.digest());
    }

    #[test]
    fn without_delete_nothing_that_only_they_have_goes(here in made(), there in made()) {
        let pair = Pair::new();
        build(&pair.here, &here);
        build(&pair.there(), &there);
        let before = contents(&pair.there(), &scanned(&pair.there(), Side::Receiver, Rules::default()).tree);
        let totals = pair.done(&Options::default(), Rules::default());
        prop_assert_eq!(totals.deleted, 0);
        let ours = scanned(&pair.here, Side::Source, Rules::default()).tree;
        let after = scanned(&pair.there(), Side::Receiver, Rules::default()).tree;
        let found = contents(&pair.there(), &after);
        for (path, bytes) in before {
            let in_the_way = ours.get(&path).is_some() || path.match_indices('/').any(|(at, _)| ours.get(&path[..at]).is_some_and(|e| !e.is_folder()));
            prop_assert!(in_the_way || found.get(&path) == Some(&bytes), "{} is gone", path);
        }
        if totals.left == 0 {
            for (path, bytes) in contents(&pair.here, &ours) {
                prop_assert_eq!(found.get(&path), Some(&bytes));
            }
        }
    }
}
