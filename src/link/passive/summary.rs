//! Two looks at the same connections → what they say of the link. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::message::{Connection, Figures};
use crate::link::sample::PassiveSample;

/// A connection is held back by nothing but the link when it had something under way for this share of the time.
const MOSTLY: f64 = 0.8;
/// A link is full when this share of what arrived went over such connections: others come and go beside them.
const FULL: f64 = 0.5;
/// A rate that grows by more than this from look to look has not arrived at what the link carries: connections begin
/// slowly (RFC 5681, 3.1).
const STEADY: f64 = 1.25;
/// Bytes below which the share of those sent again says nothing, nor what they are beside what comes.
const TELLING: u64 = 30_000;
/// Bytes to and fro that show that transfers get on. What a probe asks is acknowledged, too, by who never answers it: a node that
/// hangs, or a proxy whose own line is cut.
const LIVING: u64 = 4_000;
/// Two looks closer to each other than this are one.
const LEAST: Duration = Duration::from_millis(100);

/// What was seen of an endpoint's connections at the last look.
#[derive(Debug, Default)]
pub(super) struct Summary {
    before: HashMap<u64, Figures>,
    at: Option<Instant>,
    /// Mbit/s that arrived.
    rate: Option<f64>,
}

impl Summary {
    /// A look at `now`; none without a connection. Rates are since the look before; the first has none.
    pub(super) fn on_look<'a>(
        &mut self,
        now: Instant,
        connections: impl Iterator<Item = &'a Connection>,
    ) -> Option<PassiveSample> {
        let known: Vec<_> = connections.map(|connection| (connection.cookie, connection.figures)).collect();
        let since = self.at.map(|at| now.saturating_duration_since(at)).filter(|since| *since >= LEAST);
        let before = std::mem::take(&mut self.before);
        let sample = (!known.is_empty()).then(|| {
            let changes = since.map(|since| Changes::between(&before, &known, since));
            self.sample(&known, changes)
        });
        if sample.is_none() {
            self.rate = None;
        }
        self.at = Some(now);
        self.before = known.into_iter().collect();
        sample
    }

    fn sample(&mut self, known: &[(u64, Figures)], changes: Option<Changes>) -> PassiveSample {
        let cwnd_bytes = known.iter().map(|(_, figures)| u64::from(figures.cwnd) * u64::from(figures.mss)).sum();
        let connections = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let Some(changes) = changes else {
            return PassiveSample { connections, cwnd_bytes, app_limited: true, ..PassiveSample::default() };
        };
        // What a connection waits for is in its round trip; of several, the one that waited least knows the link best.
        let heard = changes.heard.iter().min_by_key(|figures| figures.rtt_us);
        let ms = |us: u32| f64::from(us) / 1e3;
        let (out, back) = (changes.mbps(changes.arrived), changes.mbps(changes.received));
        let is_steady = self.rate.is_some_and(|before| out <= before * STEADY);
        self.rate = (out > 0.0).then_some(out);
        // Of what comes nobody here knows whether its sender had more. Beside what fills the link it counts for nothing, but
        // requests for it are no transfer.
        let is_transfer = back <= out || changes.arrived >= TELLING;
        let fills = out > 0.0 && is_steady && is_transfer && changes.unlimited >= changes.arrived as f64 * FULL;
        let delivered = if fills { out } else { out.max(back) };
        PassiveSample {
            connections,
            rtt_ms: heard.map(|figures| ms(figures.rtt_us)),
            rttvar_ms: heard.map(|figures| ms(figures.rttvar_us)),
            min_rtt_ms: changes.heard.iter().filter_map(|figures| figures.min_rtt_us).min().map(ms),
            delivery_mbps: (delivered > 0.0).then_some(delivered),
            app_limited: !fills,
            retransmit_percent: (changes.sent >= TELLING)
                .then(|| (changes.resent as f64 / changes.sent as f64 * 100.0).min(100.0)),
            cwnd_bytes,
            alive: !changes.heard.is_empty() && changes.arrived + changes.received >= LIVING,
        }
    }
}

