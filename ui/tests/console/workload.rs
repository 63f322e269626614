//! Nodes at work that exist on paper only, and a console that watches one in simulated time: its
//! frames, bytes and draws are the same on every machine.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use skep::console::event::Event;
use skep::console::keymap::Key;
use skep::console::model::Model;
use skep::console::reduce::reduce;
use skep::console::runtime::frames::Frames;
use skep_engine::control::link::{LinkClass, LinkRow, MAX_LINKS, Measurement};
use skep_engine::control::queue::{ClassTotals, MAX_QUEUE_ROWS, QueueId, QueueRow, QueueState, QueueView};
use skep_engine::control::{LogLevel, LogLine, NodeRow, Snapshot, TransferId, TransferState};

use super::fixture::{advance, at, busy, empty, stress};

/// Between snapshots, as the engine publishes them.
pub const STEP_MS: u64 = 250;
/// Lines of log that a snapshot carries.
const TAIL: usize = 100;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Nothing: nine transfers, none of which moves, and no new snapshot.
    Idle,
    /// 50 transfers, 200 peers; 8 links are watched, 40 operations wait.
    Live,
    /// 1,000 transfers, 3,000 peers, 100,000 pieces; as many links and rows of the queue as there can be.
    Stress,
}

impl Load {
    pub const ALL: [Self; 3] = [Self::Idle, Self::Live, Self::Stress];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Live => "live",
            Self::Stress => "stress",
        }
    }

    /// The first snapshot.
    pub fn start(self) -> Snapshot {
        let mut snapshot = self.scene();
        // The emulator that frames are shown to here leaves replacement characters out.
        Arc::make_mut(&mut snapshot.log).retain(|line| !line.message.contains(char::is_control));
        snapshot
    }

    fn scene(self) -> Snapshot {
        match self {
            Self::Idle => {
                let mut snapshot = busy();
                for row in &mut snapshot.transfers {
                    let row = Arc::make_mut(row);
                    if row.state == TransferState::Running {
                        (row.state, row.rate_down, row.rate_up) = (TransferState::Paused, 0, 0);
                    }
                }
                let node = NodeRow { rate_down: 0, rate_up: 0, ..(*snapshot.node).clone() };
                Snapshot { node: Arc::new(node), ..snapshot }
            }
            Self::Live => watched(stress(50, 200, 8_000), 8, 40),
            Self::Stress => watched(stress(1_000, 3_000, 100_000), MAX_LINKS, MAX_QUEUE_ROWS),
        }
    }

    /// Lines of log per snapshot, times four.
    const fn lines_x4(self) -> u64 {
        match self {
            Self::Idle => 0,
            Self::Live => 4,
            Self::Stress => 20,
        }
    }

    /// The snapshot a step later: every rate moves, pieces and lines of log come, what is complete
    /// starts over. None where nothing changes.
    pub fn next(self, last: &Snapshot, step: u64) -> Option<Snapshot> {
        if self == Self::Idle {
            return None;
        }
        let mut next = advance(last, step);
        let (mut down, mut up) = (0, 0);
        for row in &mut next.transfers {
            if !matches!(row.state, TransferState::Running | TransferState::Seeding) {
                continue;
            }
            let row = Arc::make_mut(row);
            if row.state == TransferState::Seeding {
                row.rate_up = (row.id.0 * 104_729 * (step % 89 + 1)) % 20_000_000;
                row.smooth_up = (row.smooth_up * 19 + row.rate_up) / 20;
                row.bytes_up += row.rate_up / 4;
            } else {
                row.smooth_down = (row.smooth_down * 19 + row.rate_down) / 20;
                row.bytes_down += row.rate_down / 4;
                if row.done >= row.size {
                    row.done = 0;
                }
                row.eta_s = (row.size - row.done).checked_div(row.smooth_down);
                row.peers = 3 + (step / 7 + row.id.0) as u32 % 5;
            }
            down += row.rate_down;
            up += row.rate_up;
        }
        if let Some(detail) = next.details.get(&TransferId(1)).filter(|d| d.have.count() == d.have.len()) {
            let fresh = self.start().details.remove(&TransferId(1)).map(|d| (*d).clone());
            let generation = detail.generation;
            if let Some(mut fresh) = fresh {
                fresh.generation = generation;
                next.details.insert(TransferId(1), Arc::new(fresh));
            }
        }
        for (at, link) in next.links.iter_mut().enumerate() {
            // A sign of life a second, each link in its own quarter of it.
            if step % 4 == at as u64 % 4 {
                measure(Arc::make_mut(link), next.time_ms, step / 4 + at as u64);
            }
        }
        if step.is_multiple_of(8) && !next.queue.rows.is_empty() {
            // What is done goes, and something new comes.
            let queue = Arc::make_mut(&mut next.queue);
            let mut row = queue.rows.remove(0);
            let id = queue.rows.last().map_or(0, |row| row.id.0) + 1;
            let row_of = Arc::make_mut(&mut row);
            (row_of.id, row_of.name, row_of.added_ms) = (QueueId(id), format!("item-{id}.bin"), next.time_ms);
            queue.rows.push(row);
        }
        next.node = Arc::new(NodeRow { rate_down: down, rate_up: up, ..(*next.node).clone() });
        self.talk(&mut next, step);
        Some(next)
    }

    /// Adds the step's lines of log.
    pub fn talk(self, next: &mut Snapshot, step: u64) {
        let lines = self.lines_x4() * (step + 1) / 4 - self.lines_x4() * step / 4;
        let log = Arc::make_mut(&mut next.log);
        for _ in 0..lines {
            let seq = log.last().map_or(0, |line| line.seq + 1);
            log.push(Arc::new(LogLine {
                seq,
                time_ms: next.time_ms,
                level: if seq.is_multiple_of(9) { LogLevel::Warn } else { LogLevel::Info },
                target: "swarm".into(),
                message: format!("piece {} from 10.0.0.{}:7070 took {} ms", seq * 31 % 100_000, seq % 200, seq % 977),
                transfer: Some(TransferId(1 + seq % 40)),
            }));
        }
        let over = log.len().saturating_sub(TAIL);
        log.drain(..over);
    }
}

