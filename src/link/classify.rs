//! Figures → class: the rules of system 5, in their order. Pure.
//!
//! Each threshold is a question with two answers; a class follows from the answers alone ([`Sides::class`]). That is what
//! makes hysteresis simple: an answer changes only when its figure is the margin past the threshold
//! ([`Sides::moved`]).

use std::fmt::Write as _;

use super::config::Misplaced;
use crate::control::link::LinkClass;
pub use crate::control::link::Thresholds;

impl Thresholds {
    /// Is every one of them a number that a class can begin at?
    ///
    /// # Errors
    /// Which one is not, and what it should be.
    pub fn check(&self) -> Result<(), Misplaced> {
        if !(self.intermittent_loss > 0.0 && self.intermittent_loss < 100.0) {
            let problem = format!("is {}: a percentage above 0 and below 100", self.intermittent_loss);
            return Err(Misplaced { name: "intermittent_loss", other: None, problem });
        }
        let above = |name, value: f64, other: Option<(&'static str, f64)>| {
            let low = other.map_or(0.0, |(_, low)| low);
            let than = other.map_or(String::new(), |(other, _)| format!(" ({other})"));
            let problem = format!("is {value}: it must be above {low}{than}");
            let fits = value.is_finite() && value > low;
            if fits { Ok(()) } else { Err(Misplaced { name, other: other.map(|(other, _)| other), problem }) }
        };
        let Self { satellite_bandwidth, broadband_bandwidth, fiber_bandwidth, .. } = *self;
        above("satellite_bandwidth", satellite_bandwidth, None)?;
        above("broadband_bandwidth", broadband_bandwidth, Some(("satellite_bandwidth", satellite_bandwidth)))?;
        above("fiber_bandwidth", fiber_bandwidth, Some(("broadband_bandwidth", broadband_bandwidth)))?;
        let Self { fiber_latency, broadband_latency, satellite_latency, .. } = *self;
        above("fiber_latency", fiber_latency, None)?;
        above("broadband_latency", broadband_latency, Some(("fiber_latency", fiber_latency)))?;
        above("satellite_latency", satellite_latency, Some(("broadband_latency", broadband_latency)))
    }
}

/// What a class is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Mbit/s.
    pub bandwidth_mbps: Option<f64>,
    /// Round trip, ms.
    pub latency_ms: Option<f64>,
    /// Percent.
    pub loss_percent: Option<f64>,
}

/// A class, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The class.
    pub class: LinkClass,
    /// The rule and its figures, in words.
    pub why: String,
}

/// On which side of each threshold a link is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sides {
    /// It loses too much.
    pub lossy: bool,
    /// Too narrow for anything but a satellite.
    pub narrow: bool,
    /// Too far for anything but a satellite.
    pub far: bool,
    /// As wide as fiber.
    pub wide: bool,
    /// As near as fiber.
    pub near: bool,
    /// As wide as broadband.
    pub fair: bool,
    /// As near as broadband.
    pub close: bool,
}

impl Sides {
    /// Where these figures are. What is not known speaks for nothing.
    pub fn of(figures: &Figures, t: &Thresholds) -> Self {
        let bandwidth = |test: &dyn Fn(f64) -> bool| figures.bandwidth_mbps.is_some_and(test);
        let latency = |test: &dyn Fn(f64) -> bool| figures.latency_ms.is_some_and(test);
        Self {
            lossy: figures.loss_percent.is_some_and(|loss| loss > t.intermittent_loss),
            narrow: bandwidth(&|b| b < t.satellite_bandwidth),
            far: latency(&|l| l > t.satellite_latency),
            wide: bandwidth(&|b| b > t.fiber_bandwidth),
            near: latency(&|l| l < t.fiber_latency),
            fair: bandwidth(&|b| b >= t.broadband_bandwidth),
            close: latency(&|l| l < t.broadband_latency),
        }
    }

    /// Where a link that is here has got to with these figures: over a threshold only if it is `margin` past it, and where a
    /// figure is not known, where it was.
    pub fn moved(self, figures: &Figures, t: &Thresholds, margin: f64) -> Self {
        let above = |was: bool, figure: Option<f64>, limit: f64| match figure {
            Some(figure) if was => figure >= limit * (1.0 - margin),
            Some(figure) => figure > limit * (1.0 + margin),
            None => was,
        };
        let below = |was: bool, figure: Option<f64>, limit: f64| !above(!was, figure, limit);
        let Figures { bandwidth_mbps, latency_ms, loss_percent } = *figures;
        Self {
            lossy: above(self.lossy, loss_percent, t.intermittent_loss),
            narrow: below(self.narrow, bandwidth_mbps, t.satellite_bandwidth),
            far: above(self.far, latency_ms, t.satellite_latency),
            wide: above(self.wide, bandwidth_mbps, t.fiber_bandwidth),
            near: below(self.near, latency_ms, t.fiber_latency),
            fair: above(self.fair, bandwidth_mbps, t.broadband_bandwidth),
            close: below(self.close, latency_ms, t.broadband_latency),
        }
    }

