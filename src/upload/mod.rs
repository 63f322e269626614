//! Receiving what others push: the far side of systems 2 and 3, and of tus.
//!
//! ```text
//!  POST /upload/ID ── Description::check ── admission ──▶ Uploads: record ─▶ Upload
//!  PUT  /upload/ID/N ─ Upload::begin ─ SegmentWriter: hash + write ─ Ledger ─▶ flush: sync, record
//!  POST /assemble/ID ─ Ledger::compare ─ assembly: read back what is in doubt, finish, land ─▶ Published
//! ```
//!
//! The bytes of a content are its files laid end to end, cut into segments of one length; a segment
//! may lie in many small files. They grow in `.skep-upload-….part` directly below the root (or in
//! the mount below it that they are for) and get their name in one rename.
//!
//! Deciders: `description` (what may be sent at all), `admission` (what else is under way, quota),
//! `ledger` (which segments are here, what to sync and record next). Drivers: `uploads` (all of
//! them), `job` (one), `segment` (one body), `append` (a stream, for tus), `defer` (one of unknown length), `flush`, `assembly`. The routes are in
//! [`crate::node`]. Whoever shows uploads looks at those that changed (`news`, `look`); each has a number of the
//! node's transfers for that.
//!
//! # Invariants
//! - A segment counts once all its bytes came and match the digest that was announced before them,
//!   and is recorded only after it was synced.
//! - Two senders of one segment cannot spoil it: whoever is first takes the pen from the others, and
//!   what lies there is read back before it counts. The others hear what came of that.
//! - What is over is refused at once, also to bodies that are under way.
//! - Where the name will be is on record before the rename: after a crash on either side of it the
//!   upload is found as what it is.
//! - Nothing is written outside the root, and nothing through a link.

mod admission;
mod append;
mod assembly;
mod defer;
mod description;
mod error;
mod flush;
mod job;
mod ledger;
mod look;
mod news;
mod patches;
mod patching;
mod segment;
mod sender;
mod stage;
mod uploads;
mod wait;

pub use admission::UploadLimits;
pub use append::Appender;
pub use description::{Assembly, Description, Policy};
pub use error::UploadError;
pub use job::{Published, Status, Upload};
pub use ledger::Run;
pub use look::{Look, SenderLook, Standing};
pub use news::Counts;
pub use patches::{Patch, PatchRequest, PatchedFile};
pub use patching::{PatchLook, Patching};
pub use segment::{Begun, SegmentWriter};
pub use stage::{STAGE, is_key, is_staged, stage_of, staged};
pub use uploads::{Opened, Uploads};

/// The names of uploads that come in one stream begin with this: they are given by the receiver.
pub const STREAM: &str = "tus-";
