use std::sync::Arc;

use proptest::prelude::*;
use skep_engine::content::Bitmap;
use skep_engine::control::{Bits, TransferId};

use super::*;

fn detail(len: u32, missing: &[u32]) -> TransferDetail {
    let mut have = Bitmap::full(len);
    for piece in missing {
        have.clear(*piece);
    }
    TransferDetail {
        id: TransferId(1),
        generation: 1,
        piece_length: 1 << 18,
        have: Bits(Arc::new(have)),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::new(vec![5; len as usize]),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::default(),
        delta: None,
    }
}

fn worst(map: &Map) -> Worst {
    map.cells.iter().map(|c| c.worst).min().unwrap()
}

#[test]
fn worst_wins_in_the_order_of_the_specification() {
    let mut detail = detail(1000, &[10, 11, 12, 13]);
    let build = |d: &TransferDetail| worst(&Map::build(d, 0..1000, 10));
    assert_eq!(build(&detail), Worst::Missing(1));
    detail.in_flight = vec![10, 11, 12];
    assert_eq!(build(&detail), Worst::Missing(1), "one of them is not under way");
    detail.in_flight.push(13);
    assert_eq!(build(&detail), Worst::InFlight);
    detail.failed = vec![11];
    assert_eq!(build(&detail), Worst::Failed);
    detail.failed.clear();
    detail.in_flight.clear();
    Arc::make_mut(&mut detail.availability)[12] = 1;
    assert_eq!(build(&detail), Worst::Rare(1));
    let map = Map::build(&detail, 0..1000, 10);
    assert_eq!((map.missing, map.rarest, map.most_sources), (4, Some((1, 1)), 5));
}

#[test]
fn a_single_source_of_everything_is_not_rare_but_none_is() {
    let mut detail = detail(100, &[1, 2, 3]);
    detail.availability = Arc::new(vec![1; 100]);
    assert_eq!(worst(&Map::build(&detail, 0..100, 10)), Worst::Missing(3));
    detail.availability = Arc::new(vec![0; 100]);
    assert_eq!(worst(&Map::build(&detail, 0..100, 10)), Worst::Rare(0));
}

#[test]
fn an_unknown_lane_is_empty_and_a_mirror_has_everything() {
    let mut out = Vec::new();
    lane(&PeerRow::default(), 0..100, 10, &mut out);
    assert!(out.iter().all(|c| c.level == 0));
    lane(&PeerRow { mirror: true, in_flight: vec![99], ..PeerRow::default() }, 0..100, 10, &mut out);
    assert!(out.iter().all(|c| c.level == 5));
    assert!(out[9].flight && !out[0].flight);
}

proptest! {
    #[test]
    fn one_missing_piece_is_always_visible(len in 1u32..200_000, width in 1u16..400, at in any::<u32>()) {
        let piece = at % len;
        let map = Map::build(&detail(len, &[piece]), 0..len, width);
        prop_assert!(worst(&map) < Worst::Have);
        let mut failed = detail(len, &[piece]);
        failed.failed.push(piece);
        prop_assert_eq!(worst(&Map::build(&failed, 0..len, width)), Worst::Failed);
    }

    #[test]
    fn cells_cover_every_piece_and_know_which(len in 1u32..5_000, width in 1u16..300, start in 0u32..100) {
        let range = start..start + len;
        let mut seen = vec![false; len as usize];
        for at in 0..width {
            let pieces = pieces_of(&range, width, at);
            prop_assert!(!pieces.is_empty() && pieces.end <= range.end);
            for piece in pieces {
                seen[(piece - start) as usize] = true;
                prop_assert!(cells_of(&range, width, piece).contains(&usize::from(at)));
            }
        }
        prop_assert!(seen.into_iter().all(|s| s));
    }

    #[test]
    fn counting_by_bytes_is_counting_by_bits(bytes in prop::collection::vec(any::<u8>(), 1..40), a in 0u32..320, b in 0u32..320) {
        let len = bytes.len() as u32 * 8;
        let range = a.min(b).min(len)..a.max(b).min(len);
        let slow = range.clone().filter(|i| bytes[*i as usize / 8] & (0x80 >> (i % 8)) != 0).count() as u32;
        prop_assert_eq!(count_ones(&bytes, range), slow);
    }

    #[test]
    fn hostile_details_do_not_panic(
        len in 0u32..300,
        width in 0u16..50,
        odd in prop::collection::vec(any::<u32>(), 0..20),
        availability in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut detail = detail(len, &odd);
        detail.in_flight = odd.clone();
        detail.failed = odd.clone();
        detail.availability = Arc::new(availability);
        Map::build(&detail, 0..len, width);
        let peer = PeerRow { have: Some(Bits(Arc::new(Bitmap::empty(3)))), in_flight: odd, ..PeerRow::default() };
        lane(&peer, 0..len, width, &mut Vec::new());
    }
}

#[test]
fn one_piece_of_a_hundred_thousand_is_seen_with_every_glyph_set() {
    use crate::console::glyphs::{Charset, GlyphChoice, dots};
    for lost in [0, 1, 49_999, 50_000, 99_998, 99_999] {
        let map = Map::build(&detail(100_000, &[lost]), 0..100_000, 47);
        let odd: Vec<&MapCell> = map.cells.iter().filter(|c| c.worst != Worst::Have).collect();
        assert_eq!((odd.len(), odd[0].worst), (1, Worst::Missing(1)), "piece {lost}");
        assert!(odd[0].halves.contains(&3) && odd[0].halves.iter().all(|h| *h >= 3), "{:?}", odd[0].halves);
        for choice in GlyphChoice::ALL {
            let set = choice.set(Charset::Octants);
            let [left, right] = odd[0].halves;
            let shown = set.dots.map_or(set.missing[0], |dots| dots[dots::columns(left, right)]);
            assert_ne!(shown, set.have, "{}", choice.name());
        }
    }
}

#[test]
fn halves_are_what_they_cover() {
    let map = Map::build(&detail(16, &[0, 1, 2, 3, 8]), 0..16, 2);
    assert_eq!(map.cells.iter().map(|c| c.halves).collect::<Vec<_>>(), [[0, 4], [3, 4]]);
    let exact = Map::build(&detail(4, &[1]), 0..4, 4);
    assert_eq!(exact.cells.iter().map(|c| c.halves).collect::<Vec<_>>(), [[4, 4], [0, 0], [4, 4], [4, 4]]);
}
