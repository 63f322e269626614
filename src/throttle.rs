//! Rate limits: a pure token bucket, and the async gate around it.
//!
//! The bucket counts in positions of one long stream of bytes: whoever wants to send takes the
//! next stretch of it and may go when the bucket has earned its end. So waiters are served in the
//! order they came (one cannot overtake another, whatever its size), and a limit that changes
//! while they wait applies to them at once.
//!
//! A transfer passes its own gate, then the node's: see [`acquire`].

pub mod links;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::control::Rate;

/// A bucket holds at most this share of a second unspent ...
const BURST_DIVISOR: u64 = 4;
/// ... but always enough for a small message.
const MIN_BURST: u64 = 16 << 10;
/// Bounds of what is sent in one go under a limit, see [`Throttle::quantum`].
const QUANTUM: std::ops::RangeInclusive<u64> = (4 << 10)..=(256 << 10);
/// How "no limit" is stored.
const UNLIMITED: u64 = u64::MAX;

/// A place in the queue of a [`Bucket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// May go when this many bytes have been earned.
    end: u64,
}

/// A token bucket without a clock: `now` is passed in.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes per second; 0 lets nothing through.
    rate: u64,
    /// Bytes earned since the start, and the billionths of a byte beyond.
    earned: u64,
    remainder: u64,
    /// Bytes handed out or promised since the start.
    promised: u64,
    settled: Instant,
}

impl Bucket {
    /// A bucket of `rate` bytes per second with one burst in it.
    pub fn new(rate: u64, now: Instant) -> Self {
        Self { rate, earned: Self::burst(rate), remainder: 0, promised: 0, settled: now }
    }

    fn burst(rate: u64) -> u64 {
        (rate / BURST_DIVISOR).max(MIN_BURST)
    }

    fn settle(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.settled).as_nanos();
        self.settled = self.settled.max(now);
        let total = u128::from(self.rate).saturating_mul(elapsed) + u128::from(self.remainder);
        let cap = self.promised.saturating_add(Self::burst(self.rate));
        let bytes = u64::try_from(total / 1_000_000_000).unwrap_or(u64::MAX);
        self.earned = self.earned.saturating_add(bytes).min(cap);
        self.remainder = (total % 1_000_000_000) as u64;
    }

    /// Changes the rate from `now` on.
    pub fn set_rate(&mut self, rate: u64, now: Instant) {
        self.settle(now);
        self.rate = rate;
    }

    /// Takes the next `bytes` of the stream.
    pub fn reserve(&mut self, bytes: u64, now: Instant) -> Ticket {
        self.settle(now);
        self.promised = self.promised.saturating_add(bytes);
        Ticket { end: self.promised }
    }

    /// How long the holder of a ticket has to wait; zero: go. `None`: until the rate changes.
    pub fn wait(&mut self, ticket: Ticket, now: Instant) -> Option<Duration> {
        self.settle(now);
        let missing = ticket.end.saturating_sub(self.earned);
        if missing == 0 {
            return Some(Duration::ZERO);
        }
        if self.rate == 0 {
            return None;
        }
        let nanos = (u128::from(missing) * 1_000_000_000 - u128::from(self.remainder)).div_ceil(u128::from(self.rate));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Gives back what a holder did not use, to those behind it.
    pub fn refund(&mut self, bytes: u64) {
        self.earned = self.earned.saturating_add(bytes).min(self.promised.saturating_add(Self::burst(self.rate)));
    }
}

