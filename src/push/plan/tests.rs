use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

pub(super) fn config(in_flight: u32) -> PlanConfig {
    PlanConfig { segment: MIB, in_flight, gives_up: false, weights: Weights::default(), pace: Default::default() }
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Plan {
    /// Every segment is in exactly one place.
    fn check(&self) {
        let mut seen = vec![0u32; self.held.len() as usize];
        let mut see = |segment: u32| seen[segment as usize] += 1;
        self.held.ones().for_each(&mut see);
        self.flights.keys().copied().for_each(&mut see);
        self.waiting.iter().for_each(|(_, segment)| see(*segment));
        self.stranded.iter().for_each(&mut see);
        self.paths.iter().for_each(|path| path.queue.iter().for_each(&mut see));
        assert!(seen.iter().all(|n| *n == 1), "{seen:?}");
        let loaded = self.flights.values().flat_map(|f| &f.carriers).filter(|c| c.loaded).count();
        assert_eq!(self.loaded as usize, loaded);
        for (id, path) in self.paths.iter().enumerate() {
            let active = self.flights.values().filter(|f| f.carriers.iter().any(|c| c.path == id)).count();
            assert_eq!(path.active as usize, active, "path {id}");
            assert!(path.is_usable() || path.queue.is_empty(), "a dead path has nothing");
        }
    }
}

/// Paths with a rate and a latency, simulated: segments of a path are sent one after the other.
struct Sim {
    plan: Plan,
    now: Instant,
    rates: Vec<f64>,
    latencies: Vec<Duration>,
    /// (arrival, path, segment), and when each path's line is free.
    under_way: Vec<(Instant, PathId, u32)>,
    free: Vec<Instant>,
    sent: u64,
}

impl Sim {
    fn new(segments: u32, paths: &[(f64, u64)]) -> Self {
        let now = Instant::now();
        let mut plan = Plan::new(config(64), Bitmap::empty(segments), now);
        for (_, latency) in paths {
            plan.add_path(Some(ms(*latency)), now);
        }
        let rates = paths.iter().map(|p| p.0).collect();
        let latencies = paths.iter().map(|p| ms(p.1)).collect();
        Self { plan, now, rates, latencies, under_way: Vec::new(), free: vec![now; paths.len()], sent: 0 }
    }

    fn send(&mut self) {
        while let Some(a) = self.plan.next(self.now) {
            let start = self.free[a.path].max(self.now);
            self.free[a.path] = start + Duration::from_secs_f64(MIB as f64 / self.rates[a.path]);
            self.under_way.push((self.free[a.path] + self.latencies[a.path], a.path, a.segment));
            self.sent += 1;
        }
        for (path, segment) in self.plan.take_aborts() {
            self.under_way.retain(|(_, p, s)| (*p, *s) != (path, segment));
        }
    }

    /// Runs until done; seconds it took. `event` is called with every step.
    fn run(&mut self, mut event: impl FnMut(&mut Self)) -> f64 {
        let start = self.now;
        while !self.plan.is_done() {
            event(self);
            self.send();
            let timer = self.plan.next_timer(self.now).max(self.now + ms(1));
            self.under_way.sort();
            match self.under_way.first().copied() {
                Some((at, path, segment)) if at <= timer => {
                    self.under_way.remove(0);
                    self.now = self.now.max(at);
                    self.plan.on_bytes(path, self.now);
                    let took = Duration::from_secs_f64(MIB as f64 / self.rates[path]) + self.latencies[path];
                    self.plan.on_held(path, segment, MIB, took, self.now);
                }
                _ => self.now = timer,
            }
            self.plan.tick(0.5, self.now);
            assert!((self.now - start).as_secs() < 3_600, "stuck: {:#?}", self.plan.views(self.now));
        }
        (self.now - start).as_secs_f64()
    }
}

#[test]
fn paths_add_up() {
    let rates = [25e6, 12.5e6, 6.25e6];
    let mut sim = Sim::new(500, &rates.map(|rate| (rate, 10)));
    let took = sim.run(|_| ());
    let ideal = (500 * MIB) as f64 / rates.iter().sum::<f64>();
    assert!(took <= ideal / 0.97, "{took} s, ideal {ideal}");
    assert!(sim.sent < 510, "{} segments sent", sim.sent);
}

#[test]
fn unequal_delays_add_up() {
    let mut sim = Sim::new(500, &[(12.5e6, 5), (12.5e6, 80), (12.5e6, 600)]);
    let took = sim.run(|_| ());
    let ideal = (500 * MIB) as f64 / 37.5e6;
    assert!(took <= ideal / 0.92, "{took} s, ideal {ideal}");
}

#[test]
fn a_path_of_many_connections_ends_its_work_sooner() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(100), now);
    let path = plan.add_path(Some(ms(600)), now);
    let alone = plan.paths[path].finish(MIB, now);
    plan.on_spread(path, 16);
    let rate = plan.paths[path].rate(MIB, now);
    let longer = plan.paths[path].finish(MIB, now) - alone;
    assert!((longer - 15.0 * MIB as f64 / rate).abs() < 1e-6, "one connection has a sixteenth: {longer}");
    plan.on_spread(path, 0);
    assert!((plan.paths[path].finish(MIB, now) - alone).abs() < 1e-6, "none is known of");
}

