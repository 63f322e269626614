//! What a viewer sees of the queue.

use std::collections::HashMap;
use std::sync::Arc;

use super::Book;
use crate::content::name::printable;
use crate::control::queue::{BehindRow, MAX_QUEUE_ROWS, Operation, QueueId, QueueRow, QueueState, QueueView};
use crate::queue::links::{Links, Terms};
use crate::queue::outbox::Waiting;
use crate::queue::priority::{Entry, Standing};
use crate::queue::reach::Reach;

impl Book {
    /// The queue as it is. `unix`: the time that is shown for `now`, ms since the epoch. Rows that did not change are shared
    /// with the view before.
    pub fn view(
        &mut self,
        now: u64,
        unix: u64,
        links: &dyn Links,
        holds: bool,
        behind: Vec<BehindRow>,
    ) -> Arc<QueueView> {
        let old: HashMap<QueueId, &Arc<QueueRow>> = self.shown.rows.iter().map(|row| (row.id, row)).collect();
        let mut terms: HashMap<Arc<str>, Terms> = HashMap::new();
        let waiting = self.queue.in_order().filter(|(_, entry)| entry.standing != Standing::Running);
        let rows = self.queue.running().chain(waiting).take(MAX_QUEUE_ROWS).map(|(id, entry)| {
            let terms = *terms.entry(entry.target.clone()).or_insert_with(|| links.terms(&entry.target));
            let row = self.row(id, entry, terms, holds, now, unix);
            match old.get(&id) {
                Some(before) if ***before == row => Arc::clone(before),
                _ => Arc::new(row),
            }
        });
        let view = QueueView {
            rows: rows.collect(),
            classes: self.queue.totals(),
            capacity: self.queue.limits().capacity as u64,
            expired: self.expired,
            corrupt: self.corrupt,
            behind,
        };
        if *self.shown != view {
            self.shown = Arc::new(view);
        }
        self.shown.clone()
    }

    fn row(&self, id: QueueId, entry: &Entry<Waiting>, terms: Terms, holds: bool, now: u64, unix: u64) -> QueueRow {
        let shown = |at: u64| unix.saturating_add(at.saturating_sub(now)).saturating_sub(now.saturating_sub(at));
        let what = &entry.what;
        let (state, why, retry_at) = self.stands(id, entry, terms, holds);
        let dest = match &what.operation {
            Operation::Send(send) => &send.dest,
            Operation::Sync(sync) => &sync.dest,
        };
        QueueRow {
            id,
            class: entry.class,
            aged: entry.aged(self.queue.limits(), now),
            state,
            what: what.operation.what().into(),
            name: what.name.clone(),
            target: printable(&entry.target),
            dest: printable(dest),
            bytes: entry.bytes,
            added_ms: what.added_ms,
            attempts: what.attempts,
            retry_at_ms: retry_at.map(shown),
            why,
            transfer: what.transfer,
        }
    }

    fn stands(
        &self,
        id: QueueId,
        entry: &Entry<Waiting>,
        terms: Terms,
        holds: bool,
    ) -> (QueueState, String, Option<u64>) {
        let what = &entry.what;
        let reach = self.reach.get(&entry.target);
        match entry.standing {
            Standing::Running => return (QueueState::Running, String::new(), None),
            Standing::Parked if self.left.contains(&id) => {
                let why = "this node does not go on with what was queued before: `skep serve` does".into();
                return (QueueState::Waiting, why, None);
            }
            Standing::Parked if self.paused.contains(&id) => {
                return (QueueState::Paused, "its transfer was paused".into(), None);
            }
            Standing::Parked => return (QueueState::Parked, what.why.clone(), None),
            Standing::Ready | Standing::Later(_) => {}
        }
        if let Some(why) = reach.and_then(Reach::away) {
            return (QueueState::Stored, format!("its endpoint does not answer: {why}"), reach.and_then(Reach::due_at));
        }
        if let Standing::Later(at) = entry.standing {
            return (QueueState::Retrying, what.why.clone(), Some(at));
        }
        let (running, _) = self.queue.lane(&entry.target);
        let waits = |words: String| (QueueState::Waiting, words, None);
        if entry.class > terms.lowest {
            if what.told_ms.is_some() {
                let until = if terms.metered { "until the link is not metered" } else { "for a better link" };
                let why = format!("the far side knows what is stale; the data waits {until}, or for class critical");
                return (QueueState::Summary, why, None);
            }
            let is = if terms.metered { "is metered" } else { "takes only summaries" };
            return waits(format!(
                "kept back: the link {is}, only critical operations go now (`skep queue class critical {id}` makes it one)"
            ));
        }
        if holds {
            return waits("the node drains: nothing new begins".into());
        }
        if running >= terms.concurrent {
            return waits(match terms.concurrent {
                1 => "one at a time over this link".into(),
                many => format!("{many} at a time over this link"),
            });
        }
        match reach {
            Some(Reach::There) => waits("waits for its turn".into()),
            _ => waits("asking whether its endpoint answers".into()),
        }
    }
}
