//! Others push files and trees to a node: real nodes over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod contested;
mod files;
mod packed;
mod refusals;
#[allow(dead_code)]
#[path = "../push/relay.rs"]
mod relay;
mod sender;
mod shown;
mod trees;
mod tus;
