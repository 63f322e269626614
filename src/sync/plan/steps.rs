//! From a plan to operations in an order in which nothing is ever lost: what is needed elsewhere is kept
//! aside before it is replaced, what is new stands before what is gone is deleted, modes and times come last.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Act, Plan, Was};
use crate::sync::entry::{Tree, What};
use crate::sync::wire::{MAX_OPS, Op};

/// Bytes sent before they are put in place.
const ROUND_BYTES: u64 = 256 << 20;
/// Files sent before they are put in place.
const ROUND_FILES: usize = MAX_OPS / 2;

/// Files that are sent together and then put in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Before they are put in place.
    pub before: Vec<Op>,
    /// Paths, ascending.
    pub files: Vec<String>,
    /// Of these, those that may replace a folder.
    pub over_folder: HashSet<String>,
    /// Of these, those that something there is like, and what.
    pub bases: BTreeMap<String, String>,
}

impl Round {
    /// What puts the files in place, once the upload of this name holds them; but for some.
    pub fn after(&self, upload: &str, spoiled: &BTreeMap<String, String>) -> Vec<Op> {
        let take = |path: &String| Op::Take {
            upload: Some(upload.to_owned()),
            from: path.clone(),
            path: path.clone(),
            over_folder: self.over_folder.contains(path),
        };
        let whole = self.files.iter().filter(|path| !spoiled.contains_key(*path));
        self.before.iter().cloned().chain(whole.map(take)).collect()
    }
}

/// Everything there is to do, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Folders opened, contents kept aside, folders made.
    pub before: Vec<Op>,
    /// Contents sent.
    pub rounds: Vec<Round>,
    /// Contents that were there, links.
    pub after: Vec<Op>,
    /// What only the other end has; only if all before it was done.
    pub delete: Vec<Op>,
    /// Modes and times.
    pub last: Vec<Op>,
}

impl Plan {
    /// The operations. `here`: the tree that was planned for.
    pub fn steps(&self, here: &Tree) -> Steps {
        let mut steps = Steps::default();
        steps.before.extend(self.unlock.iter().map(|path| Op::Unlock { path: path.clone() }));
        // A file that becomes a folder gives way only when what will be in it has come.
        let turned = |item: &&super::Item| item.act == Act::Folder && matches!(item.was, Was::File | Was::Symlink);
        let turned: BTreeSet<&str> = self.items.iter().filter(turned).map(|item| item.path.as_str()).collect();
        let is_late = |path: &str| {
            let mut at = Some(path);
            while let Some(folder) = at.filter(|_| !turned.is_empty()) {
                if turned.contains(folder) {
                    return true;
                }
                at = folder.rsplit_once('/').map(|(up, _)| up);
            }
            false
        };
        let mut bases: BTreeMap<String, String> = BTreeMap::new();
        let (mut early, mut late, mut late_folders, mut slot) = (Vec::new(), Vec::new(), Vec::new(), 0u32);
        let mut folders = Vec::new();
        for item in &self.items {
            let (path, over_folder) = (item.path.clone(), item.was == Was::Folder);
            match &item.act {
                Act::Folder => {
                    let over_file = matches!(item.was, Was::File | Was::Symlink);
                    let to = if is_late(&path) { &mut late_folders } else { &mut folders };
                    to.push(Op::Folder { path, over_file });
                }
                Act::Send { size, basis } => {
                    bases.extend(basis.clone().map(|basis| (path.clone(), basis)));
                    (if is_late(&path) { &mut late } else { &mut early }).push((path, *size, over_folder));
                }
                Act::Reuse { from, size, copy } => {
                    let mtime = self.times.get(from).copied().unwrap_or_default();
                    steps.before.push(Op::Stash { path: from.clone(), size: *size, mtime, slot, copy: *copy });
                    steps.after.push(Op::Take {
                        upload: None,
                        from: slot.to_string(),
                        path: path.clone(),
                        over_folder,
                    });
                    steps.last.extend(meta(here, path));
                    slot += 1;
                }
                Act::Touch if item.was == Was::Folder => {}
                Act::Touch => steps.last.extend(meta(here, path)),
                _ => {}
            }
        }
        steps.before.extend(folders);
        steps.rounds = rounds(early);
        let mut later = rounds(late);
        match later.first_mut() {
            Some(first) => first.before = late_folders,
            None => {
                late_folders.append(&mut steps.after);
                steps.after = late_folders;
            }
        }
        steps.rounds.append(&mut later);
        for round in &mut steps.rounds {
            round.bases = round.files.iter().filter_map(|path| Some((path.clone(), bases.remove(path)?))).collect();
        }
        for item in &self.items {
            let (path, over_folder) = (item.path.clone(), item.was == Was::Folder);
            match &item.act {
                Act::Link { leader } => steps.after.push(Op::Link { path, leader: leader.clone(), over_folder }),
                Act::Symlink { target } => {
                    let mtime = here.get(&path).map(|e| e.mtime).unwrap_or_default();
                    steps.after.push(Op::Symlink { path, target: target.clone(), mtime, over_folder });
                }
                _ => {}
            }
        }
        // What is in a folder sorts behind it: backwards it is empty when its turn comes.
        for item in self.items.iter().rev() {
            if let Act::Delete { .. } = item.act {
                steps.delete.push(Op::Delete { path: item.path.clone(), folder: item.was == Was::Folder });
            }
        }
        steps.last.extend(self.settle.iter().rev().flat_map(|path| meta(here, path.clone())));
        steps
    }
}

fn meta(here: &Tree, path: String) -> Option<Op> {
    if path.is_empty() {
        return Some(Op::Meta { path, mode: Some(here.mode), mtime: here.mtime });
    }
    let entry = here.get(&path)?;
    let mode = (!matches!(entry.what, What::Symlink(_))).then_some(entry.mode);
    Some(Op::Meta { path, mode, mtime: entry.mtime })
}

fn rounds(files: Vec<(String, u64, bool)>) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut bytes = 0;
    for (path, size, over_folder) in files {
        let is_full = |round: &Round| round.files.len() >= ROUND_FILES || bytes + size > ROUND_BYTES;
        if rounds.last().is_none_or(is_full) {
            rounds.push(Round::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(round) = rounds.last_mut() {
            if over_folder {
                round.over_folder.insert(path.clone());
            }
            round.files.push(path);
        }
    }
    // The order of an upload's entries.
    rounds.iter_mut().for_each(|round| round.files.sort_unstable());
    rounds
}
