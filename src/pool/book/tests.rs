use super::*;
use crate::control::pool::{Known, PoolNodeRow, PoolView};

const LATE: u64 = 1_000_000;

fn book() -> Book {
    Book::new("pool", "own", Limits::default(), 0)
}

fn figures(cpu: f64) -> Figures {
    Figures { cpu_percent: cpu, ..Figures::default() }
}

fn member(name: &str, port: u16, generation: u64) -> Member {
    Member {
        name: name.into(),
        address: format!("127.0.0.1:{port}"),
        endpoint: format!("http://127.0.0.1:{port}"),
        weight: 1.0,
        generation,
        figures: Some(figures(10.0)),
        report: 1,
        ..Member::default()
    }
}

fn listed(port: u16) -> Listed {
    Listed { endpoint: format!("http://127.0.0.1:{port}"), weight: None }
}

fn row(book: &Book, name: &str, now: u64) -> PoolNodeRow {
    let view = book.view(None, &PoolView::default(), now);
    PoolNodeRow::clone(view.nodes.iter().find(|row| &*row.name == name).unwrap())
}

#[test]
fn an_empty_pool_says_so() {
    let mut book = book();
    assert_eq!(book.place("key", 1, None, 0, || 0), Err(BookError::Ring(RingError::Empty)));
    assert_eq!(book.place("key", 1, Some(Balancer::ResourceAware), 0, || 0), Err(BookError::Ring(RingError::Empty)));
    assert!(book.choose(0, |_| true, || 0).is_err());
    assert!(matches!(book.drain("a", true, 0), Err(BookError::Unknown(_))));
    assert!(matches!(book.preview("a", Change::Leaves), Err(BookError::Unknown(_))));
}

#[test]
fn points_and_bound_are_as_they_are_set() {
    let placed = |book: &mut Book, holds: usize| {
        let copy = Holding { replicas: 1, ..Holding::default() };
        let ids = (0..holds).map(|number| (format!("full/{number}"), copy.clone()));
        let full = Member { holds: Arc::new(ids.collect()), ..member("a", 1, 1) };
        book.on_gossip(vec![full, member("b", 2, 1)], 0);
        let key = (0..).map(|number| format!("key/{number}"));
        let its = key.filter(|key| &**book.hashed.ring().get_node(key.as_bytes()).unwrap() == "a");
        let key = its.take(1).collect::<String>();
        book.place(&key, 1, None, 0, || 0).unwrap()
    };
    assert_eq!(&*placed(&mut book(), 100).nodes[0], "b", "a has more than its share");
    assert_eq!(&*placed(&mut book().on_ring(150, None), 100).nodes[0], "a", "no bound");
    assert_eq!(&*placed(&mut book().on_ring(150, Some(3.0)), 100).nodes[0], "a", "a wide one");
    // Node a has no point but the first one.
    let mut few = book().on_ring(1, None);
    let point = placed(&mut few, 0).way[0].point;
    assert_eq!(point, crate::pool::ring::hash(b"a:0"));
}

#[test]
fn a_list_works_without_gossip() {
    let mut book = book();
    book.list("a", listed(1), LATE).unwrap();
    book.list("b", listed(2), LATE).unwrap();
    assert_eq!(book.place("key", 2, None, LATE, || 0).unwrap().nodes.len(), 2);
    assert!(row(&book, "a", LATE).stale);
    assert!(book.on_answer("a", Ok(("a".into(), figures(20.0))), LATE).is_empty());
    assert!(!row(&book, "a", LATE).stale);
    let gone = Err("connection refused".to_owned());
    assert!(book.on_answer("a", gone.clone(), LATE).is_empty(), "once may be chance");
    let events = book.on_answer("a", gone, LATE);
    assert_eq!(events, [Event::Left("a".into(), "no answer: connection refused".into())]);
    assert_eq!(&*book.place("key", 2, None, LATE, || 0).unwrap().nodes, ["b".into()]);
    assert_eq!(row(&book, "a", LATE).why, "no answer: connection refused");
    for _ in 0..2 {
        book.on_answer("b", Err("timed out".into()), LATE);
    }
    // That there are nodes, and that none answers, is another thing than a pool without nodes.
    for balancer in [Balancer::ConsistentHash, Balancer::ResourceAware] {
        let error = book.place("key", 2, Some(balancer), LATE, || 0).unwrap_err();
        assert_eq!(error, BookError::Away(2, "a: connection refused".into()));
    }
    book.on_answer("b", Ok(("b".into(), figures(20.0))), LATE);
    let events = book.on_answer("a", Ok(("x".into(), figures(20.0))), LATE);
    assert_eq!(events, [Event::Came("a".into())]);
    assert!(row(&book, "a", LATE).why.starts_with("calls itself x"));
    assert!((row(&book, "a", LATE).slow_start - 0.1).abs() < 1e-9, "it came back");
}

