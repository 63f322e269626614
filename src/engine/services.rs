//! What every transfer of a node shares.

use std::path::PathBuf;
use std::sync::Arc;

use super::links::Links;
use super::pooling::Pool;
use super::shared::Bell;
use super::turns::Gate;
use crate::control::Rate;
use crate::push::retry::Pace;
use crate::store::State;
use crate::swarm::Swarm;
use crate::throttle::Throttle;
use crate::throttle::links::LinkLimits;
use crate::upload::Uploads;

/// The node's common goods.
pub(crate) struct Services {
    pub state: Arc<State>,
    pub swarm: Arc<Swarm>,
    /// What others push here.
    pub uploads: Arc<Uploads>,
    /// Where fetched contents appear unless told otherwise.
    pub root: PathBuf,
    /// Shown to others.
    pub name: String,
    /// This node's URL as others reach it.
    pub url: String,
    /// Trackers for everything, beside those of a link.
    pub trackers: Vec<String>,
    /// Nodes that are asked for everything.
    pub join: Vec<String>,
    /// Places for transfers that move bytes.
    pub places: Arc<Gate>,
    /// Places for copies that the pool wants here. Others than those of transfers: who sends to the pool keeps its place until
    /// all copies are whole, its own one among them.
    pub copy_places: Arc<Gate>,
    pub throttle_up: Arc<Throttle>,
    pub throttle_down: Arc<Throttle>,
    /// Links with limits of their own.
    pub links_limited: Arc<LinkLimits>,
    /// The node's limits up and down as the configuration has them.
    pub configured: (Rate, Rate),
    pub bell: Arc<Bell>,
    /// Monitors of links.
    pub links: Arc<Links>,
    /// The pool.
    pub pool: Arc<Pool>,
    /// Of the waits between tries of a push.
    pub pace: Pace,
}
