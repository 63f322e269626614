//! The engine of skep.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod content;
pub mod swarm;