/// What happened between two looks, all connections together, in bytes.
#[derive(Default)]
struct Changes {
    since: Duration,
    arrived: u64,
    /// Of that, over connections that nothing but the link limited.
    unlimited: f64,
    received: u64,
    sent: u64,
    resent: u64,
    /// Those from which something came.
    heard: Vec<Figures>,
}

impl Changes {
    fn between(before: &HashMap<u64, Figures>, known: &[(u64, Figures)], since: Duration) -> Self {
        let mut changes = Self { since, ..Self::default() };
        for (cookie, now) in known {
            // What was not there before began since then.
            let then = before.get(cookie).copied().unwrap_or_default();
            let arrived = now.arrived.saturating_sub(then.arrived);
            let time = since.as_micros() as f64;
            let busy = now.busy_us.saturating_sub(then.busy_us) as f64;
            let limited = now.limited_us.saturating_sub(then.limited_us) as f64;
            if !now.app_limited && busy >= time * MOSTLY && limited <= time * (1.0 - MOSTLY) {
                changes.unlimited += arrived as f64;
            }
            changes.arrived += arrived;
            changes.received += now.received.saturating_sub(then.received);
            changes.sent += now.sent.saturating_sub(then.sent);
            changes.resent += now.resent.saturating_sub(then.resent);
            if now.packets_in != then.packets_in {
                changes.heard.push(*now);
            }
        }
        changes
    }

