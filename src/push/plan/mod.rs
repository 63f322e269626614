//! Which segment goes over which path, and when: the segment table of a push. Pure: time and randomness
//! are handed in.
//!
//! ```text
//!             next                    on_held
//!  queued ───────────▶ in flight ─────────────▶ held            every segment is in exactly one of
//!  (of a path) ◀──── on_failure, death            │              these, or waiting for a retry
//!     ▲                  │ (one path only)        │
//!     └── waiting ◀──────┘                        │
//!     └──────────────── on_missing ◀──────────────┘
//! ```
//!
//! - Each healthy path has a queue; its length follows the path's share ([`super::score`]). Every
//!   [`REBALANCE`] the queues are pooled and dealt anew; after each segment a path that is far behind the
//!   best hands its queue over (`damp` keeps noise out of that), and a dead one at once.
//! - A path whose queue is empty takes from the end of the longest other queue, in time: a degraded path
//!   thus works on, without being relied upon.
//! - Near the end a path takes no segment that the others would have through sooner without it.
//! - When nothing is queued, idle paths hedge: they send the slowest outstanding segments once more. The
//!   first acknowledgement counts, the other request is aborted.
//! - An operator may disable paths and give them weights: see `steer`.

mod change;
mod damp;
mod deal;
mod death;
mod hedge;
mod line;
mod narrow;
mod path;
mod steer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::change::Changes;
pub use self::change::{CHANGES, Change, Why};
use self::path::Path;
pub use self::path::Standing;
pub use self::steer::WEIGHTS;
use super::retry;
use super::runs::Runs;
use super::score::{Terms, Weights};
use crate::content::Bitmap;

/// Requests under way over all paths.
const MOST: u32 = 128;

/// How often the queues are dealt anew.
pub const REBALANCE: Duration = Duration::from_secs(5);

/// Index of a path in the order in which they were given.
pub type PathId = usize;

/// A segment to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Over which path.
    pub path: PathId,
    /// Which.
    pub segment: u32,
    /// Another path is at it too.
    pub hedge: bool,
}

/// Why a segment did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it broke.
    Broken,
    /// 429, 503: not before this time.
    Busy(Option<Duration>),
    /// Any other answer.
    Answered,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It will be sent again.
    Again,
    /// Another path sends it anyway, or did.
    Covered,
    /// It has failed too often; the transfer ends, with what it has.
    GiveUp,
}

/// A segment under way.
#[derive(Debug, Clone)]
struct Flight {
    carriers: Vec<Carrier>,
}

/// A request for a segment.
#[derive(Debug, Clone, Copy)]
struct Carrier {
    path: PathId,
    since: Instant,
    /// Whether its bytes are still here; else the system has them all.
    loaded: bool,
}

/// A path for people.
#[derive(Debug, Clone, PartialEq)]
pub struct PathView {
    /// How it stands.
    pub standing: Standing,
    /// Median round trip in milliseconds.
    pub latency_ms: f64,
    /// Bytes per second.
    pub rate: f64,
    /// Failures over attempts.
    pub error_rate: f64,
    /// Score and its terms.
    pub terms: Terms,
    /// Share of the segments.
    pub share: f64,
    /// Segments queued, under way, and acknowledged.
    pub queued: u32,
    /// Under way.
    pub active: u32,
    /// Requests that may be under way.
    pub window: u32,
    /// Acknowledged.
    pub done: u32,
    /// The operator lets it work.
    pub enabled: bool,
    /// The operator's weight.
    pub weight: f64,
}

/// How a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct PlanConfig {
    /// Bytes per segment; the last one may be shorter.
    pub segment: u64,
    /// Segments over all paths that may be in memory: those under way that the system does not have yet.
    pub in_flight: u32,
    /// A segment that fails [`retry::RETRIES`] times more ends the transfer. Else paths die and the
    /// transfer waits for one to come back.
    pub gives_up: bool,
    /// Of the score.
    pub weights: Weights,
    /// Of waits.
    pub pace: retry::Pace,
}

