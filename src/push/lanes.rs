//! A path's lanes: several connections that carry segments by HTTP/2, where the round trip is long.
//!
//! By HTTP/1.1 a connection is idle from the last byte of a segment to its answer, and begins the next one
//! with a burst that shallow queues drop. A lane has the next segment under way by then, and never pauses.
//! Next door HTTP/1.1 costs less of the processor, and pauses are short: no lanes are used there.
//!
//! A lane counts once it has answered, so that a receiver, or a proxy before it, that has no HTTP/2 without
//! TLS costs some refused connections and nothing else. On a path that keeps silent while the lanes of another
//! one to the same receiver have answered, they count at once; should a proxy on that path alone know no
//! HTTP/2, it costs a few failed segments, which are sent again. A lane that breaks is not used again until
//! the path is probed anew.
//!
//! Lanes of one path differ for a long while, since each one's window grows by its own history (of losses, of
//! bursts taken for a full queue). So segments go to lanes that are hungry, the fast ones first, and not to
//! all of them in turn.
//!
//! Every connection begins slowly (RFC 9438, RFC 6928: ten packets, then twice as many each round trip):
//! the longer a path keeps silent, the more lanes are opened, so that it fills in fewer round trips.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Url};

/// When lanes are opened, counted from the probe's begin: later ones only if it has no answer yet.
const OPENED: [Duration; 16] = {
    let mut opened = [ms(250); 16];
    (opened[0], opened[1], opened[2], opened[3]) = (ms(0), ms(0), ms(40), ms(40));
    (opened[4], opened[5], opened[6], opened[7]) = (ms(100), ms(100), ms(100), ms(100));
    opened
};
/// A path that answers faster needs none.
const NEAR: Duration = ms(2);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Debug)]
struct Lane {
    client: Client,
    /// It has answered, and has not broken since.
    is_ready: AtomicBool,
    /// Requests under way.
    active: AtomicU32,
    /// Of these, those that the system does not have whole yet.
    loading: AtomicU32,
    /// Bytes per second that it moved of late; 0: not known.
    rate: AtomicU64,
}

/// The lanes of one path.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// The path is near.
    is_near: AtomicBool,
    /// No more of them are opened.
    is_settled: AtomicBool,
    /// The receiver is known to speak HTTP/2: lanes need not have answered.
    is_believed: AtomicBool,
}

impl Lanes {
    /// `build` makes a client that speaks HTTP/2 at once and shares no connection with others.
    pub fn new<E>(build: impl Fn() -> Result<Client, E>) -> Result<Arc<Self>, E> {
        let lane = |_| {
            let (is_ready, active, loading, rate) = Default::default();
            Ok(Lane { client: build()?, is_ready, active, loading, rate })
        };
        let lanes = OPENED.iter().map(lane).collect::<Result<_, E>>()?;
        let (is_near, is_settled, is_believed) = Default::default();
        Ok(Arc::new(Self { lanes, is_near, is_settled, is_believed }))
    }

    /// The path is being probed: lanes that are not ready ask `url` for an answer, too.
    pub fn open(self: &Arc<Self>, url: &Url, headers: &HeaderMap, timeout: Duration) {
        if self.is_near.load(Ordering::Relaxed) {
            return;
        }
        self.is_settled.store(false, Ordering::Relaxed);
        for (n, wait) in OPENED.iter().enumerate().filter(|(n, _)| !self.lanes[*n].is_ready.load(Ordering::Relaxed)) {
            let (lanes, url, headers) = (self.clone(), url.clone(), headers.clone());
            tokio::spawn(async move {
                tokio::time::sleep(*wait).await;
                let lane = &lanes.lanes[n];
                if !wait.is_zero() && lanes.is_settled.load(Ordering::Relaxed) {
                    return;
                }
                let answer = lane.client.head(url).headers(headers).timeout(timeout).send().await;
                let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
                lane.is_ready.store(is_ready, Ordering::Relaxed);
            });
        }
    }

    /// The probe has its answer.
    pub fn settle(&self, latency: Duration) {
        self.is_near.store(latency < NEAR, Ordering::Relaxed);
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Whether one of them has answered.
    pub fn has_answered(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_ready.load(Ordering::Relaxed))
    }

    /// Another path says that the receiver speaks HTTP/2: this one need not wait for its lanes' answers.
    pub fn believe(&self) {
        self.is_believed.store(true, Ordering::Relaxed);
    }

    /// Lanes with requests under way.
    pub fn in_use(&self) -> u32 {
        self.lanes.iter().filter(|lane| lane.active.load(Ordering::Relaxed) > 0).count() as u32
    }