    /// The class: the first rule that holds.
    pub fn class(self) -> LinkClass {
        match self {
            Self { lossy: true, .. } => LinkClass::Intermittent,
            Self { narrow: true, .. } | Self { far: true, .. } => LinkClass::Satellite,
            Self { wide: true, near: true, .. } => LinkClass::Fiber,
            Self { fair: true, close: true, .. } => LinkClass::Broadband,
            _ => LinkClass::Mobile,
        }
    }

    /// Would the class be the same whatever the bandwidth is?
    pub fn is_bandwidth_moot(self) -> bool {
        self.lossy || self.far
    }

    /// The rule that made it its class, with its figures. `margin`: what a change took, where that kept an answer as it was.
    pub fn explain(self, figures: &Figures, t: &Thresholds, margin: f64) -> String {
        let plain = Self::of(figures, t);
        let loss = figures.loss_percent.unwrap_or_default();
        let mut why = match self.class() {
            LinkClass::Intermittent => {
                format!("loses {} of its packets, over {}", percent(loss), percent(t.intermittent_loss))
            }
            LinkClass::Satellite if self.narrow => {
                format!("{}, under {}", mbps(figures.bandwidth_mbps), mbps(Some(t.satellite_bandwidth)))
            }
            // Told by what waited behind transfers: no answer is back yet.
            LinkClass::Satellite if figures.latency_ms.is_none() => {
                return format!("answers take over {}", ms(Some(t.satellite_latency)));
            }
            LinkClass::Satellite => format!("{}, over {}", ms(figures.latency_ms), ms(Some(t.satellite_latency))),
            LinkClass::Fiber => format!(
                "{}, over {}, and {}, under {}",
                mbps(figures.bandwidth_mbps),
                mbps(Some(t.fiber_bandwidth)),
                ms(figures.latency_ms),
                ms(Some(t.fiber_latency))
            ),
            LinkClass::Broadband => {
                let mut why = format!(
                    "{}, at least {}, and {}, under {}",
                    mbps(figures.bandwidth_mbps),
                    mbps(Some(t.broadband_bandwidth)),
                    ms(figures.latency_ms),
                    ms(Some(t.broadband_latency))
                );
                if self.wide && !self.near {
                    let _ = write!(why, "; for fiber under {}", ms(Some(t.fiber_latency)));
                } else if self.near && !self.wide {
                    let _ = write!(why, "; for fiber over {}", mbps(Some(t.fiber_bandwidth)));
                }
                why
            }
            LinkClass::Mobile | LinkClass::Unknown => {
                let mut lacks = Vec::new();
                if !self.fair {
                    lacks.push(format!(
                        "{}, under {}",
                        mbps(figures.bandwidth_mbps),
                        mbps(Some(t.broadband_bandwidth))
                    ));
                }
                if !self.close {
                    lacks.push(format!("{}, not under {}", ms(figures.latency_ms), ms(Some(t.broadband_latency))));
                }
                format!("neither of the others: {}", lacks.join(", and "))
            }
        };
        if plain.class() != self.class() {
            let _ = write!(why, " (past a threshold by less than the {} that a change takes)", percent(margin * 100.0));
        }
        why
    }
}

/// Figures → class, by themselves: no history, no hysteresis.
pub fn classify(figures: &Figures, t: &Thresholds) -> Verdict {
    let sides = Sides::of(figures, t);
    if figures.bandwidth_mbps.is_none() && !sides.is_bandwidth_moot() {
        return Verdict { class: LinkClass::Unknown, why: "no bandwidth was measured".into() };
    }
    if figures.latency_ms.is_none() && !sides.lossy && !sides.narrow {
        return Verdict { class: LinkClass::Unknown, why: "no latency was measured".into() };
    }
    Verdict { class: sides.class(), why: sides.explain(figures, t, 0.0) }
}

/// A bandwidth, in words.
pub fn mbps(figure: Option<f64>) -> String {
    figure.map_or_else(|| "bandwidth not known".into(), |figure| format!("{} Mbit/s", digits(figure)))
}

/// A time, in words.
pub fn ms(figure: Option<f64>) -> String {
    figure.map_or_else(|| "latency not known".into(), |figure| format!("{} ms", digits(figure)))
}

fn percent(figure: f64) -> String {
    format!("{} %", digits(figure))
}

