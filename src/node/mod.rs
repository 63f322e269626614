//! The HTTP server of a node: what other nodes, any HTTP client and local commands reach.
//!
//! # How a request flows
//! [`Node::run`] accepts a connection if the `caps` let it in, and gives it a task of its own
//! (`conn`): HTTP/1.1 or HTTP/2 by prior knowledge on a socket under watch (`io`), which
//! cuts clients that begin a request and never finish it, that stop taking what they asked for, or
//! that sit idle. Each request passes one layer that times and counts it and asks the gate
//! ([`auth`]); then its route, one file per family in `routes/`. Panics become 500. Every error is
//! a problem document ([`Problem`]).
//!
//! Pieces and files leave through `body`: page cache → socket, sent by the kernel (`outlet`), or
//! through a reused buffer (`pool`) where that cannot be; limited by the content's throttle, then
//! the node's.
//!
//! # Invariants
//! - Nothing outside a manifest can be reached: paths are looked up in it, never joined to anything.
//! - Nothing waits without a limit, and nothing that came from outside is held without a cap.
//! - A node that stops answers waiting requests at once, lets running bodies end (10 s), then cuts.
//! - An idle node runs no timer except one per open connection.
//!
//! The server knows the swarm's [`Catalog`](crate::swarm::Catalog) and the store below it, and
//! nothing of the engine above, which hands in its [`Services`].

pub mod auth;
mod body;
mod caps;
mod cgroup;
mod config;
mod conn;
mod digest;
pub mod echo;
mod error;
mod health;
mod io;
mod metrics;
mod outlet;
mod peer;
mod pool;
mod problem;
mod range;
mod routes;
mod segment;
mod server;
mod services;
mod signatures;
mod tus;
mod unpack;

pub use auth::{Token, TokenError};
pub use config::{DEFAULT_PORT, Limits, NodeConfig};
pub use error::NodeError;
pub use health::HealthReport;
pub use metrics::Metrics;
pub use peer::SKEP_PEER;
pub use problem::Problem;
pub use server::{Connections, Node, Reporter};
pub use services::{EngineFigures, Figures, NoFigures, Services};
