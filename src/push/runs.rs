//! A queue of segments, kept as runs: moving many of them costs as much as there are runs.

use std::collections::VecDeque;
use std::ops::Range;

use crate::content::Bitmap;

/// Segments in an order, each at most once.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    runs: VecDeque<Range<u32>>,
    count: u32,
}

impl Runs {
    /// The segments that are not in `held`, ascending.
    pub fn missing(held: &Bitmap) -> Self {
        let mut out = Self::default();
        let mut start = None;
        for segment in 0..=held.len() {
            let is_missing = segment < held.len() && !held.get(segment);
            match (start, is_missing) {
                (None, true) => start = Some(segment),
                (Some(first), false) => {
                    out.push_run(first..segment);
                    start = None;
                }
                _ => {}
            }
        }
        out
    }

    /// How many.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// None left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next one.
    pub fn pop_front(&mut self) -> Option<u32> {
        let run = self.runs.front_mut()?;
        let segment = run.start;
        run.start += 1;
        if run.start == run.end {
            self.runs.pop_front();
        }
        self.count -= 1;
        Some(segment)
    }

    /// The last one: what a helper takes, far from where the owner works.
    pub fn pop_back(&mut self) -> Option<u32> {
        let run = self.runs.back_mut()?;
        run.end -= 1;
        let segment = run.end;
        if run.start == run.end {
            self.runs.pop_back();
        }
        self.count -= 1;
        Some(segment)
    }

    /// Puts one first.
    pub fn push_front(&mut self, segment: u32) {
        self.count += 1;
        match self.runs.front_mut() {
            Some(run) if segment + 1 == run.start => run.start = segment,
            _ => self.runs.push_front(segment..segment + 1),
        }
    }

    fn push_run(&mut self, run: Range<u32>) {
        self.count += run.end - run.start;
        match self.runs.back_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => self.runs.push_back(run),
        }
    }

    /// Puts all of `other` behind.
    pub fn append(&mut self, other: &mut Self) {
        for run in std::mem::take(other).runs {
            self.push_run(run);
        }
    }

    /// Brings them into ascending order, so that a path reads the source from front to back.
    pub fn sort(&mut self) {
        let mut runs: Vec<_> = std::mem::take(self).runs.into();
        runs.sort_unstable_by_key(|run| run.start);
        for run in runs {
            self.push_run(run);
        }
    }

    /// Takes the first `count`.
    pub fn take_front(&mut self, count: u32) -> Self {
        let mut taken = Self::default();
        while taken.count < count {
            let Some(run) = self.runs.front_mut() else { break };
            let length = (run.end - run.start).min(count - taken.count);
            let part = run.start..run.start + length;
            run.start += length;
            if run.start == run.end {
                self.runs.pop_front();
            }
            self.count -= length;
            taken.push_run(part);
        }
        taken
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_plain_queue(steps in prop::collection::vec((0u8..6, 0u32..40), 0..60), held in prop::collection::vec(0u32..40, 0..20)) {
            let mut map = Bitmap::empty(40);
            held.iter().for_each(|segment| { map.set(*segment); });
            let mut runs = Runs::missing(&map);
            let mut plain: Vec<u32> = (0..40).filter(|s| !map.get(*s)).collect();
            for (what, n) in steps {
                match what {
                    0 => prop_assert_eq!(runs.pop_front(), (!plain.is_empty()).then(|| plain.remove(0))),
                    1 => prop_assert_eq!(runs.pop_back(), plain.pop()),
                    2 if !plain.contains(&n) => { runs.push_front(n); plain.insert(0, n); }
                    3 => {
                        let taken: Vec<u32> = runs.take_front(n).iter().collect();
                        let rest = plain.split_off(plain.len().min(n as usize));
                        prop_assert_eq!(&taken, &plain);
                        plain = rest;
                    }
                    4 => { runs.sort(); plain.sort_unstable(); }
                    _ => {
                        let mut front = runs.take_front(n);
                        runs.append(&mut front);
                        let mid = plain.len().min(n as usize);
                        plain.rotate_left(mid);
                    }
                }
                prop_assert_eq!(runs.len() as usize, plain.len());
                prop_assert_eq!(runs.iter().collect::<Vec<_>>(), plain.clone());
            }
        }
    }
}
