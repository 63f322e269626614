use super::*;

const MIB: u64 = 1 << 20;

#[test]
fn first_blocks_are_near_the_square_root_and_bounded() {
    let lengths =
        [(0, 512), (100_000, 512), (50 * MIB, 8192), (1 << 30, 64 << 10), (20 << 30, 256 << 10), (MAX_TB, 16 << 20)];
    for (size, length) in lengths {
        assert_eq!(first_block_length(size), length, "{size}");
        assert!(size.div_ceil(u64::from(length)) <= MAX_BLOCKS);
    }
}

const MAX_TB: u64 = 32 << 40;

/// A refiner for 1 GiB of which these stretches of the old file are still open after the first round.
fn after_first(open: &[Range<u64>]) -> Refiner {
    let mut refiner = Refiner::new(1 << 30, 1 << 30);
    let ask = refiner.first(64 << 10).unwrap();
    assert_eq!((ask.blocks.count(), ask.sample), (16_384, false));
    let mut covered = vec![];
    let mut at = 0;
    for range in open {
        covered.push(at..range.start);
        at = range.end;
    }
    covered.push(at..1 << 30);
    refiner.on_matched(&ask, &covered);
    refiner
}

fn scattered() -> Vec<Range<u64>> {
    (0..2600).map(|n| n * 6 * (64 << 10)..(n * 6 + 1) * (64 << 10)).collect()
}

#[test]
fn short_stretches_are_asked_for_in_ever_shorter_blocks() {
    let mut refiner = after_first(&scattered());
    let literal = 2600 * (64 << 10);
    let asks = refiner.next(literal, &Prices::default());
    let [ask] = &asks[..] else { panic!("one grain, one signature") };
    assert_eq!((ask.blocks.length(), ask.blocks.count(), ask.sample), (4096, 2600 * 16, false));
    // All but one block of each is found, and again.
    let covered: Vec<_> = scattered().windows(2).map(|two| two[0].start + 4096..two[1].start).collect();
    refiner.on_matched(ask, &covered);
    let asks = refiner.next(2600 * 4096, &Prices::default());
    assert_eq!(asks.iter().map(|a| a.blocks.length()).min(), Some(256));
}

#[test]
fn it_ends_where_nothing_can_be_saved() {
    let mut refiner = after_first(&scattered());
    assert_eq!(refiner.next(1000, &Prices::default()), [], "next to nothing is left to send");
    let dear = Prices { round: 1 << 40, ..Prices::default() };
    assert_eq!(after_first(&scattered()).next(1 << 28, &dear), [], "a round trip costs more");
    let cheap = Prices { literal: 0.001, ..Prices::default() };
    assert_eq!(after_first(&scattered()).next(2600 * (64 << 10), &cheap), [], "literals cost nothing");
    let mut refiner = after_first(&scattered());
    let rounds = std::iter::from_fn(|| {
        let asks = refiner.next(1 << 30, &Prices::default());
        asks.iter().for_each(|ask| refiner.on_matched(ask, &[]));
        (!asks.is_empty()).then_some(())
    });
    assert!(rounds.count() < MAX_ROUNDS as usize);
}

#[test]
fn long_stretches_are_sampled_first() {
    let long = 100 * MIB..700 * MIB;
    for (found, runs, length) in [(0, 1, None), (900 << 10, 64, Some(4096)), (500 << 10, 500, Some(512))] {
        let mut refiner = after_first(std::slice::from_ref(&long));
        let asks = refiner.next(600 * MIB, &Prices::default());
        let [ask] = &asks[..] else { panic!("samples") };
        assert_eq!((ask.sample, ask.blocks.length(), ask.blocks.bytes()), (true, 512, MIB));
        assert!(ask.blocks.ranges().iter().all(|r| long.contains(&r.start) && r.end <= long.end));
        refiner.on_sampled(ask, found, runs);
        let asks = refiner.next(600 * MIB, &Prices::default());
        assert_eq!(asks.first().map(|ask| ask.blocks.length()), length);
        assert!(asks.iter().all(|ask| !ask.sample && ask.blocks.ranges() == [long.clone()]));
    }
}