#[test]
fn a_name_is_listed_once_and_weights_are_checked() {
    let mut book = book();
    book.list("a", listed(1), 0).unwrap();
    assert!(matches!(book.list("a", listed(2), 0), Err(BookError::Taken(..))));
    let heavy = |weight| Listed { weight: Some(weight), ..listed(1) };
    assert!(matches!(book.list("b", heavy(f64::NAN), 0), Err(BookError::Ring(_))));
    book.list("a", heavy(2.0), 0).unwrap();
    assert!((row(&book, "a", 0).weight - 2.0).abs() < 1e-9);
    book.list("a", listed(1), 0).unwrap();
    assert!((row(&book, "a", 0).weight - 2.0).abs() < 1e-9, "without a weight it stays as it was");
    assert_eq!(book.unlist("a", 0).unwrap(), [Event::Left("a".into(), "it is not heard of any more".into())]);
    assert!(matches!(book.unlist("a", 0), Err(BookError::Unknown(_))));
}

#[test]
fn members_come_and_go() {
    let mut book = book();
    let events = book.on_gossip(vec![member("own", 1, 5), member("b", 2, 6)], 0);
    assert_eq!(events, [Event::Came("b".into()), Event::Came("own".into())]);
    assert_eq!((row(&book, "own", 0).known, row(&book, "b", 0).known), (Known::Own, Known::Gossip));
    assert!(matches!(book.unlist("b", 0), Err(BookError::NotListed(_))));
    let events = book.on_gossip(vec![member("own", 1, 5)], 0);
    assert_eq!(events.len(), 1);
    assert_eq!(book.place("key", 3, None, 0, || 0).unwrap().nodes.len(), 1);
}

#[test]
fn a_listed_member_that_crashed_is_out_until_it_answers() {
    let mut book = book();
    book.list("b", listed(2), LATE).unwrap();
    book.on_gossip(vec![member("own", 1, 5), member("b", 2, 6)], LATE);
    assert_eq!(row(&book, "b", LATE).known, Known::Both);
    assert_eq!(book.on_gossip(vec![member("own", 1, 5)], LATE).len(), 1);
    assert!(!row(&book, "b", LATE).available);
    assert_eq!(book.on_answer("b", Ok(("b".into(), figures(1.0))), LATE), [Event::Came("b".into())]);
}

#[test]
fn reports_are_taken_once_and_age_by_their_receipt() {
    let mut book = book();
    book.on_gossip(vec![member("b", 2, 6)], 0);
    // The same report again says nothing new; an hour of skew in its sender's clock would change nothing.
    book.on_gossip(vec![member("b", 2, 6)], 29_000);
    assert!(!row(&book, "b", 30_000).stale);
    assert!(row(&book, "b", 30_001).stale);
    book.on_gossip(vec![Member { report: 2, ..member("b", 2, 6) }], 31_000);
    assert!(!row(&book, "b", 31_000).stale);
}

#[test]
fn of_two_with_one_name_the_first_stays() {
    let mut book = book();
    book.on_gossip(vec![member("b", 2, 6)], 0);
    let events = book.on_gossip(vec![member("b", 3, 9), member("b", 2, 6)], 0);
    let (first, other) = ("http://127.0.0.1:2".to_owned(), "http://127.0.0.1:3".to_owned());
    assert_eq!(events, [Event::SameName("b".into(), first.clone(), other)]);
    assert_eq!(book.endpoint("b"), Some(first.as_str()));
    assert!(row(&book, "b", 0).why.contains("have the same name"));
    assert!(book.on_gossip(vec![member("b", 3, 9), member("b", 2, 6)], 0).is_empty(), "said once");
    assert!(book.on_gossip(vec![member("b", 2, 6)], 0).is_empty());
    // The same place with a later beginning is a restart.
    assert!(book.on_gossip(vec![member("b", 2, 6), member("b", 2, 8)], 0).is_empty());
    assert_eq!(book.entries["b"].member.as_ref().unwrap().generation, 8);
}

