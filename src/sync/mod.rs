//! Keeping a tree at another node equal to one here.
//!
//! ```text
//!  here                                             receiver
//!  path ─scan─▶ Tree, Rules ──compare: digest──▶ Trees: scan ─▶ same? snapshot
//!               │      ◀──list: folders that differ, level by level──┘
//!               ▼
//!       There ─plan─▶ items ──digests: is it there already?──▶ hash
//!               ├────▶ steps ──uploads: bytes──▶ [`crate::upload`], kept aside
//!               └──────────── apply: operations ──▶ mkdir, take, link, delete, chmod …
//! ```
//!
//! Deciders: [`entry`] (trees and their digests), [`rules`] (what is left out), [`compare`] (where to look),
//! [`plan`] (what to do, in which order), [`debounce`] (when a watched tree is looked at), [`wire`] (what is said).
//! Drivers: [`scan`], [`watch`] (what the system tells of changes), [`receive`] (the far side), [`client`] (the near
//! one). `engine` ties them together as a transfer.
//!
//! # Invariants
//! - A tree with equal digests at its top costs one request, however large it is.
//! - Nothing is deleted before what replaces it stands; each file is the old or the new one at any moment.
//! - Whatever a crash leaves is a tree that the next run compares and mends: there is no journal to replay.
//! - What rules ignore, and what could not be read here, is never changed there.
//! - Nothing is written outside the root, and nothing through a link.

pub mod behind;
pub mod client;
pub mod compare;
pub mod debounce;
pub mod entry;
pub mod plan;
pub mod receive;
pub mod rules;
pub mod scan;
pub mod watch;
pub mod wire;

#[cfg(test)]
mod tests;
