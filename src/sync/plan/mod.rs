//! What has to happen so that the other tree becomes this one. Pure.
//!
//! ```text
//!  Tree (here), There ──diff──▶ items ──questions──▶ digests of both ends ──answer──▶ items
//!                                                       (moved? copied? touched only?)
//!  items ──finish──▶ Plan {items, totals} ──steps──▶ operations, in a safe order
//! ```
//!
//! A file is what it was if size and modification time are equal (as rsync's quick check has it); digests
//! decide if `checksum` is asked for, and always before bytes that are there already are used again. What the
//! scan could not read or send is left as it is at the other end.

mod basis;
mod diff;
mod reuse;
mod steps;

use std::collections::BTreeMap;

pub use reuse::Questions;
pub use steps::{Round, Steps};

pub use crate::control::sync::{Act, Item, Totals, Was};

use super::compare::There;
use super::entry::{Entry, Mtime, Tree};
use super::wire::Stands;
use crate::content::Digest;
use crate::content::name::counted;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Delete what only the other end has.
    pub delete: bool,
    /// Digests decide whether a file changed.
    pub checksum: bool,
    /// Delete even if nothing is left here.
    pub force: bool,
    /// Delete no more than this.
    pub max_delete: Option<u64>,
}

fn entries(count: u64) -> String {
    counted(count, "entry", "entries")
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The source is empty, or of empty folders.
    #[error("the source holds no file: {} would be deleted at the other end; if that is meant, add --force", entries(*.0))]
    EmptySource(u64),
    /// More deletions than allowed.
    #[error("{} would be deleted, more than the {allowed} that --max-delete allows: nothing was done", entries(*.got))]
    MaxDelete {
        /// How many would be.
        got: u64,
        /// How many may be.
        allowed: u64,
    },
    /// The tree's place is taken.
    #[error("no folder stands at the destination, but something else: remove it, or choose another name")]
    NoFolder,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Draft<'a> {
    here: &'a Tree,
    there: &'a There,
    options: Options,
    items: BTreeMap<String, Item>,
    /// What has to be hashed: files to be sent, and what of the other end they may be.
    questions: Questions,
    /// Files that are equal by size and time, and are asked about only because of `checksum`.
    quiet: std::collections::BTreeSet<String>,
    /// Further names that are right so long as their file stays.
    followers: Vec<(String, String)>,
    /// Folders of ours that are there, with mode or time to be set.
    folders: BTreeMap<String, diff::FolderNews>,
    /// Files there that only they have.
    gone: std::collections::BTreeSet<String>,
    extra: u64,
    /// Entries in folders that give way to files.
    swallowed: u64,
}

/// What has to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By path.
    pub items: Vec<Item>,
    /// Counts.
    pub totals: Totals,
    /// Existing folders to be opened for writing first.
    unlock: Vec<String>,
    /// Folders whose mode and time are set at the end.
    settle: Vec<String>,
    /// Modification times there of the files that are used again.
    times: BTreeMap<String, Mtime>,
}

impl Plan {
    /// Of a single file, the only one of `here`; none: nothing has to happen.
    pub fn of_file(here: &Tree, item: Option<Item>) -> Self {
        let mut totals = Totals { entries: here.count(), bytes: here.bytes(), ..Totals::default() };
        item.iter().for_each(|item| count(&mut totals, item));
        Self {
            items: item.into_iter().collect(),
            totals,
            unlock: Vec::new(),
            settle: Vec::new(),
            times: BTreeMap::new(),
        }
    }
}

fn count(totals: &mut Totals, item: &Item) {
    match &item.act {
        Act::Folder => totals.folders += 1,
        Act::Send { size, .. } => {
            *(if item.was == Was::File { &mut totals.changed } else { &mut totals.new }) += 1;
            totals.send_bytes += size;
        }
        Act::Reuse { size, copy, .. } => {
            *(if *copy { &mut totals.copied } else { &mut totals.moved }) += 1;
            totals.reused_bytes += size;
        }
        Act::Link { .. } => totals.linked += 1,
        Act::Symlink { .. } => totals.symlinks += 1,
        Act::Touch => totals.touched += 1,
        Act::Delete { .. } => totals.deleted += 1,
        Act::Leave { .. } => totals.left += 1,
    }
}

impl<'a> Draft<'a> {
    /// Compares the trees.
    ///
    /// # Errors
    /// [`PlanError::NoFolder`].
    pub fn new(here: &'a Tree, there: &'a There, options: Options) -> Result<Self, PlanError> {
        if there.stands == Stands::Other {
            return Err(PlanError::NoFolder);
        }
        let mut draft = Self {
            here,
            there,
            options,
            items: BTreeMap::new(),
            questions: Questions::default(),
            quiet: Default::default(),
            followers: Vec::new(),
            folders: BTreeMap::new(),
            gone: Default::default(),
            extra: 0,
            swallowed: 0,
        };
        draft.compare();
        draft.look_for_bytes();
        Ok(draft)
    }

    /// Files of which both ends' digests would tell that bytes need not be sent.
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Takes the answers in and ends the plan. `here`, `there`: digests by path, as far as they could be had.
    ///
    /// # Errors
    /// More would be deleted than may be.
    pub fn finish(
        mut self,
        here: &BTreeMap<String, Digest>,
        there: &BTreeMap<String, Digest>,
    ) -> Result<Plan, PlanError> {
        self.reuse(here, there);
        self.link_again();
        let (unlock, settle) = self.settle();
        let totals = self.totals();
        // Folders alone hold nothing: what is mounted on them is not there today.
        let is_empty = self.here.folders.values().all(|folder| folder.entries.iter().all(Entry::is_folder));
        if is_empty && totals.deleted > 0 && !self.options.force {
            return Err(PlanError::EmptySource(totals.deleted));
        }
        if let Some(allowed) = self.options.max_delete
            && totals.deleted > allowed
        {
            return Err(PlanError::MaxDelete { got: totals.deleted, allowed });
        }
        let times = self.times();
        Ok(Plan { items: self.items.into_values().collect(), totals, unlock, settle, times })
    }

    fn times(&self) -> BTreeMap<String, Mtime> {
        let reused = self.items.values().filter_map(|item| match &item.act {
            Act::Reuse { from, .. } => Some(from),
            _ => None,
        });
        let time = |path: &String| Some((path.clone(), self.there.get(path)?.mtime));
        reused.filter_map(time).collect()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals {
            entries: self.here.count(),
            bytes: self.here.bytes(),
            extra: self.extra,
            deleted: self.swallowed,
            ..Totals::default()
        };
        self.items.values().for_each(|item| count(&mut totals, item));
        // A file that moves is not deleted where it was.
        totals.deleted = totals.deleted.saturating_sub(totals.moved);
        totals
    }
}
