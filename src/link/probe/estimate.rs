//! Arrivals of a body → the rate of the link's narrowest place. Pure.
//!
//! The whole body over the whole time would count the wait for the first byte, the sender's slow start and the rounds in which
//! it waited for acknowledgements or sent again what was lost. What the narrowest place carries shows in how fast packets
//! follow one another while they come without a break. So the arrivals are taken apart where the sender paused; within
//! the stretches that are left some milliseconds at a time tell a rate, and of these rates, weighed by their bytes, the one
//! counts that lies a little above the middle: more of them are low, because the sender did not keep up, than high, because
//! packets were pressed together on their way (measured over emulated links that lose packets or whose latency wavers).

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
const OF_ROUND_TRIP: f64 = 0.25;
/// … this many times as long as pauses are there …
const OF_PAUSES: f64 = 5.0;
/// (but not four times as long as a packet takes at 0.3 Mbit/s: where most pauses are longer, most are breaks) …
const LONGEST_BREAK: Duration = Duration::from_millis(160);
/// … and this long: …
const SHORTEST_BREAK: Duration = Duration::from_millis(2);
/// … or this, where a round trip is shorter: no sender waits that long for an acknowledgement then, but this machine's other
/// work may well have kept us from looking.
const NEAR_BREAK: Duration = Duration::from_millis(4);
/// Pauses of which a quarter are so many times shorter than most are of two kinds.
const ALIKE: u32 = 3;
/// A stretch with less than this tells nothing.
const LEAST_BYTES: u64 = 4 << 10;
const LEAST_ARRIVALS: usize = 3;
/// Stretches that are over before this part of the body has come are those of a sender that gets going.
const BEGINNING: f64 = 0.3;
/// A rate is taken over so many arrivals and so long, or it tells more of the machine's clocks than of the link.
const STEP_ARRIVALS: usize = 6;
const STEP: Duration = Duration::from_millis(4);
/// … or so many times what round trips deviate by, where they waver: shorter steps tell how packets are pressed together and drawn
/// apart on their way, and since the bytes are where they are pressed together, too high a rate (by a tenth, where round trips of
/// 80 ms deviate by 20).
const STEP_JITTERS: f64 = 6.0;
/// But no longer than this part of a round trip: a sender that does not keep up pauses once in each, and there would be no step
/// without a pause.
const STEP_TRIPS: f64 = 0.75;
/// The part of the bytes that came more slowly than what is taken for the link's rate.
const SLOWER: f64 = 0.6;

/// The rate while the sender kept up; none if there is too little to tell. `jitter`: standard deviation of round trips.
pub fn rate(arrivals: &[Arrival], round_trip: Option<Duration>, jitter: Duration) -> Option<Rate> {
    let last = arrivals.last()?;
    let mut pauses: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect();
    pauses.sort_unstable();
    let usual = *pauses.get(pauses.len() / 2)?;
    let trip = round_trip.unwrap_or_default();
    let shortest = if trip < NEAR_BREAK { NEAR_BREAK } else { SHORTEST_BREAK };
    let least = trip.mul_f64(OF_ROUND_TRIP).max(shortest);
    let several = usual.mul_f64(OF_PAUSES);
    let mut stretches = unbroken(arrivals, several.min(LONGEST_BREAK).max(least));
    if stretches.is_empty() && pauses[pauses.len() / 4] >= usual / ALIKE {
        // Slower than that: pauses are all alike, and not those of a sender that waits.
        stretches = unbroken(arrivals, several.max(least));
    }
    let begun = (last.bytes as f64 * BEGINNING) as u64;
    let later = |stretch: &&[Arrival]| stretch.last().is_some_and(|arrival| arrival.bytes > begun);
    let some_late = stretches.iter().any(later);
    let step = jitter.mul_f64(STEP_JITTERS).min(trip.mul_f64(STEP_TRIPS)).max(STEP);
    let (mut rates, mut over) = (Vec::new(), Duration::ZERO);
    for stretch in stretches.into_iter().filter(|stretch| !some_late || later(stretch)) {
        over += between(stretch, 0, stretch.len() - 1).1;
        steps(stretch, step, &mut rates);
    }
    weighed(rates, SLOWER).map(|mbps| Rate { mbps, over })
}

