//! The priority queue of system 5: operations that wait for their turn, or for their link.
//!
//! ```text
//!  Enqueue ──▶ priority (who is next, who is dropped) ──▶ a transfer, when its endpoint answers
//! ```
//!
//! Decider: [`priority`].

pub mod priority;