/// The segment table.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    held: Bitmap,
    flights: BTreeMap<u32, Flight>,
    /// Requests whose bytes are in memory.
    loaded: u32,
    /// Requests at once, over all paths.
    most: u32,
    waiting: Vec<(Instant, u32)>,
    /// Queued while no path is usable.
    stranded: Runs,
    failures: BTreeMap<u32, u32>,
    paths: Vec<Path>,
    aborts: Vec<(PathId, u32)>,
    next_deal: Instant,
    changes: Changes,
}

impl Plan {
    /// A plan for what is not in `held`.
    pub fn new(config: PlanConfig, held: Bitmap, now: Instant) -> Self {
        let stranded = Runs::missing(&held);
        Self {
            config,
            held,
            flights: BTreeMap::new(),
            loaded: 0,
            most: MOST,
            waiting: Vec::new(),
            stranded,
            failures: BTreeMap::new(),
            paths: Vec::new(),
            aborts: Vec::new(),
            next_deal: now + REBALANCE,
            changes: Changes::default(),
        }
    }

    /// Another path. `latency`: the median of its probe; none: it did not answer.
    pub fn add_path(&mut self, latency: Option<Duration>, now: Instant) -> PathId {
        self.paths.push(Path::new(latency, now));
        let id = self.paths.len() - 1;
        self.deal(now, Some(id), Why::Added);
        id
    }

    /// What the receiver has.
    pub fn held(&self) -> &Bitmap {
        &self.held
    }

    /// Segments under way.
    pub fn in_flight(&self) -> Vec<u32> {
        self.flights.keys().copied().collect()
    }

    /// Everything is there.
    pub fn is_done(&self) -> bool {
        self.held.is_full()
    }

    /// No path can be used now.
    pub fn is_cut_off(&self) -> bool {
        !self.paths.iter().any(Path::is_usable)
    }

    /// Requests that are of no use any more, since the last call.
    pub fn take_aborts(&mut self) -> Vec<(PathId, u32)> {
        std::mem::take(&mut self.aborts)
    }

    /// Paths as they stand.
    pub fn views(&self, now: Instant) -> Vec<PathView> {
        let segment = self.config.segment;
        let view = |path: &Path| PathView {
            standing: path.standing,
            latency_ms: path.latency_ms,
            rate: if path.done > 0 || path.active > 0 { path.rate(segment, now) } else { 0.0 },
            error_rate: path.error_rate(),
            terms: path.terms,
            share: path.share,
            queued: path.queue.len(),
            active: path.active,
            window: path.window(segment, now),
            done: path.done,
            enabled: path.enabled,
            weight: path.weight,
        };
        self.paths.iter().map(view).collect()
    }

    /// What to send next; none: not now.
    pub fn next(&mut self, now: Instant) -> Option<Assignment> {
        self.wake(now);
        if self.loaded >= self.config.in_flight || self.paths.iter().map(|path| path.active).sum::<u32>() >= self.most {
            return None;
        }
        let segment = self.config.segment;
        // Whoever would have it through first is asked first.
        let mut ready: Vec<(f64, PathId)> = (0..self.paths.len())
            .filter(|id| {
                let path = &self.paths[*id];
                let is_free = path.is_usable() && !path.rests(now) && path.active < path.window(segment, now);
                is_free && !self.is_paced(path, now)
            })
            .map(|id| (self.paths[id].finish(segment, now), id))
            .collect();
        ready.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for (finish, id) in ready {
            if !self.is_worth(id, finish, now) {
                continue;
            }
            // Retries first: the transfer is not over before they are through.
            let own = self.stranded.pop_front().or_else(|| self.paths[id].queue.pop_front());
            let taken = match own {
                Some(own) => Some((own, false)),
                None => match self.steal(id, now) {
                    Some(other) => Some((other, false)),
                    None => self.hedge(id, finish, now).map(|segment| (segment, true)),
                },
            };
            if let Some((segment, hedge)) = taken {
                let path = &mut self.paths[id];
                if path.active == 0 {
                    (path.quiet_since, path.last_byte) = (now, now);
                    path.line.on_start(now);
                }
                path.active += 1;
                path.taken += 1;
                let flight = self.flights.entry(segment).or_insert_with(|| Flight { carriers: Vec::new() });
                flight.carriers.push(Carrier { path: id, since: now, loaded: true });
                self.loaded += 1;
                self.pace(id, now);
                return Some(Assignment { path: id, segment, hedge });
            }
        }
        None
    }

