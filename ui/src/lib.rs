//! The parts of the program `skep` as a library, so that tests, examples and benches reach them.
//!
//! [`console`] is the screen: it knows the engine only through `skep_engine::control`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod console;
