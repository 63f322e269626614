//! The engine of skep: moves large data between machines over links of every quality, and knows no
//! screen.
//!
//! Start one with [`engine::Engine::start`]; steer it through [`control::Control`]. Bottom up:
//! [`content`] (what is moved), [`control`] (the seam), [`store`] (what outlives the process),
//! [`swarm`] (system 1), [`delta`] (system 4), [`upload`] (the receiving side of systems 2 and 3), [`queue`] (what waits
//! for its turn or its link, of system 5), [`pool`] (systems 6 and 7), [`node`] (the HTTP server), [`rpc`] (control over the network), [`engine`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aligned;
mod chunks;
mod clock;
pub mod content;
pub mod control;
pub mod delta;
pub mod engine;
mod failpoint;
pub mod link;
pub mod log;
pub mod node;
pub mod pool;
pub mod push;
pub mod queue;
pub mod rpc;
pub mod schedule;
pub mod store;
pub mod swarm;
pub mod sync;
pub mod throttle;
pub mod upload;
