//! How a link treats the bytes of its connections. Pure: no sockets, no clock, no randomness of its
//! own; the driver is [`super::shaper`].
//!
//! ```text
//!  sender ─▶ [ Line: bottleneck, shared by all connections ] ─▶ [ Pipe: delay line of one ] ─▶ receiver
//! ```
//! A [`Line`] is a leaky bucket: it knows when it will be done with what it took. It takes more
//! only while that is less than its queue ahead, which is what pushes back on senders. A [`Pipe`]
//! holds what is under way on one connection, bounded, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most bytes under way on one connection, one way.
pub const MAX_FLIGHT: usize = 4 << 20;

/// Bytes read at once: about what the line carries in 2 ms, between an Ethernet packet and this.
const MAX_CHUNK: usize = 64 << 10;
const MIN_CHUNK: usize = 1_400;

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes per second; 0 is unlimited.
    pub rate: u64,
    /// One way.
    pub delay: Duration,
    /// Standard deviation of the delay. It changes slowly, so that bytes stay in order.
    pub jitter: Duration,
    /// How much the bottleneck queues before it pushes back.
    pub queue: Duration,
}

/// The bottleneck of one direction.
#[derive(Debug)]
pub struct Line {
    shape: Shape,
    /// When it is done with what it took.
    free: Instant,
    cut: bool,
    /// Connections that wanted in lately, and when last: they share the queue.
    wanted: Vec<(u64, Instant)>,
}

impl Line {
    /// An idle one.
    pub fn new(shape: Shape, now: Instant) -> Self {
        Self { shape, free: now, cut: false, wanted: Vec::new() }
    }

    /// Takes a new shape. What it took before arrives as if nothing had changed.
    pub fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Silence: nothing enters, nothing arrives, until it is mended. Nothing is lost either, as
    /// TCP would send it again.
    pub fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
    }

    /// Bytes that are taken at once.
    fn chunk(&self) -> usize {
        match self.shape.rate {
            0 => MAX_CHUNK,
            rate => usize::try_from(rate / 500).unwrap_or(MAX_CHUNK).clamp(MIN_CHUNK, MAX_CHUNK),
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.shape.rate > 0 && self.free > now + self.shape.queue
    }

    /// How many bytes of one connection may wait in the queue: all get the same, as the rate of
    /// each is its share of what waits. Whoever came first would keep the line to itself.
    fn fair_share(&mut self, pipe: u64, now: Instant) -> usize {
        let lately = self.shape.queue.max(Duration::from_millis(50));
        self.wanted.retain(|(id, at)| *id != pipe && now.saturating_duration_since(*at) <= lately);
        self.wanted.push((pipe, now));
        let queue = self.shape.rate as f64 * self.shape.queue.as_secs_f64();
        (queue as usize / self.wanted.len()).max(2 * self.chunk())
    }

    /// Takes so many bytes; when the last of them has passed.
    fn carry(&mut self, now: Instant, bytes: usize) -> Instant {
        let start = self.free.max(now);
        self.free = match self.shape.rate {
            0 => start,
            rate => start + Duration::from_secs_f64(bytes as f64 / rate as f64),
        };
        self.free
    }
}

/// What is under way on one connection, one way.
#[derive(Debug)]
pub struct Pipe {
    flight: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// What of it still waits for the bottleneck: until when, how much.
    queued: VecDeque<(Instant, usize)>,
    queued_bytes: usize,
    /// It last had no room because of its share.
    limited: bool,
    last_due: Instant,
    born: Instant,
    seed: u64,
}

