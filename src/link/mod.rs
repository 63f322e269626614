//! System 5: what kind of link an endpoint is on, and what that means for who moves data over it.
//!
//! ```text
//!  probe (active) ──┐                 ┌─▶ class, why, pending ─▶ LinkRow, events
//!                   ├─ Sample ─▶ judge ┤
//!  passive ─────────┘                 └─▶ confirm? ─▶ cadence ─ Ask ─▶ probe
//!                                        median ─▶ params
//! ```
//!
//! Deciders, without clock and I/O: `classify` (figures → class, in the order of the rules), `judge` (samples over time →
//! the class in force), `params` (class and bandwidth → how syncs behave), `cadence` (what to ask when, within the
//! budget). Drivers: `probe` (one measurement), `monitor` (the loop over one endpoint), `passive` (what the kernel knows of
//! connections that are there anyway).
//!
//! Invariants: time is monotonic and counted from the monitor's start, so a clock that jumps decides nothing. A class
//! changes only after enough samples in a row, each 20 % past what decides. Probing never costs more of a link than
//! its share over any minute. Bandwidth is in Mbit/s, latency (a round trip) in ms, loss in percent.

pub mod cadence;
pub mod classify;
pub mod config;
pub mod judge;
pub mod monitor;
pub mod params;
pub mod passive;
pub mod probe;
pub mod sample;

pub use cadence::{Ask, Cadence};
pub use classify::{Figures, Thresholds, Verdict, classify};
pub use config::{LinkConfig, Misplaced};
pub use judge::{Judge, Outcome};
pub use sample::{PassiveSample, Sample};
