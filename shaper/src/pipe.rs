//! One way of one connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::course::Course;
use crate::line::{Line, PACKET};

/// Most bytes under way on one connection, one way.
pub(crate) const MAX_FLIGHT: usize = 4 << 20;
/// Least time until TCP sends again what it has heard nothing of (Linux; RFC 6298 has 1 s).
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
/// Times that the same packet is lost at most.
const MAX_LOSSES: u32 = 6;

/// What is under way on one connection, one way: bounded, in order.
///
/// Nothing is lost for good, as TCP sends it again. A lost packet comes later by what that takes, and all that was
/// sent after it waits for it: when more is under way, by which the receiver tells of the hole, a round trip (with the
/// queue) for each time that it is lost (RFC 8985); when nothing else is, the retransmission timeout, two round trips
/// and 200 ms at least, and twice as much each further time (RFC 6298, 5.5). What is sent again takes its share of the
/// line.
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
    course: Course,
    rng: fastrand::Rng,
    seed: u64,
}

impl Pipe {
    /// An empty one; `seed` decides its jitter and losses, and tells it from others on the same line.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            flight: VecDeque::new(),
            bytes: 0,
            queued: VecDeque::new(),
            queued_bytes: 0,
            limited: false,
            last_due: now,
            course: Course::new(seed, now),
            rng: fastrand::Rng::with_seed(seed ^ 0x105e_105e),
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
        self.limited = line.shape().rate > 0 && self.queued_bytes >= share;
        if line.is_silent(now) || line.is_full(now) || self.limited {
            return 0;
        }
        line.chunk().min(MAX_FLIGHT - self.bytes.min(MAX_FLIGHT))
    }

    /// Bytes enter; no more than [`room`](Self::room) said. None at all mark the end of the stream,
    /// which travels like everything else.
    pub fn push(&mut self, line: &mut Line, chunk: Vec<u8>, now: Instant) {
        let (again, wait) = self.losses(line, chunk.len(), now);
        let passed = line.carry(now, chunk.len() + again * PACKET);
        self.queued.push_back((passed, chunk.len()));
        self.queued_bytes += chunk.len();
        let delay = line.shape().delay.as_secs_f64() + self.course.deviation(line.shape().jitter, now);
        let due = passed + Duration::from_secs_f64(delay.max(0.0)) + wait;
        self.last_due = self.last_due.max(due);
        self.bytes += chunk.len();
        self.flight.push_back((self.last_due, chunk));
    }

    /// Bytes that have arrived by now.
    pub fn pop(&mut self, line: &Line, now: Instant) -> Option<Vec<u8>> {
        if self.flight.front()?.0 > now || line.is_silent(now) {
            return None;
        }
        let (_, chunk) = self.flight.pop_front()?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// When to look again, if nothing else happens: something arrives, or there is room.
    pub fn wake_at(&self, line: &Line, now: Instant) -> Option<Instant> {
        if let Some(end) = line.silence(now) {
            return end;
        }
        let arrives = self.flight.front().map(|(due, _)| *due);
        let waiting = self.limited.then_some(&self.queued).into_iter().flatten();
        let share = waiting.map(|(until, _)| *until).find(|until| *until > now);
        arrives.into_iter().chain(line.room_at(now)).chain(share).min()
    }

    /// Bytes under way.
    pub fn in_flight(&self) -> usize {
        self.bytes
    }

    /// Of a chunk: packets that have to be sent again, and for how long the chunk waits for that.
    fn losses(&mut self, line: &Line, bytes: usize, now: Instant) -> (usize, Duration) {
        let share = line.shape().loss / 100.0;
        if share <= 0.0 {
            return (0, Duration::ZERO);
        }
        let round_trip = 2 * line.shape().delay + line.backlog(now);
        let (mut again, mut worst) = (0, 0);
        for _ in 0..bytes.div_ceil(PACKET).max(1) {
            let mut times = 0;
            while times < MAX_LOSSES && self.rng.f64() < share {
                times += 1;
            }
            again += times as usize;
            worst = worst.max(times);
        }
        let wait = match self.flight.is_empty() {
            true => (2 * round_trip).max(MIN_TIMEOUT) * (2u32.pow(worst) - 1),
            false => round_trip * worst,
        };
        (again, wait)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::{MAX_CHUNK, Outages, Shape};

    const MS: Duration = Duration::from_millis(1);

    fn shape(rate: u64, delay_ms: u32, jitter_ms: u32) -> Shape {
        let (delay, jitter, queue) = (MS * delay_ms, MS * jitter_ms, MS * 100);
        Shape { rate, burst: 0, delay, jitter, queue, loss: 0.0, outages: None }
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
    fn an_outage_holds_bytes_back_and_tells_when_to_look_again() {
        let start = Instant::now();
        let outages = Some(Outages { works: MS * 100, breaks: MS * 900 });
        let mut line = Line::new(Shape { outages, ..shape(0, 50, 0) }, start);
        let mut pipe = Pipe::new(1, start);
        let late = start + MS * 80;
        pipe.push(&mut line, b"late".to_vec(), late);
        let due = pipe.wake_at(&line, late).unwrap();
        assert_eq!((due, pipe.pop(&line, due), pipe.room(&mut line, due)), (start + MS * 130, None, 0));
        let end = pipe.wake_at(&line, due).unwrap();
        assert_eq!(end, start + MS * 1_000);
        assert_eq!(pipe.pop(&line, end).unwrap(), b"late");
    }

    #[test]
    fn a_lost_packet_costs_time_and_everything_behind_it_waits() {
        let start = Instant::now();
        let lossy = |seed| {
            let mut line = Line::new(Shape { loss: 5.0, ..shape(1_250_000, 20, 0) }, start);
            let mut pipe = Pipe::new(seed, start);
            let (mut waits, mut now) = (Vec::new(), start);
            for _ in 0..2_000 {
                pipe.push(&mut line, vec![0; 100], now);
                waits.push(pipe.last_due - now);
                now += MS * 10;
                while pipe.pop(&line, now).is_some() {}
            }
            waits
        };
        let waits = lossy(3);
        assert_eq!(waits, lossy(3), "the seed decides");
        assert_ne!(waits, lossy(4));
        let hit = waits.windows(2).filter(|pair| pair[1] > pair[0] + MS * 10).count();
        assert!((50..200).contains(&hit), "about one in twenty, some behind others: {hit}");
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*least < MS * 21 && *most >= MS * 60, "a round trip more at least: {least:?} {most:?}");
        // Alone on the line: nobody tells of the hole, the timeout has to.
        let mut line = Line::new(Shape { loss: 100.0, ..shape(0, 20, 0) }, start);
        let mut pipe = Pipe::new(1, start);
        pipe.push(&mut line, vec![0; 100], start);
        assert_eq!(pipe.last_due - start, MS * 20 + MIN_TIMEOUT * 63, "whatever is lost arrives in the end");
    }

    #[test]
    fn what_is_sent_again_takes_its_share_of_the_line() {
        let start = Instant::now();
        let mut line = Line::new(Shape { loss: 20.0, ..shape(1_000_000, 5, 0) }, start);
        let (arrived, _) = saturate(&mut line, &mut [Pipe::new(1, start)], start, Duration::from_secs(10));
        assert!((7_000_000..8_500_000).contains(&arrived[0]), "{arrived:?}");
    }

    proptest! {
        /// Whatever is sent whenever: all of it arrives, in order, not before its time, and the
        /// driver is never told to sleep through an arrival.
        #[test]
        fn bytes_arrive_in_order_and_not_early(
            rate in prop_oneof![Just(0u64), 5_000u64..10_000_000],
            delay in 0u32..300, jitter in 0u32..30, loss in prop_oneof![Just(0.0), 0.0..30.0], seed: u64,
            sends in prop::collection::vec((0u32..200, 1usize..5_000), 1..60),
        ) {
            let start = Instant::now();
            let mut line = Line::new(Shape { loss, ..shape(rate, delay, jitter) }, start);
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
