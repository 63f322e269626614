//! What is kept of a transfer, and of what the operator chose for the node.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::content::{ContentId, FileEntry, FileStamp};
use crate::control::queue::QueueId;
use crate::control::{AddTransfer, PathChoices, Rate, SendRequest, ShareRequest, SyncRequest, TransferId};

/// A fetch, with what its link was found to mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FetchRecord {
    /// As asked.
    pub request: AddTransfer,
    /// Nodes to ask.
    pub peers: Vec<String>,
    /// Plain HTTP servers of the content's only file.
    pub mirrors: Vec<String>,
    /// Trackers to announce to.
    pub trackers: Vec<String>,
    /// It is one of so many copies that a pool shall have; 0: it is no pool's.
    #[serde(default)]
    pub replicas: u32,
    /// It is there because the pool wants a copy, and only because of that: nobody here asked for it.
    #[serde(default)]
    pub kept: bool,
}

/// What a transfer was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRecord {
    /// Fetch a content.
    Fetch(FetchRecord),
    /// Share a path in place.
    Share(ShareRequest),
    /// Push a path to another node.
    Send(SendRecord),
    /// Keep a tree at another node equal to one here.
    Sync(SyncRequest),
}

/// A push.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SendRecord {
    /// As asked.
    pub request: SendRequest,
    /// Paths that it may take.
    #[serde(default)]
    pub paths: u32,
    /// How many of them answered when they were probed last; none: not probed yet.
    #[serde(default)]
    pub answering: Option<u32>,
    /// It was taken up before: paths that do not answer now may come back.
    #[serde(default)]
    pub begun: bool,
    /// What the operator chose for its paths.
    #[serde(default)]
    pub choices: PathChoices,
}

/// What a push sends, as it was found when the push began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PushRecord {
    /// Name of the upload at the receiver; empty once it is over.
    pub upload: String,
    /// Bytes per segment.
    pub segment: u64,
    /// Where it goes under the receiver's root, in the manifest's spelling.
    pub target: String,
    /// A folder, even if there is but one file in it.
    pub tree: bool,
    /// What is sent; kept in a row of its own.
    #[serde(skip)]
    pub files: Arc<Vec<FileEntry>>,
    /// What each of `files` looked like.
    #[serde(skip)]
    pub stamps: Arc<Vec<FileStamp>>,
    /// Bytes in all.
    pub bytes: u64,
    /// Entries in all; kept when the lists are not needed any more.
    pub count: u64,
    /// When something about the source changed last, in nanoseconds since 1970, before it was first looked at;
    /// none: so shortly before that it says nothing.
    #[serde(default)]
    pub changed_ns: Option<i64>,
    /// Endpoints of the nodes of a pool that were asked to keep a copy.
    #[serde(default)]
    pub asked: Vec<String>,
}

/// Where a transfer stood when last recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// At work: goes on after a restart.
    Active,
    /// Paused by the operator.
    Paused,
    /// Everything there under its final name.
    Complete,
    /// Stopped by an error.
    Failed,
    /// Stopped for good.
    Cancelled,
}

/// One transfer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferRecord {
    /// Its id.
    pub id: TransferId,
    /// What was asked.
    pub job: JobRecord,
    /// Where it stood.
    pub phase: Phase,
    /// Goes on seeding.
    pub seeding: bool,
    /// The content was put under its name by this transfer: what is there is not partial.
    #[serde(default)]
    pub published: bool,
    /// Was told to check what is under its name and to mend it.
    #[serde(default)]
    pub mend: bool,
    /// Those of higher priority come first when they wait for their turn.
    #[serde(default)]
    pub priority: i8,
    /// Place among those of the same priority, where it was moved; else as it was added.
    #[serde(default)]
    pub moved_to: Option<u64>,
    /// The operation of the queue that it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<QueueId>,
    /// What it moves, once known.
    pub content: Option<ContentId>,
    /// Name under which the content appears.
    pub name: String,
    /// Folder it lies in.
    pub dir: PathBuf,
    /// When it was added.
    pub added_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Payload so far.
    pub bytes_down: u64,
    /// Payload so far.
    pub bytes_up: u64,
    /// Both ways, headers included as far as known.
    pub wire_bytes: u64,
    /// As in the row.
    #[serde(default)]
    pub saved_bytes: u64,
    /// Time spent running.
    pub running_ms: u64,
}

impl TransferRecord {
    /// Place in the queue among those of the same priority, lower first.
    pub fn rank(&self) -> u64 {
        self.moved_to.unwrap_or(self.id.0)
    }

    /// The path that it shares, as a key of what was hashed; none if it shares nothing in place.
    pub(super) fn shared_path(&self) -> Option<&[u8]> {
        match &self.job {
            JobRecord::Share(share) => Some(share.path.as_os_str().as_encoded_bytes()),
            JobRecord::Fetch(_) | JobRecord::Send(_) | JobRecord::Sync(_) => None,
        }
    }
}

/// A rate limit that was set while a node ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// What the configuration said then, in bytes per second.
    pub instead_of: Rate,
    /// What was chosen, in bytes per second.
    pub rate: Rate,
}

/// Limits of the whole node that were set while it ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenLimits {
    /// Up.
    pub up: Option<Chosen>,
    /// Down.
    pub down: Option<Chosen>,
}

impl Chosen {
    /// The limit in force where the configuration says `configured`: who spoke last is right. What
    /// was chosen holds until the configuration, or a flag, says something new.
    pub fn over(this: Option<Self>, configured: Rate) -> Rate {
        this.filter(|chosen| chosen.instead_of == configured).map_or(configured, |chosen| chosen.rate)
    }
}
