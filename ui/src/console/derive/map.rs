//! The map of pieces: each cell covers a range of pieces and tells the worst of them.
//!
//! *Worst wins*: failed, then missing and rare, then missing, then in flight, then have. A map that
//! sampled pieces would hide one missing in 100,000; this one cannot.

use std::ops::Range;

use skep_engine::control::{PeerRow, TransferDetail};

/// The worst state among the pieces of a cell, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worst {
    /// A piece failed its digest and is still missing.
    Failed,
    /// A piece is missing that no connected peer has (0), or one alone (1).
    Rare(u8),
    /// Pieces are missing: so many eighths of the cell's, 1 to 8.
    Missing(u8),
    /// What is missing is under way.
    InFlight,
    /// All here.
    Have,
}

/// A cell of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapCell {
    /// Its worst piece.
    pub worst: Worst,
    /// Pieces of it are under way.
    pub flight: bool,
    /// How many peers have the rarest missing piece; none if nothing is missing.
    pub sources: Option<u8>,
    /// What is here of its left and right half, in quarters: 0 nothing to 4 all.
    pub halves: [u8; 2],
}

/// A cell of a peer's lane: what it has of the same pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneCell {
    /// 0 nothing to 5 all.
    pub level: u8,
    /// Its left and right half: 0 nothing to 4 all.
    pub halves: [u8; 2],
    /// It is asked for a piece of this cell.
    pub flight: bool,
}

/// The map and the exact numbers beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// Pieces shown.
    pub range: Range<u32>,
    /// Cells, left to right.
    pub cells: Vec<MapCell>,
    /// Pieces in all.
    pub pieces: u32,
    /// Pieces here.
    pub have: u32,
    /// Pieces missing, those under way included.
    pub missing: u32,
    /// Pieces under way.
    pub in_flight: u32,
    /// Pieces that failed and are still missing.
    pub failed: u32,
    /// How many peers have the rarest missing piece, and how many pieces are that rare.
    pub rarest: Option<(u8, u32)>,
    /// Highest number of sources among the missing pieces.
    pub most_sources: u8,
    /// How many times it was built: derived lanes hang on it.
    pub builds: u64,
}

/// Pieces of cell `at`: cells share the range evenly; where pieces are fewer than cells, several
/// cells show one piece.
pub fn pieces_of(range: &Range<u32>, width: u16, at: u16) -> Range<u32> {
    let (count, width, at) = (u64::from(range.end - range.start), u64::from(width.max(1)), u64::from(at));
    let start = at * count / width;
    let end = ((at + 1) * count / width).max(start + 1).min(count);
    range.start + start as u32..range.start + end as u32
}

/// Cells that show a piece: the reverse of [`pieces_of`].
fn cells_of(range: &Range<u32>, width: u16, piece: u32) -> Range<usize> {
    if !range.contains(&piece) || width == 0 {
        return 0..0;
    }
    let (count, width) = (u64::from(range.end - range.start), u64::from(width));
    let piece = u64::from(piece - range.start);
    if count >= width {
        // The only cell `at` with at·n/w ≤ p < (at+1)·n/w.
        let at = (((piece + 1) * width - 1) / count) as usize;
        return at..at + 1;
    }
    let first = (piece * width).div_ceil(count);
    let end = ((piece + 1) * width).div_ceil(count);
    first as usize..end as usize
}

/// Ones among bits `range` of a bitfield, most significant bit first.
pub fn count_ones(bytes: &[u8], range: Range<u32>) -> u32 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (range.start as usize / 8, (range.end as usize - 1) / 8);
    let (head, tail) = (0xffu8 >> (range.start % 8), 0xffu8 << (7 - (range.end - 1) % 8));
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    if first == last {
        return (byte(first) & head & tail).count_ones();
    }
    let middle: u32 = bytes.get(first + 1..last).unwrap_or_default().iter().map(|b| b.count_ones()).sum();
    (byte(first) & head).count_ones() + middle + (byte(last) & tail).count_ones()
}

/// How much of a whole there is, in steps: 0 is nothing and `steps` is all, and what lies between never
/// looks like either.
fn level(has: u32, total: u32, steps: u8) -> u8 {
    match has {
        0 => 0,
        _ if has >= total => steps,
        _ => (u64::from(has) * u64::from(steps) / u64::from(total)).clamp(1, u64::from(steps) - 1) as u8,
    }
}

/// What a bitfield has of the left and right half of cell `at`, in quarters.
fn halves(bits: &[u8], range: &Range<u32>, width: u16, at: u16) -> [u8; 2] {
    let half = |right: u16| {
        let pieces = pieces_of(range, width.saturating_mul(2), at.saturating_mul(2).saturating_add(right));
        level(count_ones(bits, pieces.clone()), pieces.end - pieces.start, 4)
    };
    [half(0), half(1)]
}

/// What one pass over the missing pieces finds out about a cell.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    missing: u32,
    least: Option<u8>,
}