/// A limit that many tasks share and that can be changed while they run. Without one it costs an
/// atomic load.
#[derive(Debug)]
pub struct Throttle {
    rate: AtomicU64,
    bucket: Mutex<Bucket>,
    changed: Notify,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Throttle {
    /// A limit of `rate` bytes per second; 0 lets nothing through until it is changed.
    pub fn new(rate: Rate) -> Self {
        let limit = rate.unwrap_or(UNLIMITED);
        Self {
            rate: AtomicU64::new(limit),
            bucket: Mutex::new(Bucket::new(rate.unwrap_or(0), now())),
            changed: Notify::new(),
        }
    }

    /// The limit in force.
    pub fn rate(&self) -> Rate {
        let rate = self.rate.load(Ordering::Relaxed);
        (rate != UNLIMITED).then_some(rate)
    }

    /// Changes the limit, also for those who wait.
    pub fn set(&self, rate: Rate) {
        {
            let mut bucket = self.lock();
            match (self.rate(), rate) {
                // Those who still hold tickets of the time before must not owe anything.
                (None, Some(rate)) => {
                    *bucket = Bucket { earned: bucket.promised, promised: bucket.promised, ..Bucket::new(rate, now()) };
                }
                (Some(_), Some(rate)) => bucket.set_rate(rate, now()),
                (_, None) => {}
            }
            self.rate.store(rate.unwrap_or(UNLIMITED), Ordering::Relaxed);
        }
        self.changed.notify_waiters();
    }

    /// How many bytes to ask for at a time so that they flow evenly: a tenth of a second's worth,
    /// between 4 and 256 KiB. `u64::MAX` without a limit.
    pub fn quantum(&self) -> u64 {
        self.rate().map_or(u64::MAX, |rate| (rate / 10).clamp(*QUANTUM.start(), *QUANTUM.end()))
    }

    /// Waits until `bytes` may be sent, behind all who asked before. A caller that gives up waiting
    /// gives its share back.
    pub async fn acquire(&self, bytes: u64) {
        if self.rate.load(Ordering::Relaxed) != UNLIMITED && bytes > 0 {
            self.wait(bytes).await;
        }
    }

    async fn wait(&self, bytes: u64) {
        let ticket = self.lock().reserve(bytes, now());
        let mut share = Share { throttle: self, bytes };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait = if self.rate().is_none() { Some(Duration::ZERO) } else { self.lock().wait(ticket, now()) };
            match wait {
                Some(Duration::ZERO) => break,
                Some(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
        share.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refunds what was reserved if its holder goes away before it was its turn.
struct Share<'a> {
    throttle: &'a Throttle,
    bytes: u64,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.throttle.lock().refund(self.bytes);
            self.throttle.changed.notify_waiters();
        }
    }
}

/// tokio's clock, so that tests can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits at every gate of a chain, in order: the transfer's own, then the node's.
pub async fn acquire(chain: &[Arc<Throttle>], bytes: u64) {
    for throttle in chain {
        throttle.acquire(bytes).await;
    }
}

/// The smallest [`Throttle::quantum`] of a chain.
pub fn quantum(chain: &[Arc<Throttle>]) -> u64 {
    chain.iter().map(|throttle| throttle.quantum()).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_late_small_request_does_not_overtake_an_early_large_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100_000, start);
        let first = bucket.reserve(25_000, start);
        let large = bucket.reserve(200_000, start);
        let small = bucket.reserve(10, start);
        assert_eq!(bucket.wait(first, start), Some(Duration::ZERO), "the burst");
        assert_eq!(bucket.wait(large, start), Some(2 * SECOND));
        assert!(bucket.wait(small, start + SECOND) > Some(SECOND));
        assert_eq!(bucket.wait(large, start + 2 * SECOND), Some(Duration::ZERO));
    }

    #[test]
    fn a_changed_rate_applies_to_those_who_wait() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0, start);
        let ticket = bucket.reserve(MIN_BURST + 1000, start);
        assert_eq!(bucket.wait(ticket, start + SECOND), None, "0 holds everything");
        bucket.set_rate(1000, start + SECOND);
        assert_eq!(bucket.wait(ticket, start + SECOND), Some(SECOND));
        bucket.set_rate(2000, start + SECOND + SECOND / 2);
        assert_eq!(bucket.wait(ticket, start + SECOND + SECOND / 2), Some(SECOND / 4));
    }

    #[test]
    fn idle_time_earns_one_burst_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1 << 20, start);
        let later = start + 3600 * SECOND;
        let burst = bucket.reserve(1 << 18, later);
        let more = bucket.reserve(1 << 20, later);
        assert_eq!(bucket.wait(burst, later), Some(Duration::ZERO));
        assert_eq!(bucket.wait(more, later), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_takes_as_long_as_the_rate_says_and_ends_with_the_limit() {
        let throttle = Arc::new(Throttle::new(Some(1 << 20)));
        let start = tokio::time::Instant::now();
        throttle.acquire(1 << 18).await;
        throttle.acquire(1 << 20).await;
        let took = start.elapsed();
        assert!(took >= SECOND && took < SECOND + SECOND / 10, "{took:?}");

        throttle.set(Some(0));
        let waiter = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.acquire(1 << 30).await }
        });
        tokio::task::yield_now().await;
        throttle.set(None);
        waiter.await.unwrap();
        assert_eq!(throttle.rate(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_gives_its_share_back() {
        let throttle = Throttle::new(Some(1 << 20));
        throttle.acquire(1 << 18).await;
        let start = tokio::time::Instant::now();
        let gave_up = tokio::time::timeout(Duration::from_millis(1), throttle.acquire(100 << 20)).await;
        assert!(gave_up.is_err());
        throttle.acquire(1 << 20).await;
        assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_set_anew_does_not_bill_the_time_without_one() {
        let throttle = Throttle::new(Some(1000));
        throttle.set(None);
        throttle.acquire(1 << 40).await;
        throttle.set(Some(1 << 20));
        let start = tokio::time::Instant::now();
        throttle.acquire(1 << 20).await;
        assert!(start.elapsed() <= SECOND + SECOND / 100, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn never_lets_more_through_than_rate_and_burst(
            rate in 1u64..10_000_000,
            steps in prop::collection::vec((0u64..2_000, 1u64..200_000), 1..60),
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::new(rate, start);
            let (mut now, mut sent) = (start, 0u64);
            for (idle_ms, bytes) in steps {
                now += Duration::from_millis(idle_ms);
                let ticket = bucket.reserve(bytes, now);
                now += bucket.wait(ticket, now).unwrap();
                prop_assert_eq!(bucket.wait(ticket, now), Some(Duration::ZERO), "the wait it names is enough");
                sent += bytes;
                let earned = rate as f64 * (now - start).as_secs_f64() + Bucket::burst(rate) as f64;
                prop_assert!(sent as f64 <= earned + 1.0, "{sent} sent, {earned} earned");
            }
        }
    }
}
