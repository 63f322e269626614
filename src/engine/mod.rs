//! The engine: owns everything that lives, applies commands, publishes snapshots.
//!
//! ```text
//!  Command ─▶ Core ─Order─▶ TransferTask ─▶ Strategy (fetch_job, share_job) ─▶ swarm, store
//!  Snapshot ◀─ Publisher ◀─ Shared (row, detail, record) ◀──────┘
//!                 ▲
//!                 └── receiving ◀── upload: what others push here
//! ```
//!
//! A transfer is owned by one task; everyone else sends it orders and reads its row. The record on
//! the disk follows the row of facts: what a restart finds is what was true.

mod adapt;
mod add;
mod commands;
mod config;
mod delta_job;
mod delta_map;
mod delta_show;
mod delta_strategy;
mod fetch_job;
mod figures;
mod gossiping;
mod interfaces;
mod limits;
mod links;
mod order;
mod pooling;
mod preview;
mod preview_send;
mod publisher;
mod push_report;
mod push_strategy;
mod queueing;
mod receiving;
mod replicating;
mod resolve;
mod scheduled;
mod seeding;
mod send;
mod send_job;
mod services;
mod setup;
mod share_job;
mod shared;
mod sources;
mod steer;
mod strategy;
mod swarm_strategy;
mod sync;
mod sync_delta;
mod sync_file;
mod sync_job;
mod sync_round;
mod sync_shown;
mod sync_watch;
#[cfg(test)]
mod tests;
mod transfer;
mod turns;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::commands::Core;
pub use self::config::{EngineConfig, EngineLimits, StartError};
pub use self::pooling::Pool;
use self::services::Services;
use crate::content::{Bitmap, ContentId, Manifest};
use crate::control::link::LinkSettings;
use crate::control::{BoxFuture, Command, CommandError, Control, Focus, NodeInfo, Reply, View};
use crate::store::instance::{self, Instance};
use crate::store::{State, StateError};
pub use crate::swarm::InFlight;

/// Longest time that transfers get to record where they stand when the node stops.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// The link under which others fetch a content from this node.
pub(crate) fn link_to(services: &Services, content: Option<ContentId>) -> Option<String> {
    let host_port = services.url.split_once("://")?.1;
    Some(format!("skep://{}/{}", host_port.trim_end_matches('/'), content?))
}

/// Bytes of the pieces in `have`.
pub(crate) fn bytes_of(manifest: &Manifest, have: &Bitmap) -> u64 {
    let size = manifest.size();
    let last = manifest.piece_count().saturating_sub(1);
    let full = u64::from(have.count()) * manifest.piece_length;
    if have.get(last) {
        full - (manifest.piece_length - (size - u64::from(last) * manifest.piece_length))
    } else {
        full
    }
}

/// A running engine with its node. Call [`Engine::shutdown`] to stop it with everything recorded;
/// dropping it stops it at once, which costs no data but what was not yet durable.
pub struct Engine {
    core: Arc<Core>,
    url: String,
    state_dir: std::path::PathBuf,
    stop: CancellationToken,
    background: TaskTracker,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("url", &self.url).finish_non_exhaustive()
    }
}

fn make_folder(what: &'static str, path: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(path).map_err(|source| StartError::Folder { what, path: path.into(), source })
}

impl Engine {
    /// Opens the state, starts the node, goes on with every transfer that was at work.
    ///
    /// # Errors
    /// The state folder is in use or damaged, the root cannot be used, the port is taken.
    pub async fn start(config: EngineConfig) -> Result<Self, StartError> {
        make_folder("state", &config.state_dir)?;
        make_folder("root", &config.root)?;
        let state_path = config.state_dir.join("state.redb");
        let state = match State::open(&state_path) {
            Err(StateError::Busy(_)) if instance::find(&config.state_dir).is_some() => {
                let Instance { pid, url, .. } = instance::find(&config.state_dir).unwrap_or_else(|| Instance {
                    url: "starting".into(),
                    pid: 0,
                    token_file: instance::token_file(&config.state_dir),
                });
                return Err(StartError::Busy { pid, url, state_dir: config.state_dir });
            }
            other => Arc::new(other?),
        };
        let own_token = instance::own_token(&config.state_dir).map_err(|source| StartError::Folder {
            what: "state",
            path: config.state_dir.clone(),
            source,
        })?;
        setup::start(config, state, own_token).await
    }

    /// What takes commands and shows snapshots.
    pub fn control(&self) -> Arc<dyn Control> {
        Arc::new(EngineControl { core: self.core.clone() })
    }

    /// The node's URL as others reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The pool that this node is in, or knows.
    pub fn pool(&self) -> Arc<Pool> {
        self.core.services.pool.clone()
    }

    /// Stops: transfers record where they stand, requests under way finish, the note goes.
    pub async fn shutdown(self) {
        self.core.shutdown.cancel();
        self.core.tasks.close();
        if tokio::time::timeout(SHUTDOWN, self.core.tasks.wait()).await.is_err() {
            tracing::error!("some transfers did not stop in time; what they had recorded is kept");
        }
        self.stop.cancel();
        self.background.close();
        if tokio::time::timeout(SHUTDOWN, self.background.wait()).await.is_err() {
            tracing::warn!("the server did not finish its requests in time");
        }
        instance::remove(&self.state_dir);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.core.shutdown.cancel();
        self.stop.cancel();
    }
}

/// The engine's side of the seam.
struct EngineControl {
    core: Arc<Core>,
}

impl crate::rpc::NodeInfoSource for EngineControl {
    fn info(&self) -> NodeInfo {
        let services = &self.core.services;
        let links = services.links.rows();
        NodeInfo {
            name: services.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: ["transfer", "swarm", "tracker", "transport.bandwidth", "pool"].map(String::from).to_vec(),
            bandwidth_monitors: u32::try_from(links.len()).unwrap_or(u32::MAX),
            current_sync_mode: links::mode_of(&links).into(),
            strategies: self.core.strategies.rows(),
        }
    }

    fn links(&self) -> Arc<LinkSettings> {
        self.core.services.links.settings().clone()
    }
}

impl Control for EngineControl {
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
        Box::pin(self.core.command(command))
    }

    fn view(&self, focus: Focus) -> View {
        self.core.publisher.view(focus)
    }

    fn target(&self) -> String {
        "embedded".into()
    }

    fn is_embedded(&self) -> bool {
        true
    }
}
