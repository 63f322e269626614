//! Paths that die, and come back: what they had goes to the others at once; they are probed with backoff.

use std::time::{Duration, Instant};

use super::path::Path;
use super::{PathId, Plan, Standing, Why};

impl Plan {
    /// A path is dead: everything that it had goes to the others at once.
    pub fn kill(&mut self, id: PathId, why: &str, random: f64, now: Instant) {
        let Some(path) = self.paths.get_mut(id) else { return };
        if path.answers() || path.standing == Standing::Probing {
            path.die(self.config.pace, now, random);
        }
        self.take_back(id, now, Why::Dead(why.to_owned()));
    }

    /// Everything that a path has goes to the others, what is under way too.
    pub(super) fn take_back(&mut self, id: PathId, now: Instant, why: Why) {
        let mut orphans = std::mem::take(&mut self.paths[id].queue);
        let mut lost = Vec::new();
        for (segment, flight) in &mut self.flights {
            if let Some(carrier) = flight.carriers.iter().position(|carrier| carrier.path == id) {
                self.loaded -= u32::from(flight.carriers.swap_remove(carrier).loaded);
                self.aborts.push((id, *segment));
                if flight.carriers.is_empty() {
                    lost.push(*segment);
                }
            }
        }
        for segment in lost.into_iter().rev() {
            self.flights.remove(&segment);
            orphans.push_front(segment);
        }
        // Dealt as if they were queued still, so that the change tells how many left this path.
        self.paths[id].queue = orphans;
        self.deal(now, Some(id), why);
    }

    /// A probe of a path ended. `latency`: its median; none: no answer.
    pub fn on_probe(&mut self, id: PathId, latency: Option<Duration>, random: f64, now: Instant) {
        let Some(path) = self.paths.get_mut(id) else { return };
        match latency {
            Some(latency) => {
                let was_usable = path.is_usable();
                path.answered(latency);
                if !was_usable && path.is_usable() {
                    self.deal(now, Some(id), Why::Back);
                }
            }
            None if path.standing == Standing::Probing => path.die(self.config.pace, now, random),
            None => {}
        }
    }

    /// Nobody will tell how the probes under way ended: they are due again.
    pub fn on_probes_aborted(&mut self, now: Instant) {
        for path in self.paths.iter_mut().filter(|path| path.standing == Standing::Probing) {
            path.standing = Standing::Dead { probe_at: now };
        }
    }

    /// A dead path whose time has come: probe it and tell [`Plan::on_probe`].
    pub fn due_probe(&mut self, now: Instant) -> Option<PathId> {
        let due = |path: &Path| matches!(path.standing, Standing::Dead { probe_at } if probe_at <= now) && path.enabled;
        let id = self.paths.iter().position(due)?;
        self.paths[id].standing = Standing::Probing;
        Some(id)
    }
}
