//! Watching transfers until they end: bars on a terminal, events with `--json`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use skep_engine::control::{Connection, Focus, Snapshot, TransferId, TransferRow};

use crate::host::Host;
use crate::output::{Bar, Out, Throttle, bars, progress_event};
use crate::signals::Stop;

/// How often a lost node is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Snapshots come four times a second; a small content is there long before. So a node in this
/// process is asked for fresh ones at first, after this time and then in growing intervals.
const FIRST_GLANCE: Duration = Duration::from_millis(2);
/// How long a lost connection may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);
/// A transfer that no snapshot shows for so long is not there.
const UNSEEN: Duration = Duration::from_secs(10);
/// Snapshots lag behind the answer to a command by less than this: a row that has not changed since
/// before the command may be old news until then.
const LAG: Duration = Duration::from_secs(2);

/// Why watching ended.
#[derive(Debug)]
pub enum End {
    /// Each transfer is finished (as the caller sees it) or gone from the list.
    Finished,
    /// A signal.
    Stopped,
    /// The node ended or cannot be reached any more.
    Lost(String),
}

/// What became of one transfer.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Its last row.
    Row(Arc<TransferRow>),
    /// Somebody took it off the list.
    Removed,
}

/// One transfer that is watched.
struct Watched {
    bar: Bar,
    throttle: Throttle,
    row: Option<Arc<TransferRow>>,
    finished: bool,
}

/// Watches transfers of a node.
pub struct Follow<'a> {
    out: &'a Out,
    host: &'a Host,
    finished: fn(&TransferRow) -> bool,
    watched: BTreeMap<TransferId, Watched>,
    before: Rows,
    bars: MultiProgress,
}

/// Rows of a node at one moment.
pub type Rows = Vec<Arc<TransferRow>>;

impl<'a> Follow<'a> {
    /// `finished` says when a transfer's watch is over; `before` are the node's rows before it was asked
    /// for anything: one that rested then and still looks the same has not begun yet.
    pub fn new(
        out: &'a Out,
        host: &'a Host,
        before: Rows,
        ids: &[TransferId],
        finished: fn(&TransferRow) -> bool,
    ) -> Self {
        let bars = bars(out);
        let watch = |id: &TransferId| {
            let bar = Bar::new(out, &bars);
            (*id, Watched { bar, throttle: Throttle::default(), row: None, finished: false })
        };
        Self { out, host, finished, watched: ids.iter().map(watch).collect(), before, bars: bars.clone() }
    }

    /// Runs until all are finished, a signal comes or the node is lost. `ended` is called with each
    /// transfer as it finishes.
    pub async fn run(&mut self, stop: &mut Stop, mut ended: impl FnMut(TransferId, Fate)) -> End {
        let mut view = self.host.control().view(Focus::default());
        let started = Instant::now();
        let mut lost_since: Option<Instant> = None;
        let mut glance = FIRST_GLANCE;
        loop {
            let snapshot = view.snapshots.borrow_and_update().clone();
            if snapshot.generation > 0 {
                self.take(&snapshot, started.elapsed(), &mut ended);
            }
            if self.watched.values().all(|w| w.finished) {
                return End::Finished;
            }
            let lost = match &*view.connection.borrow() {
                Connection::Live => None,
                Connection::Lost { error, .. } => Some(error.clone()),
            };
            match &lost {
                None => lost_since = None,
                Some(error) => {
                    let since = *lost_since.get_or_insert_with(Instant::now);
                    if self.host.is_gone() || since.elapsed() > PATIENCE {
                        return End::Lost(error.clone());
                    }
                }
            }
            tokio::select! {
                _ = stop.wait() => return End::Stopped,
                changed = view.snapshots.changed() => if changed.is_err() {
                    return End::Lost("the node stopped".into());
                },
                // An ended sender shows in the snapshots' channel; here it must not spin.
                Ok(()) = view.connection.changed() => {}
                () = tokio::time::sleep(glance) => {
                    glance = (glance * 3 / 2).min(LOOK);
                    // The first snapshot of a new view is fresh, and our view gets it too.
                    if let Host::Embedded(engine) = self.host && glance < LOOK {
                        drop(engine.control().view(Focus::default()));
                    }
                }
            }
        }
    }

    fn take(&mut self, snapshot: &Snapshot, elapsed: Duration, ended: &mut impl FnMut(TransferId, Fate)) {
        let now = Instant::now();
        for (id, watched) in self.watched.iter_mut().filter(|(_, w)| !w.finished) {
            let Some(row) = snapshot.transfers.iter().find(|row| row.id == *id) else {
                if watched.row.is_some() || elapsed > UNSEEN {
                    watched.finished = true;
                    watched.bar.clear();
                    self.bars.suspend(|| ended(*id, Fate::Removed));
                }
                continue;
            };
            let changed = watched.row.as_ref() != Some(row);
            watched.row = Some(row.clone());
            let old_news = elapsed < LAG && self.before.contains(row);
            if (self.finished)(row) && !old_news {
                watched.finished = true;
                watched.bar.clear();
                self.bars.suspend(|| ended(*id, Fate::Row(row.clone())));
            } else if changed {
                watched.bar.show(row);
                if self.out.json && watched.throttle.ready(now) {
                    self.out.object(&progress_event("progress", row));
                }
            }
        }
    }

    /// The last rows of those that are not finished; takes their bars away.
    pub fn unfinished(&self) -> Vec<(TransferId, Option<Arc<TransferRow>>)> {
        let open = self.watched.iter().filter(|(_, w)| !w.finished);
        open.map(|(id, watched)| {
            watched.bar.clear();
            (*id, watched.row.clone())
        })
        .collect()
    }
}
