//! A link on paper, looked at by a judge and a cadence as a monitor's driver does it: seconds pass at once.

use std::time::Duration;

use super::{Judge, Outcome};
use crate::control::link::LinkClass;
use crate::link::cadence::{Cadence, Confirm, ECHO_BYTES, HEAD_BYTES, Known};
use crate::link::{LinkConfig, Sample};

/// How a link is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub mbps: f64,
    pub latency_ms: f64,
    /// Of what is measured, this much is off, uniformly: 0.15 is ± 15 %.
    pub noise: f64,
    /// Each second has another rate, by so much at most.
    pub wavers: f64,
    /// Percent.
    pub loss: f64,
    /// Seconds that it works and that it does not, in turn; 0: it always does.
    pub up_down: (f64, f64),
}

pub(super) const fn link(mbps: f64, latency_ms: f64, loss: f64) -> Link {
    Link { mbps, latency_ms, noise: 0.05, wavers: 0.0, loss, up_down: (0.0, 0.0) }
}

pub(super) struct World {
    pub judge: Judge,
    pub cadence: Cadence,
    pub link: Link,
    pub now: Duration,
    /// When the link became what it is.
    since: Duration,
    confirm: Confirm,
    rng: fastrand::Rng,
    seed: u64,
    /// Changes of class: when, to what.
    pub changes: Vec<(Duration, LinkClass)>,
    /// Bytes of each look, and when.
    pub spent: Vec<(Duration, u64)>,
}

impl World {
    pub(super) fn new(link: Link, seed: u64) -> Self {
        let config = std::sync::Arc::new(LinkConfig::default());
        Self {
            cadence: Cadence::new(&config),
            judge: Judge::new(config),
            link,
            now: Duration::ZERO,
            since: Duration::ZERO,
            confirm: Confirm::No,
            rng: fastrand::Rng::with_seed(seed),
            seed,
            changes: Vec::new(),
            spent: Vec::new(),
        }
    }

    /// The link becomes another one.
    pub(super) fn becomes(&mut self, link: Link) {
        (self.link, self.since) = (link, self.now);
    }

    fn note(&mut self, at: Duration, outcome: Outcome) {
        if let Some((_, to)) = outcome.changed {
            self.changes.push((at, to));
        }
    }

    pub(super) fn is_up(&self) -> bool {
        let (up, down) = self.link.up_down;
        down == 0.0 || (self.now - self.since).as_secs_f64() % (up + down) < up
    }

    fn about(&mut self, figure: f64) -> f64 {
        figure * (1.0 + (self.rng.f64() * 2.0 - 1.0) * self.link.noise)
    }

    /// From -1 to 1, the same for a second.
    fn wave(&self) -> f64 {
        fastrand::Rng::with_seed(self.now.as_secs() ^ self.seed << 32).f64() * 2.0 - 1.0
    }

    /// Lets so many seconds pass.
    pub(super) fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.step(end);
        }
    }

    fn step(&mut self, end: Duration) {
        let due = self.cadence.due().max(self.now);
        if due >= end {
            self.now = end;
            let outcome = self.judge.on_tick(end);
            return self.note(end, outcome);
        }
        self.now = due;
        let outcome = self.judge.on_tick(due);
        self.note(due, outcome);
        self.judge.on_asked(due);
        let ask = self.cadence.ask(due, self.confirm, Known { loses: self.judge.loses(due), ..Known::default() });
        let latency = Duration::from_secs_f64(self.link.latency_ms / 1e3);
        let up = self.is_up();
        let mut life = Sample { wall_ms: due.as_millis() as u64, ..Sample::default() };
        life.probe_bytes = u64::from(ask.echoes) * ECHO_BYTES + HEAD_BYTES * u64::from(ask.head);
        if up {
            life.latency_ms = Some(self.about(self.link.latency_ms));
            life.echoes = ask.echoes;
            life.echoed = (0..ask.echoes)
                .filter(|_| [(); 2].iter().all(|()| self.rng.f64() * 100.0 >= self.link.loss))
                .count() as u32;
        } else {
            life.failed = true;
        }
        // Who waits for what was lost waits twice as long.
        let takes = match (up, life.echoes == life.echoed) {
            (true, true) => latency + Duration::from_millis(50),
            (true, false) => latency * 3 / 2 + Duration::from_millis(200),
            (false, _) => Duration::from_millis(1_000).max(latency * 2).min(Duration::from_secs(2)),
        };
        self.pass(takes);
        life.at = self.now;
        let outcome = self.judge.on_sample(self.now, life);
        self.note(self.now, outcome);
        self.confirm = outcome.confirm;
        let (mut cost, mut seen) = (life.probe_bytes, None);
        let then = self.cadence.then(self.now, ask, self.confirm, outcome.changed.is_some(), false);
        let bytes = then.full + then.train;
        if up && bytes > 0 {
            // It grows until it takes long enough, or as its time allows.
            let rate = self.link.mbps * (1.0 + self.wave() * self.link.wavers);
            let second = rate * 1e6 / 8.0;
            let grown = if !then.grow { bytes } else { bytes.min(((second * 0.1) as u64).max(32 << 10)) };
            let bytes = grown.min((second * 1.2) as u64);
            self.pass(latency * 3 / 2 + Duration::from_secs_f64(bytes as f64 / second));
            let measured = self.about(rate);
            seen = Some(measured);
            let probe_bytes = bytes * 107 / 100 + HEAD_BYTES;
            cost += probe_bytes;
            let mut found = Sample { probe_bytes, ..Sample::default() };
            if then.full > 0 {
                found.bandwidth_mbps = Some(measured);
            } else {
                found.hint_mbps = Some(measured);
            }
            let outcome = self.judge.on_bandwidth(self.now, found);
            self.note(self.now, outcome);
            self.confirm = outcome.confirm;
        }
        self.spent.push((self.now, cost));
        self.cadence.done(self.now, cost, self.judge.median().bandwidth_mbps, seen);
        if self.confirm != Confirm::No {
            self.cadence.hurry(self.now);
        }
    }

    fn pass(&mut self, takes: Duration) {
        let from = self.now;
        for tenth in 1..=10 {
            let at = from + takes * tenth / 10;
            let outcome = self.judge.on_tick(at);
            self.note(at, outcome);
        }
        self.now = from + takes;
    }

    /// When the class became what it is now, since `from`; none: it was that all along.
    pub(super) fn settled(&self, from: Duration) -> Option<Duration> {
        self.changes.last().map(|(at, _)| *at).filter(|at| *at >= from)
    }
}
