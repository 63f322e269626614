//! Batches of verified pieces on their way to the disk and the record (design rule 5).
//!
//! Pure bookkeeping: the download runs the sync and the transaction. A piece counts as durable
//! once the sync that started after it was written has ended and the record is committed.

use std::time::{Duration, Instant};

use crate::content::Bitmap;

/// Sync at the latest after this many bytes ...
const BATCH_BYTES: u64 = 128 << 20;
/// ... or this much time since the first unsynced byte.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// Which pieces the disk holds for sure.
#[derive(Debug)]
pub(super) struct Durable {
    recorded: Bitmap,
    written: Vec<u32>,
    written_bytes: u64,
    since: Option<Instant>,
    syncing: Option<Instant>,
}

impl Durable {
    pub(super) fn new(recorded: Bitmap) -> Self {
        Self { recorded, written: Vec::new(), written_bytes: 0, since: None, syncing: None }
    }

    /// A verified piece is in the page cache.
    pub(super) fn on_written(&mut self, piece: u32, bytes: u64, now: Instant) {
        self.written.push(piece);
        self.written_bytes += bytes;
        self.since.get_or_insert(now);
    }

    /// The batch to sync now, if one is due (or `all` is wanted); its bitmap is to be recorded
    /// after the sync. One batch at a time.
    pub(super) fn next_batch(&mut self, now: Instant, all: bool) -> Option<Bitmap> {
        let since = self.since?;
        let due = all || self.written_bytes >= BATCH_BYTES || now.saturating_duration_since(since) >= BATCH_TIME;
        if self.syncing.is_some() || !due {
            return None;
        }
        let mut next = self.recorded.clone();
        for piece in self.written.drain(..) {
            next.set(piece);
        }
        self.written_bytes = 0;
        self.since = None;
        self.syncing = Some(now);
        Some(next)
    }

    /// The batch is synced and recorded.
    pub(super) fn on_recorded(&mut self, recorded: Bitmap) {
        self.recorded = recorded;
        self.syncing = None;
    }

    /// How long the sync under way has taken.
    pub(super) fn syncing(&self, now: Instant) -> Option<Duration> {
        self.syncing.map(|since| now.saturating_duration_since(since))
    }

    /// What is on the disk and in the record.
    pub(super) fn recorded(&self) -> &Bitmap {
        &self.recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_written_during_a_sync_waits_for_the_next() {
        let now = Instant::now();
        let mut durable = Durable::new(Bitmap::empty(4));
        assert!(durable.next_batch(now, true).is_none(), "nothing written");
        durable.on_written(1, 10, now);
        assert!(durable.next_batch(now, false).is_none(), "not due yet");
        let batch = durable.next_batch(now + BATCH_TIME, false).unwrap();
        durable.on_written(2, 10, now + BATCH_TIME);
        assert!(durable.next_batch(now + BATCH_TIME * 9, true).is_none(), "one at a time");
        assert_eq!(durable.recorded().count(), 0, "not before the sync has ended");
        durable.on_recorded(batch);
        assert!(durable.recorded().get(1) && !durable.recorded().get(2));
        let batch = durable.next_batch(now + BATCH_TIME, true).unwrap();
        durable.on_recorded(batch);
        assert_eq!(durable.recorded().count(), 2);
    }

    #[test]
    fn many_bytes_do_not_wait_for_the_time() {
        let now = Instant::now();
        let mut durable = Durable::new(Bitmap::empty(4));
        durable.on_written(0, BATCH_BYTES, now);
        assert!(durable.next_batch(now, false).is_some());
    }
}
