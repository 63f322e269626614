//! Samples over time → the class in force. Pure: time comes in, counted from the monitor's start.
//!
//! A class changes when
//! - the newest samples in a row (three) each say the same other class, each past the thresholds by the margin (20 %), and the
//!   bandwidth among them was measured since the first of them. What was measured before belongs to another link and
//!   leaves the window. A change for the better also waits a moment; or
//! - the median of the window says so as often in a row: drifts, and links whose samples scatter; or
//! - nothing was heard for more than two intervals: intermittent, at once.
//!
//! A link that comes back from silence as it was before is still the same link: it is intermittent until it has held
//! for a while (see `outages`). One that comes back as another one is judged as any change.
//!
//! While transfers of ours fill the link or use a good part of it, a probe's latency and loss are those of our own queue, and its bandwidth is a share.
//! Then latency and loss may only look better than what they were, and bandwidth is what the transfers get.

mod apart;
mod look;
mod outages;
mod own_queue;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod window;

pub(super) use self::window::median;

use std::sync::Arc;
use std::time::Duration;

use self::look::Suspicion;
use self::outages::Outages;
use self::window::Window;
use super::cadence::Confirm;
use super::classify::{Figures, Sides, classify};
use super::config::LinkConfig;
use super::sample::{PassiveSample, Sample};
use crate::control::link::{LinkClass, Measurement, Method, PendingClass};

/// What transfers tell counts as the present for this long.
const PASSIVE_LASTS: Duration = Duration::from_millis(2_500);
/// What was waited for so long in vain, in a look that had an answer before, is a question that had none.
const UNANSWERED: Duration = Duration::from_millis(400);

/// What a sample led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The class in force changed: from, to.
    pub changed: Option<(LinkClass, LinkClass)>,
    /// What looking again at once would help with.
    pub confirm: Confirm,
}

/// Judges one link.
#[derive(Debug)]
pub struct Judge {
    config: Arc<LinkConfig>,
    window: Window,
    class: LinkClass,
    why: String,
    sides: Sides,
    /// The operator's word.
    forced: Option<LinkClass>,
    /// It fell silent, and is not believed yet: intermittent for that reason.
    silent: bool,
    /// Nothing is heard just now.
    quiet: bool,
    heard: Duration,
    /// Looks since then, and when the newest began.
    asked: u32,
    asked_at: Duration,
    /// When samples began to say something else.
    suspected: Option<Suspicion>,
    /// What the median said of late, and how often in a row.
    drift: Option<(LinkClass, u32)>,
    outages: Outages,
    passive: Option<(Duration, PassiveSample)>,
    pending: Option<PendingClass>,
    newest: Option<Sample>,
}

impl Judge {
    /// Nothing is known yet.
    pub fn new(config: Arc<LinkConfig>) -> Self {
        Self {
            window: Window::new(config.window),
            config,
            class: LinkClass::Unknown,
            why: "nothing was measured yet".into(),
            sides: Sides::default(),
            forced: None,
            silent: false,
            quiet: false,
            heard: Duration::ZERO,
            asked: 0,
            asked_at: Duration::ZERO,
            suspected: None,
            drift: None,
            outages: Outages::default(),
            passive: None,
            pending: None,
            newest: None,
        }
    }

    /// The class in force.
    pub fn class(&self) -> LinkClass {
        self.forced.unwrap_or(self.class)
    }

    /// What is measured, whatever the operator says.
    pub fn measured_class(&self) -> LinkClass {
        self.class
    }

    /// Why it is that, in words.
    pub fn why(&self) -> String {
        match self.forced {
            Some(_) => format!("set by the operator; measured: {}, {}", self.class.name(), self.why),
            None => self.why.clone(),
        }
    }

    /// Whether the operator set it.
    pub fn is_forced(&self) -> bool {
        self.forced.is_some()
    }

    /// A class that is not accepted yet.
    pub fn pending(&self) -> Option<&PendingClass> {
        self.pending.as_ref()
    }

    /// Samples in the window.
    pub fn samples(&self) -> usize {
        self.window.len()
    }

    /// The newest sample, failed ones included.
    pub fn newest(&self) -> Option<&Sample> {
        self.newest.as_ref()
    }

    /// The medians of the window.
    pub fn median(&self) -> Measurement {
        self.window.median()
    }

    /// Are the figures old: the newest look failed, or there was none for two intervals?
    pub fn is_stale(&self, now: Duration) -> bool {
        self.newest.is_none_or(|sample| sample.failed || sample.at + self.config.interval * 2 < now)
    }

    /// Do transfers of ours fill the link now?
    pub fn is_busy(&self, now: Duration) -> bool {
        self.transfers(now).is_some_and(|sample| sample.fills())
    }

    /// Were datagrams lost of late, enough for a doubt?
    pub fn loses(&self, now: Duration) -> bool {
        let limit = self.config.thresholds.intermittent_loss;
        self.sides.lossy || self.loss(now).is_some_and(|loss| loss > limit / 2.0)
    }

    fn transfers(&self, now: Duration) -> Option<PassiveSample> {
        self.passive.filter(|(at, _)| *at + PASSIVE_LASTS > now).map(|(_, sample)| sample)
    }

    /// Sets the class, or gives it back to what is measured.
    pub fn force(&mut self, class: Option<LinkClass>) -> Outcome {
        let before = self.class();
        self.forced = class;
        Outcome { changed: (before != self.class()).then(|| (before, self.class())), ..Outcome::default() }
    }

    /// A look begins. Silence counts only where somebody listened.
    pub fn on_asked(&mut self, now: Duration) {
        self.asked = self.asked.saturating_add(1);
        self.asked_at = now;
    }

