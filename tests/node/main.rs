//! The node's HTTP server over real sockets.
#![allow(clippy::unwrap_used)]

mod auth;
mod files;
mod limits;
mod pieces;
mod routes;
mod shutdown;
mod support;