#[test]
fn a_collapse_and_a_death_cost_little() {
    for to in [0.125e6, 0.001] {
        let mut sim = Sim::new(500, &[(25e6, 10), (12.5e6, 10), (6.25e6, 10)]);
        let mut moved = 0;
        let took = sim.run(|sim| {
            if sim.plan.held().count() == 250 && sim.rates[0] > 1e6 {
                sim.rates[0] = to;
                // What is on the line is stuck too.
                let late = sim.now + Duration::from_secs_f64((MIB as f64 / to).min(3_000.0));
                sim.under_way.iter_mut().filter(|u| u.1 == 0).for_each(|u| u.0 = late);
                sim.free[0] = late;
                moved = 1;
            }
        });
        let ideal = (250 * MIB) as f64 / 43.75e6 + (250 * MIB) as f64 / 18.75e6;
        assert_eq!(moved, 1);
        assert!(took <= ideal * 1.05, "{took} s, ideal {ideal}");
    }
}

#[test]
fn paths_that_are_nearly_equal_do_not_change_places() {
    let mut sim = Sim::new(600, &[(10e6, 10), (10e6, 10)]);
    let (start, mut changes, mut stood) = (sim.now, 0, Vec::new());
    let took = sim.run(|sim| {
        // Each is better for three seconds, longer than rates are taken over.
        let better = (sim.now - start).as_secs() as usize / 3 % 2;
        (sim.rates[better], sim.rates[1 - better]) = (11.5e6, 8.5e6);
        let views = sim.plan.views(sim.now);
        let stand: Vec<Standing> = views.iter().map(|view| view.standing).collect();
        if views.iter().all(|view| view.done > 0) {
            changes += u32::from(!stood.is_empty() && stand != stood);
            stood = stand;
        }
    });
    assert_eq!(changes, 0);
    let ideal = (600 * MIB) as f64 / 20e6;
    assert!(took <= ideal / 0.95, "{took} s, ideal {ideal}");
}

#[test]
fn memory_counts_what_the_system_does_not_have_yet() {
    let now = Instant::now();
    let mut plan = Plan::new(config(2), Bitmap::empty(50), now);
    plan.add_path(Some(ms(600)), now);
    let first = plan.next(now).unwrap();
    let second = plan.next(now).unwrap();
    assert_eq!(plan.next(now), None, "memory is full");
    plan.on_handed(0, first.segment);
    plan.on_handed(0, first.segment);
    plan.check();
    assert!(plan.next(now).is_some(), "one more, though none is acknowledged");
    assert_eq!(plan.next(now), None);
    plan.on_failure(0, second.segment, Failure::Broken, 0.5, now);
    plan.check();
    plan.kill(0, "for the test", 0.5, now);
    plan.check();
    assert_eq!(plan.loaded, 0);
}

#[test]
fn what_everything_waits_for_is_asked_over_a_path_that_works() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(5_000), now);
    for latency in [5, 80, 20, 1] {
        plan.add_path(Some(ms(latency)), now);
    }
    plan.kill(3, "for the test", 0.5, now);
    // The nearest of the rest collapses: what it has stays where it is, the others go on.
    let mut at = now;
    for _ in 0..60 {
        at += ms(100);
        for a in std::iter::from_fn(|| plan.next(at)).collect::<Vec<_>>() {
            if a.path != 0 {
                plan.on_held(a.path, a.segment, MIB, ms(90), at);
            }
        }
    }
    assert_eq!(plan.views(at)[0].standing, Standing::Degraded);
    let order = plan.by_nearness(at);
    assert_eq!(order.last(), Some(&3), "the dead one comes last: {order:?}");
    assert_eq!(order[2], 0, "the one that collapsed comes after those that work: {order:?}");
}

