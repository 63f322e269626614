//! What the server needs from the engine.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::pool::replica::Replicas;
use crate::swarm::{Bans, Catalog};
use crate::sync::behind::Behind;
use crate::sync::receive::Trees;
use crate::throttle::Throttle;
use crate::upload::{Counts, Uploads};

/// What the engine counts, for `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFigures {
    /// Payload received, in bytes, fetched or pushed here.
    pub bytes_down: u64,
    /// Pieces that did not match their digest.
    pub hash_failures: u64,
    /// Bans in force.
    pub bans: u64,
    /// What others push here.
    pub uploads: Counts,
    /// Transfers of this node's own by the name of their state.
    pub transfers: Vec<(String, u64)>,
}

/// Asked at each scrape.
pub trait Figures: fmt::Debug + Send + Sync + 'static {
    /// The figures now.
    fn figures(&self) -> EngineFigures;
}

/// A node without an engine: nothing but zeros.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFigures;

impl Figures for NoFigures {
    fn figures(&self) -> EngineFigures {
        EngineFigures::default()
    }
}

/// What the server works on.
#[derive(Debug, Clone)]
pub struct Services {
    /// Contents that are served, and the tracker.
    pub catalog: Arc<Catalog>,
    /// Whoever is banned here is given no piece.
    pub bans: Arc<Bans>,
    /// The upload limit of the whole node.
    pub up: Arc<Throttle>,
    /// For `/metrics`.
    pub figures: Arc<dyn Figures>,
    /// What others push here; none: nothing is taken.
    pub uploads: Option<Arc<Uploads>>,
    /// Trees that others keep equal to theirs; none: no syncs.
    pub trees: Option<Arc<Trees>>,
    /// What others say of those trees; none: nobody listens.
    pub behind: Option<Arc<Behind>>,
    /// Keeps copies for a pool; set once the engine is there. None: nobody does.
    pub replicas: Arc<OnceLock<Arc<dyn Replicas>>>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            catalog: Arc::default(),
            bans: Arc::default(),
            up: Arc::default(),
            figures: Arc::new(NoFigures),
            uploads: None,
            trees: None,
            behind: None,
            replicas: Arc::default(),
        }
    }
}
