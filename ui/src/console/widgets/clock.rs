//! Time of day.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Hours, minutes and seconds at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock(i8, i8, i8);

impl Clock {
    /// The time of day at a moment (ms since the epoch); midnight where that is out of range.
    pub fn at(epoch_ms: u64, zone: &TimeZone) -> Self {
        let moment = i64::try_from(epoch_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(moment) = moment else { return Self(0, 0, 0) };
        let time = zone.to_datetime(moment).time();
        Self(time.hour(), time.minute(), time.second())
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0, self.1, self.2)
    }
}

/// A day at a place: `2026-03-14`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(i16, i8, i8);

impl Day {
    /// The day of a moment (ms since the epoch); the first of all where that is out of range.
    pub fn at(epoch_ms: u64, zone: &TimeZone) -> Self {
        let moment = i64::try_from(epoch_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let date = zone.to_datetime(moment.unwrap_or(Timestamp::UNIX_EPOCH)).date();
        Self(date.year(), date.month(), date.day())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_moments_do_not_break_the_screen() {
        assert_eq!(Clock::at(0, &TimeZone::UTC).to_string(), "00:00:00");
        assert_eq!(Clock::at(1_700_000_000_000, &TimeZone::UTC).to_string(), "22:13:20");
        assert_eq!(Clock::at(u64::MAX, &TimeZone::UTC).to_string(), "00:00:00");
        assert_eq!(Day::at(1_700_000_000_000, &TimeZone::UTC).to_string(), "2023-11-14");
        assert_eq!(Day::at(u64::MAX, &TimeZone::UTC).to_string(), "1970-01-01");
    }
}
