//! An upload as an observer sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::assembly::REMEMBERED_MS;
use super::job::{Stage, Upload, held_bytes};
use crate::content::{Bitmap, Manifest};
use crate::control::TransferId;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Takes segments.
    Open,
    /// Being verified; then it gets its name.
    Assembling,
    /// Has its name.
    Done,
    /// The operator does not want it.
    Cancelled,
}

/// A host that sent something of it since the node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderLook {
    /// `ADDRESS:PORT` of its node, or its address alone.
    pub host: Arc<str>,
    /// Bytes that came, counted or not.
    pub bytes: u64,
    /// Bodies that come now.
    pub bodies: u32,
}

/// An upload at one moment. Times are milliseconds since 1970, sizes bytes.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its number among the node's transfers.
    pub number: TransferId,
    /// Where it is, or will be unless that is taken, below the root.
    pub path: PathBuf,
    /// In all.
    pub size: u64,
    /// Bytes per segment.
    pub segment_length: u64,
    /// In all.
    pub segments: u32,
    /// Segments that are here and verified.
    pub held: u32,
    /// Their bytes.
    pub held_bytes: u64,
    /// Entries.
    pub files: u64,
    /// Where it stands.
    pub standing: Standing,
    /// It comes in one stream, by tus.
    pub stream: bool,
    /// A part of another upload, which is never published by itself.
    pub part: bool,
    /// It is not known yet how much comes: [`Self::size`] is what is here.
    pub deferred: bool,
    /// When it began.
    pub began_ms: u64,
    /// When a segment of it was completed last, as far as is known; when it began if none was.
    pub touched_ms: u64,
    /// When it is removed, or forgotten, unless something comes.
    pub expires_ms: u64,
    /// When it was done or cancelled.
    pub ended_ms: Option<u64>,
    /// Who sent something.
    pub senders: Vec<SenderLook>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

impl Upload {
    /// How it is now; none: it was removed.
    pub fn look(&self) -> Option<Look> {
        let files = self.files();
        let layout = files.layout();
        let senders = self.senders.all().into_iter().map(|sender| SenderLook {
            host: sender.host.clone(),
            bytes: sender.bytes.load(Ordering::Relaxed),
            bodies: sender.bodies.load(Ordering::Relaxed),
        });
        let senders = senders.collect();
        let inner = self.lock();
        let (mut path, mut held, mut bytes) = (self.path.clone(), inner.ledger.held().count(), 0);
        let mut entries = files.manifest().files.len() as u64;
        let standing = match &inner.stage {
            Stage::Gone => return None,
            Stage::Open => Standing::Open,
            Stage::Assembling(_) => Standing::Assembling,
            Stage::Cancelled => Standing::Cancelled,
            Stage::Done(published) => {
                path = crate::content::name::unescape(&published.path).unwrap_or_default().into();
                (held, bytes, entries) = (layout.piece_count(), layout.size(), published.files);
                Standing::Done
            }
        };
        if standing != Standing::Done {
            bytes = held_bytes(&files, &inner.ledger);
        }
        let over = matches!(standing, Standing::Done | Standing::Cancelled);
        let since = if over { REMEMBERED_MS } else { self.expiry.as_millis() as u64 };
        let touched_ms = inner.expires_ms.saturating_sub(since);
        Some(Look {
            number: self.number,
            path,
            size: if self.is_deferred() { bytes } else { layout.size() },
            segment_length: self.segment_length(),
            segments: layout.piece_count(),
            held,
            held_bytes: bytes,
            files: entries,
            standing,
            stream: self.is_stream(),
            part: self.brief.part,
            deferred: self.is_deferred(),
            began_ms: self.began_ms,
            touched_ms,
            expires_ms: inner.expires_ms,
            ended_ms: over.then_some(touched_ms),
            senders,
            trouble: inner.trouble.clone(),
        })
    }

    /// Which segments are here, and which come now.
    pub fn segments(&self) -> (Bitmap, Vec<u32>) {
        let inner = self.lock();
        let held = inner.ledger.held();
        let have = if matches!(inner.stage, Stage::Done(_)) { Bitmap::full(held.len()) } else { held.clone() };
        // A stream's writer stands behind the last segment.
        let mut coming: Vec<u32> = inner.writers.keys().copied().filter(|segment| *segment < held.len()).collect();
        coming.sort_unstable();
        (have, coming)
    }

    /// Its entries; once it is done they are nobody's affair here any more, and it looks like a single file.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.files().manifest().clone()
    }
}
