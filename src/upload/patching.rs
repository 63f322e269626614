//! A file that is being changed by a delta, for whoever watches.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::look::{Look, SenderLook, Standing};
use super::news::News;
use crate::clock::unix_ms;
use crate::control::{MAX_CELLS, TransferId};
use crate::delta::coverage::{Coverage, What};

/// Those that are over and still told of.
const REMEMBERED: usize = 20;

/// One of them. It is told of until it was removed, or enough newer ones are over.
#[derive(Debug)]
pub struct Patching {
    number: TransferId,
    path: PathBuf,
    from: Arc<str>,
    old_size: u64,
    began_ms: u64,
    stopped: AtomicBool,
    news: Arc<News>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    coverage: Coverage,
    /// Bytes that came over the wire.
    came: u64,
    touched_ms: u64,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Open,
    Done,
    Cancelled,
    Failed(String),
}

/// How it is now.
#[derive(Debug, Clone)]
pub struct PatchLook {
    /// As an upload would be.
    pub look: Look,
    /// Where what was found and what came lies.
    pub coverage: Coverage,
    /// Bytes of the old file.
    pub old_size: u64,
    /// Why there is no new file.
    pub failed: Option<String>,
}

impl Patching {
    pub(super) fn new(
        number: TransferId,
        path: PathBuf,
        from: Arc<str>,
        sizes: (u64, u64),
        news: Arc<News>,
    ) -> Arc<Self> {
        let (old_size, size) = sizes;
        let began_ms = unix_ms();
        let inner =
            Inner { coverage: Coverage::new(size, MAX_CELLS), came: 0, touched_ms: began_ms, stage: Stage::Open };
        let stopped = AtomicBool::new(false);
        Arc::new(Self { number, path, from, old_size, began_ms, stopped, news, inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        // No upload has that name: whoever looks knows that it is one of these.
        self.news.tell(self.number, "");
    }

    /// Its number among the node's transfers.
    pub fn number(&self) -> TransferId {
        self.number
    }

    /// Bytes came over the wire.
    pub fn came(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.came += bytes as u64;
        inner.touched_ms = unix_ms();
        drop(inner);
        self.tell();
    }

    /// So many bytes of the new file are there: taken from the old one, and sent. They were made in order.
    pub(super) fn made(&self, matched: u64, literal: u64) {
        let mut inner = self.lock();
        let coverage = &mut inner.coverage;
        let (had, sent) = (coverage.bytes(What::Matched), coverage.bytes(What::Sent));
        let (matched, literal) = (matched.saturating_sub(had), literal.saturating_sub(sent));
        let at = had + sent;
        coverage.add(What::Matched, at..at + matched);
        for what in [What::Literal, What::Sent] {
            coverage.add(what, at + matched..at + matched + literal);
        }
        drop(inner);
        self.tell();
    }

    /// It is over; what is said later does not count.
    pub(super) fn ended(&self, outcome: Result<(), String>) {
        let mut inner = self.lock();
        if inner.stage != Stage::Open {
            return;
        }
        inner.touched_ms = unix_ms();
        inner.stage = match outcome {
            Ok(()) => Stage::Done,
            Err(_) if self.is_stopped() => Stage::Cancelled,
            Err(why) => Stage::Failed(why),
        };
        drop(inner);
        self.tell();
    }

    /// Nobody wants it any more: it ends with the next bytes.
    pub fn cancel(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How it is now.
    pub fn look(&self) -> PatchLook {
        let inner = self.lock();
        let coverage = inner.coverage.clone();
        let (matched, sent) = (coverage.bytes(What::Matched), coverage.bytes(What::Sent));
        let standing = match &inner.stage {
            Stage::Open if matched + sent == coverage.size() => Standing::Assembling,
            Stage::Open => Standing::Open,
            Stage::Done => Standing::Done,
            Stage::Cancelled | Stage::Failed(_) => Standing::Cancelled,
        };
        let over = inner.stage != Stage::Open;
        let look = Look {
            number: self.number,
            path: self.path.clone(),
            size: coverage.size(),
            segment_length: coverage.cell(),
            segments: 1,
            held: u32::from(inner.stage == Stage::Done),
            held_bytes: matched + sent,
            files: 1,
            standing,
            stream: false,
            part: false,
            deferred: false,
            began_ms: self.began_ms,
            touched_ms: inner.touched_ms,
            expires_ms: inner.touched_ms,
            ended_ms: over.then_some(inner.touched_ms),
            senders: vec![SenderLook { host: self.from.clone(), bytes: inner.came, bodies: u32::from(!over) }],
            trouble: None,
        };
        let failed = match &inner.stage {
            Stage::Failed(why) => Some(why.clone()),
            _ => None,
        };
        PatchLook { look, coverage, old_size: self.old_size, failed }
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(super) struct Patchings(Mutex<BTreeMap<TransferId, Arc<Patching>>>);

impl Patchings {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TransferId, Arc<Patching>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins. What failed of the same file is told no more, and of what is over only the newest.
    pub(super) fn add(&self, new: Arc<Patching>) {
        let mut all = self.lock();
        let over = |patching: &Arc<Patching>| patching.lock().stage != Stage::Open;
        let tried = |old: &Arc<Patching>| {
            old.path == new.path && matches!(old.lock().stage, Stage::Failed(_) | Stage::Cancelled)
        };
        let mut gone: Vec<TransferId> = all.values().filter(|old| tried(old)).map(|old| old.number).collect();
        let ended: Vec<TransferId> = all.values().filter(|old| over(old)).map(|old| old.number).collect();
        gone.extend(ended.iter().take(ended.len().saturating_sub(REMEMBERED)));
        for id in gone {
            all.remove(&id).inspect(|gone| gone.tell());
        }
        all.insert(new.number, new.clone());
        drop(all);
        new.tell();
    }

    /// Bytes that came and that were made of the file at this path, while a delta of it is at work.
    pub(super) fn at_work(&self, path: &Path) -> Option<u64> {
        let all = self.lock();
        all.values().filter(|patching| patching.path == path).find_map(|patching| {
            let inner = patching.lock();
            let made = inner.coverage.bytes(What::Matched) + inner.coverage.bytes(What::Sent);
            (inner.stage == Stage::Open).then_some(inner.came + made)
        })
    }

    pub(super) fn get(&self, id: TransferId) -> Option<Arc<Patching>> {
        self.lock().get(&id).cloned()
    }

    pub(super) fn remove(&self, id: TransferId) {
        let gone = self.lock().remove(&id);
        gone.inspect(|gone| gone.tell());
    }

    pub(super) fn numbers(&self) -> Vec<TransferId> {
        self.lock().keys().copied().collect()
    }
}

/// Instructions on their way; they end once nobody wants them any more.
pub(super) struct Wanted<R> {
    pub(super) from: R,
    pub(super) patching: Arc<Patching>,
}

impl<R: Read> Read for Wanted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.patching.is_stopped() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled here"));
        }
        self.from.read(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patching(number: u64, path: &str) -> Arc<Patching> {
        Patching::new(TransferId(number), path.into(), "10.0.0.7".into(), (90_000, 100_000), Arc::default())
    }

    #[test]
    fn what_is_made_is_told_where_it_lies() {
        let one = patching(1, "a");
        one.came(300);
        one.made(40_000, 0);
        one.made(40_000, 20_000);
        let PatchLook { look, coverage, old_size, failed } = one.look();
        assert_eq!((look.held_bytes, look.size, old_size, failed), (60_000, 100_000, 90_000, None));
        assert_eq!((look.standing, look.senders[0].bytes, look.senders[0].bodies), (Standing::Open, 300, 1));
        assert_eq!((coverage.shares(What::Matched)[0], coverage.shares(What::Sent)[0]), (255, 0));
        assert_eq!(coverage.shares(What::Sent)[10], 255);
        one.made(80_000, 20_000);
        assert_eq!(one.look().look.standing, Standing::Assembling, "all is there, and is verified");
        one.ended(Ok(()));
        let look = one.look().look;
        assert_eq!((look.standing, look.held, look.senders[0].bodies), (Standing::Done, 1, 0));
        assert!(look.ended_ms.is_some());
    }

    #[test]
    fn one_that_is_not_wanted_ends_with_the_next_bytes() {
        let one = patching(1, "a");
        let mut wanted = Wanted { from: &b"abc"[..], patching: one.clone() };
        assert_eq!(wanted.read(&mut [0]).unwrap(), 1);
        one.cancel();
        assert!(wanted.read(&mut [0]).is_err());
        one.ended(Err("cut".into()));
        assert_eq!((one.look().look.standing, one.look().failed), (Standing::Cancelled, None));
    }

    #[test]
    fn what_is_over_is_told_of_for_a_while() {
        let all = Patchings::default();
        for number in 0..40 {
            let one = patching(number, &format!("f{number}"));
            all.add(one.clone());
            one.ended(Ok(()));
        }
        assert_eq!(all.numbers().len(), REMEMBERED + 1);
        assert!(all.get(TransferId(0)).is_none() && all.get(TransferId(39)).is_some());
        let failed = patching(50, "x");
        all.add(failed.clone());
        failed.ended(Err("cut".into()));
        assert_eq!(failed.look().failed.as_deref(), Some("cut"));
        all.add(patching(51, "x"));
        assert!(all.get(TransferId(50)).is_none(), "it is tried again");
        all.remove(TransferId(51));
        assert!(all.get(TransferId(51)).is_none());
    }
}
