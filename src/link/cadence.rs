//! What to ask of a link, and when, so that a change is seen within seconds and probing costs little. Pure.
//!
//! Signs of life (a few datagrams, where those do not come back a HEAD) once a second; with them, where the budget bears it, a
//! short train of packets that shows whether the bandwidth is still of the same order. Full probes every five seconds or more,
//! every half minute on slow links. Nothing regular may use more than its part of the budget, so that there is always some left to
//! confirm a suspicion at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::LinkConfig;

/// The budget holds over any stretch of this length.
const MINUTE: Duration = Duration::from_secs(60);
/// Parts of the budget that datagrams, HEADs, trains and regular full probes may use; the rest is for confirming.
const LIFE: f64 = 0.2;
const HEADS: f64 = 0.05;
const TRAINS: f64 = 0.1;
const FULL: f64 = 0.2;
/// What is planned with, of the budget: sizes on the wire are estimates.
const PRUDENCE: f64 = 0.84;
/// What may be used of it where a link has become another one and nothing else is left.
const EMERGENCY: f64 = 0.97;
/// The part that regular probes leave alone.
const RESERVE: f64 = 0.2;
/// Bytes of one datagram and its echo, headers of UDP and IP included.
pub const ECHO_BYTES: u64 = 2 * (64 + 28);
/// Bytes of a HEAD and its answer on a warm connection, with the packets that acknowledge them.
pub const HEAD_BYTES: u64 = 700;
/// Datagrams of a sign of life, at most and at least.
const ECHOES: u32 = 10;
const FEWEST: u32 = 3;
/// Datagrams of a confirmation where some are lost.
const CONFIRM_ECHOES: u32 = 30;
/// A train is this long at least, or it shows nothing, and at most.
const SHORT_TRAIN: u64 = 16 << 10;
const LONG_TRAIN: u64 = 256 << 10;
/// Most bytes of a probe of a link that nothing is known of: it begins small, and grows while that takes no time.
const FIRST: u64 = 2 << 20;
/// A full probe is this long at least, and at most.
const SHORT: u64 = 24 << 10;
const LONG: u64 = 4 << 20;
/// In between, so many seconds of the link. What a latency that wavers does to a measurement is in proportion to its
/// shortness: few long ones tell more than many short ones of the same cost.
const FULL_SECONDS: f64 = 0.2;
/// After a first figure, which is rough, a good one follows this soon.
const SOON: Duration = Duration::from_secs(1);
/// Bytes of a first figure that are enough for a good one.
const FIRST_IS_GOOD: u64 = 64 << 10;
/// One that has to be, whatever was spent.
const LAST: u64 = 12 << 10;
/// Pause between confirmations.
const QUICK: Duration = Duration::from_millis(100);
/// Confirmations in a row; after those it is looked at as usual again.
const MAX_QUICK: u32 = 12;
/// Slowest link that the budget is made for, Mbit/s: where the bandwidth is not known, and below.
const FLOOR: f64 = 0.3;

/// What to ask of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Datagrams to be echoed.
    pub echoes: u32,
    /// An exchange on the warm connection, whether or not the datagrams come back.
    pub head: bool,
    /// Bytes of a train that shows the order of the bandwidth; 0: none.
    pub train: u64,
    /// Bytes that a measurement of the bandwidth may use, at most; 0: none.
    pub full: u64,
    /// It begins small, since nobody knows what the link carries now.
    pub grow: bool,
}

/// What is known of a link when it is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Transfers of ours fill it, and tell its bandwidth themselves.
    pub busy: bool,
    /// No datagram ever comes back.
    pub deaf: bool,
    /// Datagrams were lost: it takes many to tell how many of them.
    pub loses: bool,
}

/// What the next look at a link may cost, and when it is.
#[derive(Debug, Clone)]
pub struct Cadence {
    heartbeat: Duration,
    interval: Duration,
    budget: f64,
    /// What probes used of the last minute: when, bytes, and how long the link as it was took to carry them, in seconds.
    spent: VecDeque<(Duration, u64, f64)>,
    next: Duration,
    /// The last look began.
    began: Duration,
    next_full: Duration,
    next_train: Duration,
    next_head: Duration,
    quick: u32,
    /// The full probe that was asked for begins small, and tells a rough figure.
    rough: bool,
    /// A rough figure is all there is: a good one may use what the others leave alone.
    wanting: bool,
    /// The link became another one, whose bandwidth is not known.
    owed: bool,
    /// Mbit/s.
    capacity: Option<f64>,
}

