//! A set of piece indices, one bit each, most significant bit first (as in BEP 3's bitfield).

use std::fmt;

/// Bits that do not fit the number of pieces they claim to describe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BitmapError {
    /// The byte string has the wrong length for the piece count.
    #[error("a bitmap of {pieces} pieces has {expected} bytes, not {got}")]
    Length {
        /// Pieces it should describe.
        pieces: u32,
        /// Bytes that takes.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A bit behind the last piece is set (BEP 3 tells to drop such a peer).
    #[error("a bit behind the last of {pieces} pieces is set")]
    SpareBits {
        /// Pieces it should describe.
        pieces: u32,
    },
}

/// Which of `len` pieces are there. Knows its own count, so that totals are O(1).
#[derive(Clone, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    len: u32,
    count: u32,
}

impl Bitmap {
    /// None of `len` pieces.
    pub fn empty(len: u32) -> Self {
        Self { bytes: vec![0; Self::byte_len(len)], len, count: 0 }
    }

    /// All of `len` pieces.
    pub fn full(len: u32) -> Self {
        let mut bytes = vec![0xff; Self::byte_len(len)];
        if let Some(last) = bytes.last_mut()
            && !len.is_multiple_of(8)
        {
            *last <<= 8 - len % 8;
        }
        Self { bytes, len, count: len }
    }

    /// Bytes on the wire for `len` pieces.
    pub fn byte_len(len: u32) -> usize {
        (len as usize).div_ceil(8)
    }

    /// Checks and takes a bitfield that came from outside.
    ///
    /// # Errors
    /// The wrong length, or bits set behind the last piece.
    pub fn from_bytes(bytes: Vec<u8>, len: u32) -> Result<Self, BitmapError> {
        let expected = Self::byte_len(len);
        if bytes.len() != expected {
            return Err(BitmapError::Length { pieces: len, expected, got: bytes.len() });
        }
        if let Some(last) = bytes.last()
            && !len.is_multiple_of(8)
            && last & (0xff >> (len % 8)) != 0
        {
            return Err(BitmapError::SpareBits { pieces: len });
        }
        let count = bytes.iter().map(|b| b.count_ones()).sum();
        Ok(Self { bytes, len, count })
    }

    /// The bitfield as it goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Pieces described, there or not.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True if it describes no pieces at all (an empty file has none).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pieces that are there.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True if every piece is there.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// Is piece `index` there? False for an index out of range.
    pub fn get(&self, index: u32) -> bool {
        index < self.len && self.bytes[index as usize / 8] & (0x80 >> (index % 8)) != 0
    }

    /// Adds piece `index`; true if it was missing. Out of range: ignored, false.
    pub fn set(&mut self, index: u32) -> bool {
        if index >= self.len || self.get(index) {
            return false;
        }
        self.bytes[index as usize / 8] |= 0x80 >> (index % 8);
        self.count += 1;
        true
    }

    /// Removes piece `index`; true if it was there.
    pub fn clear(&mut self, index: u32) -> bool {
        if !self.get(index) {
            return false;
        }
        self.bytes[index as usize / 8] &= !(0x80 >> (index % 8));
        self.count -= 1;
        true
    }

    /// Indices that are there, ascending.
    pub fn ones(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits(0)
    }

    /// Indices that are missing, ascending.
    pub fn zeros(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits(0xff)
    }

    fn bits(&self, flip: u8) -> impl Iterator<Item = u32> + '_ {
        let len = self.len;
        self.bytes
            .iter()
            .enumerate()
            .filter(move |(_, byte)| **byte ^ flip != 0)
            .flat_map(move |(at, byte)| {
                let byte = byte ^ flip;
                (0..8u32).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at as u32 * 8 + bit)
            })
            .filter(move |index| *index < len)
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitmap({}/{})", self.count, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_piece_is_the_most_significant_bit() {
        let mut map = Bitmap::empty(10);
        map.set(0);
        map.set(9);
        assert_eq!(map.as_bytes(), [0x80, 0x40]);
        assert_eq!(Bitmap::full(10).as_bytes(), [0xff, 0xc0]);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        assert!(matches!(Bitmap::from_bytes(vec![0; 3], 10), Err(BitmapError::Length { expected: 2, .. })));
        assert_eq!(Bitmap::from_bytes(vec![0, 0x20], 10), Err(BitmapError::SpareBits { pieces: 10 }));
        assert!(Bitmap::from_bytes(vec![], 0).unwrap().is_full());
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(len in 0u32..200, changes in prop::collection::vec((any::<bool>(), 0u32..220), 0..300)) {
            let mut map = Bitmap::empty(len);
            let mut set = std::collections::BTreeSet::new();
            for (add, index) in changes {
                if add {
                    prop_assert_eq!(map.set(index), index < len && set.insert(index));
                } else {
                    prop_assert_eq!(map.clear(index), set.remove(&index));
                }
            }
            prop_assert_eq!(map.count() as usize, set.len());
            prop_assert!(map.ones().eq(set.iter().copied()));
            prop_assert!(map.zeros().eq((0..len).filter(|i| !set.contains(i))));
            let back = Bitmap::from_bytes(map.as_bytes().to_vec(), len).unwrap();
            prop_assert_eq!(back, map);
        }
    }
}
