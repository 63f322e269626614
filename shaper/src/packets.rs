//! One way of one flow of datagrams.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::course::Course;
use crate::line::Line;

/// Most bytes under way in one flow, one way; what is more is lost.
const MAX_FLIGHT: usize = 1 << 20;
/// What a datagram takes on the line besides its content: IPv4 and UDP.
const HEADERS: usize = 28;

/// What is under way in one flow, one way: bounded, in order. What is lost is lost: at random, because the queue is
/// full, and in an outage also what was under way when it began.
#[derive(Debug)]
pub struct Packets {
    flight: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    last_due: Instant,
    course: Course,
    rng: fastrand::Rng,
}

impl Packets {
    /// An empty one; `seed` decides its jitter and losses.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            flight: VecDeque::new(),
            bytes: 0,
            last_due: now,
            course: Course::new(seed, now),
            rng: fastrand::Rng::with_seed(seed ^ 0x105e_105e),
        }
    }

    /// A packet enters; false when it is lost.
    pub fn push(&mut self, line: &mut Line, packet: Vec<u8>, now: Instant) -> bool {
        // Drawn also for what is lost anyway, so that a packet's fate depends on its number only.
        let unlucky = self.rng.f64() * 100.0 < line.shape().loss;
        if line.is_silent(now) || line.overflows(now) || self.bytes + packet.len() > MAX_FLIGHT {
            return false;
        }
        let passed = line.carry(now, packet.len() + HEADERS);
        if unlucky {
            return false;
        }
        let delay = line.shape().delay.as_secs_f64() + self.course.deviation(line.shape().jitter, now);
        self.last_due = self.last_due.max(passed + Duration::from_secs_f64(delay.max(0.0)));
        self.bytes += packet.len();
        self.flight.push_back((self.last_due, packet));
        true
    }

    /// A packet that has arrived by now.
    pub fn pop(&mut self, line: &Line, now: Instant) -> Option<Vec<u8>> {
        while let Some((_, packet)) = self.flight.pop_front_if(|(due, _)| *due <= now) {
            self.bytes -= packet.len();
            if !line.is_silent(now) {
                return Some(packet);
            }
        }
        None
    }

    /// When the next one arrives.
    pub fn wake_at(&self) -> Option<Instant> {
        self.flight.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::line::{Outages, Shape};

    const MS: Duration = Duration::from_millis(1);

    fn shape(rate: u64, loss: f64) -> Shape {
        Shape { rate, burst: 0, delay: MS * 50, jitter: MS * 5, queue: MS * 100, loss, outages: None }
    }

    #[test]
    fn packets_arrive_in_order_after_their_delay_or_not_at_all() {
        let start = Instant::now();
        let fates = |seed| {
            let (mut line, mut flow) = (Line::new(shape(0, 30.0), start), Packets::new(seed, start));
            let fates: Vec<bool> = (0..1_000).map(|at| flow.push(&mut line, vec![at as u8], start + MS * at)).collect();
            let (mut got, mut now) = (Vec::new(), start);
            while let Some(due) = flow.wake_at() {
                assert!(due >= now && due >= start + MS * 30);
                now = due;
                got.push(flow.pop(&line, now).unwrap()[0]);
            }
            let sent = fates.iter().enumerate().filter(|(_, arrives)| **arrives);
            assert_eq!(got, sent.map(|(at, _)| at as u8).collect::<Vec<_>>());
            assert_eq!(flow.bytes, 0);
            fates
        };
        let lost = fates(9).iter().filter(|arrives| !**arrives).count();
        assert!((240..360).contains(&lost), "{lost} of 1000");
        assert_eq!(fates(9), fates(9));
        assert_ne!(fates(9), fates(10));
    }

    #[test]
    fn a_full_queue_a_cut_and_an_outage_lose_packets() {
        let start = Instant::now();
        let (mut line, mut flow) = (Line::new(shape(100_000, 0.0), start), Packets::new(1, start));
        let entered = (0..100).filter(|_| flow.push(&mut line, vec![0; 972], start)).count();
        assert!((20..26).contains(&entered), "the queue is 100 ms and as much again: {entered}");
        line.set_cut(true);
        let later = start + MS * 1_000;
        assert!(!flow.push(&mut line, vec![0], later));
        assert_eq!((flow.pop(&line, later), flow.wake_at(), flow.bytes), (None, None, 0), "what was under way too");
        line.set_cut(false);
        assert!(flow.push(&mut line, vec![0], later));
        let outages = Some(Outages { works: MS * 10, breaks: MS * 10 });
        line.reshape(Shape { outages, ..shape(0, 0.0) }, later);
        assert!(!flow.push(&mut line, vec![0], later + MS * 15));
        assert!(flow.push(&mut line, vec![0], later + MS * 20));
        let mut free = Line::new(shape(0, 0.0), start);
        let sent = (0..3_000).filter(|_| flow.push(&mut free, vec![0; 1_000], later + MS * 20)).count();
        assert!(sent <= MAX_FLIGHT / 1_000, "memory is bounded: {sent}");
    }
}