#[test]
fn who_flaps_starts_slowly_each_time() {
    let mut book = book();
    book.on_gossip(vec![member("a", 1, 1)], 0);
    for second in 0..10 {
        let now = LATE + second * 1_000;
        let there =
            if second % 2 == 0 { vec![member("a", 1, 1), member("b", 2, second)] } else { vec![member("a", 1, 1)] };
        book.on_gossip(there, now);
        // Somebody is there whatever it does.
        assert!(book.choose(now, |_| true, || u64::MAX).is_ok());
        if second >= 2 && second % 2 == 0 {
            assert!(row(&book, "b", now).chance < 0.2, "{:?}", row(&book, "b", now));
        }
    }
}

#[test]
fn halves_of_a_split_pool_each_go_on_and_heal() {
    let all = || vec![member("a", 1, 1), member("b", 2, 1), member("c", 3, 1), member("d", 4, 1)];
    let (mut left, mut right) =
        (Book::new("pool", "a", Limits::default(), 0), Book::new("pool", "c", Limits::default(), 0));
    let place = |book: &mut Book, key: u32| book.place(&key.to_string(), 2, None, 0, || 0).unwrap().nodes;
    left.on_gossip(all(), 0);
    right.on_gossip(all(), 0);
    let before: Vec<_> = (0..50).map(|key| place(&mut left, key)).collect();
    assert_eq!(left.on_gossip(all()[..2].to_vec(), 0).len(), 2);
    assert_eq!(right.on_gossip(all()[2..].to_vec(), 0).len(), 2);
    assert!((0..50).all(|key| place(&mut left, key).iter().all(|node| **node == *"a" || **node == *"b")));
    assert!((0..50).all(|key| place(&mut right, key).iter().all(|node| **node == *"c" || **node == *"d")));
    left.on_gossip(all(), 0);
    right.on_gossip(all(), 0);
    for (key, nodes) in (0..50).zip(before) {
        assert_eq!(place(&mut left, key), nodes);
        assert_eq!(place(&mut right, key), nodes);
    }
}

#[test]
fn drained_nodes_get_no_keys_while_there_are_others() {
    let mut book = book();
    let of = |drains: &[&str]| {
        let b = Member { drains: drains.iter().map(|name| (*name).into()).collect(), ..member("b", 2, 1) };
        vec![member("a", 1, 1), b]
    };
    book.on_gossip(of(&[]), 0);
    assert_eq!(book.drain("a", true, 0).unwrap(), [Event::Drained("a".into(), None)]);
    assert_eq!(book.drain("a", true, 0).unwrap(), []);
    for key in 0..20 {
        assert_eq!(book.place(&key.to_string(), 1, None, 0, || 0).unwrap().nodes, ["b".into()]);
        assert_eq!(&*book.choose(0, |_| true, || key << 58).unwrap(), "b");
    }
    assert_eq!(book.place("key", 2, None, 0, || 0).unwrap().nodes.len(), 2, "both are needed");
    assert_eq!(row(&book, "a", 0).why, "drained");
    assert_eq!(book.drain("a", false, 0).unwrap(), [Event::InUse("a".into())]);
    // Another node's operator says so.
    book.on_gossip(of(&["a"]), 0);
    assert_eq!(row(&book, "a", 0).why, "drained at b");
    assert_eq!(book.drain("a", false, 0).unwrap(), [], "what is told elsewhere is taken back there");
    assert_eq!(book.drained_at("a").map(|at| &**at), Some("b"));
    book.on_gossip(of(&[]), 0);
    assert!(!row(&book, "a", 0).draining);
}

