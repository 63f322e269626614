//! Swarm.
pub mod peer_set;
pub mod picker;
