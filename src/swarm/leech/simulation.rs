//! A crowd in virtual time: leeches and chokers of many nodes, wired together by a model of a network.
//!
//! Every node sends at most `up` bytes per second, split equally over what it serves; a message takes one
//! step of 10 ms; peers learn of new pieces every 100 ms.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::swarm::choker::{Choker, ChokerConfig, Decision};

const STEP: Duration = Duration::from_millis(10);

struct Sending {
    to: usize,
    id: RequestId,
    next: u32,
    last: u32,
    /// Bytes of the current piece that are still to be sent.
    left: f64,
}

struct Node {
    leech: Leech,
    choker: Choker,
    keys: BTreeMap<usize, PeerKey>,
    numbers: BTreeMap<PeerKey, usize>,
    sending: Vec<Sending>,
    /// Pieces not yet told to the others.
    news: Vec<u32>,
    uploaded: f64,
    done: Option<Duration>,
}

struct Crowd {
    nodes: Vec<Node>,
    sizes: PieceSizes,
    start: Instant,
    now: Instant,
    up: f64,
    rng: fastrand::Rng,
    refused: u64,
}

impl Crowd {
    fn new(seeders: usize, leechers: usize, sizes: PieceSizes, up: f64, seed: u64) -> Self {
        let now = Instant::now();
        let count = seeders + leechers;
        let mut nodes: Vec<Node> = (0..count)
            .map(|n| {
                let have = if n < seeders { Bitmap::full(sizes.count) } else { Bitmap::empty(sizes.count) };
                let mut choker = Choker::new(ChokerConfig::default());
                choker.set_seeding(n < seeders);
                Node {
                    leech: Leech::new(sizes, have, LeechConfig::default(), seed * 1000 + n as u64),
                    choker,
                    keys: BTreeMap::new(),
                    numbers: BTreeMap::new(),
                    sending: Vec::new(),
                    news: Vec::new(),
                    uploaded: 0.0,
                    done: None,
                }
            })
            .collect();
        for n in seeders..count {
            for other in (0..count).filter(|other| *other != n) {
                let have = nodes[other].leech.have().clone();
                let node = &mut nodes[n];
                let key = node.leech.add_peer(&other.to_string(), PeerKind::Swarm, now).unwrap();
                node.leech.on_bitmap(key, &have, now);
                node.keys.insert(other, key);
                node.numbers.insert(key, other);
            }
        }
        Self { nodes, sizes, start: now, now, up, rng: fastrand::Rng::with_seed(seed), refused: 0 }
    }

    fn ask(&mut self, n: usize) {
        let now = self.now;
        while let Some(request) = self.nodes[n].leech.next_request(now) {
            let server = self.nodes[n].numbers[&request.peer];
            match self.nodes[server].choker.allow(&n.to_string(), now) {
                Decision::Serve => {
                    self.nodes[server].choker.on_serving(&n.to_string(), now);
                    let last = request.first + request.count - 1;
                    let left = self.sizes.size(request.first) as f64;
                    self.nodes[server].sending.push(Sending { to: n, id: request.id, next: request.first, last, left });
                }
                Decision::Choked { retry_after } => {
                    self.refused += 1;
                    self.nodes[n].leech.on_failed(request.id, Failure::Choked(retry_after), now);
                }
            }
        }
    }

    fn cancel(&mut self, n: usize, cancel: Vec<RequestId>) {
        for server in 0..self.nodes.len() {
            let node = &mut self.nodes[server];
            let before = node.sending.len();
            node.sending.retain(|s| s.to != n || !cancel.contains(&s.id));
            for _ in node.sending.len()..before {
                node.choker.on_served(&n.to_string(), self.now);
            }
        }
    }

    fn send(&mut self, server: usize) {
        let now = self.now;
        let streams = std::mem::take(&mut self.nodes[server].sending);
        let share = self.up * STEP.as_secs_f64() / streams.len().max(1) as f64;
        let mut cancelled: Vec<(usize, RequestId)> = Vec::new();
        let mut kept = Vec::new();
        for mut s in streams {
            let to = s.to.to_string();
            if cancelled.contains(&(s.to, s.id)) {
                self.nodes[server].choker.on_served(&to, now);
                continue;
            }
            let mut budget = share;
            self.nodes[server].uploaded += share;
            self.nodes[server].choker.on_uploaded(&to, share as u64);
            self.nodes[s.to].choker.on_downloaded(&server.to_string(), share as u64, now);
            self.nodes[s.to].leech.on_bytes(s.id, share as u64, now);
            let mut over = false;
            while budget >= s.left && !over {
                budget -= s.left;
                assert!(self.nodes[server].leech.have().get(s.next), "asked for a piece that the peer lacks");
                let before = self.nodes[s.to].leech.have().count();
                let cancel = self.nodes[s.to].leech.on_piece(s.id, s.next, now);
                if self.nodes[s.to].leech.have().count() > before {
                    self.nodes[s.to].news.push(s.next);
                }
                cancelled.extend(cancel.iter().map(|id| (s.to, *id)));
                self.cancel(s.to, cancel);
                over = s.next == s.last || cancelled.contains(&(s.to, s.id));
                if s.next == s.last {
                    self.nodes[s.to].leech.on_finished(s.id, now);
                } else {
                    s.next += 1;
                    s.left = self.sizes.size(s.next) as f64;
                }
            }
            s.left -= budget;
            if over {
                self.nodes[server].uploaded -= budget;
                self.nodes[server].choker.on_served(&to, now);
            } else {
                kept.push(s);
            }
        }
        kept.retain(|s| !cancelled.contains(&(s.to, s.id)));
        self.nodes[server].sending = kept;
    }

