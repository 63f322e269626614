//! Numbers for people: fixed width, three significant digits, units always there.

use std::fmt;

/// Bytes with decimal units: `999 B`, `1.23 kB`, `184 MB`. At most 7 columns.
#[derive(Debug, Clone, Copy)]
pub struct Bytes(pub u64);

/// Bytes per second: `184 MB/s`. At most 9 columns.
#[derive(Debug, Clone, Copy)]
pub struct Rate(pub u64);

/// A rate limit: a [`Rate`] or the sign for none.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub Option<u64>, pub &'static str);

/// A link's bandwidth from Mbit/s: `320 kbit/s`, `48.7 Mbit/s`, `1.25 Gbit/s`. At most 11 columns.
#[derive(Debug, Clone, Copy)]
pub struct Bandwidth(pub f64);

/// Milliseconds: `0.4ms`, `82ms`, `1,240ms`. At most 8 columns.
#[derive(Debug, Clone, Copy)]
pub struct Millis(pub f64);

/// Bytes with binary units, for sizes that are powers of two: `256 KiB`.
#[derive(Debug, Clone, Copy)]
pub struct Binary(pub u64);

/// A count with thousands apart: `12,345`.
#[derive(Debug, Clone, Copy)]
pub struct Count(pub u64);

/// Seconds left: `42s`, `12m05s`, `3h07m`, `12d4h`. At most 6 columns.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(pub u64);

/// A share: `72%`, never `100%` unless it is all. At most 4 columns.
#[derive(Debug, Clone, Copy)]
pub struct Percent {
    /// Of the whole.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

/// Bytes up over bytes down: `0.42`. At most 5 columns.
#[derive(Debug, Clone, Copy)]
pub struct Ratio(pub u64, pub u64);

fn scaled(f: &mut fmt::Formatter<'_>, value: u64, base: f64, units: &[&str]) -> fmt::Result {
    if (value as f64) < base {
        return write!(f, "{value} {}", units[0]);
    }
    let mut scaled = value as f64;
    let mut unit = 0;
    // 999.5 would print as 1000.
    while scaled >= base - 0.5 && unit + 1 < units.len() {
        scaled /= base;
        unit += 1;
    }
    let digits = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    write!(f, "{scaled:.digits$} {}", units[unit])
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Bytes(self.0))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rate) => Rate(rate).fmt(f),
            None => f.write_str(self.1),
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no number becomes zero, what is beyond all links a large one.
        let bits = (self.0.clamp(0.0, 9_994_999.0) * 1e6) as u64;
        scaled(f, bits, 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.clamp(0.0, 99_999.0);
        if ms < 9.95 { write!(f, "{ms:.1}ms") } else { write!(f, "{}ms", Count(ms.round() as u64)) }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut unit = 0;
        let mut value = self.0;
        while value >= 1024 && value.is_multiple_of(1024) && unit + 1 < units.len() {
            value /= 1024;
            unit += 1;
        }
        write!(f, "{value} {}", units[unit])
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divisor = 1;
        while self.0 / divisor >= 1000 {
            divisor *= 1000;
        }
        write!(f, "{}", self.0 / divisor)?;
        while divisor > 1 {
            divisor /= 1000;
            write!(f, ",{:03}", self.0 / divisor % 1000)?;
        }
        Ok(())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        match s {
            0..60 => write!(f, "{s}s"),
            60..3600 => write!(f, "{}m{:02}s", s / 60, s % 60),
            3600..86_400 => write!(f, "{}h{:02}m", s / 3600, s / 60 % 60),
            86_400..8_640_000 => write!(f, "{}d{}h", s / 86_400, s / 3600 % 24),
            _ => f.write_str(">99d"),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole == 0 {
            return f.write_str("-");
        }
        write!(f, "{}%", u128::from(self.part.min(self.whole)) * 100 / u128::from(self.whole))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 0 {
            return f.write_str(if self.0 == 0 { "-" } else { ">9999" });
        }
        let ratio = self.0 as f64 / self.1 as f64;
        match ratio {
            _ if ratio < 9.995 => write!(f, "{ratio:.2}"),
            _ if ratio < 99.95 => write!(f, "{ratio:.1}"),
            _ if ratio < 9999.5 => write!(f, "{ratio:.0}"),
            _ => f.write_str(">9999"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_digits_and_a_unit() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_400, "999 kB"),
            (999_600, "1.00 MB"),
            (184_200_000, "184 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(Binary(256 * 1024).to_string(), "256 KiB");
        let links = [(0.32, "320 kbit/s"), (4.871, "4.87 Mbit/s"), (1_250.0, "1.25 Gbit/s"), (f64::NAN, "0 bit/s")];
        for (mbit, text) in links {
            assert_eq!(Bandwidth(mbit).to_string(), text);
        }
        for (ms, text) in [(0.04, "0.0ms"), (9.94, "9.9ms"), (9.96, "10ms"), (1_240.4, "1,240ms")] {
            assert_eq!(Millis(ms).to_string(), text);
        }
        assert_eq!(Binary(1000).to_string(), "1000 B");
        assert_eq!(Count(1_234_567).to_string(), "1,234,567");
        assert_eq!(Count(1_000).to_string(), "1,000");
        assert_eq!(Seconds(725).to_string(), "12m05s");
        assert_eq!(Percent { part: 99_999, whole: 100_000 }.to_string(), "99%");
        assert_eq!(Ratio(1, 2).to_string(), "0.50");
    }

    proptest! {
        #[test]
        fn columns_hold(n in any::<u64>(), m in any::<u64>()) {
            prop_assert!(Bytes(n).to_string().len() <= 7, "{}", Bytes(n));
            prop_assert!(Rate(n).to_string().len() <= 9);
            prop_assert!(Seconds(n).to_string().len() <= 6, "{}", Seconds(n));
            let percent = Percent { part: n, whole: m };
            prop_assert!(percent.to_string().len() <= 4);
            prop_assert!(Ratio(n, m).to_string().len() <= 5);
        }
    }
}