    fn mbps(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / 1e6 / self.since.as_secs_f64()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::message::{parse, tests::recorded};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A connection that had so many bytes acknowledged, second by second, and never waited for anything but the link.
    fn bulk(cookie: u64, seconds: u64, arrived: u64) -> Connection {
        let figures = Figures {
            mss: 1_448,
            cwnd: 50,
            rtt_us: 190_000,
            rttvar_us: 9_000,
            min_rtt_us: Some(80_000),
            arrived,
            packets_in: 1 + (arrived / 2_896) as u32,
            busy_us: seconds * 1_000_000,
            sent: arrived * 101 / 100,
            resent: arrived / 100,
            ..Figures::default()
        };
        Connection { remote: "10.77.1.2:7001".parse().unwrap(), cookie, figures }
    }

    /// The samples of looks a second apart.
    fn looks(looks: &[Vec<Connection>]) -> Vec<Option<PassiveSample>> {
        let (start, mut summary) = (Instant::now(), Summary::default());
        (0..).zip(looks).map(|(at, look)| summary.on_look(start + SECOND * at, look.iter())).collect()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_recorded_transfer_that_fills_5_mbit_s_is_seen_as_that() {
        let look = |line| {
            let mut found = Vec::new();
            parse(&recorded(line), 7, &mut found).unwrap();
            found
        };
        let (start, mut summary) = (Instant::now(), Summary::default());
        assert_eq!(summary.on_look(start, std::iter::empty()), None);
        // Two seconds after it began.
        let ramp = summary.on_look(start + SECOND * 2, look(0).iter()).unwrap();
        assert!(ramp.alive && ramp.app_limited, "of a rate alone nobody knows whether it grows: {ramp:?}");
        let full = summary.on_look(start + SECOND * 3, look(1).iter()).unwrap();
        assert!(full.delivery_mbps.is_some_and(|rate| (4.25..5.75).contains(&rate)), "{full:?}");
        assert!(full.fills() && full.connections == 1, "{full:?}");
        assert!(full.rtt_ms.is_some_and(|rtt| (70.0..200.0).contains(&rtt)), "{full:?}");
        assert!(full.retransmit_percent.is_some_and(|percent| percent < 3.0), "{full:?}");
    }

    #[test]
    fn a_link_is_full_when_the_rate_is_steady() {
        let rates = [0, 100_000, 400_000, 1_200_000, 2_000_000, 2_810_000];
        let seen: Vec<Vec<Connection>> = (0..).zip(rates).map(|(at, arrived)| vec![bulk(1, at, arrived)]).collect();
        let fills: Vec<bool> = looks(&seen).into_iter().map(|sample| sample.unwrap().fills()).collect();
        assert_eq!(fills, [false, false, false, false, true, true], "not while it grows");
        let last = looks(&seen)[5].unwrap();
        assert!(last.delivery_mbps.is_some_and(|rate| (rate - 6.48).abs() < 0.01), "{last:?}");
        assert!(last.retransmit_percent.is_some_and(|percent| (0.9..1.1).contains(&percent)), "{last:?}");
        assert_eq!((last.rtt_ms, last.rttvar_ms, last.min_rtt_ms), (Some(190.0), Some(9.0), Some(80.0)));
        assert_eq!(last.cwnd_bytes, 50 * 1_448);
    }

    #[test]
    fn who_is_held_back_by_something_else_does_not_fill_the_link() {
        let rates = |held: fn(u64, &mut Figures)| {
            let seen: Vec<Vec<Connection>> = (0..5u64)
                .map(|at| {
                    let mut connection = bulk(1, at, at * 100_000);
                    held(at, &mut connection.figures);
                    vec![connection]
                })
                .collect();
            looks(&seen)[4].unwrap()
        };
        let steady = |held| rates(held).fills();
        assert!(steady(|_, _| ()));
        assert!(!steady(|_, figures| figures.app_limited = true));
        assert!(!steady(|at, figures| figures.busy_us = at * 500_000), "it pauses");
        assert!(!steady(|at, figures| figures.limited_us = at * 500_000), "the receiver's window is the limit");
        let both = rates(|at, figures| figures.received = at * 200_000);
        assert!(both.fills() && both.delivery_mbps == Some(0.8), "more comes than goes, and that is full: {both:?}");
        let asks = rates(|at, figures| (figures.arrived, figures.received) = (at * 700, at * 900));
        assert!(
            !asks.fills() && asks.delivery_mbps == Some(0.0072),
            "requests are always under way on a long link: {asks:?}"
        );
        let back = rates(|at, figures| (figures.received, figures.busy_us) = (at * 200_000, at * 500_000));
        assert!(
            !back.fills() && back.delivery_mbps == Some(1.6),
            "what comes has its limit elsewhere, perhaps: {back:?}"
        );
    }

    #[test]
    fn an_acknowledged_question_is_no_sign_of_life() {
        let asks = |at: u64, bytes: u64| {
            let mut connection = bulk(1, at, at * bytes);
            connection.figures.app_limited = true;
            vec![connection]
        };
        let alive = |bytes| looks(&[asks(1, bytes), asks(2, bytes)])[1].unwrap().alive;
        assert!(!alive(700) && alive(5_000));
    }

    #[test]
    fn connections_count_together_and_come_and_go() {
        let small = |cookie, at: u64| {
            let mut connection = bulk(cookie, at, at * 1_000);
            (connection.figures.app_limited, connection.figures.rtt_us) = (true, 81_000);
            connection
        };
        let seen = [
            vec![],
            vec![bulk(1, 1, 500_000), small(3, 1)],
            vec![bulk(1, 2, 1_000_000), small(3, 2), bulk(2, 1, 100_000)],
            vec![bulk(2, 2, 700_000), small(3, 3)],
            vec![bulk(2, 2, 700_000), small(3, 3)],
        ];
        let samples = looks(&seen);
        assert_eq!(samples[0], None);
        let rate = |at: usize| samples[at].unwrap().delivery_mbps;
        assert!(rate(2).is_some_and(|rate| (rate - 4.808).abs() < 0.01), "the new one's bytes too: {:?}", rate(2));
        assert!(rate(3).is_some_and(|rate| (rate - 4.808).abs() < 0.01), "{:?}", rate(3));
        assert!(samples[3].unwrap().fills(), "the small one beside it does not matter");
        assert_eq!(samples[3].unwrap().rtt_ms, Some(81.0), "it has the link's latency, not the queue's");
        let silent = samples[4].unwrap();
        assert_eq!((silent.alive, silent.delivery_mbps, silent.rtt_ms, silent.fills()), (false, None, None, false));
    }
}
