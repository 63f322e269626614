//! What links are like: the same names as those of links emulated by network namespaces.

use std::time::Duration;

use crate::line::{Outages, Shape};

/// What a link is like. `up` is from those who connect to the target, `down` the way back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// For people.
    pub name: &'static str,
    /// Bytes per second up; 0 is unlimited.
    pub up: u64,
    /// Bytes per second down; 0 is unlimited.
    pub down: u64,
    /// Bytes that may pass at once, each way, after a pause.
    pub burst: u64,
    /// One way; a round trip takes twice as long.
    pub delay: Duration,
    /// Standard deviation of the delay.
    pub jitter: Duration,
    /// What the bottleneck queues before senders have to wait.
    pub queue: Duration,
    /// Percent of packets lost, each way.
    pub loss: f64,
    /// Times in which nothing gets through.
    pub outages: Option<Outages>,
}

/// Which way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Megabits per second in bytes per second.
const fn mbit(rate: f64) -> u64 {
    (rate * 125_000.0) as u64
}

impl Profile {
    /// Nothing in the way.
    pub const IDEAL: Self = Self::new("ideal", 0.0, 0.0, 0, 0, 0);
    /// 500/500 Mbit/s to the home, server in the same city.
    pub const FIBER: Self = Self::new("fiber", 500.0, 500.0, 1, 0, 20);
    /// Cable or VDSL, 50/10 Mbit/s, 20 ms round trip.
    pub const BROADBAND: Self = Self::new("broadband", 10.0, 50.0, 10, 0, 80);
    /// A fair 4G cell: 5 Mbit/s, 80 ms round trip that wavers.
    pub const MOBILE: Self = Self { loss: 0.5, ..Self::new("mobile", 5.0, 5.0, 40, 14, 300) };
    /// Narrow-band geostationary: 0.8 Mbit/s; one hop is at least 558 ms there and back (RFC 2488,
    /// section 2).
    pub const SATELLITE: Self = Self { loss: 1.0, ..Self::new("satellite", 0.8, 0.8, 300, 0, 600) };
    /// A cell at the edge of its reach: 2 Mbit/s, and every ten seconds nothing for four.
    pub const INTERMITTENT: Self = Self {
        outages: Some(Outages { works: Duration::from_secs(6), breaks: Duration::from_secs(4) }),
        ..Self::new("intermittent", 2.0, 2.0, 50, 0, 200)
    };

    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::IDEAL, Self::FIBER, Self::BROADBAND, Self::MOBILE, Self::SATELLITE, Self::INTERMITTENT];

    /// A link without loss, bursts and outages. Rates in Mbit/s (0: unlimited), times in ms.
    pub const fn new(name: &'static str, up: f64, down: f64, delay: u64, jitter: u64, queue: u64) -> Self {
        Self {
            name,
            up: mbit(up),
            down: mbit(down),
            burst: 0,
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            queue: Duration::from_millis(queue),
            loss: 0.0,
            outages: None,
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    pub(crate) fn shape(&self, way: Way) -> Shape {
        let rate = match way {
            Way::Up => self.up,
            Way::Down => self.down,
        };
        Shape {
            rate,
            burst: self.burst,
            delay: self.delay,
            jitter: self.jitter,
            queue: self.queue,
            loss: self.loss,
            outages: self.outages,
        }
    }

    /// Bytes of a sender that the kernel keeps before the link takes them. Its own buffers would hold megabytes, and a
    /// sender believe they had arrived. Links change, so a fast one has no more than what bridges the pauses
    /// between two looks at it.
    pub(crate) fn window(&self) -> u32 {
        let rate = if self.up == 0 || self.down == 0 { u64::MAX } else { self.up.max(self.down) };
        let time = (self.delay + self.queue).as_secs_f64();
        (rate as f64 * time).clamp(64.0 * 1024.0, 256.0 * 1024.0) as u32
    }
}
