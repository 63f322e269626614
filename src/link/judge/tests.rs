use std::sync::Arc;
use std::time::Duration;

use LinkClass::{Broadband, Fiber, Intermittent, Mobile, Satellite, Unknown};
use proptest::prelude::*;

use super::simulation::{Link, World, link};
use super::*;

const FIBER: Link = link(480.0, 2.1, 0.0);
const BROADBAND: Link = link(48.0, 20.0, 0.0);
const MOBILE: Link = Link { noise: 0.15, ..link(4.8, 80.0, 0.5) };
/// Its latency is just where a change takes place, 20 % past the threshold; its bandwidth is past it.
const SATELLITE: Link = Link { noise: 0.02, ..link(0.77, 602.0, 1.0) };
const LOSSY: Link = link(1.9, 100.0, 30.0);
const OUTAGES: Link = Link { up_down: (6.0, 4.0), ..link(1.9, 100.0, 0.0) };

fn seconds(at: u64) -> Duration {
    Duration::from_secs(at)
}

#[test]
fn every_profile_becomes_its_class_within_ten_seconds_and_stays() {
    for (link, class) in [(FIBER, Fiber), (BROADBAND, Broadband), (MOBILE, Mobile), (SATELLITE, Satellite)] {
        for seed in 0..20 {
            let mut world = World::new(link, seed);
            world.run(300.0);
            let [(at, first)] = world.changes[..] else { panic!("{class:?}: {:?}", world.changes) };
            assert!(first == class && at < seconds(10), "{class:?}: {first:?} after {at:?}");
        }
    }
}

#[test]
fn looking_costs_at_most_its_share_of_any_minute() {
    for link in [FIBER, BROADBAND, MOBILE, SATELLITE, LOSSY, OUTAGES, super::simulation::link(0.3, 300.0, 0.0)] {
        for seed in 0..5 {
            let mut world = World::new(link, seed);
            world.run(200.0);
            let minute = |from: Duration| -> u64 {
                world
                    .spent
                    .iter()
                    .filter(|(at, _)| *at >= from && *at < from + seconds(60))
                    .map(|(_, bytes)| bytes)
                    .sum()
            };
            let worst = world.spent.iter().map(|(at, _)| minute(*at)).max().unwrap();
            let allowed = (link.mbps * 1e6 / 8.0 * 60.0 * 0.05) as u64;
            assert!(worst <= allowed, "{link:?}: {worst} bytes in a minute, {allowed} are allowed");
        }
    }
}

/// ≥ 98 % of the time after the first ten seconds.
#[test]
fn a_link_that_comes_and_goes_is_intermittent_all_the_while() {
    for (link, from) in [(LOSSY, 10.0), (OUTAGES, 10.0)] {
        let (mut held, mut all) = (0, 0);
        for seed in 0..20 {
            let mut world = World::new(link, seed);
            world.run(from);
            for _ in 0..600 {
                world.run(0.2);
                held += u32::from(world.judge.class() == Intermittent);
                all += 1;
            }
        }
        assert!(f64::from(held) >= 0.98 * f64::from(all), "{link:?}: {held} of {all}");
    }
}

