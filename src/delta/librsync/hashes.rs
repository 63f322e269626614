//! librsync's two weak and two strong hashes.

use blake2::Blake2b;
use blake2::digest::Digest as _;
use blake2::digest::consts::U32;
use md4::Md4;

use crate::delta::hashes::{Hashes, MAX_STRONG};

/// The weak hash of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weak {
    /// librsync's variant of rsync's rolling checksum.
    Rollsum,
    /// Rabin-Karp; what `rdiff` takes unless told otherwise.
    RabinKarp,
}

/// The strong hash of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strong {
    /// MD4, 16 bytes: broken, for old files only.
    Md4,
    /// BLAKE2b, 32 bytes; what `rdiff` takes unless told otherwise.
    Blake2,
}

impl Strong {
    /// Bytes of the whole hash.
    pub fn length(self) -> u8 {
        match self {
            Self::Md4 => 16,
            Self::Blake2 => 32,
        }
    }
}

/// Which hashes a signature has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The weak one.
    pub weak: Weak,
    /// The strong one.
    pub strong: Strong,
}

impl Kind {
    /// All there are, with their magic numbers.
    const ALL: [(u32, Self); 4] = [
        (0x7273_0136, Self { weak: Weak::Rollsum, strong: Strong::Md4 }),
        (0x7273_0137, Self { weak: Weak::Rollsum, strong: Strong::Blake2 }),
        (0x7273_0146, Self { weak: Weak::RabinKarp, strong: Strong::Md4 }),
        (0x7273_0147, Self { weak: Weak::RabinKarp, strong: Strong::Blake2 }),
    ];

    /// What a signature begins with.
    pub fn magic(self) -> u32 {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or(0, |(magic, _)| magic)
    }

    /// The kind with this magic number.
    pub fn of(magic: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == magic).map(|(_, kind)| kind)
    }
}

/// The hashes of one kind, for blocks of one length.
#[derive(Debug, Clone)]
pub struct LibrsyncHashes {
    kind: Kind,
    length: u32,
    /// [`RK_MULT`] to the power of the length.
    power: u32,
}

/// Added to every byte by the rolling checksum.
const OFFSET: u32 = 31;
const RK_SEED: u32 = 1;
const RK_MULT: u32 = 0x0810_4225;
/// What the seed contributes to a byte that leaves.
const RK_ADJUST: u32 = 0x0810_4224;

impl LibrsyncHashes {
    /// For blocks of `length` bytes.
    pub fn new(kind: Kind, length: u32) -> Self {
        Self { kind, length, power: RK_MULT.wrapping_pow(length) }
    }
}

impl Hashes for LibrsyncHashes {
    type Rolling = u32;

    fn weak(&self, block: &[u8]) -> u32 {
        match self.kind.weak {
            Weak::Rollsum => {
                let (mut s1, mut s2) = (0_u32, 0_u32);
                for byte in block {
                    s1 = s1.wrapping_add(u32::from(*byte) + OFFSET);
                    s2 = s2.wrapping_add(s1);
                }
                s2 << 16 | s1 & 0xffff
            }
            Weak::RabinKarp => {
                block.iter().fold(RK_SEED, |hash, byte| hash.wrapping_mul(RK_MULT).wrapping_add(u32::from(*byte)))
            }
        }
    }

    fn roll(&self, hash: u32, out: u8, in_: u8) -> u32 {
        let (out, in_) = (u32::from(out), u32::from(in_));
        match self.kind.weak {
            Weak::Rollsum => {
                let s1 = (hash & 0xffff).wrapping_add(in_).wrapping_sub(out);
                let s2 = (hash >> 16).wrapping_add(s1).wrapping_sub(self.length.wrapping_mul(out + OFFSET));
                s2 << 16 | s1 & 0xffff
            }
            Weak::RabinKarp => {
                let leaving = self.power.wrapping_mul(out + RK_ADJUST);
                hash.wrapping_mul(RK_MULT).wrapping_add(in_).wrapping_sub(leaving)
            }
        }
    }

    fn rolling(&self, weak: u32) -> u32 {
        weak
    }

    fn rolled(&self, hash: u32) -> u32 {
        hash
    }

    fn strong(&self, block: &[u8]) -> [u8; MAX_STRONG] {
        match self.kind.strong {
            Strong::Blake2 => Blake2b::<U32>::digest(block).into(),
            Strong::Md4 => {
                let mut out = [0; MAX_STRONG];
                out[..16].copy_from_slice(&Md4::digest(block));
                out
            }
        }
    }
}
