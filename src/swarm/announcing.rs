//! Keeping trackers informed about one content, and hearing of peers from them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::announce::{Announce, AnnounceEvent, AnnounceReply};
use super::announcer::Announcer;
use super::client::Client;
use super::held::Held;
use super::here::is_own;
use super::services::Swarm;
use crate::control::TrackerRow;

/// Peers that one answer may bring.
const MAX_PEERS: usize = 200;
/// Answers that may wait to be read.
const FOUND: usize = 16;
/// Time for a farewell when the work stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// What one tracker's answer brought.
#[derive(Debug)]
pub(super) struct Found {
    /// Endpoints of peers.
    pub peers: Vec<String>,
}

/// The trackers of one content. All are used; a dead one costs nothing but a row that says so.
pub struct Announcers {
    pub(super) found: mpsc::Receiver<Found>,
    // Kept so that `found` stays open when there are no trackers.
    _found: mpsc::Sender<Found>,
    hungry: watch::Sender<bool>,
    complete: watch::Sender<bool>,
    rows: Vec<watch::Receiver<TrackerRow>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Announcers {
    /// Starts announcing `held` to every tracker.
    pub fn start(swarm: &Swarm, held: &Arc<Held>, trackers: &[String]) -> Self {
        let (found_tx, found) = mpsc::channel(FOUND);
        let mut announcers = Self {
            found,
            _found: found_tx.clone(),
            hungry: watch::Sender::new(true),
            complete: watch::Sender::new(held.have().is_full()),
            rows: Vec::new(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        for tracker in trackers {
            let row = watch::Sender::new(TrackerRow { url: tracker.clone(), ..TrackerRow::default() });
            announcers.rows.push(row.subscribe());
            let announcing = Announcing {
                client: swarm.client.clone(),
                tracker: tracker.clone(),
                endpoint: swarm.endpoint.clone(),
                held: held.clone(),
                found: found_tx.clone(),
                hungry: announcers.hungry.subscribe(),
                complete: announcers.complete.subscribe(),
                row,
                stop: announcers.stop.clone(),
            };
            announcers.tasks.spawn(announcing.run());
        }
        announcers
    }

    /// More peers would help: asks sooner.
    pub(super) fn set_hungry(&self, wants: bool) {
        self.hungry.send_if_modified(|hungry| std::mem::replace(hungry, wants) != wants);
    }

    /// Everything is there: the trackers are told.
    pub fn set_complete(&self) {
        self.hungry.send_replace(false);
        self.complete.send_replace(true);
    }

    /// How the trackers do.
    pub fn rows(&self) -> Vec<TrackerRow> {
        self.rows.iter().map(|row| row.borrow().clone()).collect()
    }

    /// Says goodbye to the trackers; bounded by `FAREWELL`.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Announces `held` to one tracker until `stop`; then says goodbye.
struct Announcing {
    client: Arc<Client>,
    tracker: String,
    endpoint: Option<String>,
    held: Arc<Held>,
    found: mpsc::Sender<Found>,
    /// True while more peers would help.
    hungry: watch::Receiver<bool>,
    complete: watch::Receiver<bool>,
    row: watch::Sender<TrackerRow>,
    stop: CancellationToken,
}

impl Announcing {
    async fn run(mut self) {
        let mut rng = fastrand::Rng::new();
        let mut announcer = Announcer::new(Instant::now());
        loop {
            let now = Instant::now();
            announcer.set_dry(*self.hungry.borrow_and_update(), now);
            let Some(next) = announcer.next() else { break };
            let in_ms = next.saturating_duration_since(now).as_millis() as u64;
            self.row.send_modify(|row| row.next_ms = crate::clock::unix_ms() + in_ms);
            tokio::select! {
                () = self.stop.cancelled() => break,
                changed = self.hungry.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    continue;
                }
                Ok(()) = self.complete.changed() => {
                    announcer.on_completed(Instant::now());
                    continue;
                }
                () = tokio::time::sleep_until(next.into()) => {}
            }
            let Some(event) = announcer.poll(Instant::now()) else { continue };
            let announce = self.announcement(event);
            let answer = tokio::select! {
                () = self.stop.cancelled() => break,
                answer = self.client.announce(&self.tracker, &announce) => answer,
            };
            let now = Instant::now();
            match answer {
                Ok(reply) => {
                    announcer.on_reply(Duration::from_secs(reply.interval_s), now);
                    self.take(reply);
                }
                Err(error) => {
                    announcer.on_failed(now, &mut rng);
                    tracing::debug!(tracker = %self.tracker, %error, "announce failed");
                    self.row.send_modify(|row| row.error = Some(error.to_string()));
                }
            }
        }
        announcer.on_stopped(Instant::now());
        // Now, whatever the schedule says: nobody waits for a farewell.
        if let Some(event) = announcer.next().and_then(|next| announcer.poll(next)) {
            let farewell = self.announcement(event);
            let _ = tokio::time::timeout(FAREWELL, self.client.announce(&self.tracker, &farewell)).await;
        }
    }

    fn announcement(&self, event: AnnounceEvent) -> Announce {
        let have = self.held.have();
        Announce {
            content_id: self.held.id(),
            pieces: have.len(),
            size: self.held.layout().size(),
            endpoint: self.endpoint.clone(),
            bitmap: Announce::encode_bitmap(&have),
            event,
        }
    }

    fn take(&self, reply: AnnounceReply) {
        let own = self.endpoint.as_deref();
        let peers: Vec<String> =
            reply.peers.into_iter().map(|p| p.endpoint).filter(|p| !is_own(own, p)).take(MAX_PEERS).collect();
        self.row.send_modify(|row| {
            row.error = None;
            row.peers = peers.len() as u32;
        });
        // Nobody listens while seeding: the peers come to us.
        let _ = self.found.try_send(Found { peers });
    }
}
