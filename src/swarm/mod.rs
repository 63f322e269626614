//! Swarm.
pub mod choker;
pub mod leech;
pub mod peer_set;
pub mod peers;
pub mod picker;
pub mod rate;
pub mod window;
