//! Samples of a link that is known: do they still look like it, and if not, do enough of them say the same?

use std::time::Duration;

use super::apart::{factor, is_far_off, rank};
use super::window::median;
use super::{Confirm, Judge};
use crate::control::link::{LinkClass, Method, PendingClass};
use crate::link::classify::Figures;
use crate::link::sample::Sample;

/// A change for the better waits this long after the first sample that says so.
const SLOW_UP: Duration = Duration::from_millis(1_500);
/// One for a longer latency this long, where transfers are heard of: who fills the link is told once a second.
const SLOW_DOWN: Duration = Duration::from_millis(1_200);
/// A run of suspicious samples does without a measured bandwidth after this long: there may be none to be had.
const WITHOUT_BANDWIDTH: Duration = Duration::from_millis(3_500);
/// One that transfers told does without a latency after this long: probes may be waiting behind what those have under way.
const WITHOUT_LATENCY: Duration = Duration::from_millis(2_500);
/// A train's bandwidth that is so many times more or less than the link's makes suspicious.
const HINT_FACTOR: f64 = 2.0;
/// A latency past a threshold makes suspicious if it is so many times more or less than the known one; a bandwidth if it is
/// so much more or less. (Some body that wavers is measured a third too high or too low now and then.)
const APART: f64 = 1.4;
const BANDWIDTH_APART: f64 = 2.0;
/// A latency that is so many times more or less does, …
const LATENCY_FACTOR: f64 = 1.5;
/// … and one that no wavering makes of a single round trip.
const OTHER_LATENCY_FACTOR: f64 = 2.5;
/// A round trip that differs so much from those before shows that a link that is not believed yet may have become another one, …
const STRANGE_LATENCY_FACTOR: f64 = 1.1;
/// … and a bandwidth that differs so much that it has. The former has the latter measured, this often.
const STRANGE_BANDWIDTH_FACTOR: f64 = 1.6;
const STRANGE_EVERY: Duration = Duration::from_secs(3);
/// Bandwidth that transfers of ours get of a link that became another one, so many times less or more than before.
const OTHER_BANDWIDTH: f64 = 4.0;
/// Datagrams behind a loss that makes a link worse; behind one that makes it better.
const LOSS_DOWN: u32 = 20;
const LOSS_UP: u32 = 45;

/// Samples look like those of another link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Suspicion {
    /// The first of them.
    pub since: Duration,
    /// What was known until then.
    before: Figures,
    /// It is nothing but their bandwidth.
    by_bandwidth: bool,
}

impl Judge {
    /// A sample; `again`: it has learned something.
    pub(super) fn look(&mut self, now: Duration, sample: &Sample, again: bool) -> Confirm {
        let is_odd = self.suspect(now, sample);
        if let Some(suspicion) = self.suspected {
            self.window.withdraw(suspicion.since, HINT_FACTOR, OTHER_LATENCY_FACTOR);
            if let Some(confirm) = self.look_closer(now, suspicion) {
                return confirm;
            }
        }
        self.look_at_median(sample, again);
        if is_odd { Confirm::Bandwidth } else { Confirm::No }
    }

    /// Does this sample look like another link's? Suspicions begin and end with it.
    fn suspect(&mut self, now: Duration, sample: &Sample) -> bool {
        let of_bandwidth = self.suspected.filter(|suspicion| suspicion.by_bandwidth);
        let known = of_bandwidth.map_or_else(|| self.window.known(), |suspicion| suspicion.before);
        let is_odd = self.is_odd(now, sample, &known);
        let tells_none = sample.bandwidth_mbps.is_none() && sample.hint_mbps.is_none();
        let alone = Sample { bandwidth_mbps: None, hint_mbps: None, ..*sample };
        let by_bandwidth = !tells_none && !self.is_odd(now, &alone, &known);
        let new = Suspicion { since: sample.at, before: known, by_bandwidth };
        // Signs of life alone say nothing of a bandwidth that was odd.
        let is_open = |old: &Suspicion| old.by_bandwidth && tells_none && sample.at < old.since + WITHOUT_BANDWIDTH;
        self.suspected = match self.suspected {
            // Behind our own queue there is nothing to see but what the transfers tell.
            Some(old) if !is_odd && (sample.is_blind() || is_open(&old)) => Some(old),
            _ if !is_odd => None,
            Some(old) if !self.is_another(old.since, sample) => {
                Some(Suspicion { by_bandwidth: old.by_bandwidth && by_bandwidth, ..old })
            }
            _ => Some(new),
        };
        is_odd
    }

