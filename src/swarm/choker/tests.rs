use super::*;
use std::collections::BTreeSet;

struct World {
    choker: Choker,
    now: Instant,
    rng: fastrand::Rng,
}

impl World {
    fn new() -> Self {
        Self { choker: Choker::new(ChokerConfig::default()), now: Instant::now(), rng: fastrand::Rng::with_seed(1) }
    }

    fn served(&mut self, peer: &str) -> bool {
        self.choker.allow(peer, self.now) == Decision::Serve
    }

    /// Everybody asks again and again for so long; a round is held when it is due.
    fn pass(&mut self, seconds: u64, peers: &[&str], mut each: impl FnMut(&mut Choker, &str)) {
        for _ in 0..seconds * 2 {
            self.now += Duration::from_millis(500);
            for peer in peers {
                if self.choker.allow(peer, self.now) == Decision::Serve {
                    each(&mut self.choker, peer);
                }
            }
            self.choker.tick(self.now, &mut self.rng);
        }
    }

    fn holders(&self, slot: Slot) -> BTreeSet<String> {
        self.choker.views(self.now).filter(|view| view.slot == slot).map(|view| view.peer).collect()
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const EIGHT: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn free_slots_are_given_at_once_and_then_no_more() {
    let mut world = World::new();
    for peer in &EIGHT[..5] {
        assert!(world.served(peer));
    }
    let Decision::Choked { retry_after } = world.choker.allow("f", world.now) else { panic!("six slots") };
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(10));
    assert_eq!(world.holders(Slot::Optimistic).len(), 1);
    world.choker.on_gone("b");
    assert!(world.served("f"));
}

#[test]
fn those_who_give_most_get_the_slots() {
    let mut world = World::new();
    for _ in 0..2 {
        for (n, peer) in EIGHT.iter().enumerate() {
            world.choker.on_downloaded(peer, n as u64 * 1000, world.now);
        }
        world.pass(10, &EIGHT, |_, _| {});
    }
    assert_eq!(world.holders(Slot::Regular), names(&["e", "f", "g", "h"]));
    // Merit fades: two rounds later others gave more.
    for _ in 0..3 {
        world.choker.on_downloaded("a", 500, world.now);
        world.pass(10, &EIGHT, |_, _| {});
    }
    assert!(world.holders(Slot::Regular).contains("a"));
}

#[test]
fn the_optimistic_slot_rotates_over_all_who_wait() {
    let mut world = World::new();
    let mut seen = BTreeSet::new();
    for round in 0..90 {
        for (n, peer) in EIGHT[..4].iter().enumerate() {
            world.choker.on_downloaded(peer, 1000 + n as u64, world.now);
        }
        world.pass(10, &EIGHT, |_, _| {});
        if round > 0 {
            assert_eq!(world.holders(Slot::Regular), names(&EIGHT[..4]));
            assert_eq!(world.holders(Slot::Optimistic).len(), 1);
        }
        seen.extend(world.holders(Slot::Optimistic));
    }
    assert_eq!(seen.intersection(&names(&EIGHT[4..])).count(), 4, "{seen:?}");
}

#[test]
fn the_optimistic_slot_stays_for_thirty_seconds() {
    let mut world = World::new();
    let mut last = BTreeSet::new();
    let mut changes = 0;
    for second in 0..300 {
        for peer in &EIGHT[..4] {
            world.choker.on_downloaded(peer, 1000, world.now);
        }
        world.pass(1, &EIGHT, |_, _| {});
        let now = world.holders(Slot::Optimistic);
        if second > 30 && now != last {
            changes += 1;
        }
        last = now;
    }
    assert!((8..=10).contains(&changes), "{changes} changes in 270 s");
}

#[test]
fn a_seeder_prefers_the_fast_and_goes_round_among_equals() {
    let mut world = World::new();
    world.choker.set_seeding(true);
    let mut time = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..200 {
        world.pass(10, &EIGHT, |choker, peer| {
            choker.on_uploaded(peer, if peer < "g" { 5_000_000 } else { 10_000 });
        });
        for peer in world.holders(Slot::Regular) {
            *time.entry(peer).or_default() += 1;
        }
    }
    for fast in &EIGHT[..6] {
        assert!((100..170).contains(&time[*fast]), "{time:?}");
    }
    assert!(time.get("g").copied().unwrap_or(0) < 30, "{time:?}");
}

#[test]
fn an_idle_holder_makes_room_between_rounds() {
    let mut world = World::new();
    for peer in &EIGHT[..5] {
        assert!(world.served(peer));
        world.choker.on_serving(peer, world.now);
    }
    assert!(!world.served("f"));
    world.now += Duration::from_secs(3);
    assert!(!world.served("f"), "all are busy");
    world.choker.on_served("c", world.now);
    world.now += Duration::from_millis(500);
    assert!(!world.served("f"), "a moment between two requests is not idle");
    world.now += Duration::from_secs(2);
    assert!(world.served("f"));
    assert!(!world.served("c"));
}

#[test]
fn asking_too_often_does_not_help() {
    let mut world = World::new();
    for peer in &EIGHT[..5] {
        assert!(world.served(peer));
    }
    let Decision::Choked { retry_after } = world.choker.allow("patient", world.now) else { panic!() };
    world.now += retry_after / 2;
    assert!(!world.served("pushy"));
    world.now = world.now + retry_after / 2 + Duration::from_millis(1);
    assert!(!world.served("pushy"), "not its turn yet");
    assert!(world.served("patient"));
}

#[test]
fn trusted_serves_everybody() {
    let mut world = World::new();
    world.choker.set_trusted(true);
    assert!((0..50).all(|n| world.served(&format!("p{n}"))));
    assert_eq!(world.choker.next_tick(), None);
}

#[test]
fn a_flood_of_names_does_not_grow_it_or_take_slots() {
    let mut world = World::new();
    assert!(world.served("honest"));
    world.choker.on_serving("honest", world.now);
    for n in 0..5000 {
        world.served(&format!("p{n}"));
    }
    assert_eq!(world.choker.views(world.now).count(), 1000);
    assert!(world.served("honest"));
}

#[test]
fn bytes_and_ratio_are_told() {
    let mut world = World::new();
    world.choker.on_downloaded("a", 1000, world.now);
    assert!(!world.choker.views(world.now).next().unwrap().interested);
    assert!(world.served("a"));
    world.choker.on_uploaded("a", 1500);
    let view = world.choker.views(world.now).next().unwrap();
    assert_eq!((view.bytes_down, view.bytes_up, view.ratio, view.interested), (1000, 1500, Some(1.5), true));
}