/// Three digits that count.
pub fn digits(figure: f64) -> String {
    let places = match figure.abs() {
        f if f >= 99.95 => 0,
        f if f >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{figure:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use LinkClass::{Broadband, Fiber, Intermittent, Mobile, Satellite, Unknown};
    use proptest::prelude::*;

    use super::*;

    fn figures(bandwidth: f64, latency: f64, loss: f64) -> Figures {
        Figures { bandwidth_mbps: Some(bandwidth), latency_ms: Some(latency), loss_percent: Some(loss) }
    }

    /// A link that only what waits behind transfers shows to be far.
    #[test]
    fn a_latency_that_nobody_saw_is_not_explained_by_it() {
        let t = Thresholds::default();
        let sides = Sides::of(&figures(4.0, 600.0, 0.0), &t);
        let unseen = Figures { latency_ms: None, ..figures(4.0, 0.0, 0.0) };
        assert_eq!(sides.explain(&unseen, &t, 0.2), "answers take over 500 ms");
    }

    /// Worked examples: each rule, each side of each threshold, and which comes first where two hold.
    #[test]
    fn the_rules_hold_in_their_order() {
        let t = Thresholds::default();
        for (bandwidth, latency, loss, class) in [
            (500.0, 2.0, 20.1, Intermittent),
            (500.0, 2.0, 20.0, Fiber),
            (0.5, 600.0, 30.0, Intermittent),
            (0.99, 2.0, 0.0, Satellite),
            (1.0, 2.0, 0.0, Mobile),
            (500.0, 500.1, 0.0, Satellite),
            (500.0, 500.0, 0.0, Mobile),
            (100.1, 9.9, 0.0, Fiber),
            (100.0, 9.9, 0.0, Broadband),
            (100.1, 10.0, 0.0, Broadband),
            (10.0, 49.9, 0.0, Broadband),
            (9.9, 49.9, 0.0, Mobile),
            (10.0, 50.0, 0.0, Mobile),
            (1000.0, 80.0, 0.0, Mobile),
            (20.0, 600.0, 0.0, Satellite),
        ] {
            let verdict = classify(&figures(bandwidth, latency, loss), &t);
            assert_eq!(verdict.class, class, "{bandwidth} Mbit/s, {latency} ms, {loss} %: {}", verdict.why);
        }
    }

    #[test]
    fn a_verdict_says_its_figures() {
        let t = Thresholds::default();
        let why = |b, l, p| classify(&figures(b, l, p), &t).why;
        assert_eq!(why(487.3, 2.214, 0.0), "487 Mbit/s, over 100 Mbit/s, and 2.21 ms, under 10 ms");
        assert_eq!(why(48.0, 21.0, 0.0), "48 Mbit/s, at least 10 Mbit/s, and 21 ms, under 50 ms");
        assert_eq!(
            why(150.0, 21.0, 0.0),
            "150 Mbit/s, at least 10 Mbit/s, and 21 ms, under 50 ms; for fiber under 10 ms"
        );
        assert_eq!(why(0.78, 601.0, 1.0), "0.78 Mbit/s, under 1 Mbit/s");
        assert_eq!(
            why(4.9, 82.0, 0.5),
            "neither of the others: 4.9 Mbit/s, under 10 Mbit/s, and 82 ms, not under 50 ms"
        );
        assert_eq!(why(4.9, 82.0, 31.0), "loses 31 % of its packets, over 20 %");
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        let t = Thresholds::default();
        let nothing = Figures::default();
        assert_eq!(classify(&nothing, &t).class, Unknown);
        assert_eq!(classify(&Figures { latency_ms: Some(600.0), ..nothing }, &t).class, Satellite);
        assert_eq!(classify(&Figures { latency_ms: Some(60.0), ..nothing }, &t).class, Unknown);
        assert_eq!(classify(&Figures { bandwidth_mbps: Some(60.0), ..nothing }, &t).class, Unknown);
        assert_eq!(classify(&Figures { bandwidth_mbps: Some(0.6), ..nothing }, &t).class, Satellite);
    }

    #[test]
    fn thresholds_that_cross_are_refused() {
        assert!(Thresholds::default().check().is_ok());
        let crossed = Thresholds { fiber_bandwidth: 5.0, ..Thresholds::default() };
        assert!(crossed.check().unwrap_err().to_string().contains("fiber_bandwidth"));
        let none = Thresholds { broadband_latency: f64::NAN, ..Thresholds::default() };
        assert!(none.check().unwrap_err().to_string().contains("broadband_latency"));
    }

    proptest! {
        /// With no margin, where a link was does not matter.
        #[test]
        fn without_a_margin_there_is_no_memory(b in 0.1f64..2000.0, l in 0.1f64..2000.0, p in 0f64..100.0, b0 in 0.1f64..2000.0, l0 in 0.1f64..2000.0) {
            // At the very threshold `>` and `>=` differ: a measure-zero set that the margin is there for.
            let t = Thresholds::default();
            let before = Sides::of(&figures(b0, l0, 0.0), &t);
            prop_assert_eq!(before.moved(&figures(b, l, p), &t, 0.0).class(), classify(&figures(b, l, p), &t).class);
        }

        /// A figure that stays within the margin around a threshold moves nothing.
        #[test]
        fn within_the_margin_nothing_moves(at in 0usize..6, off in -0.19f64..0.19, was in any::<bool>()) {
            let t = Thresholds::default();
            let base = figures(30.0, 30.0, 5.0);
            let (edge, is_latency) = [(1.0, false), (10.0, false), (100.0, false), (10.0, true), (50.0, true), (500.0, true)][at];
            let with = |figure: f64| if is_latency { Figures { latency_ms: Some(figure), ..base } } else { Figures { bandwidth_mbps: Some(figure), ..base } };
            let before = Sides::of(&with(edge * if was { 1.19 } else { 0.81 }), &t);
            prop_assert_eq!(before.moved(&with(edge * (1.0 + off)), &t, 0.2), before);
        }
    }
}
