use proptest::prelude::*;

use super::*;

fn figures(cpu: f64, memory: f64, connections: u64, latency: f64) -> Figures {
    Figures { cpu_percent: cpu, memory_percent: memory, active_connections: connections, average_latency_ms: latency }
}

fn pool(reports: &[(&str, Option<Figures>)]) -> ResourceAware {
    let mut pool = ResourceAware::default();
    for (name, report) in reports {
        let mut health = Health::new(0, true);
        if let Some(figures) = report {
            health.on_report(*figures, 0);
        }
        pool.add(name, health);
    }
    pool
}

fn count(pool: &mut ResourceAware, now: u64, times: u32) -> BTreeMap<Arc<str>, f64> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(pool.choose(now, |_| true, || rng.u64(..)).unwrap()).or_insert(0.0) += 1.0 / f64::from(times);
    }
    counts
}

#[test]
fn a_score_is_its_four_terms() {
    let pool = pool(&[("a", Some(figures(40.0, 10.0, 2_500, 250.0)))]);
    let score = pool.standing("a", 0).unwrap().score;
    let near = |is: f64, should: f64| assert!((is - should).abs() < 1e-12, "{is} instead of {should}");
    near(score.cpu, 0.18);
    near(score.memory, 0.27);
    near(score.connections, 0.15);
    near(score.latency, 0.15);
    near(score.total, 0.75);
}

#[test]
fn who_is_over_a_limit_is_excluded_with_a_reason() {
    let pool = pool(&[
        ("busy", Some(figures(96.2, 0.0, 0, 0.0))),
        ("crowded", Some(figures(0.0, 0.0, 10_001, 0.0))),
        ("fine", Some(figures(90.0, 90.0, 10_000, 5_000.0))),
        ("full", Some(figures(0.0, 91.4, 0, 0.0))),
    ]);
    let why = |node: &str| pool.standing(node, 0).unwrap().excluded;
    assert_eq!(why("busy").unwrap(), "CPU at 96 %, above 90 %");
    assert_eq!(why("full").unwrap(), "memory at 91 %, above 90 %");
    assert_eq!(why("crowded").unwrap(), "10001 connections, above 10000");
    assert_eq!(why("fine"), None, "at the limit is not above it");
    assert_eq!(pool.chances(0, |_| true), [("fine".into(), 1.0)]);
}

#[test]
fn without_a_report_of_late_the_score_is_neutral() {
    let mut pool = pool(&[("old", Some(figures(99.0, 0.0, 0, 0.0))), ("silent", None)]);
    assert!(pool.standing("old", 30_000).unwrap().excluded.is_some());
    for node in ["old", "silent"] {
        let standing = pool.standing(node, 30_001).unwrap();
        assert!(standing.stale && standing.excluded.is_none());
        assert_eq!(standing.score, Score { total: 0.5, ..Score::default() });
    }
    // All stale: still chosen, with equal chances.
    assert!(pool.chances(30_001, |_| true).iter().all(|(_, chance)| *chance == 0.5));
    assert!(pool.choose(30_001, |_| true, || 0).is_ok());
}

#[test]
fn where_all_are_excluded_all_are_candidates() {
    let mut pool = pool(&[("a", Some(figures(95.0, 0.0, 0, 0.0))), ("b", Some(figures(99.0, 0.0, 0, 0.0)))]);
    assert_eq!(pool.chances(0, |_| true).len(), 2);
    pool.health_mut("a").unwrap().drained = true;
    assert_eq!(pool.chances(0, |_| true), [("b".into(), 1.0)], "the drained one comes after excluded ones");
    pool.health_mut("b").unwrap().drained = true;
    assert_eq!(pool.chances(0, |_| true).len(), 2, "and is better than none");
}

#[test]
fn no_nodes_is_an_error() {
    assert_eq!(ResourceAware::default().choose(0, |_| true, || 1), Err(NoNodes));
    assert_eq!(pool(&[("a", None)]).choose(0, |_| false, || 1), Err(NoNodes));
}

#[test]
fn all_zero_means_equal_chances() {
    let zero = Some(figures(90.0, 90.0, 10_000, 1_000.0));
    let mut none = pool(&[("a", zero), ("b", zero)]);
    none.limits.weights = [0.0, 0.0, 0.5, 0.5];
    assert_eq!(none.standing("a", 0).unwrap().score.total, 0.0);
    assert!(none.chances(0, |_| true).iter().all(|(_, chance)| *chance == 0.5));
    for (node, share) in count(&mut none, 0, 10_000) {
        assert!((share - 0.5).abs() < 0.03, "{node} {share}");
    }
}

#[test]
fn frequencies_follow_the_weights() {
    let mut pool = pool(&[
        ("a", Some(figures(0.0, 0.0, 0, 0.0))),
        ("b", Some(figures(50.0, 50.0, 5_000, 500.0))),
        ("c", Some(figures(80.0, 90.0, 9_000, 2_000.0))),
        ("d", None),
    ]);
    let counted = count(&mut pool, 0, 100_000);
    for (node, chance) in pool.chances(0, |_| true) {
        let is = counted.get(&node).copied().unwrap_or(0.0);
        assert!((is / chance - 1.0).abs() < 0.03, "{node}: {is} of the choices, {chance} expected");
    }
}

