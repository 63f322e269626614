//! Arrivals of a body → the rate of the link's narrowest place. Pure.
//!
//! The whole body over the whole time would count the wait for the first byte, the sender's slow start and the rounds in which
//! it waited for acknowledgements. What the narrowest place carries shows in how fast packets follow one another
//! while they come without a break: in the later part, where the sender has got going.

use std::time::Duration;

/// So much of the body has arrived by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Since the request.
    pub at: Duration,
    /// Bytes so far.
    pub bytes: u64,
}

/// What arrivals tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Mbit/s.
    pub mbps: f64,
    /// The time that it was counted over: what is short is rough.
    pub over: Duration,
}

/// A pause is a break if it is this part of a round trip at least …
const OF_ROUND_TRIP: f64 = 0.3;
/// … this many times as long as pauses are there …
const OF_PAUSES: f64 = 5.0;
/// … and this long.
const SHORTEST_BREAK: Duration = Duration::from_millis(4);
/// A stretch with less than this tells nothing.
const LEAST_BYTES: u64 = 4 << 10;
const LEAST_ARRIVALS: usize = 3;

/// The rate of the later part; none if there is too little to tell.
pub fn rate(arrivals: &[Arrival], round_trip: Option<Duration>) -> Option<Rate> {
    let last = arrivals.last()?;
    let mut pauses: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect();
    pauses.sort_unstable();
    let usual = *pauses.get(pauses.len() / 2)?;
    let trip = round_trip.unwrap_or_default();
    let limit = trip.mul_f64(OF_ROUND_TRIP).max(usual.mul_f64(OF_PAUSES)).max(SHORTEST_BREAK);
    let mut stretches: Vec<(u64, Duration, u64)> = Vec::new();
    let mut begin = 0;
    for end in 1..=arrivals.len() {
        let breaks = end == arrivals.len() || arrivals[end].at.saturating_sub(arrivals[end - 1].at) > limit;
        if !breaks {
            continue;
        }
        // When the first one's bytes began to arrive is not known: time counts from its end.
        let (first, until) = (arrivals[begin], arrivals[end - 1]);
        let half = last.bytes / 2;
        let from = arrivals[begin..end].iter().find(|arrival| arrival.bytes >= half).filter(|_| until.bytes > half);
        // The later half of a body without a break; of one with breaks whole stretches.
        let from = if stretches.is_empty() && end == arrivals.len() { *from.unwrap_or(&first) } else { first };
        let (bytes, time) = (until.bytes - from.bytes, until.at.saturating_sub(from.at));
        let count = arrivals[begin..end].iter().filter(|arrival| arrival.at >= from.at).count();
        if bytes >= LEAST_BYTES && count >= LEAST_ARRIVALS && !time.is_zero() {
            stretches.push((bytes, time, until.bytes));
        }
        begin = end;
    }
    // Of several the later ones: those that reach into the second half.
    let half = last.bytes / 2;
    let later: Vec<_> = stretches.iter().filter(|(_, _, until)| *until > half).collect();
    let counted = if later.is_empty() { stretches.iter().collect() } else { later };
    let (bytes, over) = counted.iter().fold((0, Duration::ZERO), |(bytes, time), (b, t, _)| (bytes + b, time + *t));
    (bytes > 0).then(|| Rate { mbps: bytes as f64 * 8.0 / 1e6 / over.as_secs_f64(), over })
}

/// How a payload grows until what it tells is stable. Pure.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Bytes of the next request.
    next: u64,
    /// Bytes that may be used yet.
    left: u64,
    rates: Vec<Rate>,
    /// Bytes of the largest request so far.
    largest: u64,
    /// Rates counted over less are rough.
    enough: Duration,
    /// Rates that have to be good, and like one another.
    needed: usize,
}

/// Two rates in a row that differ by less are stable.
const STABLE: f64 = 0.1;
/// Faster than this, in a request of so many bytes: a slower link would have taken long enough to be measured well.
const FAST_MBPS: f64 = 1_000.0;
const FAST_BYTES: u64 = 1 << 20;
/// Rates behind a figure.
const MOST_RATES: usize = 3;

impl Growth {
    /// Begins with `first` bytes and uses `most` in all; a rate counts when it was measured over `enough`, and
    /// so many of those are `needed`, two to be sure.
    pub fn new(first: u64, most: u64, enough: Duration, needed: usize) -> Self {
        Self { next: first.min(most), left: most, rates: Vec::new(), largest: 0, enough, needed }
    }