    /// The hungriest lane, with the fewest requests that the system does not have whole yet; of several those that were not tried
    /// yet, then the fastest: each grew its own window, and a segment on a slow one holds up the end. None: use the path's own
    /// connections.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        if self.is_near.load(Ordering::Relaxed) {
            return None;
        }
        let is_believed = self.is_believed.load(Ordering::Relaxed);
        let ready = (0..self.lanes.len()).filter(|n| is_believed || self.lanes[*n].is_ready.load(Ordering::Relaxed));
        let lane = ready.min_by_key(|n| {
            let lane = &self.lanes[*n];
            let rate = match lane.rate.load(Ordering::Relaxed) {
                0 => u64::MAX,
                rate => rate,
            };
            (lane.loading.load(Ordering::Relaxed), Reverse(rate), lane.active.load(Ordering::Relaxed))
        })?;
        self.lanes[lane].active.fetch_add(1, Ordering::Relaxed);
        self.lanes[lane].loading.fetch_add(1, Ordering::Relaxed);
        Some(Taken { lanes: self.clone(), lane, is_loading: AtomicBool::new(true) })
    }
}

/// A lane in use by one request.
#[derive(Debug)]
pub(super) struct Taken {
    lanes: Arc<Lanes>,
    lane: usize,
    is_loading: AtomicBool,
}

impl Taken {
    fn lane(&self) -> &Lane {
        &self.lanes.lanes[self.lane]
    }

    /// Makes its requests.
    pub fn client(&self) -> &Client {
        &self.lane().client
    }

    /// The system has all bytes of the request.
    pub fn handed(&self) {
        if self.is_loading.swap(false, Ordering::Relaxed) {
            self.lane().loading.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A request of so many bytes was acknowledged, `took` after it was sent.
    pub fn moved(&self, bytes: u64, took: Duration) {
        let side_by_side = f64::from(self.lane().active.load(Ordering::Relaxed).max(1));
        let now = (bytes as f64 * side_by_side / took.as_secs_f64().max(1e-6)) as u64;
        let before = self.lane().rate.load(Ordering::Relaxed);
        let rate = if before == 0 { now } else { (3 * before + now) / 4 };
        self.lane().rate.store(rate.max(1), Ordering::Relaxed);
    }

    /// The request broke off: the lane is not used again before the next probe.
    pub fn broke(&self) {
        self.lane().is_ready.store(false, Ordering::Relaxed);
        self.lanes.is_believed.store(false, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.handed();
        self.lane().active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Arc<Lanes> {
        Lanes::new(|| Ok::<_, ()>(crate::swarm::base_client().build().unwrap())).unwrap()
    }

    fn ready(lanes: &Lanes, which: &[usize]) {
        which.iter().for_each(|n| lanes.lanes[*n].is_ready.store(true, Ordering::Relaxed));
    }

    #[test]
    fn the_idlest_ready_lane_is_taken_and_a_broken_one_no_more() {
        let lanes = lanes();
        assert!(lanes.take().is_none(), "none has answered");
        ready(&lanes, &[1, 3]);
        let (first, second) = (lanes.take().unwrap(), lanes.take().unwrap());
        assert_eq!((first.lane, second.lane), (1, 3));
        first.handed();
        assert_eq!(lanes.take().unwrap().lane, 1, "its bytes are gone, it is hungrier");
        drop(second);
        assert_eq!(lanes.take().unwrap().lane, 3, "it is idle again");
        let third = lanes.take().unwrap();
        third.broke();
        assert_eq!(lanes.take().unwrap().lane, 1);
        first.broke();
        assert!(lanes.take().is_none(), "the path's own connections remain");
        lanes.believe();
        assert_eq!(lanes.take().unwrap().lane, 0, "known to be understood, all of them are good");
    }

    #[test]
    fn of_hungry_lanes_the_fastest_is_taken() {
        let lanes = lanes();
        ready(&lanes, &[0, 1, 2]);
        let taken: Vec<Taken> = (0..3).map(|_| lanes.take().unwrap()).collect();
        assert_eq!(lanes.in_use(), 3);
        taken.iter().zip([900, 300, 600]).for_each(|(lane, ms)| {
            lane.handed();
            lane.moved(1 << 20, Duration::from_millis(ms));
        });
        drop(taken);
        assert_eq!(lanes.in_use(), 0);
        let (fast, next) = (lanes.take().unwrap(), lanes.take().unwrap());
        assert_eq!((fast.lane, next.lane), (1, 2));
        fast.handed();
        assert_eq!(lanes.take().unwrap().lane, 1, "it has room for another one");
    }

    #[test]
    fn next_door_none_is_used() {
        let lanes = lanes();
        ready(&lanes, &[0]);
        lanes.settle(Duration::from_micros(300));
        assert!(lanes.take().is_none());
        lanes.settle(Duration::from_millis(20));
        assert!(lanes.take().is_some());
    }
}
