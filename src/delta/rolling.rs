//! Adler-32 as a rolling hash: the weak hash of a window, and of the window one byte further.
//!
//! RFC 1950, section 8: `a` is one plus the sum of all bytes, `b` the sum of all values that `a` took, both modulo
//! 65521; the hash is `b << 16 | a`. Moving a window of `len` bytes on by one takes `out` from `a` and adds `in`, takes
//! `len * out + 1` from `b` and adds the new `a` (A. Tridgell, P. Mackerras, *The rsync algorithm*, 1996, with
//! another modulus).

/// The largest prime below 2^16.
pub const MODULUS: u32 = 65_521;

/// Adler-32 of a block. At the speed of memory: it is all that large blocks cost beside SHA-256.
pub fn adler32(block: &[u8]) -> u32 {
    simd_adler32::adler32(&block)
}

/// The hash of the window that begins one byte later: `out` leaves at its front, `in_` enters at its end; `len` is
/// the length of the window in bytes. O(1), and nothing but its arguments goes in.
pub fn roll(hash: u32, out: u8, in_: u8, len: usize) -> u32 {
    let leaving = ((len as u64 % u64::from(MODULUS)) * u64::from(out) + 1) % u64::from(MODULUS);
    let (a, b) = step(hash & 0xffff, hash >> 16, u32::from(out), u32::from(in_), MODULUS - leaving as u32);
    b << 16 | a
}

/// `keep` is what `b` changes by, taken modulo 65521, before the new `a` is added: at most the modulus.
#[inline(always)]
fn step(a: u32, b: u32, out: u32, in_: u32, keep: u32) -> (u32, u32) {
    let a = below(a + below(in_ + MODULUS - out));
    (a, below(b + below(keep + a)))
}

/// `value` modulo 65521, for values below twice that: without a branch, so that steps overlap.
#[inline(always)]
fn below(value: u32) -> u32 {
    value.min(value.wrapping_sub(MODULUS))
}

/// The two sums of a window, apart: packed into one word each step would wait for both of the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    a: u32,
    b: u32,
}

impl Sums {
    /// Those of a hash.
    #[inline(always)]
    pub fn of(hash: u32) -> Self {
        Self { a: hash & 0xffff, b: hash >> 16 }
    }

    /// The hash.
    #[inline(always)]
    pub fn hash(self) -> u32 {
        self.b << 16 | self.a
    }
}

/// [`roll`] for one length of window: what depends on the length is looked up.
#[derive(Debug, Clone)]
pub struct Roller {
    keep: Box<[u32; 256]>,
}

impl Roller {
    /// For windows of `len` bytes.
    pub fn new(len: usize) -> Self {
        let len = len as u64 % u64::from(MODULUS);
        let keep = |out: usize| MODULUS - ((len * out as u64 + 1) % u64::from(MODULUS)) as u32;
        Self { keep: Box::new(std::array::from_fn(keep)) }
    }

    /// As [`roll`].
    #[inline(always)]
    pub fn roll(&self, sums: Sums, out: u8, in_: u8) -> Sums {
        let keep = self.keep[usize::from(out)];
        let (a, b) = step(sums.a, sums.b, u32::from(out), u32::from(in_), keep);
        Sums { a, b }
    }
}

/// Spreads a weak hash over all 32 bits: the hashes of small or similar blocks differ in few of them, and always in
/// the same (the finaliser of MurmurHash3, by A. Appleby, in the public domain).
#[inline(always)]
pub fn mix(weak: u32) -> u32 {
    let mut h = weak ^ weak >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 1950 says it.
    fn naive(block: &[u8]) -> u32 {
        let (mut a, mut b) = (1, 0);
        for byte in block {
            a = (a + u32::from(*byte)) % MODULUS;
            b = (b + a) % MODULUS;
        }
        b << 16 | a
    }

    #[test]
    fn golden_values() {
        // Those of zlib.
        for (text, hash) in [
            ("", 1),
            ("a", 0x0062_0062),
            ("abc", 0x024d_0127),
            ("Wikipedia", 0x11e6_0398),
            ("message digest", 0x2975_0586),
        ] {
            assert_eq!(adler32(text.as_bytes()), hash, "{text}");
        }
        assert_eq!(adler32(&[0; 65_521]), 1, "65521 zeros: b is a multiple of the modulus");
        assert_eq!(adler32(&[0xff; 100_000]), naive(&[0xff; 100_000]));
        assert_eq!(roll(adler32(b"Wiki"), b'W', b'p', 4), adler32(b"ikip"));
    }

    proptest! {
        #[test]
        fn every_window_is_hashed_as_if_alone(data in prop::collection::vec(any::<u8>(), 2..600), len in 1_usize..400) {
            let len = len.min(data.len() - 1);
            let roller = Roller::new(len);
            let mut hash = adler32(&data[..len]);
            for at in 0..data.len() - len {
                prop_assert_eq!(hash, naive(&data[at..at + len]));
                let next = roll(hash, data[at], data[at + len], len);
                prop_assert_eq!(next, roller.roll(Sums::of(hash), data[at], data[at + len]).hash());
                hash = next;
            }
            prop_assert_eq!(hash, naive(&data[data.len() - len..]));
        }

        #[test]
        fn extreme_windows(len in 60_000_usize..140_000, out in prop::sample::select(vec![0_u8, 1, 254, 255]), in_: u8) {
            let mut data = vec![255; len + 1];
            (data[0], data[len]) = (out, in_);
            prop_assert_eq!(roll(adler32(&data[..len]), out, in_, len), naive(&data[1..]));
        }
    }
}