/// What a suspicion wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirm {
    /// There is none.
    #[default]
    No,
    /// Signs of life.
    Life,
    /// The bandwidth too.
    Bandwidth,
}

impl Cadence {
    /// The first look is at once, and a full one.
    pub fn new(config: &LinkConfig) -> Self {
        Self {
            heartbeat: config.heartbeat,
            interval: config.interval.max(config.heartbeat),
            budget: config.budget,
            spent: VecDeque::new(),
            next: Duration::ZERO,
            began: Duration::ZERO,
            next_full: Duration::ZERO,
            next_train: Duration::ZERO,
            next_head: Duration::ZERO,
            quick: 0,
            rough: false,
            wanting: false,
            owed: false,
            capacity: None,
        }
    }

    /// When the next look is due.
    pub fn due(&self) -> Duration {
        self.next
    }

    /// Bytes per second that probing may cost.
    pub fn per_second(&self) -> u64 {
        (self.capacity.unwrap_or(FLOOR).max(FLOOR) * 1e6 / 8.0 * self.budget) as u64
    }

    /// Time between two full probes as it is now.
    pub fn full_interval(&self) -> Duration {
        let costs = self.full_bytes() as f64 / (self.per_second() as f64 * FULL).max(1.0);
        self.interval.max(Duration::try_from_secs_f64(costs).unwrap_or(MINUTE)).min(MINUTE)
    }

    /// Bytes of a full probe.
    fn full_bytes(&self) -> u64 {
        self.capacity.map_or(FIRST, Self::full_bytes_of)
    }

    fn full_bytes_of(capacity: f64) -> u64 {
        ((capacity * 1e6 / 8.0 * FULL_SECONDS) as u64).clamp(SHORT, LONG)
    }

    /// Bytes that the last minute leaves of what is planned with.
    fn left(&mut self, now: Duration) -> u64 {
        self.left_of(now, PRUDENCE)
    }

    fn left_of(&mut self, now: Duration, part: f64) -> u64 {
        while self.spent.front().is_some_and(|(at, ..)| *at + MINUTE <= now) {
            self.spent.pop_front();
        }
        // Shares of the link, not bytes: what was little of a fiber would be a satellite's budget for hours.
        let used: f64 = self.spent.iter().map(|(.., seconds)| seconds).sum();
        let share = (MINUTE.as_secs_f64() * self.budget * part - used).max(0.0);
        (share * self.per_second() as f64 / self.budget.max(f64::MIN_POSITIVE)) as u64
    }

    /// Bytes that signs of life will need of the first minute. Later what they used is used again as it grows old.
    fn owed(&self, now: Duration) -> u64 {
        let ahead = MINUTE.saturating_sub(now).as_secs_f64();
        (self.per_second() as f64 * ahead * (LIFE + HEADS)) as u64
    }

