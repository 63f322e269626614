//! System 4, delta transfers: a changed file costs about what was changed of it.
//!
//! ```text
//!  sender (has the new file)                                    destination (has the old one)
//!  refine ── ask: blocks of these stretches, this long ───────▶ signature: sign on all cores
//!    ▲                                                              │ signature_wire
//!    │    ┌── matcher: table, rolling, window ◀─────────────────────┘
//!    └── matched: runs, gaps, what is covered; ask again for what is open, in shorter blocks
//!  runs and literals ── instructions (packed: zstd) ─────────▶ patch: new file beside the old one, SHA-256
//! ```
//!
//! [`flow`] drives the left side, as a pipeline, [`patch`] the right one; both block. Deciders ([`pays`], [`refine`], [`matcher`], [`matched`]) know
//! neither network nor clock. [`librsync`] reads and writes the formats of `rdiff`.
//!
//! Invariants:
//! - Nothing that the other side says decides how much is allocated or how long something takes: counts follow from what was asked for,
//!   chains are bounded, and hashing in vain is paid from a credit.
//! - The old file is whole until the new one, as it was written, has the SHA-256 that it should have. Blocks that only look alike
//!   (hashes cut short) and files that changed meanwhile end there.
//! - Memory does not grow with the file: tables of at most 2^21 blocks, a window per core, runs.

pub mod asks;
pub mod blocks;
pub mod coverage;
pub mod digest;
pub mod flow;
pub mod hashes;
pub mod instructions;
pub mod librsync;
pub mod matched;
pub mod matcher;
mod ordered;
pub mod packed;
pub mod patch;
pub mod pays;
pub mod refine;
pub mod rolling;
mod room;
pub mod search;
pub mod signature;
pub mod signature_wire;
mod table;
#[cfg(test)]
mod testing;
mod window;