/// The node watches so many links, and so many operations wait on it.
fn watched(mut snapshot: Snapshot, links: usize, queued: usize) -> Snapshot {
    let classes = [LinkClass::Fiber, LinkClass::Broadband, LinkClass::Mobile, LinkClass::Satellite];
    for at in 0..links {
        let mut link = LinkRow {
            endpoint: format!("http://10.1.{}.{}:7070", at / 200, at % 200),
            class: classes[at % classes.len()],
            why: "by the figures of the last 30 s".into(),
            class_since_ms: snapshot.time_ms,
            probe_interval_ms: 5_000,
            ..LinkRow::default()
        };
        measure(&mut link, snapshot.time_ms, at as u64);
        snapshot.links.push(Arc::new(link));
    }
    let row = |id: u64| QueueRow {
        id: QueueId(id),
        state: if id.is_multiple_of(3) { QueueState::Stored } else { QueueState::Waiting },
        what: "send".into(),
        name: format!("item-{id}.bin"),
        target: format!("http://10.1.0.{}:7070", id % 7),
        bytes: id * 1_000_003,
        added_ms: snapshot.time_ms - id * 1_000,
        ..QueueRow::default()
    };
    let mut queue = QueueView { rows: (1..=queued as u64).map(row).map(Arc::new).collect(), ..QueueView::default() };
    queue.classes[3] = ClassTotals { count: queued as u64, bytes: 1_000_000, dropped: 0 };
    snapshot.queue = Arc::new(queue);
    snapshot
}

