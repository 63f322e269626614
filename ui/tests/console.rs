//! The console as an operator meets it: snapshots and keys in, frames and commands out.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "console/budget.rs"]
mod budget;
#[path = "console/fixture.rs"]
mod fixture;
#[path = "console/frames.rs"]
mod frames;
#[path = "console/keys.rs"]
mod keys;
#[path = "console/linking.rs"]
mod linking;
#[path = "console/moving.rs"]
mod moving;
#[path = "console/nodes.rs"]
mod nodes;
#[path = "console/paths.rs"]
mod paths;
#[path = "console/storm.rs"]
mod storm;
#[path = "console/syncing.rs"]
mod syncing;
#[path = "console/travel.rs"]
mod travel;
#[path = "console/workload.rs"]
mod workload;