    /// Bytes to ask for next, with `time` left for it; none: what there is has to do, or does.
    pub fn next(&self, time: Duration) -> Option<u64> {
        let bytes = self.next.min(self.left);
        if bytes < LEAST_BYTES * 2 || self.is_stable() {
            return None;
        }
        match self.rates.last() {
            // What would not arrive in time is not asked for; what fits is.
            Some(rate) => {
                let fits = (rate.mbps * 1e6 / 8.0 * time.as_secs_f64() * 0.7) as u64;
                (fits >= LEAST_BYTES * 4).then(|| bytes.min(fits))
            }
            None => Some(bytes),
        }
    }

    /// What a request of so many bytes told.
    pub fn on_rate(&mut self, bytes: u64, rate: Option<Rate>) {
        self.left = self.left.saturating_sub(bytes);
        self.largest = self.largest.max(bytes);
        let grow = rate.map_or(4, |rate| match rate.over {
            over if over < self.enough / 4 => 8,
            over if over < self.enough => 3,
            _ => 1,
        });
        self.next = bytes.saturating_mul(grow);
        self.rates.extend(rate);
    }

    fn is_stable(&self) -> bool {
        let good: Vec<_> = self.rates.iter().filter(|rate| rate.over >= self.enough).collect();
        match good[..] {
            [..] if !good.is_empty() && self.needed <= 1 => true,
            [.., a, b] => (a.mbps / b.mbps - 1.0).abs() < STABLE || good.len() >= MOST_RATES,
            _ => false,
        }
    }

    /// The figure, if it can be relied on: counted over `rough` at least, or of a link so fast that nothing depends on how fast.
    pub fn reliable(&self, rough: Duration) -> Option<Rate> {
        self.figure().filter(|rate| rate.over >= rough || (rate.mbps >= FAST_MBPS && self.largest >= FAST_BYTES))
    }

