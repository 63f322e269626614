//! Bytes that need not be sent because the other end has them: under the same name with another time, under
//! a name that is gone, or in another file. Digests decide; what is hashed is chosen by size, time and name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use super::basis::{BASIS_FROM, Bases};
use super::{Act, Draft, Was};
use crate::content::Digest;
use crate::sync::entry::{Entry, Mtime, What, join, split};

/// Files of this size and more are compared with any of the same size, smaller ones only with those of the
/// same name or time: they are sent as fast as two disks are read.
const LARGE: u64 = 64 << 10;
/// Files there that stay, of those that one of ours may be a copy of.
const COPIES: usize = 4;
/// Files there that one file of ours may be, at least; of many that are sent, each adds [`EACH`]. So what is hashed
/// there is never much more than what is sent.
const SOME: usize = 256;
const EACH: usize = 4;

/// What both ends have to hash before a plan is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Paths here.
    pub here: BTreeSet<String>,
    /// Paths there, with their sizes.
    pub there: BTreeMap<String, u64>,
}

impl Questions {
    /// Nothing has to be hashed.
    pub fn is_empty(&self) -> bool {
        self.here.is_empty()
    }
}

/// Files there that have something in common; those that only they have first, then the others.
struct Alike<K>(HashMap<K, (Vec<usize>, Vec<usize>)>);

impl<K: Hash + Eq> Alike<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn add(&mut self, key: K, is_gone: bool, file: usize) {
        let (gone, stay) = self.0.entry(key).or_default();
        if is_gone {
            gone.push(file);
        } else if stay.len() < COPIES {
            stay.push(file);
        }
    }

    /// Those worth a look where `sent` files of ours are looked for.
    fn likely(&self, key: &K, most: usize) -> impl Iterator<Item = usize> {
        self.0.get(key).into_iter().flat_map(move |(gone, stay)| gone.iter().take(most).chain(stay).copied())
    }
}

/// How many files of ours have something in common.
fn counted<K: Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

