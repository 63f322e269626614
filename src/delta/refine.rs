//! Which signatures to ask for, round by round.
//!
//! One block size does not fit: short blocks make the signature of a large file long, long ones make each small edit
//! cost a whole block. So the first round's blocks are long (twice the square root of the size), and what they leave open is asked
//! for again in blocks 16 times shorter, and again, as long as that saves more than it costs (multi-round synchronisation:
//! J. Langford 2001; T. Suel, P. Noel, D. Trendafilov 2004). A 4 KiB edit in 1 GiB then costs some 300 B of
//! signatures and 250 B around it instead of a block of 32 KiB.
//!
//! For a short open stretch the prior is one edit in it, and that the rest of it will be found. Long ones may be anything: new
//! data, or changes so dense that no block survived. A few samples in short blocks tell.

use std::ops::Range;

use super::blocks::{BLOCK_LENGTHS, Blocks, MAX_BLOCKS};
use super::hashes::strong_length;

/// First-round blocks, in bytes.
const FIRST: Range<u64> = 512..256 << 10;
/// How much shorter each round's blocks are.
const RATIO: u32 = 16;
/// Shortest blocks that are asked for.
const FLOOR: u32 = 128;
/// An open stretch of at most this many blocks is short: an edit or two.
const SHORT: u64 = 8;
/// Most rounds: each costs a round trip.
const MAX_ROUNDS: u32 = 6;
/// Samples: how many, how long, and in blocks of how many bytes.
const SAMPLES: u64 = 64;
const SAMPLE: u64 = 16 << 10;
const SAMPLE_BLOCK: u32 = 512;
/// Of less than 8 MiB shorter samples are taken: an eighth of it, so that their signature takes some tenth of a percent.
const SAMPLED: u64 = 8;
const SHORTEST_SAMPLE: u64 = 2048;
/// What is known of long stretches is believed to be this dense in matches before it pays to look closer.
const HOPE: f64 = 0.05;

/// The length of first-round blocks for a file: the power of two at or below twice the square root of its size, within 512 B to 256 KiB.
pub fn first_block_length(file_size: u64) -> u32 {
    let root = (file_size.saturating_mul(4)).isqrt().clamp(FIRST.start, FIRST.end);
    let length = 1_u64 << root.ilog2();
    // Beyond 512 GiB at that: as many as a signature may have.
    length.max(file_size.div_ceil(MAX_BLOCKS).next_power_of_two()).min(u64::from(*BLOCK_LENGTHS.end())) as u32
}

/// What bytes cost.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// What one more round trip is worth, in bytes: about round-trip time times bandwidth.
    pub round: u64,
    /// What a literal byte costs on the wire: 1, less where literals are compressed (signatures cannot be).
    pub literal: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self { round: 16 << 10, literal: 1.0 }
    }
}

/// A signature to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Of which blocks.
    pub blocks: Blocks,
    /// Bytes of each strong hash.
    pub strong_length: u8,
    /// Only to learn whether looking closer pays.
    pub sample: bool,
}

/// A stretch of the old file that was not found in the new one in blocks of `grain` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    range: Range<u64>,
    grain: u32,
}

impl Open {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn is_short(&self) -> bool {
        self.length() <= SHORT * u64::from(self.grain)
    }
}

/// What the samples said.
#[derive(Debug, Clone, Copy)]
pub struct Sampled {
    /// Part of the sampled bytes that was found.
    found: f64,
    /// Bytes of a run on average, at most those of a sample.
    run: u64,
}

/// The decider. Ask for what it says, match, tell it what is covered, ask again.
#[derive(Debug)]
pub struct Refiner {
    source_size: u64,
    file_size: u64,
    open: Vec<Open>,
    sampled: Option<Sampled>,
    rounds: u32,
}

impl Refiner {
    /// For a new file of `source_size` bytes and an old one of `file_size`; nothing is known yet.
    pub fn new(source_size: u64, file_size: u64) -> Self {
        Self { source_size, file_size, open: Vec::new(), sampled: None, rounds: 0 }
    }

