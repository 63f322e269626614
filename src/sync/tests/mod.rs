//! Both ends on real folders, without a network between them: whatever two trees look like, and wherever it
//! is cut off, a sync makes one the other.

mod cases;
mod confined;
mod random;
mod reused;

use std::collections::BTreeMap;
use std::fs::{self, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::compare::{Descent, There};
use super::entry::{Tree, join};
use super::plan::{Draft, Options, Plan, PlanError};
use super::receive::{Trees, digests};
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
        let digest = |path: PathBuf| {
            digests(&[path], |path| fs::File::open(path).ok(), &AtomicBool::new(false))
                .pop()
                .flatten()
                .map(|(digest, _)| digest)
        };
        let questions = draft.questions();
        for path in &questions.here {
            mine.extend(digest(self.here.join(path)).map(|d| (path.clone(), d)));
        }
        for path in questions.there.keys() {
            theirs.extend(digest(self.there().join(path)).map(|d| (path.clone(), d)));
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
            failed.extend(self.apply(&round.after(&upload, &BTreeMap::new()), &mut left));
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

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
    fs::write(dir.join(path), bytes).unwrap();
}

fn delete() -> Options {
    Options { delete: true, ..Options::default() }
}
