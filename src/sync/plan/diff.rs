//! Folder by folder: what is new, changed, only there, or of another kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Act, Draft, Item, Was};
use crate::sync::entry::{Entry, Folder, Mtime, What, is_within, join, split};

/// A folder of ours that was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FolderNews {
    /// Its mode there; none: it is not there yet.
    there: Option<u32>,
    /// Mode or time differ.
    differs: bool,
}

impl From<&What> for Was {
    fn from(what: &What) -> Self {
        match what {
            What::File { .. } => Self::File,
            What::Folder(_) => Self::Folder,
            What::Symlink(_) => Self::Symlink,
        }
    }
}

impl Draft<'_> {
    pub(super) fn compare(&mut self) {
        let there = self.there;
        let is_there = there.folders.contains_key("");
        if !is_there && there.stands == crate::sync::wire::Stands::Folder {
            // Equal at the top.
            return;
        }
        let differs = (there.mode, there.mtime) != (self.here.mode, self.here.mtime);
        let news = FolderNews { there: is_there.then_some(there.mode), differs };
        self.folders.insert(String::new(), news);
        if !is_there {
            self.add("", Act::Folder, Was::Nothing);
        } else if differs {
            self.add("", Act::Touch, Was::Folder);
        }
        self.folder("", there.folders.get(""));
    }

    fn folder(&mut self, path: &str, there: Option<&Folder>) {
        let Some(here) = self.here.folders.get(path) else { return };
        let mut folded: HashMap<String, &str> = HashMap::new();
        for entry in &here.entries {
            let at = join(path, &entry.name);
            if self.there.folds_case
                && let Some(first) = folded.insert(entry.name.to_lowercase(), &entry.name)
            {
                let why = format!("{first:?} differs only in case, and the receiver's disk takes both for one name");
                self.add(&at, Act::Leave { why }, Was::Nothing);
                continue;
            }
            let other = there.and_then(|there| there.get(&entry.name));
            match &entry.what {
                What::File { .. } => self.file(&at, entry, other),
                What::Symlink(target) => self.symlink(&at, entry, target, other),
                What::Folder(_) => self.subfolder(&at, entry, other),
            }
        }
        for other in there.map_or(&[][..], |there| &there.entries) {
            let is_ours = here.get(&other.name).is_some()
                || (self.there.folds_case && folded.contains_key(&other.name.to_lowercase()));
            if !is_ours {
                self.only_there(&join(path, &other.name), other);
            }
        }
    }

    pub(super) fn add(&mut self, path: &str, act: Act, was: Was) {
        self.items.insert(path.to_owned(), Item { path: path.to_owned(), act, was });
    }

    fn file(&mut self, at: &str, entry: &Entry, other: Option<&Entry>) {
        let What::File { size, leader } = &entry.what else { return };
        let was = other.map_or(Was::Nothing, |other| (&other.what).into());
        if was == Was::Folder && !self.gives_way(at) {
            return;
        }
        let same_meta = |other: &Entry| (other.mode, other.mtime) == (entry.mode, entry.mtime);
        if let Some(leader) = leader {
            match other.map(|other| (&other.what, same_meta(other))) {
                Some((What::File { size: theirs, leader: Some(their) }, true)) if their == leader && theirs == size => {
                    self.followers.push((at.to_owned(), leader.to_string()));
                }
                _ => self.add(at, Act::Link { leader: leader.to_string() }, was),
            }
            return;
        }
        let basis = (was == Was::File).then(|| at.to_owned());
        let send = Act::Send { size: *size, basis };
        let Some(Entry { what: What::File { size: theirs, leader: their }, mode, mtime, .. }) = other else {
            return self.add(at, send, was);
        };
        if theirs != size {
            return self.add(at, send, was);
        }
        let is_same = *mtime == entry.mtime;
        if their.is_some() && is_same && !self.options.checksum {
            // Another name of a file there, one of its own here.
            self.add(at, Act::Reuse { from: at.to_owned(), size: *size, copy: true }, was);
        } else if is_same && !self.options.checksum {
            if *mode != entry.mode {
                self.add(at, Act::Touch, was);
            }
        } else {
            // Perhaps only the time differs; or nothing, and we are asked to make sure.
            self.add(at, send, was);
            self.questions.here.insert(at.to_owned());
            self.questions.there.insert(at.to_owned(), *size);
            if is_same && *mode == entry.mode && their.is_none() {
                self.quiet.insert(at.to_owned());
            }
        }
    }

    fn symlink(&mut self, at: &str, entry: &Entry, target: &str, other: Option<&Entry>) {
        let was = other.map_or(Was::Nothing, |other| (&other.what).into());
        if was == Was::Folder && !self.gives_way(at) {
            return;
        }
        match other {
            Some(other) if matches!(&other.what, What::Symlink(theirs) if **theirs == *target) => {
                if other.mtime != entry.mtime {
                    self.add(at, Act::Touch, was);
                }
            }
            _ => self.add(at, Act::Symlink { target: target.to_owned() }, was),
        }
    }

    fn subfolder(&mut self, at: &str, entry: &Entry, other: Option<&Entry>) {
        let was = other.map_or(Was::Nothing, |other| (&other.what).into());
        let listed = self.there.folders.get(at);
        match (other, was, listed) {
            (Some(_), Was::Folder, None) => {
                // Equal digests; its own mode and time are not in them.
                self.subfolder_meta(at, entry, other);
            }
            (Some(_), Was::Folder, Some(_)) => {
                self.subfolder_meta(at, entry, other);
                self.folder(at, listed);
            }
            _ => {
                self.add(at, Act::Folder, was);
                self.folders.insert(at.to_owned(), FolderNews { there: None, differs: true });
                self.folder(at, None);
            }
        }
    }

    fn subfolder_meta(&mut self, at: &str, entry: &Entry, other: Option<&Entry>) {
        let meta = |e: &Entry| -> (u32, Mtime) { (e.mode, e.mtime) };
        let differs = other.map(meta) != Some(meta(entry));
        if differs {
            self.add(at, Act::Touch, Was::Folder);
        }
        self.folders.insert(at.to_owned(), FolderNews { there: other.map(|o| o.mode), differs });
    }

    /// Left alone because the scan could not look at what is here under that name.
    fn is_protected(&self, path: &str) -> bool {
        let skipped = &self.here.skipped;
        // Sorted by path: what is it, or above it.
        let mut above = Some(path);
        while let Some(folder) = above {
            if skipped.binary_search_by(|s| s.path.as_str().cmp(folder)).is_ok() {
                return true;
            }
            above = folder.rsplit_once('/').map(|(up, _)| up);
        }
        false
    }

    /// What only the other end has. True if it all goes.
    fn only_there(&mut self, at: &str, other: &Entry) -> bool {
        if self.is_protected(at) {
            return false;
        }
        if !other.is_folder() {
            if other.is_file() {
                self.gone.insert(at.to_owned());
            }
            self.extra += u64::from(!self.options.delete);
            if self.options.delete {
                self.add(at, Act::Delete { size: other.size() }, (&other.what).into());
            }
            return true;
        }
        let Some(folder) = self.there.folders.get(at) else { return false };
        let mut all = folder.hidden == 0;
        for entry in &folder.entries {
            all &= self.only_there(&join(at, &entry.name), entry);
        }
        self.extra += u64::from(!self.options.delete);
        if self.options.delete && all {
            self.add(at, Act::Delete { size: 0 }, Was::Folder);
        } else if self.options.delete {
            let why = "it holds files that rules ignore or that cannot be read: they stay, and so does the folder";
            self.add(at, Act::Leave { why: why.into() }, Was::Folder);
        }
        all
    }

    /// May a folder there be replaced by what is no folder? All that is in it counts as gone.
    fn gives_way(&mut self, at: &str) -> bool {
        let below: Vec<(String, bool)> = self
            .there
            .folders
            .range(at.to_owned()..)
            .take_while(|(path, _)| path.starts_with(at))
            .filter(|(path, _)| is_within(path, at))
            .flat_map(|(path, folder)| folder.entries.iter().map(move |e| (join(path, &e.name), e.is_file())))
            .collect();
        let hidden = self.there.folders.iter().any(|(path, folder)| is_within(path, at) && folder.hidden > 0);
        let why = match (self.there.folders.contains_key(at), hidden) {
            (true, true) => "a folder stands there that holds ignored files",
            (true, false) if self.options.delete || below.is_empty() => {
                self.swallowed += below.len() as u64;
                self.gone.extend(below.into_iter().filter(|(_, is_file)| *is_file).map(|(path, _)| path));
                return true;
            }
            (true, false) => "a folder that is not empty stands there: --delete lets it give way",
            (false, _) => "a folder stands there that could not be listed",
        };
        self.add(at, Act::Leave { why: why.into() }, Was::Folder);
        false
    }

    /// Names of a file that is replaced have to follow it.
    pub(super) fn link_again(&mut self) {
        for (path, leader) in std::mem::take(&mut self.followers) {
            let replaced =
                self.items.get(&leader).is_some_and(|item| matches!(item.act, Act::Send { .. } | Act::Reuse { .. }));
            if replaced {
                self.add(&path, Act::Link { leader }, Was::File);
            }
        }
        let is_left = |leader: &String| matches!(self.items.get(leader), Some(Item { act: Act::Leave { .. }, .. }));
        let stuck: Vec<(String, Was)> = self
            .items
            .values()
            .filter(|item| matches!(&item.act, Act::Link { leader } if is_left(leader)))
            .map(|item| (item.path.clone(), item.was))
            .collect();
        for (path, was) in stuck {
            self.add(&path, Act::Leave { why: "it is another name of a file that is left out there".into() }, was);
        }
    }

    /// Folders to be made writable first, and those whose mode and time are set last.
    pub(super) fn settle(&self) -> (Vec<String>, Vec<String>) {
        let mut changed: BTreeSet<&str> = BTreeSet::new();
        for (path, item) in self.items.iter().filter(|(path, _)| !path.is_empty()) {
            if !matches!(item.act, Act::Touch | Act::Leave { .. }) {
                changed.insert(split(path).0);
            }
        }
        let mode_there = |path: &str| match self.folders.get(path) {
            Some(news) => news.there,
            None => self.there.folders.get(split(path).0).and_then(|f| f.get(split(path).1)).map(|e| e.mode),
        };
        let is_locked = |path: &&str| mode_there(path).is_some_and(|mode| mode & 0o700 != 0o700);
        let unlock = changed.iter().copied().filter(is_locked).map(ToOwned::to_owned).collect();
        let settles = |(path, news): &(&String, &FolderNews)| news.differs || changed.contains(path.as_str());
        let folders: BTreeMap<&String, &FolderNews> = self.folders.iter().filter(settles).collect();
        (unlock, folders.into_keys().cloned().collect())
    }
}