#[test]
fn who_holds_what_is_known() {
    let mut book = book();
    let holding = |name: &str, port, ids: &[(&str, u64)]| Member {
        holds: Arc::new(
            ids.iter().map(|(id, bytes)| ((*id).to_owned(), Holding { bytes: *bytes, ..Holding::default() })).collect(),
        ),
        ..member(name, port, 1)
    };
    book.on_gossip(vec![holding("a", 1, &[("x", 10), ("y", 5)]), holding("b", 2, &[("x", 10)])], 0);
    assert_eq!(book.holders("x"), ["a".into(), "b".into()] as [Arc<str>; 2]);
    assert_eq!(book.holders("y"), ["a".into()]);
    assert_eq!((row(&book, "a", 0).holds, row(&book, "a", 0).held_bytes), (2, 15));
    // What a node holds already is no load that keeps the same key away from it.
    let owner = book.place("x", 1, None, 0, || 0).unwrap();
    assert!(owner.way.iter().all(|step| step.passed.is_none()));
}

#[test]
fn who_comes_over_a_limit_is_told_once_and_so_is_its_return() {
    let mut book = book();
    let at = |cpu, report| vec![Member { figures: Some(figures(cpu)), report, ..member("a", 1, 1) }, member("b", 2, 1)];
    book.on_gossip(at(10.0, 1), LATE);
    assert_eq!(book.look(LATE), []);
    book.on_gossip(at(97.0, 2), LATE + 1_000);
    assert_eq!(book.look(LATE + 1_000), [Event::Excluded("a".into(), "CPU at 97 %, above 90 %".into())]);
    assert_eq!(book.look(LATE + 2_000), [], "once");
    assert_eq!(row(&book, "a", LATE + 2_000).excluded_ms, Some(LATE + 1_000));
    book.on_gossip(at(20.0, 3), LATE + 6_000);
    assert_eq!(book.look(LATE + 6_000), [Event::Back("a".into(), 5_000)]);
    assert_eq!(row(&book, "a", LATE + 6_000).excluded_ms, None);
    // Failures are forgotten in time, without anything else happening.
    for _ in 0..2 {
        book.on_used("b", None, LATE + 7_000);
    }
    assert!(matches!(&book.look(LATE + 7_000)[..], [Event::Excluded(name, _)] if &**name == "b"));
    let later = LATE + 60_000;
    assert_eq!(book.look(later), [Event::Back("b".into(), 53_000)]);
    // Who left is not back.
    book.on_gossip(at(97.0, 4), later);
    assert_eq!(book.look(later).len(), 1);
    book.on_gossip(vec![member("b", 2, 1)], later);
    assert_eq!(book.look(later), []);
}

#[test]
fn a_question_is_no_choice() {
    let mut book = book();
    book.on_gossip(vec![member("a", 1, 1), member("b", 2, 1)], 0);
    let placed = book.place("key", 2, Some(Balancer::ResourceAware), 0, || 0).unwrap();
    assert_eq!(placed.nodes, ["a".into(), "b".into()] as [Arc<str>; 2]);
    assert_eq!((row(&book, "a", 0).chosen, row(&book, "b", 0).chosen), (0.0, 0.0));
    book.choose(0, |_| true, || 0).unwrap();
    assert!((row(&book, "a", 0).chosen - 1.0).abs() < 1e-9);
}