impl Map {
    /// Builds the map of `range` on `width` cells. One pass over the missing pieces.
    pub fn build(detail: &TransferDetail, range: Range<u32>, width: u16) -> Self {
        let have = &detail.have;
        let missing_of = |pieces: &[u32]| pieces.iter().filter(|p| **p < have.len() && !have.get(**p)).count() as u32;
        let mut map = Self {
            pieces: have.len(),
            have: have.count(),
            missing: have.len() - have.count(),
            in_flight: missing_of(&detail.in_flight),
            failed: missing_of(&detail.failed),
            ..Self::default()
        };
        let width = if range.is_empty() { 0 } else { width };
        let mut tallies = vec![Tally::default(); usize::from(width)];
        let mean = map.tally(detail, &range, &mut tallies);
        let total = |at: usize| pieces_of(&range, width, at as u16).len() as u32;
        let halves = |at: usize| halves(have.as_bytes(), &range, width, at as u16);
        map.cells = tallies.iter().enumerate().map(|(at, tally)| cell(*tally, total(at), mean, halves(at))).collect();
        map.mark_in_flight(detail, &range, &tallies);
        for piece in detail.failed.iter().filter(|p| !have.get(**p)) {
            for at in cells_of(&range, width, *piece) {
                map.cells[at].worst = Worst::Failed;
            }
        }
        map.range = range;
        map
    }

    /// Counts what is missing, in all and per cell, and how many peers have it; gives the mean
    /// number of sources.
    fn tally(&mut self, detail: &TransferDetail, range: &Range<u32>, tallies: &mut [Tally]) -> f32 {
        let width = tallies.len() as u16;
        let (mut sum, mut count) = (0u64, 0u64);
        let (mut at, mut cell_end) = (0u16, range.start);
        for piece in detail.have.zeros() {
            let sources = detail.availability.get(piece as usize).copied();
            if let Some(sources) = sources {
                sum += u64::from(sources);
                count += 1;
                self.most_sources = self.most_sources.max(sources);
                self.rarest = match self.rarest {
                    Some((least, n)) if sources == least => Some((least, n + 1)),
                    Some((least, n)) if sources > least => Some((least, n)),
                    _ => Some((sources, 1)),
                };
            }
            if width == 0 || !range.contains(&piece) {
                continue;
            }
            // Missing pieces ascend, so the cell is this one or one further on.
            if piece >= cell_end {
                let cells = cells_of(range, width, piece);
                at = cells.start as u16;
                cell_end = pieces_of(range, width, at).end;
                for shown in cells.skip(1) {
                    // Fewer pieces than cells: the other cells of this piece.
                    tallies[shown].add(sources);
                }
            }
            tallies[usize::from(at)].add(sources);
        }
        if count == 0 { 0.0 } else { sum as f32 / count as f32 }
    }

    /// Cells whose missing pieces are all under way are not "missing".
    fn mark_in_flight(&mut self, detail: &TransferDetail, range: &Range<u32>, tallies: &[Tally]) {
        let width = tallies.len() as u16;
        let mut under_way = vec![0u32; tallies.len()];
        let mut pieces: Vec<u32> = detail.in_flight.iter().copied().filter(|p| !detail.have.get(*p)).collect();
        pieces.sort_unstable();
        pieces.dedup();
        for piece in pieces {
            for at in cells_of(range, width, piece) {
                under_way[at] += 1;
                self.cells[at].flight = true;
            }
        }
        for (at, cell) in self.cells.iter_mut().enumerate() {
            if under_way[at] > 0 && tallies[at].missing <= under_way[at] {
                cell.worst = Worst::InFlight;
            }
        }
    }
}

impl Tally {
    fn add(&mut self, sources: Option<u8>) {
        self.missing += 1;
        self.least = match (self.least, sources) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

fn cell(tally: Tally, total: u32, mean: f32, halves: [u8; 2]) -> MapCell {
    let worst = match tally {
        Tally { missing: 0, .. } => Worst::Have,
        Tally { least: Some(sources), .. } if is_rare(sources, mean) => Worst::Rare(sources),
        Tally { missing, .. } => Worst::Missing((u64::from(missing) * 8).div_ceil(u64::from(total.max(1))) as u8),
    };
    MapCell { worst, flight: false, sources: tally.least, halves }
}

/// Rare: nobody has it, or one peer alone does while others have several sources: if that peer
/// goes, the piece goes. Where one seeder is the only source of everything, nothing stands out and
/// nothing is called rare.
fn is_rare(sources: u8, mean: f32) -> bool {
    sources == 0 || (sources == 1 && mean >= 2.0)
}

/// A peer's lane over the same pieces, into a buffer that is reused.
pub fn lane(peer: &PeerRow, range: Range<u32>, width: u16, out: &mut Vec<LaneCell>) {
    out.clear();
    if range.is_empty() {
        return;
    }
    let everything = peer.mirror && peer.have.is_none();
    for at in 0..width {
        let pieces = pieces_of(&range, width, at);
        let total = pieces.end - pieces.start;
        let has = match &peer.have {
            Some(bits) => count_ones(bits.as_bytes(), pieces),
            None if everything => total,
            None => 0,
        };
        let halves = match (&peer.have, level(has, total, 5)) {
            (Some(bits), 1..=4) => halves(bits.as_bytes(), &range, width, at),
            (_, whole) => [if whole == 0 { 0 } else { 4 }; 2],
        };
        out.push(LaneCell { level: level(has, total, 5), halves, flight: false });
    }
    for piece in &peer.in_flight {
        for at in cells_of(&range, width, *piece) {
            out[at].flight = true;
        }
    }
}

#[cfg(test)]
mod tests;
