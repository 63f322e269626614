//! Which segments of an upload are here, and which of them the disk and the record hold. Pure.
//!
//! ```text
//!  missing ──on_verified──▶ unsynced ──next_batch──▶ syncing ──on_recorded──▶ recorded
//!     ▲                        └───────on_sync_failed───┘                         │
//!     └──────────────────────────────── lose ────────────────────────────────────┘
//! ```
//! Unsynced, syncing and recorded segments are *held*: their bytes were verified.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::content::{Bitmap, Digest};

/// Sync at the latest after this many bytes ...
pub const BATCH_BYTES: u64 = 128 << 20;
/// ... or this much time since the first unsynced byte.
pub const BATCH_TIME: Duration = Duration::from_secs(1);

/// Segments from the first to before the second.
pub type Run = (u32, u32);

/// What a body with this digest means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Wanted.
    Wanted,
    /// Here already.
    Held,
    /// Here with other bytes.
    Other,
}

/// What keeps an upload from being assembled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Segments that are not here.
    Missing(Vec<Run>),
    /// Segments that are here with other bytes.
    Other(Vec<u32>),
}

/// The ledger of one upload. Memory: a bit per segment, and 36 bytes or so per segment held.
#[derive(Debug)]
pub struct Ledger {
    held: Bitmap,
    /// Held because the record of an earlier run says so: nobody has seen their bytes in this one.
    unseen: Bitmap,
    /// Of each held segment.
    digests: BTreeMap<u32, Digest>,
    unsynced: Vec<u32>,
    unsynced_bytes: u64,
    since: Option<Instant>,
    syncing: Vec<u32>,
}

impl Ledger {
    /// Of `count` segments, these recorded; indices beyond are left out.
    pub fn new(count: u32, recorded: impl IntoIterator<Item = (u32, Digest)>) -> Self {
        let mut held = Bitmap::empty(count);
        let digests: BTreeMap<u32, Digest> = recorded.into_iter().filter(|(segment, _)| *segment < count).collect();
        for segment in digests.keys() {
            held.set(*segment);
        }
        let unseen = held.clone();
        Self { held, unseen, digests, unsynced: Vec::new(), unsynced_bytes: 0, since: None, syncing: Vec::new() }
    }

    /// Which are here.
    pub fn held(&self) -> &Bitmap {
        &self.held
    }

    /// Which of them were verified in an earlier run only.
    pub fn unseen(&self) -> &Bitmap {
        &self.unseen
    }

    /// The digests of those that are here, ascending by segment.
    pub fn digests(&self) -> impl Iterator<Item = (u32, Digest)> + '_ {
        self.digests.iter().map(|(segment, digest)| (*segment, *digest))
    }

    /// Whether a segment that is offered with this digest is wanted.
    pub fn offer(&self, segment: u32, digest: &Digest) -> Offer {
        match self.digests.get(&segment) {
            None => Offer::Wanted,
            Some(held) if held == digest => Offer::Held,
            Some(_) => Offer::Other,
        }
    }

    /// All `bytes` of a segment are written and match their digest.
    pub fn on_verified(&mut self, segment: u32, digest: Digest, bytes: u64, now: Instant) {
        if segment < self.held.len() && self.held.set(segment) {
            self.unseen.clear(segment);
            self.digests.insert(segment, digest);
            self.unsynced.push(segment);
            self.unsynced_bytes += bytes;
            self.since.get_or_insert(now);
        }
    }

    /// So much waits for a sync that it should not wait for its time.
    pub fn is_batch_full(&self) -> bool {
        self.unsynced_bytes >= BATCH_BYTES
    }

    /// Nothing is left to sync or record.
    pub fn is_durable(&self) -> bool {
        self.unsynced.is_empty() && self.syncing.is_empty()
    }

    /// When the next batch is due, unless it is full before.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + BATCH_TIME)
    }

    /// What to record once what is written now is synced; none if nothing waits, or while another
    /// batch is under way.
    pub fn next_batch(&mut self) -> Option<Vec<(u32, Digest)>> {
        if !self.syncing.is_empty() || self.unsynced.is_empty() {
            return None;
        }
        self.syncing = std::mem::take(&mut self.unsynced);
        (self.unsynced_bytes, self.since) = (0, None);
        Some(self.syncing.iter().filter_map(|segment| Some((*segment, *self.digests.get(segment)?))).collect())
    }

    /// The batch is synced and recorded.
    pub fn on_recorded(&mut self) {
        self.syncing.clear();
    }

    /// The disk refused: whatever is not recorded is not held any more.
    pub fn on_sync_failed(&mut self) {
        let mut lost = std::mem::take(&mut self.syncing);
        lost.append(&mut self.unsynced);
        self.lose(&lost);
    }

    /// These are not what they should be, and are wanted again. Not while a batch is under way: it would
    /// bring them back into the record.
    pub fn lose(&mut self, segments: &[u32]) {
        for segment in segments {
            if *segment < self.held.len() {
                self.held.clear(*segment);
                self.unseen.clear(*segment);
            }
            self.digests.remove(segment);
        }
        self.unsynced.retain(|segment| self.held.get(*segment));
        if self.unsynced.is_empty() {
            (self.unsynced_bytes, self.since) = (0, None);
        }
    }

    /// Segments that are here, as runs.
    pub fn held_runs(&self) -> Vec<Run> {
        runs(self.held.ones())
    }

    /// Segments that are not, as runs.
    pub fn missing_runs(&self) -> Vec<Run> {
        runs(self.held.zeros())
    }

    /// Whether everything is here, and as the sender says.
    ///
    /// # Errors
    /// What is missing; else what differs.
    pub fn compare(&self, wanted: &[Digest]) -> Result<(), Gap> {
        if !self.held.is_full() {
            return Err(Gap::Missing(self.missing_runs()));
        }
        let differs = |(segment, digest): (usize, &Digest)| {
            let segment = segment as u32;
            (self.offer(segment, digest) != Offer::Held).then_some(segment)
        };
        let other: Vec<u32> = wanted.iter().enumerate().filter_map(differs).collect();
        if other.is_empty() { Ok(()) } else { Err(Gap::Other(other)) }
    }
}

