//! The map of a delta on screen: what of each stretch was found in the old file, was sent, is to be sent, or is not known yet.
//!
//! As with pieces the worst wins: not known, then to be sent, then sent, then found. A stretch of a gigabyte in which one byte
//! is sent never looks as if it were all found.

use std::ops::Range;

use skep_engine::control::DeltaMap;

use super::map::{LaneCell, pieces_of};

/// The worst of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// So many eighths of it are not known yet, 1 to 8.
    Unknown(u8),
    /// Some of it is to be sent.
    ToSend,
    /// So much of it was sent: 1 some to 5 all.
    Sent(u8),
    /// All of it is in the old file.
    Matched,
}

/// Kinds of stretches, a lane each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In the old file.
    Matched,
    /// Sent.
    Sent,
    /// To be sent.
    ToSend,
    /// Not known yet.
    Unknown,
}

impl Part {
    /// All of them, in the order of their lanes.
    pub const ALL: [Self; 4] = [Self::Matched, Self::Sent, Self::ToSend, Self::Unknown];

    /// Its bytes in all.
    pub fn bytes(self, map: &DeltaMap) -> u64 {
        match self {
            Self::Matched => map.matched_bytes,
            Self::Sent => map.sent_bytes,
            Self::ToSend => map.literal_bytes.saturating_sub(map.sent_bytes),
            Self::Unknown => map.unknown_bytes(),
        }
    }
}

/// What is drawn of a delta.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaCells {
    /// The worst of each cell.
    pub marks: Vec<Mark>,
    /// For each of [`Part::ALL`] how much of each cell it is.
    pub lanes: [Vec<LaneCell>; 4],
}

/// Shares of the four parts of some cells of the map, in 255ths of all of them, and which of them are there at all.
fn shares(map: &DeltaMap, cells: Range<u32>) -> [(u64, bool); 4] {
    let mut all = [(0u64, false); 4];
    for at in cells.start as usize..(cells.end as usize).min(map.len()) {
        let of = |bytes: &[u8]| u64::from(bytes.get(at).copied().unwrap_or(0));
        let (matched, literal, sent) = (of(&map.matched), of(&map.literal), of(&map.sent));
        // What is rounded is not unknown: two shares of one cell may miss a 255th each.
        let known = matched + literal;
        let unknown = if known >= 253 { 0 } else { 255 - known };
        let to_send = literal.saturating_sub(sent);
        for (part, share) in all.iter_mut().zip([matched, sent, to_send, unknown]) {
            part.0 += share;
            part.1 |= share > 0;
        }
    }
    let count = u64::from(cells.end.saturating_sub(cells.start)).max(1);
    all.map(|(share, some)| (share / count, some))
}

/// In steps: 0 is nothing and `steps` all; what lies between looks like neither.
fn level(share: u64, some: bool, steps: u8) -> u8 {
    match (some, share) {
        (false, _) => 0,
        (true, 255..) => steps,
        (true, share) => (share * u64::from(steps) / 255).clamp(1, u64::from(steps) - 1) as u8,
    }
}

impl DeltaCells {
    /// The cells of `range` of the map on `width` columns.
    pub fn build(map: &DeltaMap, range: &Range<u32>, width: u16) -> Self {
        let mut cells = Self::default();
        if range.is_empty() {
            return cells;
        }
        for at in 0..width {
            let parts = shares(map, pieces_of(range, width, at));
            let halves = |part: usize| {
                [0, 1].map(|half| {
                    let (share, some) = shares(
                        map,
                        pieces_of(range, width.saturating_mul(2), at.saturating_mul(2).saturating_add(half)),
                    )[part];
                    level(share, some, 4)
                })
            };
            let [_, (sent, some_sent), (_, some_to_send), (unknown, some_unknown)] = parts;
            cells.marks.push(if some_unknown {
                Mark::Unknown(level(unknown, true, 8))
            } else if some_to_send {
                Mark::ToSend
            } else if some_sent {
                Mark::Sent(level(sent, true, 5))
            } else {
                Mark::Matched
            });
            for (part, lane) in cells.lanes.iter_mut().enumerate() {
                let (share, some) = parts[part];
                lane.push(LaneCell { level: level(share, some, 5), halves: halves(part), flight: false });
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A map of cells that are all of one kind: `m`atched, `s`ent, to be sen`t`, `u`nknown; `h` is half sent, half found.
    fn map(kinds: &str) -> DeltaMap {
        let share = |of: fn(char) -> u8| Arc::new(kinds.chars().map(of).collect::<Vec<u8>>());
        DeltaMap {
            size: kinds.len() as u64 * 100,
            cell: 100,
            matched: share(|c| match c {
                'm' => 255,
                'h' => 127,
                _ => 0,
            }),
            literal: share(|c| match c {
                's' | 't' => 255,
                'h' => 127,
                _ => 0,
            }),
            sent: share(|c| match c {
                's' => 255,
                'h' => 127,
                _ => 0,
            }),
            ..DeltaMap::default()
        }
    }

    #[test]
    fn the_worst_of_a_cell_wins() {
        let cells = DeltaCells::build(&map("msthu"), &(0..5), 5);
        assert_eq!(cells.marks, [Mark::Matched, Mark::Sent(5), Mark::ToSend, Mark::Sent(2), Mark::Unknown(8)]);
        let levels = |lane: usize| cells.lanes[lane].iter().map(|cell| cell.level).collect::<Vec<_>>();
        assert_eq!((levels(0), levels(1)), (vec![5, 0, 0, 2, 0], vec![0, 5, 0, 2, 0]));
        assert_eq!((levels(2), levels(3)), (vec![0, 0, 5, 0, 0], vec![0, 0, 0, 0, 5]));
    }

    #[test]
    fn one_stretch_in_a_thousand_is_never_invisible() {
        for (kind, lane) in [('s', 1), ('t', 2), ('u', 3)] {
            let mut kinds = "m".repeat(1_000);
            kinds.replace_range(417..418, &kind.to_string());
            let cells = DeltaCells::build(&map(&kinds), &(0..1_000), 10);
            let odd: Vec<usize> = (0..10).filter(|at| cells.marks[*at] != Mark::Matched).collect();
            assert_eq!(odd, [4], "{kind}");
            assert_eq!(cells.lanes[lane][4].level, 1, "{kind}");
            assert_eq!(cells.lanes[0][4].level, 4, "{kind}: not all of it was found");
        }
    }

    #[test]
    fn a_map_that_is_shorter_than_said_breaks_nothing() {
        let cells = DeltaCells::build(&map("mm"), &(0..9), 9);
        assert_eq!(cells.marks.len(), 9);
        assert!(DeltaCells::build(&DeltaMap::default(), &(0..0), 9).marks.is_empty());
    }
}
