//! What measurements bring, as the judge takes them.

use std::time::Duration;

use crate::control::link::{Measurement, Method};

/// One measurement of a link. What is none was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// When it was complete, since the monitor's start.
    pub at: Duration,
    /// The same on the wall's clock, ms since the epoch: for people, nothing is decided by it.
    pub wall_ms: u64,
    /// Mbit/s.
    pub bandwidth_mbps: Option<f64>,
    /// The time that the bandwidth was counted over: what is short is rough.
    pub over: Duration,
    /// Mbit/s as a short train of packets has it: too rough for a figure, good enough to see that a link is another one.
    pub hint_mbps: Option<f64>,
    /// Round trip, ms.
    pub latency_ms: Option<f64>,
    /// Standard deviation of the round trips behind it, ms.
    pub jitter_ms: Option<f64>,
    /// Datagrams sent to be echoed; 0: loss was not measured.
    pub echoes: u32,
    /// Of those, the ones that came back.
    pub echoed: u32,
    /// Where it comes from.
    pub method: Method,
    /// Bytes that it put on the link, both ways.
    pub probe_bytes: u64,
    /// The last answer came so long before the look was over: what it waited for then did not come.
    pub late: Duration,
    /// There was no answer. The figures are none.
    pub failed: bool,
    /// Transfers of ours filled the link meanwhile, or a good part of it: its queues were full, and the probe had only a share of it.
    pub busy: bool,
    /// The round trip behind them, ms: that of the link and of our own queue. At most that: nobody
    /// knows whether an exchange needed a new connection. Of a look that failed how long was waited.
    pub behind_ms: Option<f64>,
}

impl Sample {
    /// It was taken behind transfers of ours, and shows nothing that they do not hide.
    pub fn is_blind(&self) -> bool {
        self.busy && self.method != Method::Passive && self.bandwidth_mbps.is_none() && self.latency_ms.is_none()
    }

    /// Percent of packets lost one way; see [`loss_percent`].
    pub fn loss_percent(&self) -> Option<f64> {
        loss_percent(self.echoes, self.echoed)
    }

    /// As viewers see it.
    pub fn measurement(&self) -> Measurement {
        Measurement {
            measured_at: self.wall_ms,
            bandwidth_mbps: self.bandwidth_mbps,
            latency_ms: self.latency_ms,
            jitter_ms: self.jitter_ms,
            loss_percent: self.loss_percent(),
            method: self.method,
            probe_bytes: self.probe_bytes,
            failed: self.failed,
        }
    }
}

/// Percent of packets that one way loses, when of `sent` datagrams `back` came back: an echo takes the way twice, and who does
/// not know better takes both for equal.
pub fn loss_percent(sent: u32, back: u32) -> Option<f64> {
    (sent > 0).then(|| (1.0 - (f64::from(back.min(sent)) / f64::from(sent)).sqrt()) * 100.0)
}

/// What the system and our transfers know of the connections to an endpoint, over the last second or so.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PassiveSample {
    /// Connections it is about.
    pub connections: u32,
    /// Smoothed round trip, ms.
    pub rtt_ms: Option<f64>,
    /// Its mean deviation, ms (RFC 6298).
    pub rttvar_ms: Option<f64>,
    /// The shortest round trip that was seen of late, ms.
    pub min_rtt_ms: Option<f64>,
    /// Mbit/s that arrived at the other end, all connections together.
    pub delivery_mbps: Option<f64>,
    /// There was not always something to send, or a limit of ours held it back: the link may well carry more.
    pub app_limited: bool,
    /// Percent of what was sent that had to be sent again.
    pub retransmit_percent: Option<f64>,
    /// Congestion windows, bytes.
    pub cwnd_bytes: u64,
    /// More than a probe's bytes were acknowledged or came since the sample before: the link is there.
    pub alive: bool,
}

impl PassiveSample {
    /// Do these connections fill the link?
    pub fn fills(&self) -> bool {
        !self.app_limited && self.alive && self.delivery_mbps.is_some_and(|rate| rate > 0.0)
    }
}