#[test]
fn a_path_that_falls_silent_is_given_up_within_seconds() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(5_000), now);
    plan.add_path(Some(ms(10)), now);
    plan.add_path(Some(ms(10)), now);
    let mut at = now;
    for round in 0..70 {
        at += ms(100);
        for a in std::iter::from_fn(|| plan.next(at)).collect::<Vec<_>>() {
            if a.path == 1 || round < 5 {
                plan.on_held(a.path, a.segment, MIB, ms(90), at);
            }
        }
        plan.tick(0.5, at);
        plan.check();
    }
    let views = plan.views(at);
    assert!(matches!(views[0].standing, Standing::Dead { .. }), "{views:?}");
    assert_eq!((views[0].active, views[0].queued), (0, 0), "the other one has it all");
    assert!(views[1].active > 0 || views[1].queued > 0, "{views:?}");
}

#[test]
fn shares_follow_scores_and_hedges_cover_the_tail() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(1_000), now);
    plan.add_path(Some(ms(20)), now);
    plan.add_path(Some(ms(21)), now);
    let views = plan.views(now);
    assert!(views[0].queued > views[1].queued && views[1].queued > 0, "{views:?}");
    assert_eq!(views[0].queued + views[1].queued, 1_000);
    // Two segments left, each on a path: the quick one, done, takes over the other's.
    let mut plan = Plan::new(config(64), Bitmap::empty(2), now);
    plan.add_path(Some(ms(10)), now);
    plan.add_path(Some(ms(10)), now);
    let first = plan.next(now).unwrap();
    let second = plan.next(now).unwrap();
    assert_ne!(first.path, second.path);
    let later = now + ms(20);
    assert!(plan.on_held(first.path, first.segment, MIB, ms(20), later));
    let much_later = later + Duration::from_secs(5);
    let hedge = plan.next(much_later).unwrap();
    assert_eq!(hedge, Assignment { path: first.path, segment: second.segment, hedge: true });
    assert_eq!(plan.next(much_later), None, "a hedge is not hedged");
    assert!(plan.on_held(hedge.path, hedge.segment, MIB, ms(20), much_later + ms(20)));
    assert_eq!(plan.take_aborts(), [(second.path, second.segment)]);
    assert!(!plan.on_held(second.path, second.segment, MIB, ms(20), much_later + ms(21)), "counts once");
    assert!(plan.is_done());
}

#[test]
fn a_dead_path_hands_over_and_comes_back() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(100), now);
    plan.add_path(Some(ms(10)), now);
    plan.add_path(Some(ms(10)), now);
    let mut at = now;
    for _ in 0..3 {
        let assigned = std::iter::from_fn(|| plan.next(at)).find(|a| a.path == 0).unwrap();
        plan.on_failure(0, assigned.segment, Failure::Broken, 0.5, at);
        plan.check();
        at += Duration::from_secs(5);
    }
    let views = plan.views(at);
    assert!(matches!(views[0].standing, Standing::Dead { .. }), "{views:?}");
    assert_eq!((views[0].queued, views[0].active), (0, 0));
    let change = plan.changes().next().unwrap();
    assert_eq!((change.path, &change.why), (Some(0), &Why::Dead("it failed three times in a row".into())));
    assert!(change.moved > 0 && change.from == [0] && change.to == [1], "{change:?}");
    at += Duration::from_secs(5);
    assert_eq!(plan.due_probe(at), Some(0));
    assert_eq!(plan.due_probe(at), None, "one probe at a time");
    plan.on_probe(0, None, 0.5, at);
    assert_eq!(plan.due_probe(at + ms(1_900)), None, "the pause grows");
    assert_eq!(plan.due_probe(at + ms(2_000)), Some(0));
    plan.on_probe(0, Some(ms(10)), 0.5, at + ms(2_010));
    assert!(matches!(plan.views(at)[0].standing, Standing::Healthy | Standing::Degraded));
    let after = at + Duration::from_secs(3);
    assert!(std::iter::from_fn(|| plan.next(after)).any(|a| a.path == 0), "it works again");
    plan.check();
}

