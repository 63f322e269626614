//! What a node's server is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::auth::Token;

/// The port a node listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7070;

/// Settings of one node's server.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Its name in health reports and metrics.
    pub name: String,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The control token. Without one `/rpc` is closed, and only loopback may be bound.
    pub token: Option<Token>,
    /// Bound to a non-loopback address: data is open to everybody, control is not.
    pub public: bool,
    /// It shall join others, which takes datagrams: without them it does not start.
    pub joins: bool,
    /// Caps and timeouts.
    pub limits: Limits,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: "skep".into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            token: None,
            public: false,
            joins: false,
            limits: Limits::default(),
        }
    }
}

/// Caps and timeouts of a node's server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all; one more is answered 503.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_source: usize,
    /// Bodies of pieces, files and probes being sent at once; one more is answered 503.
    pub bodies: usize,
    /// Of these, bodies of files (which are not choked).
    pub files: usize,
    /// A request's head must be complete this long after its first byte, and a connection's first
    /// byte must come this soon.
    pub header_timeout: Duration,
    /// A connection without requests is closed after this.
    pub idle_timeout: Duration,
    /// A connection that takes (or gives, of a body) nothing for this long is cut.
    pub stall_timeout: Duration,
    /// Small requests (announce, manifest, health, metrics) must be answered within this.
    pub request_timeout: Duration,
    /// Running requests get this long to end when the node stops.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_source: 256,
            bodies: 512,
            files: 64,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
