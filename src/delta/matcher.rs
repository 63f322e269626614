//! Where the blocks of the old file lie in the new one.
//!
//! A decider over bytes that `Window` brings: it knows neither files nor threads. At each position the block that
//! follows the last match is tried first: where files are alike one weak and one strong hash per block is all there is to do.
//! Elsewhere the weak hash rolls from byte to byte past a bitmap; a hit is settled by the strong hash.
//!
//! Whatever the signature claims, the work per byte is bounded: chains are (see `table`), and strong hashes that turn out in
//! vain draw on a credit of one byte hashed for each byte gone past.

use std::io;
use std::ops::Range;

use super::hashes::{Hashes, LANES, MAX_STRONG};
use super::signature::Signature;
use super::table::Table;
use super::window::Window;

/// Blocks that may be hashed in vain before any byte was gone past.
const GRANT: i64 = 8;
/// A weak hash of a block costs a strong one's time divided by this, at least.
const NEIGHBOUR: i64 = 8;
/// Longer blocks are hashed one by one, in bytes: several at once are as many in memory.
const TOGETHER: usize = 256 << 10;
/// Blocks changed in place that are stepped over at once.
const SKIPPED: u64 = 2;

/// A stretch of the new file that is equal to one of the old file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where it lies in the new file (the source), in bytes.
    pub source: u64,
    /// Where it lies in the old file (the destination), in bytes.
    pub destination: u64,
    /// Bytes.
    pub length: u64,
}

impl Run {
    /// The first byte of the new file behind it.
    pub fn source_end(&self) -> u64 {
        self.source + self.length
    }

    /// The first byte of the old file behind it.
    pub fn destination_end(&self) -> u64 {
        self.destination + self.length
    }

    /// Takes the next run in, if it goes on in both files where this one ends.
    pub fn join(&mut self, next: &Run) -> bool {
        let joined = next.source == self.source_end() && next.destination == self.destination_end();
        if joined {
            self.length += next.length;
        }
        joined
    }
}

/// A stretch of the new file to look for blocks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Matches begin in here...
    pub starts: Range<u64>,
    /// ...and end here at the latest.
    pub limit: u64,
    /// The byte of the old file that is expected at the beginning.
    pub expected: Option<u64>,
    /// When so many bytes have been gone past without a match, the rest is left out.
    pub patience: u64,
}

/// A signature, ready to be looked for.
#[derive(Debug)]
pub struct Matcher<'a, H> {
    signature: &'a Signature,
    hashes: &'a H,
    table: &'a Table,
}

/// The state of one search.
struct Scan {
    at: u64,
    runs: Vec<Run>,
    /// Where the block matched last begins in the new file, and which it is.
    last: Option<(u64, u32)>,
    /// The block to be expected now.
    next: Option<u32>,
    credit: i64,
}

impl<'a, H: Hashes> Matcher<'a, H> {
    /// Over a signature, of which perhaps only the beginning is there, and the index of what is.
    pub fn new(signature: &'a Signature, hashes: &'a H, table: &'a Table) -> Self {
        Self { signature, hashes, table }
    }

    /// The blocks in one stretch of the source, by position, apart from one another. Adjacent ones are joined.
    ///
    /// # Errors
    /// Whatever the window says.
    pub fn search(&self, search: &Search, window: &mut Window<'_>) -> io::Result<Vec<Run>> {
        self.reached(search, window).map(|(runs, _)| runs)
    }

    /// The same, and where its patience, or the stretch, ended. Only the block at the end of the file may be found behind that.
    ///
    /// # Errors
    /// Whatever the window says.
    pub fn reached(&self, search: &Search, window: &mut Window<'_>) -> io::Result<(Vec<Run>, u64)> {
        let length = u64::from(self.signature.blocks.length());
        let next = search.expected.and_then(|at| self.signature.blocks.at(at));
        let credit = GRANT * length as i64;
        let mut scan = Scan { at: search.starts.start, runs: Vec::new(), last: None, next, credit };
        window.set_limit(search.limit);
        if let (None, Some(expected)) = (next, search.expected) {
            // In the midst of a block: the next one may come where it should.
            let border = expected.next_multiple_of(length);
            let start = scan.at;
            scan.at = start + (border - expected);
            match self.signature.blocks.at(border) {
                Some(block) if scan.at < search.starts.end && self.in_place(&mut scan, block, search, window)? => {}
                _ => scan.at = start,
            }
        }
        while scan.at < search.starts.end {
            let found = match scan.next.take() {
                Some(block) => self.in_place(&mut scan, block, search, window)?,
                None => false,
            };
            if !found && !self.roll(&mut scan, search, window)? {
                break;
            }
        }
        let reached = scan.at;
        self.tail(&mut scan, search, window)?;
        Ok((scan.runs, reached))
    }

