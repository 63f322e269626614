//! One body on its way into an upload: hashed and written as it comes, marked when it is whole.
//!
//! Chunks are hashed and written on the task's own thread, as in a fetch and for the same reason
//! (see `swarm::fetch`): both are short, and another thread would find them out of its cache.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::error::UploadError;
use super::job::{Inner, Stage, Upload};
use super::ledger::Offer;
use super::sender::Sending;
use crate::aligned::Aligned;
use crate::content::Digest;
use crate::failpoint;
use crate::store::{ContentFiles, FilesError};

/// Bytes read at a time where several wrote.
const BUFFER: usize = 128 << 10;

/// The right to write one segment. Once revoked, nothing more is written under it.
#[derive(Debug, Default)]
pub(super) struct Lease {
    revoked: Mutex<bool>,
    /// Somebody else wrote the same segment at the same time.
    contested: AtomicBool,
}

impl Lease {
    pub(super) fn revoke(&self) {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn is_revoked(&self) -> bool {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `write` unless revoked; tells whether it did.
    pub(super) fn write(&self, write: impl FnOnce() -> Result<(), FilesError>) -> Result<bool, FilesError> {
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*revoked {
            write()?;
        }
        Ok(!*revoked)
    }
}

/// What to do with a body.
#[derive(Debug)]
pub enum Begun {
    /// Feed it to this.
    Write(Box<SegmentWriter>),
    /// It is here already.
    Held,
}

/// What came of a body that is whole and right.
enum Settled {
    /// It counts.
    Marked,
    /// Somebody else wrote too: what lies there has to be read back.
    Contested,
    /// Somebody else is reading back what lies there.
    Overtaken,
}

/// Takes the bytes of one segment.
#[derive(Debug)]
pub struct SegmentWriter {
    upload: Arc<Upload>,
    files: Arc<ContentFiles>,
    segment: u32,
    digest: Digest,
    hash: Sha256,
    /// Next byte of the content.
    at: u64,
    end: u64,
    lease: Arc<Lease>,
    /// Who sends.
    from: Option<Sending>,
    /// What lies there is being read back for this one.
    settling: bool,
    _slot: OwnedSemaphorePermit,
}

impl Upload {
    /// A body for `segment` is announced by `host` with these bytes of the content and this digest. Nothing
    /// is written yet.
    ///
    /// # Errors
    /// The bytes are not those of the segment, the upload takes none now, or it has other bytes there.
    pub fn begin(
        self: &Arc<Self>,
        segment: u32,
        bytes: &Range<u64>,
        digest: Digest,
        host: &Arc<str>,
    ) -> Result<Begun, UploadError> {
        if self.is_stream() {
            return Err(self.conflict("this upload comes in one stream, by tus"));
        }
        let files = self.files();
        let layout = files.layout();
        if segment >= layout.piece_count() {
            return Err(UploadError::Bad(format!("there is no segment {segment}: there are {}", layout.piece_count())));
        }
        if *bytes != layout.piece(segment) {
            let Range { start, end } = layout.piece(segment);
            return Err(UploadError::Bad(format!("segment {segment} is bytes {start}-{}", end - 1)));
        }
        let mut inner = self.lock();
        let offer = inner.ledger.offer(segment, &digest);
        match (&inner.stage, offer) {
            (Stage::Gone, _) => return Err(UploadError::Unknown),
            (Stage::Cancelled, _) => return Err(UploadError::Cancelled),
            (_, Offer::Held) => return Ok(Begun::Held),
            (_, Offer::Other) => {
                drop(inner);
                return Err(self.conflict(format!("segment {segment} is here with other bytes")));
            }
            (Stage::Open, Offer::Wanted) => {}
            (Stage::Assembling(_) | Stage::Done(_), Offer::Wanted) => {
                drop(inner);
                return Err(self.conflict("the upload takes nothing more"));
            }
        }
        let busy = || UploadError::Busy("as many segments of this upload come as may at once".into());
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| busy())?;
        let writers = inner.writers.entry(segment).or_default();
        if writers.settling {
            return Err(UploadError::Busy(format!("segment {segment} came twice and is being looked at")));
        }
        let lease = Arc::new(Lease::default());
        lease.contested.store(!writers.leases.is_empty(), Ordering::Relaxed);
        writers.leases.iter().for_each(|other| other.contested.store(true, Ordering::Relaxed));
        writers.leases.push(lease.clone());
        let Range { start: at, end } = *bytes;
        drop(inner);
        let (upload, from) = (self.clone(), Some(self.senders.sending(host)));
        self.tell();
        Ok(Begun::Write(Box::new(SegmentWriter {
            upload,
            files,
            segment,
            digest,
            hash: Sha256::new(),
            at,
            end,
            lease,
            from,
            settling: false,
            _slot: slot,
        })))
    }
}

impl SegmentWriter {
    /// Takes the next bytes. `false`: another sender has completed the segment, or the upload is
    /// gone; the rest is of no use.
    ///
    /// # Errors
    /// More bytes than the segment has, or the disk refused.
    pub fn feed(&mut self, data: &[u8]) -> Result<bool, UploadError> {
        if data.len() as u64 > self.end - self.at {
            return Err(UploadError::Bad("the body is longer than its Content-Range".into()));
        }
        self.hash.update(data);
        let written = self.lease.write(|| self.files.write_at(self.at, data))?;
        failpoint::step("upload:writing");
        self.at += data.len() as u64;
        self.upload.came(self.from.as_ref(), data.len());
        Ok(written)
    }

