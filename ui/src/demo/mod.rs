//! `skep demo`: a fleet of real nodes on loopback, behind links that are shaped like real ones, with a
//! hostile peer among them. Real bytes over real sockets into a temporary folder; nothing is left
//! behind.
//!
//! ```text
//!   hive (origin) ─ fiber ─┐
//!   site-1 ─ broadband ────┤                           each site fetches too, and serves
//!   site-2 ─ broadband ────┼── loopback ── this node   what it has as soon as it has it
//!   site-3 ─ mobile ───────┤     ▲
//!   mallory ─ flips bytes ─┘     └ weather: links change, stall and break, by the seed
//! ```

pub mod fleet;
mod hostile;
pub mod pipe;
pub mod shaper;
mod weather;
