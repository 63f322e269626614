//! The bottleneck of one direction of a link, shared by everything that goes that way.

use std::time::{Duration, Instant};

/// Bytes of a packet, as loss counts them.
pub(crate) const PACKET: usize = 1_400;
/// Bytes read at once: about what the line carries in 2 ms, between a packet and this.
pub(crate) const MAX_CHUNK: usize = 64 << 10;

/// Outages that come and go by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outages {
    /// How long the link works, first and between outages.
    pub works: Duration,
    /// How long it does not.
    pub breaks: Duration,
}

impl Outages {
    /// So long after the link began: the time left until it works, if it does not.
    fn left(&self, since: Duration) -> Option<Duration> {
        let cycle = (self.works + self.breaks).as_nanos().max(1);
        let at = since.as_nanos() % cycle;
        (at >= self.works.as_nanos()).then(|| Duration::from_nanos(u64::try_from(cycle - at).unwrap_or(u64::MAX)))
    }
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Bytes per second; 0 is unlimited.
    pub rate: u64,
    /// Bytes that may pass at once after a pause: depth of the token bucket.
    pub burst: u64,
    /// One way.
    pub delay: Duration,
    /// Standard deviation of the delay. It changes slowly, so that bytes stay in order.
    pub jitter: Duration,
    /// How much the bottleneck queues before it pushes back.
    pub queue: Duration,
    /// Percent of packets that are lost behind the bottleneck.
    pub loss: f64,
    /// Times in which nothing gets through.
    pub outages: Option<Outages>,
}

/// The bottleneck: a token bucket. It knows when it will be done with what it took, and takes more of connections
/// only while that is less than its queue ahead, which is what pushes back on senders.
#[derive(Debug)]
pub struct Line {
    shape: Shape,
    /// Since when it has this shape: outages count from here.
    since: Instant,
    /// When it is done with what it took; in the past, as far as its burst reaches, when it was idle.
    free: Instant,
    cut: bool,
    /// Connections that wanted in lately, and when last: they share the queue.
    wanted: Vec<(u64, Instant)>,
}

impl Line {
    /// An idle one.
    pub fn new(shape: Shape, now: Instant) -> Self {
        Self { shape, since: now, free: now, cut: false, wanted: Vec::new() }
    }

    /// What it is like.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Takes a new shape, whose outages begin to count now. What it took before arrives as if nothing had changed.
    pub fn reshape(&mut self, shape: Shape, now: Instant) {
        (self.shape, self.since) = (shape, now);
    }

    /// Silence: nothing enters, nothing arrives, until it is mended.
    pub fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
    }

    /// Nothing gets through: until when, if that is known.
    pub(crate) fn silence(&self, now: Instant) -> Option<Option<Instant>> {
        if self.cut {
            return Some(None);
        }
        let left = self.shape.outages?.left(now.saturating_duration_since(self.since))?;
        Some(Some(now + left))
    }

    /// Nothing gets through now.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silence(now).is_some()
    }

    /// Bytes that are taken at once.
    pub(crate) fn chunk(&self) -> usize {
        match self.shape.rate {
            0 => MAX_CHUNK,
            rate => usize::try_from(rate / 500).unwrap_or(MAX_CHUNK).clamp(PACKET, MAX_CHUNK),
        }
    }

    /// Connections have to wait.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.shape.rate > 0 && self.free > now + self.shape.queue
    }

    /// Packets are dropped: connections keep the queue full, as they wait at its edge, and must not shut out
    /// everybody else by that.
    pub(crate) fn overflows(&self, now: Instant) -> bool {
        self.shape.rate > 0 && self.free > now + 2 * self.shape.queue + Duration::from_millis(20)
    }

    /// When there is room for connections again, if there is none.
    pub(crate) fn room_at(&self, now: Instant) -> Option<Instant> {
        self.is_full(now).then(|| self.free.checked_sub(self.shape.queue)).flatten()
    }

    /// How long what enters now waits before it is its turn.
    pub(crate) fn backlog(&self, now: Instant) -> Duration {
        self.free.saturating_duration_since(now)
    }

    /// How many bytes of one connection may wait in the queue: all get the same, as the rate of
    /// each is its share of what waits. Whoever came first would keep the line to itself.
    pub(crate) fn fair_share(&mut self, pipe: u64, now: Instant) -> usize {
        let lately = self.shape.queue.max(Duration::from_millis(50));
        self.wanted.retain(|(id, at)| *id != pipe && now.saturating_duration_since(*at) <= lately);
        self.wanted.push((pipe, now));
        let queue = self.shape.rate as f64 * self.shape.queue.as_secs_f64();
        (queue as usize / self.wanted.len()).max(2 * self.chunk())
    }

    /// Takes so many bytes; when the last of them has passed.
    pub(crate) fn carry(&mut self, now: Instant, bytes: usize) -> Instant {
        let time = |bytes: f64, rate: u64| Duration::try_from_secs_f64(bytes / rate as f64).unwrap_or(Duration::MAX);
        self.free = match self.shape.rate {
            0 => now,
            rate => {
                let idle = now.checked_sub(time(self.shape.burst as f64, rate)).unwrap_or(now);
                let start = self.free.max(idle);
                start.checked_add(time(bytes as f64, rate)).unwrap_or(start)
            }
        };
        self.free.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SHAPE: Shape =
        Shape { rate: 100_000, burst: 0, delay: MS, jitter: MS, queue: Duration::ZERO, loss: 0.0, outages: None };

    #[test]
    fn outages_come_and_go_by_the_clock() {
        let start = Instant::now();
        let outages = Some(Outages { works: 600 * MS, breaks: 400 * MS });
        let mut line = Line::new(Shape { outages, ..SHAPE }, start);
        let silence = |line: &Line, ms: u32| line.silence(start + ms * MS).flatten().map(|end| end - start);
        for (ms, end) in
            [(0, None), (599, None), (600, Some(1_000)), (999, Some(1_000)), (1_000, None), (2_700, Some(3_000))]
        {
            assert_eq!(silence(&line, ms), end.map(|end: u32| end * MS), "{ms}");
        }
        line.reshape(line.shape, start + 2_700 * MS);
        assert_eq!(silence(&line, 2_700), None, "a new link works first");
        assert_eq!(silence(&line, 3_300), Some(3_700 * MS));
        line.set_cut(true);
        assert_eq!(line.silence(start), Some(None), "nobody knows when a cut ends");
        let never = Outages { works: Duration::ZERO, breaks: Duration::ZERO };
        assert!(never.left(Duration::from_secs(5)).is_some_and(|left| left <= MS), "no division by zero");
    }

    #[test]
    fn a_burst_passes_at_once_after_a_pause_only() {
        let start = Instant::now();
        let mut line = Line::new(Shape { burst: 50_000, ..SHAPE }, start);
        let later = start + 10_000 * MS;
        assert_eq!(line.carry(later, 50_000), later, "the bucket was full");
        assert_eq!(line.carry(later, 10_000), later + 100 * MS, "and now it is empty");
        let again = later + 300 * MS;
        assert_eq!(line.carry(again, 20_000), again, "it fills at the line's rate");
        assert_eq!(line.carry(again, 1_000), again + 10 * MS);
    }

    #[test]
    fn packets_find_room_where_connections_wait() {
        let start = Instant::now();
        let mut line = Line::new(Shape { queue: 100 * MS, ..SHAPE }, start);
        line.carry(start, 11_000);
        assert!(line.is_full(start) && !line.overflows(start));
        line.carry(start, 12_000);
        assert!(line.overflows(start));
    }
}
