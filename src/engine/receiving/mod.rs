//! What others push here, among the node's transfers.
//!
//! ```text
//!  Uploads ─news─▶ Watcher ─Look─▶ row (decider) ─▶ Publisher ─▶ snapshots
//!     ▲              every 250 ms at most, only those that changed
//!     └── cancel, remove ◀── commands ◀── Command
//! ```
//! An upload has a number of the node's transfers from its beginning; its sender decides when bytes come, so the
//! operator can only cancel it, or remove its row once it is over.

mod commands;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::row::Pace;
use super::delta_map::detail_of;
use super::publisher::Publisher;
use crate::clock::unix_ms;
use crate::content::Bitmap;
use crate::control::{Bits, PeerRow, PeerState, TransferDetail, TransferId};
use crate::swarm::{Flow, files_shown};
use crate::upload::{Look, Patching, Standing, Upload, Uploads};

/// Shortest time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// Uploads that are over and still shown, newest first: a node that receives thousands shows them no longer than
/// it can do so cheaply.
const ENDED_SHOWN: usize = 200;

/// Shows the uploads of a node.
pub(super) struct Watcher {
    uploads: Arc<Uploads>,
    publisher: Arc<Publisher>,
    root: std::path::PathBuf,
    tracked: BTreeMap<TransferId, Tracked>,
    /// Rows that change by themselves, and when.
    due: BTreeSet<(Instant, TransferId)>,
    /// Those that are over, by when they ended.
    ended: BTreeSet<(u64, TransferId)>,
}

/// What comes.
enum What<'a> {
    Upload(&'a Upload),
    Patching(&'a Patching),
}

impl What<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Upload(upload) => upload.id(),
            Self::Patching(_) => "",
        }
    }
}

/// What is measured of one upload.
struct Tracked {
    name: String,
    flow: Flow,
    /// Time in which bytes came.
    running: Duration,
    looked: Instant,
    due: Option<Instant>,
    ended_ms: Option<u64>,
    senders: BTreeMap<Arc<str>, Flow>,
}

impl Watcher {
    pub(super) fn new(uploads: Arc<Uploads>, publisher: Arc<Publisher>, root: std::path::PathBuf) -> Self {
        let (tracked, due, ended) = Default::default();
        Self { uploads, publisher, root, tracked, due, ended }
    }

