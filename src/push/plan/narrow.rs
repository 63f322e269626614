//! Fewer requests at once, because the link became another one.

use super::{MOST, PathId, Plan};

impl Plan {
    /// So many requests at once over all paths, one at least; none: as many as the paths take. Of those that are too many
    /// now, the newest are called back as long as their bytes are here: they go again, first in line, as the link wants
    /// them by then.
    pub fn narrow(&mut self, most: Option<u32>) {
        let most = most.unwrap_or(MOST).clamp(1, MOST);
        if most == std::mem::replace(&mut self.most, most) {
            return;
        }
        let active = self.flights.values().map(|flight| flight.carriers.len() as u32).sum::<u32>();
        let mut loaded: Vec<(_, PathId, u32)> = Vec::new();
        for (segment, flight) in &self.flights {
            let here = flight.carriers.iter().filter(|carrier| carrier.loaded);
            loaded.extend(here.map(|carrier| (carrier.since, carrier.path, *segment)));
        }
        loaded.sort_unstable_by_key(|(since, _, segment)| (*since, *segment));
        for _ in most..active {
            let Some((_, path, segment)) = loaded.pop() else { return };
            self.call_back(path, segment);
        }
    }

    fn call_back(&mut self, path: PathId, segment: u32) {
        let Some(flight) = self.flights.get_mut(&segment) else { return };
        let Some(at) = flight.carriers.iter().position(|carrier| carrier.path == path) else { return };
        let carrier = flight.carriers.swap_remove(at);
        if flight.carriers.is_empty() {
            self.flights.remove(&segment);
            self.stranded.push_front(segment);
        }
        self.released(carrier);
        self.aborts.push((path, segment));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::content::Bitmap;
    use crate::push::plan::PlanConfig;
    use crate::push::retry::Pace;
    use crate::push::score::Weights;

    #[test]
    fn what_is_too_much_is_called_back_and_goes_again_first() {
        let now = Instant::now();
        let config = PlanConfig {
            segment: 1 << 20,
            in_flight: 6,
            gives_up: true,
            weights: Weights::default(),
            pace: Pace::default(),
        };
        let mut plan = Plan::new(config, Bitmap::empty(40), now);
        plan.add_path(Some(Duration::from_millis(100)), now);
        let at = |n: u32| now + Duration::from_millis(n.into());
        let sent: Vec<u32> = (0..8).filter_map(|n| Some(plan.next(at(n))?.segment)).collect();
        assert_eq!(sent, (0..6).collect::<Vec<_>>());
        assert_eq!(plan.next(at(8)), None, "memory");
        // The system has the first one whole: calling it back would gain nothing.
        plan.on_handed(0, 0);
        plan.narrow(Some(2));
        let mut aborted = plan.take_aborts();
        aborted.sort_unstable();
        assert_eq!(aborted, (2..6).map(|segment| (0, segment)).collect::<Vec<_>>());
        assert_eq!(plan.next(at(9)), None);
        plan.narrow(Some(2));
        assert!(plan.take_aborts().is_empty());
        plan.on_held(0, 0, 1 << 20, Duration::from_millis(100), at(100));
        assert_eq!(plan.next(at(101)).map(|next| next.segment), Some(2), "before what was never sent");
        // Better again: what the paths take.
        plan.narrow(None);
        assert_eq!((0..7).filter_map(|n| Some(plan.next(at(102 + n))?.segment)).collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}
