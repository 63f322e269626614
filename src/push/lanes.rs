//! A path's lanes: several connections that carry segments by HTTP/2, where the round trip is long.
//!
//! By HTTP/1.1 a connection is idle from the last byte of a segment to its answer, and begins the next one
//! with a burst that shallow queues drop. A lane has the next segment under way by then, and never pauses.
//! Next door HTTP/1.1 costs less of the processor, and pauses are short: no lanes are used there.
//!
//! A lane counts once it has answered, so that a receiver, or a proxy before it, that has no HTTP/2
//! without TLS costs some refused connections and nothing else. One that breaks is not used again until
//! the path is probed anew.
//!
//! Every connection begins slowly (RFC 9438, RFC 6928: ten packets, then twice as many each round trip):
//! the longer a path keeps silent, the more lanes are opened, so that it fills in fewer round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Url};

/// When lanes are opened, counted from the probe's begin: later ones only if it has no answer yet.
const OPENED: [Duration; 8] = [ms(0), ms(0), ms(300), ms(300), ms(500), ms(500), ms(500), ms(500)];
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
}

/// The lanes of one path.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// The path is near.
    is_near: AtomicBool,
    /// No more of them are opened.
    is_settled: AtomicBool,
}

impl Lanes {
    /// `build` makes a client that speaks HTTP/2 at once and shares no connection with others.
    pub fn new<E>(build: impl Fn() -> Result<Client, E>) -> Result<Arc<Self>, E> {
        let lane = |_| Ok(Lane { client: build()?, is_ready: AtomicBool::new(false), active: AtomicU32::new(0) });
        let lanes = OPENED.iter().map(lane).collect::<Result<_, E>>()?;
        Ok(Arc::new(Self { lanes, is_near: AtomicBool::new(false), is_settled: AtomicBool::new(false) }))
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

    /// The lane with the fewest requests; none: use the path's own connections.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        if self.is_near.load(Ordering::Relaxed) {
            return None;
        }
        let ready = (0..self.lanes.len()).filter(|n| self.lanes[*n].is_ready.load(Ordering::Relaxed));
        let lane = ready.min_by_key(|n| self.lanes[*n].active.load(Ordering::Relaxed))?;
        self.lanes[lane].active.fetch_add(1, Ordering::Relaxed);
        Some(Taken { lanes: self.clone(), lane })
    }
}

/// A lane in use by one request.
#[derive(Debug)]
pub(super) struct Taken {
    lanes: Arc<Lanes>,
    lane: usize,
}

impl Taken {
    /// Makes its requests.
    pub fn client(&self) -> &Client {
        &self.lanes.lanes[self.lane].client
    }

    /// The request broke off: the lane is not used again before the next probe.
    pub fn broke(&self) {
        self.lanes.lanes[self.lane].is_ready.store(false, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.lanes.lanes[self.lane].active.fetch_sub(1, Ordering::Relaxed);
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
        drop(second);
        assert_eq!(lanes.take().unwrap().lane, 3, "it is idle again");
        let third = lanes.take().unwrap();
        third.broke();
        assert_eq!(lanes.take().unwrap().lane, 1);
        first.broke();
        assert!(lanes.take().is_none(), "the path's own connections remain");
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