    /// The figure: of the rates that were counted long enough the last, in the middle; else the one that was counted longest.
    pub fn figure(&self) -> Option<Rate> {
        let mut good: Vec<_> = self.rates.iter().filter(|rate| rate.over >= self.enough).copied().collect();
        if good.is_empty() {
            return self.rates.iter().max_by_key(|rate| rate.over).copied();
        }
        let mut last = good.split_off(good.len().saturating_sub(MOST_RATES));
        last.sort_by(|a, b| a.mbps.total_cmp(&b.mbps));
        let over = last.iter().map(|rate| rate.over).sum();
        let mbps = match last.len() {
            2 => f64::midpoint(last[0].mbps, last[1].mbps),
            count => last[count / 2].mbps,
        };
        Some(Rate { mbps, over })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKET: u64 = 1448;

    /// How a body arrives over a link: `window(round)` packets per round trip, each round as one burst at the link's rate.
    fn arrivals(mbps: f64, trip_ms: f64, packets: u64, window: impl Fn(u32) -> u64) -> Vec<Arrival> {
        let packet_ms = PACKET as f64 * 8.0 / mbps / 1e3;
        let (mut all, mut sent, mut round, mut free, mut start) = (Vec::new(), 0, 0, 0.0f64, trip_ms);
        while sent < packets {
            let burst = window(round).min(packets - sent);
            for n in 0..burst {
                free = free.max(start) + packet_ms;
                all.push(Arrival { at: Duration::from_secs_f64(free / 1e3), bytes: (sent + n + 1) * PACKET });
            }
            sent += burst;
            round += 1;
            start = (start + trip_ms).max(free - packet_ms * burst as f64);
        }
        all
    }

    fn slow_start(round: u32) -> u64 {
        10 << round.min(20)
    }

    fn measured(mbps: f64, trip_ms: f64, packets: u64) -> f64 {
        let trip = Duration::from_secs_f64(trip_ms / 1e3);
        rate(&arrivals(mbps, trip_ms, packets, slow_start), Some(trip)).unwrap().mbps
    }

    #[test]
    fn slow_start_and_the_wait_for_the_first_byte_do_not_count() {
        for (mbps, trip_ms, packets) in [
            (0.3, 80.0, 46),
            (0.8, 600.0, 46),
            (5.0, 80.0, 46),
            (50.0, 20.0, 300),
            (500.0, 2.0, 3000),
            (20.0, 600.0, 500),
        ] {
            let found = measured(mbps, trip_ms, packets);
            assert!((found / mbps - 1.0).abs() < 0.03, "{mbps} Mbit/s, {trip_ms} ms: {found}");
        }
    }

    #[test]
    fn too_little_tells_nothing() {
        assert_eq!(rate(&[], None), None);
        assert_eq!(rate(&arrivals(5.0, 80.0, 2, slow_start), None), None);
        let at_once = [Arrival { at: Duration::from_millis(9), bytes: 60_000 }; 3];
        assert_eq!(rate(&at_once, None), None);
    }

    #[test]
    fn fast_at_first_and_slow_afterwards_is_slow() {
        // A place that lets the first 100 kB pass at once, as some do to look fast.
        let mut all = arrivals(500.0, 20.0, 70, |_| 1000);
        let (at, bytes) = (all.last().unwrap().at, all.last().unwrap().bytes);
        for n in 1..=200u64 {
            all.push(Arrival { at: at + Duration::from_micros(5_792) * n as u32, bytes: bytes + n * PACKET });
        }
        let found = rate(&all, Some(Duration::from_millis(20))).unwrap().mbps;
        assert!((found - 2.0).abs() < 0.1, "{found}");
    }

    fn grown(mbps: f64, most: u64) -> (Vec<u64>, Option<Rate>) {
        let mut growth = Growth::new(64 << 10, most, Duration::from_millis(20), 2);
        let mut asked = Vec::new();
        let mut time = Duration::from_secs(5);
        while let Some(bytes) = growth.next(time) {
            asked.push(bytes);
            let all = arrivals(mbps, 20.0, bytes / PACKET, |_| 1 << 20);
            time = time.saturating_sub(all.last().unwrap().at);
            growth.on_rate(bytes, rate(&all, Some(Duration::from_millis(20))));
        }
        (asked, growth.figure())
    }

    #[test]
    fn a_payload_grows_until_it_takes_long_enough_and_is_stable() {
        let (asked, figure) = grown(0.8, 16 << 20);
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!((figure.unwrap().mbps - 0.8).abs() < 0.05);
        let (asked, figure) = grown(500.0, 16 << 20);
        assert!(asked.last().unwrap() > &(2 << 20) && asked.iter().sum::<u64>() <= 16 << 20, "{asked:?}");
        assert!((figure.unwrap().mbps - 500.0).abs() < 10.0);
    }

    #[test]
    fn a_link_too_fast_to_be_timed_has_a_figure_all_the_same() {
        let rate = |mbps, ms| Some(Rate { mbps, over: Duration::from_micros((ms * 1e3) as u64) });
        let rough = Duration::from_millis(20);
        let reliable = |bytes, rate| {
            let mut growth = Growth::new(bytes, bytes, rough, 1);
            growth.on_rate(bytes, rate);
            growth.reliable(rough).map(|rate| rate.mbps)
        };
        assert_eq!(reliable(4 << 20, rate(15_000.0, 2.0)), Some(15_000.0), "loopback");
        assert_eq!(reliable(64 << 10, rate(15_000.0, 0.1)), None, "a burst");
        assert_eq!(reliable(4 << 20, rate(500.0, 2.0)), None);
        assert_eq!(reliable(64 << 10, rate(10.0, 25.0)), Some(10.0));
    }

    proptest! {
        /// Whatever arrives when: a figure that is one, or none; and never more bytes than there may be.
        #[test]
        fn nothing_that_arrives_upsets_it(steps in prop::collection::vec((0u64..50_000, 0u64..70_000), 0..200), trip in 0u64..1000) {
            let (mut at, mut bytes) = (0, 0);
            let all: Vec<_> = steps.iter().map(|(pause, size)| {
                (at, bytes) = (at + pause, bytes + size);
                Arrival { at: Duration::from_micros(at), bytes }
            }).collect();
            if let Some(rate) = rate(&all, Some(Duration::from_millis(trip))) {
                prop_assert!(rate.mbps.is_finite() && rate.mbps > 0.0, "{rate:?}");
            }
        }

        #[test]
        fn growth_ends_and_keeps_to_its_bytes(rates in prop::collection::vec((0.01f64..5000.0, 0u64..100), 1..40), most in 0u64..(64 << 20)) {
            let mut growth = Growth::new(64 << 10, most, Duration::from_millis(20), 2);
            let mut used = 0;
            for (mbps, over) in rates {
                let Some(bytes) = growth.next(Duration::from_secs(5)) else { break };
                used += bytes;
                growth.on_rate(bytes, Some(Rate { mbps, over: Duration::from_millis(over) }));
            }
            prop_assert!(used <= most);
        }
    }
}
