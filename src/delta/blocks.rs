//! Which blocks of a file a signature is of: all of it, or the stretches that are still to be matched.

use std::ops::Range;

/// Most blocks of one signature: what a table of them takes, some 40 MB, is the most that memory grows by.
pub const MAX_BLOCKS: u64 = 1 << 21;
/// Shortest and longest block, in bytes.
pub const BLOCK_LENGTHS: std::ops::RangeInclusive<u32> = 64..=(16 << 20);
/// Most bytes of a file (as of a content).
pub const MAX_FILE: u64 = 1 << 53;

/// What is wrong with a list of blocks that somebody asks for or claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// Out of [`BLOCK_LENGTHS`].
    #[error("blocks of {0} bytes: 64 B to 16 MiB are possible")]
    Length(u32),
    /// More than [`MAX_BLOCKS`].
    #[error("{0} blocks: {MAX_BLOCKS} are possible; ask for longer ones, or for less of the file")]
    Count(u64),
    /// Out of the file, out of order, or not at a block's border.
    #[error("bytes {0}..{1} are not a stretch of whole blocks of the file, behind the one before")]
    Range(u64, u64),
    /// Longer than [`MAX_FILE`].
    #[error("a file of {0} bytes: 2^53 are possible")]
    File(u64),
}

/// Blocks of one length over stretches of a file, counted from 0 over all stretches. Only a block that ends with the
/// file may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    file_size: u64,
    length: u32,
    ranges: Vec<Range<u64>>,
    /// The index of the first block of each range.
    firsts: Vec<u32>,
    count: u32,
}

impl Blocks {
    /// All blocks of a file.
    ///
    /// # Errors
    /// A length out of bounds, or too many.
    pub fn whole(file_size: u64, length: u32) -> Result<Self, BlocksError> {
        let range = 0..file_size;
        Self::new(file_size, length, if file_size == 0 { vec![] } else { vec![range] })
    }

    /// The blocks of these stretches: ascending, apart or adjacent, not empty, beginning at a multiple of `length`, ending at one
    /// or with the file.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(file_size: u64, length: u32, ranges: Vec<Range<u64>>) -> Result<Self, BlocksError> {
        if !BLOCK_LENGTHS.contains(&length) {
            return Err(BlocksError::Length(length));
        }
        if file_size > MAX_FILE {
            return Err(BlocksError::File(file_size));
        }
        let unit = u64::from(length);
        let (mut count, mut end) = (0, 0);
        let mut firsts = Vec::with_capacity(ranges.len());
        for range in &ranges {
            let whole = range.start.is_multiple_of(unit) && (range.end.is_multiple_of(unit) || range.end == file_size);
            if !whole || range.start < end || range.start >= range.end || range.end > file_size {
                return Err(BlocksError::Range(range.start, range.end));
            }
            end = range.end;
            firsts.push(count as u32);
            count += (range.end - range.start).div_ceil(unit);
            if count > MAX_BLOCKS {
                return Err(BlocksError::Count(count));
            }
        }
        Ok(Self { file_size, length, ranges, firsts, count: count as u32 })
    }

    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of each, but perhaps the last.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The stretches.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Bytes of all blocks together.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// Where a block begins, in bytes.
    pub fn offset(&self, index: u32) -> u64 {
        let range = self.firsts.partition_point(|first| *first <= index).saturating_sub(1);
        let Some(start) = self.ranges.get(range).map(|r| r.start) else { return self.file_size };
        start + u64::from(index - self.firsts[range]) * u64::from(self.length)
    }

    /// Bytes of the block that begins there.
    pub fn size_at(&self, offset: u64) -> u32 {
        u64::from(self.length).min(self.file_size.saturating_sub(offset)) as u32
    }

    /// The block that begins at this byte, if there is one.
    pub fn at(&self, offset: u64) -> Option<u32> {
        let range = self.ranges.partition_point(|r| r.end <= offset);
        let start = self.ranges.get(range)?.start;
        let into = offset.checked_sub(start)?;
        into.is_multiple_of(u64::from(self.length)).then(|| self.firsts[range] + (into / u64::from(self.length)) as u32)
    }

    /// The short block at the end of the file, and its length, if it is among these.
    pub fn tail(&self) -> Option<(u32, u32)> {
        let length = (self.file_size % u64::from(self.length)) as u32;
        let there = length > 0 && self.ranges.last().is_some_and(|r| r.end == self.file_size);
        there.then(|| (self.count - 1, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_over_all_stretches() {
        let blocks = Blocks::new(1000, 64, vec![0..64, 128..256, 256..320, 960..1000]).unwrap();
        assert_eq!((blocks.count(), blocks.bytes()), (5, 64 * 4 + 40));
        let offsets = [0, 128, 192, 256, 960];
        for (index, offset) in offsets.into_iter().enumerate() {
            assert_eq!(blocks.offset(index as u32), offset);
            assert_eq!(blocks.at(offset), Some(index as u32));
        }
        for nowhere in [1, 64, 129, 320, 959, 961, 1000, 5000] {
            assert_eq!(blocks.at(nowhere), None, "{nowhere}");
        }
        assert_eq!((blocks.size_at(256), blocks.size_at(960)), (64, 40));
        assert_eq!(blocks.tail(), Some((4, 40)));
        assert_eq!(Blocks::whole(128, 64).unwrap().tail(), None);
        assert_eq!(Blocks::whole(0, 64).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for range in [32..64, 0..63, 0..0, 64..1088, 960..1001] {
            assert_eq!(Blocks::new(1000, 64, vec![range.clone()]), Err(BlocksError::Range(range.start, range.end)));
        }
        assert!(Blocks::new(1000, 64, vec![64..128, 0..64]).is_err(), "out of order");
        assert!(Blocks::new(1000, 64, vec![0..128, 64..192]).is_err(), "overlap");
        assert_eq!(Blocks::whole(1000, 63), Err(BlocksError::Length(63)));
        assert_eq!(Blocks::whole(1000, 17 << 20), Err(BlocksError::Length(17 << 20)));
        assert_eq!(Blocks::whole(64_000_000_000_000, 64), Err(BlocksError::Count(1_000_000_000_000)));
        assert_eq!(Blocks::whole(u64::MAX, 1 << 20), Err(BlocksError::File(u64::MAX)));
    }
}