/// Each of the 20 ordered changes, at any moment of the monitor's second: at p95, since what is lost is luck.
#[test]
fn a_change_is_published_within_five_seconds() {
    let links =
        [(FIBER, Fiber), (BROADBAND, Broadband), (MOBILE, Mobile), (SATELLITE, Satellite), (LOSSY, Intermittent)];
    let mut phases = fastrand::Rng::with_seed(5);
    for (from, was) in links {
        for (to, is) in links.into_iter().filter(|(_, class)| *class != was) {
            let mut took = Vec::new();
            for seed in 0..60 {
                let mut world = World::new(from, seed);
                world.run(40.0 + 5.0 * phases.f64());
                assert_eq!(world.judge.class(), was);
                let changed = world.now;
                world.becomes(to);
                world.run(30.0);
                assert_eq!(world.judge.class(), is, "{was:?} → {is:?}: {:?}", world.changes);
                took.push(world.settled(changed).map_or(Duration::MAX, |at| at - changed));
            }
            took.sort_unstable();
            let p95 = took[took.len() * 95 / 100];
            assert!(p95 <= seconds(5), "{was:?} → {is:?}: p95 {p95:?}, median {:?}", took[took.len() / 2]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A link that falls silent, and comes back as another one.
    #[test]
    fn silence_and_its_end_are_published_within_five_seconds(seed in any::<u64>(), phase in 0.0f64..5.0) {
        let links = [(FIBER, Fiber), (BROADBAND, Broadband), (MOBILE, Mobile), (SATELLITE, Satellite)];
        for (from, was) in links {
            let mut world = World::new(from, seed);
            world.run(40.0 + phase);
            let cut = world.now;
            world.becomes(Link { up_down: (0.0, 1e9), ..from });
            world.run(5.0);
            prop_assert_eq!(world.judge.class(), Intermittent, "{:?}, silent for 5 s from {:?}", was, cut);
            world.run(7.0);
            for (to, is) in links.into_iter().filter(|(_, class)| *class != was) {
                let mut world = World::new(from, seed);
                world.run(40.0 + phase);
                world.becomes(Link { up_down: (0.0, 1e9), ..from });
                world.run(12.0 + phase);
                let back = world.now;
                world.becomes(to);
                world.run(20.0);
                let settled = world.settled(back).map_or(Duration::MAX, |at| at - back);
                prop_assert!(world.judge.class() == is && settled <= seconds(5), "{was:?} → {is:?} {settled:?} {:?}", world.changes);
            }
        }
    }

    /// ± 15 % around any threshold for ten minutes: the class is not changed (but for the first one, which is a guess).
    #[test]
    fn jitter_around_a_threshold_changes_nothing(seed in any::<u64>(), edge in 0usize..6, from_below in any::<bool>()) {
        let around = [link(1.0, 100.0, 0.0), link(10.0, 30.0, 0.0), link(100.0, 5.0, 0.0), link(200.0, 10.0, 0.0), link(50.0, 50.0, 0.0), link(20.0, 500.0, 0.0)];
        let around = Link { noise: 0.15, ..around[edge] };
        let scale = if from_below { 0.6 } else { 1.6 };
        let clear = match edge {
            0..3 => Link { mbps: around.mbps * scale, ..around },
            _ => Link { latency_ms: around.latency_ms * scale, ..around },
        };
        let mut world = World::new(Link { noise: 0.05, ..clear }, seed);
        world.run(40.0);
        let class = world.judge.class();
        world.becomes(around);
        world.run(600.0);
        prop_assert_eq!(world.judge.class(), class);
        prop_assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    }
}

/// The same of the rate alone, where every second has another one and measuring it is as far off again.
#[test]
fn a_rate_that_wavers_and_is_measured_roughly_changes_nothing() {
    let mut moved = Vec::new();
    // What is slow is measured by few packets.
    for (around, noise) in [(link(1.0, 80.0, 0.0), 0.15), (link(10.0, 30.0, 0.0), 0.1), (link(100.0, 5.0, 0.0), 0.1)] {
        for seed in 0..20 {
            let around = Link { noise, wavers: 0.15, ..around };
            let mut world = World::new(around, seed);
            world.run(40.0);
            let before = world.changes.len();
            world.run(600.0);
            moved.extend((world.changes.len() > before).then(|| (around.mbps, seed, world.changes[before..].to_vec())));
        }
    }
    assert!(moved.is_empty(), "{moved:?}");
}

/// A rate that falls or rises alone, with the round trip as it was: seen when something is measured next, and measured thrice
/// then. What was slow is measured less often.
#[test]
fn a_rate_that_becomes_another_one_alone_is_noticed() {
    let cases = [(4.8, 0.5, Satellite, 10), (0.5, 4.8, Mobile, 40), (48.0, 5.0, Mobile, 5), (5.0, 48.0, Broadband, 10)];
    for (from, to, is, within) in cases {
        for seed in 0..20 {
            let link = link(from, 30.0, 0.0);
            let mut world = World::new(link, seed);
            world.run(90.0);
            let before = world.now;
            world.becomes(Link { mbps: to, ..link });
            world.run(60.0);
            let took = world.settled(before).map_or(Duration::MAX, |at| at - before);
            assert!(
                world.judge.class() == is && took <= seconds(within),
                "{from} → {to}: {took:?}, {:?}",
                world.changes
            );
        }
    }
}

/// Comes and goes, is back for a moment, and then it is another link. One whose round trip is much the same is told by its
/// bandwidth, when the budget lets that be measured again.
#[test]
fn a_link_that_becomes_another_one_while_it_is_not_believed_yet_is_published_within_five_seconds() {
    for (to, is, within) in
        [(FIBER, Fiber, 5), (BROADBAND, Broadband, 5), (MOBILE, Mobile, 15), (SATELLITE, Satellite, 5)]
    {
        for seed in 0..20 {
            let mut world = World::new(OUTAGES, seed);
            // In the second, third … half of a time in which it works.
            world.run(40.0 + 1.0 + f64::from(u32::try_from(seed).unwrap() % 10) / 2.0);
            assert_eq!(world.judge.class(), Intermittent);
            let changed = world.now;
            world.becomes(to);
            world.run(20.0);
            let settled = world.settled(changed).map_or(Duration::MAX, |at| at - changed);
            assert!(world.judge.class() == is && settled <= seconds(within), "{is:?}: {settled:?} {:?}", world.changes);
        }
    }
}

/// Confirmations meet the same crest of a wave; who measures some percent wrong is past the margin then.
#[test]
fn a_crest_that_is_measured_three_times_changes_nothing() {
    let mut judge = judge_of(96.0, 2.0, 30);
    assert_eq!(judge.class(), Broadband);
    for tenth in 1..=5 {
        let at = seconds(30) + Duration::from_millis(400) * tenth;
        assert_eq!(judge.on_sample(at, sample(at, 122.0, 2.0)), Outcome::default());
    }
    // It stays there: the median follows.
    for at in 33..70 {
        judge.on_sample(seconds(at), sample(seconds(at), 122.0, 2.0));
    }
    assert_eq!(judge.class(), Fiber);
}

/// The first body over a link that became another one came at the rate of a connection, not of the link.
#[test]
fn a_figure_that_the_next_one_contradicts_does_not_count() {
    let mut judge = judge_of(0.77, 600.0, 30);
    let figure = |at, mbps, over| Sample { over: Duration::from_millis(over), ..sample(at, mbps, 2.0) };
    let at = |tenth| seconds(30) + Duration::from_millis(100) * tenth;
    judge.on_sample(at(1), figure(at(1), 5.0, 400));
    judge.on_sample(at(3), figure(at(3), 484.0, 30));
    for tenth in [5, 7, 9, 20] {
        judge.on_sample(at(tenth), Sample { bandwidth_mbps: None, ..sample(at(tenth), 0.0, 2.0) });
    }
    assert_eq!((judge.class(), judge.median().bandwidth_mbps), (Fiber, Some(484.0)), "{}", judge.why());
    for tenth in [30, 40, 50, 60] {
        let outcome = judge.on_sample(at(tenth), Sample { bandwidth_mbps: None, ..sample(at(tenth), 0.0, 2.0) });
        assert_eq!(outcome.changed, None);
    }
}

fn sample(at: Duration, mbps: f64, latency: f64) -> Sample {
    Sample { at, bandwidth_mbps: Some(mbps), latency_ms: Some(latency), echoes: 10, echoed: 10, ..Sample::default() }
}

fn judge_of(mbps: f64, latency: f64, samples: u64) -> Judge {
    let mut judge = Judge::new(Arc::new(LinkConfig::default()));
    for at in 1..=samples {
        judge.on_asked(seconds(at));
        judge.on_sample(seconds(at), sample(seconds(at), mbps, latency));
    }
    judge
}

#[test]
fn below_three_samples_a_link_is_unknown() {
    let judge = judge_of(48.0, 20.0, 2);
    assert_eq!(judge.class(), Unknown);
    let pending = judge.pending().unwrap();
    assert_eq!((pending.class, pending.samples, pending.needed), (Broadband, 2, 3));
    assert_eq!(judge_of(48.0, 20.0, 3).class(), Broadband);
}

#[test]
fn a_change_is_counted_down_and_the_old_samples_are_another_links() {
    let mut judge = judge_of(48.0, 20.0, 20);
    let mut counted = Vec::new();
    for n in 1..=3 {
        let at = seconds(20) + Duration::from_millis(300) * n;
        let outcome = judge.on_sample(at, sample(at, 0.7, 620.0));
        counted.push((judge.pending().map(|pending| pending.samples), outcome.changed));
    }
    assert_eq!(counted, [(Some(1), None), (Some(2), None), (None, Some((Broadband, Satellite)))]);
    assert_eq!(judge.samples(), 3);
    assert_eq!(judge.median().bandwidth_mbps, Some(0.7));
    assert_eq!(judge.why(), "0.7 Mbit/s, under 1 Mbit/s");
}

#[test]
fn one_odd_sample_is_looked_into_and_forgotten() {
    let mut judge = judge_of(48.0, 20.0, 20);
    let at = seconds(21);
    assert_eq!(judge.on_sample(at, sample(at, 0.7, 620.0)).confirm, Confirm::Life);
    assert!(judge.pending().is_some());
    let at = seconds(22);
    assert_eq!(judge.on_sample(at, sample(at, 48.0, 20.0)), Outcome::default());
    assert!(judge.pending().is_none());
}

#[test]
fn a_change_for_the_better_takes_its_time() {
    let mut judge = judge_of(4.0, 80.0, 20);
    for n in 1..=3 {
        let at = seconds(20) + Duration::from_millis(200) * n;
        assert_eq!(judge.on_sample(at, sample(at, 400.0, 2.0)).changed, None);
    }
    let at = seconds(22);
    assert_eq!(judge.on_sample(at, sample(at, 400.0, 2.0)).changed, Some((Mobile, Fiber)));
}

#[test]
fn our_own_queue_is_not_the_links_latency() {
    let mut judge = judge_of(48.0, 20.0, 20);
    for at in 21..120 {
        let now = seconds(at);
        let full =
            PassiveSample { alive: true, delivery_mbps: Some(47.0), rtt_ms: Some(900.0), ..PassiveSample::default() };
        assert_eq!(judge.on_passive(now, 0, full).changed, None);
        // A probe in a full queue: late, lossy, and only a share.
        let probe = Sample { echoed: 6, ..sample(now, 3.0, 900.0) };
        assert_eq!(judge.on_sample(now, probe).changed, None);
    }
    assert_eq!(judge.class(), Broadband);
    let median = judge.median();
    assert_eq!((median.bandwidth_mbps, median.latency_ms), (Some(47.0), Some(20.0)));
    assert_eq!(median.loss_percent, None, "nothing that was not our own doing: {median:?}");
}

#[test]
fn a_link_that_gets_worse_under_a_transfer_is_noticed_by_what_it_delivers() {
    let mut judge = judge_of(480.0, 2.0, 20);
    let mut changed = None;
    for tenth in 0..50 {
        let now = seconds(21) + Duration::from_millis(500) * tenth;
        let thin = PassiveSample { alive: true, delivery_mbps: Some(0.7), ..PassiveSample::default() };
        changed = changed.or(judge.on_passive(now, 0, thin).changed.map(|change| (now, change)));
    }
    let (at, change) = changed.unwrap();
    assert_eq!(change, (Fiber, Satellite));
    assert!(at <= seconds(26), "{at:?}");
}

#[test]
fn a_link_that_becomes_a_satellite_under_a_transfer_is_one_within_five_seconds() {
    let mut judge = judge_of(480.0, 2.0, 20);
    let transfer = |mbps| PassiveSample { alive: true, delivery_mbps: Some(mbps), ..PassiveSample::default() };
    for at in 21..25 {
        assert_eq!(judge.on_passive(seconds(at), 0, transfer(470.0)).changed, None);
    }
    // Probes come back behind a queue, as they would on the old link, between what the transfer tells.
    let mut changed = None;
    for quarter in 1..=20 {
        let now = seconds(25) + Duration::from_millis(250) * quarter;
        if quarter % 4 == 0 {
            changed = changed.or(judge.on_passive(now, 0, transfer(3.9)).changed.map(|change| (now, change)));
        }
        let probe = Sample { bandwidth_mbps: None, ..sample(now, 0.0, 608.0) };
        changed = changed.or(judge.on_sample(now, probe).changed.map(|change| (now, change)));
    }
    let (at, change) = changed.unwrap();
    assert_eq!(change, (Fiber, Satellite), "at once, and not by way of mobile");
    assert!(at <= seconds(29), "{at:?}");
}

/// What is under way on the old link fills the queue of the new one: probes do not come back in their time.
#[test]
fn probes_that_wait_behind_a_transfer_show_that_it_is_far() {
    let far = |at: u64, waited| Sample { at: seconds(at), failed: true, behind_ms: waited, ..Sample::default() };
    let transfer = PassiveSample { alive: true, delivery_mbps: Some(3.8), ..PassiveSample::default() };
    let mut judge = judge_of(480.0, 2.0, 20);
    for at in 21..24 {
        assert_eq!(judge.on_sample(seconds(at), far(at, Some(1_000.0))).changed, None);
        let changed = judge.on_passive(seconds(at), 0, transfer).changed;
        assert_eq!(changed, (at == 23).then_some((Fiber, Satellite)), "{at} s");
    }
    // Who refused at once waited for nothing, and whoever hears nothing of the latency waits for it a moment.
    let mut judge = judge_of(480.0, 2.0, 20);
    for at in 21..=24 {
        assert_eq!(judge.on_sample(seconds(at), far(at, None)).changed, None);
        let changed = judge.on_passive(seconds(at), 0, transfer).changed;
        assert_eq!(changed, (at == 24).then_some((Fiber, Mobile)), "{at} s");
        let waits = judge.pending().is_some_and(|pending| pending.why == "the latency is being measured");
        assert_eq!(waits, at == 23, "{:?}", judge.pending());
    }
    // Where the bandwidth says enough, nothing is waited for.
    let mut judge = judge_of(480.0, 2.0, 20);
    let trickle = PassiveSample { delivery_mbps: Some(0.4), ..transfer };
    let changes: Vec<_> = (21..24).map(|at| judge.on_passive(seconds(at), 0, trickle).changed).collect();
    assert_eq!(changes, [None, None, Some((Fiber, Satellite))]);
}

#[test]
fn a_bandwidth_belongs_to_its_signs_of_life_whatever_transfers_tell_in_between() {
    let mut judge = judge_of(48.0, 20.0, 20);
    let life = Sample { bandwidth_mbps: None, ..sample(seconds(21), 0.0, 20.0) };
    judge.on_sample(seconds(21), life);
    let full = PassiveSample { alive: true, delivery_mbps: Some(40.0), ..PassiveSample::default() };
    judge.on_passive(seconds(21), 0, full);
    let samples = judge.samples();
    judge.on_bandwidth(seconds(22), Sample { bandwidth_mbps: Some(49.0), ..Sample::default() });
    let newest = judge.newest().unwrap();
    assert_eq!((newest.at, newest.latency_ms, newest.bandwidth_mbps), (seconds(22), Some(20.0), Some(49.0)));
    assert_eq!(judge.samples(), samples);
}

#[test]
fn a_transfer_that_begins_is_heard_of_before_its_queue_is_taken_for_the_link() {
    let mut judge = judge_of(480.0, 2.0, 20);
    let idle = PassiveSample { alive: true, app_limited: true, ..PassiveSample::default() };
    assert_eq!(judge.on_passive(seconds(21), 0, idle).changed, None);
    for tenth in 1..=8 {
        let now = seconds(21) + Duration::from_millis(100) * tenth;
        assert_eq!(judge.on_sample(now, sample(now, 480.0, 18.0)).changed, None, "{now:?}");
    }
    let full = PassiveSample { alive: true, delivery_mbps: Some(470.0), ..PassiveSample::default() };
    for at in 22..40 {
        assert_eq!(judge.on_passive(seconds(at), 0, full).changed, None);
        assert_eq!(judge.on_sample(seconds(at), sample(seconds(at), 20.0, 18.0)).changed, None);
    }
    assert_eq!(judge.median().latency_ms, Some(2.0));
    // One that sends in bursts does not fill it, and has a queue of its own all the same.
    let mut judge = judge_of(480.0, 2.0, 20);
    let bursts = PassiveSample { app_limited: true, delivery_mbps: Some(300.0), ..full };
    for at in 21..60 {
        assert_eq!(judge.on_sample(seconds(at), sample(seconds(at), 450.0, 18.0)).changed, None);
        let soon = seconds(at) + Duration::from_millis(100);
        assert_eq!(judge.on_passive(soon, 0, bursts).changed, None);
        assert_eq!(judge.on_sample(soon, sample(soon, 450.0, 18.0)).changed, None);
    }
    assert_eq!((judge.class(), judge.median().latency_ms), (Fiber, Some(2.0)));
    // Without a transfer it is the link's.
    let mut judge = judge_of(480.0, 2.0, 20);
    judge.on_passive(seconds(21), 0, idle);
    let changed: Vec<_> = (1..=20)
        .filter_map(|tenth| {
            let now = seconds(21) + Duration::from_millis(100) * tenth;
            judge.on_sample(now, sample(now, 480.0, 18.0)).changed
        })
        .collect();
    assert_eq!(changed, [(Fiber, Broadband)]);
}

#[test]
fn a_transfer_that_idles_says_nothing_of_the_bandwidth() {
    let mut judge = judge_of(480.0, 2.0, 20);
    for at in 21..60 {
        let slow =
            PassiveSample { alive: true, app_limited: true, delivery_mbps: Some(0.1), ..PassiveSample::default() };
        assert_eq!(judge.on_passive(seconds(at), 0, slow).changed, None);
    }
    assert!(!judge.is_busy(seconds(60)));
}

#[test]
fn silence_counts_only_where_somebody_listened() {
    let mut judge = judge_of(48.0, 20.0, 20);
    // The machine was busy, or asleep: no look, no silence.
    assert_eq!(judge.on_tick(seconds(3600)).changed, None);
    for _ in 0..3 {
        judge.on_asked(seconds(3602));
    }
    assert_eq!(judge.on_tick(seconds(3603)).changed, Some((Broadband, Intermittent)));
    assert_eq!(judge.why(), "no answer for more than 2 intervals");
}

/// A look whose datagrams came back at once and whose exchange never did: the link is silent since then, and was asked.
#[test]
fn silence_counts_from_the_last_answer() {
    let mut judge = judge_of(48.0, 20.0, 20);
    judge.on_asked(seconds(21));
    let late = Duration::from_millis(900);
    judge.on_sample(seconds(22), Sample { late, ..sample(seconds(22), 48.0, 20.0) });
    assert_eq!(judge.falls_silent(), None, "it was asked once");
    judge.on_asked(seconds(22));
    assert_eq!(judge.falls_silent(), None);
    judge.on_asked(seconds(23));
    let at = judge.falls_silent().unwrap();
    assert_eq!(at, seconds(22) - late + seconds(2) + Duration::from_millis(300));
    judge.on_asked(seconds(24));
    assert_eq!(
        judge.falls_silent(),
        Some(seconds(24) + Duration::from_millis(300)),
        "the newest may have an answer, too"
    );
    let at = seconds(24) + Duration::from_millis(300);
    assert_eq!(judge.on_tick(at - Duration::from_millis(1)).changed, None);
    assert_eq!(judge.on_tick(at).changed, Some((Broadband, Intermittent)));
    assert_eq!(judge.falls_silent(), None, "it did");
}

/// A node that is gone from a machine that is there: each look is refused before the next one begins, and far from here.
#[test]
fn looks_that_are_refused_put_no_silence_off() {
    let mut judge = judge_of(4.0, 1_100.0, 20);
    for at in 21..=24 {
        assert_eq!(judge.on_tick(seconds(at)).changed, None, "at {at}");
        judge.on_asked(seconds(at));
        let failed = Sample { at: seconds(at), failed: true, ..Sample::default() };
        let outcome = judge.on_sample(seconds(at) + Duration::from_millis(500), failed);
        let is_silent = outcome.changed == Some((Satellite, Intermittent));
        assert_eq!(is_silent, at == 23, "at {at}: {outcome:?}");
        if is_silent {
            return;
        }
    }
    panic!("it stays {:?}", judge.class());
}

/// Of a body that came while the link changed nobody knows what it was measured over.
#[test]
fn a_bandwidth_of_the_moment_of_change_is_none() {
    let mut judge = judge_of(0.77, 602.0, 20);
    let life = |at, latency| Sample { bandwidth_mbps: None, ..sample(at, 0.0, latency) };
    let at = |tenth| seconds(21) + Duration::from_millis(100) * tenth;
    judge.on_sample(at(0), life(at(0), 352.0));
    judge.on_bandwidth(at(1), sample(at(1), 9.6, 0.0));
    for tenth in [2, 3, 4] {
        let outcome = judge.on_sample(at(tenth), life(at(tenth), 20.0));
        assert_eq!((outcome.confirm, outcome.changed), (Confirm::Bandwidth, None), "{:?}", judge.pending());
    }
    judge.on_bandwidth(at(5), sample(at(5), 48.0, 0.0));
    assert_eq!(judge.on_sample(at(16), life(at(16), 20.0)).changed, Some((Satellite, Broadband)));
}

#[test]
fn the_walls_clock_decides_nothing() {
    let mut judge = judge_of(48.0, 20.0, 20);
    for at in 21..40 {
        let wall_ms = if at % 2 == 0 { 3_600_000 } else { 0 };
        let jumped = Sample { wall_ms, ..sample(seconds(at), 48.0, 20.0) };
        assert_eq!(judge.on_sample(seconds(at), jumped), Outcome::default());
    }
    assert_eq!(judge.samples(), 31, "a window of 30 s, both ends in it");
}

#[test]
fn old_samples_leave_the_window_and_the_last_figures_stay() {
    let mut judge = judge_of(48.0, 20.0, 20);
    assert!(!judge.is_stale(seconds(21)));
    judge.on_tick(seconds(100));
    assert_eq!(judge.samples(), 0);
    assert!(judge.is_stale(seconds(100)));
    assert_eq!(judge.median().bandwidth_mbps, Some(48.0));
    let failed = Sample { at: seconds(101), failed: true, ..Sample::default() };
    assert_eq!(judge.on_sample(seconds(101), failed).changed, None);
    assert!(judge.is_stale(seconds(101)));
}

#[test]
fn the_operators_word_stands_and_what_is_measured_is_told() {
    let mut judge = judge_of(48.0, 20.0, 20);
    assert_eq!(judge.force(Some(Satellite)).changed, Some((Broadband, Satellite)));
    assert!(judge.is_forced());
    for at in 21..60 {
        assert_eq!(judge.on_sample(seconds(at), sample(seconds(at), 4.0, 80.0)).changed, None);
    }
    assert_eq!((judge.class(), judge.measured_class()), (Satellite, Mobile));
    assert!(judge.why().starts_with("set by the operator; measured: mobile, "), "{}", judge.why());
    assert_eq!(judge.force(None).changed, Some((Satellite, Mobile)));
}

#[test]
fn a_link_that_is_back_as_it_was_has_to_hold() {
    let mut world = World::new(MOBILE, 1);
    world.run(40.0);
    world.becomes(Link { up_down: (0.0, 1e9), ..MOBILE });
    world.run(8.0);
    world.becomes(MOBILE);
    let back = world.now;
    world.run(20.0);
    let settled = world.settled(back).unwrap() - back;
    assert!(world.judge.class() == Mobile && settled > seconds(8) && settled < seconds(14), "{settled:?}");
}

/// Any change after any other, before the minute of the budget is over. What comes and goes becomes another link while it is
/// there.
#[test]
fn changes_that_follow_one_another_are_published_within_five_seconds() {
    for (bad, pause) in [(LOSSY, 13.0), (LOSSY, 8.0), (OUTAGES, 13.0), (OUTAGES, 8.0)] {
        let links =
            [(FIBER, Fiber), (BROADBAND, Broadband), (MOBILE, Mobile), (SATELLITE, Satellite), (bad, Intermittent)];
        let (mut late, mut all) = (Vec::new(), 0);
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut at = rng.usize(0..5);
            let mut world = World::new(links[at].0, seed);
            world.run(15.0);
            for _ in 0..20 {
                let was = links[at].1;
                at = (at + rng.usize(1..5)) % 5;
                let (link, is) = links[at];
                world.becomes(link);
                // An outage shows when it begins.
                let from =
                    world.now + if link.up_down.1 > 0.0 { seconds(link.up_down.0 as u64) } else { Duration::ZERO };
                while world.judge.class() != is && world.now < from + seconds(30) {
                    world.run(0.1);
                }
                assert_eq!(world.judge.class(), is, "from {was:?}: {:?}", world.changes);
                let took = world.now.saturating_sub(from);
                all += 1;
                late.extend((took > seconds(5)).then_some((was, is, took)));
                world.run(pause + rng.f64());
                let is_there = link.up_down.1 > 0.0 || world.judge.class() == is;
                assert!(is_there, "from {was:?}, and it stays that: {:?}", world.changes);
                while !world.is_up() {
                    world.run(0.1);
                }
            }
        }
        assert!(late.len() * 50 <= all, "{bad:?} {pause}: of {all}: {late:?}");
    }
}
