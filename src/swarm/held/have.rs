//! Which pieces are here, and which came lately: pure, the clock is passed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::content::Bitmap;

/// Additions remembered: a peer that looks at least this often gets indices, not bitmaps.
const REMEMBERED: usize = 1024;

/// What changed since a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Just these pieces came, in this order. Empty: nothing changed.
    Added(Vec<u32>),
    /// Too much to tell, or pieces went away: look at the whole bitmap.
    Whole,
}

/// A bitmap with a generation: every piece that comes or goes makes a new one.
///
/// Generations start anywhere and only grow, so that one from before a restart is (all but
/// certainly) not taken for one of now.
#[derive(Debug)]
pub struct Have {
    bitmap: Arc<Bitmap>,
    generation: u64,
    /// The last additions with their times; the newest made `generation`.
    recent: VecDeque<(u32, Instant)>,
}

impl Have {
    /// Starts with `bitmap` as generation `first`.
    pub fn new(bitmap: Bitmap, first: u64) -> Self {
        Self { bitmap: Arc::new(bitmap), generation: first, recent: VecDeque::new() }
    }

    /// The bitmap as it is now; copied only if it changes while somebody holds it.
    pub fn bitmap(&self) -> &Arc<Bitmap> {
        &self.bitmap
    }

    /// The generation of [`Self::bitmap`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds pieces; those already there or out of range are ignored. Tells how many were new.
    pub fn add(&mut self, pieces: &[u32], now: Instant) -> usize {
        if !pieces.iter().any(|piece| *piece < self.bitmap.len() && !self.bitmap.get(*piece)) {
            return 0;
        }
        let bitmap = Arc::make_mut(&mut self.bitmap);
        let mut new = 0;
        for &piece in pieces {
            if bitmap.set(piece) {
                self.generation += 1;
                new += 1;
                if self.recent.len() == REMEMBERED {
                    self.recent.pop_front();
                }
                self.recent.push_back((piece, now));
            }
        }
        new
    }

    /// Takes pieces away. Everybody has to look at the whole bitmap afterwards.
    pub fn remove(&mut self, pieces: impl Iterator<Item = u32>) -> usize {
        let bitmap = Arc::make_mut(&mut self.bitmap);
        let gone = pieces.filter(|piece| bitmap.clear(*piece)).count();
        if gone > 0 {
            self.generation += 1;
            self.recent.clear();
        }
        gone
    }

    /// What changed since `generation`; a generation that never was gets the whole.
    pub fn since(&self, generation: u64) -> Changes {
        match self.unseen(generation) {
            Some(count) => {
                Changes::Added(self.recent.range(self.recent.len() - count..).map(|(piece, _)| *piece).collect())
            }
            None => Changes::Whole,
        }
    }

    /// When the first change after `generation` came; `None`: there was none, or it is not known.
    pub fn first_change(&self, generation: u64) -> Option<Instant> {
        let count = self.unseen(generation).filter(|count| *count > 0)?;
        self.recent.get(self.recent.len() - count).map(|(_, at)| *at)
    }

    fn unseen(&self, generation: u64) -> Option<usize> {
        let count = usize::try_from(self.generation.checked_sub(generation)?).ok()?;
        (count <= self.recent.len()).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_removal_makes_everybody_look_at_the_whole() {
        let now = Instant::now();
        let mut have = Have::new(Bitmap::empty(10), 5);
        have.add(&[3, 4], now);
        assert_eq!(have.since(5), Changes::Added(vec![3, 4]));
        assert_eq!(have.remove([4, 9].into_iter()), 1);
        assert_eq!(have.since(7), Changes::Whole);
        assert_eq!(have.since(8), Changes::Added(vec![]));
        assert_eq!(have.since(9), Changes::Whole, "a generation of another life");
        have.add(&[4], now);
        assert_eq!(have.since(8), Changes::Added(vec![4]));
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut have = Have::new(Bitmap::empty(10), 0);
        let before = have.bitmap().clone();
        have.add(&[1], Instant::now());
        assert!(!before.get(1) && have.bitmap().get(1));
        let address = Arc::as_ptr(have.bitmap());
        drop(before);
        assert_eq!(have.add(&[1, 99], Instant::now()), 0);
        have.add(&[2], Instant::now());
        assert_eq!(address, Arc::as_ptr(have.bitmap()), "not copied when nobody looks");
    }

    proptest! {
        #[test]
        fn following_the_changes_leads_to_the_same_bitmap(
            steps in prop::collection::vec((0u32..3000, 1u32..40, prop::bool::weighted(0.05), any::<bool>()), 1..200),
        ) {
            let now = Instant::now();
            let mut have = Have::new(Bitmap::empty(3000), 77);
            let mut copy = (77, Bitmap::empty(3000));
            for (from, count, removes, looks) in steps {
                let pieces: Vec<u32> = (from..from + count).collect();
                if removes { have.remove(pieces.into_iter()); } else { have.add(&pieces, now); }
                if looks {
                    match have.since(copy.0) {
                        Changes::Added(new) => for piece in new { prop_assert!(copy.1.set(piece)); },
                        Changes::Whole => copy.1 = (**have.bitmap()).clone(),
                    }
                    copy.0 = have.generation();
                    prop_assert_eq!(&copy.1, &**have.bitmap());
                }
            }
        }
    }
}
