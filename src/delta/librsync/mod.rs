//! librsync's formats of signatures and deltas, those of `rdiff`: an oracle from outside, and a way to use either program with the
//! files of the other.
//!
//! Numbers are big-endian. A signature: magic, block length, bytes kept of each strong hash (32 bits each); then per block 32 bits of
//! weak hash and the strong one, up to the end of the file. A delta: magic, then commands, see `delta.rs`. Source: librsync 2.3,
//! `doc/format.md`, `librsync.h`, `rollsum.h`, `rabinkarp.h`.

mod delta;
mod hashes;
mod patch;
mod signature;

pub use delta::write_delta;
pub use hashes::{Kind, LibrsyncHashes, Strong, Weak};
pub use patch::apply_delta;
pub use signature::{block_length_for, read_signature, write_signature};

#[cfg(test)]
mod tests;
