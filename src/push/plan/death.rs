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

#[cfg(test)]
mod tests {
    use super::super::tests::{config, ms};
    use super::*;
    use crate::content::Bitmap;

    #[test]
    fn a_path_of_which_the_receiver_still_takes_bytes_is_not_dead() {
        let now = Instant::now();
        for takes in [true, false] {
            let mut plan = Plan::new(config(64), Bitmap::empty(4), now);
            plan.add_path(Some(ms(1)), now);
            plan.next(now).unwrap();
            for seconds in 1..200 {
                let now = now + ms(1_000 * seconds);
                if takes {
                    plan.on_taken(now);
                }
                plan.tick(0.5, now);
            }
            assert_eq!(plan.is_cut_off(), !takes);
        }
    }

    #[test]
    fn a_probe_that_nobody_will_tell_of_is_due_again() {
        let now = Instant::now();
        let mut plan = Plan::new(config(64), Bitmap::empty(4), now);
        for latency in [Some(ms(1)), None, None] {
            plan.add_path(latency, now);
        }
        assert_eq!((plan.due_probe(now), plan.due_probe(now), plan.due_probe(now)), (Some(1), Some(2), None));
        plan.on_probe(2, Some(ms(1)), 0.5, now);
        plan.on_probes_aborted(now);
        assert_eq!((plan.due_probe(now), plan.due_probe(now)), (Some(1), None));
    }
}
