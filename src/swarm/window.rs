//! How many requests a peer is given at once, how many pieces one request carries, and how many
//! requests run over all peers.
//!
//! A request that is answered leaves the line idle for a round trip unless others are under way. What
//! must be under way is the bandwidth-delay product:
//!
//! ```text
//! bdp     = rate × rtt                     rate: best delivery rate, rtt: least time to first byte,
//!                                          both of the last 10 to 20 s
//! window  = clamp(⌈2 × bdp / request⌉, initial, cap), and not above the allowance
//! request = clamp(50 ms × rate / active, one piece, 4 MiB), at most 64 pieces
//! ```
//!
//! The filters and the gain are BBR's (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM
//! Queue 2016): queues only ever add to a round trip and take from a rate, so the least and the best are
//! nearest to the link itself; a gain of 2 lets the rate that is measured show that there is room for
//! more, and covers answers that come in bursts. The allowance is ours: a failure halves what the peer
//! is given, every answer adds one (additive increase, multiplicative decrease), so that an overloaded
//! peer is not pressed.

use std::time::{Duration, Instant};

use super::rate::Best;

/// Requests per peer to start with.
pub const INITIAL: u32 = 4;
/// Requests per peer at most.
pub const CAP: u32 = 64;
/// Pieces one request carries at most.
pub const MAX_RUN: u32 = 64;
/// Bytes one request carries at most (a single larger piece excepted).
pub const MAX_REQUEST: u64 = 4 << 20;
/// Time on the wire that one request should be worth.
pub const WORTH: Duration = Duration::from_millis(50);
const GAIN: f64 = 2.0;
const EPOCH: Duration = Duration::from_secs(10);
/// A delivery rate is taken over at least this time, or at the end of a busy spell over at least
/// [`SPELL`] with [`SPELL_BYTES`].
const SAMPLE: Duration = Duration::from_millis(50);
const SPELL: Duration = Duration::from_millis(1);
const SPELL_BYTES: u64 = 64 << 10;

/// What a window is made of, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowTerms {
    /// Best delivery rate, bytes per second.
    pub rate: Option<f64>,
    /// Least time to first byte.
    pub rtt: Option<Duration>,
    /// rate × rtt in bytes.
    pub bdp: Option<f64>,
    /// Bytes of one request.
    pub request: u64,
    /// The upper limit that failures leave.
    pub allowance: u32,
    /// Requests at once.
    pub window: u32,
}

impl std::fmt::Display for WindowTerms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "window {}", self.window)?;
        if let (Some(rate), Some(rtt), Some(bdp)) = (self.rate, self.rtt, self.bdp) {
            let (ms, kib) = (rtt.as_secs_f64() * 1e3, self.request as f64 / 1024.0);
            write!(f, ": 2 × {:.1} MB/s × {ms:.1} ms = 2 × {:.0} kB", rate / 1e6, bdp / 1e3)?;
            write!(f, " over requests of {kib:.0} KiB")?;
        }
        if self.allowance < CAP {
            write!(f, ", held to {} after failures", self.allowance)?;
        }
        Ok(())
    }
}

/// The window of one peer.
#[derive(Debug, Clone)]
pub struct Window {
    initial: u32,
    cap: u32,
    allowance: u32,
    rtt: Best<Duration>,
    rate: Best<f64>,
    /// Start of the running sample and the bytes in it.
    sample: Option<(Instant, u64)>,
    /// The last sample, for estimates of the near future.
    recent: Option<f64>,
}

impl Window {
    /// Starts at `initial` requests and never passes `cap`.
    pub fn new(initial: u32, cap: u32) -> Self {
        let cap = cap.max(1);
        Self {
            initial: initial.clamp(1, cap),
            cap,
            allowance: cap,
            rtt: Best::new(EPOCH, |a, b| a < b),
            rate: Best::new(EPOCH, |a, b| a > b),
            sample: None,
            recent: None,
        }
    }

