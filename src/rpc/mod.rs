//! Control over the network: JSON-RPC 2.0 on `/rpc`, by POST and by WebSocket.
//!
//! [`router`] puts an engine's [`Control`](crate::control::Control) on the network;
//! [`RemoteControl`] is the other end and implements the same trait. Between them go the methods
//! below, with parameters by name (an object), and [`delta::SnapshotDelta`]s.
//!
//! | method | parameters | result |
//! |---|---|---|
//! | `transfer.add` | the fields of [`AddTransfer`](crate::control::AddTransfer) | `{"reply":"added","ids":[…],"contents":[…]}` |
//! | `transfer.preview` | those of `transfer.add` | `{"reply":"preview",…}`: [`Preview`](crate::control::Preview); nothing is added |
//! | `transfer.list` | `after?` (id), `limit?` | `{"transfers":[row…],"more":bool}` |
//! | `transfer.show` | `id` | `{"row":…,"detail":…}`; detail null while there is none |
//! | `transfer.pause` `.resume` `.cancel` `.verify` | `ids` or `id` | `{"reply":"done"}` |
//! | `transfer.remove` | `ids` or `id`, `data?` (false) | `{"reply":"done"}`, or `{"reply":"kept","changed":N,"foreign":N}` where data was left |
//! | `transfer.limit` | `id?` (none: the node), `up?`, `down?`: bytes/s, null: unlimited | `{"reply":"done"}` |
//! | `transfer.prioritise` | `ids` or `id`, `priority`: -9 to 9 | `{"reply":"done"}` |
//! | `transfer.move` | `id`, `up`: towards the front | `{"reply":"done"}` |
//! | `swarm.share` | the fields of [`ShareRequest`](crate::control::ShareRequest) | `{"reply":"added",…}` |
//! | `swarm.preview` | those of `swarm.share` | `{"reply":"preview",…}` |
//! | `swarm.bans` | | `[ban…]` |
//! | `swarm.ban` | `peer` | `{"reply":"done"}` |
//! | `swarm.unban` | `peer` | `{"reply":"done"}` |
//! | `node.info` | | [`NodeInfo`](crate::control::NodeInfo) |
//! | `node.snapshot` | `focus?` | [`Snapshot`](crate::control::Snapshot) |
//! | `node.drain` | `on`: begin nothing more, or begin again | `{"reply":"done"}` |
//! | `node.interfaces` | | `{"reply":"interfaces","interfaces":[{"name":…,"addresses":[…]}…]}`: what a push can leave by |
//! | `node.log_level` | `filter` | `{"reply":"done"}` |
//! | `transport.sync` | the fields of [`SyncRequest`](crate::control::SyncRequest) | `{"reply":"added",…}`, or `{"reply":"enqueued",…}` where its link has it wait |
//! | `transport.preview_sync` | the same | `{"reply":"sync_plan",…}`: [`SyncPlan`](crate::control::SyncPlan); nothing is changed |
//! | `transport.send` | the fields of [`SendRequest`](crate::control::SendRequest) | the same |
//! | `transport.preview` | those of `transport.send` | `{"reply":"preview",…}`: the ways are probed, nothing is sent |
//! | `transport.path` | `id`, `path` (as the row calls it), `enabled?`, `weight?`: 0.1 to 10 | `{"reply":"done"}` |
//! | `transport.bandwidth.measure` | `url` | `{"reply":"probed",…}`: [`ProbeReport`](crate::control::link::ProbeReport), within about 5 s |
//! | `transport.bandwidth.monitor.start`, `.stop` | `endpoint` | `{"reply":"done"}` |
//! | `transport.switch` | `endpoint`, `class?`: `auto` or a class, `metered?` | `{"reply":"done"}` |
//! | `transport.bandwidth.history` | `endpoint`, `window_s?` (1,800) | `{"reply":"link_history","samples":[…],"changes":[…]}` |
//! | `transport.bandwidth.sync.queue` | | [`QueueView`](crate::control::queue::QueueView): the first rows, totals and drops per class; and `count`, `total_queued_bytes` |
//! | `transport.bandwidth.sync.next` | | the row of the operation whose turn is next, or null |
//! | `transport.bandwidth.sync.enqueue` | `operation`: `{"what":"send"}` or `{"what":"sync"}` with the fields of those requests, `class?` | `{"reply":"enqueued","id":…,"again":bool}` |
//! | `transport.bandwidth.sync.class` | `ids` or `id`, `class` | `{"reply":"done"}` |
//! | `transport.bandwidth.sync.move` | `id`, `to`: `first`, `up`, `down`, `last` of its class | `{"reply":"done"}` |
//! | `transport.bandwidth.sync.retry` | `ids` or `id` | `{"reply":"done"}` |
//! | `transport.bandwidth.sync.purge` | `ids?` or `id?`, `class?`, `max_age_s?`, `target?`, `all?`: all given conditions hold | `{"reply":"purged","count":N}` |
//! | `transport.bandwidth.status` | `endpoint?` (none: all; any URL below it) | `{"links":[…]}`: [`LinkRow`](crate::control::link::LinkRow)s |
//! | `transport.quality` | `endpoint?` | `{"links":[{"endpoint","class","why","mode",…medians}]}` |
//! | `pool.list` | | [`PoolView`](crate::control::pool::PoolView): the nodes, how they are, scores, shares |
//! | `pool.add` | `endpoint`, `name?` (none: the node is asked), `weight?`: 0.01 to 100 | `{"reply":"listed","name":…}` |
//! | `pool.remove` | `name` | `{"reply":"done"}` |
//! | `pool.drain` | `name`, `on?` (true) | `{"reply":"done"}` |
//! | `pool.place` | `key`, `replicas?` (1), `balancer?`: `consistent_hash` or `resource_aware` | `{"reply":"placed",…}`: [`Placement`](crate::control::pool::Placement) |
//! | `pool.balancer` | `balancer`: who answers where nobody says | `{"reply":"done"}` |
//! | `pool.preview` | `name`, `weight?` (none: it goes off the list), `drain?` (it is drained) | `{"reply":"moves",…}`: [`Moves`](crate::control::pool::Moves) |
//! | `transport.stats` | | `{"node":…,"transfers":[…],"links":[…]}`: rates, bytes, what probing cost, changes of class |
//! | `transport.config` | | `{"strategies":[…],"link":…}`: the latter [`LinkSettings`](crate::control::link::LinkSettings) |
//! | `node.subscribe` (WebSocket) | `focus?` | subscription id; then `node.snapshot` notifications |
//! | `node.focus` (WebSocket) | `subscription`, `focus` | `true` |
//! | `node.unsubscribe` (WebSocket) | `[subscription]` | `true` |
//!
//! Rows and details are those of [`control`](crate::control). A `focus` is `{"transfer":ID}` or
//! `{}`. A notification carries a [`delta::SnapshotDelta`]: the first one of a subscription is
//! `full`, later ones only hold what changed; at most four come per second, none if nothing
//! changed, and a slow reader gets fewer, never a queue.
//!
//! Errors have the codes of JSON-RPC (-32700 not JSON, -32600 not a request, -32601 no such
//! method, -32602 a parameter is wrong, and the message says which) or, for a command that the
//! engine refused, one of [`errors`], with `data: {"kind":…}`.
//!
//! Limits: requests up to 4 MiB, only `transfer.add` and `transfer.preview` by POST more (a document up to 64 MiB), one
//! such request at a time; 32 WebSockets and 32 POSTs at a time, 8 subscriptions each; 32 calls in
//! a batch; answers up to 16 MiB.

mod call;
pub mod client;
pub mod delta;
pub mod errors;
mod methods;
mod pacer;
mod server;
mod subscription;

pub use client::{RemoteControl, RemoteError};
pub use server::{NodeInfoSource, router};

/// Where it is mounted.
pub const PATH: &str = "/rpc";

/// Bytes of an ordinary request.
pub const MAX_REQUEST: u32 = 4 << 20;

/// Bytes of a manifest or Metalink inside `transfer.add`.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// Bytes of a request with a document in it: quotes in it are escaped.
pub const MAX_DOCUMENT_REQUEST: u32 = 96 << 20;

/// Bytes of an answer or of a notification.
pub const MAX_RESPONSE: u32 = 16 << 20;