    /// Until the rest of the body is of no use: somebody else has completed the segment, or the upload is over.
    pub fn decided(&self) -> impl Future<Output = ()> + use<> {
        let (lease, segment, digest) = (self.lease.clone(), self.segment, self.digest);
        self.upload.clone().until(move |inner| match inner.stage {
            Stage::Gone | Stage::Cancelled => Some(()),
            Stage::Open | Stage::Assembling(_) | Stage::Done(_) => {
                (lease.is_revoked() && inner.ledger.offer(segment, &digest) == Offer::Held).then_some(())
            }
        })
    }

    /// The body is over: if it was whole and right, the segment counts.
    ///
    /// # Errors
    /// It was not, or the upload went away meanwhile.
    pub async fn finish(mut self: Box<Self>) -> Result<(), UploadError> {
        // Its own bytes do not matter any more: what it announced is here, or is not wanted.
        if self.lease.is_revoked() {
            return self.follow().await;
        }
        if self.at != self.end {
            return Err(UploadError::Bad(format!("the body ended {} bytes early", self.end - self.at)));
        }
        let segment = self.segment;
        let mismatch = |detail: &str| UploadError::Mismatch {
            detail: format!("segment {segment}: {detail}"),
            segments: vec![segment],
        };
        if Digest(self.hash.clone().finalize().into()) != self.digest {
            return Err(mismatch("the bytes do not match their Content-Digest"));
        }
        let settled = self.settle()?;
        if let Settled::Overtaken = settled {
            return self.follow().await;
        }
        if let Settled::Contested = settled {
            let (files, digest) = (self.files.clone(), self.digest);
            let same = tokio::task::spawn_blocking(move || digest_of(&files, segment).map(|found| found == digest))
                .await
                .map_err(|error| UploadError::Disk(format!("internal: {error}")));
            if !same?? {
                return Err(mismatch("another sender wrote other bytes over it; send it again"));
            }
            self.mark()?;
        }
        failpoint::step("upload:verified");
        self.upload.flush_soon();
        self.upload.tell();
        Ok(())
    }

    /// If nobody else wrote here, the segment counts, in the same step: nobody can begin to write over it in
    /// between. Else takes the pen from everybody else.
    fn settle(&mut self) -> Result<Settled, UploadError> {
        let files = self.upload.files();
        let mut inner = self.upload.lock();
        if self.lease.is_revoked() && inner.writers.get(&self.segment).is_some_and(|writers| writers.settling) {
            return Ok(Settled::Overtaken);
        }
        if self.lease.is_revoked() || !self.lease.contested.load(Ordering::Relaxed) {
            return self.mark_in(&mut inner, &files).map(|()| Settled::Marked);
        }
        match inner.stage {
            Stage::Gone => return Err(UploadError::Unknown),
            Stage::Cancelled => return Err(UploadError::Cancelled),
            Stage::Open | Stage::Assembling(_) | Stage::Done(_) => {}
        }
        let writers = inner.writers.entry(self.segment).or_default();
        writers.leases.iter().filter(|other| !Arc::ptr_eq(other, &self.lease)).for_each(|other| other.revoke());
        writers.settling = true;
        self.settling = true;
        Ok(Settled::Contested)
    }

    /// Another one has the pen: what came of that is what this one hears, too.
    async fn follow(&self) -> Result<(), UploadError> {
        let segment = self.segment;
        let is_settled = move |inner: &Inner| inner.writers.get(&segment).is_none_or(|writers| !writers.settling);
        self.upload.clone().until(move |inner| is_settled(inner).then_some(())).await;
        self.mark()
    }

    fn mark(&self) -> Result<(), UploadError> {
        let files = self.upload.files();
        self.mark_in(&mut self.upload.lock(), &files)
    }

