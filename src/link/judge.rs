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
//! While transfers of ours fill the link, a probe's latency and loss are those of our own queue, and its bandwidth is a share.
//! Then latency and loss may only look better than what they were, and bandwidth is what the transfers get.

mod apart;
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

use self::apart::{factor, is_far_off, rank};
use self::outages::Outages;
use self::window::Window;
use super::cadence::Confirm;
use super::classify::{Figures, Sides, classify};
use super::config::LinkConfig;
use super::sample::{PassiveSample, Sample};
use crate::control::link::{LinkClass, Measurement, Method, PendingClass};

/// A change for the better waits this long after the first sample that says so.
const SLOW_UP: Duration = Duration::from_millis(1_500);
/// One for a longer latency this long, where transfers are heard of: who fills the link is told once a second.
const SLOW_DOWN: Duration = Duration::from_millis(1_200);
/// A run of suspicious samples does without a measured bandwidth after this long: there may be none to be had.
const WITHOUT_BANDWIDTH: Duration = Duration::from_millis(3_500);
/// One that transfers told does without a latency after this long: probes may be waiting behind what those have under way.
const WITHOUT_LATENCY: Duration = Duration::from_millis(2_500);
/// A latency that makes a satellite of most links.
const FAR_MS: f64 = 1_000.0;
/// What transfers tell counts as the present for this long.
const PASSIVE_LASTS: Duration = Duration::from_millis(2_500);
/// A train's bandwidth that is so many times more or less than the link's makes suspicious.
const HINT_FACTOR: f64 = 2.0;
/// A figure past a threshold makes suspicious if it is so many times more or less than the known one.
const APART: f64 = 1.4;
/// A latency that is so many times more or less, and so many ms, does, …
const LATENCY_FACTOR: f64 = 1.5;
const LATENCY_STEP: f64 = 3.0;
/// … and one that no wavering makes of a single round trip.
const OTHER_LATENCY_FACTOR: f64 = 2.5;
/// Bandwidth that transfers of ours get of a link that became another one, so many times less or more than before.
const OTHER_BANDWIDTH: f64 = 4.0;
/// Datagrams behind a loss that makes a link worse; behind one that makes it better.
const LOSS_DOWN: u32 = 20;
const LOSS_UP: u32 = 45;

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
    /// Looks since then.
    asked: u32,
    /// When samples began to say something else.
    suspected: Option<Duration>,
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
    pub fn on_asked(&mut self) {
        self.asked = self.asked.saturating_add(1);
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

    fn hear(&mut self, now: Duration) {
        (self.heard, self.asked, self.quiet) = (now, 0, false);
        self.outages.heard(now);
    }

    /// A measurement is there.
    pub fn on_sample(&mut self, now: Duration, mut sample: Sample) -> Outcome {
        let before = self.class();
        if sample.failed {
            self.newest = Some(sample);
            // What comes of transfers meanwhile shows that it lives: the answer is behind them, by that time at least.
            if sample.behind_ms.is_some() && self.class != LinkClass::Unknown && self.loading(now).is_some() {
                self.window.push(now, Sample { busy: true, ..sample });
            }
            return self.on_tick(now);
        }
        self.hear(now);
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
        self.hear(now);
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
        let missed = self.config.thresholds.intermittent_missed;
        // An answer on its way is no silence.
        let grace = self.median().latency_ms.map_or(500.0, |ms| (ms * 1.5).clamp(300.0, 1_200.0));
        let patience = self.config.heartbeat * missed + Duration::from_secs_f64(grace / 1e3);
        if !self.quiet && self.asked > missed && now > self.heard + patience {
            self.outages.begin(self.heard, self.window.figures());
            (self.quiet, self.silent) = (true, true);
            (self.suspected, self.drift, self.pending) = (None, None, None);
            self.class = LinkClass::Intermittent;
            self.why = format!("no answer for more than {missed} intervals");
        }
        Outcome { changed: (before != self.class()).then(|| (before, self.class())), confirm: Confirm::No }
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

    /// A sample of a link that was known; `again`: it has learned something.
    fn look(&mut self, now: Duration, sample: &Sample, again: bool) -> Confirm {
        let known = self.window.figures();
        let is_odd = self.is_odd(now, sample, &known);
        self.suspected = match self.suspected {
            // Behind our own queue there is nothing to see but what the transfers tell.
            suspected if !is_odd && sample.is_blind() => suspected,
            _ if !is_odd => None,
            Some(since) if !self.is_another(since, sample) => Some(since),
            _ => Some(sample.at),
        };
        if let Some(since) = self.suspected {
            self.window.withdraw(since, HINT_FACTOR);
        }
        if let Some(since) = self.suspected
            && let Some(confirm) = self.look_closer(now, since)
        {
            return confirm;
        }
        self.look_at_median(again);
        if is_odd { Confirm::Bandwidth } else { Confirm::No }
    }

    /// A link that came back from silence may become another one as well, before it is believed: is this sample that one's, and
    /// not like those since `since`?
    fn is_another(&self, since: Duration, sample: &Sample) -> bool {
        let run = self.window.since(since).filter(|other| other.at < sample.at).filter_map(|other| other.latency_ms);
        self.silent && is_far_off(sample.latency_ms, median(run), OTHER_LATENCY_FACTOR)
    }

    /// Does this sample look like another link than the one that is known?
    fn is_odd(&self, now: Duration, sample: &Sample, known: &Figures) -> bool {
        if self.silent {
            return true;
        }
        // What only wavers is the median's to judge: a few quick confirmations would all meet the same crest of a wave.
        let apart = |new: Option<f64>, old: Option<f64>| new.filter(|_| old.is_none() || factor(new, old) > APART);
        let own = Figures {
            bandwidth_mbps: apart(sample.bandwidth_mbps, known.bandwidth_mbps),
            latency_ms: apart(sample.latency_ms, known.latency_ms),
            loss_percent: self.loss(now),
        };
        if self.moved(&own) != self.sides {
            return true;
        }
        let far_off = is_far_off(sample.latency_ms, known.latency_ms, LATENCY_FACTOR);
        let loss = sample.loss_percent().unwrap_or(0.0);
        let limit = self.config.thresholds.intermittent_loss;
        let loses_otherwise =
            sample.echoes > 0 && if self.sides.lossy { loss < limit / 2.0 } else { loss > limit / 2.0 && loss >= 20.0 };
        far_off || loses_otherwise || factor(sample.hint_mbps, known.bandwidth_mbps) > HINT_FACTOR
    }

    /// Loss over as many of the newest datagrams as a change takes.
    fn loss(&self, now: Duration) -> Option<f64> {
        self.window.loss(now, if self.sides.lossy { LOSS_UP } else { LOSS_DOWN })
    }

    /// The newest samples, since they began to be odd: do enough of them say the same? What to do next, if they say
    /// something at all.
    fn look_closer(&mut self, now: Duration, since: Duration) -> Option<Confirm> {
        let all: Vec<Sample> = self.window.since(since).copied().collect();
        let run: Vec<Sample> = all.iter().filter(|sample| !sample.is_blind()).copied().collect();
        let fresh = run.iter().rev().find_map(|sample| sample.bandwidth_mbps);
        let before = self.window.figures();
        let lasts = now.saturating_sub(since);
        let loss = self.loss(now);
        // Transfers that get another link's bandwidth are on another link: its latency is the least that was seen behind them.
        let is_other =
            run.iter().any(|s| s.method == Method::Passive) && factor(fresh, before.bandwidth_mbps) > OTHER_BANDWIDTH;
        let behind = all.iter().filter(|_| is_other).filter_map(|s| s.behind_ms).min_by(f64::total_cmp);
        let sides = |sample: &Sample| {
            self.turned(&Figures {
                bandwidth_mbps: sample.bandwidth_mbps.or(fresh).or(before.bandwidth_mbps),
                latency_ms: sample
                    .latency_ms
                    .or_else(|| run.iter().rev().find_map(|s| s.latency_ms))
                    .or(behind)
                    .or(before.latency_ms),
                loss_percent: loss,
            })
        };
        let newest = sides(run.last()?);
        let class = newest.class();
        let needs_bandwidth = fresh.is_none() && !newest.is_bandwidth_moot() && lasts < WITHOUT_BANDWIDTH;
        let needed = self.config.confirmations;
        let agree = run.iter().rev().take_while(|sample| sides(sample).class() == class).count();
        if class == self.class && !self.silent {
            self.pending = None;
            // Nothing else so far; while a figure is odd, its bandwidth may be, too.
            return needs_bandwidth.then_some(Confirm::Bandwidth);
        }
        let hold =
            if self.silent { self.outages.hold(now, &self.window.figures_since(since, fresh)) } else { Duration::ZERO };
        let better = class != LinkClass::Intermittent && rank(class) > rank(self.class);
        // A latency alone that grew may be our own queue's, if a transfer began just now.
        let is_near =
            || self.turned(&Figures { latency_ms: before.latency_ms, bandwidth_mbps: fresh, loss_percent: loss });
        let may_be_queue =
            self.passive.is_some() && class != LinkClass::Intermittent && is_near().class() == self.class;
        let least = match better {
            true => SLOW_UP,
            false if may_be_queue && !self.silent => SLOW_DOWN,
            false => Duration::ZERO,
        };
        let hold = hold.max(least.saturating_sub(lasts));
        let is_known = behind.is_some() || run.iter().any(|s| s.latency_ms.is_some());
        let far = || {
            let far = Figures { bandwidth_mbps: fresh, latency_ms: Some(FAR_MS), loss_percent: loss };
            self.turned(&far).class()
        };
        let needs_latency = is_other && !is_known && lasts < WITHOUT_LATENCY && far() != class;
        let wait = match () {
            () if needs_bandwidth => Some("the bandwidth is being measured".to_owned()),
            () if needs_latency && agree >= needed => Some("the latency is being measured".to_owned()),
            () if agree < needed => None,
            () if !hold.is_zero() => Some(format!("it has to hold for {} s", hold.as_secs() + 1)),
            () => {
                self.window.forget_before(since);
                let mut figures = self.window.figures();
                figures.loss_percent = loss.or(figures.loss_percent);
                figures.latency_ms = figures.latency_ms.or(behind);
                let accepted = self.turned(&figures);
                // Samples agreed; where their median disagrees by a hair, they are right.
                let accepted = if accepted.class() == class { accepted } else { newest };
                self.accept(accepted, &figures);
                return Some(if fresh.is_none() { Confirm::Bandwidth } else { Confirm::No });
            }
        };
        let held = !hold.is_zero() && agree >= needed && !needs_bandwidth;
        self.pending = Some(PendingClass {
            class,
            samples: agree.min(needed) as u32,
            needed: needed as u32,
            why: wait.unwrap_or_else(|| format!("{agree} of {needed} samples say so")),
        });
        Some(match () {
            () if held => Confirm::No,
            () if needs_bandwidth => Confirm::Bandwidth,
            () => Confirm::Life,
        })
    }

    /// What drifts, or scatters too much for samples in a row. `again`: at the same samples.
    fn look_at_median(&mut self, again: bool) {
        let figures = self.window.figures();
        let sides = self.turned(&figures);
        let class = sides.class();
        if class == self.class || self.silent {
            if !self.silent {
                self.sides = sides;
                self.why = sides.explain(&figures, &self.config.thresholds, self.config.margin);
            }
            (self.drift, self.pending) = (None, None);
            return;
        }
        let count = self.drift.filter(|(other, _)| *other == class).map_or(1, |(_, count)| count + u32::from(!again));
        let needed = self.config.confirmations as u32;
        if count >= needed {
            self.accept(sides, &figures);
            return;
        }
        self.drift = Some((class, count));
        let why = format!("{count} of {needed} medians say so");
        self.pending = Some(PendingClass { class, samples: count, needed, why });
    }
}
