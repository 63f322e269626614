//! A set of peer slots: 1,024 bits that are ANDed sixteen words at a time.

/// Slots there are. The peer book hands out at most 1,000 of them (see [`super::peers::MAX_PEERS`]).
pub const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;

/// Which peer slots belong to some group. Copying costs 128 bytes and no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerSet(pub(super) [u64; WORDS]);

impl PeerSet {
    /// Nobody.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Just `slot`.
    pub fn only(slot: u16) -> Self {
        let mut set = Self::EMPTY;
        set.insert(slot);
        set
    }

    /// Adds `slot`; a slot out of range is ignored.
    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(slot as usize / 64) {
            *word |= 1 << (slot % 64);
        }
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Adds or takes out.
    pub fn put(&mut self, slot: u16, inside: bool) {
        if inside { self.insert(slot) } else { self.remove(slot) }
    }

    /// Is `slot` in it?
    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Nobody in it?
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many are in it.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Those in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// Those in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Those in here and not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// Is anybody in both?
    pub fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// The lowest slot that is not in it, if there is one below `limit`.
    pub fn first_free(&self, limit: u16) -> Option<u16> {
        let at = self.0.iter().position(|word| *word != u64::MAX)?;
        let slot = at as u16 * 64 + self.0[at].trailing_ones() as u16;
        (slot < limit).then_some(slot)
    }

    /// Its slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        let words = self.0;
        let mut at = 0;
        let mut rest = words[0];
        std::iter::from_fn(move || {
            while rest == 0 {
                at += 1;
                rest = *words.get(at)?;
            }
            let bit = rest.trailing_zeros() as u16;
            rest &= rest - 1;
            Some(at as u16 * 64 + bit)
        })
    }

    /// Its slots, starting with the first at or behind `start`, round once: callers who look at a few
    /// only don't favour low slots.
    pub fn iter_from(&self, start: u16) -> impl Iterator<Item = u16> + use<> {
        let mut before = Self::EMPTY;
        for (at, word) in before.0.iter_mut().enumerate() {
            let first = at as u16 * 64;
            *word = match start.saturating_sub(first) {
                0 => 0,
                n if n >= 64 => u64::MAX,
                n => (1 << n) - 1,
            };
        }
        self.minus(&before).iter().chain(self.and(&before).iter())
    }
}

impl std::fmt::Debug for PeerSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(a in prop::collection::btree_set(0u16..1024, 0..80), b in prop::collection::btree_set(0u16..1024, 0..80), start in 0u16..1024) {
            let set = |of: &BTreeSet<u16>| of.iter().fold(PeerSet::EMPTY, |mut s, slot| { s.insert(*slot); s });
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(x.len() as usize, a.len());
            prop_assert!(x.iter().eq(a.iter().copied()));
            prop_assert!(x.and(&y).iter().eq(a.intersection(&b).copied()));
            prop_assert!(x.or(&y).iter().eq(a.union(&b).copied()));
            prop_assert!(x.minus(&y).iter().eq(a.difference(&b).copied()));
            prop_assert_eq!(x.intersects(&y), a.intersection(&b).next().is_some());
            prop_assert_eq!(x.first_free(1024), (0..1024).find(|s| !a.contains(s)));
            prop_assert!(x.iter_from(start).eq(a.range(start..).chain(a.range(..start)).copied()));
        }
    }

    #[test]
    fn slots_out_of_range_are_ignored() {
        let mut set = PeerSet::only(5000);
        assert!(set.is_empty());
        set.put(1023, true);
        assert!(set.contains(1023) && !set.contains(5000));
        set.put(1023, false);
        assert!(set.is_empty());
        assert_eq!(PeerSet([u64::MAX; 16]).first_free(1024), None);
    }
}