    /// Segments queued anywhere.
    fn queued(&self) -> u32 {
        self.paths.iter().map(|path| path.queue.len()).sum::<u32>() + self.stranded.len()
    }

    /// False if the other paths would have everything through before this one its next segment.
    fn is_worth(&self, id: PathId, finish: f64, now: Instant) -> bool {
        let segment = self.config.segment;
        let (mut rate, mut under_way) = (0.0, 0);
        for path in self.paths.iter().enumerate().filter(|(other, p)| *other != id && p.is_usable()).map(|(_, p)| p) {
            if !path.rests(now) {
                rate += self.weighed_rate(path, now);
                under_way += path.active;
            }
        }
        if rate <= 0.0 {
            return true;
        }
        let without = (u64::from(self.queued() + under_way) * segment) as f64 / rate;
        // The fastest path is always worth it: else two could wait for one another.
        let own = self.weighed_rate(&self.paths[id], now);
        let is_fastest =
            self.paths.iter().filter(|p| p.is_usable() && !p.rests(now)).all(|p| self.weighed_rate(p, now) <= own);
        is_fastest || self.queued() == 0 || finish <= without + segment as f64 / rate
    }

    /// A segment of the queue that will take its owner longest.
    fn steal(&mut self, thief: PathId, now: Instant) -> Option<u32> {
        let segment = self.config.segment;
        let time = |path: &Path| f64::from(path.queue.len()) / path.rate(segment, now);
        let owner = (0..self.paths.len())
            .filter(|id| *id != thief && !self.paths[*id].queue.is_empty())
            .max_by(|a, b| time(&self.paths[*a]).total_cmp(&time(&self.paths[*b])))?;
        self.paths[owner].queue.pop_back()
    }

    /// Bytes of a segment left over `path`.
    pub fn on_bytes(&mut self, path: PathId, now: Instant) {
        if let Some(path) = self.paths.get_mut(path) {
            path.last_byte = now;
        }
    }

    /// Of what left earlier, over whichever paths, more came to the receiver.
    pub fn on_taken(&mut self, now: Instant) {
        self.paths.iter_mut().filter(|path| path.active > 0).for_each(|path| path.last_byte = now);
    }

    /// The receiver has verified a segment of `bytes` that was sent `took` ago. True if it is news.
    pub fn on_held(&mut self, id: PathId, segment: u32, bytes: u64, took: Duration, now: Instant) -> bool {
        if let Some(path) = self.paths.get_mut(id) {
            path.attempted(false);
            path.line.on_held(bytes, took, now);
            path.latency_ms = path.latency_ms.min(took.as_secs_f64() * 1e3);
            path.quiet_since = now;
        }
        let Some(flight) = self.flights.remove(&segment) else { return false };
        for carrier in flight.carriers {
            self.released(carrier);
            if carrier.path != id {
                self.aborts.push((carrier.path, segment));
            }
        }
        self.failures.remove(&segment);
        let is_news = self.held.set(segment);
        if is_news && let Some(path) = self.paths.get_mut(id) {
            path.done += 1;
        }
        self.hand_over(now);
        is_news
    }

    /// So many connections of `path` carry segments side by side.
    pub fn on_spread(&mut self, path: PathId, connections: u32) {
        if let Some(path) = self.paths.get_mut(path) {
            path.spread = connections.max(1);
        }
    }

    /// The system has all bytes of a request: memory has room for another.
    pub fn on_handed(&mut self, id: PathId, segment: u32) {
        let Some(flight) = self.flights.get_mut(&segment) else { return };
        for carrier in flight.carriers.iter_mut().filter(|carrier| carrier.path == id) {
            self.loaded -= u32::from(std::mem::take(&mut carrier.loaded));
        }
    }

    /// A request is over.
    fn released(&mut self, carrier: Carrier) {
        self.loaded -= u32::from(carrier.loaded);
        if let Some(path) = self.paths.get_mut(carrier.path) {
            path.active = path.active.saturating_sub(1);
        }
    }

