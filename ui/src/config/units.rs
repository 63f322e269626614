//! Sizes, rates and durations as people write them.
//!
//! `K M G T P` are powers of 1,000, `KiB MiB GiB TiB PiB` (or `Ki Mi …`) of 1,024; a `B` behind
//! any of them changes nothing, upper and lower case are the same. Rates take `/s` and the word
//! `unlimited`; durations `ms s m h d`, also one after the other (`1h30m`).

use std::time::Duration;

/// Text that is not a size, rate or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number at the start.
    #[error("{0:?} is not {1}")]
    Form(String, &'static str),
    /// A unit that does not exist.
    #[error("unknown unit {0:?}: use {1}")]
    Unit(String, &'static str),
    /// Does not fit.
    #[error("{0:?} is too large")]
    Large(String),
    /// A rate of nothing.
    #[error("a rate of 0 would stop everything: pause the transfer instead, or use `unlimited`")]
    Zero,
}

const SIZE_FORM: &str = "a size such as 500K, 10M or 1.5GiB";
const DURATION_FORM: &str = "a duration such as 90s, 10m or 1h30m";
const SIZE_UNITS: &str = "K M G T P (thousands) or KiB MiB GiB TiB PiB";
const DURATION_UNITS: &str = "ms, s, m, h or d";

/// Units from the largest to the smallest: name, bytes.
const UNITS: [(&str, u64); 10] = [
    ("PiB", 1 << 50),
    ("P", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("T", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("G", 1_000_000_000),
    ("MiB", 1 << 20),
    ("M", 1_000_000),
    ("KiB", 1 << 10),
    ("K", 1_000),
];

/// Splits `1.5GiB` into whole and fractional digits and the rest.
fn number(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    (!whole.is_empty() || !fraction.is_empty()).then_some((whole, fraction, rest))
}

/// `whole.fraction × unit`, rounded down; none if it does not fit 64 bits.
fn scale(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these cannot change a whole number of any unit's parts that matter.
    let fraction = &fraction[..fraction.len().min(18)];
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let unit = u128::from(unit);
    let part = part * unit / 10u128.pow(fraction.len() as u32);
    u64::try_from(whole.checked_mul(unit)?.checked_add(part)?).ok()
}

/// Bytes: `4096`, `500K`, `10MB`, `1.5GiB`.
///
/// # Errors
/// Not a number, an unknown unit, or over 2^64.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let (whole, fraction, unit) = number(text).ok_or_else(|| UnitError::Form(text.into(), SIZE_FORM))?;
    let unit = unit.trim().to_ascii_lowercase();
    let plain = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match plain {
        "" => 1,
        _ => UNITS
            .iter()
            .find(|(name, _)| name.trim_end_matches('B').eq_ignore_ascii_case(plain))
            .map(|(_, factor)| *factor)
            .ok_or(UnitError::Unit(unit, SIZE_UNITS))?,
    };
    scale(whole, fraction, factor).ok_or_else(|| UnitError::Large(text.into()))
}

/// Bytes per second, `None` for `unlimited`: `10M`, `10M/s`, `1.5MiB/s`.
///
/// # Errors
/// As [`size`]; a rate of 0.
pub fn rate(text: &str) -> Result<Option<u64>, UnitError> {
    let text = text.trim();
    if matches!(text.to_ascii_lowercase().as_str(), "unlimited" | "none" | "off") {
        return Ok(None);
    }
    match size(text.strip_suffix("/s").unwrap_or(text))? {
        0 => Err(UnitError::Zero),
        rate => Ok(Some(rate)),
    }
}

/// A span of time: `90s`, `10m`, `1h30m`, `250ms`; a bare number is seconds.
///
/// # Errors
/// Not a number, an unknown unit, or over 2^64 ms.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    let mut rest = text;
    let mut total = 0u64;
    let large = || UnitError::Large(text.into());
    loop {
        let (whole, fraction, behind) = number(rest).ok_or_else(|| UnitError::Form(text.into(), DURATION_FORM))?;
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let millis = match unit.trim() {
            "ms" => 1,
            "" if rest.len() == text.len() && next.is_empty() => 1_000,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            other => return Err(UnitError::Unit(other.into(), DURATION_UNITS)),
        };
        total = scale(whole, fraction, millis).and_then(|ms| total.checked_add(ms)).ok_or_else(large)?;
        if next.is_empty() {
            return Ok(Duration::from_millis(total));
        }
        rest = next;
    }
}

/// The spelling of a size that [`size`] reads back exactly, in the largest unit that divides it.
pub fn show_size(bytes: u64) -> String {
    match UNITS.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// The spelling of a rate that [`rate`] reads back exactly.
pub fn show_rate(rate: Option<u64>) -> String {
    rate.map_or_else(|| "unlimited".into(), show_size)
}

/// The spelling of a duration that [`duration`] reads back exactly, to the millisecond.
pub fn show_duration(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    for (name, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms != 0 && ms.is_multiple_of(factor) {
            return format!("{}{name}", ms / factor);
        }
    }
    if ms == 0 { "0s".into() } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("10M", 10_000_000),
            ("10 MB", 10_000_000),
            ("1.5GiB", 3 << 29),
            ("1.5gib", 3 << 29),
            ("256Ki", 256 << 10),
            ("500k", 500_000),
            (".5K", 500),
            ("2P", 2_000_000_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_says_so() {
        for (text, words) in [
            ("", "not a size"),
            ("ten", "not a size"),
            ("-5", "not a size"),
            ("5X", "unknown unit"),
            ("10Mbit", "unknown unit"),
            ("1e9", "unknown unit"),
            ("99999999999P", "too large"),
            ("99999999999999999999999999999999999999999999", "too large"),
        ] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("unlimited"), Ok(None));
        assert_eq!(rate("Unlimited"), Ok(None));
        assert_eq!(rate("10M/s"), Ok(Some(10_000_000)));
        assert_eq!(rate("0"), Err(UnitError::Zero));
        assert_eq!(show_rate(None), "unlimited");
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("2d", 172_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "1h30", "5 weeks", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_size_survives(n in any::<u64>(), shift in 0u32..64) {
            prop_assert_eq!(size(&show_size(n >> shift)), Ok(n >> shift));
        }

        #[test]
        fn round_sizes_survive(n in 0u64..4000, unit in 0usize..10) {
            let bytes = n * UNITS[unit].1;
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
            prop_assert_eq!(size(&format!("{n}{}", UNITS[unit].0)), Ok(bytes));
        }

        #[test]
        fn every_duration_survives(ms in any::<u64>(), shift in 0u32..64) {
            let span = Duration::from_millis(ms >> shift);
            prop_assert_eq!(duration(&show_duration(span)), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = (size(&text), rate(&text), duration(&text));
        }

        #[test]
        fn fractions_are_exact_to_the_byte(whole in 0u64..1000, milli in 0u64..1000) {
            prop_assert_eq!(size(&format!("{whole}.{milli:03}M")), Ok(whole * 1_000_000 + milli * 1_000));
        }
    }
}
