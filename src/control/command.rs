//! What can be asked of an engine, and what it answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::link::{LinkChangeRequest, LinkHistory, ProbeReport, ProbeRequest};
use super::pool::{Balancer, Moves, Placement, PoolNode};
use super::queue::{Operation, PurgeRequest, QueueId, QueueMove};
use super::{
    AddTransfer, InterfaceRow, Preview, PriorityClass, Rate, SendRequest, ShareRequest, SyncPlan, SyncRequest,
};
use crate::content::ContentId;

/// Names a transfer on its node; small numbers, never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(pub u64);

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TransferId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('#').unwrap_or(text).parse().map(Self)
    }
}

/// What a viewer or a program asks of an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Start a transfer → [`Reply::Added`], one id per content (a Metalink may hold several).
    Add(AddTransfer),
    /// Share a path → [`Reply::Added`]; its link is in the row once the manifest is made.
    Share(ShareRequest),
    /// Say what [`Command::Add`] would do, and do nothing → [`Reply::Preview`].
    Preview(AddTransfer),
    /// Say what [`Command::Share`] would do, and do nothing → [`Reply::Preview`].
    PreviewShare(ShareRequest),
    /// Push a path to another node → [`Reply::Added`].
    Send(SendRequest),
    /// Say what [`Command::Send`] would do: probes the ways, asks the receiver, and sends nothing →
    /// [`Reply::Preview`].
    PreviewSend(SendRequest),
    /// List what a push can leave by → [`Reply::Interfaces`].
    Interfaces,
    /// Take a path of a push out, let it work again, or give it a weight: at once, and kept.
    SetPath {
        /// Which push.
        id: TransferId,
        /// Which path, as its row calls it.
        path: String,
        /// May it work; none: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enabled: Option<bool>,
        /// Its weight beside the others, 0.1 to 10; none: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<f64>,
    },
    /// Make a tree at another node equal to one here → [`Reply::Added`].
    Sync(SyncRequest),
    /// Say what [`Command::Sync`] would do, and do nothing → [`Reply::SyncPlan`].
    PreviewSync(SyncRequest),
    /// Measure the link to an endpoint, once → [`Reply::Probed`], within about five seconds.
    Probe(ProbeRequest),
    /// Watch the link to an endpoint from now on: its row comes with the snapshots.
    StartMonitor {
        /// URL of the endpoint.
        endpoint: String,
    },
    /// Watch it no longer.
    StopMonitor {
        /// URL of the endpoint.
        endpoint: String,
    },
    /// Say what class a watched link is, or that every byte costs there.
    SetLink(LinkChangeRequest),
    /// Tell what the monitor of a link remembers → [`Reply::LinkHistory`].
    LinkHistory {
        /// URL of the endpoint.
        endpoint: String,
        /// Of the last so many seconds.
        window_s: u64,
    },
    /// Put an operation into the queue, where it waits for its turn and its link → [`Reply::Enqueued`]. The same
    /// operation that waits there already keeps its place and gets what differs in this request.
    Enqueue {
        /// What is to be done.
        operation: Operation,
        /// How much it matters; of a push: as its request says if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<PriorityClass>,
    },
    /// Give operations of the queue another class.
    SetClass {
        /// Which.
        ids: Vec<QueueId>,
        /// The class.
        class: PriorityClass,
    },
    /// Give an operation of the queue another place in its class.
    MoveQueued {
        /// Which.
        id: QueueId,
        /// Where to.
        to: QueueMove,
    },
    /// Try operations of the queue now that wait for their next try, or are parked.
    RetryQueued {
        /// Which.
        ids: Vec<QueueId>,
    },
    /// Remove operations from the queue → [`Reply::Purged`].
    PurgeQueue(PurgeRequest),
    /// Put a node on the pool's list, or change its weight; without a name it is asked for it → [`Reply::Listed`].
    PoolAdd(PoolNode),
    /// Take a node off the list.
    PoolRemove {
        /// Its name.
        name: String,
    },
    /// Take a node of the pool out of use, or into it again. Kept, and told to the others by gossip.
    PoolDrain {
        /// Its name.
        name: String,
        /// Out of use.
        on: bool,
    },
    /// Say where a key belongs, and why → [`Reply::Placed`].
    Place {
        /// The key.
        key: String,
        /// So many different nodes; 1 if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replicas: Option<u32>,
        /// Who answers; none: the pool's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        balancer: Option<Balancer>,
    },
    /// Let another balancer answer where nobody says which, on this node.
    SetBalancer {
        /// Which.
        balancer: Balancer,
    },
    /// Say what would follow if a node came with this weight, or without one: was taken off the list, or drained →
    /// [`Reply::Moves`].
    PreviewPool {
        /// Its name.
        name: String,
        /// The weight that it would come with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<f64>,
        /// It is drained, not taken off the list.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        drain: bool,
    },
    /// Stop moving bytes, keep everything.
    Pause {
        /// Which.
        ids: Vec<TransferId>,
    },
    /// Go on, or try a failed one again.
    Resume {
        /// Which.
        ids: Vec<TransferId>,
    },
    /// Stop for good and drop the partial data; a complete one only stops seeding.
    Cancel {
        /// Which.
        ids: Vec<TransferId>,
    },
    /// Forget it.
    Remove {
        /// Which.
        ids: Vec<TransferId>,
        /// Delete the data too: the content's own entries as they were fetched, then the folders that
        /// are empty by that. What was added or changed since stays and is counted
        /// ([`Reply::Kept`]); what was shared in place is never deleted.
        data: bool,
    },
    /// Check the data on disk against the manifest; fetch again what is wrong.
    Verify {
        /// Which.
        ids: Vec<TransferId>,
    },
    /// Change limits; `id` none: of the whole node.
    Limit {
        /// Which.
        id: Option<TransferId>,
        /// Bytes per second up; outer none: unchanged, inner none: unlimited.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "double_option")]
        up: Option<Rate>,
        /// Bytes per second down.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "double_option")]
        down: Option<Rate>,
    },
    /// Let these come before or after others when they wait for their turn.
    Prioritise {
        /// Which.
        ids: Vec<TransferId>,
        /// -9 to 9, 0 is usual.
        priority: i8,
    },
    /// Change places in the queue with the neighbour of the same priority.
    Move {
        /// Which.
        id: TransferId,
        /// Towards the front.
        up: bool,
    },
    /// Ban a peer as if it had sent wrong data: nothing is fetched from it and nothing given to it, from
    /// now on, by running transfers too.
    Ban {
        /// `host:port` or endpoint URL.
        peer: String,
    },
    /// Forget a ban.
    Unban {
        /// `host:port` as listed.
        peer: String,
    },
    /// Let what runs come to its end and begin nothing more (or begin again): before a machine goes down.
    /// What is shared goes on being served. Not kept over a restart.
    Drain {
        /// Begin nothing more.
        on: bool,
    },
    /// How much is logged, wherever this node logs to (viewers, its file, stderr): an env-filter directive such as `info` or `skep_engine::swarm=debug`.
    SetLogLevel {
        /// The directive.
        filter: String,
    },
}

