//! The bytes of a file from some position on, in a buffer that fits the cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::digest::Feed;
use crate::aligned::Aligned;

/// Bytes read at a time, unless more are needed at once.
const STEP: usize = 256 << 10;

/// More is not handed on: it would be held several times.
const MOST_FED: usize = 1 << 20;

/// A buffered view of a file that mostly moves forward.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    /// Who gets what was read when it is not needed any more.
    feed: Option<&'a Feed>,
    buffer: Aligned,
    start: u64,
    filled: usize,
    limit: u64,
}

impl<'a> Window<'a> {
    /// A view of `file` up to `limit`.
    pub fn new(file: &'a File, limit: u64) -> Self {
        Self { file, feed: None, buffer: Aligned::default(), start: 0, filled: 0, limit }
    }

    /// The same, which hands on what it has read.
    pub fn feeding(file: &'a File, limit: u64, feed: &'a Feed) -> Self {
        Self { feed: Some(feed), ..Self::new(file, limit) }
    }

    /// Hands on what is left.
    pub fn hand_on(&mut self) {
        self.replace(Aligned::default());
        self.filled = 0;
    }

    /// Another buffer, and the one before to whom it may concern.
    fn replace(&mut self, buffer: Aligned) {
        let before = std::mem::replace(&mut self.buffer, buffer);
        if let Some(feed) = self.feed.filter(|_| self.filled > 0 && before.len() <= MOST_FED) {
            feed.bytes(self.start, before, self.filled);
        }
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
        let kept = from.map_or(0, |from| self.filled - from);
        // Blocks need one another's company: four at a time, lest half of the bytes be moved each time.
        let want = STEP.max(need.saturating_mul(4)).min(left).max(kept);
        match (self.feed, from) {
            (Some(feed), _) => {
                let mut next = feed.buffer(want);
                next[..kept].copy_from_slice(&self.buffer[self.filled - kept..self.filled]);
                self.replace(next);
            }
            (None, from) => {
                self.buffer.copy_within(from.unwrap_or(self.filled)..self.filled, 0);
                self.buffer.grow(want);
            }
        }
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
    use super::super::digest::Fed;
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

    #[test]
    fn what_was_read_is_handed_on_in_order() {
        let data = bytes(2_000_000, 3);
        let there = file(&data);
        let (feed, fed, _back) = Feed::new();
        let taking = std::thread::spawn(move || {
            let mut all = Vec::new();
            for fed in fed {
                let Fed::Bytes(at, buffer, length) = fed else { panic!("{fed:?}") };
                assert!(at <= all.len() as u64, "a hole before {at}");
                all.truncate(at as usize);
                all.extend_from_slice(&buffer[..length]);
            }
            all
        });
        let mut window = Window::feeding(&there, data.len() as u64, &feed);
        for at in (0..1_950_000).step_by(50_000) {
            let seen = window.bytes(at, 60_000.min(2_000_000 - at as usize)).unwrap();
            assert!(*seen == data[at as usize..][..seen.len()]);
        }
        window.hand_on();
        drop(feed);
        assert!(taking.join().unwrap() == data);
    }
}
