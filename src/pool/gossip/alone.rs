//! When to say that nobody answers of those to join. Pure: times are ms of this node's clock.

/// Without anybody for so long it is said.
const AFTER_MS: u64 = 10_000;
/// And again after so long: who reads the log knows by then, who begins to read it does not.
const AGAIN_MS: u64 = 600_000;

/// Since when nobody is heard of, and when that is said next.
#[derive(Debug, Default)]
pub struct Alone(Option<(u64, u64)>);

impl Alone {
    /// `others` are heard of now; seconds without anybody, if it is time to say so.
    pub fn look(&mut self, others: usize, now: u64) -> Option<u64> {
        if others > 0 {
            self.0 = None;
            return None;
        }
        let (since, next) = self.0.get_or_insert((now, now.saturating_add(AFTER_MS)));
        if now < *next {
            return None;
        }
        *next = now.saturating_add(AGAIN_MS);
        Some(now.saturating_sub(*since) / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_after_a_while_and_rarely_again() {
        let mut alone = Alone::default();
        assert_eq!([0, 9_999].map(|now| alone.look(0, now)), [None; 2]);
        assert_eq!(alone.look(0, 10_100), Some(10));
        assert_eq!([10_600, 600_000].map(|now| alone.look(0, now)), [None; 2]);
        assert_eq!(alone.look(0, 610_100), Some(610));
        assert_eq!([alone.look(1, 611_000), alone.look(0, 612_000), alone.look(0, 621_999)], [None; 3], "anew");
        assert_eq!(alone.look(0, 622_000), Some(10));
    }
}