    /// What the transfers over this link tell.
    pub fn on_passive(&mut self, now: Duration, wall_ms: u64, sample: PassiveSample) -> Outcome {
        self.passive = Some((now, sample));
        if !sample.alive {
            return Outcome::default();
        }
        self.hear(now);
        if self.loads(&sample) {
            self.forget_own_queue();
        }
        if !sample.fills() {
            return Outcome::default();
        }
        self.on_sample(
            now,
            Sample {
                at: now,
                wall_ms,
                bandwidth_mbps: sample.delivery_mbps,
                method: Method::Passive,
                busy: true,
                ..Sample::default()
            },
        )
    }

    fn hear(&mut self, at: Duration) {
        (self.heard, self.asked, self.quiet) = (at.max(self.heard), 0, false);
        self.outages.heard(at);
    }

    /// A measurement is there.
    pub fn on_sample(&mut self, now: Duration, mut sample: Sample) -> Outcome {
        let before = self.class();
        if sample.failed {
            self.newest = Some(sample);
            // It has had its answer, or its time.
            self.asked_at = Duration::ZERO;
            // What comes of transfers meanwhile shows that it lives: the answer is behind them, by that time at least.
            if sample.behind_ms.is_some() && self.class != LinkClass::Unknown && self.loading(now).is_some() {
                self.window.push(now, Sample { busy: true, ..sample });
            }
            return self.on_tick(now);
        }
        self.hear(now.saturating_sub(sample.late));
        // A part of this look had no answer.
        self.asked = u32::from(sample.late >= UNANSWERED);
        self.see_through_queue(now, &mut sample);
        self.newest = Some(sample);
        self.window.push(now, sample);
        let confirm = match self.class {
            LinkClass::Unknown => self.first(),
            _ => self.look(now, &sample, false),
        };
        Outcome { changed: (before != self.class()).then(|| (before, self.class())), confirm }
    }

    /// The bandwidth that belongs to the newest sample, measured after it: of `found` only the bandwidth, the hint and the bytes
    /// count.
    pub fn on_bandwidth(&mut self, now: Duration, mut found: Sample) -> Outcome {
        let before = self.class();
        self.hear(now.saturating_sub(found.late));
        self.asked = u32::from(found.late >= UNANSWERED);
        self.see_through_queue(now, &mut found);
        let Some(sample) = self.window.amend(now, &found) else { return Outcome::default() };
        self.newest = Some(sample);
        let confirm = match self.class {
            LinkClass::Unknown => self.first(),
            _ => self.look(now, &sample, true),
        };
        Outcome { changed: (before != self.class()).then(|| (before, self.class())), confirm }
    }

    /// Time passes. Nothing heard for more than the intervals there may be: intermittent.
    pub fn on_tick(&mut self, now: Duration) -> Outcome {
        let before = self.class();
        self.window.prune(now);
        if self.falls_silent().is_some_and(|at| now >= at) {
            let missed = self.config.thresholds.intermittent_missed;
            self.outages.begin(self.heard, self.window.figures());
            (self.quiet, self.silent) = (true, true);
            (self.suspected, self.drift, self.pending) = (None, None, None);
            self.class = LinkClass::Intermittent;
            self.why = format!("no answer for more than {missed} intervals");
        }
        Outcome { changed: (before != self.class()).then(|| (before, self.class())), confirm: Confirm::No }
    }

    /// When it counts as silent, if nothing is heard until then. None: it does already, or was not asked often enough yet.
    pub fn falls_silent(&self) -> Option<Duration> {
        let missed = self.config.thresholds.intermittent_missed;
        if self.quiet || self.asked <= missed {
            return None;
        }
        // An answer on its way is no silence.
        let grace = self.window.figures().latency_ms.map_or(500.0, |ms| (ms * 1.5).clamp(300.0, 1_200.0));
        // The newest look may have one, too.
        Some((self.heard + self.config.heartbeat * missed).max(self.asked_at) + Duration::from_secs_f64(grace / 1e3))
    }

    /// The first class: as soon as there are enough samples, by the plain rules.
    fn first(&mut self) -> Confirm {
        let figures = self.window.figures();
        let verdict = classify(&figures, &self.config.thresholds);
        let (have, need) = (self.window.len(), self.config.min_samples);
        if have < need || verdict.class == LinkClass::Unknown {
            self.why = match verdict.class {
                LinkClass::Unknown => format!("{have} samples so far; {}", verdict.why),
                _ => format!("{have} samples so far, {need} are needed"),
            };
            self.pending = (verdict.class != LinkClass::Unknown).then(|| PendingClass {
                class: verdict.class,
                samples: have as u32,
                needed: need as u32,
                why: self.why.clone(),
            });
            return if figures.bandwidth_mbps.is_none() { Confirm::Bandwidth } else { Confirm::Life };
        }
        self.accept(Sides::of(&figures, &self.config.thresholds), &figures);
        Confirm::No
    }

    fn accept(&mut self, sides: Sides, figures: &Figures) {
        self.sides = sides;
        self.class = sides.class();
        self.why = sides.explain(figures, &self.config.thresholds, self.config.margin);
        self.silent = false;
        (self.suspected, self.drift, self.pending) = (None, None, None);
    }

    /// Where a link that was known has got to, by these figures.
    fn moved(&self, figures: &Figures) -> Sides {
        // Behind silence there is no side to come from.
        let margin = if self.silent { 0.0 } else { self.config.margin };
        self.sides.moved(figures, &self.config.thresholds, margin)
    }

    /// The same for a class: the margin says whether it is another one, and then the plain rules say which. How the link was says
    /// nothing about what it became.
    fn turned(&self, figures: &Figures) -> Sides {
        let moved = self.moved(figures);
        let plain = Sides::of(figures, &self.config.thresholds);
        if moved.class() != self.class && plain.class() != self.class { plain } else { moved }
    }
}
