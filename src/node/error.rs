//! Why a node cannot start.

use std::io;
use std::net::SocketAddr;

/// A node that cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The address cannot be bound.
    #[error("cannot listen on {addr}: {}", hint(.source))]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port is free for connections only, and the node was told to join others, which takes datagrams.
    #[error(
        "cannot receive datagrams (UDP) on {addr}, and --join needs them to gossip: {source}; \
         choose another port with --listen ADDR:PORT, or leave --join away"
    )]
    Datagrams {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Others could reach it, and nothing would keep them out.
    #[error(
        "refusing to listen on {addr}, which others can reach, without a token: \
         give one (--token-file FILE), or listen on 127.0.0.1"
    )]
    TokenNeeded {
        /// Where.
        addr: SocketAddr,
    },
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another port with --listen ADDR:PORT \
             (port 0 takes any free one)"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose one of its own with --listen ADDR:PORT".into()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{error}; ports below 1024 need privileges, choose a higher one with --listen ADDR:PORT")
        }
        _ => error.to_string(),
    }
}
