//! What a path is worth, from three figures, and what share of the segments it gets.
//!
//! ```text
//! T = throughput over the best path's      L = latency over the worst path's      E = failures / attempts
//! score = 0.5 T − 0.3 L − 0.2 E            between −0.5 and 0.5
//!
//! throughput counts the failed attempts as attempts without bytes:      measured × (1 − E)
//! latency counts them as slow ones:                                     measured × (1 − E) + 1 s × E
//! so a path that fails fast never looks quick.
//!
//! weight = score − least score + max(0.1 × (best score − least score), 0.01)
//! share  = weight over the sum of all weights
//! ```
//!
//! The last term of the weight keeps a small positive share for the worst path: without work it could
//! never show that it has become better.

/// What a failed attempt counts as, in milliseconds.
pub const FAILED_LATENCY_MS: f64 = 1_000.0;
/// The worst path's weight, as a share of what lies between best and worst.
const FLOOR: f64 = 0.1;
/// The least weight, where all score the same.
const LEAST: f64 = 0.01;

/// How much each term counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the throughput.
    pub throughput: f64,
    /// Of the latency.
    pub latency: f64,
    /// Of the failures.
    pub errors: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { throughput: 0.5, latency: 0.3, errors: 0.2 }
    }
}

/// What was measured of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Bytes per second while it was used, or guessed from the first probe.
    pub throughput: f64,
    /// Median round trip in milliseconds.
    pub latency_ms: f64,
    /// Failures over attempts, 0 to 1.
    pub error_rate: f64,
}

impl Figures {
    /// Bytes per second, failed attempts counted.
    pub fn effective_throughput(&self) -> f64 {
        self.throughput * (1.0 - self.error_rate)
    }

    fn effective_latency(&self) -> f64 {
        self.latency_ms * (1.0 - self.error_rate) + FAILED_LATENCY_MS * self.error_rate
    }
}

/// The first guess of a path's throughput in bytes per second, before anything was sent: 1 MB per
/// millisecond of latency × 1000.
pub fn first_guess(latency_ms: f64) -> f64 {
    1e6 / latency_ms.max(0.01) * 1_000.0
}

/// A score and the terms behind it, each from 0 to 1 and before its weight.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// T.
    pub throughput: f64,
    /// L.
    pub latency: f64,
    /// E.
    pub errors: f64,
    /// The weighted sum.
    pub score: f64,
}

/// Scores paths against one another.
pub fn score(paths: &[Figures], weights: Weights) -> Vec<Terms> {
    let best = paths.iter().map(Figures::effective_throughput).fold(0.0, f64::max);
    let worst = paths.iter().map(Figures::effective_latency).fold(0.0, f64::max);
    let over = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let terms = paths.iter().map(|path| {
        let throughput = over(path.effective_throughput(), best);
        let (latency, errors) = (over(path.effective_latency(), worst), path.error_rate);
        let score = weights.throughput * throughput - weights.latency * latency - weights.errors * errors;
        Terms { throughput, latency, errors, score }
    });
    terms.collect()
}

/// The share of each of these scores: all positive, 1 in all.
pub fn shares(scores: &[f64]) -> Vec<f64> {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let floor = (FLOOR * (best - least)).max(LEAST);
    let weights: Vec<f64> = scores.iter().map(|score| score - least + floor).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Half of the best score: a path below it only helps out. Scores can be negative, so half is taken of the
/// distance: `best − |best| / 2`.
pub fn half_of(best: f64) -> f64 {
    best - best.abs() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figures(throughput: f64, latency_ms: f64, error_rate: f64) -> Figures {
        Figures { throughput, latency_ms, error_rate }
    }

    #[test]
    fn the_formula() {
        let terms = score(&[figures(25e6, 20.0, 0.0), figures(12.5e6, 40.0, 0.0)], Weights::default());
        assert!((terms[0].score - (0.5 - 0.15)).abs() < 1e-12, "{terms:?}");
        assert!((terms[1].score - (0.25 - 0.3)).abs() < 1e-12, "{terms:?}");
        assert_eq!((terms[1].throughput, terms[1].latency, terms[1].errors), (0.5, 1.0, 0.0));
        assert_eq!(first_guess(100.0), 1e7);
        assert!((half_of(0.3) - 0.15).abs() < 1e-12 && (half_of(-0.2) + 0.3).abs() < 1e-12);
    }

    #[test]
    fn failing_fast_is_not_quick() {
        let steady = figures(10e6, 80.0, 0.0);
        let failing = figures(10e6, 1.0, 0.9);
        let terms = score(&[steady, failing], Weights::default());
        assert!(terms[0].score > terms[1].score + 0.5, "{terms:?}");
    }

    proptest! {
        #[test]
        fn scores_are_bounded_and_shares_are_positive(
            raw in prop::collection::vec((0.0f64..1e10, 0.0f64..1e4, 0.0f64..=1.0), 1..17)
        ) {
            let paths: Vec<_> = raw.iter().map(|&(t, l, e)| figures(t, l, e)).collect();
            let terms = score(&paths, Weights::default());
            prop_assert!(terms.iter().all(|t| (-0.500001..=0.500001).contains(&t.score)));
            let scores: Vec<f64> = terms.iter().map(|t| t.score).collect();
            let shares = shares(&scores);
            prop_assert!(shares.iter().all(|share| *share > 0.0 && *share <= 1.0));
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (a, b) in scores.iter().zip(&shares).zip(scores.iter().zip(&shares).skip(1)).map(|(x, y)| ((x.0, x.1), (y.0, y.1))) {
                prop_assert!((a.0 - b.0) * (a.1 - b.1) >= 0.0, "a better score has no smaller share");
            }
        }
    }
}
