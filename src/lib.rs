//! The engine of skep: moves large data between machines over links of every quality, and knows no
//! screen.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod content;
pub mod control;
pub mod node;
pub mod store;
pub mod swarm;
pub mod throttle;