    /// For what `source_size` bytes of the new file may have in these stretches of an old one of `file_size` bytes: apart, ascending, of whole
    /// blocks of `grain` bytes, none of which was found.
    pub fn within(source_size: u64, file_size: u64, open: Vec<Range<u64>>, grain: u32) -> Self {
        let open = open.into_iter().map(|range| Open { range, grain }).collect();
        Self { source_size, file_size, open, sampled: None, rounds: 1 }
    }

    /// The first round, in blocks of `length` bytes.
    ///
    /// # Errors
    /// As [`Blocks::whole`].
    pub fn first(&mut self, length: u32) -> Result<Ask, super::blocks::BlocksError> {
        let blocks = Blocks::whole(self.file_size, length)?;
        self.rounds = 1;
        let whole = 0..self.file_size;
        self.open = if self.file_size == 0 { vec![] } else { vec![Open { range: whole, grain: length }] };
        Ok(self.ask(blocks, self.source_size, false))
    }

    fn ask(&self, blocks: Blocks, positions: u64, sample: bool) -> Ask {
        let strong_length = strong_length(u64::from(blocks.count()), positions, blocks.length());
        Ask { blocks, strong_length, sample }
    }

    /// What was asked for has been matched: these stretches of the old file are covered now.
    pub fn on_matched(&mut self, ask: &Ask, covered: &[Range<u64>]) {
        let asked = ask.blocks.ranges();
        let mut open = Vec::new();
        for stretch in std::mem::take(&mut self.open) {
            let within = asked.partition_point(|range| range.end <= stretch.range.start);
            let was_asked = asked.get(within).is_some_and(|range| range.start <= stretch.range.start);
            let grain = if was_asked { ask.blocks.length() } else { stretch.grain };
            open.extend(
                super::matched::without(&stretch.range, covered).into_iter().map(|range| Open { range, grain }),
            );
        }
        self.open = open;
    }

    /// What the samples found: bytes found, and in how many runs.
    pub fn on_sampled(&mut self, ask: &Ask, found: u64, runs: u64) {
        let share = found as f64 / ask.blocks.bytes().max(1) as f64;
        self.sampled = Some(Sampled { found: share, run: found / runs.max(1) });
    }

    /// What samples said of another part of the file, if that gives hope.
    pub fn believe(&mut self, sampled: Option<Sampled>) {
        self.sampled = sampled.filter(|sampled| sampled.found >= HOPE);
    }

    /// What the samples said.
    pub fn sampled(&self) -> Option<Sampled> {
        self.sampled
    }

    /// The next round, when `literal` bytes of the new file are still without a match; nothing: it does not pay.
    pub fn next(&mut self, literal: u64, prices: &Prices) -> Vec<Ask> {
        if self.rounds >= MAX_ROUNDS {
            return Vec::new();
        }
        self.rounds += 1;
        let mut grains: Vec<u32> = self.open.iter().map(|open| open.grain).collect();
        grains.sort_unstable();
        grains.dedup();
        let mut asks = Vec::new();
        for grain in grains.into_iter().rev() {
            let (short, long): (Vec<_>, Vec<_>) =
                self.open.iter().filter(|open| open.grain == grain).partition(|open| open.is_short());
            asks.extend(self.closer(&short, grain, literal, prices));
            asks.extend(self.far(&long, grain, literal, prices));
        }
        asks
    }

    /// Short stretches: one edit in each.
    fn closer(&self, open: &[&Open], grain: u32, literal: u64, prices: &Prices) -> Option<Ask> {
        let length = shorter(grain, (grain / RATIO).max(FLOOR), open)?;
        let saved: u64 = open.iter().map(|o| o.length().min(u64::from(grain))).sum();
        let left = open.len() as u64 * u64::from(length);
        let gain = saved.min(literal).saturating_sub(left) as f64 * prices.literal;
        self.if_it_pays(open, length, literal, gain, prices)
    }

