//! Figures of the node itself: for the header of a console and for `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::watch;

use super::commands::Core;
use super::links::Links;
use super::pooling::Pool;
use super::publisher::NodeFigures;
use super::turns::Gate;
use crate::control::link::{LinkRow, Thresholds};
use crate::control::pool::PoolView;
use crate::control::queue::QueueView;
use crate::control::{BanRow, NodeRow, TransferKind, TransferRow};
use crate::node::{self, EngineFigures};
use crate::swarm::Swarm;
use crate::throttle::Throttle;
use crate::upload::Uploads;

/// What the node row is made of.
pub(super) struct Figures {
    /// What does not change.
    pub fixed: NodeRow,
    pub swarm: Arc<Swarm>,
    pub received: Arc<Uploads>,
    pub connections: node::Connections,
    pub throttle_up: Arc<Throttle>,
    pub throttle_down: Arc<Throttle>,
    pub places: Arc<Gate>,
    pub links: Arc<Links>,
    pub queue: watch::Receiver<Arc<QueueView>>,
    pub pool: Arc<Pool>,
}

impl NodeFigures for Figures {
    fn node(&self, rows: &[Arc<TransferRow>]) -> NodeRow {
        let sum = |figure: fn(&TransferRow) -> u64| rows.iter().map(|row| figure(row)).sum();
        let disk = rustix::fs::statvfs(self.fixed.root.as_str());
        NodeRow {
            rate_down: sum(|row| row.rate_down),
            rate_up: sum(|row| row.rate_up),
            // Rows of what was received go by themselves; what came stays counted.
            bytes_down: sum(|row| if row.kind == TransferKind::Receive { 0 } else { row.bytes_down })
                + self.received.bytes(),
            bytes_up: sum(|row| row.bytes_up),
            limit_up: self.throttle_up.rate(),
            limit_down: self.throttle_down.rate(),
            connections: self.connections.open(),
            draining: self.places.is_held(),
            disk_free: disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            ..self.fixed.clone()
        }
    }

    fn links(&self) -> Vec<Arc<LinkRow>> {
        self.links.rows()
    }

    fn thresholds(&self) -> Thresholds {
        self.links.settings().thresholds
    }

    fn bans(&self) -> Arc<Vec<BanRow>> {
        Arc::new(self.swarm.bans.rows())
    }

    fn queue(&self) -> Arc<QueueView> {
        self.queue.borrow().clone()
    }

    fn pool(&self) -> Arc<PoolView> {
        self.pool.view()
    }
}

/// The engine as `/metrics` asks it; set once the engine is there.
#[derive(Default)]
pub(super) struct Scraped(pub OnceLock<Weak<Core>>);

impl std::fmt::Debug for Scraped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scraped")
    }
}

impl node::Figures for Scraped {
    fn figures(&self) -> EngineFigures {
        let Some(core) = self.0.get().and_then(Weak::upgrade) else { return EngineFigures::default() };
        let rows = core.rows();
        let mut states: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &rows {
            *states.entry(row.state.name()).or_default() += 1;
        }
        EngineFigures {
            bytes_down: rows.iter().map(|row| row.bytes_down).sum::<u64>() + core.services.uploads.bytes(),
            hash_failures: core.services.swarm.hash_failures(),
            bans: core.services.swarm.bans.rows().len() as u64,
            uploads: core.services.uploads.counts(),
            transfers: states.into_iter().map(|(state, count)| (state.to_owned(), count)).collect(),
        }
    }
}
