//! An upload that comes in one stream from front to back, in as many requests as its sender likes
//! (tus). The receiver cuts it into segments, and digests them, itself.
//!
//! The offset is what the sender hears of: behind the last whole segment it is known as long as the
//! node runs; after a restart, or where the disk refused what came, the stream goes on at the end of the last segment on record.

use std::sync::{Arc, Weak};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::error::UploadError;
use super::job::{Published, Stage, Upload};
use super::segment::Lease;
use super::sender::Sending;
use crate::aligned::Aligned;
use crate::content::Digest;
use crate::store::ContentFiles;

/// Bytes copied at a time from one upload to another.
const COPY: usize = 256 << 10;

/// Where the stream stands.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    /// Next byte.
    pub(super) offset: u64,
    /// Of the bytes of the segment that it lies in.
    pub(super) hash: Sha256,
    /// What those were written through: they are opened anew where the disk refused, and what it has of the segment then is anybody's
    /// guess.
    files: Weak<ContentFiles>,
}

impl Tail {
    /// At a segment's beginning.
    fn at(offset: u64, files: &Arc<ContentFiles>) -> Self {
        Self { offset, hash: Sha256::new(), files: Arc::downgrade(files) }
    }

    /// The same place in other files, which have the same bytes.
    pub(super) fn within(self, files: &Arc<ContentFiles>) -> Self {
        Self { files: Arc::downgrade(files), ..self }
    }
}

/// Takes the next bytes of the stream; one at a time.
#[derive(Debug)]
pub struct Appender {
    upload: Arc<Upload>,
    files: Arc<ContentFiles>,
    tail: OwnedMutexGuard<Option<Tail>>,
    now: Tail,
    /// Segments that are complete, but count only with all bytes of the request.
    pending: Option<Vec<(u32, Digest)>>,
    lease: Arc<Lease>,
    /// Who sends; none: it is copied from what is here.
    from: Option<Sending>,
}

impl Upload {
    /// Where the stream goes on.
    pub async fn offset(&self) -> u64 {
        // Who asks while a request runs hears where that began, or what is whole since.
        let known = match self.tail.try_lock() {
            Ok(tail) => self.sound(&tail).map(|tail| tail.offset),
            Err(_) => None,
        };
        known.unwrap_or_else(|| self.prefix())
    }

    /// The end of the stream, unless the disk has refused since what lies before it.
    pub(super) fn sound<'t>(&self, tail: &'t Option<Tail>) -> Option<&'t Tail> {
        let tail = tail.as_ref().filter(|tail| std::ptr::eq(tail.files.as_ptr(), Arc::as_ptr(&self.files())))?;
        let is_end = tail.offset == self.size();
        let whole = if is_end { tail.offset } else { tail.offset - tail.offset % self.segment_length() };
        (whole <= self.prefix()).then_some(tail)
    }

    /// Bytes of the whole segments at the front.
    pub(super) fn prefix(&self) -> u64 {
        let front = self.lock().ledger.held_runs().first().filter(|run| run.0 == 0).map_or(0, |run| run.1);
        match self.lock().stage {
            Stage::Done(_) => self.size(),
            _ => (u64::from(front) * self.segment_length()).min(self.size()),
        }
    }

    /// Bytes of `host`, or that are here already, follow from `offset` on. `whole`: none of them counts unless
    /// all do, see [`Appender::keep`].
    ///
    /// # Errors
    /// The stream stands elsewhere, another request is at it, or nothing more is taken.
    pub fn append(
        self: &Arc<Self>,
        offset: u64,
        whole: bool,
        host: Option<&Arc<str>>,
    ) -> Result<Appender, UploadError> {
        let busy = || UploadError::Locked("another request is sending to this upload".into());
        let tail = self.tail.clone().try_lock_owned().map_err(|_| busy())?;
        let files = self.files();
        let now = self.sound(&tail).cloned().unwrap_or_else(|| Tail::at(self.prefix(), &files));
        if now.offset != offset {
            return Err(self.conflict(format!("the upload goes on at {}, not at {offset}", now.offset)));
        }
        let lease = Arc::new(Lease::default());
        let mut inner = self.lock();
        match inner.stage {
            Stage::Gone => return Err(UploadError::Unknown),
            Stage::Cancelled => return Err(UploadError::Cancelled),
            Stage::Assembling(_) | Stage::Done(_) if offset < self.size() => {
                drop(inner);
                return Err(self.conflict("the upload takes nothing more"));
            }
            _ => {}
        }
        // Behind the last segment, where nobody else writes.
        let place = inner.ledger.held().len();
        inner.writers.entry(place).or_default().leases.push(lease.clone());
        drop(inner);
        let pending = whole.then(Vec::new);
        let from = host.map(|host| self.senders.sending(host));
        self.tell();
        Ok(Appender { upload: self.clone(), files, tail, now, pending, lease, from })
    }

    /// Publishes it once the stream has reached its end, with the digests that were taken on the way.
    ///
    /// # Errors
    /// As [`Self::assemble`].
    pub async fn complete(self: &Arc<Self>) -> Result<Published, UploadError> {
        let digests = {
            let inner = self.lock();
            match &inner.stage {
                Stage::Done(published) => return Ok(published.clone()),
                Stage::Gone => return Err(UploadError::Unknown),
                Stage::Cancelled => return Err(UploadError::Cancelled),
                Stage::Open | Stage::Assembling(_) => {}
            }
            // The disk may have refused some: the stream goes on before the first of them, see [`Self::sound`].
            if !inner.ledger.held().is_full() {
                return Err(UploadError::Incomplete(inner.ledger.missing_runs()));
            }
            inner.ledger.digests().map(|(_, digest)| digest).collect()
        };
        self.assemble(digests).await
    }

    /// Fills this upload with the bytes of others, one after another.
    ///
    /// # Errors
    /// One of them is not whole any more, or the disk refused.
    pub async fn concatenate(self: &Arc<Self>, parts: Vec<Arc<Upload>>) -> Result<(), UploadError> {
        let upload = self.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let mut appender = upload.append(0, false, None)?;
            let mut buffer = Aligned::new(COPY);
            for part in parts {
                let (files, mut at) = (part.files(), 0);
                while at < part.size() {
                    let chunk = &mut buffer[..COPY.min((part.size() - at) as usize)];
                    files.read_at(at, chunk)?;
                    appender.feed(chunk)?;
                    at += chunk.len() as u64;
                }
            }
            Ok(())
        });
        copied.await.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))
    }
}

