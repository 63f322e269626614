//! Bytes that need not be sent because the other end has them: under the same name with another time, under
//! a name that is gone, or in another file; and files that are merely like one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Act, Draft, Was};
use crate::content::Digest;
use crate::sync::entry::{Entry, join, split};

/// Files of this size and more are compared with any of the same size, smaller ones only with those of the
/// same name or time: they are sent as fast as two disks are read.
const LARGE: u64 = 64 << 10;
/// Files there that one of ours is compared with.
const CANDIDATES: usize = 4;
/// Files there of one size that are looked at.
const LOOKED_AT: usize = 256;
/// A basis is worth a look from this size on.
const BASIS_FROM: u64 = 16 << 10;
/// Names that are looked at for a basis.
const NAMES: usize = 512;

/// Is a file of ours one of theirs?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Path here.
    pub path: String,
    /// Paths there, likeliest first.
    pub there: Vec<String>,
    /// Bytes of each.
    pub size: u64,
}

impl Draft<'_> {
    /// Finds, for each file to be sent, those that may be it or are like it.
    pub(super) fn look_for_bytes(&mut self) {
        let mut by_size: HashMap<u64, Vec<(String, &Entry)>> = HashMap::new();
        let mut by_folder: HashMap<&str, Vec<&Entry>> = HashMap::new();
        let mut by_name: HashMap<&str, Vec<String>> = HashMap::new();
        for (path, folder) in &self.there.folders {
            for entry in folder.entries.iter().filter(|entry| entry.is_file() && entry.size() > 0) {
                let at = join(path, &entry.name);
                by_size.entry(entry.size()).or_default().push((at.clone(), entry));
                by_name.entry(&entry.name).or_default().push(at);
                by_folder.entry(path).or_default().push(entry);
            }
        }
        let sent: Vec<(String, u64)> = self
            .items
            .values()
            .filter_map(|item| match item.act {
                Act::Send { size, .. } if size > 0 => Some((item.path.clone(), size)),
                _ => None,
            })
            .collect();
        for (path, size) in sent {
            let Some(entry) = self.here.get(&path) else { continue };
            let known = self.questions.get(&path).cloned().unwrap_or_default();
            let mut likely: Vec<(u32, &String)> = by_size
                .get(&size)
                .into_iter()
                .flatten()
                .take(LOOKED_AT)
                .filter(|(at, _)| !known.contains(at))
                .map(|(at, other)| (self.likelihood(entry, at, other), at))
                .filter(|(likelihood, _)| *likelihood > 0)
                .collect();
            likely.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            let more = likely.into_iter().take(CANDIDATES).map(|(_, at)| at.clone());
            let all: Vec<String> = known.into_iter().chain(more).collect();
            if !all.is_empty() {
                self.questions.insert(path.clone(), all);
            }
            if size >= BASIS_FROM {
                let found = similar(&path, entry, &by_folder, &by_name);
                if let Some(Act::Send { basis: basis @ None, .. }) = self.items.get_mut(&path).map(|i| &mut i.act) {
                    *basis = found;
                }
            }
        }
    }

    /// How likely a file there of the same size is the same; 0: not worth a look.
    fn likelihood(&self, entry: &Entry, at: &str, other: &Entry) -> u32 {
        let is_gone = u32::from(self.gone.contains(at));
        match (other.mtime == entry.mtime, other.name == entry.name) {
            (true, true) => 6 + is_gone,
            (true, false) => 4 + is_gone,
            (false, true) => 2 + is_gone,
            (false, false) if entry.size() >= LARGE => 1 + is_gone,
            (false, false) => 0,
        }
    }

    /// Takes in what the digests say.
    pub(super) fn reuse(&mut self, here: &BTreeMap<String, Digest>, there: &BTreeMap<String, Digest>) {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for (path, candidates) in std::mem::take(&mut self.questions) {
            let (Some(own), Some(entry)) = (here.get(&path), self.here.get(&path)) else { continue };
            let Some(from) = candidates.into_iter().find(|at| there.get(at) == Some(own)) else { continue };
            let size = entry.size();
            if from == path {
                if self.quiet.contains(&path) {
                    self.items.remove(&path);
                    continue;
                }
                let is_linked = self.there_is_linked(&path);
                let act = if is_linked { Act::Reuse { from, size, copy: true } } else { Act::Touch };
                self.add(&path, act, Was::File);
                continue;
            }
            let goes = self.options.delete && self.gone.contains(&from) && taken.insert(from.clone());
            let was = self.items.get(&path).map_or(Was::Nothing, |item| item.was);
            self.add(&path, Act::Reuse { from, size, copy: !goes }, was);
        }
    }

    /// Is that name there a further one of a file?
    fn there_is_linked(&self, path: &str) -> bool {
        use crate::sync::entry::What;
        matches!(self.there.get(path).map(|e| &e.what), Some(What::File { leader: Some(_), .. }))
    }
}

/// A file there that is probably an older version, or a sibling: the same name elsewhere, or a similar name
/// in the same folder, of a size that is not too different.
fn similar(
    path: &str,
    entry: &Entry,
    by_folder: &HashMap<&str, Vec<&Entry>>,
    by_name: &HashMap<&str, Vec<String>>,
) -> Option<String> {
    let (folder, name) = split(path);
    let fits = |size: u64| size >= entry.size() / 4 && size / 4 <= entry.size();
    let beside = by_folder.get(folder).into_iter().flatten().take(NAMES);
    let best = beside
        .filter(|other| fits(other.size()))
        .map(|other| (likeness(name, &other.name), &other.name))
        .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)));
    match best {
        Some((likeness, other)) if likeness >= 60 => Some(join(folder, other)),
        _ => by_name.get(name).and_then(|all| all.first()).cloned(),
    }
}

/// How much of the longer of two names the other begins and ends with, in percent: `app-1.2.tar` and
/// `app-1.3.tar` share 10 of 11 bytes.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let rest = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
    (head + tail) * 100 / a.len().max(b.len()).max(1)
}