    /// A segment did not get through over `path`. `random` is uniform in 0..1.
    pub fn on_failure(&mut self, id: PathId, segment: u32, failure: Failure, random: f64, now: Instant) -> Verdict {
        let Some(flight) = self.flights.get_mut(&segment) else { return Verdict::Covered };
        let Some(carrier) = flight.carriers.iter().position(|carrier| carrier.path == id) else {
            return Verdict::Covered;
        };
        let carrier = flight.carriers.swap_remove(carrier);
        let is_alone = flight.carriers.is_empty();
        if is_alone {
            self.flights.remove(&segment);
        }
        let path = &mut self.paths[id];
        path.line.on_failure(path.active);
        path.attempted(true);
        self.released(carrier);
        let asked = match failure {
            Failure::Busy(asked) => asked,
            Failure::Broken | Failure::Answered => None,
        };
        let failures = self.failures.entry(segment).or_insert(0);
        *failures += 1;
        let wait = self.config.pace.wait(*failures, asked, random);
        if self.config.gives_up {
            if !is_alone {
                return Verdict::Covered;
            }
            let Some(wait) = wait else {
                self.stranded.push_front(segment);
                return Verdict::GiveUp;
            };
            self.waiting.push((now + wait, segment));
            return Verdict::Again;
        }
        // Other paths take the segment at once; this one rests, or dies.
        if is_alone {
            self.stranded.push_front(segment);
        }
        let path = &mut self.paths[id];
        let tries = path.failed_in_a_row.clamp(1, retry::RETRIES);
        let rest = self.config.pace.wait(tries, asked, random).unwrap_or_default();
        path.rests_until = path.rests_until.max(Some(now + rest));
        if path.has_failed_enough() && !matches!(failure, Failure::Busy(_)) {
            self.kill(id, "it failed three times in a row", random, now);
        }
        if is_alone { Verdict::Again } else { Verdict::Covered }
    }

    /// The receiver says that it lacks these after all.
    pub fn on_missing(&mut self, segments: impl IntoIterator<Item = u32>) {
        for segment in segments {
            if segment < self.held.len() && self.held.get(segment) {
                self.held.clear(segment);
                self.stranded.push_front(segment);
            }
        }
    }

    /// Time passes: silent paths die, the queues are dealt anew when it is time.
    pub fn tick(&mut self, random: f64, now: Instant) {
        self.wake(now);
        let segment = self.config.segment;
        if !self.config.gives_up {
            let silent = |path: &Path| path.silent_until(segment).is_some_and(|until| until <= now);
            for id in (0..self.paths.len()).filter(|id| silent(&self.paths[*id])).collect::<Vec<_>>() {
                self.paths[id].attempted(true);
                self.kill(id, "nothing moves on it", random, now);
            }
        }
        if now >= self.next_deal {
            self.deal(now, None, Why::Anew);
        }
    }

    /// When [`Plan::tick`], [`Plan::next`] or [`Plan::due_probe`] may have something new to say without any
    /// event.
    pub fn next_timer(&self, now: Instant) -> Instant {
        let mut at = self.next_deal;
        for (ready, _) in &self.waiting {
            at = at.min(*ready);
        }
        for path in &self.paths {
            match path.standing {
                Standing::Dead { probe_at } if path.enabled => at = at.min(probe_at),
                _ => {}
            }
            if let Some(until) = path.rests_until.filter(|until| *until > now) {
                at = at.min(until);
            }
            if let Some(until) = path.silent_until(self.config.segment) {
                at = at.min(until);
            }
            if let Some(until) = path.paced_until.filter(|until| *until > now && path.is_usable()) {
                at = at.min(until);
            }
        }
        // Whether a hedge pays changes with time alone.
        if self.queued() == 0 && !self.flights.is_empty() && self.paths.len() > 1 {
            at = at.min(now + Duration::from_millis(50));
        }
        at
    }

    /// Retries whose time has come are queued again, first in line.
    fn wake(&mut self, now: Instant) {
        let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= now);
        self.waiting = waiting;
        let ready: Vec<(Instant, u32)> = ready;
        for (_, segment) in ready {
            self.stranded.push_front(segment);
        }
    }
}
