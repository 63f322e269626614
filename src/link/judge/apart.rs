//! How far figures and classes are from one another.

use crate::control::link::LinkClass;

/// Latencies that differ by less, in ms, are those of one link.
const LATENCY_STEP: f64 = 3.0;

/// How many times one figure is the other; 1 where one is not known.
pub(super) fn factor(new: Option<f64>, old: Option<f64>) -> f64 {
    match (new, old) {
        (Some(new), Some(old)) if new > 0.0 && old > 0.0 => (new / old).max(old / new),
        _ => 1.0,
    }
}

/// Is this the latency of another link?
pub(super) fn is_far_off(new: Option<f64>, old: Option<f64>, limit: f64) -> bool {
    factor(new, old) > limit && new.zip(old).is_some_and(|(new, old)| (new - old).abs() > LATENCY_STEP)
}

/// Better is more.
pub(super) fn rank(class: LinkClass) -> u8 {
    match class {
        LinkClass::Unknown | LinkClass::Intermittent => 0,
        LinkClass::Satellite => 1,
        LinkClass::Mobile => 2,
        LinkClass::Broadband => 3,
        LinkClass::Fiber => 4,
    }
}
