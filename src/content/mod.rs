//! What is moved: files and trees, cut into pieces that each have a digest.
//!
//! A [`Manifest`] describes a content; its [`ContentId`] names it. [`Layout`] tells where the bytes
//! of a piece lie, [`Bitmap`] which pieces are there. Nothing in here opens a socket; everything
//! above builds on it.

mod bitmap;
mod id;
mod layout;
pub mod manifest;
pub mod name;

pub use bitmap::{Bitmap, BitmapError};
pub use id::{ContentId, Digest, ParseDigestError};
pub use layout::{Extent, Layout};
pub use manifest::{EntryKind, FileEntry, Manifest, ManifestError, piece_length_for};