/// The arrivals between breaks, as far as they tell something. When the first one's bytes of a stretch began to arrive is not
/// known: time counts from its end.
fn unbroken(arrivals: &[Arrival], limit: Duration) -> Vec<&[Arrival]> {
    arrivals
        .chunk_by(|one, next| next.at.saturating_sub(one.at) <= limit)
        .filter(|stretch| {
            let (bytes, time) = between(stretch, 0, stretch.len() - 1);
            bytes >= LEAST_BYTES && stretch.len() >= LEAST_ARRIVALS && !time.is_zero()
        })
        .collect()
}

/// Bytes and time from the end of one arrival of a stretch to that of another.
fn between(stretch: &[Arrival], from: usize, to: usize) -> (u64, Duration) {
    let (from, to) = (stretch[from], stretch[to]);
    (to.bytes.saturating_sub(from.bytes), to.at.saturating_sub(from.at))
}

/// The rates within a stretch, Mbit/s, each with the bytes that it stands for; one takes `step` at least.
fn steps(stretch: &[Arrival], step: Duration, rates: &mut Vec<(f64, u64)>) {
    let mbps = |(bytes, time): (u64, Duration)| bytes as f64 * 8.0 / 1e6 / time.as_secs_f64();
    let (before, mut end) = (rates.len(), 0);
    for begin in 0..stretch.len() - 1 {
        end = end.max(begin + STEP_ARRIVALS);
        while end < stretch.len() && between(stretch, begin, end).1 < step {
            end += 1;
        }
        if end >= stretch.len() {
            break;
        }
        rates.push((mbps(between(stretch, begin, end)), between(stretch, begin, begin + 1).0));
    }
    if rates.len() == before {
        let whole = between(stretch, 0, stretch.len() - 1);
        rates.push((mbps(whole), whole.0));
    }
}