#[test]
fn an_order_is_draws_one_after_the_other() {
    let pool = pool(&[
        ("a", Some(figures(0.0, 0.0, 0, 0.0))),
        ("b", Some(figures(50.0, 50.0, 5_000, 500.0))),
        ("c", Some(figures(80.0, 90.0, 9_000, 2_000.0))),
        ("drained", Some(figures(0.0, 0.0, 0, 0.0))),
        ("excluded", Some(figures(95.0, 0.0, 0, 0.0))),
    ]);
    let mut pool = pool;
    pool.health_mut("drained").unwrap().drained = true;
    let chances: BTreeMap<Arc<str>, f64> = pool.chances(0, |_| true).into_iter().collect();
    let mut rng = fastrand::Rng::with_seed(7);
    let (times, mut counts) = (100_000, BTreeMap::<(Arc<str>, Arc<str>), f64>::new());
    for _ in 0..times {
        let order = pool.order(0, usize::MAX, |_| true, || rng.u64(..));
        assert_eq!(order.len(), 5);
        assert_eq!((&*order[3], &*order[4]), ("excluded", "drained"));
        *counts.entry((order[0].clone(), order[1].clone())).or_default() += 1.0 / f64::from(times);
    }
    for ((first, second), is) in counts {
        let should = chances[&first] * chances[&second] / (1.0 - chances[&first]);
        assert!((is / should - 1.0).abs() < 0.05, "{first}, then {second}: {is} instead of {should}");
    }
    assert_eq!(pool.order(0, 2, |_| true, || 0).len(), 2);
    assert!(pool.order(0, 2, |_| false, || 0).is_empty());
    assert!(pool.shares_chosen().is_empty(), "a question is no choice");
}

#[test]
fn a_lying_node_is_found_out_by_its_failures() {
    let splendid = figures(0.0, 0.0, 0, 0.1);
    let mut pool = pool(&[("honest", Some(figures(60.0, 60.0, 100, 30.0))), ("liar", Some(splendid))]);
    assert!(pool.chances(0, |_| true)[1].1 > 0.6);
    // It fails fast, and goes on reporting the best of figures.
    for now in [10, 20] {
        let liar = pool.health_mut("liar").unwrap();
        liar.on_failure(now);
        liar.on_report(splendid, now);
    }
    let standing = pool.standing("liar", 20).unwrap();
    assert_eq!(standing.score.latency, 0.0);
    assert!(
        standing.excluded.as_deref().unwrap().ends_with("above 4000 ms, 2 failures in a row in it"),
        "{standing:?}"
    );
    assert_eq!(pool.chances(20, |_| true), [("honest".into(), 1.0)]);
    // Some day it is tried again, and one success is what it needs to be trusted on.
    assert_eq!(pool.chances(20_000, |_| true).len(), 2);
}

#[test]
fn a_new_node_gets_little_at_first() {
    let mut pool = pool(&[("old", None)]);
    pool.add("new", Health::new(1_000, false));
    let chance = |pool: &ResourceAware, now| pool.chances(now, |_| true)[0].1;
    assert!((chance(&pool, 1_000) - 0.1 / 1.1).abs() < 1e-12);
    assert!((chance(&pool, 31_000) - 0.5).abs() < 1e-12);
}

#[test]
fn recent_choices_are_counted_and_forgotten() {
    let mut pool = pool(&[("a", None), ("b", None)]);
    for _ in 0..10 {
        pool.choose(0, |node| node == "a", || 0).unwrap();
    }
    assert!((pool.shares_chosen()["a"] - 1.0).abs() < 1e-9 && pool.shares_chosen().len() == 1);
    for _ in 0..REMEMBERED {
        pool.choose(0, |node| node == "b", || 0).unwrap();
    }
    assert!((pool.shares_chosen()["b"] - 1.0).abs() < 1e-9 && pool.shares_chosen().len() == 1);
}

proptest! {
    /// Whatever is reported and whatever happened: a node comes out while there is one, and no figure is none.
    #[test]
    fn it_never_fails_while_there_are_nodes(
        reports in proptest::collection::vec((any::<f64>(), any::<f64>(), any::<u64>(), any::<f64>(), any::<bool>()), 1..8),
        now: u64, bits: u64,
    ) {
        let mut pool = ResourceAware::default();
        for (number, (cpu, memory, connections, latency, failed)) in reports.into_iter().enumerate() {
            let mut health = Health::new(now, number % 2 == 0);
            health.on_report(figures(cpu, memory, connections, latency), now);
            if failed {
                health.on_failure(now);
            }
            pool.add(&format!("n{number}"), health);
            let standing = pool.standing(&format!("n{number}"), now).unwrap();
            prop_assert!((0.0..=1.0).contains(&standing.score.total), "{:?}", standing);
        }
        prop_assert!(pool.choose(now, |_| true, || bits).is_ok());
        let chances = pool.chances(now, |_| true);
        prop_assert!((chances.iter().map(|(_, chance)| chance).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