    /// Long stretches: as the samples say; samples first.
    fn far(&self, open: &[&Open], grain: u32, literal: u64, prices: &Prices) -> Option<Ask> {
        let bytes: u64 = open.iter().map(|o| o.length()).sum();
        let most = bytes.min(literal) as f64 * prices.literal;
        match self.sampled {
            Some(sampled) if sampled.found < HOPE => None,
            Some(sampled) => {
                // Blocks well below the runs that there are, and short enough for one more round to find the rest.
                let fit = u32::try_from(sampled.run / 2).unwrap_or(grain).max(SAMPLE_BLOCK / 2);
                let length = shorter(grain, (grain / RATIO).clamp(FLOOR, fit.max(FLOOR)), open)?;
                self.if_it_pays(open, length, literal, sampled.found * most, prices)
            }
            None if most < 4.0 * (SAMPLES * SAMPLE / u64::from(SAMPLE_BLOCK) * 8 + prices.round) as f64 => {
                // Too little for samples to be cheaper than a try: as if half of it could be found.
                let length = shorter(grain, (grain / RATIO).max(SAMPLE_BLOCK.min(grain / 2)), open)?;
                self.if_it_pays(open, length, literal, most / 2.0, prices)
            }
            None => {
                let length = shorter(grain, SAMPLE_BLOCK, open)?;
                Some(self.ask(Blocks::new(self.file_size, length, samples(open, bytes, length)).ok()?, literal, true))
            }
        }
    }

    fn if_it_pays(&self, open: &[&Open], length: u32, literal: u64, gain: f64, prices: &Prices) -> Option<Ask> {
        let ranges = open.iter().map(|o| o.range.clone()).collect();
        let ask = self.ask(Blocks::new(self.file_size, length, ranges).ok()?, literal, false);
        let cost = u64::from(ask.blocks.count()) * (4 + u64::from(ask.strong_length)) + prices.round;
        (gain > cost as f64).then_some(ask)
    }
}

/// `grain` halved until it is at most `wanted`, but so that the stretches have no more blocks than a signature may. None if it cannot be
/// halved once.
fn shorter(grain: u32, wanted: u32, open: &[&Open]) -> Option<u32> {
    let bytes: u64 = open.iter().map(|o| o.length()).sum();
    let mut length = grain;
    while length > wanted && length.is_multiple_of(2) && length / 2 >= *BLOCK_LENGTHS.start() {
        if bytes / u64::from(length / 2) + open.len() as u64 > MAX_BLOCKS {
            break;
        }
        length /= 2;
    }
    (length < grain && !open.is_empty()).then_some(length)
}

/// Stretches of at most [`SAMPLE`] bytes at even distances over all that is open, in whole blocks.
fn samples(open: &[&Open], bytes: u64, block: u32) -> Vec<Range<u64>> {
    let unit = u64::from(block);
    let length = (bytes / SAMPLED / SAMPLES).clamp(SHORTEST_SAMPLE.min(SAMPLE), SAMPLE);
    let count = (bytes / SAMPLED / length).clamp(4, SAMPLES);
    let mut out: Vec<Range<u64>> = Vec::new();
    let (mut passed, mut stretches) = (0, open.iter());
    let mut stretch = stretches.next();
    for n in 0..count {
        // In the middle of each part.
        let at = bytes / count * n + bytes / count / 2;
        while let Some(now) = stretch {
            if at < passed + now.length() {
                break;
            }
            passed += now.length();
            stretch = stretches.next();
        }
        let Some(now) = stretch else { break };
        let start = now.range.start + (at - passed) / unit * unit;
        let start = start.max(out.last().map_or(0, |last| last.end));
        let end = (start + (length / unit).max(1) * unit).min(now.range.end);
        if start < end {
            out.push(start..end);
        }
    }
    out
}

#[cfg(test)]
#[path = "refine_tests.rs"]
mod tests;
