//! Others push files and trees to a node: real nodes over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod contested;
mod files;
mod refusals;
mod sender;
mod shown;
mod trees;
mod tus;