    /// The first byte of an answer came `elapsed` after its request.
    pub fn on_first_byte(&mut self, elapsed: Duration, now: Instant) {
        self.rtt.add(elapsed, now);
    }

    /// Bytes came from the peer, over all its requests.
    pub fn on_bytes(&mut self, bytes: u64, now: Instant) {
        // The first bytes of a spell took time that nobody saw: they start the clock and don't count.
        let Some((since, gathered)) = &mut self.sample else {
            self.sample = Some((now, 0));
            return;
        };
        *gathered += bytes;
        let passed = now.saturating_duration_since(*since);
        if passed >= SAMPLE {
            let rate = *gathered as f64 / passed.as_secs_f64();
            self.sample = Some((now, 0));
            self.rate.add(rate, now);
            self.recent = Some(self.recent.map_or(rate, |old| 0.75 * old + 0.25 * rate));
        }
    }

    /// The peer has no request any more: what passes until the next one says nothing about its rate.
    pub fn on_idle(&mut self, now: Instant) {
        if let Some((since, gathered)) = self.sample.take() {
            let passed = now.saturating_duration_since(since);
            if passed >= SPELL && gathered >= SPELL_BYTES {
                let rate = gathered as f64 / passed.as_secs_f64();
                self.rate.add(rate, now);
                self.recent = Some(self.recent.map_or(rate, |old| 0.75 * old + 0.25 * rate));
            }
        }
    }

    /// A request was answered in full: `bytes` within `took` of its sending. Round trip and all, that is
    /// no more than the link can do, and for small answers the only measurement there is.
    pub fn on_success(&mut self, bytes: u64, took: Duration, now: Instant) {
        self.allowance = (self.allowance + 1).min(self.cap);
        if bytes > 0 && !took.is_zero() {
            let least = bytes as f64 / took.as_secs_f64();
            self.rate.add(least, now);
            self.recent = Some(self.recent.map_or(least, |recent| recent.max(least)));
        }
    }

    /// A request failed while `active` (it included) were under way.
    pub fn on_failure(&mut self, active: u32) {
        self.allowance = (self.allowance.min(active.max(1)) / 2).max(1);
    }

    /// Least time to first byte.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.get()
    }

    /// Smoothed delivery rate in bytes per second, over the times when something was under way.
    pub fn rate(&self) -> Option<f64> {
        self.recent
    }

    /// Bytes on the way that keep the peer busy.
    pub fn bdp(&self) -> Option<f64> {
        Some(self.rate.get()? * self.rtt.get()?.as_secs_f64())
    }

    /// Requests of `request` bytes that just fill the line: for a peer whose bandwidth others need too.
    pub fn sparing(&self, request: u64) -> u32 {
        let needed = self.bdp().map_or(0.0, |bdp| (bdp / request.max(1) as f64).ceil());
        (needed.min(f64::from(self.cap)) as u32).max(1).min(self.size(request))
    }

    /// Pieces of `piece` bytes that a request should carry while `active` requests share the peer.
    /// One until a rate is known.
    pub fn run(&self, piece: u64, active: u32) -> u32 {
        let share = self.recent.unwrap_or(0.0) / f64::from(active.max(1));
        let bytes = (share * WORTH.as_secs_f64()).min(MAX_REQUEST as f64) as u64;
        (bytes / piece.max(1)).clamp(1, u64::from(MAX_RUN)) as u32
    }

    /// Requests that may be under way at once, when one carries `request` bytes.
    pub fn size(&self, request: u64) -> u32 {
        let wanted = self.bdp().map_or(0.0, |bdp| (GAIN * bdp / request.max(1) as f64).ceil());
        (wanted.min(f64::from(self.cap)) as u32).clamp(self.initial, self.cap).min(self.allowance)
    }

    /// The terms behind [`Window::size`].
    pub fn terms(&self, request: u64) -> WindowTerms {
        WindowTerms {
            rate: self.rate.get(),
            rtt: self.rtt(),
            bdp: self.bdp(),
            request,
            allowance: self.allowance,
            window: self.size(request),
        }
    }
}