/// What an accepted command answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Carried out, or on its way: the snapshot tells when it is a fact.
    Done,
    /// Transfers that now exist.
    Added {
        /// One per content.
        ids: Vec<TransferId>,
        /// What they fetch or share, where known already.
        contents: Vec<ContentId>,
    },
    /// Removed with its data, except for this.
    Kept(Kept),
    /// What a command would do.
    Preview(Preview),
    /// Ways out of the node's machine.
    Interfaces {
        /// Those with an address, loopback last.
        interfaces: Vec<InterfaceRow>,
    },
    /// What a sync would do.
    SyncPlan(Box<SyncPlan>),
    /// What a probe found.
    Probed(Box<ProbeReport>),
    /// What a monitor remembers.
    LinkHistory(LinkHistory),
    /// In the queue, and on the disk.
    Enqueued {
        /// Its id.
        id: QueueId,
        /// It was there already.
        again: bool,
    },
    /// On the pool's list.
    Listed {
        /// The node's name.
        name: String,
    },
    /// Where a key belongs.
    Placed(Box<Placement>),
    /// What would follow.
    Moves(Moves),
    /// Removed from the queue.
    Purged {
        /// So many.
        count: u64,
    },
}

/// What was left where a content's data was to be deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Entries of the content that were changed since they were fetched.
    pub changed: u64,
    /// Files, links and empty folders that are not of the content.
    pub foreign: u64,
}

impl Kept {
    /// True if nothing was left.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.changed + self.foreign;
        write!(f, "{all} kept: {} changed since the fetch, {} not part of it", self.changed, self.foreign)
    }
}

/// What kind of refusal: decides exit codes and HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandErrorKind {
    /// The request itself is wrong.
    Invalid,
    /// No such transfer, path or peer.
    NotFound,
    /// It does not fit the state of things (a name that is taken, a transfer that ended).
    Conflict,
    /// Not allowed: token, read-only, permissions.
    Refused,
    /// Data is not what its digest says.
    Integrity,
    /// The other side or the network.
    Unavailable,
    /// The engine is stopping or failed itself.
    Internal,
}

/// Why a command was refused: what failed, on what, what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The kind of refusal.
    pub kind: CommandErrorKind,
    /// One line for a person.
    pub message: String,
}

impl CommandError {
    /// A refusal in words.
    pub fn new(kind: CommandErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// `Option<Option<T>>` where a missing field and an explicit null differ.
mod double_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<Option<u64>>, s: S) -> Result<S::Ok, S::Error> {
        value.unwrap_or_default().serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<u64>>, D::Error> {
        Option::<u64>::deserialize(d).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_limit_is_not_unlimited() {
        for limit in [None, Some(None), Some(Some(5))] {
            let command = Command::Limit { id: None, up: limit, down: None };
            let json = serde_json::to_string(&command).unwrap();
            assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command, "{json}");
        }
    }
}
