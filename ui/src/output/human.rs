//! Figures for people: decimal units, fixed digits.

use std::time::Duration;

use skep_engine::content::name;

/// Bytes: `999 B`, `1.5 GB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Bytes per second.
pub fn rate(per_second: u64) -> String {
    format!("{}/s", bytes(per_second))
}

/// A limit.
pub fn limit(rate_limit: Option<u64>) -> String {
    rate_limit.map_or_else(|| "unlimited".into(), rate)
}

/// Time left: `5s`, `3m20s`, `2h05m`, `4d03h`.
pub fn eta(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Time taken: `0.42 s`, `12.3 s`, then as [`eta`].
pub fn took(span: Duration) -> String {
    match span.as_secs_f64() {
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 60.0 => format!("{s:.1} s"),
        _ => eta(span.as_secs()),
    }
}

/// `part` of `whole` in percent, rounded down so that only all of it is 100; none of nothing.
pub fn percent(part: u64, whole: u64) -> Option<u64> {
    (u128::from(part) * 100).checked_div(u128::from(whole)).and_then(|p| u64::try_from(p).ok())
}

/// A name cut in the middle to this many characters, so that its ending stays.
pub fn shortened(name: &str, most: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= most {
        return name.into();
    }
    let (head, tail) = (most / 2, most - most / 2 - 1);
    chars[..head].iter().chain(['…'].iter()).chain(chars[chars.len() - tail..].iter()).collect()
}

/// `1 peer`, `2 peers`.
pub fn counted(count: u64, thing: &str) -> String {
    name::counted(count, thing, &format!("{thing}s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (2_147_483_648, "2.15 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn only_all_of_it_is_a_hundred() {
        assert_eq!(percent(999_999, 1_000_000), Some(99));
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100));
        assert_eq!(percent(0, 0), None);
    }

    #[test]
    fn long_names_keep_their_ending() {
        for most in [9, 10, 48] {
            let short = shortened(&("x".repeat(100) + ".gz"), most);
            assert_eq!(short.chars().count(), most);
            assert!(short.ends_with(".gz") && short.contains('…'));
        }
        assert_eq!(shortened("short", 9), "short");
    }

    #[test]
    fn times() {
        assert_eq!(eta(59), "59s");
        assert_eq!(eta(3_725), "1h02m");
        assert_eq!(took(Duration::from_millis(420)), "0.42 s");
    }
}
