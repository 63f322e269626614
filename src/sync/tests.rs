//! Both ends on real folders, without a network between them: whatever two trees look like, and wherever it
//! is cut off, a sync makes one the other.

use std::collections::BTreeMap;
use std::fs::{self, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::compare::{Descent, There};
use super::entry::{Tree, What, join};
use super::plan::{Act, Draft, Options, Plan, PlanError};
use super::receive::{SyncError, Trees, digests};
use super::rules::Rules;
use super::scan::{Scanned, Side, scan};
use super::wire::{Apply, Compare, List, Op, VERSION};
use crate::content::Digest;
use crate::upload::staged;

const KEY: &str = "00000000000000000000000000000001";

fn scanned(dir: &Path, side: Side, rules: Rules) -> Scanned {
    scan(fs::File::open(dir).unwrap(), rules, side, &AtomicBool::new(false)).unwrap()
}

/// A source and a receiver's root, in which the tree is `in/tree`.
struct Pair {
    here: PathBuf,
    root: PathBuf,
    trees: Trees,
    _dir: tempfile::TempDir,
}

/// What is left of a run that was cut off after so many operations.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done(Box<Finished>),
    Cut,
}

#[derive(Debug, PartialEq, Eq)]
struct Finished {
    totals: super::plan::Totals,
    failed: Vec<String>,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (here, root) = (dir.path().join("here"), dir.path().join("root"));
        fs::create_dir(&here).unwrap();
        fs::create_dir_all(root.join("in")).unwrap();
        let trees = Trees::open(&root).unwrap();
        Self { here, root, trees, _dir: dir }
    }

    fn there(&self) -> PathBuf {
        self.root.join("in/tree")
    }

    fn see(&self, scanned: &Scanned, everything: bool) -> There {
        let digest = if everything { Digest([0; 32]) } else { scanned.tree.digest() };
        let request = Compare { version: VERSION, path: "in/tree".into(), rules: scanned.rules.clone(), digest };
        let compared = self.trees.compare(request, &AtomicBool::new(false)).unwrap();
        let mut descent = Descent::new(&scanned.tree, &compared, everything);
        loop {
            let folders = descent.ask();
            if folders.is_empty() {
                return descent.finish();
            }
            let listed =
                self.trees.list(&List { snapshot: compared.snapshot.clone(), folders: folders.clone() }).unwrap();
            for (path, folder) in folders.into_iter().zip(listed.folders) {
                descent.take(path, folder.map(|folder| folder.check().unwrap())).unwrap();
            }
        }
    }

    fn plan(&self, scanned: &Scanned, options: &Options) -> Result<Plan, PlanError> {
        let there = self.see(scanned, options.checksum);
        let draft = Draft::new(&scanned.tree, &there, options.clone())?;
        let (mut mine, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        let digest =
            |path: PathBuf| digests(&[path], |path| fs::File::open(path).ok(), &AtomicBool::new(false)).pop().flatten();
        for question in draft.questions() {
            mine.extend(digest(self.here.join(&question.path)).map(|d| (question.path.clone(), d)));
            for path in question.there {
                theirs.extend(digest(self.there().join(&path)).map(|d| (path.clone(), d)));
            }
        }
        draft.finish(&mine, &theirs)
    }

    fn apply(&self, ops: &[Op], left: &mut usize) -> Vec<String> {
        let now = ops.len().min(*left);
        *left -= now;
        let request = Apply {
            version: VERSION,
            path: "in/tree".into(),
            sync: KEY.into(),
            ops: ops[..now].to_vec(),
            over: vec![],
        };
        self.trees.apply(&request).unwrap().failed.into_iter().map(|(_, why)| why).collect()
    }

    /// A whole sync, as the engine does it; cut off after `most` operations.
    fn sync(&self, options: &Options, rules: Rules, most: usize) -> Result<End, PlanError> {
        let scanned = scanned(&self.here, Side::Source, rules);
        let plan = self.plan(&scanned, options)?;
        let steps = plan.steps(&scanned.tree);
        let (mut left, mut failed) = (most, Vec::new());
        failed.extend(self.apply(&steps.before, &mut left));
        for (n, round) in steps.rounds.iter().enumerate() {
            let upload = format!("{:032x}", n + 2);
            for path in &round.files {
                let to = self.root.join(staged(&upload)).join(path);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                // With mode and time, as an upload has them.
                fs::copy(self.here.join(path), &to).unwrap();
                let time = fs::metadata(self.here.join(path)).unwrap().modified().unwrap();
                let file = fs::File::open(&to).unwrap();
                file.set_times(FileTimes::new().set_modified(time)).unwrap();
            }
            failed.extend(self.apply(&round.after(&upload), &mut left));
        }
        failed.extend(self.apply(&steps.after, &mut left));
        if failed.is_empty() {
            failed.extend(self.apply(&steps.delete, &mut left));
        }
        failed.extend(self.apply(&steps.last, &mut left));
        Ok(if left == 0 { End::Cut } else { End::Done(Box::new(Finished { totals: plan.totals, failed })) })
    }

    fn done(&self, options: &Options, rules: Rules) -> super::plan::Totals {
        match self.sync(options, rules, usize::MAX).unwrap() {
            End::Done(done) => {
                assert_eq!(done.failed, Vec::<String>::new());
                done.totals
            }
            End::Cut => unreachable!(),
        }
    }
}

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

/// Every file's bytes, by path.
fn contents(dir: &Path, tree: &Tree) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for (path, folder) in &tree.folders {
        for entry in folder.entries.iter().filter(|e| e.is_file()) {
            let at = join(path, &entry.name);
            found.insert(at.clone(), fs::read(dir.join(&at)).unwrap());
        }
    }
    found
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

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
    fs::write(dir.join(path), bytes).unwrap();
}

fn delete() -> Options {
    Options { delete: true, ..Options::default() }
}

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
fn a_file_like_a_new_one_is_named_as_its_basis() {
    let pair = Pair::new();
    write(&pair.here, "dist/app-1.2.tar", &vec![1; 50_000]);
    write(&pair.here, "dist/notes", &vec![2; 50_000]);
    pair.done(&delete(), Rules::default());
    fs::remove_file(pair.here.join("dist/app-1.2.tar")).unwrap();
    write(&pair.here, "dist/app-1.3.tar", &vec![3; 51_000]);
    write(&pair.here, "dist/notes", &vec![4; 50_001]);
    write(&pair.here, "unlike", &vec![5; 50_000]);
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
}

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
    let meta = |path: &str| Op::Meta { path: path.into(), mode: Some(0o777), mtime: super::entry::Mtime(1, 1) };
    // What words alone show is refused before anything is done.
    for path in ["../x", "/etc/x", "a/../../x", "a//b", ".skep-x", "a/.skep-y", "x\0", "\\x61"] {
        for op in
            [take(path), Op::Folder { path: path.into() }, meta(path), Op::Delete { path: path.into(), folder: false }]
        {
            let refused = request("in/tree", vec![Op::Folder { path: "first".into() }, op.clone()]);
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
        take(""),
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
        Op::Folder { path: "out/new".into() },
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
    let tree = super::tests::scanned(&pair.there(), Side::Receiver, Rules::default()).tree;
    assert!(tree.get("f").is_none() && matches!(scanned.tree.get("f").unwrap().what, What::File { .. }));
}
