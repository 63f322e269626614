//! What is moved: files and trees, cut into pieces that each have a digest.
//!
//! A [`Manifest`] describes a content; its [`ContentId`] names it. [`Layout`] tells where the bytes
//! of a piece lie, [`Bitmap`] which pieces are there. Nothing in here opens a socket; everything
//! above builds on it.
//!
//! ```text
//!  path ──scan──▶ Scan ──make──▶ Made {manifest, stamps} ──▶ Known (stored) ──▶ the next make
//!                          │ hash (all cores)                       reads only what changed
//!  path + Manifest ──verify┘──▶ Report {good, missing, wrong}
//!
//!  LINK ──Link::parse──▶ a node's content id │ document ──sniff──▶ Manifest::from_json
//!                                                            └───▶ metalink::parse ─to_manifest─▶ Manifest
//! ```
//!
//! Invariants:
//! - A [`Manifest`] that anybody else gets to see has passed [`Manifest::check`]: from outside by
//!   [`Manifest::from_json`] and [`metalink::parse`], from here by [`make()`].
//! - Its digests are of what the stamps beside it describe: a file that changes while it is read is
//!   an error, not a mixture.
//! - Reading never leaves the shared file or folder ([`Place`]), and never waits for a pipe.
//! - Nothing is left out silently: what cannot be shared is in [`Made::skipped`].
//! - Memory does not grow with the size of files: entries, stamps and digests, and one buffer per
//!   thread.

mod bitmap;
mod hash;
pub(crate) mod holes;
mod id;
mod known;
mod layout;
pub mod link;
mod make;
pub mod manifest;
pub mod metalink;
pub mod name;
mod place;
mod reader;
mod stamp;
#[cfg(test)]
mod testing;
pub mod tree;
mod verify;
pub mod zeros;

pub use bitmap::{Bitmap, BitmapError};
pub use hash::HashProgress;
pub use id::{ContentId, Digest, ParseDigestError};
pub use known::Known;
pub use layout::{Extent, Layout};
pub use link::{Description, Link, LinkError, NodeLink, sniff};
pub use make::{Made, MakeError, MakeOptions, make, make_scanned};
pub use manifest::{EntryKind, FileEntry, Manifest, ManifestError, piece_length_for};
pub use metalink::{MetalinkError, MetalinkFile};
pub use place::Place;
pub use reader::{ReadError, Reader, first_difference};
pub use stamp::FileStamp;
pub use tree::{Again, Scan, ScanError, SkipReason, Skipped, look_again, scan};
pub use verify::{Difference, Report, VerifyError, Wrong, verify, verify_pieces, verify_place};