/// Another sample of a link.
fn measure(link: &mut LinkRow, time_ms: u64, step: u64) {
    let wave = 1.0 + (step * 7 % 13) as f64 / 20.0;
    link.newest = Measurement {
        measured_at: time_ms,
        bandwidth_mbps: step.is_multiple_of(5).then_some(48.0 * wave),
        latency_ms: Some(30.0 * wave),
        jitter_ms: Some(2.0 * wave),
        loss_percent: Some(0.0),
        ..Measurement::default()
    };
    link.median = Measurement { bandwidth_mbps: Some(60.0), latency_ms: Some(37.0 + wave.floor()), ..link.newest };
    link.probe_bytes += 1_000;
    link.samples = 30;
}

/// A console that watches a load in simulated time.
#[derive(Debug)]
pub struct Simulation {
    pub model: Model,
    pub frames: Frames,
    pub load: Load,
    pub snapshot: Snapshot,
    /// Milliseconds since the start.
    pub now: u64,
    step: u64,
    fresh: bool,
    /// Frames that took bytes, and the bytes.
    pub draws: u64,
    pub bytes: u64,
    /// The largest frame.
    pub largest: usize,
    /// CPU time of each: reduce, derive, draw, encode.
    pub times: Vec<Duration>,
}

impl Simulation {
    pub fn new(width: u16, height: u16, load: Load) -> Self {
        Self {
            model: empty(width, height),
            frames: Frames::new((width, height), 4, 20_000),
            load,
            snapshot: load.start(),
            now: 0,
            step: 0,
            fresh: true,
            draws: 0,
            bytes: 0,
            largest: 0,
            times: Vec::new(),
        }
    }

    /// Counts from here.
    pub fn reset(&mut self) {
        (self.draws, self.bytes, self.largest) = (0, 0, 0);
        self.times.clear();
    }

    /// Lets time pass; `terminal` gets what is written.
    pub fn run(&mut self, ms: u64, mut terminal: impl FnMut(&[u8])) {
        let end = self.now + ms;
        loop {
            self.draw_if_due(&mut terminal);
            let next_snapshot = (self.step + 1) * STEP_MS;
            let wait = self.frames.wait_ms(&self.model, at(self.now), false);
            let next = (self.now + wait).min(next_snapshot);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if self.now == next_snapshot {
                if let Some(snapshot) = self.load.next(&self.snapshot, self.step) {
                    self.snapshot = snapshot;
                    self.fresh = true;
                    self.frames.on_data();
                }
                self.step += 1;
            }
        }
    }

    /// Presses a key; the CPU time until it is painted.
    pub fn press(&mut self, key: &str, terminal: impl FnMut(&[u8])) -> Duration {
        let start = cpu();
        if let Ok(key) = key.parse::<Key>() {
            self.event(Event::Key(key));
        }
        self.draw_if_due(terminal);
        cpu().saturating_sub(start)
    }

    /// Something that is painted at once.
    pub fn event(&mut self, event: Event) {
        reduce(&mut self.model, event, at(self.now));
        self.frames.on_input();
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.frames.screen().resize(width, height);
        self.event(Event::Resize(width, height));
    }

    fn draw_if_due(&mut self, mut terminal: impl FnMut(&[u8])) {
        let now = at(self.now);
        let Some(turn) = self.frames.turn(&self.model, now) else { return };
        let next = (turn.with_data && std::mem::take(&mut self.fresh)).then(|| Arc::new(self.snapshot.clone()));
        let start = cpu();
        if let Some(snapshot) = next {
            reduce(&mut self.model, Event::Snapshot(snapshot), now);
        }
        if turn.with_data {
            let cost = self.frames.cost(self.now, self.now);
            reduce(&mut self.model, Event::Cost(cost), now);
        }
        let frame = self.frames.draw(&self.model, now, turn);
        self.times.push(cpu().saturating_sub(start));
        if let Some(bytes) = frame {
            terminal(&bytes);
            self.draws += 1;
            self.bytes += bytes.len() as u64;
            self.largest = self.largest.max(bytes.len());
            self.frames.on_flushed(self.now, 0, bytes.len(), bytes);
        }
    }

    /// CPU time of a frame that `share` of all were faster than.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let at = (times.len() as f64 * share) as usize;
        times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// CPU time of this thread: what neighbours on the machine do is no part of it.
fn cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