    /// Tries the block that should come next.
    fn expect(&self, scan: &mut Scan, block: u32, limit: u64, window: &mut Window<'_>) -> io::Result<bool> {
        let offset = self.signature.blocks.offset(block);
        let size = self.signature.blocks.size_at(offset);
        if block >= self.signature.len() || limit - scan.at < u64::from(size) {
            return Ok(false);
        }
        let size = size as usize;
        // Zeros and patterns: equal to what was just matched, and so are the blocks.
        if self.hashes.is_dear()
            && let Some((before, twin)) = scan.last
            && before + size as u64 == scan.at
            && self.signature.weak(block) == self.signature.weak(twin)
            && self.signature.strong(block) == self.signature.strong(twin)
        {
            let both = window.bytes(before, 2 * size)?;
            if both[..size] == both[size..2 * size] {
                self.matched(scan, block, offset, size);
                return Ok(true);
            }
        }
        let data = &window.bytes(scan.at, size)?[..size];
        if self.hashes.weak(data) != self.signature.weak(block) {
            return Ok(false);
        }
        if self.hashes.is_dear() && self.expect_several(scan, block, limit, window)? {
            return Ok(true);
        }
        let data = &window.bytes(scan.at, size)?[..size];
        let found = self.settle(scan, data, |strong| strong(block));
        if found {
            self.matched(scan, block, offset, size);
        }
        Ok(found)
    }

    /// Tries the expected block, whose weak hash is there, with those behind it, whose strong hashes are cheaper together. False: not even the first one is it,
    /// or it has to be looked at alone.
    fn expect_several(&self, scan: &mut Scan, block: u32, limit: u64, window: &mut Window<'_>) -> io::Result<bool> {
        let (offset, size) = (self.signature.blocks.offset(block), self.signature.blocks.length() as usize);
        let follows = |n: &usize| {
            let here = block + *n as u32;
            here < self.signature.len() && self.signature.blocks.at(offset + (n * size) as u64) == Some(here)
        };
        let end = offset + (LANES * size) as u64;
        let room =
            size <= TOGETHER && limit - scan.at >= (LANES * size) as u64 && end <= self.signature.blocks.file_size();
        if !room || !(0..LANES).all(|n| follows(&n)) || scan.credit < (LANES * size) as i64 {
            return Ok(false);
        }
        let data = &window.bytes(scan.at, LANES * size)?[..LANES * size];
        let weak = |n: &usize| self.hashes.weak(&data[n * size..][..size]) == self.signature.weak(block + *n as u32);
        let alike = 1 + (1..LANES).take_while(weak).count();
        if alike < 2 {
            return Ok(false);
        }
        let mut blocks: [&[u8]; LANES] = [&[]; LANES];
        for (n, block) in blocks[..alike].iter_mut().enumerate() {
            *block = &data[n * size..][..size];
        }
        let mut digests = [[0; MAX_STRONG]; LANES];
        self.hashes.strong_each(&blocks[..alike], &mut digests);
        let kept = usize::from(self.signature.strong_length);
        let is_it = |n: &usize| self.signature.strong(block + *n as u32) == &digests[*n][..kept];
        let found = (0..alike).take_while(is_it).count();
        if found < alike {
            scan.credit -= ((alike - found) * size) as i64;
        }
        for n in 0..found {
            self.matched(scan, block + n as u32, offset + (n * size) as u64, size);
        }
        Ok(found > 0)
    }

    /// Hashes a window and asks whether that is it; in vain, it draws on the credit.
    fn settle(&self, scan: &mut Scan, data: &[u8], is_it: impl FnOnce(&dyn Fn(u32) -> bool) -> bool) -> bool {
        let cost = data.len() as i64;
        if scan.credit < cost {
            return false;
        }
        let digest = self.hashes.strong(data);
        let kept = usize::from(self.signature.strong_length);
        let found = is_it(&|block| self.signature.strong(block) == &digest[..kept]);
        if !found {
            scan.credit -= cost;
        }
        found
    }

    fn matched(&self, scan: &mut Scan, block: u32, offset: u64, size: usize) {
        let run = Run { source: scan.at, destination: offset, length: size as u64 };
        if !scan.runs.last_mut().is_some_and(|last| last.join(&run)) {
            scan.runs.push(run);
        }
        let whole = size == self.signature.blocks.length() as usize;
        scan.last = whole.then_some((scan.at, block));
        scan.at += size as u64;
        scan.next = self.signature.blocks.at(run.destination_end());
    }