/// Ascending segments as runs.
pub fn runs(segments: impl IntoIterator<Item = u32>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for segment in segments {
        match runs.last_mut() {
            Some(last) if last.1 == segment => last.1 += 1,
            _ => runs.push((segment, segment + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn what_comes_during_a_sync_waits_for_the_next() {
        let now = Instant::now();
        let mut ledger = Ledger::new(4, []);
        assert_eq!(ledger.next_batch(), None, "nothing there");
        ledger.on_verified(2, digest(2), 10, now);
        assert_eq!(ledger.due(), Some(now + BATCH_TIME));
        assert_eq!(ledger.next_batch(), Some(vec![(2, digest(2))]));
        ledger.on_verified(0, digest(0), BATCH_BYTES, now);
        assert!(ledger.is_batch_full() && !ledger.is_durable());
        assert_eq!(ledger.next_batch(), None, "one at a time");
        ledger.on_recorded();
        assert_eq!(ledger.next_batch(), Some(vec![(0, digest(0))]));
        ledger.on_recorded();
        assert!(ledger.is_durable() && ledger.due().is_none());
    }

    #[test]
    fn a_failed_sync_takes_back_what_was_not_recorded_and_no_more() {
        let now = Instant::now();
        let mut ledger = Ledger::new(4, [(3, digest(3)), (9, digest(9))]);
        ledger.on_verified(0, digest(0), 1, now);
        ledger.next_batch();
        ledger.on_verified(1, digest(1), 1, now);
        ledger.on_sync_failed();
        assert_eq!(ledger.held_runs(), [(3, 4)]);
        assert_eq!(ledger.offer(0, &digest(0)), Offer::Wanted);
        assert!(ledger.is_durable() && ledger.next_batch().is_none());
    }

    #[test]
    fn assembly_wants_everything_and_the_right_bytes() {
        let now = Instant::now();
        let mut ledger = Ledger::new(3, []);
        let all = [digest(0), digest(1), digest(2)];
        ledger.on_verified(1, all[1], 1, now);
        assert_eq!(ledger.compare(&all), Err(Gap::Missing(vec![(0, 1), (2, 3)])));
        ledger.on_verified(0, all[0], 1, now);
        ledger.on_verified(2, digest(7), 1, now);
        assert_eq!(ledger.offer(2, &all[2]), Offer::Other);
        assert_eq!(ledger.compare(&all), Err(Gap::Other(vec![2])));
        ledger.lose(&[2]);
        ledger.on_verified(2, all[2], 1, now);
        assert_eq!(ledger.compare(&all), Ok(()));
        assert_eq!(Ledger::new(0, []).compare(&[]), Ok(()));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Verified(u32),
        Batch,
        Recorded,
        Failed,
        Lose(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0u32..24).prop_map(Step::Verified),
            2 => Just(Step::Batch),
            2 => Just(Step::Recorded),
            1 => Just(Step::Failed),
            1 => (0u32..24).prop_map(Step::Lose),
        ]
    }

    proptest! {
        /// Whatever happens: a model of the record never holds what the ledger does not, once it has
        /// been told of losses; held and missing make up the whole; nothing verified is left behind.
        #[test]
        fn the_record_follows_the_ledger(steps in prop::collection::vec(step(), 0..80)) {
            const COUNT: u32 = 20;
            let now = Instant::now();
            let mut ledger = Ledger::new(COUNT, []);
            let (mut recorded, mut batch): (BTreeMap<u32, Digest>, _) = Default::default();
            for step in steps {
                match step {
                    Step::Verified(n) => ledger.on_verified(n, digest(n as u8), 1, now),
                    Step::Batch => if let Some(next) = ledger.next_batch() { batch = Some(next) },
                    Step::Recorded => if let Some(done) = batch.take() {
                        recorded.extend(done.into_iter().filter(|(n, _)| ledger.held().get(*n)));
                        ledger.on_recorded();
                    },
                    Step::Failed => { batch = None; ledger.on_sync_failed(); }
                    // Whoever loses segments waits for the batch under way.
                    Step::Lose(_) if batch.is_some() => {}
                    Step::Lose(n) => { ledger.lose(&[n]); recorded.remove(&n); }
                }
                for (n, digest) in &recorded {
                    prop_assert_eq!(ledger.offer(*n, digest), Offer::Held);
                }
                let whole: u32 = ledger.held_runs().iter().chain(&ledger.missing_runs()).map(|(a, b)| b - a).sum();
                prop_assert_eq!(whole, COUNT);
                prop_assert_eq!(ledger.digests().map(|(n, _)| n).collect::<Vec<_>>(), ledger.held().ones().collect::<Vec<_>>());
            }
            if let Some(done) = batch { recorded.extend(done); ledger.on_recorded(); }
            if let Some(rest) = ledger.next_batch() { recorded.extend(rest); }
            for n in ledger.held().ones() {
                prop_assert!(recorded.contains_key(&n), "{} was verified and never recorded", n);
            }
        }
    }
}
