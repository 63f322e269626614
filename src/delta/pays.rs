//! Whether a delta pays: pure, and says why.
//!
//! Before anything is asked for, the sizes and the link tell; behind the matching, what was found does. A full transfer can
//! go on where it broke off and takes several paths, a delta begins anew: so where a delta saves next to nothing, the full one is taken.

use std::time::Duration;

/// Smaller files are sent whole: asking costs a round trip, and they are a handful of packets.
pub const SMALLEST: u64 = 16 << 10;
/// A delta must save at least this part of the file, or it is not worth its round trips.
const SAVES: f64 = 0.05;
/// Of a long file so little was found that a transfer which can go on where it broke off is better. For a long file it is worth
/// while to measure the link first.
pub const LONG: u64 = 64 << 20;
/// What two cores and a disk do at least, in bytes per second, of a file that is changed by a delta: both are at work at once, and the
/// longest of it is to hash the whole file at each end. And what they do of one that is sent whole, whatever the link takes.
const CHANGES: f64 = 0.7e9;
const SENDS: f64 = 1.0e9;

/// What is known when a push begins.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Bytes of the new file.
    pub source: u64,
    /// Bytes of the old one, at the destination.
    pub destination: u64,
    /// A round trip.
    pub round_trip: Duration,
    /// What the link takes in bytes per second, if that was measured or limited.
    pub rate: Option<u64>,
    /// A delta was asked for: time is not weighed, bytes are.
    pub asked_for: bool,
}

/// What is to be done, and why, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send the difference.
    Delta(String),
    /// Send the whole.
    Full(String),
}

/// Before signatures are asked for.
pub fn at_first_sight(it: &Situation) -> Verdict {
    let full = |why: String| Verdict::Full(why);
    if it.source < SMALLEST {
        return full("it is so small that asking what is there costs as much".into());
    }
    if it.destination == 0 {
        return full("what is there is empty".into());
    }
    let best = it.source.saturating_sub(it.destination);
    if best as f64 > (1.0 - SAVES) * it.source as f64 {
        let percent = it.destination as f64 / it.source as f64 * 100.0;
        return full(format!("what is there is {percent:.1} % as long"));
    }
    let Some(rate) = it.rate.filter(|_| !it.asked_for) else {
        return Verdict::Delta("an older version is there".into());
    };
    let (rate, trips) = (rate.max(1) as f64, it.round_trip.as_secs_f64());
    let whole = it.source as f64 / rate.min(SENDS) + 2.0 * trips;
    let difference = it.destination.max(it.source) as f64 / CHANGES + best as f64 / rate + 5.0 * trips;
    if difference < whole {
        Verdict::Delta(format!("an older version is there; at best {difference:.1} s instead of {whole:.1} s"))
    } else {
        full(format!("the link is faster than looking for what is there: {whole:.1} s instead of {difference:.1} s"))
    }
}

/// Behind the matching: nothing of the file was sent yet. `literal`: bytes that were not found; `price`: what one of them costs on the
/// wire, less than 1 if they are compressed.
pub fn after_matching(source: u64, literal: u64, price: f64) -> Verdict {
    let share = literal as f64 * price / source.max(1) as f64;
    let percent = (1.0 - literal as f64 / source.max(1) as f64) * 100.0;
    if share > 1.0 - SAVES && literal > LONG {
        Verdict::Full(format!("{percent:.1} % of it was found there"))
    } else {
        Verdict::Delta(format!("{percent:.1} % of it is there already"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: u64, destination: u64, rate: Option<u64>) -> Situation {
        Situation { source, destination, round_trip: Duration::from_millis(20), rate, asked_for: false }
    }

    fn pays(it: &Situation) -> bool {
        matches!(at_first_sight(it), Verdict::Delta(_))
    }

    #[test]
    fn sizes_and_the_link_decide_at_first() {
        const GIB: u64 = 1 << 30;
        assert!(pays(&of(GIB, GIB, None)));
        assert!(!pays(&of(1000, 1000, None)), "small");
        assert!(!pays(&of(GIB, 0, None)), "empty");
        assert!(!pays(&of(GIB, GIB / 100, None)), "saves 1 % at best");
        assert!(pays(&of(GIB, GIB / 10, None)));
        assert!(pays(&of(GIB, 100 * GIB, None)), "bytes, as long as nothing is known of the time");
        assert!(pays(&of(GIB, GIB, Some(12_500_000))), "100 Mbit/s");
        assert!(!pays(&of(GIB, GIB, Some(2_000_000_000))), "loopback");
        assert!(!pays(&of(GIB, 2000 * GIB, Some(12_500_000))), "2 TB to hash");
        assert!(pays(&Situation { asked_for: true, ..of(GIB, GIB, Some(2_000_000_000)) }));
        let Verdict::Full(why) = at_first_sight(&of(GIB, GIB / 100, None)) else { panic!() };
        assert_eq!(why, "what is there is 1.0 % as long");
    }

    #[test]
    fn what_was_found_decides_behind_it() {
        let full = |source: u64, literal, price| matches!(after_matching(source, literal, price), Verdict::Full(_));
        assert!(full(1 << 30, 1 << 30, 1.0));
        assert!(!full(1 << 30, 1 << 29, 1.0));
        assert!(!full(1 << 30, 1 << 30, 0.5), "compressed it pays all the same");
        assert!(!full(1 << 20, 1 << 20, 1.0), "a short one is as well sent at once");
    }
}
