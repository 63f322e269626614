//! Long runs of zeros: what a hole of a sparse file reads as, and what a hole can be made of. Pure.

use std::ops::Range;

/// File systems keep holes in multiples of this, nearly all of them.
const BLOCK: u64 = 4 << 10;
/// Shorter runs are written: each hole costs a file system an extent.
const SHORTEST: u64 = 32 << 10;

/// Nothing but zeros?
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(128).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Cuts bytes that belong at `offset` of a file into runs that are to be written (false) and runs that can be a hole
/// (true), in order. Ranges are of `bytes`. A run that reaches the end of `bytes` may be short of a block there.
pub fn runs(bytes: &[u8], offset: u64) -> Vec<(Range<usize>, bool)> {
    let mut found: Vec<(Range<usize>, bool)> = Vec::new();
    let (mut at, length) = (0, bytes.len() as u64);
    while at < length {
        let end = ((offset + at) / BLOCK * BLOCK + BLOCK - offset).min(length);
        let whole = (offset + at).is_multiple_of(BLOCK) && (end - at == BLOCK || end == length);
        let hole = whole && is_zero(&bytes[at as usize..end as usize]);
        match found.last_mut() {
            Some((run, is_hole)) if *is_hole == hole => run.end = end as usize,
            _ => found.push((at as usize..end as usize, hole)),
        }
        at = end;
    }
    for (run, hole) in &mut found {
        *hole &= run.len() as u64 >= SHORTEST;
    }
    // What is written is written in one go.
    found.dedup_by(|next, before| {
        let joins = !next.1 && !before.1;
        if joins {
            before.0.end = next.0.end;
        }
        joins
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_runs_of_whole_blocks_are_holes() {
        let mut bytes = vec![0; 200_000];
        assert_eq!(runs(&bytes, 8192), [(0..200_000, true)]);
        assert_eq!(runs(&bytes, 8000), [(0..192, false), (192..200_000, true)]);
        bytes[100_000] = 1;
        assert_eq!(runs(&bytes, 0), [(0..98_304, true), (98_304..102_400, false), (102_400..200_000, true)]);
        bytes[20_000] = 1;
        assert_eq!(runs(&bytes, 0)[0], (0..20_480, false), "too short");
        assert_eq!(runs(&[7; 10_000], 0), [(0..10_000, false)]);
        assert!(runs(&[], 5).is_empty());
    }

    proptest! {
        #[test]
        fn runs_cover_everything_once_and_holes_hold_nothing(
            offset in 0u64..20_000,
            parts in prop::collection::vec((0usize..60_000, any::<bool>()), 0..5),
        ) {
            let bytes: Vec<u8> = parts.iter().flat_map(|(n, zero)| vec![u8::from(!zero); *n]).collect();
            let mut at = 0;
            for (run, hole) in runs(&bytes, offset) {
                prop_assert_eq!(run.start, at);
                prop_assert!(run.end > at);
                prop_assert!(!hole || is_zero(&bytes[run.clone()]));
                at = run.end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