impl Appender {
    /// Where the next byte belongs.
    pub fn offset(&self) -> u64 {
        self.now.offset
    }

    /// Takes the next bytes. Must run in the runtime.
    ///
    /// # Errors
    /// More bytes than the upload has, the upload is gone, or the disk refused.
    pub fn feed(&mut self, mut data: &[u8]) -> Result<(), UploadError> {
        if data.len() as u64 > self.upload.size() - self.now.offset {
            return Err(UploadError::TooLarge("these are more bytes than Upload-Length says".into()));
        }
        while !data.is_empty() {
            let segment = (self.now.offset / self.upload.segment_length()) as u32;
            let end = self.files.piece(segment).end;
            let (part, rest) = data.split_at(data.len().min((end - self.now.offset) as usize));
            self.now.hash.update(part);
            if !self.lease.write(|| self.files.write_at(self.now.offset, part))? {
                return Err(self.upload.revoked());
            }
            self.upload.came(self.from.as_ref(), part.len());
            self.now.offset += part.len() as u64;
            data = rest;
            if self.now.offset == end {
                let digest = Digest(self.now.hash.finalize_reset().into());
                match &mut self.pending {
                    Some(pending) => pending.push((segment, digest)),
                    None => self.mark(&[(segment, digest)])?,
                }
            }
            if self.pending.is_none() {
                *self.tail = Some(self.now.clone());
            }
        }
        Ok(())
    }

    /// The request was whole and right: what it brought counts.
    ///
    /// # Errors
    /// The upload went away meanwhile.
    pub fn keep(mut self) -> Result<u64, UploadError> {
        if let Some(pending) = self.pending.take() {
            self.mark(&pending)?;
        }
        *self.tail = Some(self.now.clone());
        Ok(self.now.offset)
    }

    fn mark(&self, segments: &[(u32, Digest)]) -> Result<(), UploadError> {
        let files = self.upload.files();
        let mut inner = self.upload.lock();
        match inner.stage {
            Stage::Gone => return Err(UploadError::Unknown),
            Stage::Cancelled => return Err(UploadError::Cancelled),
            Stage::Open | Stage::Assembling(_) | Stage::Done(_) => {}
        }
        if !Arc::ptr_eq(&files, &self.files) {
            return Err(UploadError::Busy("the disk refused what came before".into()));
        }
        for (segment, digest) in segments {
            inner.ledger.on_verified(*segment, *digest, files.layout().piece_size(*segment), Instant::now());
        }
        self.upload.touch(&mut inner);
        drop(inner);
        self.upload.flush_soon();
        self.upload.tell();
        Ok(())
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        drop(self.from.take());
        self.upload.tell();
        let mut inner = self.upload.lock();
        let place = inner.ledger.held().len();
        inner.writers.remove(&place);
    }
}