    /// Shows what there is, and every change of it, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.uploads.watch();
        let mut looked_at = self.publisher.looked_at();
        loop {
            let next = self.due.first().map(|(due, _)| tokio::time::Instant::from_std(*due));
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.uploads.changed() => {}
                changed = looked_at.changed() => if changed.is_err() { return },
                () = due => {}
            }
            let wanted = looked_at.borrow_and_update().clone();
            self.look_round(&wanted, Instant::now());
            if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Looks at what changed, is due, or is on some viewer's screen.
    fn look_round(&mut self, wanted: &[TransferId], now: Instant) {
        let mut names = self.uploads.take_changed();
        let due: Vec<TransferId> = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        for id in due.iter().chain(wanted) {
            if let Some(tracked) = self.tracked.get(id) {
                names.entry(*id).or_insert_with(|| tracked.name.clone());
            }
        }
        for (id, name) in names {
            let wanted = wanted.contains(&id);
            if let Some(patching) = self.uploads.patching(id) {
                self.show(&patching.look().look, &What::Patching(&patching), wanted, now);
                continue;
            }
            let upload = self.uploads.named(&name).filter(|upload| upload.number() == id);
            match upload.and_then(|upload| Some((upload.look()?, upload))) {
                Some((look, upload)) => self.show(&look, &What::Upload(&upload), wanted, now),
                None => self.forget(id),
            }
        }
        while self.ended.len() > ENDED_SHOWN {
            let Some((_, oldest)) = self.ended.pop_first() else { break };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, id: TransferId) {
        if let Some(gone) = self.tracked.remove(&id) {
            gone.due.map(|due| self.due.remove(&(due, id)));
            gone.ended_ms.map(|ended| self.ended.remove(&(ended, id)));
            self.publisher.remove(id);
        }
    }

    fn show(&mut self, look: &Look, what: &What<'_>, wanted: bool, now: Instant) {
        let id = look.number;
        let tracked = self.tracked.entry(id).or_insert_with(|| Tracked {
            name: what.name().to_owned(),
            flow: Flow::new(now),
            running: Duration::ZERO,
            looked: now,
            due: None,
            ended_ms: None,
            senders: BTreeMap::new(),
        });
        let pace = tracked.measure(look, now);
        let (row, next) = match what {
            What::Upload(_) => row::make(look, &pace, &self.root),
            What::Patching(patching) => row::of_patch(&patching.look(), &pace, &self.root),
        };
        let name = row.name.clone();
        self.publisher.put(row);
        if wanted {
            let detail = tracked.detail(look, what, &name, now);
            self.publisher.put_detail(id, detail);
        }
        // Rates fade, and times of silence grow, also where nothing happens.
        tracked.due.take().map(|due| self.due.remove(&(due, id)));
        tracked.due = next.map(|next| now + next.max(INTERVAL));
        tracked.due.map(|due| self.due.insert((due, id)));
        if tracked.ended_ms != look.ended_ms {
            tracked.ended_ms.map(|ended| self.ended.remove(&(ended, id)));
            look.ended_ms.map(|ended| self.ended.insert((ended, id)));
            tracked.ended_ms = look.ended_ms;
        }
    }
}

impl Tracked {
    fn measure(&mut self, look: &Look, now: Instant) -> Pace {
        let came: u64 = look.senders.iter().map(|sender| sender.bytes).sum();
        if came > self.flow.total() && self.flow.idle(now) >= row::AWAY {
            // It goes on after a pause: what it averages over is what comes from now on.
            let mut flow = Flow::new(now);
            flow.skip(self.flow.total());
            self.flow = flow;
        }
        self.flow.add(came.saturating_sub(self.flow.total()), now);
        let silence = Duration::from_millis(unix_ms().saturating_sub(look.touched_ms));
        let idle = if came > 0 { silence.min(self.flow.idle(now)) } else { silence };
        if idle < row::QUIET && look.standing != Standing::Done {
            self.running += now.saturating_duration_since(self.looked);
        }
        self.looked = now;
        let over = look.standing != Standing::Open || idle >= row::AWAY;
        let (rate, smooth) = if over { (0, 0) } else { (self.flow.now(now), self.flow.smooth(now)) };
        Pace { rate, smooth, idle, running: self.running }
    }

    fn detail(&mut self, look: &Look, what: &What<'_>, name: &str, now: Instant) -> TransferDetail {
        let senders = look.senders.iter().map(|sender| {
            let flow = self.senders.entry(sender.host.clone()).or_insert_with(|| {
                let mut flow = Flow::new(now);
                flow.skip(sender.bytes);
                flow
            });
            flow.add(sender.bytes.saturating_sub(flow.total()), now);
            PeerRow {
                endpoint: sender.host.to_string(),
                state: if sender.bodies > 0 { PeerState::Connected } else { PeerState::Known },
                rate_down: flow.now(now),
                bytes_down: sender.bytes,
                active: sender.bodies,
                note: "sends this to us".into(),
                ..PeerRow::default()
            }
        });
        let peers = senders.collect();
        let upload = match what {
            What::Upload(upload) => upload,
            What::Patching(patching) => {
                return TransferDetail { peers, ..detail_of(look.number, name, &patching.look().coverage) };
            }
        };
        let (mut have, in_flight) = upload.segments();
        if look.deferred {
            // Of what may come only what is here is known.
            have = Bitmap::full(have.count());
        }
        TransferDetail {
            id: look.number,
            generation: unix_ms(),
            piece_length: look.segment_length,
            peers,
            have: Bits(Arc::new(have)),
            in_flight,
            failed: Vec::new(),
            availability: Arc::default(),
            trackers: Vec::new(),
            files: Arc::new(files_shown(&upload.manifest())),
            delta: None,
        }
    }
}