/// How many requests may run over all peers. A request has one piece on the wire at a time, so this
/// is the number of pieces in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// Always so many.
    Fixed(u32),
    /// At least the default, and as many as the peers' bandwidth-delay products ask for together.
    Auto,
}

impl InFlight {
    /// Requests over all peers by default.
    pub const DEFAULT: u32 = 8;
    /// Requests over all peers at most.
    pub const CAP: u32 = 512;

    /// The limit now. `demand`: the sum over the peers of ⌈2 × bdp / request⌉.
    pub fn limit(self, demand: u32) -> u32 {
        match self {
            Self::Fixed(limit) => limit.clamp(1, Self::CAP),
            Self::Auto => demand.clamp(Self::DEFAULT, Self::CAP),
        }
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::Fixed(Self::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with a rate and a round trip, used for two seconds.
    fn used(rate: u64, rtt_ms: u64) -> Window {
        let start = Instant::now();
        let mut window = Window::new(INITIAL, CAP);
        window.on_first_byte(Duration::from_millis(rtt_ms), start);
        for ms in 0..2000 {
            window.on_bytes(rate / 1000, start + Duration::from_millis(ms));
        }
        window
    }

    #[test]
    fn grows_with_the_bandwidth_delay_product() {
        let piece = 256 << 10;
        assert_eq!(Window::new(INITIAL, CAP).size(piece), 4);
        // 10 MB/s × 2 ms = 20 kB: the line is full with one request.
        assert_eq!(used(10_000_000, 2).size(piece), 4);
        // 100 MB/s × 50 ms = 5 MB on the way, twice that in pieces of 256 KiB: 39.
        let long = used(100_000_000, 50);
        assert_eq!(long.size(piece), 39);
        assert!(long.terms(piece).to_string().contains("100.0 MB/s × 50.0 ms"), "{}", long.terms(piece));
        assert_eq!(used(1_000_000_000, 200).size(piece), CAP);
    }

    #[test]
    fn failures_halve_and_answers_add_one() {
        let mut window = used(100_000_000, 50);
        window.on_failure(32);
        assert_eq!(window.size(256 << 10), 16);
        for active in [16, 8, 4, 2, 1, 1] {
            window.on_failure(active);
        }
        assert_eq!(window.size(256 << 10), 1);
        window.on_success(0, Duration::ZERO, Instant::now());
        assert_eq!(window.size(256 << 10), 2);
    }

    #[test]
    fn one_request_is_worth_fifty_milliseconds() {
        assert_eq!(Window::new(INITIAL, CAP).run(256 << 10, 1), 1);
        // 40 MB/s over 4 requests: 10 MB/s × 50 ms = 500 kB.
        assert_eq!(used(40_000_000, 5).run(64 << 10, 4), 7);
        assert_eq!(used(1_000_000_000, 1).run(256 << 10, 4), 16);
        assert_eq!(used(1_000_000_000, 1).run(1 << 10, 1), MAX_RUN);
        assert_eq!(used(1_000_000_000, 1).run(16 << 20, 1), 1);
    }

    #[test]
    fn short_spells_count_and_idle_time_does_not() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut window = Window::new(INITIAL, CAP);
        for spell in 0..5 {
            window.on_bytes(1000, at(spell * 10_000));
            window.on_bytes(2_000_000, at(spell * 10_000 + 2));
            window.on_idle(at(spell * 10_000 + 2));
        }
        assert_eq!(window.rate(), Some(1e9));
    }

    #[test]
    fn the_limit_over_all_peers() {
        assert_eq!(InFlight::default().limit(100), 8);
        assert_eq!(InFlight::Auto.limit(3), 8);
        assert_eq!(InFlight::Auto.limit(90), 90);
        assert_eq!(InFlight::Auto.limit(100_000), 512);
        assert_eq!(InFlight::Fixed(0).limit(3), 1);
    }
}