#[test]
fn rows_that_did_not_change_are_shared() {
    let mut book = book();
    book.on_gossip(vec![member("a", 1, 1), member("b", 2, 1)], 0);
    let first = book.view(None, &PoolView::default(), 0);
    book.on_used("b", Some(700.0), 0);
    let second = book.view(None, &first, 0);
    assert!((second.nodes[1].latency_ms - 700.0).abs() < 1e-9);
    assert!(!Arc::ptr_eq(&first.nodes[1], &second.nodes[1]));
    let third = book.view(None, &second, 0);
    assert!(third.nodes.iter().zip(&second.nodes).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn missing_copies_are_known_to_those_whose_turn_it_is() {
    let names = ["a", "b", "c", "d"];
    let of = |own: &str, holders: &[&str], there: &[&str]| {
        let mut book = Book::new("default", own, Limits::default(), 0);
        let member = |name: &&str| {
            let port = 1 + names.iter().position(|it| it == name).unwrap() as u16;
            let copy = Holding { bytes: 7, replicas: 3, name: "big.img".into() };
            let holds = holders.contains(name).then(|| ("x".to_owned(), copy)).into_iter().collect();
            Member { holds: Arc::new(holds), ..member(name, port, 1) }
        };
        book.on_gossip(there.iter().map(member).collect(), 0);
        book.wanting(&[], 0)
    };
    for own in names {
        assert!(of(own, &["a", "b", "c"], &names).is_empty(), "three are there");
        assert!(of(own, &[], &names).is_empty(), "nobody knows of it");
    }
    // One of four is gone and had a copy: just one of the others is to make another.
    let there = ["a", "b", "d"];
    let turns: Vec<_> =
        there.iter().map(|own| (own, of(own, &["a", "b"], &there))).filter(|(_, it)| !it.is_empty()).collect();
    let [(own, wanting)] = &turns[..] else { panic!("{turns:?}") };
    assert_eq!(**own, "d");
    assert!(!wanting[0].is_lost());
    assert_eq!((wanting[0].live, wanting[0].turn, wanting[0].from.len()), (2, 0, 2));
    assert_eq!((wanting[0].name.as_str(), wanting[0].bytes), ("big.img", 7));
    // A copy on a drained node does not count, but can be copied.
    let mut book = Book::new("default", "d", Limits::default(), 0);
    let copy = Holding { bytes: 7, replicas: 1, name: "x".into() };
    let holder = Member { holds: Arc::new([("x".to_owned(), copy)].into()), ..member("a", 1, 1) };
    book.on_gossip(vec![holder, member("d", 4, 1)], 0);
    book.drain("a", true, 0).unwrap();
    let wanting = book.wanting(&[], 0);
    assert_eq!((wanting[0].live, wanting[0].from.len(), wanting[0].turn), (0, 1, 0));
    assert_eq!((book.find("x").len(), book.find("y").len(), book.there()), (1, 0, 2));
    // A node that tells as many copies as one tells may hold it untold, and is asked; who tells of other things has told all.
    let full = |replicas| {
        let much =
            (0..crate::control::pool::MAX_HOLDS).map(|n| (n.to_string(), Holding { replicas, ..Holding::default() }));
        Member { holds: Arc::new(much.collect()), ..member("b", 2, 1) }
    };
    let holder = Member {
        holds: Arc::new([("x".to_owned(), Holding { replicas: 1, ..Holding::default() })].into()),
        ..member("a", 1, 1)
    };
    let mut untold = |replicas| {
        book.on_gossip(vec![holder.clone(), full(replicas), member("d", 4, 1)], 0);
        let wanting = book.wanting(&[], 0);
        let of_x = wanting.iter().find(|it| it.content == "x").unwrap();
        of_x.untold.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((untold(1), untold(0)), (vec!["b".to_owned()], vec![]));
    // What is being made is followed whatever the ring says, and not when it is here.
    book.drain("a", false, 0).unwrap();
    assert!(book.wanting(&[], 0).iter().all(|it| it.content != "x"));
    let running = book.wanting(&["x"], 0);
    let of_x = running.iter().find(|it| it.content == "x").unwrap();
    assert_eq!((of_x.live, of_x.replicas), (1, 1), "enough");
}

#[test]
fn what_is_told_of_weights_and_sizes_breaks_nothing() {
    let mut book = book();
    // More points together than a ring has: each counts once then, and nobody is left out.
    let heavy = |port: u16| Member { weight: 100.0, ..member(&format!("n{port}"), port, 1) };
    book.on_gossip((1..=300).map(heavy).collect(), 0);
    assert_eq!(book.hashed.ring().len(), 300);
    assert_eq!(book.place("key", 400, None, 0, || 0).unwrap().nodes.len(), 300);
    let holding = |port: u16| Member {
        holds: Arc::new(["x", "y"].map(|id| (id.to_owned(), Holding { bytes: u64::MAX, ..Holding::default() })).into()),
        weight: f64::NAN,
        ..member(&format!("n{port}"), port, 1)
    };
    book.on_gossip((1..=3).map(holding).collect(), 0);
    assert_eq!(row(&book, "n1", 0).held_bytes, u64::MAX);
    assert!((row(&book, "n1", 0).weight - 1.0).abs() < 1e-9, "a weight that is none is 1");
    book.preview("n1", Change::Drains).unwrap();
    book.preview("n9", Change::Comes(100.0)).unwrap();
}

#[test]
fn a_pool_without_any_good_node_still_has_its_nodes() {
    let mut book = book();
    book.on_gossip((1..=100).map(|port| member(&format!("n{port}"), port, 1)).collect(), 0);
    let by_health = |book: &mut Book, now| {
        let placement = book.place("key", usize::MAX, Some(Balancer::ResourceAware), now, || 7 << 40).unwrap();
        let distinct: BTreeSet<_> = placement.nodes.iter().collect();
        assert_eq!(distinct.len(), placement.nodes.len());
        placement.nodes.len()
    };
    assert_eq!(by_health(&mut book, 0), 100, "as many as there are");
    // No report for an hour.
    assert!((1..=100).all(|port| row(&book, &format!("n{port}"), 3_600_000).stale));
    assert_eq!(by_health(&mut book, 3_600_000), 100);
    // All of them excluded.
    for port in 1..=100 {
        book.on_used(&format!("n{port}"), None, 3_600_000);
        book.on_used(&format!("n{port}"), None, 3_600_000);
    }
    assert!(row(&book, "n7", 3_600_000).excluded.is_some());
    assert_eq!(by_health(&mut book, 3_600_000), 100);
    assert_eq!(book.place("key", 3, None, 3_600_000, || 0).unwrap().nodes.len(), 3, "keys belong where they belong");
}

/// Nodes that tell what they hold for the pool, as keys are placed on them.
struct Placing {
    book: Book,
    members: Vec<Member>,
}

impl Placing {
    fn new(count: u16) -> Self {
        let mut book = book();
        let members: Vec<Member> = (1..=count).map(|port| member(&format!("n{port}"), port, 1)).collect();
        book.on_gossip(members.clone(), 0);
        Self { book, members }
    }

    fn hold(&mut self, at: usize, key: &str, replicas: u32) {
        let holds = Arc::make_mut(&mut self.members[at].holds);
        holds.insert(key.to_owned(), Holding { bytes: 1, replicas, ..Holding::default() });
    }

    fn place(&mut self, key: &str, copies: usize) -> Vec<usize> {
        self.book.on_gossip(self.members.clone(), 0);
        let nodes = self.book.place(key, copies, None, 0, || 0).unwrap().nodes;
        let at = |node: &Arc<str>| self.members.iter().position(|member| member.name == *node).unwrap();
        let on: Vec<usize> = nodes.iter().map(at).collect();
        on.iter().for_each(|at| self.hold(*at, key, copies as u32));
        on
    }

    fn loads(&self, without: &[usize]) -> Vec<usize> {
        let left = (0..self.members.len()).filter(|at| !without.contains(at));
        left.map(|at| self.members[at].holds.values().filter(|it| it.replicas > 0).count()).collect()
    }
}

#[test]
fn what_is_shared_for_oneself_is_no_load() {
    let mut placing = Placing::new(5);
    // Whoever has much of its own takes as many copies as anybody.
    for own in 0..500 {
        placing.hold(0, &format!("own/{own}"), 0);
    }
    for key in 0..100 {
        placing.place(&format!("key/{key}"), 2);
    }
    let loads = placing.loads(&[]);
    assert!(loads.iter().all(|load| (20..=50).contains(load)), "{loads:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Every copy is bounded, not only the first; and who is drained makes nobody else hotter than fair.
    #[test]
    fn no_node_has_more_than_a_quarter_above_the_mean(count in 6u16..14, copies in 1usize..4, seed: u32, drains in 0usize..2) {
        let mut placing = Placing::new(count);
        let drained: Vec<usize> = (0..drains).collect();
        for at in &drained {
            placing.book.drain(&placing.members[*at].name.clone(), true, 0).unwrap();
        }
        for key in 0..usize::from(count) * 40 / copies {
            let on = placing.place(&format!("{seed}/{key}"), copies);
            proptest::prop_assert!(on.iter().all(|at| !drained.contains(at)));
        }
        let loads = placing.loads(&drained);
        let mean = loads.iter().sum::<usize>() as f64 / loads.len() as f64;
        let hottest = *loads.iter().max().unwrap() as f64;
        proptest::prop_assert!(mean > 30.0 && hottest <= 1.25 * mean, "{:?}", loads);
    }
}
