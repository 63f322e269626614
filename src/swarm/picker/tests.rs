use super::*;
use proptest::prelude::*;

fn bitmap(len: u32, ones: impl IntoIterator<Item = u32>) -> Bitmap {
    let mut map = Bitmap::empty(len);
    for piece in ones {
        map.set(piece);
    }
    map
}

fn set(slots: impl IntoIterator<Item = u16>) -> PeerSet {
    slots.into_iter().fold(PeerSet::EMPTY, |mut set, slot| {
        set.insert(slot);
        set
    })
}

fn with_peers(len: u32, order: Order, peers: &[&[u32]]) -> Picker {
    let mut picker = Picker::new(&Bitmap::empty(len), order, 1);
    for (slot, pieces) in peers.iter().enumerate() {
        picker.add_peer(slot as u16);
        picker.set_bitmap(slot as u16, &bitmap(len, pieces.iter().copied()));
    }
    picker
}

fn drain(picker: &mut Picker, ready: &PeerSet, seed: u64) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::from_fn(|| {
        let piece = picker.choose(ready, &mut rng)?;
        assert!(picker.take(piece));
        Some(piece)
    })
    .collect()
}

#[test]
fn the_worked_example_takes_2_and_3_before_0_and_1() {
    for seed in 0..50 {
        let mut picker = with_peers(4, Order::RarestFirst, &[&[0, 1, 2], &[0, 1, 3], &[0, 1]]);
        let order = drain(&mut picker, &set(0..3), seed);
        let (mut first, mut last) = (order[..2].to_vec(), order[2..].to_vec());
        first.sort_unstable();
        last.sort_unstable();
        assert_eq!((first, last), (vec![2, 3], vec![0, 1]));
    }
}

#[test]
fn ties_are_broken_by_the_seed() {
    let pieces: Vec<u32> = (0..64).collect();
    let order = |seed| drain(&mut with_peers(64, Order::RarestFirst, &[&pieces, &pieces[..63]]), &set(0..2), seed);
    assert_eq!(order(7), order(7));
    assert_eq!(order(7)[0], 63);
    assert_ne!(order(7), order(8));
    let firsts: std::collections::BTreeSet<u32> = (0..40).map(|seed| order(seed)[1]).collect();
    assert!(firsts.len() > 15, "the first of equals is nearly always the same: {firsts:?}");
}

#[test]
fn sequential_runs_through_what_ready_peers_have() {
    let mut picker = with_peers(200, Order::Sequential, &[&[5, 3, 190, 64], &[1, 2]]);
    assert_eq!(drain(&mut picker, &set([0]), 1), [3, 5, 64, 190]);
    assert_eq!(drain(&mut picker, &set([0, 1]), 1), [1, 2]);
    picker.give_back(64);
    picker.give_back(2);
    assert_eq!(drain(&mut picker, &set([0, 1]), 1), [2, 64]);
}

#[test]
fn random_is_neither_in_line_nor_by_rarity() {
    let all: Vec<u32> = (0..300).collect();
    let mut picker = with_peers(300, Order::Random, &[&all, &all[..150]]);
    let mut order = drain(&mut picker, &set(0..2), 3);
    assert!(order[..150].iter().filter(|p| **p >= 150).count() < 110);
    assert!(order.windows(2).filter(|w| w[0] < w[1]).count() < 299);
    order.sort_unstable();
    assert_eq!(order, all);
}

#[test]
fn rare_pieces_at_busy_peers_do_not_hide_the_rest() {
    // 5,000 pieces only at peer 0, who is busy; peers 1 and 2 share ten others.
    let len = 5_010;
    let mut picker = Picker::new(&Bitmap::empty(len), Order::RarestFirst, 1);
    for slot in 0..3 {
        picker.add_peer(slot);
        let from = if slot == 0 { 0..5_000 } else { 5_000..len };
        picker.set_bitmap(slot, &bitmap(len, from));
    }
    let mut order = drain(&mut picker, &set([1, 2]), 1);
    order.sort_unstable();
    assert!(order.into_iter().eq(5_000..len));
    assert_eq!(drain(&mut picker, &set([0]), 1).len(), 5_000);
}

#[test]
fn runs_keep_to_equals_and_to_blocks() {
    let all: Vec<u32> = (0..40).collect();
    let mut picker = with_peers(40, Order::RarestFirst, &[&all, &[20]]);
    assert_eq!(picker.run(9, 0, 8), (8, 8));
    assert_eq!(picker.run(9, 0, 1), (9, 1));
    assert_eq!(picker.run(39, 0, 64), (21, 19), "20 is less rare");
    assert_eq!(picker.run(20, 1, 64), (20, 1));
    picker.take(11);
    assert_eq!(picker.run(9, 0, 15), (8, 3));
}

#[test]
fn a_seeder_that_lacks_a_piece_is_not_asked_for_it_again() {
    let mut picker = Picker::new(&Bitmap::empty(100), Order::RarestFirst, 1);
    picker.add_peer(0);
    picker.set_bitmap(0, &Bitmap::full(100));
    assert_eq!(picker.nowhere(), 0);
    assert!(picker.on_lost(0, 42));
    assert!(!drain(&mut picker, &set([0]), 1).contains(&42));
    assert_eq!((picker.wanted(), picker.nowhere(), picker.count(0)), (1, 1, 99));
    assert!(picker.on_have(0, 42));
    assert_eq!(drain(&mut picker, &set([0]), 1), [42]);
}