#[test]
fn a_disabled_path_hands_over_at_once_and_takes_nothing_until_it_is_enabled() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(100), now);
    plan.add_path(Some(ms(10)), now);
    plan.add_path(Some(ms(10)), now);
    let taken: Vec<Assignment> = std::iter::from_fn(|| plan.next(now)).collect();
    let own: Vec<_> = taken.iter().filter(|a| a.path == 0).map(|a| (0, a.segment)).collect();
    assert!(!own.is_empty(), "{taken:?}");
    plan.set_enabled(0, false, now);
    plan.check();
    assert_eq!(plan.take_aborts(), own, "what is under way goes to the others too");
    let change = plan.changes().next().unwrap();
    assert_eq!((&change.why, &change.from[..], &change.to[..]), (&Why::Disabled, &[0][..], &[1][..]), "{change:?}");
    assert!(std::iter::from_fn(|| plan.next(now)).all(|a| a.path == 1));
    assert_eq!(plan.views(now)[0].share, 0.0);
    // It may die and be found meanwhile: that changes nothing.
    plan.kill(0, "for the test", 0.5, now);
    assert_eq!(plan.due_probe(now + Duration::from_secs(60)), None, "it is not asked");
    plan.on_probe(0, Some(ms(10)), 0.5, now);
    assert!(std::iter::from_fn(|| plan.next(now)).all(|a| a.path == 1));
    plan.check();
    plan.set_enabled(1, false, now);
    assert!(plan.is_switched_off() && plan.is_cut_off() && plan.next(now).is_none());
    plan.check();
    plan.set_enabled(0, true, now);
    assert!(!plan.is_switched_off());
    assert_eq!(plan.next(now).map(|a| a.path), Some(0));
}

#[test]
fn a_hedge_on_a_disabled_path_leaves_the_segment_to_its_owner() {
    let now = Instant::now();
    let mut plan = Plan::new(config(64), Bitmap::empty(2), now);
    plan.add_path(Some(ms(10)), now);
    plan.add_path(Some(ms(10)), now);
    let (first, second) = (plan.next(now).unwrap(), plan.next(now).unwrap());
    let later = now + Duration::from_secs(5);
    plan.on_held(first.path, first.segment, MIB, ms(20), later);
    let hedge = plan.next(later).unwrap();
    assert!(hedge.hedge);
    plan.set_enabled(hedge.path, false, later);
    plan.check();
    assert_eq!(plan.take_aborts(), [(hedge.path, hedge.segment)]);
    assert!(plan.on_held(second.path, second.segment, MIB, ms(20), later + ms(1)));
    assert!(plan.is_done());
}

#[test]
fn bytes_follow_the_weights() {
    for (weights, shares) in [([1.0, 1.0], [0.5, 0.5]), ([1.0, 0.25], [0.8, 0.2]), ([10.0, 1.0], [0.909, 0.091])] {
        let mut sim = Sim::new(600, &[(10e6, 10), (10e6, 10)]);
        for (path, weight) in weights.into_iter().enumerate() {
            sim.plan.set_weight(path, weight, sim.now);
        }
        sim.run(|_| ());
        let done: Vec<f64> = sim.plan.views(sim.now).iter().map(|v| f64::from(v.done) / 600.0).collect();
        for (is, wanted) in done.iter().zip(shares) {
            assert!((is - wanted).abs() < 0.03, "{weights:?}: {done:?}");
        }
    }
    // Weights are relative: without the path that weighs more, the other one works as it can.
    let mut sim = Sim::new(200, &[(10e6, 10), (10e6, 10)]);
    sim.plan.set_weight(1, 0.1, sim.now);
    sim.plan.set_enabled(0, false, sim.now);
    let took = sim.run(|_| ());
    assert!(took < (200 * MIB) as f64 / 10e6 / 0.95, "{took}");
}

#[test]
fn one_path_retries_and_then_gives_up_with_what_it_has() {
    let mut now = Instant::now();
    let mut plan = Plan::new(PlanConfig { gives_up: true, ..config(8) }, Bitmap::empty(1), now);
    plan.add_path(Some(ms(1)), now);
    for seconds in [1, 2, 4] {
        let a = plan.next(now).unwrap();
        assert_eq!(plan.on_failure(0, a.segment, Failure::Broken, 0.5, now), Verdict::Again);
        now += Duration::from_secs(seconds) - ms(1);
        assert_eq!(plan.next(now), None);
        assert!(plan.next_timer(now) <= now + ms(1));
        now += ms(1);
    }
    let a = plan.next(now).unwrap();
    assert_eq!(plan.on_failure(0, a.segment, Failure::Broken, 0.5, now), Verdict::GiveUp);
    plan.check();
}