    /// What to ask now.
    pub fn ask(&mut self, now: Duration, confirm: Confirm, known: Known) -> Ask {
        let Known { busy, deaf, loses } = known;
        self.began = now;
        let left = self.left(now);
        let per_second = self.per_second() as f64;
        let life = (per_second * LIFE * self.heartbeat.as_secs_f64()) as u64;
        let mut ask = Ask { echoes: 0, head: deaf, train: 0, full: 0, grow: self.capacity.is_none() };
        if !deaf {
            ask.echoes = u32::try_from(life / ECHO_BYTES).unwrap_or(ECHOES).clamp(FEWEST, ECHOES);
        }
        if left < life {
            ask.echoes = ask.echoes.min(1);
        }
        if now >= self.next_head {
            ask.head = true;
            let costs = HEAD_BYTES as f64 / (per_second * HEADS).max(1.0);
            self.next_head = now + self.interval.max(Duration::try_from_secs_f64(costs).unwrap_or(MINUTE));
        }
        self.next = now + self.heartbeat;
        // Not where the last minute left too little for it.
        if confirm != Confirm::No && self.quick < MAX_QUICK && left > life * 8 {
            self.quick += 1;
            self.next = now + QUICK;
            if loses && !deaf {
                let spare = left.saturating_sub(self.owed(now) + SHORT);
                let most = u32::try_from(spare / 2 / ECHO_BYTES).unwrap_or(CONFIRM_ECHOES);
                ask.echoes = ask.echoes.max(most.min(CONFIRM_ECHOES));
            }
            return ask;
        }
        if confirm == Confirm::No {
            self.quick = 0;
        }
        if busy {
            return ask;
        }
        // What a suspicion needs is not given away.
        let spare = left.saturating_sub((per_second * MINUTE.as_secs_f64() * RESERVE) as u64 + self.owed(now));
        if now >= self.next_full {
            let room = if self.wanting { left } else { spare };
            ask.full = self.full_bytes();
            ask.full = if self.capacity.is_some() && ask.full > room { 0 } else { ask.full };
        } else if self.capacity.is_some() && now >= self.next_train {
            let train = ((per_second * TRAINS * self.heartbeat.as_secs_f64()) as u64).clamp(SHORT_TRAIN, LONG_TRAIN);
            let every = Duration::try_from_secs_f64(train as f64 / (per_second * TRAINS).max(1.0)).unwrap_or(MINUTE);
            self.next_train = now + every.max(self.heartbeat);
            ask.train = if train > spare { 0 } else { train };
        }
        ask
    }

    /// What is asked beside signs of life, when these made suspicious or not. `changed`: they made the link another one, which is
    /// to be told before anything else.
    pub fn then(&mut self, now: Duration, ask: Ask, confirm: Confirm, changed: bool, busy: bool) -> Ask {
        let mut then = Ask { echoes: 0, head: false, ..ask };
        if changed {
            self.owed = confirm == Confirm::Bandwidth;
            return Ask { train: 0, full: 0, ..then };
        }
        let confirm = if std::mem::take(&mut self.owed) { Confirm::Bandwidth } else { confirm };
        match confirm {
            _ if busy => (then.train, then.full) = (0, 0),
            Confirm::No => {}
            // The next sign of life is worth more now than a bandwidth.
            Confirm::Life => (then.train, then.full) = (0, 0),
            Confirm::Bandwidth => {
                // The signs of life that confirm come on top of the usual ones.
                let quick = u64::from(ask.echoes.min(ECHOES)) * ECHO_BYTES * u64::from(MAX_QUICK);
                let spare = self.left(now).saturating_sub(self.owed(now) + quick) / 20 * 17;
                then.grow = true;
                (then.train, then.full) = (0, ask.full.max(self.full_bytes()));
                if self.capacity.is_some() && then.full > spare {
                    let last = self.left_of(now, EMERGENCY);
                    then.full = match spare {
                        SHORT.. => spare,
                        _ if last > LAST * 2 => LAST,
                        _ => 0,
                    };
                }
                if then.full == 0 {
                    // As soon as there is something left.
                    (self.next_full, self.wanting) = (now, true);
                }
            }
        }
        if then.full > 0 {
            let known = self.capacity.is_some();
            self.next_full = now + if known { self.full_interval() } else { self.heartbeat };
            self.next_train = now + self.heartbeat;
            (self.rough, self.wanting) = (then.grow, false);
        }
        then
    }

    /// A look is over: what it cost, what the link carries by now, and what this look itself saw of that: a link that has just
    /// become a fast one is not charged for its probes as a slow one, nor one that became slow meanwhile for what it carried before.
    pub fn done(&mut self, now: Duration, bytes: u64, capacity: Option<f64>, seen: Option<f64>) {
        let before = self.capacity;
        self.capacity = capacity.or(before);
        // The class may not have followed yet: what was seen counts too.
        let carried = self.capacity.into_iter().chain(seen).fold(0.0, f64::max);
        if std::mem::take(&mut self.rough) && self.capacity.is_some() && Self::full_bytes_of(carried) > FIRST_IS_GOOD {
            self.next_full = self.next_full.min(now + SOON);
            self.wanting = true;
        }
        let carries = before.into_iter().chain(self.capacity).chain(seen).fold(FLOOR, f64::max);
        let seconds = bytes as f64 / (carries * 1e6 / 8.0);
        // It carried that in the time.
        self.spent.push_back((now, bytes, seconds.min(now.saturating_sub(self.began).as_secs_f64())));
    }