/// The figure below which lie those with `part` of the weight.
fn weighed(mut figures: Vec<(f64, u64)>, part: f64) -> Option<f64> {
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: u64 = figures.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    figures.into_iter().find_map(|(figure, weight)| {
        below += weight;
        (weight > 0 && below as f64 >= all as f64 * part).then_some(figure)
    })
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
pub const FAST_MBPS: f64 = 1_000.0;
const FAST_BYTES: u64 = 1 << 20;
/// Rates behind a figure.
const MOST_RATES: usize = 3;

impl Growth {
    /// Begins with `first` bytes and uses `most` in all; a rate counts when it was measured over `enough`, and
    /// so many of those are `needed`, two to be sure.
    pub fn new(first: u64, most: u64, enough: Duration, needed: usize) -> Self {
        Self { next: first.min(most), left: most, rates: Vec::new(), largest: 0, enough, needed }
    }

    /// So many bytes more may be used.
    pub fn allow(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes);
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
        rate(&arrivals(mbps, trip_ms, packets, slow_start), Some(trip), Duration::ZERO).unwrap().mbps
    }

    #[test]
    fn slow_start_and_the_wait_for_the_first_byte_do_not_count() {
        for (mbps, trip_ms, packets) in [
            (0.06, 300.0, 46),
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

    /// A queue that holds four packets: each round trip brings a few, and no more for most of it.
    #[test]
    fn pauses_are_no_rate() {
        for pause in [600.0, 300.0] {
            let trip = Duration::from_secs_f64(pause / 1e3);
            let few = arrivals(0.3, pause, 48, |round| [4, 1, 1, 1, 1][round as usize % 5]);
            let found = rate(&few, Some(trip), Duration::ZERO).unwrap().mbps;
            assert!((found / 0.3 - 1.0).abs() < 0.1, "{found}");
        }
    }

    /// Two packets each round trip, and nothing to tell the rate by.
    #[test]
    fn a_sender_that_only_waits_tells_nothing() {
        let few = arrivals(0.3, 600.0, 40, |_| 2);
        assert_eq!(rate(&few, Some(Duration::from_millis(600)), Duration::ZERO), None);
    }

    #[test]
    fn too_little_tells_nothing() {
        assert_eq!(rate(&[], None, Duration::ZERO), None);
        assert_eq!(rate(&arrivals(5.0, 80.0, 2, slow_start), None, Duration::ZERO), None);
        let at_once = [Arrival { at: Duration::from_millis(9), bytes: 60_000 }; 3];
        assert_eq!(rate(&at_once, None, Duration::ZERO), None);
    }

    #[test]
    fn fast_at_first_and_slow_afterwards_is_slow() {
        // A place that lets the first 100 kB pass at once, as some do to look fast.
        let mut all = arrivals(500.0, 20.0, 70, |_| 1000);
        let (at, bytes) = (all.last().unwrap().at, all.last().unwrap().bytes);
        for n in 1..=200u64 {
            all.push(Arrival { at: at + Duration::from_micros(5_792) * n as u32, bytes: bytes + n * PACKET });
        }
        let found = rate(&all, Some(Duration::from_millis(20)), Duration::ZERO).unwrap().mbps;
        assert!((found - 2.0).abs() < 0.1, "{found}");
    }

    /// Round trips of 80 ms that deviate by 20, as a radio's: the delay of one way goes up and down within tenths of a second.
    #[test]
    fn a_latency_that_wavers_makes_no_link_faster() {
        let found = |jitter: u64| {
            let mut rng = fastrand::Rng::with_seed(7);
            let mut wavering = || {
                let heights: Vec<f64> = (0..40).map(|_| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0).collect();
                let mut last = 0.0f64;
                let mut waver = |Arrival { at, bytes }| {
                    let ms = at.as_secs_f64() * 1e3;
                    let (at, part) = ((ms / 56.0) as usize, (ms / 56.0).fract());
                    let between = heights[at] * (1.0 - part) + heights[at + 1] * part;
                    last = last.max(ms + 100.0 + 14.0 * between / (1.0 - part).hypot(part));
                    Arrival { at: Duration::from_secs_f64(last / 1e3), bytes }
                };
                let all: Vec<_> = arrivals(5.0, 80.0, 500, |_| 1 << 20).into_iter().map(&mut waver).collect();
                let jitter = Duration::from_millis(jitter);
                rate(&all, Some(Duration::from_millis(80)), jitter).unwrap().mbps / 5.0 - 1.0
            };
            let mut off: Vec<f64> = (0..100).map(|_| wavering()).collect();
            off.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
            (off[50], off[90])
        };
        let (unaware, aware) = (found(0), found(20));
        assert!(aware.0 < 0.08 && aware.1 < 0.15, "{aware:?}");
        assert!(unaware.0 > aware.0 + 0.02, "{unaware:?}");
    }

    fn grown(mbps: f64, most: u64) -> (Vec<u64>, Option<Rate>) {
        let mut growth = Growth::new(64 << 10, most, Duration::from_millis(20), 2);
        let mut asked = Vec::new();
        let mut time = Duration::from_secs(5);
        while let Some(bytes) = growth.next(time) {
            asked.push(bytes);
            let all = arrivals(mbps, 20.0, bytes / PACKET, |_| 1 << 20);
            time = time.saturating_sub(all.last().unwrap().at);
            growth.on_rate(bytes, rate(&all, Some(Duration::from_millis(20)), Duration::ZERO));
        }
        (asked, growth.figure())
    }

    #[test]
    fn a_payload_grows_until_it_takes_long_enough_and_is_stable() {
        let (asked, figure) = grown(0.8, 16 << 20);
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!((figure.unwrap().mbps - 0.8).abs() < 0.05);
        let (asked, figure) = grown(500.0, 16 << 20);
        assert!(asked.last().unwrap() > &(1 << 20) && asked.iter().sum::<u64>() <= 16 << 20, "{asked:?}");
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
            if let Some(rate) = rate(&all, Some(Duration::from_millis(trip)), Duration::ZERO) {
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
