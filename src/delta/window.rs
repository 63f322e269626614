//! The bytes of a file from some position on, in a buffer that fits the cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::aligned::Aligned;

/// Bytes read at a time, unless more are needed at once.
const STEP: usize = 256 << 10;

/// A buffered view of a file that mostly moves forward.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    buffer: Aligned,
    start: u64,
    filled: usize,
    limit: u64,
}

impl<'a> Window<'a> {
    /// A view of `file` up to `limit`.
    pub fn new(file: &'a File, limit: u64) -> Self {
        Self { file, buffer: Aligned::default(), start: 0, filled: 0, limit }
    }

    /// Reads nothing beyond `limit` from here on.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.filled = self.filled.min(usize::try_from(limit.saturating_sub(self.start)).unwrap_or(usize::MAX));
    }

    /// What is buffered from `at` on, at least `need` bytes.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` if the file, or the limit, ends before.
    pub fn bytes(&mut self, at: u64, need: usize) -> io::Result<&[u8]> {
        let from = at.checked_sub(self.start).and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= self.filled);
        let from = match from {
            Some(from) if self.filled - from >= need => from,
            _ => {
                self.fill(at, from, need)?;
                0
            }
        };
        Ok(&self.buffer[from..self.filled])
    }

    fn fill(&mut self, at: u64, from: Option<usize>, need: usize) -> io::Result<()> {
        let left = usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX);
        if left < need {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let kept = from.map_or(0, |from| {
            self.buffer.copy_within(from..self.filled, 0);
            self.filled - from
        });
        // Blocks need one another's company: four at a time, lest half of the bytes be moved each time.
        let want = STEP.max(need.saturating_mul(4)).min(left).max(kept);
        self.buffer.grow(want);
        (self.start, self.filled) = (at, kept);
        while self.filled < want {
            match self.file.read_at(&mut self.buffer[self.filled..want], at + self.filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => self.filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, file};
    use super::*;

    #[test]
    fn forward_backward_and_to_the_end() {
        let data = bytes(2_000_000, 3);
        let there = file(&data);
        let mut window = Window::new(&there, data.len() as u64);
        for (at, need) in
            [(0, 10), (100_000, 200_000), (99_000, 500_000), (1_999_999, 1), (2_000_000, 0), (5, 2_000_000 - 5)]
        {
            let seen = window.bytes(at, need).unwrap();
            assert!(seen.len() >= need && *seen == data[at as usize..][..seen.len()], "{at}");
        }
        assert!(window.bytes(1_999_999, 2).is_err());
        window.set_limit(1000);
        assert_eq!(window.bytes(990, 10).unwrap(), &data[990..1000]);
        assert!(window.bytes(990, 11).is_err());
    }
}
