//! Against a queue that is a plain list, and the promises one by one.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { capacity: 12, age_ms: 100 };

fn new(id: u64, class: PriorityClass, target: &str) -> New<()> {
    New { id: QueueId(id), class, target: target.into(), bytes: id, what: () }
}

fn order(queue: &Queue<()>) -> Vec<u64> {
    queue.in_order().map(|(id, _)| id.0).collect()
}

fn any(_: QueueId, (): &()) -> bool {
    true
}

#[test]
fn by_class_then_first_come_first_served() {
    let mut queue = Queue::new(Limits::default());
    let classes = [3, 5, 0, 3, 1, 0, 2, 4].map(|n| PriorityClass::ALL[n]);
    for (id, class) in (1..).zip(classes) {
        assert_eq!(queue.push(new(id, class, "a"), 1_000 + id), Added::Fits);
    }
    assert_eq!(order(&queue), [3, 6, 5, 7, 1, 4, 8, 2]);
    assert_eq!(queue.peek().unwrap().0, QueueId(3));
    assert_eq!((queue.count(), queue.total_queued_bytes()), (8, 36));
    let critical = queue.totals()[0];
    assert_eq!((critical.count, critical.bytes, critical.dropped), (2, 9, 0));
    assert_eq!(queue.by_priority(PriorityClass::Normal).map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn nobody_starves_however_many_critical_ones_come() {
    let mut queue = Queue::new(LIMITS);
    queue.push(new(1, PriorityClass::Background, "a"), 0);
    let mut now = 0;
    let waited = (2..).find(|id| {
        now += 10;
        queue.push(new(*id, PriorityClass::Critical, "a"), now);
        let next = queue.next("a", 1, PriorityClass::Background, now, any).unwrap();
        queue.remove(next);
        next == QueueId(1)
    });
    assert_eq!((waited, now), (Some(51), 500), "five classes in a hundred ms each");
}

#[test]
fn one_that_rose_stands_behind_those_that_were_there_before() {
    let mut queue = Queue::new(LIMITS);
    queue.push(new(1, PriorityClass::Normal, "a"), 0);
    queue.push(new(2, PriorityClass::High, "a"), 90);
    queue.push(new(3, PriorityClass::High, "a"), 110);
    assert_eq!(order(&queue), [2, 1, 3], "it came to that class at 100");
    let aged = |now| queue.get(QueueId(1)).unwrap().aged(LIMITS, now);
    assert_eq!([aged(0), aged(99), aged(100), aged(250), aged(9_999)], [0, 0, 1, 2, 3]);
}

#[test]
fn a_full_queue_loses_the_last_of_its_lowest_class() {
    let mut queue = Queue::new(Limits { capacity: 3, ..LIMITS });
    for id in 1..=3 {
        queue.push(new(id, PriorityClass::Background, "a"), id);
    }
    queue.set_standing(QueueId(3), Standing::Running);
    let Added::Instead(gone, entry) = queue.push(new(4, PriorityClass::Normal, "a"), 4) else { panic!() };
    assert_eq!((gone, entry.class), (QueueId(2), PriorityClass::Background), "what runs stays");
    assert_eq!(queue.push(new(5, PriorityClass::Background, "a"), 5), Added::Rejected);
    assert!(matches!(queue.push(new(6, PriorityClass::Critical, "a"), 6), Added::Instead(QueueId(1), _)));
    assert!(matches!(queue.push(new(7, PriorityClass::Critical, "a"), 7), Added::Instead(QueueId(4), _)));
    assert_eq!(queue.push(new(8, PriorityClass::Critical, "a"), 8), Added::Rejected, "only what runs is lower");
    let dropped = queue.totals().map(|class| class.dropped);
    assert_eq!(dropped, [1, 0, 0, 1, 0, 3]);
    assert_eq!(order(&queue), [6, 7, 3]);
}

#[test]
fn a_clock_that_is_put_back_lets_nobody_overtake_and_expires_nobody() {
    let mut queue = Queue::new(LIMITS);
    queue.push(new(1, PriorityClass::Normal, "a"), 3_600_000);
    queue.push(new(2, PriorityClass::Normal, "a"), 0);
    queue.push(new(3, PriorityClass::High, "a"), 1);
    assert_eq!(order(&queue), [3, 1, 2]);
    assert!(queue.purge_expired(10, 50).is_empty());
    assert_eq!(queue.purge_expired(10, 3_600_011).len(), 3);
}

#[test]
fn an_endpoint_has_so_many_at_work_and_starts_only_what_it_may() {
    let mut queue = Queue::new(LIMITS);
    queue.push(new(1, PriorityClass::High, "a"), 1);
    queue.push(new(2, PriorityClass::High, "a"), 2);
    queue.push(new(3, PriorityClass::Critical, "b"), 3);
    let next = |queue: &mut Queue<()>, lowest| queue.next("a", 1, lowest, 10, any);
    assert_eq!(next(&mut queue, PriorityClass::Critical), None, "nothing of that class");
    assert_eq!(queue.next("a", 1, PriorityClass::Background, 10, |id, ()| id.0 > 1), Some(QueueId(2)));
    assert_eq!(next(&mut queue, PriorityClass::High), Some(QueueId(1)));
    queue.set_standing(QueueId(1), Standing::Running);
    assert_eq!(next(&mut queue, PriorityClass::High), None, "its place is taken");
    assert_eq!(queue.next("b", 1, PriorityClass::Background, 10, any), Some(QueueId(3)));
    queue.set_standing(QueueId(1), Standing::Later(20));
    queue.set_standing(QueueId(2), Standing::Later(30));
    assert_eq!((next(&mut queue, PriorityClass::High), queue.wakes_at("a")), (None, Some(20)));
    assert_eq!(queue.next("a", 1, PriorityClass::High, 20, any), Some(QueueId(1)));
    queue.set_standing(QueueId(1), Standing::Parked);
    assert_eq!(queue.next("a", 1, PriorityClass::High, 29, any), None);
    queue.release("a");
    assert_eq!(queue.next("a", 1, PriorityClass::High, 29, any), Some(QueueId(2)));
    assert_eq!((queue.lane("a"), queue.lane("c")), ((0, 1), (0, 0)));
}

#[test]
fn moves_stay_within_the_class() {
    let mut queue = Queue::new(LIMITS);
    for id in 1..=4 {
        queue.push(new(id, PriorityClass::Normal, "a"), 7);
    }
    queue.push(new(5, PriorityClass::High, "a"), 7);
    let moved = |queue: &mut Queue<()>, id, to| {
        let others = queue.move_to(QueueId(id), to);
        (others.map(|ids| ids.into_iter().map(|id| id.0).collect::<Vec<_>>()), order(queue))
    };
    assert_eq!(moved(&mut queue, 3, QueueMove::Up), (Some(vec![2]), vec![5, 1, 3, 2, 4]));
    assert_eq!(moved(&mut queue, 4, QueueMove::First), (Some(vec![]), vec![5, 4, 1, 3, 2]));
    assert_eq!(moved(&mut queue, 4, QueueMove::First), (Some(vec![]), vec![5, 4, 1, 3, 2]));
    assert_eq!(moved(&mut queue, 4, QueueMove::Down), (Some(vec![1]), vec![5, 1, 4, 3, 2]));
    assert_eq!(moved(&mut queue, 1, QueueMove::Last), (Some(vec![]), vec![5, 4, 3, 2, 1]));
    assert_eq!(moved(&mut queue, 9, QueueMove::Last).0, None);
    queue.push(new(10, PriorityClass::Normal, "a"), 7);
    assert_eq!(order(&queue), [5, 4, 3, 2, 1, 10], "a newcomer comes behind one that was moved to the end");
    queue.set_class(QueueId(5), PriorityClass::Normal);
    queue.set_class(QueueId(3), PriorityClass::Critical);
    assert_eq!(order(&queue), [3, 4, 2, 1, 10, 5]);
}

/// Each that has another place has to be written down: where there is room nobody else has.
#[test]
fn a_move_changes_others_only_where_there_is_no_room() {
    let mut queue = Queue::new(LIMITS);
    for id in 1..=4 {
        queue.push(new(id, PriorityClass::Normal, "a"), id * 10);
    }
    assert_eq!((queue.move_to(QueueId(4), QueueMove::Up), order(&queue)), (Some(vec![]), vec![1, 2, 4, 3]));
    assert_eq!((queue.move_to(QueueId(1), QueueMove::Down), order(&queue)), (Some(vec![]), vec![2, 1, 4, 3]));
    assert_eq!((queue.move_to(QueueId(3), QueueMove::Up), order(&queue)), (Some(vec![]), vec![2, 1, 3, 4]));
    let last = queue.move_to(QueueId(4), QueueMove::Up);
    assert_eq!((last, order(&queue)), (Some(vec![]), vec![2, 1, 4, 3]));
    assert_eq!((queue.move_to(QueueId(4), QueueMove::Down), order(&queue)), (Some(vec![]), vec![2, 1, 3, 4]));
    assert_eq!(
        (queue.move_to(QueueId(2), QueueMove::Up), order(&queue)),
        (Some(vec![]), vec![2, 1, 3, 4]),
        "it is first"
    );
}

/// What can be done to a queue.
#[derive(Debug, Clone)]
enum Act {
    Push { class: usize, target: usize },
    Next { target: usize, limit: usize, lowest: usize },
    Stand { pick: usize, standing: usize },
    Class { pick: usize, class: usize },
    Move { pick: usize, to: usize },
    Remove { pick: usize },
    Expire { max_age: u64 },
    Release { target: usize },
    Wait { ms: u64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..6usize, 0..3usize).prop_map(|(class, target)| Act::Push { class, target }),
        4 => (0..3usize, 1..4usize, 0..6usize).prop_map(|(target, limit, lowest)| Act::Next { target, limit, lowest }),
        3 => (0..99usize, 0..4usize).prop_map(|(pick, standing)| Act::Stand { pick, standing }),
        2 => (0..99usize, 0..6usize).prop_map(|(pick, class)| Act::Class { pick, class }),
        3 => (0..99usize, 0..4usize).prop_map(|(pick, to)| Act::Move { pick, to }),
        1 => (0..99usize).prop_map(|pick| Act::Remove { pick }),
        1 => (0..400u64).prop_map(|max_age| Act::Expire { max_age }),
        1 => (0..3usize).prop_map(|target| Act::Release { target }),
        4 => (0..80u64).prop_map(|ms| Act::Wait { ms }),
    ];
    prop::collection::vec(act, 1..120)
}

const TARGETS: [&str; 3] = ["a", "b", "c"];

/// A queue as a list of its classes, each in its order.
#[derive(Default)]
struct Naive {
    classes: [Vec<Item>; 6],
    dropped: [u64; 6],
}

#[derive(Clone)]
struct Item {
    id: u64,
    arrived: u64,
    target: usize,
    standing: Standing,
    /// The slot in which it stands: those of its class keep their slots when they change places.
    slot: (u64, i64),
}

impl Naive {
    fn all(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.classes.iter().enumerate().flat_map(|(class, items)| items.iter().map(move |item| (class, item)))
    }

    fn find(&self, id: u64) -> (usize, usize) {
        let at = |items: &Vec<Item>| items.iter().position(|item| item.id == id);
        self.classes.iter().enumerate().find_map(|(class, items)| Some((class, at(items)?))).unwrap()
    }

    fn order(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.all().map(|(_, item)| (item.slot, item.id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    fn insert(&mut self, class: usize, item: Item) {
        let at = self.classes[class].partition_point(|other| other.slot < item.slot);
        self.classes[class].insert(at, item);
    }

    fn push(&mut self, id: u64, class: usize, target: usize, now: u64) -> Option<u64> {
        let mut gone = None;
        if self.all().count() >= LIMITS.capacity {
            let lower = (class + 1..6).rev().find_map(|class| {
                let at = self.classes[class].iter().rposition(|item| item.standing != Standing::Running)?;
                Some((class, at))
            });
            let Some((lower, at)) = lower else {
                self.dropped[class] += 1;
                return Some(id);
            };
            gone = Some(self.classes[lower].remove(at).id);
            self.dropped[lower] += 1;
        }
        let due = now + class as u64 * LIMITS.age_ms;
        let last = self.classes[class].last().map(|item| item.slot).filter(|last| last.0 >= due);
        let slot = last.map_or((due, 0), |(due, tie)| (due, tie + 1));
        self.classes[class].push(Item { id, arrived: now, target, standing: Standing::Ready, slot });
        gone
    }

    fn next(&self, target: usize, limit: usize, lowest: usize, now: u64) -> Option<u64> {
        let running = self.all().filter(|(_, item)| item.target == target && item.standing == Standing::Running);
        if running.count() >= limit {
            return None;
        }
        let ready = |item: &Item| match item.standing {
            Standing::Ready => true,
            Standing::Later(at) => at <= now,
            _ => false,
        };
        let fit = self.all().filter(|(class, item)| *class <= lowest && item.target == target && ready(item));
        fit.map(|(_, item)| (item.slot, item.id)).min().map(|(_, id)| id)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_is_what_a_plain_list_would_be(acts in acts()) {
        let (mut queue, mut naive) = (Queue::new(LIMITS), Naive::default());
        let (mut now, mut last) = (1_000u64, 0u64);
        for act in acts {
            let pick = |naive: &Naive, pick: usize| {
                let ids: Vec<u64> = naive.all().map(|(_, item)| item.id).collect();
                (!ids.is_empty()).then(|| ids[pick % ids.len()])
            };
            match act {
                Act::Wait { ms } => now += ms,
                Act::Push { class, target } => {
                    last += 1;
                    let added = queue.push(new(last, PriorityClass::ALL[class], TARGETS[target]), now);
                    let gone = match added {
                        Added::Fits => None,
                        Added::Instead(id, _) => Some(id.0),
                        Added::Rejected => Some(last),
                    };
                    prop_assert_eq!(gone, naive.push(last, class, target, now));
                }
                Act::Next { target, limit, lowest } => {
                    let next = queue.next(TARGETS[target], limit, PriorityClass::ALL[lowest], now, any);
                    prop_assert_eq!(next.map(|id| id.0), naive.next(target, limit, lowest, now));
                    if let Some(id) = next {
                        queue.set_standing(id, Standing::Running);
                        let (class, at) = naive.find(id.0);
                        naive.classes[class][at].standing = Standing::Running;
                    }
                }
                Act::Stand { pick: picked, standing } => {
                    let Some(id) = pick(&naive, picked) else { continue };
                    let standing =
                        [Standing::Ready, Standing::Later(now + 50), Standing::Running, Standing::Parked][standing];
                    prop_assert!(queue.set_standing(QueueId(id), standing));
                    let (class, at) = naive.find(id);
                    naive.classes[class][at].standing = standing;
                }
                Act::Class { pick: picked, class } => {
                    let Some(id) = pick(&naive, picked) else { continue };
                    prop_assert!(queue.set_class(QueueId(id), PriorityClass::ALL[class]));
                    let (from, at) = naive.find(id);
                    if from != class {
                        let item = naive.classes[from].remove(at);
                        let due = item.arrived + class as u64 * LIMITS.age_ms;
                        let same = naive.classes[class].iter().filter(|other| other.slot.0 == due);
                        let tie = same.map(|other| other.slot.1 + 1).max().unwrap_or(0);
                        naive.insert(class, Item { slot: (due, tie), ..item });
                    }
                }
                Act::Move { pick: picked, to } => {
                    let Some(id) = pick(&naive, picked) else { continue };
                    let to = [QueueMove::First, QueueMove::Up, QueueMove::Down, QueueMove::Last][to];
                    prop_assert!(queue.move_to(QueueId(id), to).is_some());
                    let (class, at) = naive.find(id);
                    let items = &mut naive.classes[class];
                    let end = items.len() - 1;
                    match to {
                        QueueMove::Up | QueueMove::Down => {
                            let other = if to == QueueMove::Up { at.checked_sub(1) } else { Some(at + 1) };
                            if let Some(other) = other.filter(|other| *other <= end) {
                                let (step, beyond) = match to {
                                    QueueMove::Up => (-1, other.checked_sub(1)),
                                    _ => (1, Some(other + 1)),
                                };
                                let (due, tie) = items[other].slot;
                                let taken = beyond.and_then(|at| items.get(at)).map(|item| item.slot);
                                if taken == Some((due, tie + step)) {
                                    let slots = (items[at].slot, items[other].slot);
                                    (items[other].slot, items[at].slot) = slots;
                                } else {
                                    items[at].slot = (due, tie + step);
                                }
                                items.swap(at, other);
                            }
                        }
                        QueueMove::First if at > 0 => {
                            let mut item = items.remove(at);
                            item.slot = (items[0].slot.0, items[0].slot.1 - 1);
                            items.insert(0, item);
                        }
                        QueueMove::Last if at < end => {
                            let mut item = items.remove(at);
                            item.slot = (items[end - 1].slot.0, items[end - 1].slot.1 + 1);
                            items.push(item);
                        }
                        _ => {}
                    }
                }
                Act::Remove { pick: picked } => {
                    let Some(id) = pick(&naive, picked) else { continue };
                    prop_assert!(queue.remove(QueueId(id)).is_some());
                    let (class, at) = naive.find(id);
                    naive.classes[class].remove(at);
                }
                Act::Expire { max_age } => {
                    let gone: Vec<u64> = queue.purge_expired(max_age, now).keys().map(|id| id.0).collect();
                    let old = |item: &Item| item.standing != Standing::Running && now - item.arrived > max_age;
                    let mut theirs: Vec<u64> =
                        naive.all().filter(|(_, item)| old(item)).map(|(_, item)| item.id).collect();
                    theirs.sort_unstable();
                    prop_assert_eq!(gone, theirs);
                    naive.classes.iter_mut().for_each(|items| items.retain(|item| !old(item)));
                }
                Act::Release { target } => {
                    queue.release(TARGETS[target]);
                    for item in naive.classes.iter_mut().flatten().filter(|item| item.target == target) {
                        if let Standing::Later(_) = item.standing {
                            item.standing = Standing::Ready;
                        }
                    }
                }
            }
            prop_assert_eq!(order(&queue), naive.order());
            prop_assert_eq!(queue.count(), naive.all().count());
            let bytes: u64 = naive.all().map(|(_, item)| item.id).sum();
            prop_assert_eq!(queue.total_queued_bytes(), bytes);
            prop_assert_eq!(queue.totals().map(|class| class.dropped), naive.dropped);
            prop_assert_eq!(queue.totals().map(|class| class.count as usize), naive.classes.each_ref().map(Vec::len));
            for (target, name) in TARGETS.iter().enumerate() {
                let running = |item: &Item| item.standing == Standing::Running && item.target == target;
                let waits = |item: &Item| item.target == target && matches!(item.standing, Standing::Ready | Standing::Later(_));
                let counts = |f: &dyn Fn(&Item) -> bool| naive.all().filter(|(_, item)| f(item)).count();
                prop_assert_eq!(queue.lane(name), (counts(&running), counts(&waits)));
            }
        }
    }
}
