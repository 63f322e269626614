//! Putting an engine together, from its config to its running tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commands::Core;
use super::config::{EngineConfig, InFlight, StartError};
use super::figures::Figures;
use super::publisher::Publisher;
use super::services::Services;
use super::strategy::Strategies;
use super::swarm_strategy::SwarmStrategy;
use super::{Engine, EngineControl};