    /// The block that should come next; or one of those behind it, where it would have come: perhaps what lies between was changed in
    /// place. Then nothing rolls over that; a later round looks into it.
    fn in_place(&self, scan: &mut Scan, block: u32, search: &Search, window: &mut Window<'_>) -> io::Result<bool> {
        if self.expect(scan, block, search.limit, window)? {
            return Ok(true);
        }
        let (at, offset) = (scan.at, self.signature.blocks.offset(block));
        let length = u64::from(self.signature.blocks.length());
        for skipped in (1..=SKIPPED).map(|blocks| blocks * length) {
            let Some(block) = self.signature.blocks.at(offset + skipped) else { break };
            if at + skipped >= search.limit {
                break;
            }
            scan.at = at + skipped;
            if self.expect(scan, block, search.limit, window)? {
                return Ok(true);
            }
        }
        scan.at = at;
        Ok(false)
    }

    /// Goes on byte by byte up to a block; false: to the end of the stretch, or of its patience.
    fn roll(&self, scan: &mut Scan, search: &Search, window: &mut Window<'_>) -> io::Result<bool> {
        let length = self.signature.blocks.length() as usize;
        let end = search.starts.end.min(scan.at.saturating_add(search.patience));
        while scan.at < end && search.limit - scan.at >= length as u64 && !self.signature.is_empty() {
            let data = window.bytes(scan.at, length)?;
            let most = usize::try_from(end - scan.at).unwrap_or(usize::MAX);
            // Positions whose window lies in the data, and that a match may begin at.
            let steps = (data.len() - length + 1).min(most);
            let mut weak = self.hashes.weak(&data[..length]);
            let mut at = 0;
            loop {
                let hit = self.skip(&mut weak, data, at..steps);
                scan.credit += (hit - at) as i64;
                at = hit;
                if at == steps {
                    break;
                }
                if let Some(block) = self.look(scan, weak, &data[at..]) {
                    scan.at += at as u64;
                    self.matched(scan, block, self.signature.blocks.offset(block), length);
                    return Ok(true);
                }
                // Without credit nothing can be settled: on to where there is some, without a look at what lies between.
                let far = usize::try_from(self.least() - scan.credit).unwrap_or(0).max(1);
                at = steps.min(at + far);
                scan.credit += far as i64;
                if at == steps {
                    break;
                }
                weak = match far {
                    1 => {
                        let rolling = self.hashes.rolling(weak);
                        self.hashes.rolled(self.hashes.roll(rolling, data[at - 1], data[at - 1 + length]))
                    }
                    _ => self.hashes.weak(&data[at..at + length]),
                };
            }
            scan.at += steps as u64;
        }
        Ok(false)
    }

    /// The first position in `positions` that the table's bitmap lets pass, or their end; `weak` is the hash of the
    /// first, and becomes that of the one returned.
    #[inline]
    fn skip(&self, weak: &mut u32, data: &[u8], positions: Range<usize>) -> usize {
        let length = self.signature.blocks.length() as usize;
        let (first, last) = (positions.start, positions.end - 1);
        let mut rolling = self.hashes.rolling(*weak);
        for (step, (out, in_)) in data[first..last].iter().zip(&data[first + length..last + length]).enumerate() {
            let hash = self.hashes.rolled(rolling);
            if self.table.may_have(hash) {
                *weak = hash;
                return first + step;
            }
            rolling = self.hashes.roll(rolling, *out, *in_);
        }
        *weak = self.hashes.rolled(rolling);
        if self.table.may_have(*weak) { last } else { positions.end }
    }

    /// The credit that it takes to look at a position closely.
    fn least(&self) -> i64 {
        i64::from(self.signature.blocks.length()) / NEIGHBOUR
    }

    /// Settles which block, if any, the data begins with.
    fn look(&self, scan: &mut Scan, weak: u32, data: &[u8]) -> Option<u32> {
        let length = self.signature.blocks.length() as usize;
        if scan.credit < self.least() {
            return None;
        }
        let mut candidates = self.table.with(self.signature, weak).peekable();
        candidates.peek()?;
        if scan.credit < GRANT / 2 * length as i64 && data.len() >= 2 * length {
            // Dear: in files of many GB chance brings a weak hit every few blocks. Where a block is, the next one mostly is, too.
            scan.credit -= self.least();
            let next = self.hashes.weak(&data[length..2 * length]);
            let follows = |block: u32| block + 1 < self.signature.len() && self.signature.weak(block + 1) == next;
            if !self.table.with(self.signature, weak).any(follows) {
                return None;
            }
        }
        let mut found = None;
        self.settle(scan, &data[..length], |is| {
            found = candidates.find(|block| is(*block));
            found.is_some()
        });
        found
    }

    /// The short block at the end of the old file, at the end of the stretch.
    fn tail(&self, scan: &mut Scan, search: &Search, window: &mut Window<'_>) -> io::Result<()> {
        let Some((block, size)) = self.signature.blocks.tail() else { return Ok(()) };
        let at = search.limit.saturating_sub(u64::from(size));
        let free = scan.runs.last().map_or(search.starts.start, Run::source_end);
        if search.starts.end < search.limit || at < free || block >= self.signature.len() {
            return Ok(());
        }
        scan.at = at;
        self.expect(scan, block, search.limit, window)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