    /// A link that came back from silence may become another one as well, before it is believed: is this sample that one's, and
    /// not like those since `since`?
    fn is_another(&self, since: Duration, sample: &Sample) -> bool {
        let run = || self.window.since(since).filter(|other| other.at < sample.at);
        let (latency, bandwidth) = (
            median(run().filter_map(|other| other.latency_ms)),
            median(run().filter_map(|other| other.bandwidth_mbps)),
        );
        self.silent
            && (is_far_off(sample.latency_ms, latency, OTHER_LATENCY_FACTOR)
                || factor(sample.bandwidth_mbps, bandwidth) > STRANGE_BANDWIDTH_FACTOR)
    }

    /// The same, of a link that only its bandwidth may tell: is that worth being measured?
    fn may_be_another(now: Duration, run: &[Sample]) -> bool {
        let Some((newest, earlier)) = run.split_last() else { return false };
        let usual = median(earlier.iter().filter_map(|sample| sample.latency_ms));
        let is_measured = |sample: &Sample| sample.bandwidth_mbps.is_some() && sample.at + STRANGE_EVERY > now;
        is_far_off(newest.latency_ms, usual, STRANGE_LATENCY_FACTOR) && !run.iter().any(is_measured)
    }

    /// Does this sample look like another link than the one that is known?
    fn is_odd(&self, now: Duration, sample: &Sample, known: &Figures) -> bool {
        if self.silent {
            return true;
        }
        // What only wavers is the median's to judge: a few quick confirmations would all meet the same crest of a wave.
        let apart = |new: Option<f64>, old: Option<f64>, by| new.filter(|_| old.is_none() || factor(new, old) > by);
        let own = Figures {
            bandwidth_mbps: apart(sample.bandwidth_mbps, known.bandwidth_mbps, BANDWIDTH_APART),
            latency_ms: apart(sample.latency_ms, known.latency_ms, APART),
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
    pub(super) fn loss(&self, now: Duration) -> Option<f64> {
        self.window.loss(now, if self.sides.lossy { LOSS_UP } else { LOSS_DOWN })
    }

    /// The newest samples, since they began to be odd: do enough of them say the same? What to do next, if they say
    /// something at all.
    fn look_closer(&mut self, now: Duration, suspicion: Suspicion) -> Option<Confirm> {
        let Suspicion { since, by_bandwidth, .. } = suspicion;
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
        // Where only a bandwidth is odd, only bandwidths count.
        let tells = |sample: &&Sample| !by_bandwidth || sample.bandwidth_mbps.is_some();
        let agree = run.iter().rev().filter(tells).take_while(|sample| sides(sample).class() == class).count();
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
        // However long it is: does it matter?
        let far =
            || self.turned(&Figures { bandwidth_mbps: fresh, latency_ms: Some(f64::INFINITY), loss_percent: loss });
        let needs_latency = is_other && !is_known && lasts < WITHOUT_LATENCY && far().class() != class;
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
        let is_strange = held && self.silent && Self::may_be_another(now, &run);
        Some(match () {
            () if is_strange => Confirm::Bandwidth,
            () if held => Confirm::No,
            () if needs_bandwidth || by_bandwidth => Confirm::Bandwidth,
            () => Confirm::Life,
        })
    }

    /// What drifts, or scatters too much for samples in a row. `again`: at the same samples.
    fn look_at_median(&mut self, sample: &Sample, again: bool) {
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
        // What only the bandwidth says counts once for each time that it was measured.
        let by_bandwidth = self.turned(&Figures { bandwidth_mbps: None, ..figures }).class() == self.class;
        let tells = if by_bandwidth { sample.bandwidth_mbps.is_some() } else { !again };
        let before = self.drift.filter(|(other, _)| *other == class).map(|(_, count)| count);
        let count = before.map_or(u32::from(tells || !by_bandwidth), |count| count + u32::from(tells));
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