#[test]
fn memory_stays_within_bounds_when_all_peers_have_little() {
    let len = 100_000;
    let mut picker = Picker::new(&Bitmap::empty(len), Order::RarestFirst, 1);
    for slot in 0..64 {
        picker.add_peer(slot);
        for piece in 0..3_000 {
            picker.on_have(slot, piece * 7 + u32::from(slot));
        }
    }
    // 16 B of piece, bucket and row with slack; 2 KiB × 16 B of candidates per peer.
    assert!(picker.memory() < 100_000 * 40 + 64 * 32 * 1024, "{}", picker.memory());
}

/// The rule in one line, at any cost: the smallest key among wanted pieces that a ready peer has.
struct Model {
    order: Order,
    have: Vec<std::collections::BTreeSet<u32>>,
    wanted: std::collections::BTreeSet<u32>,
}

impl Model {
    fn key(&self, piece: u32) -> usize {
        match self.order {
            Order::RarestFirst => self.have.iter().filter(|h| h.contains(&piece)).count(),
            Order::Sequential => piece as usize,
            Order::Random => 0,
        }
    }

    fn best(&self, ready: &PeerSet) -> Option<usize> {
        let at_ready = |p: &&u32| ready.iter().any(|slot| self.have[usize::from(slot)].contains(*p));
        self.wanted.iter().filter(at_ready).map(|p| self.key(*p)).min()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Have(u16, u32),
    Lost(u16, u32),
    Bitmap(u16, Vec<u32>),
    Full(u16),
    Leave(u16),
    Choose(Vec<u16>),
    GiveBack(u32),
}

const PEERS: u16 = 9;
const PIECES: u32 = 260;

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0..PEERS;
    let piece = || 0..PIECES;
    prop_oneof![
        6 => (peer(), piece()).prop_map(|(a, b)| Step::Have(a, b)),
        1 => (peer(), piece()).prop_map(|(a, b)| Step::Lost(a, b)),
        2 => (peer(), prop::collection::vec(piece(), 0..200)).prop_map(|(a, b)| Step::Bitmap(a, b)),
        1 => peer().prop_map(Step::Full),
        1 => peer().prop_map(Step::Leave),
        12 => prop::collection::vec(peer(), 0..4).prop_map(Step::Choose),
        3 => piece().prop_map(Step::GiveBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn chooses_what_the_rule_says(
        order in prop_oneof![3 => Just(Order::RarestFirst), 1 => Just(Order::Sequential), 1 => Just(Order::Random)],
        steps in prop::collection::vec(step(), 1..250),
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut picker = Picker::new(&Bitmap::empty(PIECES), order, seed);
        let mut model = Model { order, have: vec![Default::default(); PEERS.into()], wanted: (0..PIECES).collect() };
        let slot_of = |n: u16| n * 70; // over both planes
        for slot in 0..PEERS {
            picker.add_peer(slot_of(slot));
        }
        let mut fell = false;
        for step in steps {
            match step {
                Step::Have(n, piece) => {
                    prop_assert_eq!(picker.on_have(slot_of(n), piece), model.have[usize::from(n)].insert(piece));
                }
                Step::Lost(n, piece) => {
                    fell = true;
                    prop_assert_eq!(picker.on_lost(slot_of(n), piece), model.have[usize::from(n)].remove(&piece));
                }
                Step::Bitmap(n, pieces) => {
                    fell = true;
                    picker.set_bitmap(slot_of(n), &bitmap(PIECES, pieces.iter().copied()));
                    model.have[usize::from(n)] = pieces.into_iter().collect();
                }
                Step::Full(n) => {
                    fell = true;
                    picker.set_bitmap(slot_of(n), &Bitmap::full(PIECES));
                    model.have[usize::from(n)] = (0..PIECES).collect();
                }
                Step::Leave(n) => {
                    fell = true;
                    picker.remove_peer(slot_of(n));
                    picker.add_peer(slot_of(n));
                    model.have[usize::from(n)].clear();
                }
                Step::Choose(ready) => {
                    let model_ready = set(ready.iter().copied());
                    let chosen = picker.choose(&set(ready.iter().map(|n| slot_of(*n))), &mut rng);
                    let best = model.best(&model_ready);
                    prop_assert_eq!(chosen.is_some(), best.is_some());
                    if let (Some(piece), Some(best)) = (chosen, best) {
                        prop_assert!(model.wanted.contains(&piece));
                        prop_assert!(model_ready.iter().any(|n| model.have[usize::from(n)].contains(&piece)));
                        // A candidate whose availability fell may be taken for less rare than it is.
                        prop_assert!(fell || model.key(piece) == best, "{} instead of {}", model.key(piece), best);
                        prop_assert!(picker.take(piece));
                        model.wanted.remove(&piece);
                    }
                }
                Step::GiveBack(piece) => {
                    picker.give_back(piece);
                    model.wanted.insert(piece);
                }
            }
            prop_assert_eq!(picker.wanted() as usize, model.wanted.len());
            let nowhere = model.wanted.iter().filter(|p| model.have.iter().all(|h| !h.contains(p))).count();
            prop_assert_eq!(picker.nowhere() as usize, nowhere);
        }
        for n in 0..PEERS {
            prop_assert!(picker.bitmap(slot_of(n)).ones().eq(model.have[usize::from(n)].iter().copied()));
            prop_assert_eq!(picker.count(slot_of(n)) as usize, model.have[usize::from(n)].len());
        }
    }
}
