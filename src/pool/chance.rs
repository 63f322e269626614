//! The chance by which nodes are chosen: a cryptographic generator (ChaCha12) that the system seeds, so that nobody outside can
//! tell who is next. It costs no call of the kernel for each choice, and once it is seeded it cannot fail.

use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _};

/// Where chance comes from.
pub struct Chance(StdRng);

impl std::fmt::Debug for Chance {
    /// Its state would tell who is chosen next.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance")
    }
}

impl Chance {
    /// Seeded by the system.
    ///
    /// # Errors
    /// The system has no random bytes, in words: anything else would be no secret.
    pub fn new() -> Result<Self, String> {
        let seeded = StdRng::try_from_rng(&mut SysRng);
        seeded.map(Self).map_err(|error| format!("the system gives no random bytes: {error}"))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (mut one, mut other) = (Chance::new().unwrap(), Chance::new().unwrap());
        let mut seen: Vec<u64> = (0..1_000).flat_map(|_| [one.bits(), other.bits()]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2_000);
        assert_eq!(format!("{one:?}"), "Chance");
    }
}