impl Pipe {
    /// An empty one; `seed` decides its jitter, and tells it from others on the same line.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            flight: VecDeque::new(),
            bytes: 0,
            queued: VecDeque::new(),
            queued_bytes: 0,
            limited: false,
            last_due: now,
            born: now,
            seed,
        }
    }

    /// How many bytes may enter now: none while the line is cut, its queue is full, or this
    /// connection's share of it.
    pub fn room(&mut self, line: &mut Line, now: Instant) -> usize {
        while let Some((_, bytes)) = self.queued.pop_front_if(|(until, _)| *until <= now) {
            self.queued_bytes -= bytes;
        }
        let share = line.fair_share(self.seed, now);
        self.limited = line.shape.rate > 0 && self.queued_bytes >= share;
        if line.cut || line.is_full(now) || self.limited {
            return 0;
        }
        line.chunk().min(MAX_FLIGHT - self.bytes.min(MAX_FLIGHT))
    }

    /// Bytes enter; no more than [`room`](Self::room) said. None at all mark the end of the stream,
    /// which travels like everything else.
    pub fn push(&mut self, line: &mut Line, chunk: Vec<u8>, now: Instant) {
        let passed = line.carry(now, chunk.len());
        self.queued.push_back((passed, chunk.len()));
        self.queued_bytes += chunk.len();
        let delay = line.shape.delay.as_secs_f64() + self.deviation(&line.shape, now);
        let due = passed + Duration::from_secs_f64(delay.max(0.0));
        self.last_due = self.last_due.max(due);
        self.bytes += chunk.len();
        self.flight.push_back((self.last_due, chunk));
    }

    /// Bytes that have arrived by now.
    pub fn pop(&mut self, line: &Line, now: Instant) -> Option<Vec<u8>> {
        if line.cut || self.flight.front()?.0 > now {
            return None;
        }
        let (_, chunk) = self.flight.pop_front()?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// When to look again, if nothing else happens: something arrives, or there is room.
    pub fn wake_at(&self, line: &Line, now: Instant) -> Option<Instant> {
        if line.cut {
            return None;
        }
        let arrives = self.flight.front().map(|(due, _)| *due);
        let room = line.is_full(now).then(|| line.free.checked_sub(line.shape.queue)).flatten();
        let waiting = self.limited.then_some(&self.queued).into_iter().flatten();
        let share = waiting.map(|(until, _)| *until).find(|until| *until > now);
        arrives.into_iter().chain(room).chain(share).min()
    }

    /// Bytes under way.
    pub fn in_flight(&self) -> usize {
        self.bytes
    }

    /// How far the delay is off its mean now, in seconds: between random values, one per step of
    /// time, so that it has a course and no jumps.
    fn deviation(&self, shape: &Shape, now: Instant) -> f64 {
        let jitter = shape.jitter.as_secs_f64();
        if jitter == 0.0 {
            return 0.0;
        }
        let at = now.saturating_duration_since(self.born).as_secs_f64() / (4.0 * jitter).max(0.05);
        let (step, share) = (at.floor() as u64, at.fract());
        // Evenly spread over ±√3 has a standard deviation of 1; mixing two lessens it, which is
        // made up for.
        let value = |step: u64| {
            fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(step)).f64() * 2.0 - 1.0
        };
        let mixed = value(step) * (1.0 - share) + value(step + 1) * share;
        jitter * 3f64.sqrt() * mixed / (share * share + (1.0 - share) * (1.0 - share)).sqrt()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn shape(rate: u64, delay_ms: u32, jitter_ms: u32) -> Shape {
        Shape { rate, delay: MS * delay_ms, jitter: MS * jitter_ms, queue: MS * 100 }
    }

    /// A sender with endless data for so long: bytes that arrived, and the most that was under way.
    fn saturate(lines: &mut Line, pipes: &mut [Pipe], start: Instant, span: Duration) -> (Vec<usize>, usize) {
        let (mut arrived, mut most) = (vec![0; pipes.len()], 0);
        let mut now = start;
        while now < start + span {
            for (pipe, arrived) in pipes.iter_mut().zip(&mut arrived) {
                while let Some(chunk) = pipe.pop(lines, now) {
                    *arrived += chunk.len();
                }
                let room = pipe.room(lines, now);
                if room > 0 {
                    pipe.push(lines, vec![0; room], now);
                }
                most = most.max(pipe.in_flight());
            }
            now += MS;
        }
        (arrived, most)
    }

    #[test]
    fn the_rate_is_kept_and_memory_bounded() {
        let start = Instant::now();
        for rate in [100_000, 1_000_000, 20_000_000] {
            let mut line = Line::new(shape(rate, 40, 10), start);
            let mut pipe = [Pipe::new(1, start)];
            let (arrived, most) = saturate(&mut line, &mut pipe, start, Duration::from_secs(10));
            let rate_seen = arrived[0] as f64 / 10.0;
            assert!((0.95..1.01).contains(&(rate_seen / rate as f64)), "{rate}: {rate_seen}");
            assert!(most <= rate as usize / 5 + 2 * MAX_CHUNK, "{rate}: no more than queue and delay: {most}");
        }
        let mut free = Line::new(shape(0, 10_000, 0), start);
        let (_, most) = saturate(&mut free, &mut [Pipe::new(1, start)], start, Duration::from_secs(5));
        assert_eq!(most, MAX_FLIGHT);
    }

    #[test]
    fn connections_share_the_line() {
        let start = Instant::now();
        let mut line = Line::new(shape(1_000_000, 5, 0), start);
        let mut pipes = [1, 2, 3].map(|seed| Pipe::new(seed, start));
        let (arrived, _) = saturate(&mut line, &mut pipes, start, Duration::from_secs(10));
        let total: usize = arrived.iter().sum();
        assert!((9_000_000..10_100_000).contains(&total), "together no more than the line: {arrived:?}");
        assert!(arrived.iter().all(|bytes| *bytes > 2_000_000), "nobody starves: {arrived:?}");
    }

    #[test]
    fn a_cut_line_is_silent_and_loses_nothing() {
        let start = Instant::now();
        let mut line = Line::new(shape(0, 10, 0), start);
        let mut pipe = Pipe::new(1, start);
        pipe.push(&mut line, b"before".to_vec(), start);
        line.set_cut(true);
        let later = start + Duration::from_secs(5);
        assert_eq!((pipe.room(&mut line, later), pipe.pop(&line, later), pipe.wake_at(&line, later)), (0, None, None));
        line.set_cut(false);
        assert_eq!(pipe.pop(&line, later).unwrap(), b"before");
        assert!(pipe.room(&mut line, later) > 0);
    }

    #[test]
    fn jitter_has_the_asked_size_and_the_seed_decides_it() {
        let start = Instant::now();
        let line = shape(0, 100, 14);
        let course = |seed| {
            let pipe = Pipe::new(seed, start);
            (0..20_000).map(|ms| pipe.deviation(&line, start + MS * ms)).collect::<Vec<_>>()
        };
        let (a, b) = (course(7), course(8));
        assert_eq!(a, course(7));
        assert_ne!(a, b);
        let spread = (a.iter().map(|d| d * d).sum::<f64>() / a.len() as f64).sqrt();
        assert!((0.010..0.018).contains(&spread), "{spread}");
        let jump = a.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f64::max);
        assert!(jump < 0.004, "it has a course: {jump}");
    }

    proptest! {
        /// Whatever is sent whenever: all of it arrives, in order, not before its time, and the
        /// driver is never told to sleep through an arrival.
        #[test]
        fn bytes_arrive_in_order_and_not_early(
            rate in prop_oneof![Just(0u64), 1_000u64..10_000_000],
            delay in 0u32..300, jitter in 0u32..30, seed: u64,
            sends in prop::collection::vec((0u32..200, 1usize..5_000), 1..60),
        ) {
            let start = Instant::now();
            let mut line = Line::new(shape(rate, delay, jitter), start);
            let mut pipe = Pipe::new(seed, start);
            let (mut sent, mut arrived, mut now) = (Vec::<u8>::new(), Vec::<u8>::new(), start);
            let mut entered = VecDeque::new();
            let earliest = (MS * delay).saturating_sub(MS * jitter * 4);
            let mut sends = sends.into_iter();
            let mut next = sends.next();
            let mut wait = start;
            loop {
                while let Some(chunk) = pipe.pop(&line, now) {
                    let since: Instant = entered.pop_front().unwrap();
                    prop_assert!(now >= since + earliest);
                    arrived.extend(chunk);
                }
                if let Some((pause, size)) = next && now >= wait {
                    let size = size.min(pipe.room(&mut line, now));
                    if size > 0 {
                        let chunk: Vec<u8> = (0..size).map(|at| (sent.len() + at) as u8).collect();
                        sent.extend(&chunk);
                        entered.push_back(now);
                        pipe.push(&mut line, chunk, now);
                        wait = now + MS * pause;
                        next = sends.next();
                    }
                }
                let woken = pipe.wake_at(&line, now);
                now = match (woken, next) {
                    (None, None) => break,
                    (Some(woken), None) => woken.max(now),
                    (Some(woken), Some(_)) => woken.min(wait.max(now + MS)).max(now),
                    (None, Some(_)) => wait.max(now),
                };
            }
            prop_assert_eq!(arrived, sent);
            prop_assert_eq!(pipe.in_flight(), 0);
        }
    }
}
