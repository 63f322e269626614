//! Pools, systems 6 and 7: which node a key belongs to, and which of several nodes is best now.
//!
//! ```text
//!  who is there (list, gossip) ──▶ hashed: ring, bounded ──▶ nodes for a key, first one first
//!  how they are (reports, what happened) ──▶ resource: health ──▶ one of these nodes, by chance
//! ```
//!
//! Deciders: [`ring`] (points and lookups), [`bounded`] (who has no room for one more), [`hashed`] (the balancer that places by
//! key), [`preview`] (what would follow), [`health`] (what is known of a node), [`resource`] (the balancer that looks at how
//! nodes are), [`book`] (who is in the pool: all of it together), [`seal`] (datagrams
//! that only those with the pool's key make), [`silence`] (who is heard of), [`repair`] (which lost copies are made again here). Drivers: [`chance`] (random bits), [`asking`] (how nodes of the list are),
//! [`gossip`] (who is there, told by each to the others). [`replica`]: what a node is told to keep a copy.
//!
//! Invariants: the same nodes and weights make the same ring, in whatever order they came; a choice fails only where there is
//! no node; what a node says of itself never outweighs what those who use it found; ages are by this node's clock.

pub mod asking;
pub mod book;
pub mod bounded;
pub mod chance;
pub mod gossip;
pub mod hashed;
pub mod health;
pub mod preview;
pub mod repair;
pub mod replica;
pub mod resource;
pub mod ring;
pub mod seal;
pub mod silence;

use self::bounded::FACTOR;
use self::repair::RepairSettings;
use self::ring::VIRTUAL_NODES;
use crate::control::pool::Limits;

/// A node's place in its pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// The pool's name, as in `pool:NAME`. Those of another name are not heard.
    pub name: String,
    /// The node's share beside the others, 0.01 to 100.
    pub weight: f64,
    /// Points on the ring of a node of weight 1: where nodes differ in it, so do their rings.
    pub points: u32,
    /// Times its fair share of contents that a node takes at most; none: whatever the ring gives it.
    pub bound: Option<f64>,
    /// What makes its nodes good, and what excludes them.
    pub limits: Limits,
    /// How lost copies are made again.
    pub repair: RepairSettings,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            name: "default".into(),
            weight: 1.0,
            points: VIRTUAL_NODES,
            bound: Some(FACTOR),
            limits: Limits::default(),
            repair: RepairSettings::default(),
        }
    }
}