    fn mark_in(&self, inner: &mut Inner, files: &Arc<ContentFiles>) -> Result<(), UploadError> {
        match (&inner.stage, inner.ledger.offer(self.segment, &self.digest)) {
            (Stage::Gone, _) => return Err(UploadError::Unknown),
            (Stage::Cancelled, _) => return Err(UploadError::Cancelled),
            (_, Offer::Held) => return Ok(()),
            _ if self.lease.is_revoked() => {
                return Err(UploadError::Busy(format!("another sender writes segment {}", self.segment)));
            }
            _ => {}
        }
        // Written through files whose sync failed since: nobody knows what became of it.
        if !Arc::ptr_eq(files, &self.files) {
            return Err(UploadError::Busy("the disk refused what came before; send it again".into()));
        }
        let bytes = files.layout().piece_size(self.segment);
        inner.ledger.on_verified(self.segment, self.digest, bytes, Instant::now());
        self.upload.touch(inner);
        Ok(())
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        drop(self.from.take());
        self.upload.tell();
        let mut inner = self.upload.lock();
        if let Some(writers) = inner.writers.get_mut(&self.segment) {
            writers.leases.retain(|lease| !Arc::ptr_eq(lease, &self.lease));
            // Also where the request went away in the middle of it.
            writers.settling &= !self.settling;
            if writers.leases.is_empty() && !writers.settling {
                inner.writers.remove(&self.segment);
            }
        }
        drop(inner);
        if self.settling {
            self.upload.decided.notify_waiters();
        }
    }
}

/// The digest of what lies there.
fn digest_of(files: &ContentFiles, segment: u32) -> Result<Digest, FilesError> {
    let Range { start: mut at, end } = files.piece(segment);
    let (mut hash, mut buffer) = (Sha256::new(), Aligned::new(BUFFER));
    while at < end {
        let part = &mut buffer[..BUFFER.min((end - at) as usize)];
        files.read_at(at, part)?;
        hash.update(&*part);
        at += part.len() as u64;
    }
    Ok(Digest(hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::store::State;
    use crate::throttle::Throttle;
    use crate::upload::{Description, UploadLimits, Uploads};

    const BYTES: [u8; 1024] = [7; 1024];

    /// An upload of one segment that these send at the same time, each up to its last byte.
    async fn at_once<const N: usize>(dir: &std::path::Path) -> (Arc<Uploads>, [Box<SegmentWriter>; N]) {
        let state = Arc::new(State::open(&dir.join("state.redb")).unwrap());
        std::fs::create_dir(dir.join("root")).unwrap();
        let down = Arc::new(Throttle::new(None));
        let uploads = Arc::new(Uploads::load(&dir.join("root"), state, UploadLimits::default(), down).unwrap());
        let json = r#"{"version":1,"path":"f","size":1024,"segment_length":1024}"#;
        let upload = uploads.open("u", Description::from_reader(json.as_bytes()).unwrap()).await.unwrap().upload;
        let digest = Digest(Sha256::digest(BYTES).into());
        let begin = |_| match upload.begin(0, &(0..1024), digest, &"host".into()).unwrap() {
            Begun::Write(writer) => writer,
            Begun::Held => panic!(),
        };
        let mut writers: [Box<SegmentWriter>; N] = std::array::from_fn(begin);
        writers.iter_mut().for_each(|writer| assert!(writer.feed(&BYTES).unwrap()));
        (uploads, writers)
    }

    async fn is_pending(future: &mut std::pin::Pin<Box<impl Future>>) -> bool {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn who_is_overtaken_waits_for_what_the_other_finds() {
        let dir = tempfile::tempdir().unwrap();
        let (_uploads, [mut first, second, third]) = at_once(dir.path()).await;
        assert!(matches!(first.settle(), Ok(Settled::Contested)), "it reads back what lies there");
        let mut decided = Box::pin(third.decided());
        assert!(is_pending(&mut decided).await);
        let mut told = Box::pin(second.finish());
        assert!(is_pending(&mut told).await, "nobody knows yet");
        first.mark().unwrap();
        drop(first);
        told.await.unwrap();
        decided.await;
        third.finish().await.unwrap();
    }

    #[tokio::test]
    async fn what_turns_out_wrong_is_to_be_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_uploads, [mut first, second]) = at_once(dir.path()).await;
        assert!(matches!(first.settle(), Ok(Settled::Contested)));
        let mut told = Box::pin(second.finish());
        assert!(is_pending(&mut told).await);
        // As after a read that found other bytes, or a connection that went away.
        drop(first);
        assert!(matches!(told.await, Err(UploadError::Busy(_))));
    }

    #[tokio::test]
    async fn a_cancelled_one_is_decided_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (uploads, [writer]) = at_once(dir.path()).await;
        let mut decided = Box::pin(writer.decided());
        assert!(is_pending(&mut decided).await);
        uploads.cancel("u").await.unwrap();
        decided.await;
        assert!(matches!(writer.finish().await, Err(UploadError::Cancelled)));
    }
}
