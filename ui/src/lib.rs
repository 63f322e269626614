//! The parts of the program `skep` as a library, so that tests, examples and benches reach them.
//!
//! [`cli`] is the command line, [`config`] its settings, [`output`] what it prints; [`host`] finds or
//! starts the node that carries a command out, [`switchboard`] others for the console, [`replay`] stands for
//! none; [`console`] is the screen, which knows the engine only
//! through `skep_engine::control`; [`demo`] is a fleet of nodes to look at.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cli;
pub mod config;
pub mod console;
pub mod demo;
pub mod host;
pub mod logging;
pub mod output;
pub mod replay;
mod signals;
pub mod switchboard;
