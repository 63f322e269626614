//! The priority queue of system 5: operations that wait for their turn, or for their link.
//!
//! ```text
//!  Enqueue ──▶ book ──▶ outbox: on the disk before it is answered
//!               │  ▲
//!     priority ─┤  └─ what their transfers do, whether endpoints answer (reach), what links allow (links)
//!               └──▶ effects: begin a transfer, ask an endpoint
//! ```
//!
//! Deciders: [`priority`] (who is next, who is dropped), [`reach`] (when an endpoint is asked again, and an operation tried
//! again), [`book`] (all of it together). Driver: [`outbox`] (rows in the state database); the engine's `queueing` carries
//! out what the book says.
//!
//! Invariants: what was taken is on the disk before its wish is answered, and leaves it only when it is done, or somebody is
//! told why; an operation has one transfer, over restarts too.

pub mod book;
pub mod links;
pub mod outbox;
pub mod priority;
pub mod reach;