    /// Bytes that probing cost over the last minute.
    pub fn spent(&self, now: Duration) -> u64 {
        self.spent.iter().filter(|(at, ..)| *at + MINUTE > now).map(|(_, bytes, _)| bytes).sum()
    }

    /// A suspicion: looks again at once.
    pub fn hurry(&mut self, now: Duration) {
        if self.quick < MAX_QUICK {
            self.next = self.next.min(now + QUICK);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What an ask comes to on the wire: payload, headers, acknowledgements.
    fn cost(ask: &Ask) -> u64 {
        (ask.full + ask.train) * 107 / 100
            + u64::from(ask.echoes) * ECHO_BYTES
            + if ask.head || ask.full + ask.train > 0 { HEAD_BYTES } else { 0 }
    }

    /// Asks for so many seconds; bytes of each ask, and when.
    fn run(mbps: f64, seconds: u64, confirm: impl Fn(Duration) -> Confirm) -> Vec<(Duration, Ask)> {
        let config = LinkConfig::default();
        let mut cadence = Cadence::new(&config);
        let mut asks = Vec::new();
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(seconds) {
            let ask = cadence.ask(now, confirm(now), Known { loses: true, ..Known::default() });
            let mut then = cadence.then(now, ask, confirm(now), false, false);
            if then.grow {
                // What it grows to.
                then.full = then.full.min(((mbps * 1e6 / 8.0 * 0.1) as u64).max(32 << 10));
            }
            let ask = Ask { echoes: ask.echoes, head: ask.head, ..then };
            asks.push((now, ask));
            // It takes the link as long as that.
            now += Duration::from_secs_f64(cost(&ask) as f64 * 8.0 / 1e6 / mbps);
            cadence.done(now, cost(&ask), Some(mbps), None);
            now = now.max(cadence.due());
        }
        asks
    }

    fn worst_minute(asks: &[(Duration, Ask)]) -> u64 {
        let minute = |from: Duration| {
            asks.iter().filter(|(at, _)| *at >= from && *at < from + MINUTE).map(|(_, ask)| cost(ask)).sum()
        };
        asks.iter().map(|(at, _)| minute(*at)).max().unwrap()
    }

    #[test]
    fn signs_of_life_come_every_second_on_every_link() {
        for mbps in [0.3, 0.8, 2.0, 5.0, 50.0, 500.0] {
            let asks = run(mbps, 120, |_| Confirm::No);
            assert!(asks.windows(2).all(|pair| pair[1].0 - pair[0].0 == Duration::from_secs(1)), "{mbps}");
            assert!(asks.iter().all(|(_, ask)| ask.echoes >= FEWEST), "{mbps}");
        }
    }

    #[test]
    fn full_probes_stretch_on_slow_links() {
        let fulls = |mbps| run(mbps, 120, |_| Confirm::No).iter().filter(|(_, ask)| ask.full > 0).count();
        assert!(fulls(500.0) >= 17, "every seven seconds: {}", fulls(500.0));
        assert!((7..12).contains(&fulls(5.0)), "{}", fulls(5.0));
        assert!((2..7).contains(&fulls(0.3)), "{}", fulls(0.3));
    }

    #[test]
    fn what_a_sign_of_life_says_decides_what_comes_with_it() {
        let mut cadence = Cadence::new(&LinkConfig::default());
        let ask = cadence.ask(Duration::ZERO, Confirm::No, Known::default());
        assert!(ask.full > 0 && ask.echoes > 0 && ask.head);
        assert_eq!(cadence.then(Duration::ZERO, ask, Confirm::Life, false, false).full, 0);
        assert_eq!(cadence.then(Duration::ZERO, ask, Confirm::Bandwidth, false, true).full, 0, "transfers tell it");
        assert_eq!(cadence.then(Duration::ZERO, ask, Confirm::No, false, false).full, ask.full);
        let deaf = Known { deaf: true, ..Known::default() };
        assert_eq!(cadence.ask(Duration::from_secs(1), Confirm::No, deaf).echoes, 0, "nobody would hear them");
    }

    #[test]
    fn a_change_is_told_before_its_bandwidth_is_measured() {
        let mut cadence = Cadence::new(&LinkConfig::default());
        cadence.done(Duration::ZERO, 1_000, Some(480.0), None);
        let now = Duration::from_secs(20);
        let ask = cadence.ask(now, Confirm::Life, Known::default());
        assert_eq!(cadence.then(now, ask, Confirm::Bandwidth, true, false).full, 0);
        cadence.done(now, 1_000, None, None);
        cadence.hurry(now);
        let now = cadence.due();
        let ask = cadence.ask(now, Confirm::Bandwidth, Known::default());
        let then = cadence.then(now, ask, Confirm::No, false, false);
        assert!(then.full > 0 && then.grow, "it may carry far less than the one before: {then:?}");
        assert_eq!(cadence.then(now, ask, Confirm::No, false, false).full, 0, "once");
    }

    #[test]
    fn a_suspicion_is_looked_into_at_once() {
        let suspicious = |now: Duration| match now.as_secs() {
            30..32 => Confirm::Bandwidth,
            _ => Confirm::No,
        };
        for mbps in [0.8, 5.0, 500.0] {
            let asks = run(mbps, 60, suspicious);
            let quick: Vec<_> = asks.iter().filter(|(at, _)| (30..32).contains(&at.as_secs())).collect();
            assert!(quick.len() >= 6, "{mbps}: {quick:?}");
            assert!(quick[0].1.full > 0, "{mbps}: {quick:?}");
        }
    }

    /// What a fiber carried in a moment is not a minute's budget of the satellite that it became meanwhile.
    #[test]
    fn a_look_is_charged_what_the_link_was() {
        let mut cadence = Cadence::new(&LinkConfig::default());
        cadence.done(Duration::ZERO, 1_000, Some(480.0), None);
        let at = |tenth| seconds(100) + Duration::from_millis(100) * tenth;
        let ask = cadence.ask(at(0), Confirm::No, Known::default());
        assert!(ask.full > 1 << 20, "{ask:?}");
        cadence.done(at(5), ask.full, Some(0.8), Some(0.8));
        let ask = cadence.ask(at(6), Confirm::Bandwidth, Known::default());
        assert!(cadence.then(at(6), ask, Confirm::Bandwidth, false, false).full >= SHORT);
    }

    /// A bandwidth that there was no budget for is measured as soon as there is.
    #[test]
    fn what_is_wanted_is_not_forgotten() {
        let mut cadence = Cadence::new(&LinkConfig::default());
        cadence.done(Duration::ZERO, 1_000, Some(0.8), None);
        cadence.ask(seconds(100), Confirm::No, Known::default());
        cadence.done(seconds(104), 300_000, Some(0.8), None);
        let full = |cadence: &mut Cadence, now, confirm| {
            let ask = cadence.ask(now, confirm, Known::default());
            cadence.then(now, ask, confirm, false, false).full
        };
        assert_eq!(full(&mut cadence, seconds(105), Confirm::Bandwidth), 0);
        assert_eq!(full(&mut cadence, seconds(163), Confirm::No), 0, "a minute is not over");
        assert!(full(&mut cadence, seconds(165), Confirm::No) >= SHORT);
    }

    fn seconds(at: u64) -> Duration {
        Duration::from_secs(at)
    }

    proptest! {
        /// No more than 5 % of the link over any minute, whatever is suspected when. (Datagrams and a HEAD are owed to who
        /// watches: at the slowest link they take their part of the budget, not more.)
        #[test]
        fn probing_keeps_to_its_budget(mbps in 0.3f64..1000.0, suspicion in prop::collection::vec(0u64..180, 0..60)) {
            let asks = run(mbps, 180, |now| match suspicion.contains(&now.as_secs()) {
                true => Confirm::Bandwidth,
                false => Confirm::No,
            });
            let allowed = (mbps * 1e6 / 8.0 * 0.05 * 60.0) as u64;
            let worst = worst_minute(&asks);
            prop_assert!(worst <= allowed, "{worst} bytes in a minute, {allowed} are allowed at {mbps} Mbit/s");
        }
    }
}