    fn tell(&mut self) {
        for n in 0..self.nodes.len() {
            let news = std::mem::take(&mut self.nodes[n].news);
            if news.is_empty() {
                continue;
            }
            for other in 0..self.nodes.len() {
                if let Some(key) = self.nodes[other].keys.get(&n).copied() {
                    self.nodes[other].leech.on_have(key, &news, self.now);
                }
            }
        }
    }

    /// Runs until all have everything; the time it took.
    fn run(&mut self, limit: Duration) -> Duration {
        let mut step = 0u64;
        while self.nodes.iter().any(|node| !node.leech.is_complete()) {
            assert!(self.now - self.start < limit, "not done after {limit:?}: {}", self.state());
            self.now += STEP;
            step += 1;
            for n in 0..self.nodes.len() {
                if self.nodes[n].leech.poll_timeout().is_some_and(|t| t <= self.now) {
                    let late = self.nodes[n].leech.on_timeout(self.now);
                    self.cancel(n, late);
                }
                let node = &mut self.nodes[n];
                if node.choker.next_tick().is_some_and(|t| t <= self.now) {
                    node.choker.tick(self.now, &mut self.rng);
                }
                self.ask(n);
            }
            for n in 0..self.nodes.len() {
                self.send(n);
            }
            if step.is_multiple_of(10) {
                self.tell();
            }
            for n in 0..self.nodes.len() {
                let node = &mut self.nodes[n];
                if node.done.is_none() && node.leech.is_complete() {
                    node.done = Some(self.now - self.start);
                    node.choker.set_seeding(true);
                    for other in 0..self.nodes.len() {
                        self.nodes[other].choker.on_gone(&n.to_string());
                    }
                }
            }
        }
        self.now - self.start
    }

    fn state(&self) -> String {
        let each = self.nodes.iter().map(|node| {
            format!("{}/{} {:?}", node.leech.have().count(), self.sizes.count, node.leech.waiting_reason(self.now))
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// The figure: 40 leechers, one seeder, at most 1.5 copies from the seeder.
#[test]
fn a_seeder_of_forty_gives_at_most_one_and_a_half_copies() {
    for (seed, pieces, up) in [(1, 256, 8e6), (2, 64, 20e6), (3, 512, 50e6)] {
        let sizes = PieceSizes::of(pieces * (256 << 10), 256 << 10);
        let size = sizes.run(0, sizes.count) as f64;
        let mut crowd = Crowd::new(1, 40, sizes, up, seed);
        let time = crowd.run(Duration::from_secs(600));
        let copies = crowd.nodes[0].uploaded / size;
        let ideal = size / up;
        println!(
            "{pieces} pieces: {copies:.2} copies, {time:?} (one copy takes {ideal:.1} s), {} refused",
            crowd.refused
        );
        assert!(copies <= 1.5, "{copies:.2} copies of {pieces} pieces");
        assert!(copies >= 0.99, "all came from somewhere");
    }
}

#[test]
fn one_seeder_and_one_leecher_keep_the_line_full() {
    let sizes = PieceSizes::of(200 << 18, 1 << 18);
    let mut crowd = Crowd::new(1, 1, sizes, 10e6, 1);
    let time = crowd.run(Duration::from_secs(60));
    let ideal = (200 << 18) as f64 / 10e6;
    assert!(time.as_secs_f64() < ideal * 1.1, "{time:?} for {ideal:.1} s of bytes");
}

#[test]
fn four_seeders_share_the_work_of_one_leecher() {
    let sizes = PieceSizes::of(400 << 18, 1 << 18);
    let mut crowd = Crowd::new(4, 1, sizes, 10e6, 1);
    let time = crowd.run(Duration::from_secs(60));
    let size = (400 << 18) as f64;
    assert!(time.as_secs_f64() < size / 40e6 * 1.2, "{time:?}");
    let all: f64 = crowd.nodes.iter().map(|node| node.uploaded).sum();
    assert!(all < size * 1.05, "{:.1} % moved twice", (all / size - 1.0) * 100.0);
}
