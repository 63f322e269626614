//! `skep demo`: a fleet of real nodes on loopback, behind links that are shaped like real ones, with a
//! hostile peer among them. Real bytes over real sockets into a temporary folder; nothing is left
//! behind.
//!
//! ```text
//!   hive (origin) ─ fiber ─┐
//!   site-1 ─ broadband ────┤                           each site fetches too, and serves
//!   site-2 ─ broadband ────┼── loopback ── this node   what it has as soon as it has it
//!   site-3 ─ mobile ───────┤     ▲
//!   mallory ─ flips bytes ─┘     │  weather: links change, stall and break, by the seed
//!                                ├── three uplinks ─▶ vault    pushes; one uplink collapses, one dies, both return
//!                                ├── any kind ──────▶ vault    a large file of which a few places change: deltas; the link
//!                                │                             becomes every kind there is
//!   site-3 ─ mobile ─────────────┤                             pushes, received here
//!                                └── from fiber to nothing ─▶ ship     what is for it waits in the queue; its link is watched
//! ```
//!
//! The origin, the sites and this node are a pool by gossip, through the same links; vault and ship are on its list. A content goes to
//! three of them, each piece once. One site is
//! drained, and real crowds make one after the other too busy to be chosen.
//!
//! It goes on for as long as it is looked at: `program` decides what comes next, `work` does it and removes what
//! is old, so that neither the list nor the disk fills.

mod content;
pub mod fleet;
mod hostile;
mod load;
mod program;
mod replicas;
mod ship;
mod warehouse;
mod weather;
mod work;