impl Draft<'_> {
    /// Finds what may be there already of the files to be sent, and for each what is like it.
    pub(super) fn look_for_bytes(&mut self) {
        let there = self.there;
        let (mut files, mut bases): (Vec<(String, u64)>, Bases<'_>) = Default::default();
        let (mut by_time, mut by_name, mut by_size) = (Alike::new(), Alike::new(), Alike::new());
        for (path, folder) in &there.folders {
            for entry in folder.entries.iter().filter(|entry| entry.is_file() && entry.size() > 0) {
                let at = join(path, &entry.name);
                let (size, number, is_gone) = (entry.size(), files.len(), self.gone.contains(&at));
                by_time.add((size, entry.mtime), is_gone, number);
                by_name.add((size, &*entry.name), is_gone, number);
                by_size.add(size, is_gone, number);
                bases.add(path, entry, is_gone);
                files.push((at, size));
            }
        }
        let here = self.here;
        let sent: Vec<(String, &Entry)> = self
            .items
            .values()
            .filter(|item| matches!(item.act, Act::Send { size, .. } if size > 0))
            .filter_map(|item| Some((item.path.clone(), here.get(&item.path)?)))
            .collect();
        let times: HashMap<(u64, Mtime), usize> = counted(sent.iter().map(|(_, e)| (e.size(), e.mtime)));
        let sizes: HashMap<u64, usize> = counted(sent.iter().map(|(_, e)| e.size()));
        let mut asked: HashSet<usize> = HashSet::new();
        let mut seen = (HashSet::new(), HashSet::new(), HashSet::new());
        for (path, entry) in &sent {
            let (size, time, name) = (entry.size(), (entry.size(), entry.mtime), (entry.size(), &*entry.name));
            let most = |count: Option<&usize>| SOME + EACH * count.unwrap_or(&0);
            let mut found = by_time.0.contains_key(&time) || by_name.0.contains_key(&name);
            if seen.0.insert(time) {
                asked.extend(by_time.likely(&time, most(times.get(&time))));
            }
            if seen.1.insert(name) {
                asked.extend(by_name.likely(&name, most(None)));
            }
            if size >= LARGE {
                found |= by_size.0.contains_key(&size);
                if seen.2.insert(size) {
                    asked.extend(by_size.likely(&size, EACH * sizes.get(&size).unwrap_or(&1)));
                }
            }
            if found {
                self.questions.here.insert(path.clone());
            }
            if size >= BASIS_FROM
                && let Some(Act::Send { basis: basis @ None, .. }) = self.items.get_mut(path).map(|i| &mut i.act)
            {
                *basis = bases.of(path, entry);
            }
        }
        self.questions.there.extend(asked.into_iter().map(|n| files[n].clone()));
    }

    /// Takes in what the digests say.
    pub(super) fn reuse(&mut self, here: &BTreeMap<String, Digest>, there: &BTreeMap<String, Digest>) {
        let mut held = Held::of(there, |path| self.gone.contains(path));
        let asked = std::mem::take(&mut self.questions).here;
        for path in &asked {
            let (Some(own), Some(entry)) = (here.get(path), self.here.get(path)) else { continue };
            let size = entry.size();
            if there.get(path) == Some(own) {
                if self.quiet.contains(path) {
                    self.items.remove(path);
                    continue;
                }
                let is_linked = self.there_is_linked(path);
                let act = if is_linked { Act::Reuse { from: path.clone(), size, copy: true } } else { Act::Touch };
                self.add(path, act, Was::File);
                continue;
            }
            let Some((from, only)) = held.take(own, path) else { continue };
            let (from, copy) = (from.to_owned(), !(only && self.options.delete));
            let was = self.items.get(path).map_or(Was::Nothing, |item| item.was);
            self.add(path, Act::Reuse { from, size, copy }, was);
        }
    }

    /// Is that name there a further one of a file?
    fn there_is_linked(&self, path: &str) -> bool {
        matches!(self.there.get(path).map(|e| &e.what), Some(What::File { leader: Some(_), .. }))
    }
}

/// Which files there hold which bytes.
struct Held<'a> {
    of: HashMap<&'a Digest, Same<'a>>,
    by_name: HashMap<(&'a Digest, &'a str), Vec<&'a str>>,
    taken: HashSet<&'a str>,
}

/// Files with the same bytes.
#[derive(Default)]
struct Same<'a> {
    /// Those that only they have, last first.
    gone: Vec<&'a str>,
    stays: Option<&'a str>,
    /// One that was taken already: its bytes are kept aside all the same.
    moved: Option<&'a str>,
}

impl<'a> Held<'a> {
    fn of(there: &'a BTreeMap<String, Digest>, is_gone: impl Fn(&str) -> bool) -> Self {
        let mut held = Self { of: HashMap::new(), by_name: HashMap::new(), taken: HashSet::new() };
        for (path, digest) in there.iter().rev() {
            let same = held.of.entry(digest).or_default();
            if is_gone(path) {
                same.gone.push(path);
                held.by_name.entry((digest, split(path).1)).or_default().push(path);
            } else {
                same.stays = Some(path);
            }
        }
        held
    }

    /// A file with these bytes for one of ours, of the same name if there is one; and whether nobody else has that.
    fn take(&mut self, digest: &'a Digest, path: &'a str) -> Option<(&'a str, bool)> {
        let same = self.of.get_mut(digest)?;
        let named = self.by_name.get_mut(&(digest, split(path).1));
        let mut free = |paths: &mut Vec<&'a str>| loop {
            let path = paths.pop()?;
            if self.taken.insert(path) {
                return Some(path);
            }
        };
        if let Some(from) = named.and_then(&mut free).or_else(|| free(&mut same.gone)) {
            same.moved = Some(from);
            return Some((from, true));
        }
        same.stays.or(same.moved).map(|from| (from, false))
    }
}