#[test]
fn a_busy_receiver_is_left_alone_for_as_long_as_it_says() {
    let now = Instant::now();
    let mut plan = Plan::new(config(8), Bitmap::empty(10), now);
    plan.add_path(Some(ms(1)), now);
    let a = plan.next(now).unwrap();
    plan.on_failure(0, a.segment, Failure::Busy(Some(Duration::from_secs(7))), 0.5, now);
    assert_eq!(plan.next(now + ms(6_900)), None);
    assert_eq!(plan.next(now + ms(7_000)).map(|again| again.segment), Some(a.segment));
}

#[test]
fn what_the_receiver_lacks_after_all_is_sent_again() {
    let now = Instant::now();
    let mut plan = Plan::new(config(8), Bitmap::full(5), now);
    plan.add_path(Some(ms(1)), now);
    assert!(plan.is_done());
    plan.on_missing([3, 77]);
    plan.check();
    assert_eq!(plan.next(now).unwrap().segment, 3);
}

proptest! {
    /// Whatever happens in whatever order: no segment is lost, none counts twice.
    #[test]
    fn never_loses_or_doubles_a_segment(
        segments in 1u32..40,
        held in prop::collection::vec(0u32..40, 0..10),
        paths in 1usize..5,
        gives_up in any::<bool>(),
        steps in prop::collection::vec((0u8..17, any::<prop::sample::Index>(), 0u64..4_000), 0..300)
    ) {
        let mut now = Instant::now();
        let mut map = Bitmap::empty(segments);
        held.iter().filter(|s| **s < segments).for_each(|s| { map.set(*s); });
        let mut plan = Plan::new(PlanConfig { gives_up, ..config(16) }, map, now);
        for n in 0..paths {
            plan.add_path((n % 3 != 2).then(|| ms(n as u64 * 30)), now);
        }
        let mut flying: Vec<(PathId, u32)> = Vec::new();
        let mut news = vec![0u32; segments as usize];
        plan.held().ones().for_each(|s| news[s as usize] += 1);
        for (what, which, wait) in steps {
            now += ms(wait / 4);
            let path = which.index(paths);
            match what {
                0..=3 => {
                    if let Some(a) = plan.next(now) {
                        prop_assert!(!flying.contains(&(a.path, a.segment)), "twice over one path");
                        prop_assert!(!plan.held().get(a.segment), "sent for nothing");
                        flying.push((a.path, a.segment));
                    }
                }
                4..=6 if !flying.is_empty() => {
                    let (path, segment) = flying.swap_remove(which.index(flying.len()));
                    news[segment as usize] += u32::from(plan.on_held(path, segment, MIB, ms(wait), now));
                }
                7 if !flying.is_empty() => {
                    let (path, segment) = flying.swap_remove(which.index(flying.len()));
                    let kind = [Failure::Broken, Failure::Answered, Failure::Busy(Some(ms(wait)))][path % 3];
                    plan.on_failure(path, segment, kind, 0.3, now);
                }
                8 => plan.kill(path, "for the test", 0.5, now),
                9 => plan.on_probe(path, (wait % 2 == 0).then(|| ms(wait)), 0.5, now),
                10 => { plan.due_probe(now); }
                11 => plan.set_enabled(path, false, now),
                12 | 13 => plan.set_enabled(path, true, now),
                14 => plan.set_weight(path, 0.1 * wait as f64, now),
                15 if !flying.is_empty() => {
                    let (path, segment) = flying[which.index(flying.len())];
                    plan.on_handed(path, segment);
                }
                _ => plan.tick(0.5, now),
            }
            for gone in plan.take_aborts() {
                flying.retain(|flight| *flight != gone);
            }
            plan.check();
        }
        let enabled = plan.views(now).iter().any(|view| view.enabled);
        prop_assert_eq!(plan.is_switched_off(), !enabled);
        if !enabled {
            prop_assert!(plan.next(now).is_none() && plan.views(now).iter().all(|v| v.active + v.queued == 0));
        }
        // All paths come back and may work: it ends.
        (0..paths).for_each(|path| plan.set_enabled(path, true, now));
        for _ in 0..10_000 {
            if plan.is_done() { break; }
            now += ms(200);
            plan.tick(0.5, now);
            (0..paths).for_each(|path| plan.on_probe(path, Some(ms(5)), 0.5, now));
            while let Some(a) = plan.next(now) { flying.push((a.path, a.segment)); }
            for (path, segment) in std::mem::take(&mut flying) {
                news[segment as usize] += u32::from(plan.on_held(path, segment, MIB, ms(5), now));
            }
            plan.take_aborts();
            plan.check();
        }
        prop_assert!(plan.is_done(), "{plan:?}");
        prop_assert!(news.iter().all(|n| *n == 1), "{news:?}");
    }
}
