//! Keeping a tree at another node equal to one here: what is asked, and what it comes to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{PriorityClass, Rate};

/// A tree, or a file, to keep equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncRequest {
    /// Folder or file, absolute.
    #[serde(with = "super::path")]
    pub path: PathBuf,
    /// `http(s)://HOST:PORT/DIR/` or `…/NAME` under the receiver's root; further endpoints of it may follow,
    /// separated by commas.
    pub dest: String,
    /// Delete what only the other end has.
    pub delete: bool,
    /// Digests decide whether a file changed, not size and time.
    pub checksum: bool,
    /// Delete even if the source holds no file.
    pub force: bool,
    /// Delete no more entries than this.
    pub max_delete: Option<u64>,
    /// What is left out, in gitignore syntax; the last line that matches decides, `!` takes in again.
    pub rules: Vec<String>,
    /// Does not end: what changes here is brought there soon after.
    pub watch: bool,
    /// How much it matters: what is critical goes over any link at once; none: normal.
    pub priority: Option<PriorityClass>,
    /// Limits for this transfer alone.
    pub up: Rate,
    /// Limits for this transfer alone.
    pub down: Rate,
}

/// What a sync that goes on for good has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchRow {
    /// The first pass, and those since that had something to do.
    pub passes: u64,
    /// When the last of these ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it did.
    pub last: Totals,
    /// What it left undone, and why; empty: nothing.
    pub trouble: String,
    /// Folders that are watched; the others are looked at now and then.
    pub folders: u64,
    /// Why the receiver cannot be reached now.
    pub away: Option<String>,
}

/// What a sync would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPlan {
    /// Where to, for people.
    pub to: String,
    /// Counts.
    pub totals: Totals,
    /// By path; the first [`MAX_ITEMS`].
    pub items: Vec<Item>,
    /// How many more there are.
    pub more: u64,
    /// What cannot be synced, and why; the first [`MAX_ITEMS`].
    pub skipped: Vec<(String, String)>,
    /// Bytes that comparing cost.
    pub wire_bytes: u64,
}

/// Items of a plan that are told.
pub const MAX_ITEMS: usize = 20_000;

/// What stands at a path of the other tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Was {
    /// Nothing.
    Nothing,
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
}

/// What happens to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// A folder is made.
    Folder,
    /// A file's bytes are sent.
    Send {
        /// Its bytes.
        size: u64,
        /// A file there that is like it: what it was before, or one of a similar name and size.
        #[serde(skip_serializing_if = "Option::is_none")]
        basis: Option<String>,
    },
    /// A file's bytes are there already.
    Reuse {
        /// Where.
        from: String,
        /// Its bytes.
        size: u64,
        /// That one stays too.
        copy: bool,
    },
    /// A further name of a file.
    Link {
        /// Its first name.
        leader: String,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// Mode or time.
    Touch,
    /// It is deleted.
    Delete {
        /// Its bytes.
        size: u64,
    },
    /// It stays as it is there, though it should not.
    Leave {
        /// Why.
        why: String,
    },
}

/// One path, and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Path in the tree.
    pub path: String,
    /// What.
    #[serde(flatten)]
    pub act: Act,
    /// What stands there before.
    pub was: Was,
}

/// Counts of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Entries of the source.
    pub entries: u64,
    /// Bytes of the source.
    pub bytes: u64,
    /// Files sent that were not there.
    pub new: u64,
    /// Files sent that were there otherwise.
    pub changed: u64,
    /// Files that get another name.
    pub moved: u64,
    /// Files whose bytes come from another one there.
    pub copied: u64,
    /// Further names of files.
    pub linked: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Folders made.
    pub folders: u64,
    /// Modes and times set.
    pub touched: u64,
    /// Files, links and folders deleted.
    pub deleted: u64,
    /// Left as they are, though they should not.
    pub left: u64,
    /// Only there, and kept.
    pub extra: u64,
    /// Bytes to send.
    pub send_bytes: u64,
    /// Bytes that were there under another name.
    pub reused_bytes: u64,
}

impl std::ops::AddAssign for Totals {
    /// Adds what was done; of what there is, the later is true.
    fn add_assign(&mut self, later: Self) {
        *self = Self {
            entries: later.entries,
            bytes: later.bytes,
            new: self.new + later.new,
            changed: self.changed + later.changed,
            moved: self.moved + later.moved,
            copied: self.copied + later.copied,
            linked: self.linked + later.linked,
            symlinks: self.symlinks + later.symlinks,
            folders: self.folders + later.folders,
            touched: self.touched + later.touched,
            deleted: self.deleted + later.deleted,
            left: later.left,
            extra: later.extra,
            send_bytes: self.send_bytes + later.send_bytes,
            reused_bytes: self.reused_bytes + later.reused_bytes,
        };
    }
}

impl Totals {
    /// Nothing has to happen.
    pub fn is_nothing(&self) -> bool {
        let Self { new, changed, moved, copied, linked, symlinks, folders, touched, deleted, .. } = *self;
        new + changed + moved + copied + linked + symlinks + folders + touched + deleted == 0
    }
}
